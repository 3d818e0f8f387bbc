// What an overdue payment of a subscription means and when: days of grace, then spending stops. No IO, no clock.
import type { SubscriptionStatus } from "./subscription";

const DAY_MS = 86_400_000;

/** What of a subscription decides it. */
export interface PaymentStanding {
  status: SubscriptionStatus;
  /** Since when a payment is overdue; null while none is. */
  pastDueSince: Date | null;
  /** Days of the plan until spending stops; null where it never does. */
  graceDays: number | null;
}

export interface Overdue {
  since: Date;
  /** From when on nothing can be spent; null for never. */
  graceUntil: Date | null;
}

/**
 * The payment that is overdue, while it still can be paid to keep the subscription; null where none is. Once the subscription has
 * ended nothing is overdue any more: what it gave is gone with its periods, Stripe goes on asking for the invoice or gives it
 * up, and credits that were bought apart from it were paid for and stay the organization's to spend.
 */
export function overdueOf({ status, pastDueSince, graceDays }: PaymentStanding): Overdue | null {
  if (status !== "past_due" || pastDueSince === null) return null;
  return { since: pastDueSince, graceUntil: graceUntil(pastDueSince, graceDays) };
}

function graceUntil(since: Date, graceDays: number | null): Date | null {
  return graceDays === null ? null : new Date(since.getTime() + graceDays * DAY_MS);
}

/** Whether spending has stopped. From the instant on: at `graceUntil` it has. */
export function isBlocked({ graceUntil }: Overdue, at: Date): boolean {
  return graceUntil !== null && at >= graceUntil;
}

/** What the organization's people are told by mail, each once for each time that a payment is overdue. */
export const PAYMENT_NOTICES = ["payment_failed", "block_tomorrow", "blocked"] as const;
export type PaymentNotice = (typeof PAYMENT_NOTICES)[number];

/** What is to be told at an instant: the latest of what has happened, so that nobody is told old news with it. */
export function noticeAt(overdue: Overdue, at: Date): PaymentNotice {
  const { graceUntil } = overdue;
  if (isBlocked(overdue, at)) return "blocked";
  if (graceUntil !== null && at.getTime() >= graceUntil.getTime() - DAY_MS) return "block_tomorrow";
  return "payment_failed";
}

const TRIAL_NOTICE_DAYS = 3;

/** Whether the end of a trial is to be told of: three days before it, to whom it will cost something. */
export function isTrialEnding(
  trial: { status: SubscriptionStatus; trialEnd: Date | null; cancelsAt: Date | null },
  at: Date,
): boolean {
  const { status, trialEnd, cancelsAt } = trial;
  if (status !== "trial" || trialEnd === null || cancelsAt !== null) return false;
  return at < trialEnd && at.getTime() >= trialEnd.getTime() - TRIAL_NOTICE_DAYS * DAY_MS;
}
