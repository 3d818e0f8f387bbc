// How usage adds up.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byEvent, previousPeriod, type UsageDay } from "~/domain/usage";

const usageDay: fc.Arbitrary<UsageDay> = fc.record({
  day: fc.constantFrom(new Date("2026-03-10"), new Date("2026-03-11")),
  eventName: fc.constantFrom("api_call", "ai_inference", "storage", "export"),
  credits: fc.nat({ max: 1000 }),
  quantity: fc.nat({ max: 1000 }),
});
const days = fc.array(usageDay, { maxLength: 30 });

const sum = <T>(rows: readonly T[], of: (row: T) => number) => rows.reduce((total, row) => total + of(row), 0);

describe("usage by event", () => {
  it("adds up to the usage by day, now and before", () => {
    fc.assert(
      fc.property(days, days, (current, previous) => {
        const events = byEvent(current, previous);
        expect(sum(events, (event) => event.credits)).toBe(sum(current, (row) => row.credits));
        expect(sum(events, (event) => event.quantity)).toBe(sum(current, (row) => row.quantity));
        expect(sum(events, (event) => event.previousCredits)).toBe(sum(previous, (row) => row.credits));
      }),
    );
  });

  it("names each event once, the largest first, ties by name, whatever order the days came in", () => {
    fc.assert(
      fc.property(days, days, (current, previous) => {
        const events = byEvent(current, previous);
        const names = events.map(({ eventName }) => eventName);
        expect(new Set(names)).toEqual(new Set([...current, ...previous].map(({ eventName }) => eventName)));
        expect(new Set(names).size).toBe(names.length);
        const sorted = [...events].sort((a, b) => b.credits - a.credits || a.eventName.localeCompare(b.eventName));
        expect(names).toEqual(sorted.map(({ eventName }) => eventName));
        expect(byEvent([...current].reverse(), [...previous].reverse())).toEqual(events);
      }),
    );
  });
});

describe("the period before", () => {
  it("ends where this one begins and is as long as this one so far", () => {
    const from = new Date("2026-03-01T00:00:00Z");
    const now = new Date("2026-03-11T06:00:00Z");
    expect(previousPeriod(from, now)).toEqual({ from: new Date("2026-02-18T18:00:00Z"), to: from });
  });
});
