// What counts as usage, how it adds up, and where the days of a time zone begin.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TRANSACTION_TYPES } from "~/domain/account";
import {
  addDays,
  boundsEarlier,
  byEvent,
  compareUsage,
  dateIn,
  daysToCompare,
  previousPeriod,
  SLOT_MS,
  startOfDate,
  stepsOf,
  USAGE_STEPS,
  type UsageDay,
  usageOf,
  wholeSlots,
} from "~/domain/usage";

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

describe("what counts", () => {
  it("is what was consumed, less what was given back; everything else that moves credits is nobody's usage", () => {
    expect(usageOf({ type: "consume", amount: -30, quantity: 3 })).toEqual({ credits: 30, quantity: 3, calls: 1 });
    // A part of a hold, captured by credits.
    expect(usageOf({ type: "consume", amount: -7, quantity: null })).toEqual({ credits: 7, quantity: 0, calls: 1 });
    expect(usageOf({ type: "reversal", amount: 30, quantity: null })).toEqual({ credits: -30, quantity: 0, calls: 0 });
    const others = TRANSACTION_TYPES.filter((type) => type !== "consume" && type !== "reversal");
    expect(others.map((type) => usageOf({ type, amount: -5, quantity: 1 }))).toEqual(others.map(() => null));
  });

  it("adds to nothing when all of it is given back, but was called", () => {
    const rows = [
      { key: "a", ...(usageOf({ type: "consume", amount: -30, quantity: 3 }) ?? expect.unreachable()) },
      { key: "a", ...(usageOf({ type: "reversal", amount: 30, quantity: null }) ?? expect.unreachable()) },
    ];
    expect(compareUsage(rows, [])).toEqual([{ key: "a", credits: 0, quantity: 3, calls: 1, previousCredits: 0 }]);
  });
});

const ZONES = [
  "UTC",
  "America/Los_Angeles",
  "America/St_Johns",
  "America/Havana",
  "Asia/Beirut",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "Pacific/Chatham",
  "Pacific/Kiritimati",
  "Pacific/Apia",
  "Africa/Cairo",
];
const zone = fc.constantFrom(...ZONES);
const instant = fc.date({ min: new Date("2009-01-01"), max: new Date("2030-01-01"), noInvalidDate: true });
const DAY_MS = 86_400_000;
const period = fc
  .record({ from: instant, lengthMs: fc.integer({ min: 1, max: 40 * DAY_MS }) })
  .map(({ from, lengthMs }) => ({ from, to: new Date(from.getTime() + lengthMs) }));

describe("a day of a time zone", () => {
  it("begins at its first instant, which is the start of a quarter of an hour", () => {
    fc.assert(
      fc.property(zone, instant, (timeZone, at) => {
        const start = startOfDate(timeZone, dateIn(timeZone, at));
        expect(start.getTime() % SLOT_MS).toBe(0);
        expect(start.getTime()).toBeLessThanOrEqual(at.getTime());
        expect(dateIn(timeZone, start)).toBe(dateIn(timeZone, at));
        expect(dateIn(timeZone, new Date(start.getTime() - 1)) < dateIn(timeZone, at)).toBe(true);
      }),
    );
  });

  it("begins at one o'clock where clocks are put forward at midnight, and has 23, 24 or 25 hours", () => {
    // Beirut puts its clocks forward at midnight, Los Angeles at two; Chatham is twelve hours and three quarters ahead.
    expect(startOfDate("Asia/Beirut", "2024-03-31")).toEqual(new Date("2024-03-30T22:00:00Z"));
    expect(startOfDate("America/Los_Angeles", "2026-03-08")).toEqual(new Date("2026-03-08T08:00:00Z"));
    expect(startOfDate("America/Los_Angeles", "2026-03-09")).toEqual(new Date("2026-03-09T07:00:00Z"));
    expect(startOfDate("Pacific/Chatham", "2026-07-01")).toEqual(new Date("2026-06-30T11:15:00Z"));
    expect(startOfDate("Asia/Kathmandu", "2026-07-01")).toEqual(new Date("2026-06-30T18:15:00Z"));
  });

  it("that a zone has skipped has no length", () => {
    // Samoa went over the date line on the last evening but one of 2011.
    expect(startOfDate("Pacific/Apia", "2011-12-30")).toEqual(startOfDate("Pacific/Apia", "2011-12-31"));
  });
});

describe("the steps of a period", () => {
  it("begin with it, follow each other, and each is one hour, day or week of the zone", () => {
    fc.assert(
      fc.property(period, zone, fc.constantFrom(...USAGE_STEPS), (given, timeZone, step) => {
        const starts = stepsOf(given, step, timeZone);
        expect(starts[0]).toEqual(given.from);
        const bounds = [...starts, given.to].map((at) => at.getTime());
        expect(bounds).toEqual([...new Set(bounds)].sort((a, b) => a - b));
        for (const start of starts.slice(1)) {
          expect(start.getTime() % SLOT_MS, "no quarter of an hour is cut").toBe(0);
          const date = dateIn(timeZone, start);
          if (step !== "hour") expect(startOfDate(timeZone, date)).toEqual(start);
          if (step === "week") expect(new Date(`${date}T00:00:00Z`).getUTCDay()).toBe(1);
        }
        const days = new Set<string>();
        for (let at = given.from.getTime(); at < given.to.getTime(); at += SLOT_MS)
          days.add(dateIn(timeZone, new Date(at)));
        days.add(dateIn(timeZone, new Date(given.to.getTime() - 1)));
        if (step === "day") expect(starts.length).toBe(days.size);
      }),
      { numRuns: 60 },
    );
  });

  it("are compared with as many steps that follow each other, whole weeks earlier", () => {
    fc.assert(
      fc.property(period, zone, fc.constantFrom(...USAGE_STEPS), (given, timeZone, step) => {
        const bounds = [...stepsOf(given, step, timeZone), given.to];
        const days = daysToCompare(given);
        expect(days % 7).toBe(0);
        const earlier = boundsEarlier(bounds, days, step, timeZone);
        const times = earlier.map((at) => at.getTime());
        expect(times).toEqual([...times].sort((a, b) => a - b));
        for (const [index, at] of earlier.entries()) {
          const bound = bounds[index] ?? at;
          if (step === "hour") expect(bound.getTime() - at.getTime()).toBe(days * DAY_MS);
          // Where it is the start of a day, it is the start of the day so much earlier.
          const date = dateIn(timeZone, bound);
          if (step !== "hour" && startOfDate(timeZone, date).getTime() === bound.getTime())
            expect(at).toEqual(startOfDate(timeZone, addDays(date, -days)));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("the whole quarters of a period", () => {
  it("lie within it, and leave less than one at each of its ends", () => {
    fc.assert(
      fc.property(period, (given) => {
        const whole = wholeSlots(given);
        expect(whole.from.getTime() - given.from.getTime()).toBeGreaterThanOrEqual(0);
        expect(whole.from.getTime() - given.from.getTime()).toBeLessThan(SLOT_MS);
        expect(given.to.getTime() - whole.to.getTime()).toBeGreaterThanOrEqual(0);
        expect(given.to.getTime() - whole.to.getTime()).toBeLessThan(SLOT_MS);
      }),
    );
  });
});
