// The arithmetic of billing periods, as laws.
import fc from "fast-check";
import { expect, it } from "vitest";
import { addIntervals, periodEnd } from "../../src/sandbox/engine/period";
import { dateOf, utc } from "./setup";

const anchors = fc.integer({ min: utc(2020, 1, 1), max: utc(2040, 1, 1) });
const recurrings = fc.record({
  interval: fc.constantFrom("day", "week", "month", "year"),
  interval_count: fc.integer({ min: 1, max: 6 }),
  meter: fc.constant(null),
  trial_period_days: fc.constant(null),
  usage_type: fc.constant("licensed"),
});

it("a period ends after it starts, at the first step from the anchor", () => {
  fc.assert(
    fc.property(anchors, recurrings, fc.integer({ min: 0, max: 5 * 366 * 86_400 }), (anchor, recurring, after) => {
      const start = anchor + after;
      const end = periodEnd(anchor, recurring, start);
      expect(end).toBeGreaterThan(start);
      const steps = Array.from({ length: 2500 }, (_, n) => n * recurring.interval_count);
      const first = steps.find((step) => addIntervals(anchor, recurring.interval, step) > start) ?? 0;
      expect(end).toBe(addIntervals(anchor, recurring.interval, first));
    }),
    { numRuns: 60 },
  );
});

it("periods follow each other without gaps and never drift from the anchor's day", () => {
  fc.assert(
    fc.property(anchors, fc.integer({ min: 1, max: 40 }), (anchor, count) => {
      const monthly = {
        interval: "month",
        interval_count: 1,
        meter: null,
        trial_period_days: null,
        usage_type: "licensed",
      };
      let at = anchor;
      for (let step = 0; step < count; step += 1) at = periodEnd(anchor, monthly, at);
      const date = new Date(at * 1000);
      const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
      expect(date.getUTCDate()).toBe(Math.min(new Date(anchor * 1000).getUTCDate(), lastDay));
      expect(at % 86_400).toBe(anchor % 86_400);
      expect(at).toBe(addIntervals(anchor, "month", count));
    }),
    { numRuns: 200 },
  );
});

it("the 31st of January is followed by the 28th of February and the 31st of March", () => {
  const anchor = utc(2026, 1, 31);
  expect([1, 2, 3].map((count) => dateOf(addIntervals(anchor, "month", count)))).toEqual([
    "2026-02-28",
    "2026-03-31",
    "2026-04-30",
  ]);
});
