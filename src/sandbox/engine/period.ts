// Billing periods: an anchor and steps from it, so that the 31st comes back after a short month.
import type { Price } from "../types";

const DAY = 86_400;

/** The instant `count` intervals after an anchor, at the anchor's time of day (UTC), clamped to the month's last day. */
export function addIntervals(anchor: number, interval: string, count: number): number {
  if (interval === "day") return anchor + count * DAY;
  if (interval === "week") return anchor + count * 7 * DAY;
  const date = new Date(anchor * 1000);
  const months = date.getUTCMonth() + (interval === "year" ? 12 * count : count);
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), months + 1, 0)).getUTCDate();
  const day = Math.min(date.getUTCDate(), lastDay);
  return (
    Date.UTC(date.getUTCFullYear(), months, day, date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()) / 1000
  );
}

/** The end of the period that starts at an instant: the first step from the anchor after it. */
export function periodEnd(anchor: number, recurring: Price["recurring"], start: number): number {
  const interval = recurring?.interval ?? "month";
  const step = recurring?.interval_count ?? 1;
  const longest = { day: 1, week: 7, month: 31, year: 366 }[interval as "day" | "week" | "month" | "year"] ?? 31;
  // Never past the answer: each step is at most its longest form.
  let steps = Math.max(0, Math.floor((start - anchor) / (longest * step * DAY)));
  while (addIntervals(anchor, interval, steps * step) <= start) steps += 1;
  return addIntervals(anchor, interval, steps * step);
}

export interface Period {
  start: number;
  end: number;
}

/** The whole period around an instant: the last step from the anchor up to it, and the first one after it. */
export function cycleAround(anchor: number, recurring: Price["recurring"], at: number): Period {
  const end = periodEnd(anchor, recurring, at);
  const interval = recurring?.interval ?? "month";
  const step = recurring?.interval_count ?? 1;
  // The steps to the end, found from a rough count: the end may lie on either side of the anchor.
  let steps = 0;
  while (addIntervals(anchor, interval, (steps + 1) * step) <= end) steps += 1;
  return { start: addIntervals(anchor, interval, (steps - 1) * step), end };
}
