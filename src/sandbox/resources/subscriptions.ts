// /v1/subscriptions

import { declined } from "../engine/invoicing";
import { createSubscription, current, endTrialNow, renew } from "../engine/subscription";
import { changeSubscription, endSubscription, isLive, lastPeriodEnd } from "../engine/subscription-state";
import { updateItems } from "../engine/subscription-update";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Customer, Price, Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";

const DAY = 86_400;
const feedback = p.oneOf(
  "customer_service",
  "low_quality",
  "missing_features",
  "other",
  "switched_service",
  "too_complex",
  "too_expensive",
  "unused",
);
const cancellationDetails = p.object({ comment: p.emptyable(p.string()), feedback: p.emptyable(feedback) });
const trialSettings = p.object({
  end_behavior: p.required(
    p.object({ missing_payment_method: p.required(p.oneOf("cancel", "create_invoice", "pause")) }),
  ),
});
const prorationBehavior = p.oneOf("always_invoice", "create_prorations", "none");
const paymentBehavior = p.oneOf("allow_incomplete", "default_incomplete", "error_if_incomplete");
const paymentSettings = p.object({
  save_default_payment_method: p.oneOf("off", "on_subscription"),
  payment_method_types: p.accepted(),
  payment_method_options: p.accepted(),
});
const trialEnd = p.either(p.oneOf("now"), p.integer());
const cancelAt = p.either(p.oneOf("min_period_end", "max_period_end"), p.integer());

function priceFor(world: World, id: string | undefined, at: string): Price {
  if (!id) throw invalidRequest(`Missing required param: ${at}[price].`, `${at}[price]`, "parameter_missing");
  const price = find(world.prices, "price", id, `${at}[price]`);
  if (!price.recurring) {
    throw invalidRequest(
      "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
      `${at}[price]`,
    );
  }
  if (!price.active) {
    throw invalidRequest("The price specified is inactive. This field only accepts active prices.", `${at}[price]`);
  }
  return price;
}

function ownMethod(world: World, customer: Customer, id: string | undefined): string | null {
  if (!id) return null;
  const method = find(world.paymentMethods, "PaymentMethod", id, "default_payment_method");
  if (method.customer === customer.id) return id;
  throw invalidRequest(
    `The customer does not have a payment method with the ID ${id}. The payment method must be attached to the customer.`,
    "default_payment_method",
    "resource_missing",
  );
}

const createShape = {
  customer: p.required(p.string()),
  items: p.required(
    p.list(p.object({ price: p.string(), quantity: p.integer({ min: 0, max: 999_999 }), metadata: p.metadata() }), {
      max: 20,
    }),
  ),
  automatic_tax: p.accepted(),
  billing_cycle_anchor: p.integer(),
  billing_mode: p.object({ type: p.required(p.oneOf("flexible")), flexible: p.accepted() }),
  cancel_at: cancelAt,
  cancel_at_period_end: p.boolean(),
  collection_method: p.oneOf("charge_automatically"),
  currency: p.string({ max: 3 }),
  default_payment_method: p.string(),
  description: p.string({ max: 500 }),
  metadata: p.metadata(),
  off_session: p.boolean(),
  payment_behavior: paymentBehavior,
  payment_settings: paymentSettings,
  proration_behavior: prorationBehavior,
  trial_end: trialEnd,
  trial_from_plan: p.boolean(),
  trial_period_days: p.integer({ min: 0, max: 730 }),
  trial_settings: trialSettings,
} satisfies p.Shape;

function create(world: World, given: p.Params<typeof createShape>): Subscription {
  const customer = find(world.customers, "customer", given.customer, "customer");
  const items = given.items.map((item, position) => ({
    price: priceFor(world, item.price, `items[${position}]`),
    quantity: item.quantity ?? 1,
    metadata: p.mergeMetadata(null, item.metadata),
  }));
  const first = items[0]?.price;
  if (!first) throw invalidRequest("Missing required param: items.", "items", "parameter_missing");
  const now = world.now();
  const days = given.trial_period_days ?? (given.trial_from_plan ? first.recurring?.trial_period_days : null);
  const behavior = given.payment_behavior ?? "allow_incomplete";
  const cancel = typeof given.cancel_at === "number" ? given.cancel_at : null;
  const { subscription, outcome } = createSubscription(world, {
    customer,
    items,
    currency: (given.currency ?? first.currency).toLowerCase(),
    defaultPaymentMethod: ownMethod(world, customer, given.default_payment_method),
    description: given.description ?? null,
    metadata: p.mergeMetadata(null, given.metadata),
    trialEnd: typeof given.trial_end === "number" ? given.trial_end : days ? now + days * DAY : null,
    billingCycleAnchor: given.billing_cycle_anchor ?? null,
    cancelAt: cancel,
    cancelAtPeriodEnd: given.cancel_at_period_end ?? typeof given.cancel_at === "string",
    missingPaymentMethod: given.trial_settings?.end_behavior.missing_payment_method,
    saveDefaultPaymentMethod: given.payment_settings?.save_default_payment_method,
    firstPayment: behavior === "default_incomplete" ? "later" : "now",
  });
  if (behavior === "error_if_incomplete" && subscription.status === "incomplete") throw incomplete(outcome);
  return subscription;
}

function incomplete(outcome: ReturnType<typeof createSubscription>["outcome"]): Error {
  if (outcome?.kind === "failed") return Object.assign(declined(outcome.failure), { keepsWrites: false });
  return invalidRequest(
    "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
    undefined,
    "resource_missing",
  );
}

const updateShape = {
  items: p.list(
    p.object({
      id: p.string(),
      price: p.string(),
      quantity: p.integer({ min: 0, max: 999_999 }),
      deleted: p.boolean(),
      metadata: p.metadata(),
    }),
    { max: 20 },
  ),
  automatic_tax: p.accepted(),
  billing_cycle_anchor: p.oneOf("now", "unchanged"),
  cancel_at: p.emptyable(cancelAt),
  cancel_at_period_end: p.boolean(),
  cancellation_details: cancellationDetails,
  default_payment_method: p.emptyable(p.string()),
  description: p.emptyable(p.string({ max: 500 })),
  metadata: p.metadata(),
  off_session: p.boolean(),
  payment_behavior: paymentBehavior,
  payment_settings: paymentSettings,
  proration_behavior: prorationBehavior,
  proration_date: p.integer(),
  trial_end: trialEnd,
  trial_settings: trialSettings,
} satisfies p.Shape;

type Update = p.Params<typeof updateShape>;

/** What a change of the agreed end means for the fields that tell of it. */
function endingChanges(world: World, before: Subscription, given: Update): Partial<Subscription> {
  const details = before.cancellation_details ?? { comment: null, feedback: null, feedback_option: null, reason: null };
  const told = given.cancellation_details ? { ...details, ...given.cancellation_details } : details;
  const wanted =
    given.cancel_at_period_end || given.cancel_at === "max_period_end"
      ? lastPeriodEnd(before)
      : given.cancel_at === "min_period_end"
        ? Math.min(...before.items.data.map((item) => item.current_period_end))
        : given.cancel_at;
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
  if (given.cancel_at_period_end === false || given.cancel_at === null) {
    return {
      cancel_at: null,
      cancel_at_period_end: false,
      canceled_at: null,
      cancellation_details: { comment: null, feedback: null, feedback_option: null, reason: null },
    };
  }
  return given.cancellation_details ? { cancellation_details: told } : {};
}

function update(world: World, id: string, given: Update): Subscription {
  const before = find(world.subscriptions, "subscription", id);
  if (!isLive(before)) {
    const harmless = Object.keys(given).every((key) => key === "metadata" || key === "cancellation_details");
    if (!harmless) {
      throw invalidRequest(
        "A canceled subscription can only update its cancellation_details and metadata.",
        undefined,
        "invalid_canceled_subscription_fields",
      );
    }
  }
  const customer = find(world.customers, "customer", before.customer, "customer");
  const changes: Partial<Subscription> = {
    ...endingChanges(world, before, given),
    ...(given.metadata !== undefined && { metadata: p.mergeMetadata(before.metadata, given.metadata) }),
    ...(given.description !== undefined && { description: given.description }),
    ...(given.default_payment_method !== undefined && {
      default_payment_method: ownMethod(world, customer, given.default_payment_method ?? undefined),
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
  };
  if (given.items) {
    const items = given.items.map((item, position) => ({
      ...item,
      price: item.price ? priceFor(world, item.price, `items[${position}]`) : undefined,
    }));
    return updateItems(world, id, items, changes, {
      proration: given.proration_behavior ?? "create_prorations",
      payment: given.payment_behavior ?? "allow_incomplete",
      at: given.proration_date ?? world.now(),
      resetAnchor: given.billing_cycle_anchor === "now",
    });
  }
  if (given.trial_end !== undefined && before.status === "trialing") {
    const end = given.trial_end;
    if (end === "now" || end <= world.now()) return endTrialNow(world, id, changes);
    const data = before.items.data.map((item) => ({ ...item, current_period_end: end }));
    const moved = { trial_end: end, billing_cycle_anchor: end, items: { ...before.items, data } };
    return changeSubscription(world, id, { ...changes, ...moved });
  }
  if (given.billing_cycle_anchor === "now" && before.status !== "trialing") {
    const now = world.now();
    const data = before.items.data.map((item) => ({ ...item, current_period_end: now }));
    renew(world, { ...before, items: { ...before.items, data } }, { ...changes, billing_cycle_anchor: now });
    return current(world, id);
  }
  if (Object.keys(changes).length === 0) return before;
  return changeSubscription(world, id, changes);
}

export const subscriptions: Route[] = [
  route("POST", "/v1/subscriptions", createShape, (world, given) =>
    world.onClockOf(given.customer, () => create(world, given)),
  ),
  route(
    "GET",
    "/v1/subscriptions",
    {
      ...p.pagination,
      collection_method: p.oneOf("charge_automatically", "send_invoice"),
      created: p.range(),
      current_period_end: p.range(),
      current_period_start: p.range(),
      customer: p.string(),
      price: p.string(),
      status: p.oneOf(
        "active",
        "all",
        "canceled",
        "ended",
        "incomplete",
        "incomplete_expired",
        "past_due",
        "paused",
        "trialing",
        "unpaid",
      ),
      test_clock: p.string(),
    },
    (world, given) => {
      const among = given.customer
        ? world.subscriptions.by("customer", given.customer)
        : [...world.subscriptions.values()];
      const ended = (status: string) => status === "canceled" || status === "incomplete_expired";
      const found = among.filter((subscription) => {
        const { status, items, created } = subscription;
        const fits =
          given.status === undefined
            ? status !== "canceled"
            : given.status === "all" || (given.status === "ended" ? ended(status) : status === given.status);
        const { data } = items;
        return (
          fits &&
          (!given.collection_method || subscription.collection_method === given.collection_method) &&
          (!given.created || p.inRange(created, given.created)) &&
          (!given.price || data.some((item) => item.price.id === given.price)) &&
          (given.test_clock || !given.customer ? subscription.test_clock === (given.test_clock ?? null) : true) &&
          data.some(
            (item) =>
              (!given.current_period_end || p.inRange(item.current_period_end, given.current_period_end)) &&
              (!given.current_period_start || p.inRange(item.current_period_start, given.current_period_start)),
          )
        );
      });
      return page(found, "/v1/subscriptions", "subscription", given);
    },
  ),
  route("GET", "/v1/subscriptions/:id", {}, (world, _, [id]) => find(world.subscriptions, "subscription", id)),
  route("POST", "/v1/subscriptions/:id", updateShape, (world, given, [id]) => {
    const { customer } = find(world.subscriptions, "subscription", id);
    return world.onClockOf(customer, () => update(world, id, given));
  }),
  route(
    "DELETE",
    "/v1/subscriptions/:id",
    { cancellation_details: cancellationDetails, invoice_now: p.boolean(), prorate: p.boolean() },
    (world, given, [id]) => {
      const subscription = find(world.subscriptions, "subscription", id);
      if (!isLive(subscription)) {
        throw missingResource("subscription", id);
      }
      return world.onClockOf(subscription.customer, () =>
        endSubscription(world, id, { ...given.cancellation_details, reason: "cancellation_requested" }),
      );
    },
  ),
  route(
    "POST",
    "/v1/subscriptions/:id/resume",
    {
      billing_cycle_anchor: p.oneOf("now", "unchanged"),
      proration_behavior: prorationBehavior,
      proration_date: p.integer(),
    },
    (world, _, [id]) => {
      const subscription = find(world.subscriptions, "subscription", id);
      if (subscription.status !== "paused") throw invalidRequest("Only paused subscriptions can be resumed.");
      return world.onClockOf(subscription.customer, () => {
        const now = world.now();
        const { status_details: __, ...rest } = subscription;
        const data = rest.items.data.map((item) => ({ ...item, current_period_end: now }));
        world.subscriptions.put({ ...rest, items: { ...rest.items, data } });
        renew(world, current(world, id), { billing_cycle_anchor: now, status: "active" });
        const resumed = current(world, id);
        world.events.emit("customer.subscription.resumed", resumed);
        return resumed;
      });
    },
  ),
];
