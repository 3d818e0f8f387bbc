// What counts as usage and how it adds up: by event, by day of a time zone, against a time before. No IO, no clock.
import type { TransactionType } from "./account";

// ── What counts ────────────────────────────────────────────────────────────────────────────────────────────

export interface UsageAmount {
  /** Credits used, less what was given back: negative where more was given back than used. */
  credits: number;
  /** Units that were asked for. What is given back is given back in credits, so it leaves them as they are. */
  quantity: number;
  /** How often something was taken. */
  calls: number;
}

/** What a row of a type counts as: its credits always by what it moved, its units and itself by these factors. */
export interface UsageWeight {
  type: TransactionType;
  quantity: 0 | 1;
  calls: 0 | 1;
}

/**
 * The rows that are usage. A take counts when it happens, also where it captures a hold for no event; what is given back
 * reduces the usage of the instant at which it is given back, so that a day once told does not change. Whatever else takes
 * credits (expiries, refunds, transfers, corrections) is nobody's usage.
 */
export const USAGE_WEIGHTS: readonly UsageWeight[] = [
  { type: "consume", quantity: 1, calls: 1 },
  { type: "reversal", quantity: 0, calls: 0 },
];

/** What a ledger row counts as; null where it is not usage. */
export function usageOf(row: { type: TransactionType; amount: number; quantity: number | null }): UsageAmount | null {
  const weight = USAGE_WEIGHTS.find(({ type }) => type === row.type);
  if (!weight) return null;
  // 0 - x, as -x of nothing would be a zero of its own kind.
  return { credits: 0 - row.amount, quantity: (row.quantity ?? 0) * weight.quantity, calls: weight.calls };
}

// ── How it adds up ─────────────────────────────────────────────────────────────────────────────────────────

export interface UsageDay {
  /** Midnight UTC of the day. */
  day: Date;
  /** Empty for what was used without naming an event. */
  eventName: string;
  credits: number;
  quantity: number;
}

export interface EventUsage {
  eventName: string;
  credits: number;
  quantity: number;
  /** Credits in the period before, up to the same point of it. */
  previousCredits: number;
}

/** From an instant, up to but without another one. */
export interface UsagePeriod {
  from: Date;
  to: Date;
}

/** The period before this one, of the same length up to `now`: what this period so far is compared with. */
export function previousPeriod(from: Date, now: Date): UsagePeriod {
  const lengthMs = now.getTime() - from.getTime();
  return { from: new Date(from.getTime() - lengthMs), to: from };
}

/** Usage of something: an event, a category, a key, a project. The empty key stands for "none named". */
export interface UsageTotal extends UsageAmount {
  key: string;
}

export interface ComparedUsage extends UsageTotal {
  /** Credits in the period before, up to the same point of it. */
  previousCredits: number;
}

/** One total a key, largest first, ties by key; what was used only before counts too. */
export function compareUsage(current: readonly UsageTotal[], previous: readonly UsageTotal[]): ComparedUsage[] {
  const totals = new Map<string, ComparedUsage>();
  const of = (key: string): ComparedUsage => {
    const known = totals.get(key);
    if (known) return known;
    const fresh = { key, credits: 0, quantity: 0, calls: 0, previousCredits: 0 };
    totals.set(key, fresh);
    return fresh;
  };
  for (const row of current) {
    const total = of(row.key);
    total.credits += row.credits;
    total.quantity += row.quantity;
    total.calls += row.calls;
  }
  for (const row of previous) of(row.key).previousCredits += row.credits;
  return [...totals.values()].sort((a, b) => b.credits - a.credits || (a.key < b.key ? -1 : 1));
}

type EventAmount = Pick<UsageDay, "eventName" | "credits" | "quantity">;

/** Totals per event, largest first; an event used only before counts too. */
export function byEvent(current: readonly EventAmount[], previous: readonly EventAmount[]): EventUsage[] {
  const keyed = (rows: readonly EventAmount[]) =>
    rows.map(({ eventName, credits, quantity }) => ({ key: eventName, credits, quantity, calls: 0 }));
  return compareUsage(keyed(current), keyed(previous)).map(({ key, credits, quantity, previousCredits }) => ({
    eventName: key,
    credits,
    quantity,
    previousCredits,
  }));
}

// ── Days of a time zone ────────────────────────────────────────────────────────────────────────────────────

/**
 * Usage is rolled up by quarters of an hour: every time zone of today is whole quarters off UTC, so its days begin with one.
 * Hours would be cut in two by the midnights of India, Nepal or South Australia.
 */
export const SLOT_MS = 900_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** The slots that lie wholly within a period: the first one's start, and the end of the last; none where `from` ≥ `to`. */
export function wholeSlots({ from, to }: UsagePeriod): UsagePeriod {
  return {
    from: new Date(Math.ceil(from.getTime() / SLOT_MS) * SLOT_MS),
    to: new Date(Math.floor(to.getTime() / SLOT_MS) * SLOT_MS),
  };
}

export const USAGE_STEPS = ["hour", "day", "week"] as const;
/** How finely a period is told. Weeks begin on Monday. */
export type UsageStep = (typeof USAGE_STEPS)[number];

const formats = new Map<string, Intl.DateTimeFormat>();

/** The calendar day of an instant in a zone: "2026-01-22". @param timeZone IANA name @throws RangeError where there is none */
export function dateIn(timeZone: string, at: Date): string {
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
    formats.set(timeZone, format);
  }
  return format.format(at);
}

/** The instant at which a calendar day begins in a zone: midnight, or where clocks skip it what comes after. */
export function startOfDate(timeZone: string, date: string): Date {
  // No zone is further from UTC than 15 hours, so the day begins between these two; before it all dates are smaller.
  const middle = Date.parse(`${date}T00:00:00Z`) / SLOT_MS;
  let low = middle - 60;
  let high = middle + 60;
  while (low < high) {
    const at = Math.floor((low + high) / 2);
    if (dateIn(timeZone, new Date(at * SLOT_MS)) >= date) high = at;
    else low = at + 1;
  }
  return new Date(low * SLOT_MS);
}

/** A calendar day some days later, or earlier. */
export function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Where the hours, days or weeks of a zone begin within a period; the first is the period's own beginning. */
export function stepsOf(period: UsagePeriod, step: UsageStep, timeZone: string): Date[] {
  const starts = [period.from];
  for (const start of step === "hour" ? hoursFrom(period, timeZone) : daysFrom(period, step, timeZone)) {
    if (start >= period.to) break;
    if (start > (starts.at(-1) ?? period.from)) starts.push(start);
  }
  return starts;
}

/** Counted from the start of the zone's day, as its clocks need not show full hours when UTC's do. */
function* hoursFrom({ from, to }: UsagePeriod, timeZone: string): Generator<Date> {
  const midnight = startOfDate(timeZone, dateIn(timeZone, from)).getTime();
  const first = midnight + Math.ceil((from.getTime() - midnight) / HOUR_MS) * HOUR_MS;
  for (let at = first; at < to.getTime(); at += HOUR_MS) yield new Date(at);
}

function* daysFrom({ from, to }: UsagePeriod, step: "day" | "week", timeZone: string): Generator<Date> {
  const last = dateIn(timeZone, to);
  let date = dateIn(timeZone, from);
  if (step === "week") date = addDays(date, -((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7));
  for (; date <= last; date = addDays(date, step === "week" ? 7 : 1)) yield startOfDate(timeZone, date);
}

/** How many days earlier the time lies that each step of a period is compared with: whole weeks, so that weekdays meet their like. */
export function daysToCompare({ from, to }: UsagePeriod): number {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  return days <= 7.5 ? 7 : days <= 32 ? 28 : days <= 92 ? 91 : 364;
}

/** The bounds of a period's steps so many days earlier: days by the clocks of the zone, hours by the hour. */
export function boundsEarlier(bounds: readonly Date[], days: number, step: UsageStep, timeZone: string): Date[] {
  return bounds.map((at) => {
    if (step === "hour") return new Date(at.getTime() - days * DAY_MS);
    const date = dateIn(timeZone, at);
    const intoDay = at.getTime() - startOfDate(timeZone, date).getTime();
    const earlier = addDays(date, -days);
    // A day whose clocks were put forward may be over before as much of it has passed.
    const end = startOfDate(timeZone, addDays(earlier, 1));
    return new Date(Math.min(startOfDate(timeZone, earlier).getTime() + intoDay, end.getTime()));
  });
}
