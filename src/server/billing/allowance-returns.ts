// Time that was given back: what an invoice's prorations take back of a period's credits, wherever those are by now. What is
// taken of which slice and lot is decided in `domain/prorations.ts`; taking it of lots is `payments.ts`.
import type { ClaimCause } from "~/domain/claims";
import { lapsedOf, ownCredits } from "~/domain/claims";
import { assignReturns, type Returnable } from "~/domain/prorations";
import type { Transaction } from "../db";
import { type AllowanceRow, slicesOfRow } from "./allowance-rows";
import { lockAccounts, saveAccounts } from "./ledger/accounts";
import { claimReturned, listPaidClaims } from "./payments";

/** A period of a subscription's item, by its end: a proration lasts until then. */
export interface ReturnedPeriod {
  organizationId: string;
  stripeItemId: string;
  until: Date;
}

/**
 * Makes what is taken back of a period equal to what its prorations have given back in all. Copies find nothing left to do; what
 * is there to be taken only later (its period is not known yet) is taken then.
 * @param perSlice what each whole slice becomes smaller by, where a change of plan is the reason
 * @returns what it did, in words; null where there was nothing to do
 * @throws BillingError BUSY where credits of the period are being moved at this moment
 */
export async function settleReturns(
  tx: Transaction,
  period: ReturnedPeriod,
  perSlice: number,
  now: Date,
): Promise<string | null> {
  const credits = await sumReturned(tx, period);
  if (credits === 0) return null;
  const { organizationId } = period;
  const holders = (await listLots(tx, period, await listRows(tx, period))).map((lot) => lot.organizationId);
  // All at once, in one order; and what the locks themselves have decided is written before anything is read.
  const accounts = await lockAccounts(tx, [...new Set([organizationId, ...holders])], now);
  await saveAccounts(tx, accounts);
  const rows = await listRows(tx, period);
  const lots = await listLots(tx, period, rows);
  const parts = [...(await slicesToCome(tx, rows)), ...(await lotsAsParts(tx, lots))];
  const returned = assignReturns(
    parts.map(({ part }) => part),
    credits,
    perSlice,
  );
  const changes = parts.map(({ of }, index) => ({ of, returned: returned[index] ?? 0 }));
  await cutSlices(tx, changes);
  const organizationIds = accounts.map((account) => account.state.organizationId);
  return claimLots(tx, period, organizationIds, changes, now);
}

/** What prorations have given back of a period in all. */
export async function sumReturned(tx: Transaction, { organizationId, stripeItemId, until }: ReturnedPeriod) {
  const { _sum } = await tx.allowanceReturn.aggregate({
    where: { organizationId, stripeItemId, untilAt: until },
    _sum: { credits: true },
  });
  return Number(_sum.credits ?? 0n);
}

/** What there is of a period that could be taken back: slices to come from the end, then lots, the organization's own newest first. */
export async function listReturnables(tx: Transaction, period: ReturnedPeriod): Promise<Returnable[]> {
  const rows = await listRows(tx, period);
  const lots = await listLots(tx, period, rows);
  return [...(await slicesToCome(tx, rows)), ...(await lotsAsParts(tx, lots))].map(({ part }) => part);
}

type Of = { kind: "slice"; row: AllowanceRow; index: number } | { kind: "lot"; lot: PeriodLot };

interface Part {
  of: Of;
  part: Returnable;
}

/** The rows of a period: the whole of it and its upgrades, the newest first. */
function listRows(tx: Transaction, { organizationId, stripeItemId, until }: ReturnedPeriod): Promise<AllowanceRow[]> {
  return tx.allowancePeriod.findMany({
    where: { organizationId, stripeItemId, periodEnd: until, trial: false },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
  });
}

interface PeriodLot {
  organizationId: string;
  id: string;
  stripeInvoiceId: string;
  label: string;
  amount: number;
  transferred: number;
  rolledOver: number;
  expired: number;
  remaining: number;
  taken: number;
  returned: number;
}

/** The lots of a period, those that went on into the next one or to other organizations included; of none that is deleted. */
async function listLots(tx: Transaction, period: ReturnedPeriod, rows: readonly AllowanceRow[]): Promise<PeriodLot[]> {
  const invoices = [...new Set(rows.map((row) => row.stripeInvoiceId).filter((id) => id !== null))];
  const allowances = rows.map((row) => row.id);
  if (invoices.length === 0) return [];
  const { organizationId } = period;
  return tx.$queryRaw<PeriodLot[]>`
    SELECT g.organization_id AS "organizationId", g.id, g.stripe_invoice_id AS "stripeInvoiceId", g.label, g.amount::float8 AS amount,
      g.transferred::float8 AS transferred, g.rolled_over::float8 AS "rolledOver", g.expired::float8 AS expired,
      g.remaining::float8 AS remaining, g.taken::float8 AS taken, g.returned::float8 AS returned
    FROM credit_grants g JOIN organizations o ON o.id = g.organization_id AND o.deleted_at IS NULL
    LEFT JOIN credit_grants first ON first.organization_id = g.origin_organization_id AND first.id = g.origin_grant_id
    WHERE g.stripe_invoice_id = ANY (${invoices}) AND coalesce(first.organization_id, g.organization_id) = ${organizationId}::uuid
      AND coalesce(first.allowance_id, g.allowance_id) = ANY (${allowances}::uuid[])
    ORDER BY g.organization_id <> ${organizationId}::uuid, g.created_at DESC, g.id DESC`;
}

async function slicesToCome(tx: Transaction, rows: readonly AllowanceRow[]): Promise<Part[]> {
  const parts: Part[] = [];
  for (const row of rows) {
    const slices = slicesOfRow(row);
    // Of one that was granted the rest is a lot; what was cut is over, but a refund has its share in it.
    const left = slices.filter(({ index, cut }) => index >= row.slicesGranted || cut > 0);
    if (left.length === 0) continue;
    const claimed = await claimedShare(tx, row.stripeInvoiceId);
    for (const { index, amount: whole, cut, end } of left) {
      const closed = index < row.slicesGranted;
      const amount = closed ? cut : whole;
      const part: Returnable = {
        ...{
          kind: "slice",
          amount,
          claimed: claimed(amount),
          returned: cut,
          unspent: amount,
          end: end.getTime(),
          closed,
        },
      };
      parts.push({ of: { kind: "slice", row, index }, part });
    }
  }
  return parts.sort((a, b) => b.part.end - a.part.end);
}

/** What refunds and lost disputes of an invoice will take of an amount that is not granted yet. */
async function claimedShare(tx: Transaction, stripeInvoiceId: string | null): Promise<(amount: number) => number> {
  const [paid] = await tx.$queryRaw<{ amount: bigint; gone: bigint }[]>`
    SELECT coalesce(sum(amount), 0)::bigint AS amount, least(coalesce(sum(refunded + lost), 0), coalesce(sum(amount), 0))::bigint AS gone
    FROM stripe_payments WHERE invoice_id = ${stripeInvoiceId}`;
  const { amount: whole, gone } = paid ?? { amount: 0n, gone: 0n };
  return (amount) => (whole === 0n ? 0 : Number((BigInt(amount) * gone + whole - 1n) / whole));
}

async function lotsAsParts(tx: Transaction, lots: readonly PeriodLot[]): Promise<Part[]> {
  const claims = new Map<string, number>();
  for (const invoice of new Set(lots.map((lot) => lot.stripeInvoiceId))) {
    for (const [id, claimed] of await listPaidClaims(tx, invoice)) claims.set(id, claimed);
  }
  return lots.map((lot) => {
    const claimed = claims.get(lot.id) ?? 0;
    const amount = ownCredits(lot);
    const waiting = Math.max(0, Math.min(amount, lot.returned + claimed) - lot.taken);
    const unspent = Math.max(0, lot.remaining + lapsedOf(lot) - waiting);
    return {
      of: { kind: "lot", lot },
      part: { kind: "lot", amount, claimed, returned: lot.returned, unspent, end: 0 },
    };
  });
}

interface Change {
  of: Of;
  returned: number;
}

async function cutSlices(tx: Transaction, changes: readonly Change[]): Promise<void> {
  const cuts = new Map<AllowanceRow, number[]>();
  for (const { of, returned } of changes) {
    if (of.kind !== "slice") continue;
    const { row, index } = of;
    const known = cuts.get(row) ?? slicesOfRow(row).map((slice) => slice.cut);
    // What was never granted stays so.
    if (index >= row.slicesGranted) known[index] = returned;
    cuts.set(row, known);
  }
  for (const [row, wanted] of cuts) {
    if (wanted.every((cut, index) => cut === Number(row.cuts[index] ?? 0n))) continue;
    const returned = BigInt(wanted.reduce((sum, cut) => sum + cut, 0));
    await tx.allowancePeriod.update({ where: { id: row.id }, data: { cuts: wanted.map(BigInt), returned } });
  }
}

async function claimLots(
  tx: Transaction,
  period: ReturnedPeriod,
  organizationIds: readonly string[],
  changes: readonly Change[],
  now: Date,
): Promise<string | null> {
  const byInvoice = new Map<string, Map<string, number>>();
  for (const { of, returned } of changes) {
    if (of.kind !== "lot" || of.lot.returned === returned) continue;
    const lots = byInvoice.get(of.lot.stripeInvoiceId) ?? new Map<string, number>();
    byInvoice.set(of.lot.stripeInvoiceId, lots.set(of.lot.id, returned));
  }
  if (byInvoice.size === 0) return null;
  const cause = await causeOf(tx, period);
  const words: string[] = [];
  for (const [invoice, lots] of byInvoice) {
    const said = await claimReturned(tx, organizationIds, invoice, lots, cause, now);
    if (said) words.push(said);
  }
  return words.length > 0 ? words.join(", ") : null;
}

/** The newest invoice that gave something of the period back. */
async function causeOf(tx: Transaction, { organizationId, stripeItemId, until }: ReturnedPeriod): Promise<ClaimCause> {
  const newest = await tx.allowanceReturn.findFirst({
    where: { organizationId, stripeItemId, untilAt: until },
    orderBy: [{ createdAt: "desc" }, { fromAt: "desc" }],
  });
  return {
    type: "refund",
    reference: newest?.stripeInvoiceId ?? stripeItemId,
    reason: "Unused time of the subscription was given back",
  };
}
