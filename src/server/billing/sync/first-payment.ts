// The first payment of a subscription that a bank refuses after days: Stripe voids its invoice and leaves the subscription active.
import { isEnded, isLive, statusFromStripe } from "~/domain/subscription";
import type { Transaction } from "../../db";
import type { SubscriptionFacts } from "../../stripe/facts";
import type { InvoiceFacts } from "../../stripe/invoice-facts";
import { resolveAlert } from "../alerts";
import { tellOfFailedStart } from "../dunning";
import type { SyncRun } from "./run";

/**
 * Tells that nobody has paid for a subscription that runs all the same, until one of its invoices is paid or it is overdue or over.
 * @param invoices those that the look has come across
 */
export async function tellOfFirstPayment(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  invoices: readonly InvoiceFacts[],
): Promise<void> {
  const { organizationId } = run.lock;
  const status = statusFromStripe(facts);
  if (status === null) return;
  const isPaid = invoices.some((invoice) => invoice.status === "paid" && invoice.total > 0);
  if (isPaid || status === "past_due" || isEnded(status)) {
    await resolveAlert(tx, organizationId, "first_payment_failed", facts.id, run.now);
    return;
  }
  const failed = invoices.find((invoice) => invoice.isFirst && invoice.status === "void" && invoice.attempted);
  if (failed && isLive(status))
    await tellOfFailedStart(tx, organizationId, { id: facts.id, invoiceId: failed.id }, run.now);
}
