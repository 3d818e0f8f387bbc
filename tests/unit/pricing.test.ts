// What a year saves.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { yearlySaving } from "~/domain/pricing";

const price = fc.integer({ min: 0, max: 100_000_000 });

describe("the saving of a year", () => {
  it("and the year's price are twelve months together", () => {
    fc.assert(
      fc.property(price, price, (monthly, yearly) => {
        const saving = yearlySaving(monthly, yearly);
        if (yearly < monthly * 12) expect((saving ?? 0) + yearly).toBe(monthly * 12);
        else expect(saving).toBeNull();
      }),
    );
  });

  it("is not told where one of them is not sold, or nothing is saved", () => {
    expect(yearlySaving(null, 100)).toBeNull();
    expect(yearlySaving(100, null)).toBeNull();
    expect(yearlySaving(100, 1200)).toBeNull();
    expect(yearlySaving(4900, 49_000)).toBe(9800);
  });
});
