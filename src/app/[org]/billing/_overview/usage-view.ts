// Usage as the bars and the table of the overview take it. Days are days in UTC.
import { type ForecastDay, type UsageDay, type UsageSeries, unitCostOf } from "~/components/billing/usage-scale";
import type { UsageRow } from "~/components/billing/usage-table";
import { type DailyUse, forecastDays } from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";

type Usage = RouterOutputs["billing"]["summary"]["usage"];

const DAY_MS = 86_400_000;
/** More bars than this are no longer read one by one: of a long period the last ones are drawn. */
const MOST_BARS = 31;

export interface UsageView {
  series: UsageSeries[];
  days: UsageDay[];
  /** Days to come, where nothing can be said of them: they keep the bars of a young period narrow. */
  empty: UsageDay[];
  forecast: ForecastDay[];
  today: string;
  /** What the whole period will have used. */
  expected: number;
  rows: UsageRow[];
}

export function usageView({
  usage,
  recentUse,
  usedByThisTime,
  now,
  until,
}: {
  usage: Usage;
  recentUse: readonly DailyUse[];
  /** Four weeks before today, up to the same time of day: the rest of that day is not held against today. */
  usedByThisTime: DailyUse;
  now: Date;
  /** End of the period; null where there is none. */
  until: Date | null;
}): UsageView {
  const today = startOfDay(now);
  const first = Math.max(startOfDay(usage.period.from), today - (MOST_BARS - 1) * DAY_MS);
  const earlier = new Map<number, number>();
  for (const { day, credits } of recentUse) {
    earlier.set(startOfDay(day), (earlier.get(startOfDay(day)) ?? 0) + credits);
  }
  const known = Math.min(...earlier.keys());
  const days: UsageDay[] = [];
  for (let at = first; at <= today; at += DAY_MS) {
    const values: Record<string, number> = {};
    for (const row of usage.days) if (startOfDay(row.day) === at) values[row.eventName] = row.credits;
    const before = at - 28 * DAY_MS;
    days.push({ date: dateOf(at), values, previous: before >= known ? usedBefore(before, at === today) : null });
  }

  function usedBefore(day: number, untilNow: boolean): number | null {
    if (!untilNow) return earlier.get(day) ?? 0;
    // After midnight, until the page is read anew, it is not known how far that day had come.
    return startOfDay(usedByThisTime.day) === day ? usedByThisTime.credits : null;
  }

  // A period of a year is too wide to be drawn to its end.
  const drawn = until && (until.getTime() - first) / DAY_MS <= MOST_BARS + 1 ? until : null;
  const forecast = drawn ? forecastDays(recentUse, now, drawn) : [];
  const empty: UsageDay[] = [];
  if (drawn && forecast.length === 0) {
    for (let at = today + DAY_MS; at < drawn.getTime(); at += DAY_MS) empty.push({ date: dateOf(at), values: {} });
  }
  return {
    series: usage.events
      .filter((event) => event.credits > 0)
      .map(({ eventName: key }) => ({ key, label: nameOf(key) })),
    days,
    empty,
    forecast: forecast.map(({ day, ...amounts }) => ({ date: dateOf(day.getTime()), ...amounts })),
    today: dateOf(today),
    expected: roundForWords(usage.total + forecast.reduce((sum, day) => sum + day.about, 0)),
    rows: usage.events.map((event) => ({
      id: event.eventName,
      name: nameOf(event.eventName),
      unitCost: unitCostOf(event),
      quantity: event.quantity,
      credits: event.credits,
      previous: event.previousCredits,
    })),
  };
}

/** A hold may be captured for no event. */
function nameOf(eventName: string): string {
  return eventName === "" ? "Without an event" : eventName;
}

/** To two digits: what is about is not told to the last credit. */
function roundForWords(value: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1);
  return Math.round(value / step) * step;
}

function dateOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

function startOfDay(at: Date): number {
  return Math.floor(at.getTime() / DAY_MS) * DAY_MS;
}
