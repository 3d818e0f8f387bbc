// Which time is shown and what it is split by, as the address of the page keeps it; and the instants that this means where
// the viewer is.
import { addDays, dateIn, startOfDate, type UsagePeriod, type UsageStep } from "~/domain/usage";
import type { RouterInputs, RouterOutputs } from "~/server/api/root";

export type Dimension = NonNullable<RouterInputs["usage"]["series"]["by"]>;

export const RANGES = ["period", "7d", "30d", "90d", "custom"] as const;
export type Range = (typeof RANGES)[number];

const DIMENSIONS: readonly Dimension[] = ["event", "category", "key", "project"];
const DAYS: Partial<Record<Range, number>> = { "7d": 7, "30d": 30, "90d": 90 };
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const DAY_MS = 86_400_000;
/** The longest time that can be asked for. */
const MOST_DAYS = 731;

export interface Choice {
  range: Range;
  by: Dimension;
  /** First and last day of a time of one's own; kept while another range is shown. */
  from: string;
  to: string;
}

/** Reads an address; what it does not know, or what cannot be, is left out. */
export function choiceOf(address: URLSearchParams): Choice {
  const range = address.get("range") as Range;
  const by = address.get("by") as Dimension;
  const [from, to] = [dateOf(address.get("from")), dateOf(address.get("to"))];
  return {
    range: RANGES.includes(range) && (range !== "custom" || (from !== "" && to !== "")) ? range : "period",
    by: DIMENSIONS.includes(by) ? by : "event",
    from,
    to,
  };
}

function dateOf(text: string | null): string {
  if (!text || !DATE.test(text)) return "";
  const at = new Date(`${text}T00:00:00Z`);
  // Neither the 30th of February nor a year before there were clocks to ask.
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text) && text >= "2000-01-01" ? text : "";
}

/** The address of a choice; what is as usual is left out. */
export function addressOf({ range, by, from, to }: Choice): string {
  const address = new URLSearchParams();
  if (range !== "period") address.set("range", range);
  if (range === "custom") {
    address.set("from", from);
    address.set("to", to);
  }
  if (by !== "event") address.set("by", by);
  return address.toString();
}

/** What is wrong with a time of one's own; null where nothing is. */
export function complaintOf({ from, to }: Pick<Choice, "from" | "to">, today: string): string | null {
  if (!dateOf(from) || !dateOf(to)) return "Choose a first and a last day.";
  if (from > to) return "The first day comes after the last.";
  if (from > today) return "That is yet to come.";
  if (Date.parse(to) - Date.parse(from) >= MOST_DAYS * DAY_MS) return "Two years at most.";
  return null;
}

type Subscription = RouterOutputs["subscription"]["get"];

/** The subscription's period, while it runs; null without one. */
export function billingPeriodOf(subscription: Subscription, now: Date): UsagePeriod | null {
  if (!subscription || subscription.currentPeriodStart > now || subscription.currentPeriodEnd <= now) return null;
  return { from: subscription.currentPeriodStart, to: subscription.currentPeriodEnd };
}

export interface Asked {
  period: UsagePeriod;
  step: UsageStep;
}

/**
 * The time that a choice means, by whole days of the zone; its end may be yet to come.
 * @param billingPeriod without one, "this period" is the last thirty days, as on the overview
 */
export function askedBy(choice: Choice, billingPeriod: UsagePeriod | null, now: Date, timeZone: string): Asked {
  const period = periodBy(choice, billingPeriod, now, timeZone);
  const days = (period.to.getTime() - period.from.getTime()) / DAY_MS;
  return { period, step: days <= 2.1 ? "hour" : days <= 93 ? "day" : "week" };
}

function periodBy(choice: Choice, billingPeriod: UsagePeriod | null, now: Date, timeZone: string): UsagePeriod {
  if (choice.range === "period" && billingPeriod) return billingPeriod;
  const today = dateIn(timeZone, now);
  if (choice.range === "custom" && complaintOf(choice, today) === null) {
    // What lies ahead has nothing to show.
    const [last = today] = [choice.to, today].sort();
    return { from: startOfDate(timeZone, choice.from), to: startOfDate(timeZone, addDays(last, 1)) };
  }
  const days = DAYS[choice.range] ?? 30;
  return { from: startOfDate(timeZone, addDays(today, 1 - days)), to: startOfDate(timeZone, addDays(today, 1)) };
}
