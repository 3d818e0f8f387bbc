// Which period gives which allowance, in which slices.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addMonths, lateUntil, type PaidLine, paidPeriods, slicesOf } from "~/domain/allowance";

const DAY_MS = 86_400_000;
const instant = fc.date({
  min: new Date("2020-01-01T00:00:00Z"),
  max: new Date("2040-01-01T00:00:00Z"),
  noInvalidDate: true,
});
const date = (text: string) => new Date(`${text}T10:20:30.456Z`);
const day = (at: Date) => at.toISOString().slice(0, 10);

describe("months later", () => {
  it("is the same day and time, or the last day of a shorter month, whatever the machine's time zone", () => {
    fc.assert(
      fc.property(instant, fc.integer({ min: 0, max: 60 }), (anchor, months) => {
        const later = addMonths(anchor, months);
        const index = anchor.getUTCFullYear() * 12 + anchor.getUTCMonth() + months;
        expect(later.getUTCFullYear() * 12 + later.getUTCMonth()).toBe(index);
        const length = new Date(Date.UTC(Math.floor(index / 12), (index % 12) + 1, 0)).getUTCDate();
        expect(later.getUTCDate()).toBe(Math.min(anchor.getUTCDate(), length));
        expect(later.getTime() % DAY_MS).toBe(anchor.getTime() % DAY_MS);
      }),
    );
  });

  it("leaves its argument alone and keeps the order", () => {
    fc.assert(
      fc.property(instant, (anchor) => {
        const before = anchor.getTime();
        const months = Array.from({ length: 24 }, (_, index) => addMonths(anchor, index).getTime());
        expect(anchor.getTime()).toBe(before);
        expect(months).toEqual([...new Set(months)].sort((a, b) => a - b));
        expect(months[0]).toBe(before);
      }),
    );
  });

  it.each([
    ["2026-01-31", 1, "2026-02-28"],
    ["2028-01-31", 1, "2028-02-29"],
    ["2026-01-31", 2, "2026-03-31"],
    ["2026-08-31", 1, "2026-09-30"],
    ["2026-12-31", 1, "2027-01-31"],
    ["2028-02-29", 12, "2029-02-28"],
    ["2028-02-29", 48, "2032-02-29"],
  ])("of %s by %i is %s", (from, months, to) => {
    expect(addMonths(date(from), months)).toEqual(date(to));
  });
});

describe("slices", () => {
  const period = fc.record({ start: instant, length: fc.integer({ min: 1, max: 800 * DAY_MS }) }).map((given) => ({
    start: given.start,
    end: new Date(given.start.getTime() + given.length),
  }));

  it("cover the period without gap or overlap, in order", () => {
    fc.assert(
      fc.property(period, fc.constantFrom("month" as const, "year" as const), ({ start, end }, interval) => {
        const slices = slicesOf(start, end, interval);
        expect(slices[0]?.start).toEqual(start);
        expect(slices.at(-1)?.end).toEqual(end);
        for (const [index, slice] of slices.entries()) {
          expect(slice.index).toBe(index);
          expect(slice.end.getTime()).toBeGreaterThan(slice.start.getTime());
          if (index > 0) expect(slice.start).toEqual(slices[index - 1]?.end);
        }
      }),
    );
  });

  it("of a year are twelve, from any day", () => {
    fc.assert(
      fc.property(instant, (start) => {
        const slices = slicesOf(start, addMonths(start, 12), "month");
        expect(slices).toHaveLength(12);
        for (const slice of slices) expect(slice.start).toEqual(addMonths(start, slice.index));
      }),
    );
  });

  it("of a month are one, also where a subscription of the 31st has its long and short months", () => {
    fc.assert(
      fc.property(instant, fc.integer({ min: 0, max: 36 }), (anchor, months) => {
        expect(slicesOf(addMonths(anchor, months), addMonths(anchor, months + 1), "month")).toHaveLength(1);
      }),
    );
  });

  it("of a year begun on the 31st keep its day", () => {
    const slices = slicesOf(date("2027-08-31"), date("2028-08-31"), "month");
    expect(slices.map(({ start }) => day(start))).toEqual([
      "2027-08-31",
      "2027-09-30",
      "2027-10-31",
      "2027-11-30",
      "2027-12-31",
      "2028-01-31",
      "2028-02-29",
      "2028-03-31",
      "2028-04-30",
      "2028-05-31",
      "2028-06-30",
      "2028-07-31",
    ]);
  });

  it("of a yearly allowance are one", () => {
    expect(slicesOf(date("2026-01-01"), date("2027-01-01"), "year")).toHaveLength(1);
  });

  it("of no time are a mistake of ours", () => {
    expect(() => slicesOf(date("2026-01-01"), date("2026-01-01"), "month")).toThrow("ends after it starts");
  });
});

describe("what is paid late", () => {
  const year = slicesOf(date("2026-01-01"), date("2027-01-01"), "month");
  const months = slicesOf(date("2027-01-01"), date("2027-02-01"), "month");

  it("lasts as it would have, where none of it was over", () => {
    expect(lateUntil(year, months, date("2026-01-31"))).toBeNull();
  });

  it("lasts until the end of the slice that runs, of its own or of what the subscription is in", () => {
    expect(lateUntil(year, months, date("2026-02-01"))).toEqual(date("2026-03-01"));
    expect(lateUntil(year, months, date("2026-12-31"))).toEqual(date("2027-01-01"));
    expect(lateUntil(year, months, date("2027-01-01"))).toEqual(date("2027-02-01"));
  });

  it("lasts no longer where nothing runs", () => {
    expect(lateUntil(year, [], date("2027-01-01"))).toBeNull();
    expect(lateUntil(year, months, date("2027-02-01"))).toBeNull();
  });
});

describe("the periods that an invoice pays for", () => {
  const line = (change: Partial<PaidLine> = {}): PaidLine => ({
    stripePriceId: "price_plan",
    stripeItemId: "si_1",
    proration: false,
    periodStart: date("2026-03-10"),
    periodEnd: date("2026-04-10"),
    amount: 4900,
    quantity: 1,
    currency: "usd",
    discounted: false,
    ...change,
  });
  const plans = new Map([
    ["price_plan", { unitAmount: 4900 }],
    ["price_free", { unitAmount: 0 }],
  ]);
  const free = { amount: 0, free: true };
  const periods = (lines: PaidLine[], trial: { start: Date; end: Date } | null = null) =>
    paidPeriods(lines, plans, trial);

  it("are its plan's lines", () => {
    expect(periods([line()])).toEqual([
      {
        stripePriceId: "price_plan",
        stripeItemId: "si_1",
        periodStart: date("2026-03-10"),
        periodEnd: date("2026-04-10"),
        trial: false,
      },
    ]);
  });

  it("leave out prorations, other prices, lines without an item, and lines of no time or no quantity", () => {
    const others = [
      line({ proration: true }),
      line({ stripePriceId: "price_consulting" }),
      line({ stripePriceId: null }),
      line({ stripeItemId: null }),
      line({ periodEnd: date("2026-03-10") }),
      line({ amount: 0, quantity: 0 }),
    ];
    expect(periods(others)).toEqual([]);
    expect(periods([...others, line()])).toHaveLength(1);
  });

  it("tell the trial by its money, whatever the subscription says of its last trial by then", () => {
    const first = { start: date("2026-03-10"), end: date("2026-03-24") };
    const second = { start: date("2026-05-20"), end: date("2026-06-20") };
    const both = { start: first.start, end: second.end };
    for (const trial of [first, second, both, null]) {
      expect(periods([line(free)], trial)).toMatchObject([{ trial: true }]);
      expect(periods([line()], trial)).toMatchObject([{ trial: false }]);
      // All of its price is taken off: it is paid.
      expect(periods([line({ amount: 0, discounted: true })], trial)).toMatchObject([{ trial: false }]);
    }
  });

  it("tell the trial of a plan that costs nothing by its dates, also where it was ended early", () => {
    const costless = line({ ...free, stripePriceId: "price_free", periodEnd: date("2026-03-24") });
    const trial = { start: date("2026-03-10"), end: date("2026-03-24") };
    expect(periods([costless], trial)).toMatchObject([{ trial: true }]);
    expect(periods([{ ...costless, periodStart: trial.end, periodEnd: date("2026-04-24") }], trial)).toMatchObject([
      { trial: false },
    ]);
    expect(periods([costless], { ...trial, end: date("2026-03-13") })).toMatchObject([{ trial: true }]);
    expect(periods([costless], { start: date("2026-03-20"), end: date("2026-05-20") })).toMatchObject([
      { trial: false },
    ]);
    expect(periods([costless])).toMatchObject([{ trial: false }]);
  });

  it("are one for each item and period, however many lines say so, at whatever discount and quantity", () => {
    const again = [line(), line({ discounted: true, amount: 0 }), line({ quantity: 3, amount: 14_700 })];
    const others = [line({ stripeItemId: "si_2" }), line({ periodStart: date("2026-03-11") })];
    expect(periods([...again, ...others])).toHaveLength(3);
    // Two periods that begin in the same second, the one changed for the other.
    expect(periods([...again, line({ periodEnd: date("2027-03-10") })])).toHaveLength(2);
  });
});
