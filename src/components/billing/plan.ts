// A plan as the pages know it, and the arithmetic a person does when comparing: the price, and what a year saves.
import type { Money } from "./format";

export type Interval = "month" | "year";

export interface PlanPrice {
  id?: string;
  interval: Interval;
  currency: string;
  /** Smallest unit of the currency. */
  unitAmount: number;
}

export interface PlanOption {
  id: string;
  key?: string;
  name: string;
  description?: string | null;
  features: readonly string[];
  credits: number;
  /** How often the credits come; a yearly plan may grant them monthly. */
  creditInterval: Interval;
  trialDays?: number | null;
  prices: readonly PlanPrice[];
}

export function priceOf(plan: PlanOption, interval: Interval, currency: string): PlanPrice | undefined {
  const wanted = currency.toUpperCase();
  return plan.prices.find((price) => price.interval === interval && price.currency.toUpperCase() === wanted);
}

/** What twelve months cost more than a year; null when one of the two is not sold or nothing is saved. */
export function yearlySaving(plan: PlanOption, currency: string): Money | null {
  const month = priceOf(plan, "month", currency);
  const year = priceOf(plan, "year", currency);
  if (!month || !year) return null;
  const amount = month.unitAmount * 12 - year.unitAmount;
  return amount > 0 ? { amount, currency } : null;
}

/** Months that a year does not charge, if that is the same whole number for every plan that is sold both ways; else null. */
export function freeMonths(plans: readonly PlanOption[], currency: string): number | null {
  const months = plans.flatMap((plan) => {
    const month = priceOf(plan, "month", currency);
    const saving = yearlySaving(plan, currency);
    return month && saving && month.unitAmount > 0 ? [saving.amount / month.unitAmount] : [];
  });
  const first = months[0];
  if (first === undefined) return null;
  const whole = Math.round(first);
  return whole > 0 && months.every((value) => Math.abs(value - whole) < 0.02) ? whole : null;
}

export function currenciesOf(plans: readonly PlanOption[]): string[] {
  return [...new Set(plans.flatMap((plan) => plan.prices.map((price) => price.currency.toUpperCase())))];
}
