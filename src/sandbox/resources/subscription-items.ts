// /v1/subscription_items: one item at a time; each change is a change of its subscription.
import { syncPhase } from "../engine/schedule";
import { type PaymentBehavior, updateSubscription } from "../engine/subscription-apply";
import type { ItemChange } from "../engine/subscription-update";
import { missingResource } from "../errors";
import { pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Subscription, SubscriptionItem } from "../types";
import type { World } from "../world";
import { find } from "./find";
import {
  checkPending,
  checkProrationDate,
  itemShape,
  paymentBehavior,
  priceFor,
  prorationBehavior,
} from "./subscription-params";

function itemOf(world: World, id: string): SubscriptionItem {
  for (const { items } of world.subscriptions.values()) {
    const item = items.data.find((each) => each.id === id);
    if (item) return item;
  }
  throw missingResource("subscription_item", id);
}

const rulesShape = {
  payment_behavior: paymentBehavior,
  proration_behavior: prorationBehavior,
  proration_date: p.integer(),
} satisfies p.Shape;

type Rules = p.Params<typeof rulesShape>;

function change(world: World, subscription: Subscription, item: ItemChange, given: Rules): Subscription {
  checkProrationDate(given.proration_date, given.proration_behavior);
  return world.onClockOf(subscription.customer, () => {
    const after = updateSubscription(
      world,
      subscription.id,
      {
        items: [item],
        proration: given.proration_behavior ?? "create_prorations",
        at: given.proration_date ?? world.now(),
        resetAnchor: false,
      },
      {},
      (given.payment_behavior ?? "allow_incomplete") as PaymentBehavior,
    );
    syncPhase(world, after);
    return after;
  });
}

export const subscriptionItems: Route[] = [
  route(
    "POST",
    "/v1/subscription_items",
    { ...itemShape, ...rulesShape, subscription: p.required(p.string()) },
    (world, { subscription: id, ...given }) => {
      checkPending(given);
      const subscription = find(world.subscriptions, "subscription", id, "subscription");
      const price = priceFor(world, given.price, "");
      const known = new Set(subscription.items.data.map((item) => item.id));
      const after = change(world, subscription, { price, quantity: given.quantity, metadata: given.metadata }, given);
      const added = [...after.items.data, ...(after.pending_update?.subscription_items ?? [])];
      const item = added.find((each) => !known.has(each.id));
      if (!item) throw new Error("no item was added");
      return item;
    },
  ),
  route("GET", "/v1/subscription_items", { ...p.pagination, subscription: p.required(p.string()) }, (world, given) => {
    const subscription = find(world.subscriptions, "subscription", given.subscription, "subscription");
    return pageInOrder(subscription.items.data, "/v1/subscription_items", "subscription_item", given);
  }),
  route("GET", "/v1/subscription_items/:id", {}, (world, _, [id]) => itemOf(world, id)),
  route(
    "POST",
    "/v1/subscription_items/:id",
    { ...itemShape, ...rulesShape, off_session: p.boolean() },
    (world, given, [id]) => {
      checkPending(given);
      const item = itemOf(world, id);
      const subscription = find(world.subscriptions, "subscription", item.subscription);
      const price = given.price ? priceFor(world, given.price, "") : undefined;
      change(world, subscription, { id, price, quantity: given.quantity, metadata: given.metadata }, given);
      return itemOf(world, id);
    },
  ),
  route("DELETE", "/v1/subscription_items/:id", { ...rulesShape, clear_usage: p.accepted() }, (world, given, [id]) => {
    const { subscription } = itemOf(world, id);
    change(world, find(world.subscriptions, "subscription", subscription), { id, deleted: true }, given);
    return { id, object: "subscription_item", deleted: true as const };
  }),
];
