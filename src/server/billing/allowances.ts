// Allowances: a paid period, or a trial that began, gives its credits exactly once, in slices where the plan says so.
import { type Interval, type PaidPeriod, slicesOf } from "~/domain/allowance";
import { type Credits, toCredits } from "~/domain/credits";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { log } from "../log";
import type { CataloguePlan } from "./catalogue";
import { grantOnce } from "./credits";
import { lockAccount } from "./ledger/accounts";

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric", timeZone: "UTC" });

/** Records that a period is paid (or a trial began) and grants what of it is due. @returns credits granted now */
export async function entitle(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  plan: CataloguePlan,
  period: PaidPeriod,
  stripeInvoiceId: string | null,
  now: Date,
): Promise<Credits> {
  // The account first, here and in the job: whoever takes two locks takes them in one order.
  await lockAccount(tx, organizationId, now);
  const creditInterval: Interval = period.trial ? "year" : plan.creditInterval;
  const slices = slicesOf(period.periodStart, period.periodEnd, creditInterval);
  // The unique key of item and start makes a copy of the event, or the other event of the same change, find the row there.
  await tx.$executeRaw`
    INSERT INTO allowance_periods (id, organization_id, stripe_subscription_id, stripe_item_id, period_start, period_end, trial, plan_id, plan_name, plan_version,
      price_id, credits, credit_interval, slices, slices_granted, next_slice_at, stripe_invoice_id, created_at)
    VALUES (${newId(now)}::uuid, ${organizationId}::uuid, ${stripeSubscriptionId}, ${period.stripeItemId}, ${period.periodStart}::timestamptz, ${period.periodEnd}::timestamptz,
      ${period.trial}, ${plan.planId}::uuid, ${plan.planName}, ${plan.planVersion}::int, ${plan.priceId}::uuid,
      ${period.trial ? plan.trialCredits : plan.credits}::bigint, ${creditInterval}::billing_interval, ${slices.length}::int, 0,
      ${period.periodStart}::timestamptz, ${stripeInvoiceId}, ${now}::timestamptz)
    ON CONFLICT (organization_id, stripe_item_id, period_start, cause) DO NOTHING`;
  const row = await tx.allowancePeriod.findUniqueOrThrow({
    where: {
      organizationId_stripeItemId_periodStart_cause: {
        organizationId,
        stripeItemId: period.stripeItemId,
        periodStart: period.periodStart,
        cause: "",
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
          // A trial's credits are nobody's money: moved on, they would be a way to collect them.
          transferable: !row.trial,
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

export interface AllowanceState {
  stripeSubscriptionId: string;
  /** The subscription has ended: nothing more comes of any of its periods. */
  ended: boolean;
  /** The item that is the plan, with its period, and the plan it has now. */
  current: { stripeItemId: string; periodStart: Date; plan: CataloguePlan };
}

/**
 * Makes the slices that are still to come agree with the subscription as it is now: none after its end, none of a period
 * that it has left (its money went back as a proration) or whose payment was wholly taken back, and none larger than the
 * present plan's. Slices of a period that was stopped, and that the subscription has come back to, go on.
 */
export async function settleAllowances(
  tx: Transaction,
  organizationId: string,
  state: AllowanceState,
  now: Date,
): Promise<void> {
  const { stripeSubscriptionId, current } = state;
  const { plan, stripeItemId, periodStart } = current;
  if (state.ended) return stopAllowances(tx, organizationId, stripeSubscriptionId, now);
  const open = { organizationId, stripeSubscriptionId, nextSliceAt: { not: null } };
  const here = { stripeItemId, periodStart };
  // Left in the middle; one that came to its own end still owes what was missed of it.
  const left = {
    periodEnd: { gt: periodStart },
    OR: [{ stripeItemId: { not: stripeItemId } }, { periodStart: { lt: periodStart } }],
  };
  await tx.allowancePeriod.updateMany({ where: { ...open, ...left, stoppedAt: null }, data: { stoppedAt: now } });
  const takenBack = { stripeInvoiceId: { in: await listInvoicesTakenBack(tx, organizationId, stripeSubscriptionId) } };
  await tx.allowancePeriod.updateMany({ where: { ...open, ...takenBack, stoppedAt: null }, data: { stoppedAt: now } });
  await tx.allowancePeriod.updateMany({
    where: { ...open, ...here, OR: [{ stripeInvoiceId: null }, { NOT: takenBack }] },
    data: { stoppedAt: null },
  });
  await tx.allowancePeriod.updateMany({
    where: { ...open, ...here, trial: false, credits: { gt: BigInt(plan.credits) } },
    data: {
      credits: BigInt(plan.credits),
      planId: plan.planId,
      planName: plan.planName,
      planVersion: plan.planVersion,
      priceId: plan.priceId,
    },
  });
}

/** Invoices of periods with slices to come whose payments were refunded or lost to the last cent. */
async function listInvoicesTakenBack(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ invoice_id: string }[]>`
    SELECT p.invoice_id FROM stripe_payments p
    WHERE p.invoice_id IN (
      SELECT a.stripe_invoice_id FROM allowance_periods a
      WHERE a.organization_id = ${organizationId}::uuid AND a.stripe_subscription_id = ${stripeSubscriptionId} AND a.next_slice_at IS NOT NULL)
    GROUP BY p.invoice_id HAVING sum(least(p.refunded + p.lost, p.amount)) >= sum(p.amount) AND sum(p.amount) > 0`;
  return rows.map((row) => row.invoice_id);
}

/** Ends what is still to come of a subscription. */
export async function stopAllowances(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  now: Date,
): Promise<void> {
  await tx.allowancePeriod.updateMany({
    where: { organizationId, stripeSubscriptionId, stoppedAt: null, nextSliceAt: { not: null } },
    data: { stoppedAt: now },
  });
}

/** Grants the monthly slices whose time has come, all that were missed included. @returns how many periods were looked at */
export async function grantDueSlices(now: Date, limit: number): Promise<number> {
  const due = await asPlatform(
    (tx) => tx.$queryRaw<{ id: string; organization_id: string }[]>`
      SELECT p.id, p.organization_id FROM allowance_periods p JOIN organizations o ON o.id = p.organization_id
      WHERE p.next_slice_at <= ${now}::timestamptz AND p.stopped_at IS NULL AND o.deleted_at IS NULL
      ORDER BY p.next_slice_at LIMIT ${limit}`,
  );
  for (const { id, organization_id } of due) {
    try {
      await asPlatform(async (tx) => {
        await lockAccount(tx, organization_id, now);
        const row = await tx.allowancePeriod.findUnique({ where: { id } });
        if (row) await grantDue(tx, row, now);
      });
    } catch (error) {
      // One organization's trouble is not the others': they get theirs, and this one is tried again at the next run.
      log.error("a slice of an allowance was not granted", {
        organizationId: organization_id,
        allowancePeriodId: id,
        error,
      });
    }
  }
  return due.length;
}
