// Allowances: what a paid invoice of a subscription gives and takes back, exactly once, and what is still to come of it. The rule is
// `domain/allowance.ts`; of changes within a period see `allowance-changes.ts`.
import { lateUntil, type PaidPeriod, paidPeriods, type Slice, slicesOf } from "~/domain/allowance";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { log } from "../log";
import { keepChange, type PaidInvoice, readChanges, trialOf } from "./allowance-changes";
import { grantDue, lockFirst, writeOffLots } from "./allowance-grants";
import { settleReturns, settleStopped, settleWithheld } from "./allowance-returns";
import { type AllowanceRow, rowOf, slicesAfter, WHOLE } from "./allowance-rows";
import { type CataloguePlan, planItemOf } from "./catalogue";
import { listInvoicesTakenBack } from "./claimed-lots";
import { lockAccount } from "./ledger/accounts";
import { giveTrial } from "./trials";

export interface Settled {
  /** What was done, for the event log. */
  sentence: string;
  /** Stripe prices without which nothing could be said of changes: these wait until the catalogue has them. */
  unknownPrices: string[];
}

/**
 * Grants and takes back what a paid invoice of a subscription says: whole periods give their allowance, prorations give or take
 * back by their money. Each once, in any order of invoices, whatever the catalogue says by then.
 * @returns null for an invoice that is not paid
 * @throws BillingError BUSY where credits that are to be taken back are being moved at this moment
 */
export async function settlePaidInvoice(tx: Transaction, paid: PaidInvoice, now: Date): Promise<Settled | null> {
  const { organizationId, subscription, invoice, plans } = paid;
  if (invoice.status !== "paid") return null;
  const periods = paidPeriods(invoice.lines, plans, trialOf(subscription));
  const { changes, unknownPrices } = await readChanges(tx, paid);
  const sentences: string[] = [];
  let granted = 0;
  // Before the next period: what is taken back of this one is not carried over into it.
  for (const change of changes) {
    granted += await keepChange(tx, paid, change, periods, now);
    const { stripeItemId, from, until } = change;
    const said = await settleReturns(tx, { organizationId, stripeItemId, from, until }, now);
    if (said) sentences.push(said);
  }
  for (const period of periods) {
    const plan = plans.get(period.stripePriceId);
    if (!plan) continue;
    if (period.trial) {
      const item = { id: period.stripeItemId, periodStart: period.periodStart, periodEnd: period.periodEnd };
      granted += await giveTrial(tx, { organizationId, subscription, item, plan }, now);
      continue;
    }
    const { stripeItemId, periodStart: from, periodEnd: until } = period;
    const isNew = changes.some((change) => change.stripeItemId === stripeItemId && change.credits < 0);
    granted += await entitle(tx, paid, plan, period, isNew, now);
    // Its proration may have been told before it.
    const said = await settleReturns(tx, { organizationId, stripeItemId, from, until }, now);
    if (said) sentences.push(said);
  }
  await settleWithheld(tx, organizationId, subscription.id, now);
  const first = granted > 0 ? `granted ${granted} credits for the paid period` : "its allowance was granted before";
  return { sentence: [first, ...sentences].join("; "), unknownPrices };
}

/** Records that a whole period is paid and grants what of it is due. @returns credits granted now */
async function entitle(
  tx: Transaction,
  paid: PaidInvoice,
  plan: CataloguePlan,
  period: PaidPeriod,
  isNew: boolean,
  now: Date,
): Promise<number> {
  const { organizationId, subscription, invoice } = paid;
  await lockFirst(tx, organizationId, now);
  const { stripeItemId, periodStart, periodEnd } = period;
  const known = await tx.allowancePeriod.findMany({
    where: { organizationId, stripeItemId, periodStart, ...OF_A_PERIOD },
  });
  const isSame = (row: AllowanceRow) =>
    !row.trial &&
    row.periodEnd.getTime() === periodEnd.getTime() &&
    (row.stripeInvoiceId === invoice.id || (row.priceId === plan.priceId && !isNew));
  const before = known.find(isSame);
  if (before) return grantDue(tx, before, now, subscription.endedAt);
  // Periods that begin in the same second: one was changed for the other, and its money given back.
  const other = known.some((row) => row.cause === "");
  const slices = slicesOf(periodStart, periodEnd, plan.creditInterval);
  const row = await tx.allowancePeriod.create({
    data: {
      ...rowOf(plan),
      id: newId(now),
      organizationId,
      stripeSubscriptionId: subscription.id,
      stripeItemId,
      periodStart,
      periodEnd,
      cause: other ? `${WHOLE}${invoice.id}` : "",
      anchor: other ? periodStart : null,
      total: other ? BigInt(plan.credits * slices.length) : null,
      amounts: [],
      cuts: [],
      creditInterval: plan.creditInterval,
      slices: slices.length,
      nextSliceAt: periodStart,
      lateUntil: lateUntil(slices, runningAfter(paid, periodEnd), invoice.paidAt ?? now),
      stripeInvoiceId: invoice.id,
      createdAt: now,
    },
  });
  return grantDue(tx, row, now, subscription.endedAt);
}

/** The slices of the period that the subscription is in, where another period than it was paid for. */
function runningAfter(paid: PaidInvoice, end: Date): Slice[] {
  const item = planItemOf(paid.subscription.items, paid.plans);
  if (!item || item.periodStart < end) return [];
  return slicesOf(item.periodStart, item.periodEnd, paid.plans.get(item.stripePriceId)?.creditInterval ?? "year");
}

// ── What is still to come ────────────────────────────────────────────────────────────────────────────────────

export interface AllowanceState {
  stripeSubscriptionId: string;
  /** When the subscription ended, where it has: nothing more comes of any of its periods. */
  endedAt: Date | null;
  /** Its items, with their periods. */
  items: readonly { id: string; periodStart: Date }[];
}

/**
 * Makes the slices that are still to come agree with the subscription as it is now: none after its end, none of a period that it
 * has left, or whose payment was wholly taken back. Slices of a period that was stopped, and that the subscription has come back
 * to, go on. Those of an item that is gone go on too, as far as nothing of it was given back: they were paid. And makes what was
 * given back as time agree with what refunds and disputes have taken since.
 */
export async function settleAllowances(
  tx: Transaction,
  organizationId: string,
  state: AllowanceState,
  now: Date,
): Promise<void> {
  const { stripeSubscriptionId } = state;
  if (state.endedAt) {
    await resumePaid(tx, organizationId, state, state.endedAt);
    await stopRows(tx, organizationId, stripeSubscriptionId, state.endedAt, now);
  } else await followPeriods(tx, organizationId, state, now);
  const returns = await tx.allowanceReturn.findMany({
    where: { organizationId, stripeSubscriptionId },
    distinct: ["stripeItemId", "untilAt"],
    orderBy: { untilAt: "desc" },
  });
  for (const { stripeItemId, fromAt, untilAt } of returns) {
    await settleReturns(tx, { organizationId, stripeItemId, from: fromAt, until: untilAt }, now);
  }
  await settleWithheld(tx, organizationId, stripeSubscriptionId, now);
  await settleStopped(tx, organizationId, stripeSubscriptionId, now);
}

async function followPeriods(
  tx: Transaction,
  organizationId: string,
  { stripeSubscriptionId, items }: AllowanceState,
  now: Date,
): Promise<void> {
  const rows = await tx.allowancePeriod.findMany({
    where: { organizationId, stripeSubscriptionId, OR: [{ nextSliceAt: { not: null } }, { slicesGranted: { gt: 1 } }] },
  });
  if (rows.length === 0) return;
  const takenBack = new Set(await listInvoicesTakenBack(tx, organizationId, stripeSubscriptionId));
  const stopped: string[] = [];
  const resumed: string[] = [];
  for (const row of rows) {
    const item = items.find(({ id }) => id === row.stripeItemId);
    // One that an item had left before it was gone stays so.
    const next = item?.periodStart ?? row.periodEnd;
    const left = item && !isLeft(row, next) ? next : await leftAt(tx, row, next);
    if (isLeft(row, left)) await stopRow(tx, row, left, now);
    else if (row.nextSliceAt === null) continue;
    else if (takenBack.has(row.stripeInvoiceId ?? "")) {
      if (row.stoppedAt === null) stopped.push(row.id);
    } else if (isIn(row, item, now) && row.stoppedAt !== null) resumed.push(row.id);
  }
  await setStopped(tx, stopped, now);
  await setStopped(tx, resumed, null);
}

/** Lets what was stopped because its payment was taken back, and is paid after all, go on until the subscription's end. */
async function resumePaid(
  tx: Transaction,
  organizationId: string,
  { stripeSubscriptionId, items }: AllowanceState,
  endedAt: Date,
): Promise<void> {
  const rows = await tx.allowancePeriod.findMany({
    where: {
      ...{ organizationId, stripeSubscriptionId, nextSliceAt: { not: null }, periodEnd: { gt: endedAt } },
      AND: [{ stoppedAt: { not: null } }, { stoppedAt: { not: endedAt } }],
    },
  });
  if (rows.length === 0) return;
  const takenBack = new Set(await listInvoicesTakenBack(tx, organizationId, stripeSubscriptionId));
  const resumed = rows.filter((row) => {
    const item = items.find(({ id }) => id === row.stripeItemId);
    return isIn(row, item, endedAt) && !takenBack.has(row.stripeInvoiceId ?? "");
  });
  const ids = resumed.map(({ id }) => id);
  await setStopped(tx, ids, null);
}

async function setStopped(tx: Transaction, ids: string[], stoppedAt: Date | null): Promise<void> {
  if (ids.length > 0) await tx.allowancePeriod.updateMany({ where: { id: { in: ids } }, data: { stoppedAt } });
}

/** What was paid for a period itself, not for a change within it. */
const OF_A_PERIOD = { OR: [{ cause: "" }, { cause: { startsWith: WHOLE } }] };

/** When a period was left: at the first one of its item that began after it, which may be over by now. @param current the one that runs */
async function leftAt(
  tx: Transaction,
  { organizationId, stripeItemId, periodStart }: AllowanceRow,
  current: Date,
): Promise<Date> {
  const next = await tx.allowancePeriod.findFirst({
    where: { organizationId, stripeItemId, ...OF_A_PERIOD, periodStart: { gt: periodStart, lt: current } },
    orderBy: { periodStart: "asc" },
    select: { periodStart: true },
  });
  return next?.periodStart ?? current;
}

/** Left in the middle; one that came to its own end still owes what was missed of it. */
const isLeft = ({ periodStart, periodEnd }: AllowanceRow, current: Date) =>
  periodStart < current && periodEnd > current;

/** Whether a subscription is in a period: the one that its item has now, or, where that is gone, any that is not over. */
const isIn = (row: AllowanceRow, item: { periodStart: Date } | undefined, at: Date) =>
  item ? isOf(row, item.periodStart) : row.periodEnd > at;

/** An upgrade begins within its period, whose months may be counted from before it. */
const isOf = ({ periodStart, anchor }: AllowanceRow, current: Date) =>
  (anchor ?? periodStart) <= current && current <= periodStart;

/**
 * Ends what is still to come of a subscription: what had begun by its end is given, and of what was given that began only then,
 * because nobody had told us of the end, nothing is left. What was refunded of what never comes is not asked of what has come.
 */
export async function stopAllowances(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  endedAt: Date,
  now: Date,
): Promise<void> {
  await stopRows(tx, organizationId, stripeSubscriptionId, endedAt, now);
  await settleStopped(tx, organizationId, stripeSubscriptionId, now);
}

async function stopRows(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  endedAt: Date,
  now: Date,
): Promise<void> {
  const rows = await tx.allowancePeriod.findMany({
    where: {
      ...{ organizationId, stripeSubscriptionId },
      OR: [
        { stoppedAt: null, nextSliceAt: { not: null } },
        { slicesGranted: { gt: 1 }, periodEnd: { gt: endedAt } },
      ],
    },
  });
  for (const row of rows) await stopRow(tx, row, endedAt, now);
}

/** Ends a row at an instant: what had begun by then is given; of what was given that began then or later nothing is left. */
async function stopRow(tx: Transaction, row: AllowanceRow, at: Date, now: Date): Promise<void> {
  const { organizationId, id } = row;
  if (row.stoppedAt === null && row.nextSliceAt !== null) {
    await lockFirst(tx, organizationId, now);
    await grantDue(tx, row, now, at);
    await tx.allowancePeriod.updateMany({ where: { id, nextSliceAt: { not: null } }, data: { stoppedAt: at } });
  }
  const after = slicesAfter(row, at);
  // Also where all were granted: what came of these after the end bears what is refunded first.
  if (after.length > 0)
    await tx.allowancePeriod.updateMany({ where: { id, stoppedAt: null }, data: { stoppedAt: at } });
  const over = after.filter(({ end }) => end > now);
  if (over.length === 0) return;
  const lots = await tx.creditGrant.findMany({
    where: {
      ...{ organizationId, allowanceId: id, source: "subscription", remaining: { gt: 0 } },
      expiresAt: { in: over.map(({ end }) => end) },
    },
    select: { id: true },
  });
  const ids = lots.map((lot) => lot.id);
  await writeOffLots(tx, organizationId, ids, "the subscription had left it before", now);
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
        if (!row) return;
        await grantDue(tx, row, now);
        const { organizationId, stripeItemId, periodStart: from, periodEnd: until } = row;
        if (row.returned > 0n) await settleReturns(tx, { organizationId, stripeItemId, from, until }, now);
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
