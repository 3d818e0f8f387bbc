// What Stripe still has of an organization that was deleted here: it is shown, gives no credits, and is ended.
import type { Transaction } from "../../db";
import { enqueue } from "../../db/enqueue";
import type { InvoiceFacts } from "../../stripe/invoice-facts";
import { raiseAlert } from "../alerts";
import type { SyncRun } from "./run";

/** Asks for the end of an organization's subscriptions and checkouts at Stripe, after the commit. */
export function enqueueClosing(tx: Transaction, organizationId: string): Promise<void> {
  return enqueue(tx, "close-organization", { organizationId }, { key: `close-organization:${organizationId}` });
}

/** When the organization was deleted; null where it was not. */
export async function findRemoval(tx: Transaction, organizationId: string): Promise<Date | null> {
  const organization = await tx.organization.findUnique({
    where: { id: organizationId },
    select: { deletedAt: true },
  });
  return organization?.deletedAt ?? null;
}

/** Tells of an invoice that was paid after the organization was deleted, if something was. */
export async function tellOfLateInvoice(
  tx: Transaction,
  run: SyncRun,
  { id: subject, total: amount, currency, paidAt }: Pick<InvoiceFacts, "id" | "total" | "currency" | "paidAt">,
  removedAt: Date,
): Promise<void> {
  if (paidAt === null || paidAt <= removedAt || amount <= 0) return;
  await tellOfLatePayment(tx, run, { subject, amount, currency });
}

/** Tells that somebody paid who has nothing of it any more. @param paid.subject the invoice or the checkout */
export async function tellOfLatePayment(
  tx: Transaction,
  run: SyncRun,
  paid: { subject: string; amount: number; currency: string },
): Promise<void> {
  const { subject, amount, currency } = paid;
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "paid_after_removal" as const,
    subject,
    message: "A payment came for an organization that was deleted. It gave no credits; refund it at Stripe.",
    details: { subject, amount, currency, cause: run.cause },
  };
  await raiseAlert(tx, alert, run.now);
}
