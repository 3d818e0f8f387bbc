// Ending a subscription and pausing it, and taking both back.
import { BillingError } from "~/domain/errors";
import type { CancelReason } from "~/domain/subscription";
import { asOrganization } from "../db";
import { expectObject, type Stripe, toDate } from "../stripe";
import { act, type Doer } from "./actions";
import {
  endOf,
  fingerprintOf,
  noSubscription,
  pendingInvoiceOf,
  readAgain,
  requireLive,
  requireRenewing,
  requireSettled,
  synchronize,
  update,
} from "./live-subscription";
import { withdrawPending } from "./plan-changes";
import { releaseSchedule } from "./schedules";

export interface Cancellation {
  at: "period_end" | "now";
  reason: CancelReason | null;
  comment: string | null;
}

/**
 * Cancels the subscription. At once nothing is paid back and what was paid stays until its expiry; at the end of the period it
 * can be undone until then. A change that was scheduled, or waits for its payment, is dropped.
 * @returns when it ends
 * @throws BillingError NO_SUBSCRIPTION, STRIPE_UNAVAILABLE
 */
export function cancelSubscription(doer: Doer, cancellation: Cancellation): Promise<{ endsAt: Date }> {
  return act(doer, async (action) => {
    const live = await requireLive(action).catch((error) => {
      if (cancellation.at === "now" && error instanceof BillingError && error.code === "NO_SUBSCRIPTION") return null;
      throw error;
    });
    // A second click, or a retry of one whose answer was lost.
    if (live === null) return { endsAt: await endedAt(doer.organizationId) };
    const { stripe: subscription } = live;
    await withdrawPending(action, subscription);
    await releaseSchedule(action, subscription);
    const { at, reason, comment } = cancellation;
    const details = {
      ...(reason === null ? {} : { feedback: reason }),
      ...(comment === null ? {} : { comment }),
    };
    const given = Object.keys(details).length > 0 ? { cancellation_details: details } : {};
    let endsAt: Date;
    if (at === "now") {
      const ended = await action.bringAbout(subscription, {
        name: "cancel",
        about: fingerprintOf,
        isDone: (state) => state.status === "canceled",
        send: async (stripe, options) =>
          expectObject(
            "subscription",
            await stripe.subscriptions.cancel(
              subscription.id,
              { ...given, invoice_now: false, prorate: false },
              options,
            ),
          ),
        read: () => readAgain(action, subscription.id),
      });
      endsAt = toDate(ended.ended_at ?? Math.floor(action.now.getTime() / 1000));
    } else {
      const after = await update(action, subscription, {
        name: "cancel",
        params: { cancel_at_period_end: true, ...given },
        isDone: endsByItself,
      });
      endsAt = endOf({ ...live, stripe: after }) ?? live.currentPeriodEnd;
    }
    await action.record({
      name: `cancel.${at}`,
      subject: subscription.id,
      message: at === "now" ? "The subscription was cancelled at once." : "The subscription was cancelled.",
      details: { reason, comment },
    });
    await synchronize(action, subscription.id);
    return { endsAt };
  });
}

/**
 * Lets a subscription that was cancelled renew after all. Nothing happens where it does.
 * @throws BillingError NO_SUBSCRIPTION when it has ended, STRIPE_UNAVAILABLE
 */
export function undoCancel(doer: Doer): Promise<{ renewsAt: Date }> {
  return act(doer, async (action) => {
    const live = await requireLive(action);
    if (endsByItself(live.stripe)) {
      // Stripe refuses both at once: it says the end in one of two ways, and takes it back in the same.
      const params = live.stripe.cancel_at_period_end ? { cancel_at_period_end: false } : { cancel_at: "" as const };
      await update(action, live.stripe, { name: "uncancel", params, isDone: (state) => !endsByItself(state) });
      const message = "The cancellation was taken back.";
      await action.record({ name: "cancel.undone", subject: live.stripe.id, message });
    }
    await synchronize(action, live.stripe.id);
    return { renewsAt: live.currentPeriodEnd };
  });
}

/** When the last subscription ended. @throws BillingError NO_SUBSCRIPTION where there never was one */
async function endedAt(organizationId: string): Promise<Date> {
  const row = await asOrganization(organizationId, (tx) =>
    tx.organizationSubscription.findFirst({
      where: { organizationId, endedAt: { not: null } },
      orderBy: { endedAt: "desc" },
      select: { endedAt: true },
    }),
  );
  if (!row?.endedAt) throw noSubscription();
  return row.endedAt;
}

// Stripe takes any instant; a pause of years is a cancellation.
const LONGEST_PAUSE_MS = 366 * 86_400_000;

/**
 * Pauses the payments, and with them the credits that they give: invoices that fall due meanwhile are void.
 * @param until when it resumes by itself; null for not by itself
 * @throws BillingError NO_SUBSCRIPTION, PAYMENT_OVERDUE, WRONG_STATE (cancelled, or a payment is awaited), INVALID_INPUT,
 *   STRIPE_UNAVAILABLE
 */
export function pauseSubscription(doer: Doer, until: Date | null): Promise<{ resumesAt: Date | null }> {
  if (until !== null && (until <= doer.now || until.getTime() - doer.now.getTime() > LONGEST_PAUSE_MS)) {
    throw new BillingError("INVALID_INPUT", "A pause ends within a year, and not in the past.", { until });
  }
  return act(doer, async (action) => {
    const live = await requireLive(action);
    requireSettled(live);
    requireRenewing(live);
    if (pendingInvoiceOf(live.stripe)) {
      throw new BillingError("WRONG_STATE", "A change waits for its payment. Pay it or take it back first.", {
        status: live.status,
      });
    }
    const resumes = until === null ? null : Math.floor(until.getTime() / 1000);
    const pause: Stripe.SubscriptionUpdateParams.PauseCollection = {
      behavior: "void",
      ...(resumes === null ? {} : { resumes_at: resumes }),
    };
    await update(action, live.stripe, {
      name: "pause",
      params: { pause_collection: pause },
      isDone: ({ pause_collection: paused }) =>
        paused !== null && paused.behavior === "void" && paused.resumes_at === resumes,
    });
    const message = "The subscription was paused.";
    await action.record({
      name: "pause",
      subject: live.stripe.id,
      message,
      details: { until: until?.toISOString() ?? null },
    });
    await synchronize(action, live.stripe.id);
    return { resumesAt: resumes === null ? null : toDate(resumes) };
  });
}

/** Ends a pause. Nothing happens where none is. @throws BillingError NO_SUBSCRIPTION, STRIPE_UNAVAILABLE */
export function resumeSubscription(doer: Doer): Promise<{ renewsAt: Date }> {
  return act(doer, async (action) => {
    const live = await requireLive(action);
    if (live.stripe.pause_collection !== null) {
      await update(action, live.stripe, {
        name: "resume",
        params: { pause_collection: "" },
        isDone: ({ pause_collection }) => pause_collection === null,
      });
      await action.record({ name: "resume", subject: live.stripe.id, message: "The subscription was resumed." });
    }
    await synchronize(action, live.stripe.id);
    return { renewsAt: live.currentPeriodEnd };
  });
}

function endsByItself({ cancel_at, cancel_at_period_end }: Stripe.Subscription): boolean {
  return cancel_at !== null || cancel_at_period_end;
}
