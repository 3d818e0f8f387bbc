// An invoice: its line of history, and what it pays for.
import { beginsInTrial, isTrialLine, type Trial } from "~/domain/allowance";
import type { Transaction } from "../../db";
import type { SubscriptionFacts } from "../../stripe/facts";
import type { CreditNoteFacts, InvoiceFacts } from "../../stripe/invoice-facts";
import { raiseAlert, resolveAlert } from "../alerts";
import { settlePaidInvoice } from "../allowances";
import { allAsOf, type CataloguePlan, planItemOf } from "../catalogue";
import { saveCreditNotes, saveHistory, shownStatus } from "./history";
import { describeInvoice } from "./invoice-words";
import { quarantined, type SyncResult, type SyncRun, told } from "./run";
import { isNothingSold } from "./sold";

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

/** Grants and takes back what a paid invoice of a subscription says, by what its plans gave when it was made. */
export async function settleInvoice(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  plans: Plans,
  subscription: SubscriptionFacts,
): Promise<SyncResult> {
  if (isNothingSold(invoice, planItemOf(subscription.items, plans)?.id ?? null)) {
    return told("a credit note has taken the invoice away: nothing is granted");
  }
  const sold = allAsOf(plans, invoice.createdAt);
  const paid = { organizationId: run.lock.organizationId, subscription, invoice, plans: sold };
  const settled = await settlePaidInvoice(tx, paid, run.now);
  if (!settled) return told(`invoice is ${invoice.status}`);
  const { sentence, unknownPrices } = settled;
  if (unknownPrices.length > 0) {
    await tellOfUnknownPrices(tx, run, invoice, unknownPrices);
    return quarantined(`${sentence}; a change is at a price that we do not know; an alert is open`);
  }
  if (invoice.lines.some(({ proration }) => proration)) {
    await resolveAlert(tx, run.lock.organizationId, "unknown_price", invoice.id, run.now);
  }
  return told(sentence);
}

async function tellOfUnknownPrices(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  prices: readonly string[],
): Promise<void> {
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "unknown_price" as const,
    subject: invoice.id,
    message:
      "A paid invoice changes a plan to or from a price that is not in the catalogue. The change gives and takes no credits until its price is there.",
    details: { invoice: invoice.id, subscription: invoice.subscriptionId, prices, cause: run.cause },
  };
  await raiseAlert(tx, alert, run.now);
}
