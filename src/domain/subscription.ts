// What a subscription's states mean, how Stripe's become ours, and which changes are expected. No IO, no clock.

export const SUBSCRIPTION_STATUSES = [
  "pending",
  "trial",
  "active",
  "past_due",
  "paused",
  "cancelled",
  "expired",
] as const;
export type SubscriptionStatus = (typeof SUBSCRIPTION_STATUSES)[number];

/** Live: it gives access, or will again without a new checkout. At most one per organization. */
export const LIVE_STATUSES = ["trial", "active", "past_due", "paused"] as const satisfies readonly SubscriptionStatus[];

export function isLive(status: SubscriptionStatus): boolean {
  return (LIVE_STATUSES as readonly SubscriptionStatus[]).includes(status);
}

export function isEnded(status: SubscriptionStatus): boolean {
  return status === "cancelled" || status === "expired";
}

/** What of a Stripe subscription decides our status. Strings, because Stripe's enumerations are open. */
export interface StripeSubscriptionFacts {
  status: string;
  /** `cancellation_details.reason` */
  cancellationReason: string | null;
  /** `status_details.paused.subscription.type` */
  pausedReason: string | null;
  /** `pause_collection` is set: paused on request, while Stripe's own status stays active. */
  collectionPaused: boolean;
}

/** Our status for Stripe's; null for one never heard of: the caller keeps what it had and alerts. */
export function statusFromStripe(facts: StripeSubscriptionFacts): SubscriptionStatus | null {
  switch (facts.status) {
    case "trialing":
      return facts.collectionPaused ? "paused" : "trial";
    case "active":
      return facts.collectionPaused ? "paused" : "active";
    case "past_due":
      return "past_due";
    case "incomplete":
      return "pending";
    case "incomplete_expired":
    case "unpaid":
      return "expired";
    case "canceled":
      return facts.cancellationReason === "payment_failed" || facts.cancellationReason === "payment_disputed"
        ? "expired"
        : "cancelled";
    case "paused":
      return facts.pausedReason === null || facts.pausedReason === "pause_requested" ? "paused" : "expired";
    default:
      return null;
  }
}

/**
 * The changes that are expected. Another one is still followed, because Stripe is the truth, but it raises an alert.
 * An `unpaid` subscription (ours: expired) comes back to life when its invoice is paid, hence expired → active.
 */
const TRANSITIONS: Record<SubscriptionStatus, readonly SubscriptionStatus[]> = {
  pending: ["trial", "active", "past_due", "cancelled", "expired"],
  trial: ["active", "past_due", "paused", "cancelled", "expired"],
  active: ["past_due", "paused", "cancelled", "expired", "trial"],
  past_due: ["active", "paused", "cancelled", "expired"],
  paused: ["active", "trial", "past_due", "cancelled", "expired"],
  cancelled: [],
  expired: ["active", "past_due", "cancelled"],
};

export function isExpectedTransition(from: SubscriptionStatus, to: SubscriptionStatus): boolean {
  return from === to || TRANSITIONS[from].includes(to);
}

/** The table of transitions, for the diagram in the README and the test that compares them. */
export function transitions(): [SubscriptionStatus, SubscriptionStatus][] {
  return SUBSCRIPTION_STATUSES.flatMap((from) =>
    TRANSITIONS[from].map((to): [SubscriptionStatus, SubscriptionStatus] => [from, to]),
  );
}

/** When a subscription ends by itself: Stripe says it in one of two ways, by how it was cancelled. */
export function cancelsAt(facts: {
  cancelAt: Date | null;
  cancelAtPeriodEnd: boolean;
  currentPeriodEnd: Date;
}): Date | null {
  if (facts.cancelAt !== null) return facts.cancelAt;
  return facts.cancelAtPeriodEnd ? facts.currentPeriodEnd : null;
}

/** Why somebody cancels, as Stripe counts it: in the app and in its portal. */
export const CANCEL_REASONS = [
  "too_expensive",
  "missing_features",
  "switched_service",
  "unused",
  "customer_service",
  "too_complex",
  "low_quality",
  "other",
] as const;
export type CancelReason = (typeof CANCEL_REASONS)[number];
