// Credits follow money: whatever is changed, spent, given back or refunded, in whatever order, an organization never has had more
// credits than the best of the list prices sells for what it has paid.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SpentPolicy } from "~/domain/account";
import type { PaidLine } from "~/domain/allowance";
import { creditsOfChange, decidePlanChange } from "~/domain/plan-change";
import { assignReturns, creditsOfInterval, creditsOfLine, type PlanTerms, spreadOver } from "~/domain/prorations";
import { byMoney, byTimeRoundedUp, Life, PLANS, type Reading, type Step, secondAllowance } from "../setup/plan-walks";

const SEED = Number(process.env.PLAN_WALKS_SEED ?? Date.now() % 2 ** 31);
const WALKS = Number(process.env.PLAN_WALKS ?? 10_000);

const BEST = PLANS.reduce((best, plan) =>
  creditsOfInterval(plan) * best.unitAmount > creditsOfInterval(best) * plan.unitAmount ? plan : best,
);

const DAY = 86_400;
const anyPlan = fc.nat({ max: PLANS.length - 1 });
const quantity = fc.oneof(
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
);
const share = fc.oneof(fc.constant(1), fc.double({ min: 0.001, max: 1, noNaN: true }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("wait" as const),
    seconds: fc.oneof(
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 1, max: 40 * DAY }),
      fc.integer({ min: 1, max: 400 * DAY }),
    ),
  }),
  fc.record({ do: fc.constant("subscribe" as const), plan: anyPlan, quantity, trial: fc.boolean() }),
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("change" as const), plan: anyPlan, quantity, waits: fc.boolean() }),
  },
  fc.record({ do: fc.constant("cancel" as const), prorates: fc.boolean() }),
  fc.record({ do: fc.constant("refund" as const), which: fc.nat({ max: 20 }), share }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant("spend" as const), share }) },
);

/** What a customer does without the merchant. */
const ownStep = step.filter((each) => each.do !== "refund");

/** Says where credits are more than their money; null where they never are. */
function tooMuch(steps: readonly Step[], policy: SpentPolicy, reading: Reading): string | null {
  const life = new Life(policy, reading);
  for (const [index, each] of steps.entries()) {
    // Only where they become debts are credits of refunds that were spent before not a present.
    if (each.do === "refund" && policy !== "debt") continue;
    life.do(each);
    const { part, of } = life.money;
    if (BigInt(life.usable) * BigInt(BEST.unitAmount) * of > BigInt(creditsOfInterval(BEST)) * part) {
      return `after step ${index}: ${life.usable} credits for ${Number(part) / Number(of)} in money`;
    }
  }
  return null;
}

const walkOf = (each: fc.Arbitrary<Step>) =>
  fc.tuple(
    fc.array(each, { minLength: 3, maxLength: 14 }),
    fc.constantFrom<SpentPolicy>("debt", "debt", "clamp", "suspend"),
  );
const never = (reading: Reading, each = step) =>
  fc.property(walkOf(each), ([steps, policy]) => {
    const first: Step = { do: "subscribe", plan: 2, quantity: 1, trial: false };
    expect(tooMuch([first, ...steps], policy, reading)).toBeNull();
  });

describe(`random lives (PLAN_WALKS_SEED=${SEED})`, () => {
  it("never have had more credits than their money buys at the best list price", () => {
    fc.assert(never(byMoney, ownStep), { seed: SEED, numRuns: WALKS });
  }, 120_000);

  it("nor where merchants refund", () => {
    fc.assert(never(byMoney), { seed: SEED, numRuns: WALKS });
  }, 120_000);

  it.each([
    ["a second full allowance", secondAllowance],
    ["shares of time that are rounded up", byTimeRoundedUp],
  ])("do have with %s", (_, reading) => {
    const found = fc.check(never(reading), { seed: SEED, numRuns: 3000, endOnFailure: true });
    expect(found.failed).toBe(true);
  });
});

describe("a change of plan", () => {
  const starter = { planId: "starter", interval: "month" as const, unitAmount: 1500 };
  const pro = { planId: "pro", interval: "month" as const, unitAmount: 4900 };
  const yearly = { planId: "pro", interval: "year" as const, unitAmount: 49_000 };
  const starterYearly = { planId: "starter", interval: "year" as const, unitAmount: 15_000 };
  const scaleYearly = { planId: "scale", interval: "year" as const, unitAmount: 149_000 };

  it.each([
    ["to a dearer plan", starter, pro, "upgrade", "now"],
    ["to a cheaper plan", pro, starter, "downgrade", "period_end"],
    ["to a year of the same plan", pro, yearly, "upgrade", "now"],
    ["to a month of the same plan", yearly, pro, "downgrade", "period_end"],
    ["to a dearer plan for a year", pro, scaleYearly, "upgrade", "now"],
    ["to a plan that is cheaper by the month, for a year", pro, starterYearly, "downgrade", "period_end"],
    ["to a dearer plan, but by the month", starterYearly, pro, "upgrade", "period_end"],
    ["to what there is", pro, pro, "same", "now"],
    ["to another plan at the same price", pro, { ...pro, planId: "other" }, "same", "now"],
  ] as const)("%s", (_, from, to, kind, effective) => {
    expect(decidePlanChange({ ...from, trial: false }, to)).toEqual({ kind, effective });
    expect(decidePlanChange({ ...from, trial: true }, to)).toEqual({ kind, effective: "now" });
  });
});

describe("a proration", () => {
  const day = (at: number) => new Date(Date.UTC(2026, 2, 10 + at));
  // Thirty days, for round numbers.
  const current = { stripeItemId: "si", start: day(0), end: day(30) };
  const terms = (unitAmount: number, credits: number): PlanTerms => ({
    ...{ interval: "month", currency: "usd", unitAmount, credits, creditInterval: "month" },
  });
  const plans = new Map([
    ["pro", terms(4900, 6000)],
    ["scale", terms(14_900, 25_000)],
    ["free", terms(0, 100)],
  ]);
  const line = (stripePriceId: string, amount: number, change: Partial<PaidLine> = {}): PaidLine => ({
    ...{ stripePriceId, stripeItemId: "si", proration: true, periodStart: day(10), periodEnd: day(30) },
    ...{ amount, quantity: 1, currency: "usd", discounted: false, givesBack: amount < 0, ...change },
  });
  const credits = (price: string, amount: number, change: Partial<PaidLine> = {}) => {
    const plan = plans.get(price);
    if (!plan) throw new Error("no such plan");
    return creditsOfLine(line(price, amount, change), plan, current);
  };

  it("gives and takes back by its money at the list price, rounded against whoever changes", () => {
    // Two thirds: 9933.33 and 3266.67 in cents.
    expect(credits("scale", 9933)).toBe(16_666);
    expect(credits("pro", -3267)).toBe(-4001);
    expect(credits("scale", 29_799, { quantity: 3 })).toBe(16_666);
    expect(credits("scale", 0, { quantity: 0 })).toBe(0);
    expect(credits("scale", 0, { free: true })).toBe(0);
    expect(credits("scale", 0, { free: true, givesBack: true })).toBe(0);
    expect(credits("free", 0, { free: true })).toBe(66);
  });

  it("counts by its time where its money says nothing: discounted, in another currency, of a free plan", () => {
    expect(credits("scale", 4966, { discounted: true })).toBe(16_666);
    expect(credits("scale", -4966, { discounted: true })).toBe(-16_667);
    expect(credits("scale", 12_000, { currency: "eur" })).toBe(16_666);
    expect(credits("free", 0)).toBe(66);
    expect(credits("free", 0, { givesBack: true })).toBe(-67);
    // A discount that is inside of the amount: half of the price is given back for two thirds of the time.
    expect(credits("pro", -1633)).toBe(-4000);
    expect(credits("scale", 4966)).toBe(16_666);
  });

  it("of a first period that is cut short is at its list price, or by its share of a whole one", () => {
    const stub = { start: day(10), end: day(20) };
    const plan = plans.get("pro");
    if (!plan) throw new Error("no such plan");
    const short = (amount: number, change: Partial<PaidLine> = {}) =>
      creditsOfLine(line("pro", amount, { periodEnd: day(20), ...change }), plan, stub);
    expect(short(1633)).toBe(1999);
    // Ten days of the shortest month that there is.
    expect(short(816, { discounted: true })).toBe(2142);
  });

  it("of an upgrade is previewed as what is given when it is paid", () => {
    const lines = [line("pro", -3267), line("scale", 9933)];
    const change = { lines, plans, current, trial: null, parts: [], returned: 0 };
    expect(creditsOfChange(change)).toEqual({ gives: 12_665, later: 0, takesBack: 0, owes: 0 });
  });

  it("of a downgrade is taken of what is unspent; what was spent is owed", () => {
    const lines = [line("scale", -9933), line("pro", 3267)];
    const paid = { invoice: "in_1", unclaimed: 25_000 };
    const lot = { kind: "lot" as const, amount: 25_000, returned: 0, unspent: 5000, end: 0, ...paid };
    const change = { lines, plans, current, trial: null, parts: [lot], returned: 0 };
    expect(creditsOfChange(change)).toEqual({ gives: 0, later: 0, takesBack: 12_667, owes: 7667 });
  });

  it("of a year is spread over its months: the difference for each whole one, the rest for the one that has begun", () => {
    expect(spreadOver(12 * 19_000 - 5000, 19_000, 12)).toEqual([14_000, ...Array<number>(11).fill(19_000)]);
    expect(spreadOver(40_000, 19_000, 4)).toEqual([0, 19_000, 19_000, 2000]);
    expect(spreadOver(70_000, 19_000, 3)).toEqual([32_000, 19_000, 19_000]);
    expect(spreadOver(70, 0, 3)).toEqual([70, 0, 0]);
  });

  it("that gives back takes of slices by the difference, then what is unspent, then slices, and last what was spent", () => {
    const paid = { invoice: "in_1", unclaimed: 1000 };
    const slice = (end: number) => ({
      ...{ kind: "slice" as const, amount: 100, returned: 0, unspent: 100, end, ...paid },
    });
    const lot = { kind: "lot" as const, amount: 100, returned: 0, unspent: 30, end: 0, ...paid };
    const parts = [slice(3), slice(2), lot];
    expect(assignReturns(parts, 100, 40)).toEqual([40, 40, 20]);
    expect(assignReturns(parts, 150, 40)).toEqual([80, 40, 30]);
    expect(assignReturns(parts, 250, 40)).toEqual([100, 100, 50]);
    expect(assignReturns(parts, 999, 40)).toEqual([100, 100, 100]);
    // A refund has its share of all that its invoice paid for: what was taken back there goes elsewhere.
    const upgrade = { invoice: "in_2", unclaimed: 50 };
    expect(assignReturns([slice(3), { ...lot, ...upgrade, returned: 60 }], 60, 0)).toEqual([10, 50]);
    expect(assignReturns([slice(3), { ...slice(2), ...upgrade }, { ...lot, ...upgrade }], 100, 40)).toEqual([
      50, 40, 10,
    ]);
    // What was cut is gone, whatever becomes of its payment.
    const cut = { ...slice(2), ...upgrade, amount: 40, returned: 40, closed: true };
    expect(assignReturns([cut, { ...lot, ...upgrade, returned: 30 }], 70, 0)).toEqual([40, 10]);
  });
});
