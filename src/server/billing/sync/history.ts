// The lines of history that mirror Stripe: one for each object, with how it stands last.
import type { Transaction } from "../../db";
import { newId } from "../../db/keys";
import type { SyncRun } from "./run";

export interface HistoryLine {
  kind: "invoice" | "credit_purchase" | "refund";
  stripeId: string;
  status: string;
  description: string;
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

/** What is paid may be disputed: its line says so. */
export async function shownStatus(tx: Transaction, status: string, paymentIntentIds: string[]): Promise<string> {
  if (status !== "paid" || paymentIntentIds.length === 0) return status;
  const payments = await tx.stripePayment.findMany({ where: { id: { in: paymentIntentIds } } });
  if (payments.some((payment) => payment.disputed > 0n)) return "disputed";
  return payments.some((payment) => payment.lost > 0n) ? "dispute_lost" : status;
}
