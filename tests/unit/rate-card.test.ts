// What a quantity costs, by which rate, and what an edit of the rate card does.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import {
  changeRate,
  costOf,
  nextChange,
  type RatedEvent,
  type RateOverride,
  rateAt,
  requireEvent,
} from "~/domain/rate-card";

const T = (day: number, ms = 0) => new Date(Date.UTC(2026, 0, day) + ms);
const rate = (cost: number, perUnits = 1) => ({ cost: toCredits(cost), perUnits });
const event = (change: Partial<RatedEvent> = {}): RatedEvent => ({
  id: "e",
  name: "tokens",
  version: 1,
  active: true,
  activeFrom: null,
  rates: [],
  ...rate(5),
  ...change,
});
const dated = (day: number, cost: number, version: number, perUnits = 1) => ({
  ...rate(cost, perUnits),
  from: T(day),
  version,
});
const own = (cost: number, from: number, until: number | null = null, eventId = "e"): RateOverride => ({
  ...rate(cost),
  eventId,
  from: T(from),
  until: until === null ? null : T(until),
});

describe("the cost of a quantity", () => {
  it("is rounded up to a whole credit, once for each call", () => {
    expect([1, 999, 1000, 1001, 2000].map((units) => costOf(rate(3, 1000), units))).toEqual([1, 3, 3, 4, 6]);
    expect(costOf(rate(1, 1_000_000), 1)).toBe(1);
    // Three calls of one unit each are rounded up three times; one of three units only once.
    expect(3 * costOf(rate(1, 3), 1)).toBe(3);
    expect(costOf(rate(1, 3), 3)).toBe(1);
  });

  it("is exact where the product is not a safe integer but the cost is", () => {
    expect(costOf(rate(1_000_000_000_000, 1_000_000_000_000), 9_007_199_254_740_991)).toBe(9_007_199_254_740_991);
  });

  it("is never less than the share and never a whole credit more", () => {
    const positive = fc.integer({ min: 1, max: 90_000_000 });
    fc.assert(
      fc.property(positive, positive, positive, (cost, perUnits, quantity) => {
        const exact = BigInt(cost) * BigInt(quantity);
        const paid = BigInt(costOf(rate(cost, perUnits), quantity)) * BigInt(perUnits);
        expect(paid >= exact && paid < exact + BigInt(perUnits)).toBe(true);
      }),
    );
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses the quantity %s", (quantity) => {
    expect(() => costOf(rate(1), quantity)).toThrow("positive whole number");
  });

  it("refuses what leaves the safe integers", () => {
    expect(() => costOf(rate(2), Number.MAX_SAFE_INTEGER)).toThrow("too large");
  });
});

describe("the rate at an instant", () => {
  it("is the latest whose instant has come, from that instant on", () => {
    const tokens = event({ rates: [dated(10, 7, 2), dated(20, 9, 3)], version: 3 });
    const at = (when: Date) => [rateAt(tokens, [], when).cost, rateAt(tokens, [], when).version];
    expect(at(T(10, -1))).toEqual([5, 3]);
    expect(at(T(10))).toEqual([7, 2]);
    expect(at(T(20, -1))).toEqual([7, 2]);
    expect(at(T(20))).toEqual([9, 3]);
  });

  it("is the organization's own while it has one: the latest to begin, until it ends", () => {
    const mine = [own(1, 1, 15), own(2, 10, 12), own(100, 1, null, "another")];
    const cost = (day: number) => rateAt(event(), mine, T(day)).cost;
    expect([1, 9, 10, 11, 12, 14, 15].map(cost)).toEqual([1, 1, 2, 2, 1, 1, 5]);
  });
});

describe("the next change", () => {
  it("is the first instant at which the organization pays something else", () => {
    const tokens = event({ rates: [dated(10, 7, 2), dated(20, 9, 3)] });
    expect(nextChange(tokens, [], T(5))).toEqual({ ...rate(7), from: T(10) });
    expect(nextChange(tokens, [], T(10))).toEqual({ ...rate(9), from: T(20) });
    expect(nextChange(tokens, [], T(20))).toBeNull();
    expect(nextChange(tokens, [own(1, 1, 25)], T(5))).toEqual({ ...rate(9), from: T(25) });
    expect(nextChange(tokens, [own(1, 7)], T(5))).toEqual({ ...rate(1), from: T(7) });
  });

  it("is none where another rate comes to the same", () => {
    expect(nextChange(event({ rates: [dated(10, 500, 2, 100)] }), [], T(5))).toBeNull();
  });
});

describe("another rate", () => {
  it("keeps what was in force, also the cost that the event began with", () => {
    const change = changeRate(event(), rate(7), null, T(3));
    expect(change).toEqual({
      first: { ...rate(5), from: new Date(0), version: 1 },
      rate: { ...rate(7), from: T(3), version: 2 },
      replaces: false,
      version: 2,
    });
  });

  it("takes the place of one that was to begin at the same instant", () => {
    const tokens = event({ rates: [dated(1, 5, 1), dated(10, 7, 2)], version: 2 });
    expect(changeRate(tokens, rate(8), T(10), T(5))).toMatchObject({ first: null, replaces: true, version: 3 });
  });

  it("begins a millisecond later where another has just begun", () => {
    const tokens = event({ rates: [dated(1, 5, 1), dated(10, 7, 2)], version: 2 });
    expect(changeRate(tokens, rate(8), null, T(10)).rate.from).toEqual(T(10, 1));
  });

  it("never begins in the past", () => {
    expect(() => changeRate(event(), rate(8), T(5, -1), T(5))).toThrow("past");
  });
});

describe("an event", () => {
  it("is unknown, switched off, or not active yet", () => {
    expect(() => requireEvent(undefined, "x", T(1))).toThrow('no event "x"');
    expect(() => requireEvent(event({ active: false }), "x", T(1))).toThrow("not active");
    expect(() => requireEvent(event({ activeFrom: T(2) }), "x", T(2, -1))).toThrow("not active yet");
    expect(requireEvent(event({ activeFrom: T(2) }), "x", T(2)).name).toBe("tokens");
  });
});
