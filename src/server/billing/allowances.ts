// Allowances: a paid period, or a trial that began, gives its credits exactly once, in slices where the plan says so.
import { type Interval, type PaidPeriod, slicesOf } from "~/domain/allowance";
import { type Credits, toCredits } from "~/domain/credits";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import type { CataloguePlan } from "./catalogue";
import { grantOnce } from "./credits";

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric", timeZone: "UTC" });

/** Records that a period is paid (or a trial began) and grants what of it is due. @returns credits granted now */
export async function entitle(
  tx: Transaction,
  organizationId: string,
  plan: CataloguePlan,
  period: PaidPeriod,
  stripeInvoiceId: string | null,
  now: Date,
): Promise<Credits> {
  const creditInterval: Interval = period.trial ? "year" : plan.creditInterval;
  const slices = slicesOf(period.periodStart, period.periodEnd, creditInterval);
  // The unique key of item and start makes a copy of the event, or the other event of the same change, find the row there.
  await tx.$executeRaw`
    INSERT INTO allowance_periods (id, organization_id, stripe_item_id, period_start, period_end, trial, plan_id, plan_name, plan_version,
      price_id, credits, credit_interval, slices, slices_granted, next_slice_at, stripe_invoice_id, created_at)
    VALUES (${newId(now)}::uuid, ${organizationId}::uuid, ${period.stripeItemId}, ${period.periodStart}::timestamptz, ${period.periodEnd}::timestamptz,
      ${period.trial}, ${plan.planId}::uuid, ${plan.planName}, ${plan.planVersion}::int, ${plan.priceId}::uuid,
      ${period.trial ? plan.trialCredits : plan.credits}::bigint, ${creditInterval}::billing_interval, ${slices.length}::int, 0,
      ${period.periodStart}::timestamptz, ${stripeInvoiceId}, ${now}::timestamptz)
    ON CONFLICT (organization_id, stripe_item_id, period_start) DO NOTHING`;
  const row = await tx.allowancePeriod.findUniqueOrThrow({
    where: {
      organizationId_stripeItemId_periodStart: {
        organizationId,
        stripeItemId: period.stripeItemId,
        periodStart: period.periodStart,
      },
    },
  });
  return grantDue(tx, row, now);
}

type AllowanceRow = NonNullable<Awaited<ReturnType<Transaction["allowancePeriod"]["findUnique"]>>>;

async function grantDue(tx: Transaction, row: AllowanceRow, now: Date): Promise<Credits> {
  const slices = slicesOf(row.periodStart, row.periodEnd, row.creditInterval);
  let granted = 0;
  let done = row.slicesGranted;
  for (const slice of slices.slice(row.slicesGranted)) {
    // What is paid has begun by Stripe's clock, which may be ahead of ours; only later slices wait for their time.
    if ((slice.index > 0 && slice.start > now) || row.stoppedAt !== null) break;
    if (row.credits > 0n) {
      const label = row.trial ? `${row.planName}, trial` : `${row.planName}, ${MONTH.format(slice.start)}`;
      const fresh = await grantOnce(tx, {
        organizationId: row.organizationId,
        businessKey: `allowance:${row.stripeItemId}:${row.periodStart.toISOString()}:${slice.index}`,
        type: "grant",
        lot: {
          source: "subscription",
          amount: toCredits(row.credits),
          expiresAt: slice.end,
          label,
          planId: row.planId,
          planVersion: row.planVersion,
          priceId: row.priceId,
          stripeInvoiceId: row.stripeInvoiceId,
        },
        reason: label,
        now,
      });
      if (fresh) granted += Number(row.credits);
    }
    done = slice.index + 1;
  }
  if (done !== row.slicesGranted || (done === slices.length && row.nextSliceAt !== null)) {
    await tx.allowancePeriod.update({
      where: { id: row.id },
      data: { slicesGranted: done, nextSliceAt: slices[done]?.start ?? null },
    });
  }
  return toCredits(granted);
}

/** Ends the slices of a subscription item that were still to come. */
export async function stopAllowances(
  tx: Transaction,
  organizationId: string,
  stripeItemId: string,
  now: Date,
): Promise<void> {
  await tx.allowancePeriod.updateMany({
    where: { organizationId, stripeItemId, stoppedAt: null, nextSliceAt: { not: null } },
    data: { stoppedAt: now },
  });
}

/** Grants the monthly slices whose time has come, all that were missed included. @returns how many periods were looked at */
export async function grantDueSlices(now: Date, limit: number): Promise<number> {
  const due = await asPlatform((tx) =>
    tx.allowancePeriod.findMany({
      where: { nextSliceAt: { lte: now }, stoppedAt: null },
      orderBy: { nextSliceAt: "asc" },
      select: { id: true },
      take: limit,
    }),
  );
  for (const { id } of due) {
    await asPlatform(async (tx) => {
      const [locked] = await tx.$queryRaw<unknown[]>`SELECT 1 FROM allowance_periods WHERE id = ${id}::uuid FOR UPDATE`;
      const row = locked ? await tx.allowancePeriod.findUnique({ where: { id } }) : null;
      if (row) await grantDue(tx, row, now);
    });
  }
  return due.length;
}
