// Which addresses are answered at all.
import { describe, expect, it } from "vitest";
import { isReadable } from "~/cli/addresses";

describe("an address", () => {
  it.each(["/", "", "*", "/caf%C3%A9/billing", "/gifts/a%25b", "/gifts/x?y=%zz&z=%00", "http://localhost/x"])(
    "can be read: %s",
    (target) => expect(isReadable(target)).toBe(true),
  );

  it.each(["/gifts/%zz", "/gifts/%", "/%ED%A0%80/billing", "/api/auth/%ff", "/%00/billing", "/%E0%A4%A?x=1"])(
    "cannot be read: %s",
    (target) => expect(isReadable(target)).toBe(false),
  );
});
