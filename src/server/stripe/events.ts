// The events that we listen to, each with the object it makes us refetch and why. The endpoint is registered for these.

/**
 * What an event makes us look at again. A refund, a dispute or a charge leads to the payment that it is about, a schedule to its
 * subscription, a payment method or a discount to its customer.
 */
export type SyncTarget =
  | "checkout_session"
  | "subscription"
  | "invoice"
  | "payment_intent"
  | "customer"
  | "credit_note";

interface Listened {
  target: SyncTarget;
  why: string;
}

// Left out, because they tell nothing that these do not: `invoice.created` and `invoice.deleted` (drafts), `invoice.updated` and
// `invoice_payment.paid` (whatever changes the standing of an invoice has an event of its own), `invoice.upcoming` (it names no
// invoice yet), `payment_method.attached` (it pays nothing until it is made a default), `customer.created`,
// `subscription_schedule.expiring`, `charge.succeeded` and `charge.failed` (their payment tells it).
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
  "customer.deleted": {
    target: "customer",
    why: "its subscriptions have ended, and the next checkout makes a new one",
  },
  "customer.updated": { target: "customer", why: "another card pays by default, or the next invoice's tax changed" },
  "customer.discount.created": { target: "customer", why: "the next invoice asks for less" },
  "customer.discount.updated": { target: "customer", why: "the next invoice asks for something else" },
  "customer.discount.deleted": { target: "customer", why: "the next invoice asks for the full price again" },
  "customer.subscription.created": { target: "subscription", why: "access begins, or waits for its first payment" },
  "customer.subscription.updated": { target: "subscription", why: "status, plan, period or end changed" },
  "customer.subscription.deleted": { target: "subscription", why: "access ends" },
  "customer.subscription.paused": { target: "subscription", why: "access rests, or has ended without a card" },
  "customer.subscription.resumed": { target: "subscription", why: "access goes on" },
  "customer.subscription.pending_update_applied": {
    target: "subscription",
    why: "a change that waited for its payment is made",
  },
  "customer.subscription.pending_update_expired": {
    target: "subscription",
    why: "a change was not paid for: it is no longer to come",
  },
  "customer.subscription.trial_will_end": {
    target: "subscription",
    why: "the first payment is near: what it asks for is previewed again",
  },
  "subscription_schedule.created": { target: "subscription", why: "a change is planned" },
  "subscription_schedule.updated": { target: "subscription", why: "another change is planned, or a phase began" },
  "subscription_schedule.released": { target: "subscription", why: "what was planned is called off or done" },
  "subscription_schedule.canceled": { target: "subscription", why: "the plan ended, and the subscription with it" },
  "subscription_schedule.completed": { target: "subscription", why: "the last planned phase is over" },
  "subscription_schedule.aborted": { target: "subscription", why: "a payment failed: nothing more is planned" },
  "invoice.finalized": { target: "invoice", why: "an invoice waits to be paid: it is shown, with its page" },
  "invoice.paid": { target: "invoice", why: "a period is paid: its allowance is granted" },
  "invoice.payment_succeeded": { target: "invoice", why: "the same, for endpoints that only know this one" },
  "invoice.payment_failed": { target: "invoice", why: "the owner must be told, and access may end" },
  "invoice.payment_action_required": { target: "invoice", why: "the owner must confirm a payment with the bank" },
  "invoice.voided": { target: "invoice", why: "nothing is to be paid any more, and nothing is granted" },
  "invoice.marked_uncollectible": { target: "invoice", why: "its payment is given up" },
  "credit_note.created": { target: "credit_note", why: "an invoice is made smaller, or a part of it given back" },
  "credit_note.updated": { target: "credit_note", why: "its refunds changed" },
  "credit_note.voided": { target: "credit_note", why: "the invoice is what it was before" },
  "payment_intent.succeeded": { target: "payment_intent", why: "a payment went through, whatever it was for" },
  "payment_intent.payment_failed": { target: "payment_intent", why: "a payment failed, whatever it was for" },
  "payment_intent.canceled": { target: "payment_intent", why: "a delayed payment was called off" },
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
  "payment_method.detached": { target: "customer", why: "the card that is shown may pay no more" },
  "payment_method.updated": { target: "customer", why: "the card that is shown has another expiry" },
  "payment_method.automatically_updated": {
    target: "customer",
    why: "its bank gave the card another number or expiry",
  },
} as const satisfies Record<string, Listened>;

export type ListenedEvent = keyof typeof LISTENED_EVENTS;

const LISTENED_TYPES = Object.keys(LISTENED_EVENTS) as ListenedEvent[];

// As many types as one call of Stripe's `events.list` takes.
const TYPES_A_CALL = 20;

/** All types that we listen to, in parts that one listing of Stripe's events takes each. */
export const LISTENED_EVENTS_BY_CALL: readonly (readonly ListenedEvent[])[] = Array.from(
  { length: Math.ceil(LISTENED_TYPES.length / TYPES_A_CALL) },
  (_, part) => LISTENED_TYPES.slice(part * TYPES_A_CALL, (part + 1) * TYPES_A_CALL),
);

/** What an event makes us look at; null for one that we do not listen to. */
export function targetOf(type: string): SyncTarget | null {
  return Object.hasOwn(LISTENED_EVENTS, type) ? LISTENED_EVENTS[type as ListenedEvent].target : null;
}
