// usage: what credits were spent on, of a period and step by step. A part of the usage is named by its key; the empty key
// stands for what names none.
import { z } from "zod";
import { dateIn, USAGE_STEPS } from "~/domain/usage";
import { getUsageSeries, getUsageSummary, USAGE_DIMENSIONS } from "~/server/billing/usage";
import { instant } from "../inputs";
import { organizationProcedure, router } from "../trpc";

const DAY_MS = 86_400_000;
/** Two years, so that one can be seen beside the other. */
const MOST_DAYS = 732;
/** By the hour: a week and what its clocks add. */
const MOST_DAYS_OF_HOURS = 8;

const timeZone = z.string().max(64).refine(isTimeZone, 'must be an IANA time zone, as "Europe/Berlin"').default("UTC");

function isTimeZone(name: string): boolean {
  try {
    dateIn(name, new Date(0));
    return true;
  } catch {
    return false;
  }
}

/** From an instant, up to but without another one; what has not been yet is left out. */
const period = { from: instant, to: instant, timeZone };

const lastsAtMost = (days: number) => (given: { from: Date; to: Date }) =>
  given.to.getTime() - given.from.getTime() <= days * DAY_MS;
const isForward = (given: { from: Date; to: Date }) => given.from < given.to;

const summaryInput = z
  .object(period)
  .refine(isForward, { path: ["to"], message: "must be after `from`" })
  .refine(lastsAtMost(MOST_DAYS), { path: ["to"], message: `must be within ${MOST_DAYS} days of \`from\`` });

const seriesInput = z
  .object({
    ...period,
    step: z.enum(USAGE_STEPS).default("day"),
    /** What each step is split by. */
    by: z.enum(USAGE_DIMENSIONS).default("event"),
  })
  .refine(isForward, { path: ["to"], message: "must be after `from`" })
  .refine(lastsAtMost(MOST_DAYS), { path: ["to"], message: `must be within ${MOST_DAYS} days of \`from\`` })
  .refine((given) => given.step !== "hour" || lastsAtMost(MOST_DAYS_OF_HOURS)(given), {
    path: ["step"],
    message: `must not be hours of more than ${MOST_DAYS_OF_HOURS} days`,
  });

export const usageRouter = router({
  summary: organizationProcedure("billing:view")
    .input(summaryInput)
    .query(({ ctx, input: { from, to, timeZone } }) =>
      getUsageSummary({ organizationId: ctx.organizationId, period: { from, to }, timeZone, now: ctx.now }),
    ),

  series: organizationProcedure("billing:view")
    .input(seriesInput)
    .query(({ ctx, input: { from, to, timeZone, step, by } }) =>
      getUsageSeries({ organizationId: ctx.organizationId, period: { from, to }, timeZone, step, by, now: ctx.now }),
    ),
});
