// Forecasts: the pace of the last weeks, how long credits last at it, and what will run out unspent.
import { describe, expect, it } from "vitest";
import { type Lot, toCredits } from "~/domain/credits";
import {
  type DailyUse,
  forecastDays,
  forecastLapses,
  forecastRunway,
  forecastTotal,
  paceOf,
  type RenewalTerms,
  type RunwayQuestion,
} from "~/domain/forecast";

const now = new Date("2026-01-22T12:00:00Z");
const dayMs = 86_400_000;
const daysFromNow = (days: number) => new Date(now.getTime() + days * dayMs);

function use(days: number, credits: (back: number) => number): DailyUse[] {
  return Array.from({ length: days }, (_, index) => ({
    day: new Date(Date.UTC(2026, 0, 22) - (index + 1) * dayMs),
    credits: credits(index + 1),
  }));
}

function lot(id: string, remaining: number, expiresAt: Date | null = null, held = 0): Lot {
  const source = expiresAt ? "subscription" : "purchase";
  return { id, source, remaining: toCredits(remaining), held: toCredits(held), expiresAt, createdAt: daysFromNow(-10) };
}

function question(lots: Lot[], more: Partial<RunwayQuestion> = {}): RunwayQuestion {
  return { lots, burnOrder: "purchased_first", renewal: null, now, ...more };
}

const monthly: RenewalTerms = {
  creditInterval: "month",
  credits: 3000,
  currentPeriodStart: new Date("2026-01-01T00:00:00Z"),
  currentPeriodEnd: new Date("2026-02-01T00:00:00Z"),
  trial: false,
  endsAt: null,
};

const steady = (perDay: number) => ({ perDay, spread: 0, days: 28 });

describe("paceOf", () => {
  it("averages the whole days of four weeks and leaves today out", () => {
    const today = { day: new Date("2026-01-22T00:00:00Z"), credits: 9999 };
    expect(paceOf([...use(40, () => 100), today], now)).toEqual({ perDay: 100, spread: 0, days: 28 });
  });

  it("counts days without use", () => {
    const pace = paceOf(
      use(28, (back) => (back % 2 === 0 ? 200 : 0)),
      now,
    );
    expect(pace?.perDay).toBeCloseTo(100);
    expect(pace?.spread).toBeGreaterThan(0);
  });

  it("starts with the first use of a new organization", () => {
    expect(
      paceOf(
        use(5, () => 70),
        now,
      ),
    ).toMatchObject({ perDay: 70, days: 5 });
  });

  it("says nothing where nothing or too little was used", () => {
    expect(paceOf([], now)).toBeNull();
    expect(
      paceOf(
        use(2, () => 100),
        now,
      ),
    ).toBeNull();
    expect(
      paceOf(
        use(40, (back) => (back > 30 ? 100 : 0)),
        now,
      ),
    ).toBeNull();
  });
});

describe("forecastRunway", () => {
  it("divides what is left by the pace", () => {
    expect(forecastRunway(question([lot("a", 1000)]), steady(100)).until).toEqual(daysFromNow(10));
  });

  it("does not count what is held", () => {
    expect(forecastRunway(question([lot("a", 1000, null, 500)]), steady(100)).until).toEqual(daysFromNow(5));
  });

  it("does not take from a lot what is held of it, whatever the order in which lots are spent", () => {
    const lots = [lot("pack", 1000), lot("plan", 600, daysFromNow(8), 500)];
    const runway = forecastRunway(question(lots, { burnOrder: "expiring_first" }), steady(100));
    expect(runway.until).toEqual(daysFromNow(11));
    expect(runway.lapses).toEqual([]);
    expect(runway.permanentUntil).toEqual(daysFromNow(11));
  });

  it("loses what expires before it is reached", () => {
    const lots = [lot("pack", 1000), lot("plan", 5000, daysFromNow(5))];
    const runway = forecastRunway(question(lots), steady(100));
    expect(runway.until).toEqual(daysFromNow(10));
    expect(runway.lapses).toEqual([{ at: daysFromNow(5), amount: 5000 }]);
  });

  it("spends expiring credits first where the organization chose so", () => {
    const lots = [lot("pack", 1000), lot("plan", 500, daysFromNow(5))];
    const runway = forecastRunway(question(lots, { burnOrder: "expiring_first" }), steady(100));
    expect(runway.until).toEqual(daysFromNow(15));
    expect(runway.lapses).toEqual([]);
  });

  it("lasts beyond a year when each renewal brings more than a month uses", () => {
    const runway = forecastRunway(question([lot("pack", 2000)], { renewal: monthly }), steady(90));
    expect(runway.until).toBeNull();
  });

  it("counts no renewal after a subscription has ended", () => {
    const ending = { ...monthly, endsAt: monthly.currentPeriodEnd };
    const runway = forecastRunway(question([lot("pack", 2000)], { renewal: ending }), steady(100));
    expect(runway.until).toEqual(daysFromNow(20));
  });

  it("starts the paid rhythm where a trial ends", () => {
    const trial = { ...monthly, trial: true, currentPeriodEnd: daysFromNow(5) };
    const runway = forecastRunway(question([lot("pack", 600)], { renewal: trial }), steady(90));
    expect(runway.until).toBeNull();
  });

  it("widens with the scatter of the days and holds the middle", () => {
    const runway = forecastRunway(question([lot("a", 10_000)]), { perDay: 100, spread: 80, days: 28 });
    const [from, until, to] = [runway.from, runway.until, runway.to].map((at) => at?.getTime() ?? Number.NaN);
    expect(from).toBeLessThan(until ?? 0);
    expect(until).toBeLessThan(to ?? 0);
  });

  it("tells when the credits that never expire are used up", () => {
    const lots = [lot("pack", 1000), lot("plan", 2000, daysFromNow(20))];
    expect(forecastRunway(question(lots), steady(100)).permanentUntil).toEqual(daysFromNow(10));
  });

  it("is over at once where nothing is left", () => {
    expect(forecastRunway(question([]), steady(100)).until).toEqual(now);
  });
});

describe("forecastLapses", () => {
  it("lets all expire where nothing is used", () => {
    const lots = [lot("pack", 1000), lot("plan", 6000, daysFromNow(10))];
    expect(forecastLapses(question(lots), null)).toEqual([{ at: daysFromNow(10), amount: 6000 }]);
  });
});

describe("forecastDays", () => {
  it("takes the same weekday of the last four weeks", () => {
    const weekend = (back: number) => [0, 6].includes(new Date(Date.UTC(2026, 0, 22) - back * dayMs).getUTCDay());
    const days = forecastDays(
      use(28, (back) => (weekend(back) ? 10 : 100)),
      now,
      new Date("2026-02-01T00:00:00Z"),
    );
    expect(days).toHaveLength(9);
    expect(days[0]).toEqual({ day: new Date("2026-01-23T00:00:00Z"), about: 100, low: 100, high: 100 });
    expect(days[1]).toMatchObject({ about: 10 });
  });

  it("is empty where too little was used to tell", () => {
    expect(forecastDays([], now, new Date("2026-02-01T00:00:00Z"))).toEqual([]);
  });
});

describe("what the rest of a period will use", () => {
  it("is its days together, exactly so where each day used as much", () => {
    expect(
      forecastTotal(
        use(28, () => 100),
        now,
        daysFromNow(10),
      ),
    ).toEqual({ about: 1000, low: 1000, high: 1000 });
  });

  it("has a range that is narrower than all days at their worst, and grows with the days", () => {
    const scattered = use(28, (back) => (back % 2 === 0 ? 50 : 150));
    const near = forecastTotal(scattered, now, daysFromNow(3));
    const far = forecastTotal(scattered, now, daysFromNow(20));
    const width = (range: typeof near) => (range ? range.high - range.low : Number.NaN);
    expect(width(far)).toBeGreaterThan(width(near));
    const days = forecastDays(scattered, now, daysFromNow(20));
    const about = days.reduce((sum, day) => sum + day.about, 0);
    expect(far?.about).toBe(about);
    expect(width(far)).toBeLessThan(days.length * 1.28 * 2 * 51);
  });

  it("is nothing to go by where too little was used", () => {
    expect(
      forecastTotal(
        use(2, () => 5),
        now,
        daysFromNow(3),
      ),
    ).toBeNull();
  });
});
