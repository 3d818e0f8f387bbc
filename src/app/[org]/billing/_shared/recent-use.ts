// What the last weeks used by day: for the pace, and for comparing a day with the same weekday four weeks earlier.
import "server-only";
import type { DailyUse } from "~/domain/forecast";
import { getUsage } from "~/server/billing/usage";

// A period of 31 days, and four weeks before each of its days.
const RECENT_DAYS = 60;
const DAY_MS = 86_400_000;

const COMPARED_DAYS = 28;

/** What was used on the UTC day four weeks earlier up to the same time of day: today so far is compared with that. */
export async function usedByThisTime(organizationId: string, now: Date): Promise<DailyUse> {
  const to = now.getTime() - COMPARED_DAYS * DAY_MS;
  const day = new Date(Math.floor(to / DAY_MS) * DAY_MS);
  const { total } = await getUsage(organizationId, day, new Date(to));
  return { day, credits: total };
}

export async function recentUse(organizationId: string, now: Date): Promise<DailyUse[]> {
  const usage = await getUsage(organizationId, new Date(now.getTime() - RECENT_DAYS * DAY_MS), now);
  return usage.days.map(({ day, credits }) => ({ day, credits }));
}
