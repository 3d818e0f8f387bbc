// What of Stripe's objects we use, in our words. Where a field lives in the current API is known here and nowhere else.
// Invoices and payments have files of their own.

import { targetOf } from "./events";
import { findAtStripe, idOf, type Stripe, toDate, toDateOrNull } from "./index";
import { listAll } from "./lists";
import { DEBITS, findInvoiceOfPayment } from "./payment-facts";

export interface CardFacts {
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
}

export interface SubscriptionFacts {
  id: string;
  customerId: string;
  /** The customer was deleted, and all that it had ended with it. */
  customerDeleted: boolean;
  metadataOrganizationId: string | null;
  status: string;
  cancellationReason: string | null;
  pausedReason: string | null;
  collectionPaused: boolean;
  /** When a pause of collection ends by itself. */
  resumesAt: Date | null;
  items: { id: string; stripePriceId: string; periodStart: Date; periodEnd: Date }[];
  trialStart: Date | null;
  trialEnd: Date | null;
  cancelAt: Date | null;
  cancelAtPeriodEnd: boolean;
  endedAt: Date | null;
  startedAt: Date;
  createdAt: Date;
  card: CardFacts | null;
  latestInvoiceId: string | null;
  schedule: ScheduleFacts | null;
  pendingUpdate: { stripePriceIds: string[]; expiresAt: Date } | null;
}

/** What is planned for a subscription. */
export interface ScheduleFacts {
  id: string;
  /** Phases that have not begun, the next one first. */
  next: { at: Date; stripePriceIds: string[] }[];
  /** When the subscription ends with its last phase; null where it goes on. */
  endsAt: Date | null;
  /** The price of a change at once that takes its place when it is done; null where there is none. */
  replacedBy: string | null;
}

/** The metadata of a schedule that says it. */
export const REPLACED_BY = "replacedBy";

/** Expansions that `readSubscription` relies on. */
export const SUBSCRIPTION_EXPAND = [
  "default_payment_method",
  "customer.invoice_settings.default_payment_method",
  "schedule",
];

export function readSubscription(subscription: Stripe.Subscription): SubscriptionFacts {
  const { customer, pending_update: pending } = subscription;
  const fallback = customersMethod(subscription);
  return {
    id: subscription.id,
    customerId: idOf(customer) ?? "",
    customerDeleted: typeof customer === "object" && customer.deleted === true,
    metadataOrganizationId: subscription.metadata.organizationId ?? null,
    status: subscription.status,
    cancellationReason: subscription.cancellation_details?.reason ?? null,
    pausedReason: pausedReason(subscription),
    collectionPaused: subscription.pause_collection !== null && subscription.pause_collection !== undefined,
    resumesAt: toDateOrNull(subscription.pause_collection?.resumes_at),
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
    createdAt: toDate(subscription.created),
    card: readCard(subscription.default_payment_method) ?? readCard(fallback),
    latestInvoiceId: idOf(subscription.latest_invoice),
    schedule: readSchedule(subscription.schedule),
    pendingUpdate: pending
      ? {
          stripePriceIds: (pending.subscription_items ?? []).map(({ price }) => price.id),
          expiresAt: toDate(pending.expires_at),
        }
      : null,
  };
}

/** The customer's own way to pay, for what has none. */
function customersMethod({ customer }: Stripe.Subscription): string | Stripe.PaymentMethod | null {
  return typeof customer === "object" && !customer.deleted ? customer.invoice_settings.default_payment_method : null;
}

/** Whether Stripe lets a change of a subscription wait until it is paid: not where it sends invoices, or debits a bank account. */
export function canAwaitPayment(subscription: Stripe.Subscription): boolean {
  const method = subscription.default_payment_method ?? customersMethod(subscription);
  const type = method !== null && typeof method === "object" ? method.type : "card";
  return subscription.collection_method === "charge_automatically" && !DEBITS.has(type);
}

function readSchedule(schedule: string | Stripe.SubscriptionSchedule | null): ScheduleFacts | null {
  if (!schedule || typeof schedule === "string") return null;
  if (schedule.status !== "active" && schedule.status !== "not_started") return null;
  const begun = schedule.current_phase?.start_date ?? Number.NEGATIVE_INFINITY;
  const phases = schedule.phases.filter((phase) => phase.start_date > begun);
  const last = schedule.phases.at(-1);
  return {
    id: schedule.id,
    next: phases
      .sort((a, b) => a.start_date - b.start_date)
      .map((phase) => ({
        at: toDate(phase.start_date),
        stripePriceIds: phase.items.map(({ price }) => idOf(price) ?? ""),
      })),
    endsAt: schedule.end_behavior === "cancel" && last ? toDate(last.end_date) : null,
    replacedBy: schedule.metadata?.[REPLACED_BY] ?? null,
  };
}

/** Whether the change that takes the place of the subscription's schedule is done: what was planned is over. */
export function isReplaced({ schedule, items, pendingUpdate }: SubscriptionFacts): boolean {
  if (!schedule?.replacedBy || pendingUpdate !== null) return false;
  return items.some(({ stripePriceId }) => stripePriceId === schedule.replacedBy);
}

function pausedReason(subscription: Stripe.Subscription): string | null {
  return subscription.status_details?.paused?.subscription?.type ?? null;
}

function readCard(method: string | Stripe.PaymentMethod | null): CardFacts | null {
  if (!method || typeof method === "string" || !method.card) return null;
  const { brand, last4, exp_month, exp_year } = method.card;
  return { brand, last4, expMonth: exp_month, expYear: exp_year };
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
  lines: SessionLineFacts[];
  /** Minor units, tax included. */
  total: number;
  tax: number;
  currency: string;
  invoice: {
    id: string;
    credited: number;
    number: string | null;
    hostedUrl: string | null;
    pdfUrl: string | null;
  } | null;
  createdAt: Date;
}

export interface SessionLineFacts {
  id: string;
  stripePriceId: string | null;
  quantity: number;
  description: string | null;
}

export const SESSION_EXPAND = ["line_items", "payment_intent", "invoice"];

/** Reads a session with all of its lines: the first ten come with it, the rest are fetched. */
export async function readSession(stripe: Stripe, session: Stripe.Checkout.Session): Promise<SessionFacts> {
  const lines = session.line_items?.has_more
    ? await listAll((page) => stripe.checkout.sessions.listLineItems(session.id, page))
    : (session.line_items?.data ?? []);
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
    lines: lines.map(({ id, price, quantity, description }) => ({
      id,
      stripePriceId: idOf(price),
      quantity: quantity ?? 1,
      description,
    })),
    total: session.amount_total ?? 0,
    tax: session.total_details?.amount_tax ?? 0,
    currency: session.currency ?? "usd",
    invoice: invoice
      ? {
          id: invoice.id,
          credited: invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount,
          number: invoice.number,
          hostedUrl: invoice.hosted_invoice_url ?? null,
          pdfUrl: invoice.invoice_pdf ?? null,
        }
      : null,
    createdAt: toDate(session.created),
  };
}

/** What an event's payload hints at: whose it may be. Only a hint: everything is read again from Stripe. */
export interface EventHint {
  /** What to look at, as the event's target says: a schedule's subscription, a payment method's customer, else the object itself. */
  objectId: string | null;
  customerId: string | null;
  organizationId: string | null;
  /** Everything that the object is or belongs to, by which we may know whose it is. */
  objectIds: string[];
  /** The payment that a charge, a refund or a dispute is about, and its charge. */
  paymentIntentId: string | null;
  chargeId: string | null;
}

type Reference = string | { id: string } | null | undefined;

export function readHint(event: Stripe.Event): EventHint {
  const object = event.data.object as unknown as {
    id?: string;
    object?: string;
    customer?: Reference;
    subscription?: Reference;
    released_subscription?: string | null;
    invoice?: Reference;
    payment_intent?: Reference;
    charge?: Reference;
    metadata?: Record<string, string> | null;
    parent?: {
      subscription_details?: { subscription?: Reference; metadata?: Record<string, string> | null } | null;
    } | null;
  };
  // A card that was detached has no customer any more: the event says whose it was.
  const before = event.data.previous_attributes as { customer?: Reference } | undefined;
  const id = object.id ?? null;
  const customerId = object.object === "customer" ? id : (idOf(object.customer) ?? idOf(before?.customer));
  const subscriptionId =
    idOf(object.subscription) ??
    object.released_subscription ??
    idOf(object.parent?.subscription_details?.subscription);
  const target = targetOf(event.type);
  const objectId =
    target === "customer"
      ? customerId
      : target === "subscription" && object.object !== "subscription"
        ? subscriptionId
        : id;
  return {
    objectId,
    customerId,
    organizationId:
      object.parent?.subscription_details?.metadata?.organizationId ?? object.metadata?.organizationId ?? null,
    objectIds: [id, subscriptionId, idOf(object.invoice), idOf(object.payment_intent)].filter((each) => each !== null),
    paymentIntentId: object.object === "payment_intent" ? id : idOf(object.payment_intent),
    chargeId: object.object === "charge" ? id : idOf(object.charge),
  };
}

export interface PaymentLead extends Pick<EventHint, "customerId" | "organizationId" | "objectIds"> {
  objectId: string;
  /** Asks for the payment's invoice: what may lead to whose it is where nothing else does. */
  findInvoice: () => Promise<string | null>;
}

/** Whose a payment is, read from Stripe: a refund or a dispute does not say it. Null where there is no such payment. */
export async function findPaymentOwner(
  stripe: Stripe,
  hint: Pick<EventHint, "paymentIntentId" | "chargeId">,
): Promise<PaymentLead | null> {
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
    objectIds: [id],
    findInvoice: () => findInvoiceOfPayment(stripe, id),
  };
}
