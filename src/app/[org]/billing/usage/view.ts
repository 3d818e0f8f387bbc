// What was read, as the bars and tables of the usage page take it.
import { formatDayRange, type Viewer } from "~/components/billing/format";
import {
  comparedUpToNow,
  type ForecastDay,
  type UsageDay,
  type UsageSeries,
  unitCostOf,
} from "~/components/billing/usage-scale";
import type { UsageRow } from "~/components/billing/usage-table";
import { addDays, dateIn, type UsagePeriod } from "~/domain/usage";
import type { RouterOutputs } from "~/server/api/root";
import type { Asked, Dimension } from "./choice";

type Summary = RouterOutputs["usage"]["summary"];
type Series = RouterOutputs["usage"]["series"];

const NOBODY: Record<Dimension, string> = {
  event: "Without an event",
  category: "Without a category",
  key: "Without a key",
  project: "Without a project",
};

/** What people call a part of the usage. */
export function nameOf({ key, name }: { key: string; name: string | null }, by: Dimension): string {
  if (name !== null) return name;
  if (key === "") return NOBODY[by];
  // The organization's own keys have names for good; those of the platform are not its business.
  return by === "key" ? "A key of the platform" : key;
}

export const WORDS: Record<Dimension, { choice: string; column: string }> = {
  event: { choice: "Event", column: "Event" },
  category: { choice: "Category", column: "Category" },
  key: { choice: "API key", column: "API key" },
  project: { choice: "Project", column: "Project" },
};

export function rowsOf(summary: Summary, by: Dimension): UsageRow[] {
  const { events, categories, keys, projects } = summary;
  if (by === "event") {
    return events.map((line) => ({
      id: line.key,
      name: nameOf(line, by),
      note: line.category,
      unitCost: unitCostOf(line),
      quantity: line.quantity,
      credits: line.credits,
      previous: line.previousCredits,
    }));
  }
  return { category: categories, key: keys, project: projects }[by].map((line) => ({
    id: line.key,
    name: nameOf(line, by),
    quantity: line.calls,
    credits: line.credits,
    previous: line.previousCredits,
  }));
}

export interface Bars {
  series: UsageSeries[];
  days: UsageDay[];
  /** Days to come, where nothing can be said of them: they keep the bars of a young period narrow. */
  empty: UsageDay[];
  forecast: ForecastDay[];
  today: string | undefined;
}

const OTHERS = "others";
// Wider than this the bars to come would leave none for those that were.
const MOST_DAYS_DRAWN = 62;

export function barsOf(
  read: Series,
  { by, asked, now, timeZone }: { by: Dimension; asked: Asked; now: Date; timeZone: string },
): Bars {
  const { step } = read;
  const used = read.series
    .map((one, index) => ({ key: `=${one.key}`, label: nameOf(one, by), index }))
    .filter(({ index }) => read.steps.some((one) => one.credits[index] !== 0));
  const others = read.otherSeries > 0 ? [{ key: OTHERS, label: "others", count: read.otherSeries }] : [];
  const days = read.steps.map(({ start, credits, others: rest, previous }) => ({
    date: step === "hour" ? start.toISOString() : dateIn(timeZone, start),
    values: {
      ...Object.fromEntries(used.map(({ key, index }) => [key, credits[index] ?? 0])),
      ...(others.length > 0 ? { [OTHERS]: rest } : {}),
    },
    previous,
  }));
  const today = dateIn(timeZone, now);
  const isRunning = asked.period.to > now;
  const drawn = step === "day" && isRunning && daysBetween(asked.period.from, asked.period.to) <= MOST_DAYS_DRAWN;
  const forecast = drawn
    ? read.forecast.map(({ day, ...amounts }) => ({ date: day.toISOString().slice(0, 10), ...amounts }))
    : [];
  const empty: UsageDay[] = [];
  if (drawn && forecast.length === 0) {
    const last = dateIn(timeZone, new Date(asked.period.to.getTime() - 1));
    for (let date = addDays(today, 1); date <= last; date = addDays(date, 1)) empty.push({ date, values: {} });
  }
  return {
    series: [...used.map(({ key, label }) => ({ key, label })), ...others],
    days,
    empty,
    forecast,
    today: step === "day" && isRunning ? today : undefined,
  };
}

function daysBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 86_400_000;
}

/** "Nov 1 – 20", and with its year where that is not this one. */
export function daysInWords({ from, to }: UsagePeriod, now: Date, viewer: Viewer): string {
  const last = new Date(Math.max(from.getTime(), to.getTime() - 1));
  const words = formatDayRange(from, last, viewer);
  const year = dateIn(viewer.timeZone, last).slice(0, 4);
  return year === dateIn(viewer.timeZone, now).slice(0, 4) ? words : `${words}, ${year}`;
}

/** "Same weekday four weeks earlier, today up to the same time of day" */
export function earlierInFull(daysEarlier: number, step: Series["step"], isRunning: boolean): string {
  const words = earlierInWords(daysEarlier, step);
  return isRunning ? comparedUpToNow(words, step) : words;
}

/** "Same weekday four weeks earlier" */
export function earlierInWords(daysEarlier: number, step: Series["step"]): string {
  const weeks = daysEarlier / 7;
  const words = weeks === 1 ? "a week earlier" : weeks === 4 ? "four weeks earlier" : `${weeks} weeks earlier`;
  if (step === "week") return words.charAt(0).toUpperCase() + words.slice(1);
  return step === "hour" ? `Same hour ${words}` : `Same weekday ${words}`;
}

/** To two digits: what is about is not told to the last credit. */
export function roundForWords(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1);
  return Math.round(value / unit) * unit;
}
