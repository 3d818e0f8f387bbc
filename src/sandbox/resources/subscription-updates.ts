// POST /v1/subscriptions/:id: what may be changed, and how the changes that cost something go together with the others.

import { replaceDiscounts } from "../engine/discounts";
import { syncPhase } from "../engine/schedule";
import { type PaymentBehavior, updateSubscription } from "../engine/subscription-apply";
import { planCollection } from "../engine/subscription-pause";
import { changeSubscription, isLive, lastPeriodEnd } from "../engine/subscription-state";
import { invalidRequest } from "../errors";
import * as p from "../params";
import type { Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { automaticTax, discountList, taxSetting } from "./money-params";
import {
  anchorChange,
  cancelAt,
  cancellationDetails,
  changesOf,
  checkCollection,
  checkPending,
  checkProrationDate,
  itemChanges,
  ownMethod,
  paymentBehavior,
  prorationBehavior,
  trialEnd,
} from "./subscription-params";
import { ratesBehind } from "./tax-rates";

export const trialSettings = p.object({
  end_behavior: p.required(
    p.object({ missing_payment_method: p.required(p.oneOf("cancel", "create_invoice", "pause")) }),
  ),
});
export const paymentSettings = p.object({
  save_default_payment_method: p.oneOf("off", "on_subscription"),
  payment_method_types: p.accepted(),
  payment_method_options: p.accepted(),
});

export const updateShape = {
  items: itemChanges,
  automatic_tax: automaticTax,
  billing_cycle_anchor: anchorChange,
  cancel_at: p.emptyable(cancelAt),
  cancel_at_period_end: p.boolean(),
  cancellation_details: cancellationDetails,
  collection_method: p.oneOf("charge_automatically", "send_invoice"),
  days_until_due: p.integer({ min: 0, max: 3650 }),
  default_payment_method: p.emptyable(p.string()),
  default_tax_rates: p.emptyable(p.list(p.string())),
  description: p.emptyable(p.string({ max: 500 })),
  discounts: discountList,
  metadata: p.metadata(),
  off_session: p.boolean(),
  pause_collection: p.emptyable(
    p.object({
      behavior: p.required(p.oneOf("keep_as_draft", "mark_uncollectible", "void")),
      resumes_at: p.integer(),
    }),
  ),
  payment_behavior: paymentBehavior,
  payment_settings: paymentSettings,
  proration_behavior: prorationBehavior,
  proration_date: p.integer(),
  trial_end: trialEnd,
  trial_settings: trialSettings,
} satisfies p.Shape;

type Update = p.Params<typeof updateShape>;

/** The instant that `cancel_at` means; null takes an agreed end back, undefined leaves it. */
export function endOf(
  subscription: Subscription,
  given: Pick<Update, "cancel_at" | "cancel_at_period_end">,
): number | null | undefined {
  const ends = subscription.items.data.map((item) => item.current_period_end);
  if (given.cancel_at_period_end || given.cancel_at === "max_period_end") return lastPeriodEnd(subscription);
  if (given.cancel_at === "min_period_end") return Math.min(...ends);
  if (given.cancel_at !== undefined) return given.cancel_at;
  return given.cancel_at_period_end === false && subscription.cancel_at !== null ? null : undefined;
}

/** What a change of the agreed end means for the fields that tell of it. */
function endingChanges(world: World, before: Subscription, given: Update): Partial<Subscription> {
  const details = before.cancellation_details ?? { comment: null, feedback: null, feedback_option: null, reason: null };
  const told = given.cancellation_details ? { ...details, ...given.cancellation_details } : details;
  const wanted = endOf(before, given);
  if (typeof wanted === "number") {
    if (wanted <= world.now())
      throw invalidRequest("The subscription's `cancel_at` must be in the future.", "cancel_at");
    return {
      cancel_at: wanted,
      cancel_at_period_end: given.cancel_at_period_end ?? false,
      canceled_at: world.now(),
      cancellation_details: { ...told, reason: "cancellation_requested" },
    };
  }
  if (wanted === null || given.cancel_at_period_end === false) {
    return {
      cancel_at: null,
      cancel_at_period_end: false,
      canceled_at: null,
      cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    };
  }
  return given.cancellation_details ? { cancellation_details: told } : {};
}

const FREE_WHILE_INCOMPLETE = new Set(["metadata", "default_payment_method", "cancellation_details", "description"]);

function checkStatus(before: Subscription, given: Update): void {
  const keys = Object.keys(given);
  if (!isLive(before) && keys.some((key) => key !== "metadata" && key !== "cancellation_details")) {
    throw invalidRequest(
      "A canceled subscription can only update its cancellation_details and metadata.",
      undefined,
      "invalid_canceled_subscription_fields",
    );
  }
  const ends = given.cancel_at !== undefined || given.cancel_at_period_end !== undefined;
  if (before.schedule && ends) {
    throw invalidRequest(
      `The subscription is managed by the subscription schedule \`${before.schedule}\`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.`,
    );
  }
  if (before.status === "incomplete" && given.items && keys.some((key) => !FREE_WHILE_INCOMPLETE.has(key))) {
    throw invalidRequest(
      "This subscription cannot be updated: it is incomplete until its first invoice is paid.",
      undefined,
      "subscription_payment_intent_requires_action",
    );
  }
}

/** The changes that cost nothing. */
function quietChanges(world: World, before: Subscription, given: Update): Partial<Subscription> {
  const customer = find(world.customers, "customer", before.customer, "customer");
  const { pause_collection: pause } = given;
  if (pause?.resumes_at !== undefined && pause.resumes_at <= world.now()) {
    throw invalidRequest("`resumes_at` must be in the future.", "pause_collection[resumes_at]");
  }
  const method = given.collection_method ?? before.collection_method;
  const days = method === "send_invoice" ? (given.days_until_due ?? before.days_until_due) : given.days_until_due;
  checkCollection(method, days);
  return {
    ...((given.collection_method || given.days_until_due !== undefined) && {
      collection_method: method,
      days_until_due: days ?? null,
    }),
    ...endingChanges(world, before, given),
    ...(given.metadata !== undefined && { metadata: p.mergeMetadata(before.metadata, given.metadata) }),
    ...(given.description !== undefined && { description: given.description }),
    ...(given.default_payment_method !== undefined && {
      default_payment_method: ownMethod(world, customer, given.default_payment_method ?? undefined),
    }),
    ...(given.discounts !== undefined && {
      discounts: replaceDiscounts(world, before, given.discounts ?? []),
    }),
    ...(given.automatic_tax && { automatic_tax: taxSetting(customer, given.automatic_tax.enabled) }),
    ...(given.default_tax_rates !== undefined && {
      default_tax_rates: ratesBehind(world, given.default_tax_rates, "default_tax_rates"),
    }),
    ...(given.trial_settings && {
      trial_settings: { end_behavior: { billing_cycle_anchor: null, ...given.trial_settings.end_behavior } },
    }),
    ...(given.payment_settings?.save_default_payment_method && {
      payment_settings: {
        payment_method_options: null,
        payment_method_types: null,
        save_default_payment_method: given.payment_settings.save_default_payment_method,
      },
    }),
    ...(pause !== undefined && {
      pause_collection: pause && { behavior: pause.behavior, resumes_at: pause.resumes_at ?? null },
    }),
  };
}

/** Applies an update of a subscription. */
export function update(world: World, id: string, given: Update): Subscription {
  const before = find(world.subscriptions, "subscription", id);
  checkStatus(before, given);
  checkPending(given);
  checkProrationDate(given.proration_date, given.proration_behavior);
  const { automatic_tax: tax, default_tax_rates: rates, discounts, ...changes } = quietChanges(world, before, given);
  const money = { ...(tax && { automatic_tax: tax }), ...(rates && { default_tax_rates: rates }) };
  const priced = { ...money, ...(discounts && { discounts }) };
  // What the change itself is charged follows the discounts and the tax that come with it.
  if (Object.keys(priced).length > 0) changeSubscription(world, id, priced);
  const resetAnchor = given.billing_cycle_anchor?.type === "now" && before.status !== "trialing";
  const cancelsAt = endOf(before, given);
  const shifts = cancelsAt !== undefined && before.status !== "trialing";
  if (given.items || given.trial_end !== undefined || resetAnchor || shifts) {
    updateSubscription(
      world,
      id,
      {
        items: changesOf(world, given.items),
        proration: given.proration_behavior ?? "create_prorations",
        at: given.proration_date ?? world.now(),
        resetAnchor,
        trialEnd: given.trial_end,
        ...(shifts && { cancelAt: cancelsAt }),
      },
      changes,
      (given.payment_behavior ?? "allow_incomplete") as PaymentBehavior,
    );
  } else if (Object.keys(changes).length > 0) {
    changeSubscription(world, id, changes);
  }
  const after = find(world.subscriptions, "subscription", id);
  if (given.pause_collection !== undefined) planCollection(world, after);
  if (given.items) syncPhase(world, after);
  return after;
}
