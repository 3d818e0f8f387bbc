// Where signing in leads: an address that anybody can put into a link.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { returnPath } from "~/app/signin/return-path";

const BASE = "https://billing.example.com";

describe("the way on after signing in", () => {
  it("keeps the path, query and fragment of an address on this site", () => {
    expect(returnPath("/new?plan=pro&interval=year", BASE)).toBe("/new?plan=pro&interval=year");
    expect(returnPath(`${BASE}/acme/billing#lots`, BASE)).toBe("/acme/billing#lots");
  });

  it.each([
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/.//evil.example",
    "/a/..//evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://billing.example.com/",
    "https://billing.example.com.evil.example/",
    "https://billing.example.com@evil.example/",
    "/api/auth/signout",
    "",
  ])("leads nowhere for %j", (address) => {
    const path = returnPath(address === "" ? null : address, BASE);
    expect(path).toBeNull();
  });

  it("never leads a browser to another site, whatever the address", () => {
    const part = fc.constantFrom(
      "/",
      "\\",
      ".",
      "..",
      "//",
      "@",
      ":",
      "evil.example",
      "https:",
      "\t",
      "\n",
      "%2f",
      "?",
      "#",
      "a",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const path = returnPath(parts.join(""), BASE);
        if (path !== null) expect(new URL(path, BASE).origin).toBe(BASE);
      }),
    );
  });
});
