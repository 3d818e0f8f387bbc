// What of a subscription waits to be paid, and since when a payment is overdue.
import { statusFromStripe } from "~/domain/subscription";
import { type Stripe, toDate } from "../../stripe";
import type { SubscriptionFacts } from "../../stripe/facts";
import { type InvoiceFacts, listInvoices } from "../../stripe/invoice-facts";
import { listAll } from "../../stripe/lists";
import { DEBITS } from "../../stripe/payment-facts";

export interface OpenInvoice {
  id: string;
  /** What is still to be paid of it, in minor units. */
  amount: number;
  currency: string;
  url: string | null;
  nextAttemptAt: string | null;
}

/** What our row says of it so far. */
export interface KnownDebt {
  openInvoice: OpenInvoice | null;
  pastDueSince: Date | null;
}

/** Stripe's statuses in which an invoice of any age may wait to be paid. */
const UNPAID = new Set(["past_due", "unpaid", "incomplete"]);
/** Those in which nothing is asked for any more. */
const OVER = new Set(["canceled", "incomplete_expired"]);

/**
 * The invoices that wait to be paid, oldest first.
 * @param current those of the current period
 */
export async function listOpenInvoices(
  stripe: Stripe,
  facts: SubscriptionFacts,
  current: readonly InvoiceFacts[],
  known: KnownDebt | null,
): Promise<InvoiceFacts[]> {
  if (OVER.has(facts.status)) return [];
  const mayOwe = UNPAID.has(facts.status) || known?.openInvoice || current.some(({ status }) => status === "open");
  return mayOwe ? listInvoices(stripe, facts.id, { status: "open" }) : [];
}

/** The one of several that is overdue first: what a bank is still deciding about, or is not due yet, comes after it. */
function firstOverdue(open: readonly InvoiceFacts[]): InvoiceFacts | null {
  return open.find(({ attempted }) => attempted) ?? open[0] ?? null;
}

export function describeOpen(open: readonly InvoiceFacts[]): OpenInvoice | null {
  const first = firstOverdue(open);
  if (!first) return null;
  const { id, remaining, currency, hostedUrl, nextAttemptAt } = first;
  return { id, amount: remaining, currency, url: hostedUrl, nextAttemptAt: nextAttemptAt?.toISOString() ?? null };
}

/**
 * When the first payment failed of what is overdue, by Stripe's data; null where nothing is. Of a debit it is when we heard of it:
 * Stripe's charge says only when its bank was asked.
 */
export async function findOverdueSince(
  stripe: Stripe,
  facts: SubscriptionFacts,
  open: readonly InvoiceFacts[],
  known: KnownDebt | null,
  now: Date,
): Promise<Date | null> {
  if (statusFromStripe(facts) !== "past_due") return null;
  const overdue = firstOverdue(open);
  // Its invoice was voided or given up, and nothing else is open.
  if (!overdue) return known?.pastDueSince ?? facts.items[0]?.periodStart ?? facts.startedAt;
  const heard = (known?.openInvoice?.id === overdue.id ? known.pastDueSince : null) ?? now;
  const failures: Date[] = [];
  for (const id of overdue.paymentIntentIds) {
    const charges = await listAll((page) => stripe.charges.list({ payment_intent: id, ...page }));
    for (const { status, created, payment_method_details: method } of charges) {
      if (status === "failed") failures.push(DEBITS.has(method?.type ?? "") ? heard : toDate(created));
    }
  }
  // Without a card nothing is charged: then it failed when it was due, which is at once where it is not sent.
  const due = overdue.dueAt ?? overdue.finalizedAt ?? overdue.createdAt;
  return failures.sort((a, b) => a.getTime() - b.getTime())[0] ?? due;
}
