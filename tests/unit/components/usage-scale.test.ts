// Tones and axis of the daily bars.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { amountOf, axisOf, tonesOf, totalOf } from "~/components/billing/usage-scale";

describe("the axis", () => {
  it("ends at a round number above the highest bar", () => {
    expect(axisOf(698)).toEqual([800, 600, 400, 200, 0]);
    expect(axisOf(21_400, 3)).toEqual([24_000, 16_000, 8_000, 0]);
    expect(axisOf(0)).toEqual([1, 0]);
  });

  it("always covers the highest bar with few marks", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000_000 }), (highest) => {
        const axis = axisOf(highest);
        expect(axis[0]).toBeGreaterThanOrEqual(highest);
        expect(axis.length).toBeLessThanOrEqual(6);
        expect(axis.at(-1)).toBe(0);
      }),
    );
  });
});

describe("the tones", () => {
  const day = { date: "2026-01-01", values: { a: 1, b: 5, c: 3, d: 2, e: 4 } };
  const series = ["a", "b", "c", "d", "e"].map((key) => ({ key, label: key }));

  it("go from the largest to the rest, and lose nothing", () => {
    const toned = tonesOf(series, [day]);
    expect(toned.map((one) => one.label)).toEqual(["b", "e", "c", "2 others"]);
    expect(toned.reduce((sum, one) => sum + amountOf(day, one), 0)).toBe(totalOf(day));
  });

  it("what is left of many comes last, however large, and says how many it stands for", () => {
    const many = [...series.slice(0, 2), { key: "rest", label: "others", count: 7 }];
    const withRest = { ...day, values: { ...day.values, rest: 100 } };
    expect(tonesOf(many, [withRest]).map((one) => one.label)).toEqual(["b", "a", "7 others"]);
    expect(tonesOf([...series, ...many.slice(2)], [withRest]).at(-1)).toMatchObject({ label: "9 others", tone: "s4" });
  });

  it("are one for each when there are four", () => {
    expect(tonesOf(series.slice(0, 4), [day]).map((one) => one.tone)).toEqual(["s1", "s2", "s3", "s4"]);
  });
});
