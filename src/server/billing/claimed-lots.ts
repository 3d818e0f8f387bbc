// What is known of payments and of what invoices sold, and what follows of it for each lot that they paid for: read, not done. The
// rule is `domain/claims.ts`, and what is claimed is done in `claims.ts`.
import { type ClaimTarget, claimedInAll, claimsOn, type PaymentTruth, paidInAll } from "~/domain/claims";
import { invariant } from "~/domain/errors";
import type { Transaction } from "../db";
import { type AllowanceRow, isNeverMeant, ungrantedOf } from "./allowance-rows";
import { sumMoved } from "./ledger/movements";

/** What paid for lots: a payment, or an invoice with all payments of it. */
export interface PaidBy {
  stripePaymentId?: string | null | undefined;
  stripeInvoiceId?: string | null | undefined;
}

/** What was paid and what went back of it; of an invoice all that it sold, however that was paid. */
export interface Paid extends PaymentTruth {
  ids: string[];
  invoiceId: string | null;
}

/** All payments that belong together, and their invoice, as one. A refund is a share of what the invoice sold. */
export async function findPaid(tx: Transaction, paidBy: PaidBy): Promise<Paid | null> {
  const paymentId = paidBy.stripePaymentId ?? null;
  const [paid] = await tx.$queryRaw<(Omit<Paid, "ids"> & { ids: string[] | null; isSold: boolean })[]>`
    SELECT array_agg(p.id ORDER BY p.id) FILTER (WHERE p.id IS NOT NULL) AS ids, paid.invoice AS "invoiceId", i.id IS NOT NULL AS "isSold",
      greatest(coalesce(sum(p.amount), 0), coalesce(i.sold, 0))::float8 AS amount,
      (coalesce(sum(p.refunded), 0) + coalesce(i.given_back, 0))::float8 AS refunded,
      coalesce(sum(p.disputed), 0)::float8 AS disputed, coalesce(sum(p.lost), 0)::float8 AS lost
    FROM (SELECT coalesce(${paidBy.stripeInvoiceId ?? null},
      (SELECT known.invoice_id FROM stripe_payments known WHERE known.id = ${paymentId})) AS invoice) paid
    LEFT JOIN stripe_invoices i ON i.id = paid.invoice
    LEFT JOIN stripe_payments p ON p.id = ${paymentId} OR p.invoice_id = paid.invoice
    GROUP BY paid.invoice, i.id`;
  if (!paid || (paid.ids === null && !paid.isSold)) return null;
  const { isSold: _, ...rest } = paid;
  // One of which nothing is known may be the payment of lots all the same: of a pack, whose invoice a credit note has reduced.
  return { ...rest, ids: [...new Set([...(paid.ids ?? []), ...(paymentId ? [paymentId] : [])])] };
}

/** The periods that an invoice paid for. */
async function loadPeriods(tx: Transaction, invoiceId: string | null): Promise<AllowanceRow[]> {
  if (invoiceId === null) return [];
  return tx.allowancePeriod.findMany({ where: { stripeInvoiceId: invoiceId, trial: false } });
}

/** By lot, what nobody has spent of it, also where claims have taken it already: what is claimed must not depend on that. */
async function unspentOf(
  tx: Transaction,
  lots: readonly { organization_id: string; id: string; left: number }[],
): Promise<Map<string, number>> {
  const unspent = new Map<string, number>();
  for (const organizationId of new Set(lots.map((lot) => lot.organization_id))) {
    const moved = await sumMoved(tx, organizationId, ["refund", "dispute"]);
    for (const { organization_id, id, left } of lots) {
      if (organization_id === organizationId) unspent.set(id, left - Number(moved.get(id) ?? 0n));
    }
  }
  return unspent;
}

export interface PlannedLot {
  organizationId: string;
  id: string;
  deleted: boolean;
  known: ClaimTarget & { returned: number };
  target: ClaimTarget & { returned: number };
}

/** What is to be taken of a lot as time given back. */
export type Returned = (lot: { id: string; returned: number }) => number;

export const asItWas: Returned = (lot) => lot.returned;

interface Planned {
  lots: PlannedLot[];
  /** What refunds and lost disputes leave of all that was paid for. */
  unclaimed: number;
}

/** Everything that payments paid for, with what is claimed of each lot. */
export async function planClaims(tx: Transaction, paid: Paid, returned: Returned = asItWas): Promise<Planned> {
  const lots = await tx.$queryRaw<
    {
      organization_id: string;
      id: string;
      deleted: boolean;
      amount: number;
      transferred: number;
      rolled_over: number;
      returned: number;
      left: number;
      to_take: number;
      to_freeze: number;
      allowance_id: string | null;
      expires_at: Date | null;
    }[]
  >`
    SELECT g.organization_id, g.id, o.deleted_at IS NOT NULL AS deleted, g.amount::float8 AS amount, g.transferred::float8 AS transferred,
      g.rolled_over::float8 AS rolled_over, g.returned::float8 AS returned, g.to_take::float8 AS to_take, g.to_freeze::float8 AS to_freeze,
      (g.remaining - g.held + g.frozen + g.expired - g.rolled_over)::float8 AS "left", g.allowance_id, g.expires_at
    FROM credit_grants g JOIN organizations o ON o.id = g.organization_id
    WHERE g.stripe_payment_id = ANY (${paid.ids}) OR g.stripe_invoice_id = ${paid.invoiceId}
    ORDER BY g.created_at, g.id`;
  const periods = await loadPeriods(tx, paid.invoiceId);
  const late = lots.filter((lot) => {
    const row = periods.find(({ id }) => id === lot.allowance_id);
    return row !== undefined && isNeverMeant(row, lot.expires_at);
  });
  const unspent = await unspentOf(tx, late);
  const wanted = lots.map((lot) => ({
    amount: lot.amount,
    transferred: lot.transferred,
    rolledOver: lot.rolled_over,
    returned: returned(lot),
    void: unspent.get(lot.id) ?? 0,
  }));
  const ungranted = ungrantedOf(periods);
  const targets = claimsOn(wanted, paid, ungranted);
  const planned = lots.map((lot, index): PlannedLot => {
    const target = targets[index];
    invariant(target, "each lot has its claim");
    return {
      organizationId: lot.organization_id,
      id: lot.id,
      deleted: lot.deleted,
      known: { toTake: lot.to_take, toFreeze: lot.to_freeze, returned: lot.returned },
      target: { ...target, returned: wanted[index]?.returned ?? lot.returned },
    };
  });
  return { lots: planned, unclaimed: paidInAll(wanted, ungranted) - claimedInAll(wanted, paid, ungranted) };
}

// A deleted organization spends nothing any more, and its account cannot be changed.
export const isLive = (lot: PlannedLot) => !lot.deleted;

export const isStale = (lot: PlannedLot) =>
  isLive(lot) &&
  (lot.known.toTake !== lot.target.toTake ||
    lot.known.toFreeze !== lot.target.toFreeze ||
    lot.known.returned !== lot.target.returned);

/** What is claimed of an invoice's lots, by lot, and what refunds and lost disputes leave of all that it paid for. */
export async function readClaims(
  tx: Transaction,
  stripeInvoiceId: string,
): Promise<{ toTake: Map<string, number>; unclaimed: number }> {
  const paid = await findPaid(tx, { stripeInvoiceId });
  if (!paid) return { toTake: new Map(), unclaimed: Number.POSITIVE_INFINITY };
  const { lots, unclaimed } = await planClaims(tx, paid);
  return { toTake: new Map(lots.map((lot) => [lot.id, lot.target.toTake])), unclaimed };
}

/** The invoices of a subscription with months that were not granted, or should not have been, of which something went back or is disputed. */
export async function listClaimedInvoices(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT DISTINCT a.stripe_invoice_id AS id FROM allowance_periods a
    WHERE a.organization_id = ${organizationId}::uuid AND a.stripe_subscription_id = ${stripeSubscriptionId}
      AND (a.slices_granted < a.slices OR a.stopped_at IS NOT NULL)
      AND (EXISTS (SELECT FROM stripe_payments p WHERE p.invoice_id = a.stripe_invoice_id AND p.refunded + p.lost + p.disputed > 0)
        OR EXISTS (SELECT FROM stripe_invoices i WHERE i.id = a.stripe_invoice_id AND i.given_back > 0))`;
  return rows.map((row) => row.id);
}

/** The same, of which everything that they sold went back. */
export async function listInvoicesTakenBack(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
): Promise<string[]> {
  const takenBack: string[] = [];
  for (const stripeInvoiceId of await listClaimedInvoices(tx, organizationId, stripeSubscriptionId)) {
    const paid = await findPaid(tx, { stripeInvoiceId });
    if (paid && paid.amount > 0 && paid.refunded + paid.lost >= paid.amount) takenBack.push(stripeInvoiceId);
  }
  return takenBack;
}
