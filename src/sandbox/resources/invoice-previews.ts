// POST /v1/invoices/create_preview: what the next invoice would be, as things are or after a change.
import { previewInvoice, previewSchedule, previewSubscription } from "../engine/preview";
import type { NewSubscription } from "../engine/subscription";
import type { Change } from "../engine/subscription-update";
import { invalidRequest } from "../errors";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Customer, Invoice, Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import {
  anchorChange,
  cancelAt,
  changesOf,
  checkProrationDate,
  itemChanges,
  newItemsOf,
  prorationBehavior,
  trialEnd,
} from "./subscription-params";
import { endOf } from "./subscription-updates";

const details = {
  billing_cycle_anchor: anchorChange,
  billing_mode: p.accepted(),
  cancel_at: p.emptyable(cancelAt),
  cancel_at_period_end: p.boolean(),
  cancel_now: p.boolean(),
  items: itemChanges,
  metadata: p.metadata(),
  proration_behavior: prorationBehavior,
  proration_date: p.integer(),
  resume_at: p.oneOf("now"),
  start_date: p.integer(),
  trial_end: trialEnd,
} satisfies p.Shape;

type Details = p.Params<typeof details>;

const PATH = "subscription_details";

function changeOf(world: World, subscription: Subscription, given: Details): Change | null {
  const trialing = subscription.status === "trialing";
  const resetAnchor = given.billing_cycle_anchor?.type === "now" && !trialing;
  const end = endOf(subscription, given);
  const shifts = end !== undefined && !trialing;
  const keeps = !given.items && given.trial_end === undefined && !resetAnchor && !shifts && !given.cancel_now;
  if (keeps) return null;
  return {
    items: changesOf(world, given.items, `${PATH}[items]`),
    proration: given.proration_behavior ?? "create_prorations",
    at: given.proration_date ?? world.now(),
    resetAnchor,
    trialEnd: given.trial_end,
    ...(shifts && { cancelAt: end }),
  };
}

function ofSubscription(world: World, subscription: Subscription, given: Details): Invoice {
  checkProrationDate(given.proration_date, given.proration_behavior, `${PATH}[proration_date]`);
  return previewInvoice(world, subscription, {
    change: changeOf(world, subscription, given),
    atPeriodEnd: given.cancel_at_period_end,
    cancelNow: given.cancel_now,
    ...(given.resume_at && {
      resume: {
        anchor: given.billing_cycle_anchor?.type ?? "now",
        proration: given.proration_behavior ?? "create_prorations",
        at: given.proration_date ?? world.now(),
        payment: "resume_on_payment_attempt",
      },
    }),
  });
}

function ofNew(world: World, customer: Customer, given: Details, currency: string | undefined): Invoice {
  const items = newItemsOf(world, given.items ?? [], `${PATH}[items]`);
  const first = items[0]?.price;
  if (!first) throw invalidRequest(`Missing required param: ${PATH}[items].`, `${PATH}[items]`, "parameter_missing");
  const wanted: NewSubscription = {
    customer,
    items,
    currency: (currency ?? customer.currency ?? first.currency).toLowerCase(),
    metadata: p.mergeMetadata(null, given.metadata),
    trialEnd: typeof given.trial_end === "number" ? given.trial_end : null,
    cancelAt: typeof given.cancel_at === "number" ? given.cancel_at : null,
    proration: given.proration_behavior,
    firstPayment: "later",
  };
  return previewSubscription(world, wanted);
}

export const invoicePreviews: Route[] = [
  route(
    "POST",
    "/v1/invoices/create_preview",
    {
      automatic_tax: p.accepted(),
      currency: p.string({ max: 3 }),
      customer: p.string(),
      preview_mode: p.oneOf("next", "recurring"),
      schedule: p.string(),
      subscription: p.string(),
      subscription_details: p.object(details),
    },
    (world, given) => {
      if (given.schedule) {
        if (given.subscription || given.subscription_details) {
          throw invalidRequest("You cannot use `schedule` with `subscription` or its details.", "schedule");
        }
        const schedule = find(world.schedules, "subscription schedule", given.schedule, "schedule");
        return world.onClockOf(schedule.customer, () => previewSchedule(world, schedule));
      }
      const subscription = given.subscription
        ? find(world.subscriptions, "subscription", given.subscription, "subscription")
        : null;
      const id = given.customer ?? subscription?.customer;
      if (!id) throw invalidRequest("You must provide `customer` or `subscription`.", "customer", "parameter_missing");
      const customer = find(world.customers, "customer", id, "customer");
      const asked = given.subscription_details ?? {};
      return world.onClockOf(id, () =>
        subscription ? ofSubscription(world, subscription, asked) : ofNew(world, customer, asked, given.currency),
      );
    },
  ),
];
