// The events that we listen to, each with the object it makes us refetch and why. The endpoint is registered for these.

/** What an event makes us look at again. */
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
} as const satisfies Record<string, Listened>;

export type ListenedEvent = keyof typeof LISTENED_EVENTS;

/** What an event makes us look at; null for one that we do not listen to. */
export function targetOf(type: string): SyncTarget | null {
  return Object.hasOwn(LISTENED_EVENTS, type) ? LISTENED_EVENTS[type as ListenedEvent].target : null;
}
