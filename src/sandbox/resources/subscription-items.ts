// /v1/subscription_items, read only: items change with their subscription.
import { missingResource } from "../errors";
import { pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { SubscriptionItem } from "../types";
import type { World } from "../world";
import { find } from "./find";

function itemOf(world: World, id: string): SubscriptionItem {
  for (const { items } of world.subscriptions.values()) {
    const item = items.data.find((each) => each.id === id);
    if (item) return item;
  }
  throw missingResource("subscription_item", id);
}

export const subscriptionItems: Route[] = [
  route("GET", "/v1/subscription_items", { ...p.pagination, subscription: p.required(p.string()) }, (world, given) => {
    const subscription = find(world.subscriptions, "subscription", given.subscription, "subscription");
    return pageInOrder(subscription.items.data, "/v1/subscription_items", "subscription_item", given);
  }),
  route("GET", "/v1/subscription_items/:id", {}, (world, _, [id]) => itemOf(world, id)),
];
