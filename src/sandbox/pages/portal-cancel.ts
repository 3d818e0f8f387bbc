// The portal's pages about the end of a plan.
import { releaseSchedule } from "../engine/schedule";
import { cancelSubscription } from "../engine/subscription-apply";
import { changeSubscription, lastPeriodEnd } from "../engine/subscription-state";
import type { Subscription } from "../types";
import { html } from "./html";
import { formatDate, type PageAnswer, page, seeOther } from "./layout";
import { type Door, done, wayBack } from "./portal-door";

export function cancelPage(door: Door, subscription: Subscription): PageAnswer {
  const { features, path } = door;
  const now = features.subscription_cancel.mode === "immediately";
  const reasons = features.subscription_cancel.cancellation_reason;
  const label = (text: string) => text.replaceAll("_", " ");
  return page({
    title: "Cancel plan",
    narrow: true,
    body: html`<h1>Cancel your plan</h1>
<p>${now ? "Your plan ends at once." : `Your plan stays yours until ${formatDate(lastPeriodEnd(subscription))}, then it ends.`}</p>
<form method="post" action="${path}/cancel/${subscription.id}">
${reasons.enabled && reasons.options.length > 0 && html`<div class="field"><label for="feedback">Why do you cancel?</label><select id="feedback" name="feedback"><option value="">No answer</option>${reasons.options.map((option) => html`<option value="${option}">${label(option)}</option>`)}</select></div>`}
<div class="row"><button class="primary" type="submit">Cancel plan</button>${wayBack(door)}</div></form>`,
  });
}

export function cancel(door: Door, subscription: Subscription, form: URLSearchParams): PageAnswer {
  const { world, features } = door;
  const { mode, proration_behavior: proration, cancellation_reason: reasons } = features.subscription_cancel;
  type Feedback = NonNullable<NonNullable<Subscription["cancellation_details"]>["feedback"]>;
  const chosen = reasons.enabled ? reasons.options.find((option) => option === form.get("feedback")) : undefined;
  const details = {
    comment: null,
    feedback: (chosen as Feedback | undefined) ?? null,
    feedback_option: null,
    reason: "cancellation_requested" as const,
  };
  return world.store.transaction(() => {
    if (mode === "immediately") {
      const rules = { prorate: proration !== "none", invoiceNow: proration === "always_invoice" };
      cancelSubscription(world, subscription.id, rules, details);
      return done(door);
    }
    const schedule = subscription.schedule ? world.schedules.get(subscription.schedule) : undefined;
    if (schedule) releaseSchedule(world, schedule, false);
    // With flexible billing the portal sets the instant and leaves `cancel_at_period_end` alone.
    changeSubscription(world, subscription.id, {
      cancel_at: lastPeriodEnd(subscription),
      canceled_at: world.now(),
      cancellation_details: details,
    });
    return done(door);
  });
}

/** Takes an agreed end back. */
export function renew({ world, path }: Door, subscription: Subscription): PageAnswer {
  const none = { comment: null, feedback: null, feedback_option: null, reason: null };
  const changes = { cancel_at: null, cancel_at_period_end: false, canceled_at: null, cancellation_details: none };
  world.store.transaction(() => changeSubscription(world, subscription.id, changes));
  return seeOther(path);
}
