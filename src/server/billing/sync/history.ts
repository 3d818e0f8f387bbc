// The lines of history that mirror Stripe: one for each object, with how it stands last.
import type { Transaction } from "../../db";
import { newId } from "../../db/keys";
import type { CreditNoteFacts } from "../../stripe/invoice-facts";
import { isGiven, type RefundFacts } from "../../stripe/payment-facts";
import type { SyncRun } from "./run";

export interface HistoryLine {
  kind: "invoice" | "credit_purchase" | "refund" | "credit_note";
  stripeId: string;
  status: string;
  description: string;
  /** Minor units, tax included; what goes back is negative. */
  amount: number;
  tax: number;
  currency: string;
  number: string | null;
  invoiceUrl: string | null;
  pdfUrl: string | null;
  occurredAt: Date;
}

export async function saveHistory(tx: Transaction, run: SyncRun, line: HistoryLine): Promise<void> {
  const { organizationId } = run.lock;
  const { kind, stripeId, occurredAt, ...rest } = line;
  const amounts = { ...rest, amount: BigInt(line.amount), tax: BigInt(line.tax), syncedAt: run.now };
  await tx.billingHistory.upsert({
    where: { organizationId_kind_stripeId: { organizationId, kind, stripeId } },
    create: { id: newId(run.now), organizationId, kind, stripeId, occurredAt, ...amounts },
    // A purchase keeps the instant at which we first saw it; an invoice moves to the one at which it was paid.
    update: kind === "invoice" ? { ...amounts, occurredAt } : amounts,
  });
}

/** How a line stands that is paid: whether a bank disputes it, and what of it was given back. */
export async function shownStatus(tx: Transaction, status: string, paymentIntentIds: string[]): Promise<string> {
  if (status !== "paid" || paymentIntentIds.length === 0) return status;
  const payments = await tx.stripePayment.findMany({ where: { id: { in: paymentIntentIds } } });
  const sum = (part: "amount" | "refunded" | "disputed" | "lost") =>
    payments.reduce((total, payment) => total + payment[part], 0n);
  if (sum("disputed") > 0n) return "disputed";
  if (sum("lost") > 0n) return "dispute_lost";
  if (sum("refunded") === 0n) return status;
  return sum("refunded") >= sum("amount") ? "refunded" : "partially_refunded";
}

/** The line that an invoice or a checkout has, by Stripe's id of it. */
export interface PaidLineKey {
  kind: "invoice" | "credit_purchase";
  stripeId: string;
}

function findPaidLine(tx: Transaction, run: SyncRun, { kind, stripeId }: PaidLineKey) {
  return tx.billingHistory.findFirst({ where: { organizationId: run.lock.organizationId, kind, stripeId } });
}

/** A line for each credit note of an invoice: what it takes off, or that it was voided. */
export async function saveCreditNotes(
  tx: Transaction,
  run: SyncRun,
  notes: readonly CreditNoteFacts[],
  of: PaidLineKey,
): Promise<void> {
  if (notes.length === 0) return;
  const paidLine = await findPaidLine(tx, run, of);
  for (const note of notes) {
    await saveHistory(tx, run, {
      kind: "credit_note",
      stripeId: note.id,
      status: note.status,
      description: paidLine ? `Credit note for ${paidLine.description}` : "Credit note",
      amount: -note.total,
      tax: -note.tax,
      currency: note.currency,
      number: note.number,
      invoiceUrl: paidLine?.invoiceUrl ?? null,
      pdfUrl: note.pdfUrl,
      occurredAt: note.createdAt,
    });
  }
}

/**
 * A line for each refund, with its share of the tax. What a credit note stands for is told by the credit note's line: a refund
 * that belongs to one has no line for that part, so that the amounts of all lines add up to what was paid.
 */
export async function saveRefunds(
  tx: Transaction,
  run: SyncRun,
  payments: readonly { refunds: readonly RefundFacts[]; currency: string }[],
  notes: readonly CreditNoteFacts[],
  of: PaidLineKey,
): Promise<void> {
  const { organizationId } = run.lock;
  const paidLine = await findPaidLine(tx, run, of);
  const total = Number(paidLine?.amount ?? 0n);
  const tax = Number(paidLine?.tax ?? 0n);
  const ofNotes = notes.filter(({ status }) => status !== "void").flatMap(({ refunds }) => refunds);
  for (const { refunds, currency } of payments) {
    for (const refund of refunds) {
      const covered = ofNotes.filter(({ id }) => id === refund.id).reduce((sum, { amount }) => sum + amount, 0);
      // One that failed is shown whatever it belonged to: its money did not go back.
      const amount = isGiven(refund) ? Math.max(0, refund.amount - covered) : refund.amount;
      if (amount === 0 && covered > 0) {
        await tx.billingHistory.deleteMany({ where: { organizationId, kind: "refund", stripeId: refund.id } });
        continue;
      }
      await saveHistory(tx, run, {
        kind: "refund",
        stripeId: refund.id,
        status: refund.status,
        description: paidLine ? `Refund of ${paidLine.description}` : "Refund",
        amount: -amount,
        tax: total > 0 && tax > 0 ? -Math.round((tax * amount) / total) : 0,
        currency,
        number: null,
        invoiceUrl: paidLine?.invoiceUrl ?? null,
        pdfUrl: null,
        occurredAt: refund.createdAt,
      });
    }
  }
}
