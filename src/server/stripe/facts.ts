// What of Stripe's objects we use, in our words. Where a field lives in the current API is known here and nowhere else.
import type { PaidLine } from "~/domain/allowance";
import type { PaymentTruth } from "~/domain/claims";
import { callStripe, expectPage, findAtStripe, idOf, type Stripe, toDate, toDateOrNull } from "./index";

export interface CardFacts {
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
}

export interface SubscriptionFacts {
  id: string;
  customerId: string;
  metadataOrganizationId: string | null;
  status: string;
  cancellationReason: string | null;
  pausedReason: string | null;
  collectionPaused: boolean;
  items: { id: string; stripePriceId: string; periodStart: Date; periodEnd: Date }[];
  trialStart: Date | null;
  trialEnd: Date | null;
  cancelAt: Date | null;
  cancelAtPeriodEnd: boolean;
  endedAt: Date | null;
  startedAt: Date;
  card: CardFacts | null;
  latestInvoiceId: string | null;
}

/** Expansions that `readSubscription` relies on. */
export const SUBSCRIPTION_EXPAND = ["default_payment_method", "customer.invoice_settings.default_payment_method"];

export function readSubscription(subscription: Stripe.Subscription): SubscriptionFacts {
  const { customer } = subscription;
  const fallback =
    typeof customer === "object" && !customer.deleted ? customer.invoice_settings.default_payment_method : null;
  return {
    id: subscription.id,
    customerId: idOf(customer) ?? "",
    metadataOrganizationId: subscription.metadata.organizationId ?? null,
    status: subscription.status,
    cancellationReason: subscription.cancellation_details?.reason ?? null,
    pausedReason: pausedReason(subscription),
    collectionPaused: subscription.pause_collection !== null && subscription.pause_collection !== undefined,
    items: subscription.items.data.map((item) => ({
      id: item.id,
      stripePriceId: item.price.id,
      periodStart: toDate(item.current_period_start),
      periodEnd: toDate(item.current_period_end),
    })),
    trialStart: toDateOrNull(subscription.trial_start),
    trialEnd: toDateOrNull(subscription.trial_end),
    cancelAt: toDateOrNull(subscription.cancel_at),
    cancelAtPeriodEnd: subscription.cancel_at_period_end,
    endedAt: toDateOrNull(subscription.ended_at),
    startedAt: toDate(subscription.start_date),
    card: readCard(subscription.default_payment_method) ?? readCard(fallback),
    latestInvoiceId: idOf(subscription.latest_invoice),
  };
}

function pausedReason(subscription: Stripe.Subscription): string | null {
  return subscription.status_details?.paused?.subscription?.type ?? null;
}

function readCard(method: string | Stripe.PaymentMethod | null): CardFacts | null {
  if (!method || typeof method === "string" || !method.card) return null;
  const { brand, last4, exp_month, exp_year } = method.card;
  return { brand, last4, expMonth: exp_month, expYear: exp_year };
}

export interface InvoiceFacts {
  id: string;
  customerId: string | null;
  metadataOrganizationId: string | null;
  subscriptionId: string | null;
  status: string;
  attempted: boolean;
  number: string | null;
  /** Minor units, tax included. */
  total: number;
  tax: number;
  currency: string;
  hostedUrl: string | null;
  pdfUrl: string | null;
  createdAt: Date;
  paidAt: Date | null;
  lines: PaidLine[];
  paymentIntentIds: string[];
}

export const INVOICE_EXPAND = ["payments"];

/** Reads an invoice with all of its lines: the first ten come with it, the rest are fetched. */
export async function readInvoice(stripe: Stripe, invoice: Stripe.Invoice): Promise<InvoiceFacts> {
  const lines = invoice.lines.has_more ? await allLines(stripe, invoice.id) : invoice.lines.data;
  return {
    id: invoice.id,
    customerId: idOf(invoice.customer),
    metadataOrganizationId: organizationOfInvoice(invoice),
    subscriptionId: idOf(invoice.parent?.subscription_details?.subscription),
    status: invoice.status ?? "draft",
    attempted: invoice.attempt_count > 0,
    number: invoice.number,
    total: invoice.total,
    tax: (invoice.total_taxes ?? []).reduce((sum, tax) => sum + tax.amount, 0),
    currency: invoice.currency,
    hostedUrl: invoice.hosted_invoice_url ?? null,
    pdfUrl: invoice.invoice_pdf ?? null,
    createdAt: toDate(invoice.created),
    paidAt: toDateOrNull(invoice.status_transitions.paid_at),
    lines: lines.map(readLine),
    paymentIntentIds: (invoice.payments?.data ?? [])
      .map((payment) => idOf(payment.payment.payment_intent))
      .filter((id) => id !== null),
  };
}

async function allLines(stripe: Stripe, invoiceId: string): Promise<Stripe.InvoiceLineItem[]> {
  const lines: Stripe.InvoiceLineItem[] = [];
  for await (const line of stripe.invoices.listLineItems(invoiceId, { limit: 100 })) lines.push(line);
  return lines;
}

function readLine(line: Stripe.InvoiceLineItem): PaidLine {
  const details = line.parent?.subscription_item_details ?? null;
  return {
    stripePriceId: idOf(line.pricing?.price_details?.price),
    stripeItemId: details?.subscription_item ?? null,
    proration: details?.proration ?? false,
    periodStart: toDate(line.period.start),
    periodEnd: toDate(line.period.end),
  };
}

function organizationOfInvoice(invoice: Stripe.Invoice): string | null {
  return invoice.parent?.subscription_details?.metadata?.organizationId ?? invoice.metadata?.organizationId ?? null;
}

export interface SessionFacts {
  id: string;
  customerId: string | null;
  metadataOrganizationId: string | null;
  mode: string;
  status: string | null;
  paymentStatus: string;
  subscriptionId: string | null;
  paymentIntentId: string | null;
  paymentIntentStatus: string | null;
  stripePriceIds: string[];
  /** Minor units, tax included. */
  total: number;
  tax: number;
  currency: string;
  invoice: { number: string | null; hostedUrl: string | null; pdfUrl: string | null } | null;
  createdAt: Date;
}

export const SESSION_EXPAND = ["line_items", "payment_intent", "invoice"];

export function readSession(session: Stripe.Checkout.Session): SessionFacts {
  const intent = typeof session.payment_intent === "object" ? session.payment_intent : null;
  const invoice = typeof session.invoice === "object" ? session.invoice : null;
  return {
    id: session.id,
    customerId: idOf(session.customer),
    metadataOrganizationId: session.metadata?.organizationId ?? null,
    mode: session.mode,
    status: session.status,
    paymentStatus: session.payment_status,
    subscriptionId: idOf(session.subscription),
    paymentIntentId: idOf(session.payment_intent),
    paymentIntentStatus: intent?.status ?? null,
    stripePriceIds: (session.line_items?.data ?? []).map((item) => idOf(item.price)).filter((id) => id !== null),
    total: session.amount_total ?? 0,
    tax: session.total_details?.amount_tax ?? 0,
    currency: session.currency ?? "usd",
    invoice: invoice
      ? {
          number: invoice.number,
          hostedUrl: invoice.hosted_invoice_url ?? null,
          pdfUrl: invoice.invoice_pdf ?? null,
        }
      : null,
    createdAt: toDate(session.created),
  };
}

export interface RefundFacts {
  id: string;
  /** Minor units. */
  amount: number;
  status: string;
  reason: string | null;
  createdAt: Date;
}

export interface DisputeFacts {
  id: string;
  /** Minor units; more than what was left of the payment where the bank wants it so. */
  amount: number;
  /** `open`: the money is withdrawn and nothing is decided. `none`: an inquiry, or won: the money is here. */
  standing: "open" | "lost" | "none";
  /** In Stripe's words. */
  status: string;
  reason: string;
  /** Until when evidence is taken. */
  dueBy: Date | null;
  createdAt: Date;
}

export interface PaymentFacts {
  id: string;
  customerId: string | null;
  metadataOrganizationId: string | null;
  currency: string;
  /** Null while nothing is paid. */
  truth: PaymentTruth | null;
  /** Newest first, as the disputes. */
  refunds: RefundFacts[];
  disputes: DisputeFacts[];
}

/** A payment with everything that was taken back of it; null where Stripe does not have it. */
export async function fetchPayment(stripe: Stripe, paymentIntentId: string): Promise<PaymentFacts | null> {
  const intent = await findAtStripe("payment_intent", () =>
    stripe.paymentIntents.retrieve(paymentIntentId, { expand: ["latest_charge"] }),
  );
  if (!intent) return null;
  const charge = typeof intent.latest_charge === "object" ? intent.latest_charge : null;
  const paid = charge?.status === "succeeded" ? charge.amount_captured : 0;
  const refunds: RefundFacts[] = [];
  const disputes: DisputeFacts[] = [];
  if (paid > 0) {
    const about = { payment_intent: intent.id, limit: 100 };
    refunds.push(...(await listAll((page) => stripe.refunds.list({ ...about, ...page }))).map(readRefund));
    disputes.push(...(await listAll((page) => stripe.disputes.list({ ...about, ...page }))).map(readDispute));
  }
  return {
    id: intent.id,
    customerId: idOf(intent.customer),
    metadataOrganizationId: intent.metadata.organizationId ?? null,
    currency: intent.currency,
    truth: paid > 0 ? truthOf(paid, refunds, disputes) : null,
    refunds,
    disputes,
  };
}

async function listAll<T extends { id: string }>(
  list: (page: { starting_after?: string }) => Promise<{ data: T[]; has_more: boolean }>,
): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = await callStripe(() => list(last ? { starting_after: last.id } : {}));
    all.push(...expectPage(page));
    if (!page.has_more) return all;
  }
}

// Not the charge's own sum: that one may still count a refund that has failed.
function truthOf(amount: number, refunds: RefundFacts[], disputes: DisputeFacts[]): PaymentTruth {
  const sum = (parts: { amount: number }[]) =>
    Math.min(
      amount,
      parts.reduce((total, part) => total + part.amount, 0),
    );
  return {
    amount,
    refunded: sum(refunds.filter(isGiven)),
    disputed: sum(disputes.filter((dispute) => dispute.standing === "open")),
    lost: sum(disputes.filter((dispute) => dispute.standing === "lost")),
  };
}

/** Whether a refund's money is at the customer or on its way there. */
export function isGiven(refund: RefundFacts): boolean {
  return refund.status !== "failed" && refund.status !== "canceled";
}

function readRefund(refund: Stripe.Refund): RefundFacts {
  return {
    id: refund.id,
    amount: refund.amount,
    status: refund.status ?? "pending",
    reason: refund.reason,
    createdAt: toDate(refund.created),
  };
}

function readDispute(dispute: Stripe.Dispute): DisputeFacts {
  return {
    id: dispute.id,
    amount: dispute.amount,
    standing: standingOf(dispute),
    status: dispute.status,
    reason: dispute.reason,
    dueBy: toDateOrNull(dispute.evidence_details.due_by),
    createdAt: toDate(dispute.created),
  };
}

const OPEN_DISPUTES = new Set<string>([
  "needs_response",
  "under_review",
  "appeal_needs_response",
  "appeal_under_review",
]);

function standingOf({ status, balance_transactions }: Stripe.Dispute): DisputeFacts["standing"] {
  if (status === "won" || status.startsWith("warning_")) return "none";
  if (status === "lost") return "lost";
  if (OPEN_DISPUTES.has(status)) return "open";
  // Prevented ones, and what Stripe may name one day: where the money went decides.
  const moved = balance_transactions.reduce((sum, movement) => sum + movement.amount, 0);
  if (moved >= 0) return "none";
  return status === "prevented" ? "lost" : "open";
}

/** What an event's payload hints at: whose it may be. Only a hint: everything is read again from Stripe. */
export interface EventHint {
  objectId: string | null;
  customerId: string | null;
  organizationId: string | null;
  /** The payment that a charge, a refund or a dispute is about, and its charge. */
  paymentIntentId: string | null;
  chargeId: string | null;
}

export function readHint(event: Stripe.Event): EventHint {
  const object = event.data.object as unknown as {
    id?: string;
    object?: string;
    customer?: string | { id: string } | null;
    payment_intent?: string | { id: string } | null;
    charge?: string | { id: string } | null;
    metadata?: Record<string, string> | null;
    parent?: { subscription_details?: { metadata?: Record<string, string> | null } | null } | null;
  };
  return {
    objectId: object.id ?? null,
    customerId: idOf(object.customer),
    organizationId:
      object.parent?.subscription_details?.metadata?.organizationId ?? object.metadata?.organizationId ?? null,
    paymentIntentId: object.object === "payment_intent" ? (object.id ?? null) : idOf(object.payment_intent),
    chargeId: object.object === "charge" ? (object.id ?? null) : idOf(object.charge),
  };
}

/** Whose a payment is, read from Stripe: a refund or a dispute does not say it. Null where there is no such payment. */
export async function findPaymentOwner(
  stripe: Stripe,
  hint: Pick<EventHint, "paymentIntentId" | "chargeId">,
): Promise<{ objectId: string; customerId: string | null; organizationId: string | null } | null> {
  const { chargeId } = hint;
  let { paymentIntentId } = hint;
  if (paymentIntentId === null && chargeId !== null) {
    const charge = await findAtStripe("charge", () => stripe.charges.retrieve(chargeId));
    paymentIntentId = idOf(charge?.payment_intent);
  }
  if (paymentIntentId === null) return null;
  const id = paymentIntentId;
  const intent = await findAtStripe("payment_intent", () => stripe.paymentIntents.retrieve(id));
  if (!intent) return null;
  return {
    objectId: id,
    customerId: idOf(intent.customer),
    organizationId: intent.metadata.organizationId ?? null,
  };
}
