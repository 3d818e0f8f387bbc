// What the last weeks used by day: for the pace, and for comparing a day with the same weekday four weeks earlier.
import "server-only";
import type { DailyUse } from "~/domain/forecast";
import { getUsage } from "~/server/billing/usage";

// A period of 31 days, and four weeks before each of its days.
const RECENT_DAYS = 60;
const DAY_MS = 86_400_000;

export async function recentUse(organizationId: string, now: Date): Promise<DailyUse[]> {
  const usage = await getUsage(organizationId, new Date(now.getTime() - RECENT_DAYS * DAY_MS), now);
  return usage.days.map(({ day, credits }) => ({ day, credits }));
}
