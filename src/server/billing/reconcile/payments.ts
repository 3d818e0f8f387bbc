// What went back of payments: every refund, dispute and credit note has done to credits and history what it says.
import { asPlatform } from "../../db";
import { idOf, type Stripe } from "../../stripe";
import { findPaymentOwner } from "../../stripe/facts";
import { claimPaidLots } from "../payments";
import { syncCreditNote, syncPaymentIntent } from "../sync";
import type { Context, Stage } from "./context";
import { pagesOf } from "./pace";

// Until when a refund may still fail, and a dispute be decided.
const REFUND_DAYS = 35;
const DISPUTE_DAYS = 120;

type Known = Map<string, { organizationId: string; disputed: bigint; lost: bigint }>;

/** Our rows of payments, by Stripe's id. */
async function loadPayments(ids: readonly (string | null)[]): Promise<Known> {
  const wanted = ids.filter((id) => id !== null);
  const rows = await asPlatform((tx) => tx.stripePayment.findMany({ where: { id: { in: wanted } } }));
  return new Map(rows.map((row) => [row.id, row]));
}

/** The statuses of lines of history, by Stripe's id. */
async function loadLines(kind: "refund" | "credit_note", ids: string[]): Promise<Map<string, string>> {
  const rows = await asPlatform((tx) =>
    tx.billingHistory.findMany({ where: { kind, stripeId: { in: ids } }, select: { stripeId: true, status: true } }),
  );
  return new Map(rows.map(({ stripeId, status }) => [stripeId, status]));
}

export const recentRefunds: Stage = async function* (context, from) {
  const list = (page: object) => context.stripe.refunds.list({ ...page, ...context.createdSince(REFUND_DAYS) });
  for await (const refunds of pagesOf(context.pace, from, list)) {
    const payments = await loadPayments(refunds.map((refund) => idOf(refund.payment_intent)));
    const lines = await loadLines(
      "refund",
      refunds.map(({ id }) => id),
    );
    await lookAtPayments(
      context,
      refunds.filter(({ id, status }) => lines.get(id) !== (status ?? "pending")),
      payments,
    );
    context.count(refunds.length);
    yield refunds.at(-1)?.id ?? null;
  }
};

export const recentDisputes: Stage = async function* (context, from) {
  const list = (page: object) => context.stripe.disputes.list({ ...page, ...context.createdSince(DISPUTE_DAYS) });
  for await (const disputes of pagesOf(context.pace, from, list)) {
    const payments = await loadPayments(disputes.map((dispute) => idOf(dispute.payment_intent)));
    const doubtful = disputes.filter((dispute) => !isDisputeKnown(dispute, payments));
    await lookAtPayments(context, doubtful, payments);
    context.count(disputes.length);
    yield disputes.at(-1)?.id ?? null;
  }
};

/** A doubt is enough: what looks different is looked at more closely. */
function isDisputeKnown({ status, payment_intent }: Stripe.Dispute, payments: Known): boolean {
  const payment = payments.get(idOf(payment_intent) ?? "");
  if (!payment) return false;
  if (status === "won" || status.startsWith("warning_")) return payment.disputed === 0n;
  return status === "lost" ? payment.lost > 0n : payment.disputed > 0n;
}

interface OfPayment {
  payment_intent: string | { id: string } | null;
  charge: string | { id: string } | null;
}

async function lookAtPayments(context: Context, objects: readonly OfPayment[], payments: Known): Promise<void> {
  const done = new Set<string>();
  for (const { payment_intent, charge } of objects) {
    const known = idOf(payment_intent);
    if (known !== null && done.has(known)) continue;
    const lead = { paymentIntentId: known, chargeId: idOf(charge) };
    const payment = payments.get(known ?? "") ? null : await context.ask(() => findPaymentOwner(context.stripe, lead));
    const id = known ?? payment?.objectId ?? null;
    if (id === null || done.has(id)) continue;
    done.add(id);
    const organizationId = payments.get(id)?.organizationId ?? (payment && (await context.ownerOf(id, payment)));
    if (!organizationId) continue;
    await context.look({ organizationId, kind: "payment", subject: id }, (run) => syncPaymentIntent(run, id));
  }
}

export const recentCreditNotes: Stage = async function* (context, from) {
  const list = (page: object) => context.stripe.creditNotes.list({ ...page, ...context.createdSince(REFUND_DAYS) });
  for await (const notes of pagesOf(context.pace, from, list)) {
    const lines = await loadLines(
      "credit_note",
      notes.map(({ id }) => id),
    );
    context.count(notes.length);
    for (const { id, status, customer, invoice } of notes) {
      if (lines.get(id) === status) continue;
      const reference = { customerId: idOf(customer), organizationId: null, objectIds: [idOf(invoice)] };
      const organizationId = await context.ownerOf(id, reference);
      if (organizationId === null) continue;
      await context.look({ organizationId, kind: "credit_note", subject: id }, (run) => syncCreditNote(run, id));
    }
    yield notes.at(-1)?.id ?? null;
  }
};

const BATCH = 200;

/** Payments and invoices whose lots do not look like what is known of them. */
export async function* staleClaims(context: Context, from: string | null): AsyncGenerator<string | null> {
  for (let after = from ?? ""; ; ) {
    const cursor = after;
    // What was given back as time is taken whatever becomes of the payment.
    const rows = await asPlatform(
      (tx) => tx.$queryRaw<
        { id: string; organization_id: string; payment_id: string | null; invoice_id: string | null }[]
      >`
        SELECT paid.id, paid.organization_id, paid.payment_id, paid.invoice_id
        FROM (
          SELECT p.id, p.organization_id, p.id AS payment_id, p.invoice_id, p.disputed, p.refunded + p.lost + coalesce(i.given_back, 0) AS gone
          FROM stripe_payments p LEFT JOIN stripe_invoices i ON i.id = p.invoice_id
          UNION ALL
          SELECT i.id, i.organization_id, NULL, i.id, 0, i.given_back FROM stripe_invoices i
          WHERE i.given_back > 0 AND NOT EXISTS (SELECT FROM stripe_payments p WHERE p.invoice_id = i.id)
        ) paid
        CROSS JOIN LATERAL (
          SELECT count(*) AS lots, coalesce(sum(g.to_take - least(g.returned, g.to_take)), 0) AS to_take, coalesce(sum(g.to_freeze), 0) AS to_freeze
          FROM credit_grants g
          WHERE g.amount > 0 AND (g.stripe_payment_id = paid.payment_id OR g.stripe_invoice_id = paid.invoice_id)) claimed
        WHERE paid.id > ${cursor} AND claimed.lots > 0
          AND ((paid.gone > 0) <> (claimed.to_take > 0) OR (paid.disputed > 0) <> (claimed.to_freeze > 0))
        ORDER BY paid.id LIMIT ${BATCH}`,
    );
    for (const { id, organization_id: organizationId, payment_id, invoice_id } of rows) {
      const causes = {
        taking: { type: "refund", reference: id, reason: "Its payment was taken back" },
        freezing: { type: "dispute", reference: id, reason: "Its payment is disputed" },
      } as const;
      await context.look({ organizationId, kind: "claim", subject: id }, (run) =>
        run.lock.save((tx) =>
          claimPaidLots(tx, { stripePaymentId: payment_id, stripeInvoiceId: invoice_id }, causes, context.now),
        ),
      );
    }
    const last = rows.at(-1);
    if (!last || rows.length < BATCH) return;
    after = last.id;
    yield after;
  }
}
