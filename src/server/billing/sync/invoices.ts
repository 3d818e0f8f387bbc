// An invoice: its line of history, and what it pays for.
import { beginsInTrial, isTrialLine, type Trial } from "~/domain/allowance";
import type { Transaction } from "../../db";
import type { SubscriptionFacts } from "../../stripe/facts";
import type { CreditNoteFacts, InvoiceFacts } from "../../stripe/invoice-facts";
import { settlePaidInvoice } from "../allowances";
import type { CataloguePlan } from "../catalogue";
import { saveCreditNotes, saveHistory, shownStatus } from "./history";
import { describeInvoice } from "./invoice-words";
import type { SyncRun } from "./run";
import { isNothingSold } from "./sold";
import { planItemOf } from "./subscriptions";

type Plans = Map<string, CataloguePlan>;

const trialOf = (subscription: SubscriptionFacts | null): Trial | null =>
  subscription?.trialStart && subscription.trialEnd
    ? { start: subscription.trialStart, end: subscription.trialEnd }
    : null;

/** Keeps the line of an invoice, and those of its credit notes. Drafts and the invoice that opens a trial have none. */
export async function saveInvoice(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  notes: readonly CreditNoteFacts[],
  plans: Plans,
  subscription: SubscriptionFacts | null,
): Promise<void> {
  if (invoice.status === "draft" || opensTrial(invoice, plans, trialOf(subscription))) return;
  await saveHistory(tx, run, {
    kind: "invoice",
    stripeId: invoice.id,
    status:
      invoice.status === "open" && invoice.attempted
        ? "failed"
        : await shownStatus(tx, invoice.status, invoice.paymentIntentIds),
    description: describeInvoice(invoice, plans),
    amount: invoice.total,
    tax: invoice.tax,
    currency: invoice.currency,
    number: invoice.number,
    invoiceUrl: invoice.hostedUrl,
    pdfUrl: invoice.pdfUrl,
    occurredAt: invoice.paidAt ?? invoice.createdAt,
  });
  await saveCreditNotes(tx, run, notes, { kind: "invoice", stripeId: invoice.id });
}

/** It asks for nothing and is no receipt. By its lines, for a trial may also begin in the middle of a subscription's life. */
function opensTrial(invoice: InvoiceFacts, plans: Plans, trial: Trial | null): boolean {
  if (invoice.total !== 0 || invoice.lines.some(({ free }) => !free)) return false;
  return invoice.lines.some((line) => {
    const plan = plans.get(line.stripePriceId ?? "");
    if (!plan) return false;
    return line.proration ? beginsInTrial(line, trial) : isTrialLine(line, plan, trial);
  });
}

/** Grants and takes back what a paid invoice of a subscription says. @returns a sentence */
export async function settleInvoice(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  plans: Plans,
  subscription: SubscriptionFacts,
): Promise<string> {
  if (isNothingSold(invoice, planItemOf(subscription.items, plans)?.id ?? null)) {
    return "a credit note has taken the invoice away: nothing is granted";
  }
  const paid = { organizationId: run.lock.organizationId, subscription, invoice, plans };
  return (await settlePaidInvoice(tx, paid, run.now)) ?? `invoice is ${invoice.status}`;
}
