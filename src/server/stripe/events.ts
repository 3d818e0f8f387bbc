// The events that we listen to, each with the object it makes us refetch and why. The endpoint is registered for these.

/** What an event makes us look at again. A refund, a dispute or a charge leads to the payment that it is about. */
export type SyncTarget = "checkout_session" | "subscription" | "invoice" | "payment_intent";

interface Listened {
  target: SyncTarget;
  why: string;
}

export const LISTENED_EVENTS = {
  "checkout.session.completed": { target: "checkout_session", why: "somebody subscribed or bought credits" },
  "checkout.session.async_payment_succeeded": {
    target: "checkout_session",
    why: "a delayed payment arrived: credits may be granted",
  },
  "checkout.session.async_payment_failed": {
    target: "checkout_session",
    why: "a delayed payment failed: the purchase is closed",
  },
  "checkout.session.expired": { target: "checkout_session", why: "nobody paid: the purchase is closed" },
  "customer.subscription.created": { target: "subscription", why: "access begins, or waits for its first payment" },
  "customer.subscription.updated": { target: "subscription", why: "status, plan, period or end changed" },
  "customer.subscription.deleted": { target: "subscription", why: "access ends" },
  "invoice.paid": { target: "invoice", why: "a period is paid: its allowance is granted" },
  "invoice.payment_succeeded": { target: "invoice", why: "the same, for endpoints that only know this one" },
  "invoice.payment_failed": { target: "invoice", why: "the owner must be told, and access may end" },
  "payment_intent.succeeded": { target: "payment_intent", why: "a payment went through, whatever it was for" },
  "payment_intent.payment_failed": { target: "payment_intent", why: "a payment failed, whatever it was for" },
  "charge.refunded": { target: "payment_intent", why: "money went back: the credits that it bought go too" },
  "refund.created": { target: "payment_intent", why: "the same, told of the refund itself" },
  "refund.updated": { target: "payment_intent", why: "a refund arrived, failed or was canceled" },
  "refund.failed": { target: "payment_intent", why: "the money did not go back: the credits return" },
  "charge.refund.updated": { target: "payment_intent", why: "the same, for endpoints that only know this one" },
  "charge.dispute.created": { target: "payment_intent", why: "a bank took the money back for now: credits are frozen" },
  "charge.dispute.updated": { target: "payment_intent", why: "an inquiry may have become a dispute" },
  "charge.dispute.funds_withdrawn": { target: "payment_intent", why: "the money of a dispute is gone for now" },
  "charge.dispute.funds_reinstated": { target: "payment_intent", why: "the money of a dispute is back" },
  "charge.dispute.closed": { target: "payment_intent", why: "a dispute is won or lost: credits are freed or taken" },
} as const satisfies Record<string, Listened>;

export type ListenedEvent = keyof typeof LISTENED_EVENTS;

/** What an event makes us look at; null for one that we do not listen to. */
export function targetOf(type: string): SyncTarget | null {
  return Object.hasOwn(LISTENED_EVENTS, type) ? LISTENED_EVENTS[type as ListenedEvent].target : null;
}
