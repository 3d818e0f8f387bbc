// An invoice: its line of history, and the periods that it pays for.
import { paidPeriods } from "~/domain/allowance";
import type { Transaction } from "../../db";
import type { InvoiceFacts, SubscriptionFacts } from "../../stripe/facts";
import { entitle } from "../allowances";
import type { CataloguePlan } from "../catalogue";
import { saveHistory, shownStatus } from "./history";
import type { SyncRun } from "./run";

export async function saveInvoice(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  plans: Map<string, CataloguePlan>,
  subscription: SubscriptionFacts | null,
): Promise<string | null> {
  if (invoice.status === "draft") return null;
  const trial =
    subscription?.trialStart && subscription.trialEnd
      ? { start: subscription.trialStart, end: subscription.trialEnd }
      : null;
  const periods = paidPeriods(invoice.lines, (price) => plans.has(price), trial);
  // The invoice that opens a trial asks for nothing and is no receipt.
  const opensTrial = invoice.total === 0 && periods.length > 0 && periods.every((period) => period.trial);
  const plan = invoice.lines.map((line) => plans.get(line.stripePriceId ?? "")).find((known) => known !== undefined);
  if (!opensTrial) {
    await saveHistory(tx, run, {
      kind: "invoice",
      stripeId: invoice.id,
      status:
        invoice.status === "open" && invoice.attempted
          ? "failed"
          : await shownStatus(tx, invoice.status, invoice.paymentIntentIds),
      description: plan ? `${plan.planName}, ${plan.interval === "year" ? "yearly" : "monthly"}` : "Invoice",
      amount: invoice.total,
      tax: invoice.tax,
      currency: invoice.currency,
      number: invoice.number,
      invoiceUrl: invoice.hostedUrl,
      pdfUrl: invoice.pdfUrl,
      occurredAt: invoice.paidAt ?? invoice.createdAt,
    });
  }
  if (invoice.status !== "paid") return `invoice is ${invoice.status}`;
  let granted = 0;
  for (const period of periods) {
    const known = plans.get(period.stripePriceId);
    if (!known || !subscription) continue;
    granted += await entitle(tx, run.lock.organizationId, subscription.id, known, period, invoice.id, run.now);
  }
  return granted > 0 ? `granted ${granted} credits for the paid period` : "its allowance was granted before";
}
