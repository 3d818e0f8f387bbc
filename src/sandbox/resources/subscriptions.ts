// /v1/subscriptions: beginning, reading, ending. What an update does is in subscription-updates.ts.

import { removeDiscounts } from "../engine/discounts";
import { createSubscription } from "../engine/subscription";
import { cancelSubscription, incomplete } from "../engine/subscription-apply";
import { pauseSubscription, resumeSubscription } from "../engine/subscription-pause";
import { isLive } from "../engine/subscription-state";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { amountOf } from "../money";
import * as p from "../params";
import type { Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { automaticTax, discountList, readDiscounts, requireTaxLocation } from "./money-params";
import { search } from "./search";
import {
  anchorChange,
  cancelAt,
  cancellationDetails,
  checkCollection,
  itemShape,
  newItemsOf,
  ownMethod,
  prorationBehavior,
  trialEnd,
} from "./subscription-params";
import { paymentSettings, trialSettings, update, updateShape } from "./subscription-updates";
import { ratesBehind } from "./tax-rates";

const DAY = 86_400;

const createShape = {
  customer: p.required(p.string()),
  items: p.required(p.list(p.object(itemShape), { max: 20 })),
  automatic_tax: automaticTax,
  billing_cycle_anchor: p.integer(),
  billing_mode: p.object({ type: p.required(p.oneOf("flexible")), flexible: p.accepted() }),
  cancel_at: cancelAt,
  cancel_at_period_end: p.boolean(),
  collection_method: p.oneOf("charge_automatically", "send_invoice"),
  days_until_due: p.integer({ min: 0, max: 3650 }),
  currency: p.string({ max: 3 }),
  default_payment_method: p.string(),
  default_tax_rates: p.emptyable(p.list(p.string())),
  description: p.string({ max: 500 }),
  discounts: discountList,
  metadata: p.metadata(),
  off_session: p.boolean(),
  payment_behavior: p.oneOf("allow_incomplete", "default_incomplete", "error_if_incomplete"),
  payment_settings: paymentSettings,
  proration_behavior: prorationBehavior,
  trial_end: trialEnd,
  trial_from_plan: p.boolean(),
  trial_period_days: p.integer({ min: 0, max: 730 }),
  trial_settings: trialSettings,
} satisfies p.Shape;

function create(world: World, given: p.Params<typeof createShape>): Subscription {
  const customer = find(world.customers, "customer", given.customer, "customer");
  const items = newItemsOf(world, given.items);
  const first = items[0]?.price;
  if (!first) throw invalidRequest("Missing required param: items.", "items", "parameter_missing");
  const now = world.now();
  const days = given.trial_period_days ?? (given.trial_from_plan ? first.recurring?.trial_period_days : null);
  const behavior = given.payment_behavior ?? "allow_incomplete";
  const cancel = typeof given.cancel_at === "number" ? given.cancel_at : null;
  const currency = (given.currency ?? first.currency).toLowerCase();
  checkCollection(given.collection_method, given.days_until_due);
  requireTaxLocation(customer, given.automatic_tax?.enabled);
  const { subscription, outcome } = createSubscription(world, {
    customer,
    items,
    currency,
    discounts: readDiscounts(world, given.discounts, {
      customer: customer.id,
      currency,
      subtotal: items.reduce((sum, item) => sum + amountOf(item.price, currency, item.quantity), 0),
    }),
    automaticTax: given.automatic_tax?.enabled,
    defaultTaxRates: ratesBehind(world, given.default_tax_rates, "default_tax_rates"),
    defaultPaymentMethod: ownMethod(world, customer, given.default_payment_method),
    description: given.description ?? null,
    metadata: p.mergeMetadata(null, given.metadata),
    trialEnd: typeof given.trial_end === "number" ? given.trial_end : days ? now + days * DAY : null,
    billingCycleAnchor: given.billing_cycle_anchor ?? null,
    cancelAt: cancel,
    proration: given.proration_behavior,
    daysUntilDue: given.days_until_due,
    cancelAtPeriodEnd: given.cancel_at_period_end ?? typeof given.cancel_at === "string",
    missingPaymentMethod: given.trial_settings?.end_behavior.missing_payment_method,
    saveDefaultPaymentMethod: given.payment_settings?.save_default_payment_method,
    firstPayment: behavior === "default_incomplete" ? "later" : "now",
  });
  if (behavior === "error_if_incomplete" && subscription.status === "incomplete") throw incomplete(outcome);
  return subscription;
}

export const subscriptions: Route[] = [
  route("DELETE", "/v1/subscriptions/:id/discount", {}, (world, _, [id]) => {
    const { customer, discounts } = find(world.subscriptions, "subscription", id);
    const discount = world.discounts.get(discounts[0] ?? "");
    if (!discount) {
      throw invalidRequest(`No active discount for subscription: ${id}`, undefined, "resource_missing");
    }
    world.onClockOf(customer, () => removeDiscounts(world, id, discounts));
    const { end: _end, ...rest } = discount;
    return { ...rest, deleted: true };
  }),
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
  route(
    "GET",
    "/v1/subscriptions/search",
    { query: p.required(p.string()), limit: p.integer({ min: 1, max: 100 }), page: p.string() },
    (world, given) => search(world.subscriptions, "/v1/subscriptions/search", given),
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
      const rules = { prorate: given.prorate ?? false, invoiceNow: given.invoice_now ?? false };
      return world.onClockOf(subscription.customer, () =>
        cancelSubscription(world, id, rules, { ...given.cancellation_details, reason: "cancellation_requested" }),
      );
    },
  ),
  route(
    "POST",
    "/v1/subscriptions/:id/pause",
    {
      type: p.oneOf("subscription"),
      invoicing_behavior: p.oneOf("invoice", "pending_invoice_item"),
      bill_for: p.object({
        outstanding_usage_through: p.object({ type: p.required(p.oneOf("none", "now")) }),
        unused_time_from: p.object({ type: p.required(p.oneOf("item_current_period_start", "none", "now")) }),
      }),
    },
    (world, given, [id]) => {
      const subscription = find(world.subscriptions, "subscription", id);
      return world.onClockOf(subscription.customer, () =>
        pauseSubscription(world, subscription, {
          unusedFrom: given.bill_for?.unused_time_from?.type ?? "now",
          invoicing: given.invoicing_behavior ?? "pending_invoice_item",
        }),
      );
    },
  ),
  route(
    "POST",
    "/v1/subscriptions/:id/resume",
    {
      billing_cycle_anchor: anchorChange,
      payment_behavior: p.oneOf("resume_on_payment_attempt", "resume_on_payment_success"),
      proration_behavior: prorationBehavior,
      proration_date: p.integer(),
    },
    (world, given, [id]) => {
      const subscription = find(world.subscriptions, "subscription", id);
      return world.onClockOf(subscription.customer, () =>
        resumeSubscription(world, subscription, {
          anchor: given.billing_cycle_anchor?.type ?? "now",
          proration: given.proration_behavior ?? "create_prorations",
          at: given.proration_date ?? world.now(),
          payment: given.payment_behavior ?? "resume_on_payment_attempt",
        }),
      );
    },
  ),
];
