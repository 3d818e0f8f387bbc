// An item of a subscription: one price, a quantity and a period of its own.
import { newId } from "../ids";
import type { Metadata, Price, SubscriptionItem } from "../types";
import { planOf, viewPrice } from "../view";
import type { Period } from "./period";

export interface NewItem {
  price: Price;
  quantity: number;
  metadata?: Metadata;
}

/** An item that starts at an instant. */
export function newItem(
  subscription: string,
  { price, quantity, metadata }: NewItem,
  created: number,
  period: Period,
): SubscriptionItem {
  return {
    id: newId("si", 14),
    object: "subscription_item",
    billing_thresholds: null,
    created,
    current_period_end: period.end,
    current_period_start: period.start,
    current_trial: null,
    discounts: [],
    metadata: metadata ?? {},
    plan: planOf(price),
    price: viewPrice(price),
    quantity,
    subscription,
    tax_rates: [],
  } satisfies SubscriptionItem;
}
