// POST /v1/invoices/create_preview: what the next invoice would be, as things are or after a change.
import { type DiscountSource, replaceDiscounts, startDiscount } from "../engine/discounts";
import { previewInvoice, previewSchedule, previewSubscription } from "../engine/preview";
import type { NewSubscription } from "../engine/subscription";
import type { Change } from "../engine/subscription-update";
import { invalidRequest } from "../errors";
import { type Route, route } from "../http/route";
import { amountOf } from "../money";
import * as p from "../params";
import type { Customer, Invoice, Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { automaticTax, discountList, readDiscounts } from "./money-params";
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

interface Priced {
  automatic_tax?: { enabled: boolean };
  currency?: string;
  discounts?: DiscountSource[] | null;
}

/** The subscription with the discounts and the tax that are tried on it. */
function priced(world: World, subscription: Subscription, given: Priced): Subscription {
  const { automatic_tax: tax, discounts } = given;
  return world.subscriptions.patch(subscription.id, {
    ...(tax && { automatic_tax: { ...subscription.automatic_tax, enabled: tax.enabled } }),
    ...(discounts !== undefined && { discounts: replaceDiscounts(world, subscription, discounts ?? []) }),
  });
}

function ofNew(world: World, customer: Customer, given: Details, { currency, ...money }: Priced): Invoice {
  const items = newItemsOf(world, given.items ?? [], `${PATH}[items]`);
  const first = items[0]?.price;
  if (!first) throw invalidRequest(`Missing required param: ${PATH}[items].`, `${PATH}[items]`, "parameter_missing");
  const code = (currency ?? customer.currency ?? first.currency).toLowerCase();
  const subtotal = items.reduce((sum, item) => sum + amountOf(item.price, code, item.quantity), 0);
  const redemption = { customer: customer.id, currency: code, subtotal };
  const started = readDiscounts(world, money.discounts, redemption).map((each) => startDiscount(world, each, {}));
  const wanted: NewSubscription = {
    customer,
    items,
    currency: code,
    automaticTax: money.automatic_tax?.enabled,
    startedDiscounts: started.map(({ id }) => id),
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
      automatic_tax: automaticTax,
      currency: p.string({ max: 3 }),
      customer: p.string(),
      discounts: discountList,
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
        world.preview(() =>
          subscription
            ? ofSubscription(world, priced(world, subscription, given), asked)
            : ofNew(world, customer, asked, given),
        ),
      );
    },
  ),
];
