// Time that was given back: what an invoice's prorations take back of a period's credits, wherever those are by now. What is
// taken of which slice and lot is decided in `domain/prorations.ts`; taking it of lots is `payments.ts`.
import type { ClaimCause } from "~/domain/claims";
import { lapsedOf, ownCredits } from "~/domain/claims";
import { assignReturns, budgetsOf, type Returnable } from "~/domain/prorations";
import type { Transaction } from "../db";
import { type AllowanceRow, slicesOfRow } from "./allowance-rows";
import { listClaimedInvoices, readClaims } from "./claimed-lots";
import { lockAccounts, saveAccounts } from "./ledger/accounts";
import { claimPaidLots, claimReturned } from "./payments";
import { type AllowanceReturn, type ReturnedPeriod, readPeriod } from "./returned-periods";

/**
 * Makes what is taken back of a period equal to what its prorations have given back in all. Copies find nothing left to do; what
 * is there to be taken only later (its period is not known yet) is taken then.
 * @returns what it did, in words; null where there was nothing to do
 * @throws BillingError BUSY where credits of the period are being moved at this moment
 */
export async function settleReturns(tx: Transaction, period: ReturnedPeriod, now: Date): Promise<string | null> {
  const { organizationId } = period;
  const before = await readPeriod(tx, period);
  if (sumOf(before.returns) === 0 && before.rows.every((row) => row.withheld === 0n)) return null;
  const accounts = await lockHolders(tx, organizationId, invoicesOf(before.rows), now);
  const { rows, returns, withheld } = await readPeriod(tx, period);
  const credits = sumOf(returns) + withheld;
  const parts = await listParts(tx, organizationId, rows);
  const returnables = parts.map(({ part }) => part);
  const inTime = returns.map((row) => ({ credits: Number(row.credits), perSlice: -Number(row.perSlice) })).reverse();
  const returned = assignReturns(returnables, credits, budgetsOf(returnables, inTime));
  const changes = parts.map((part, index): Change => ({ ...part, returned: returned[index] ?? 0 }));
  await cutSlices(tx, changes);
  return claimLots(tx, causeOf(rows, returns), accounts, changes, now);
}

/** The accounts that hold lots of invoices, and the organization's own: locked at once, in one order. */
async function lockHolders(
  tx: Transaction,
  organizationId: string,
  invoices: readonly string[],
  now: Date,
): Promise<string[]> {
  const holders = await tx.$queryRaw<{ id: string }[]>`
    SELECT DISTINCT o.id FROM credit_grants g JOIN organizations o ON o.id = g.organization_id AND o.deleted_at IS NULL
    WHERE g.stripe_invoice_id = ANY (${invoices})`;
  const ids = [...new Set([organizationId, ...holders.map(({ id }) => id)])];
  // What the locks themselves have decided is written before anything is read.
  await saveAccounts(tx, await lockAccounts(tx, ids, now));
  return ids;
}

/**
 * Makes what refunds and disputes claim of a subscription's periods agree with what is still to come of them: what never comes any
 * more bears it first. Copies find nothing left to do.
 */
export async function settleStopped(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  now: Date,
): Promise<void> {
  for (const stripeInvoiceId of await listClaimedInvoices(tx, organizationId, stripeSubscriptionId)) {
    const reference = stripeInvoiceId;
    const taking = {
      type: "refund",
      reference,
      reason: "What never comes of the period bears what went back",
    } as const;
    const freezing = {
      type: "dispute",
      reference,
      reason: "What never comes of the period is disputed first",
    } as const;
    await claimPaidLots(tx, { stripeInvoiceId }, { taking, freezing }, now);
  }
}

/** What prorations have given back of a period in all. */
const sumOf = (returns: readonly AllowanceReturn[]): number =>
  returns.reduce((sum, { credits }) => sum + Number(credits), 0);

export interface ReturnablePeriod {
  /** Slices to come from the end, then lots, the organization's own newest first. */
  parts: Returnable[];
  /** What was to be taken back of it until now. */
  returned: number;
}

/** What there is of a period that could be taken back, and what was. */
export async function readReturnable(tx: Transaction, period: ReturnedPeriod): Promise<ReturnablePeriod> {
  const { rows, returns, withheld } = await readPeriod(tx, period);
  const parts = await listParts(tx, period.organizationId, rows);
  return { parts: parts.map(({ part }) => part), returned: sumOf(returns) + withheld };
}

type Of = { kind: "slice"; row: AllowanceRow; index: number } | { kind: "lot"; lot: PeriodLot };

interface Part {
  of: Of;
  part: Returnable;
}

async function listParts(tx: Transaction, organizationId: string, rows: readonly AllowanceRow[]): Promise<Part[]> {
  const lots = await listLots(tx, organizationId, rows);
  const claims: Claims = new Map();
  for (const invoice of invoicesOf(rows)) claims.set(invoice, await readClaims(tx, invoice));
  return [...slicesAsParts(rows, claims), ...lotsAsParts(lots, claims)];
}

const invoicesOf = (rows: readonly AllowanceRow[]): string[] => [
  ...new Set(rows.map((row) => row.stripeInvoiceId).filter((id) => id !== null)),
];

/** By invoice, what is claimed of it. */
type Claims = Map<string, Awaited<ReturnType<typeof readClaims>>>;

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
async function listLots(tx: Transaction, organizationId: string, rows: readonly AllowanceRow[]): Promise<PeriodLot[]> {
  const invoices = invoicesOf(rows);
  const allowances = rows.map((row) => row.id);
  if (invoices.length === 0) return [];
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

/** Slices that are not granted yet, and what was cut of others: that is over. */
function slicesAsParts(rows: readonly AllowanceRow[], claims: Claims): Part[] {
  const parts: Part[] = [];
  for (const row of rows) {
    const invoice = row.stripeInvoiceId ?? "";
    const unclaimed = claims.get(invoice)?.unclaimed ?? 0;
    for (const { index, amount: whole, cut, end } of slicesOfRow(row)) {
      const closed = index < row.slicesGranted;
      const amount = closed ? cut : whole;
      if (closed && cut === 0) continue;
      const part = { amount, returned: cut, unspent: amount, end: end.getTime(), closed, invoice, unclaimed };
      parts.push({ of: { kind: "slice", row, index }, part: { kind: "slice", ...part } });
    }
  }
  return parts.sort((a, b) => b.part.end - a.part.end);
}

function lotsAsParts(lots: readonly PeriodLot[], claims: Claims): Part[] {
  return lots.map((lot) => {
    const { stripeInvoiceId: invoice, returned } = lot;
    const amount = ownCredits(lot);
    const waiting = Math.max(0, (claims.get(invoice)?.toTake.get(lot.id) ?? returned) - lot.taken);
    const unspent = Math.max(0, lot.remaining + lapsedOf(lot) - waiting);
    const unclaimed = claims.get(invoice)?.unclaimed ?? 0;
    const part: Returnable = { kind: "lot", amount, returned, unspent, end: 0, invoice, unclaimed };
    return { of: { kind: "lot", lot }, part };
  });
}

interface Change {
  part: Returnable;
  of: Of;
  /** What is taken back of it now, in all. */
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
  cause: ClaimCause,
  organizationIds: readonly string[],
  changes: readonly Change[],
  now: Date,
): Promise<string | null> {
  const byInvoice = new Map<string, Map<string, number>>();
  for (const { of, part, returned } of changes) {
    if (part.returned === returned) continue;
    const lots = byInvoice.get(part.invoice) ?? new Map<string, number>();
    byInvoice.set(part.invoice, of.kind === "lot" ? lots.set(of.lot.id, returned) : lots);
  }
  if (byInvoice.size === 0) return null;
  const words: string[] = [];
  for (const [invoice, lots] of byInvoice) {
    const said = await claimReturned(tx, organizationIds, invoice, lots, cause, now);
    if (said) words.push(said);
  }
  return words.length > 0 ? words.join(", ") : null;
}

/**
 * Takes back what upgrades of a subscription have given for time that they gave back and nobody had paid for, and gives it back once
 * that is paid. Copies find nothing left to do.
 */
export async function settleWithheld(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  now: Date,
): Promise<void> {
  const upgrades = await tx.allowancePeriod.findMany({
    where: { organizationId, stripeSubscriptionId, withheld: { gt: 0 } },
    orderBy: { id: "asc" },
  });
  for (const { stripeItemId, periodStart: from, periodEnd: until } of upgrades) {
    await settleReturns(tx, { organizationId, stripeItemId, from, until }, now);
  }
}

/** The newest invoice that gave something of the period back; or else the upgrade whose credits wait for a payment. */
function causeOf(rows: readonly AllowanceRow[], [newest]: readonly AllowanceReturn[]): ClaimCause {
  if (newest) {
    const reason = "Unused time of the subscription was given back";
    return { type: "refund", reference: newest.stripeInvoiceId, reason };
  }
  const reference = rows.find((row) => row.withheld > 0n)?.stripeInvoiceId ?? "";
  return { type: "refund", reference, reason: "What the upgrade gave back was not paid before" };
}
