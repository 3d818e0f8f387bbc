// Which allowance a paid period gives, in which slices, and when. No IO, no clock.
import { invariant } from "./errors";

export type Interval = "month" | "year";

export interface Slice {
  index: number;
  start: Date;
  end: Date;
}

/** The instant `months` calendar months after `anchor`, in UTC; the 31st becomes the last day of a shorter month. */
export function addMonths(anchor: Date, months: number): Date {
  const result = new Date(anchor);
  result.setUTCDate(1);
  result.setUTCMonth(anchor.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(result.getUTCFullYear(), result.getUTCMonth() + 1, 0)).getUTCDate();
  result.setUTCDate(Math.min(anchor.getUTCDate(), lastDay));
  return result;
}

/**
 * The slices in which a period's credits are granted: one for the whole period, or one a month of a longer period.
 * Each begins a whole number of months after the period's start, so a subscription of the 31st keeps its day.
 */
export function slicesOf(periodStart: Date, periodEnd: Date, creditInterval: Interval): Slice[] {
  invariant(periodEnd > periodStart, "a period ends after it starts");
  if (creditInterval === "year") return [{ index: 0, start: periodStart, end: periodEnd }];
  const starts = [periodStart];
  for (let next = addMonths(periodStart, 1); next < periodEnd; next = addMonths(periodStart, starts.length)) {
    // The rest after the last whole month belongs to that month: a period of a month and some hours is one slice.
    if (periodEnd.getTime() - next.getTime() < 7 * 86_400_000) break;
    starts.push(next);
  }
  return starts.map((start, index) => ({ index, start, end: starts[index + 1] ?? periodEnd }));
}

/**
 * Until when the slices last that were over when they were paid for: to the end of the one that ran by then.
 * @param slices those that were paid for
 * @param running those that run now, where these do not; of the same subscription
 * @returns null where none was over, or nothing runs any more
 */
export function lateUntil(
  slices: readonly Pick<Slice, "end">[],
  running: readonly Pick<Slice, "end">[],
  paidAt: Date,
): Date | null {
  if (!slices.some(({ end }) => end <= paidAt)) return null;
  return [...slices, ...running].find(({ end }) => end > paidAt)?.end ?? null;
}

/** An invoice line, reduced to what entitles to credits. */
export interface PaidLine {
  stripePriceId: string | null;
  stripeItemId: string | null;
  proration: boolean;
  periodStart: Date;
  periodEnd: Date;
  /** In the currency's minor unit, net of the line's discounts, before tax that is added; negative where it gives back. */
  amount: number;
  quantity: number;
  /** ISO 4217, lower case. */
  currency: string;
  /** Whether it is not at its list price. */
  discounted: boolean;
  /** Whether it gives time back; told where its amount, being nothing, does not. */
  givesBack?: boolean;
  /** Whether nothing is asked for it, before any discount. */
  free?: boolean;
}

export interface PaidPeriod {
  stripePriceId: string;
  stripeItemId: string;
  periodStart: Date;
  periodEnd: Date;
  trial: boolean;
}

/**
 * The periods that a paid invoice pays for: its lines for a plan's item, prorations left out. Neither discounts nor the quantity
 * matter: an allowance belongs to the subscription, not to its seats. A trial has an allowance of its own.
 * @param plans by Stripe price; other prices are no plan's
 */
export function paidPeriods(
  lines: readonly PaidLine[],
  plans: ReadonlyMap<string, ListPrice>,
  trial: Trial | null,
): PaidPeriod[] {
  const periods = new Map<string, PaidPeriod>();
  for (const line of lines) {
    if (line.stripePriceId === null || line.stripeItemId === null || line.proration) continue;
    const plan = plans.get(line.stripePriceId);
    // Nobody has bought a quantity of nothing, whatever its period is.
    if (!plan || line.periodEnd <= line.periodStart || line.quantity <= 0) continue;
    periods.set(`${line.stripeItemId}@${line.periodStart.getTime()}@${line.periodEnd.getTime()}`, {
      stripePriceId: line.stripePriceId,
      stripeItemId: line.stripeItemId,
      periodStart: line.periodStart,
      periodEnd: line.periodEnd,
      trial: isTrialLine(line, plan, trial),
    });
  }
  return [...periods.values()];
}

/** What a plan's list price is, in the currency's minor unit. */
export interface ListPrice {
  unitAmount: number;
}

/** From when until when a subscription says that it is on trial. */
export interface Trial {
  start: Date;
  end: Date;
}

/**
 * Whether a plan's line is a trial, by its money: nothing is asked for what has a price, for as long as its invoice exists, whereas
 * a subscription's dates are those of its last trial. They decide only where the plan itself costs nothing: by the line's start,
 * because a trial that is ended early no longer ends with its line.
 */
export function isTrialLine(
  line: Pick<PaidLine, "free" | "periodStart">,
  { unitAmount }: ListPrice,
  trial: Trial | null,
): boolean {
  return unitAmount > 0 ? line.free === true : beginsInTrial(line, trial);
}

/** Whether a line begins while a subscription says that it is on trial. */
export function beginsInTrial({ periodStart }: Pick<PaidLine, "periodStart">, trial: Trial | null): boolean {
  return trial !== null && periodStart >= trial.start && periodStart < trial.end;
}
