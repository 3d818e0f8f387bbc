// An invoice and its credit notes, in our words.
import type { PaidLine } from "~/domain/allowance";
import type { SoldLine } from "~/domain/sold";
import { idOf, type Stripe, toDate, toDateOrNull } from "./index";
import { listAll } from "./lists";

export interface InvoiceLineFacts extends PaidLine, SoldLine {
  id: string;
  description: string | null;
}

export interface InvoiceFacts {
  id: string;
  customerId: string | null;
  metadataOrganizationId: string | null;
  subscriptionId: string | null;
  status: string;
  /** It opened the subscription. */
  isFirst: boolean;
  attempted: boolean;
  number: string | null;
  /** Minor units, tax included. */
  total: number;
  tax: number;
  /** What was asked for, less what credit notes took off that; and what is still to be paid of it. In minor units. */
  due: number;
  remaining: number;
  /** What credit notes have taken off it, before and after it was paid, in minor units; and before it was paid. */
  credited: number;
  creditedBefore: number;
  currency: string;
  hostedUrl: string | null;
  pdfUrl: string | null;
  createdAt: Date;
  finalizedAt: Date | null;
  /** Until when it is to be paid, where it is sent and not charged. */
  dueAt: Date | null;
  paidAt: Date | null;
  nextAttemptAt: Date | null;
  lines: InvoiceLineFacts[];
  paymentIntentIds: string[];
}

export const INVOICE_EXPAND = ["payments"];

/** Reads an invoice with all of its lines and payments: the first ten come with it, the rest are fetched. */
export async function readInvoice(stripe: Stripe, invoice: Stripe.Invoice): Promise<InvoiceFacts> {
  const lines = invoice.lines.has_more
    ? await listAll((page) => stripe.invoices.listLineItems(invoice.id, page))
    : invoice.lines.data;
  const payments = invoice.payments?.has_more
    ? await listAll((page) => stripe.invoicePayments.list({ invoice: invoice.id, ...page }))
    : (invoice.payments?.data ?? []);
  return {
    id: invoice.id,
    customerId: idOf(invoice.customer),
    metadataOrganizationId: organizationOfInvoice(invoice),
    subscriptionId: idOf(invoice.parent?.subscription_details?.subscription),
    status: invoice.status ?? "draft",
    isFirst: invoice.billing_reason === "subscription_create",
    attempted: invoice.attempt_count > 0,
    number: invoice.number,
    total: invoice.total,
    tax: (invoice.total_taxes ?? []).reduce((sum, tax) => sum + tax.amount, 0),
    due: invoice.amount_due,
    remaining: invoice.amount_remaining,
    credited: invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount,
    creditedBefore: invoice.pre_payment_credit_notes_amount,
    currency: invoice.currency,
    hostedUrl: invoice.hosted_invoice_url ?? null,
    pdfUrl: invoice.invoice_pdf ?? null,
    createdAt: toDate(invoice.created),
    finalizedAt: toDateOrNull(invoice.status_transitions.finalized_at),
    dueAt: toDateOrNull(invoice.due_date),
    paidAt: toDateOrNull(invoice.status_transitions.paid_at),
    nextAttemptAt: toDateOrNull(invoice.next_payment_attempt),
    lines: lines.map(readLine),
    paymentIntentIds: payments.map(({ payment }) => idOf(payment.payment_intent)).filter((id) => id !== null),
  };
}

/** The subscription's invoices but for drafts, oldest first: of an instant and later, or those that wait to be paid. */
export async function listInvoices(
  stripe: Stripe,
  subscriptionId: string,
  which: { since: Date } | { status: "open" },
): Promise<InvoiceFacts[]> {
  const filter =
    "since" in which ? { created: { gte: Math.floor(which.since.getTime() / 1000) } } : { status: which.status };
  const expand = INVOICE_EXPAND.map((path) => `data.${path}`);
  const invoices = await listAll((page) =>
    stripe.invoices.list({ subscription: subscriptionId, ...filter, expand, ...page }),
  );
  const facts: InvoiceFacts[] = [];
  for (const invoice of invoices.reverse()) {
    if (invoice.status !== "draft") facts.push(await readInvoice(stripe, invoice));
  }
  return facts;
}

function readLine(line: Stripe.InvoiceLineItem): InvoiceLineFacts {
  const details = line.parent?.subscription_item_details ?? null;
  const proration = details ?? line.parent?.invoice_item_details ?? null;
  const discount = (line.discount_amounts ?? []).reduce((sum, { amount }) => sum + amount, 0);
  const credits = proration?.proration_details?.credited_items ?? null;
  return {
    id: line.id,
    stripePriceId: idOf(line.pricing?.price_details?.price),
    stripeItemId: details?.subscription_item ?? null,
    proration: proration?.proration ?? false,
    periodStart: toDate(line.period.start),
    periodEnd: toDate(line.period.end),
    amount: line.amount - discount,
    tax: (line.taxes ?? []).reduce((sum, tax) => sum + (tax.tax_behavior === "exclusive" ? tax.amount : 0), 0),
    quantity: line.quantity ?? 1,
    currency: line.currency,
    discounted: discount !== 0 || line.discounts.length > 0,
    givesBack: credits !== null || line.amount < 0,
    free: line.amount === 0,
    description: line.description,
  };
}

function organizationOfInvoice(invoice: Stripe.Invoice): string | null {
  return invoice.parent?.subscription_details?.metadata?.organizationId ?? invoice.metadata?.organizationId ?? null;
}

export interface CreditNoteFacts {
  id: string;
  invoiceId: string;
  status: string;
  number: string;
  /** Minor units, tax included; positive. */
  total: number;
  tax: number;
  currency: string;
  pdfUrl: string;
  createdAt: Date;
  /** What of refunds it stands for, in minor units. */
  refunds: { id: string; amount: number }[];
  /** What of it gave back what was paid, otherwise than by refunds: into the customer's balance, or outside of Stripe. */
  givenBack: number;
}

export function readCreditNote(note: Stripe.CreditNote): CreditNoteFacts {
  const refunds = note.refunds.map(({ refund, amount_refunded: amount }) => ({ id: idOf(refund) ?? "", amount }));
  return {
    id: note.id,
    invoiceId: idOf(note.invoice) ?? "",
    status: note.status,
    number: note.number,
    total: note.total,
    tax: (note.total_taxes ?? []).reduce((sum, tax) => sum + tax.amount, 0),
    currency: note.currency,
    pdfUrl: note.pdf,
    createdAt: toDate(note.created),
    refunds,
    givenBack: Math.max(0, note.post_payment_amount - refunds.reduce((sum, { amount }) => sum + amount, 0)),
  };
}

/** All credit notes of an invoice, voided ones included. */
export async function listCreditNotes(stripe: Stripe, invoiceId: string): Promise<CreditNoteFacts[]> {
  const notes = await listAll((page) => stripe.creditNotes.list({ invoice: invoiceId, ...page }));
  return notes.map(readCreditNote);
}
