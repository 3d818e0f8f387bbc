// Which changes of plan happen at once and which at the end of the period, and what one means in credits. No IO, no clock.
import { type Interval, type PaidLine, paidPeriods, slicesOf } from "./allowance";
import {
  assignReturns,
  type LineContext,
  type Period,
  type PlanTerms,
  prorationsOf,
  type Returnable,
  spreadOver,
} from "./prorations";

/** What is subscribed, or chosen: a plan at one of its prices, both in one currency. */
export interface PlanChoice {
  planId: string;
  interval: Interval;
  /** List price of one interval, in the currency's minor unit. */
  unitAmount: number;
}

export interface PlanChange {
  kind: "upgrade" | "downgrade" | "same";
  effective: "now" | "period_end";
}

/**
 * Whether a change is an upgrade, and when it takes effect. Prices are compared by the month; the same plan for longer is an
 * upgrade although its month is cheaper, because more is paid for it now. An upgrade is at once; a downgrade, and whatever has
 * the shorter interval, waits for the end of what is paid. In a trial nothing is paid yet, so every change is at once.
 * @param current what is subscribed, and whether that is still its trial
 */
export function decidePlanChange(current: PlanChoice & { trial: boolean }, next: PlanChoice): PlanChange {
  const kind = kindOf(current, next);
  const isShorter = current.interval === "year" && next.interval === "month";
  const waits = kind === "downgrade" || isShorter;
  return { kind, effective: waits && !current.trial ? "period_end" : "now" };
}

function kindOf(current: PlanChoice, next: PlanChoice): PlanChange["kind"] {
  if (current.planId === next.planId) {
    if (current.interval !== next.interval) return next.interval === "year" ? "upgrade" : "downgrade";
    if (current.unitAmount === next.unitAmount) return "same";
  }
  const difference = perYear(next) - perYear(current);
  return difference === 0 ? "same" : difference > 0 ? "upgrade" : "downgrade";
}

// Twelve months against a year, in whole units: a month of a year would have to be rounded.
function perYear({ interval, unitAmount }: PlanChoice): number {
  return interval === "year" ? unitAmount : unitAmount * 12;
}

/** What a change means in credits once its invoice is paid. */
export interface CreditsOfChange {
  /** Usable at once. */
  gives: number;
  /** In slices that are still to come. */
  later: number;
  /** Of what was granted or was to come, because its price is given back. */
  takesBack: number;
  /** Part of `takesBack` that is spent already: the next credits pay it. */
  owes: number;
}

export interface ChangeOfCredits {
  /** Of the invoice that the change makes, as a preview shows them. */
  lines: readonly PaidLine[];
  /** The plans of the lines, by Stripe price. */
  plans: ReadonlyMap<string, PlanTerms>;
  /** The plan of a proration, as it was when it was paid; as it is in `plans` where it is left out. */
  planOf?: LineContext["planOf"];
  /** The item's period that the change falls in, and where its months are counted from if that is not its start. */
  current: Period & { stripeItemId: string; anchor?: Date };
  trial: Period | null;
  /** What there is of that period: slices to come from the end, then lots newest first. */
  parts: readonly Returnable[];
  /** What was to be taken back of that period before. */
  returned: number;
}

/** What the lines of an invoice will give and take back: by the rule that is followed when it is paid, so that both agree. */
export function creditsOfChange(change: ChangeOfCredits): CreditsOfChange {
  const { lines, plans, current, trial, parts } = change;
  const sum: CreditsOfChange = { gives: 0, later: 0, takesBack: 0, owes: 0 };
  const add = (amounts: readonly number[]) => {
    const [first = 0, ...rest] = amounts;
    sum.gives += first;
    sum.later += rest.reduce((total, amount) => total + amount, 0);
  };
  for (const period of paidPeriods(lines, plans, trial)) {
    const plan = plans.get(period.stripePriceId);
    if (!plan || period.trial) continue;
    add(slicesOf(period.periodStart, period.periodEnd, plan.creditInterval).map(() => plan.credits));
  }
  const isCurrent = (stripeItemId: string | null, until: Date) =>
    stripeItemId === current.stripeItemId && until.getTime() === current.end.getTime();
  const prorations = prorationsOf(lines, {
    planOf: change.planOf ?? ((line) => plans.get(line.stripePriceId ?? "")),
    periodOf: (line) => (isCurrent(line.stripeItemId, line.periodEnd) ? current : null),
  });
  for (const { stripeItemId, stripePriceId, from, until, credits, perSlice } of prorations) {
    if (credits >= 0) {
      const creditInterval = plans.get(stripePriceId)?.creditInterval ?? "year";
      const start = isCurrent(stripeItemId, until) ? (current.anchor ?? current.start) : from;
      const left = slicesOf(start, until, creditInterval).filter((slice) => slice.end > from);
      add(spreadOver(credits, perSlice, Math.max(1, left.length)));
      continue;
    }
    sum.takesBack -= credits;
    if (!isCurrent(stripeItemId, until)) continue;
    const after = assignReturns(parts, change.returned - credits, -perSlice);
    for (const [index, part] of parts.entries()) {
      const more = (after[index] ?? 0) - part.returned;
      if (part.kind === "lot") sum.owes += Math.max(0, more - part.unspent);
    }
  }
  return sum;
}
