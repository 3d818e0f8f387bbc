// Invoice lines: a period of a subscription item, a free trial, a proration, a one-off purchase.
import { newId } from "../ids";
import { amountOf, formatInterval, formatMoney, unitAmountOf } from "../money";
import type { InvoiceLine, Price, Subscription, SubscriptionItem } from "../types";
import type { World } from "../world";

export interface NewLine {
  amount: number;
  currency: string;
  description: string;
  period: { start: number; end: number };
  /** Null for an amount that stands for itself; then `unitAmount` is there. */
  price: Price | null;
  quantity: number;
  parent: InvoiceLine["parent"];
  subscription: string | null;
  metadata?: Record<string, string>;
  unitAmount?: string;
  discountable?: boolean;
}

/** A line that belongs to no invoice yet. */
export function line(given: NewLine): InvoiceLine {
  return {
    id: newId("il"),
    object: "line_item",
    amount: given.amount,
    currency: given.currency,
    description: given.description,
    discount_amounts: [],
    discountable: given.discountable ?? (given.amount >= 0 && !given.parent?.subscription_item_details?.proration),
    discounts: [],
    invoice: null,
    livemode: false,
    metadata: given.metadata ?? {},
    parent: given.parent,
    period: given.period,
    pretax_credit_amounts: [],
    pricing: {
      ...(given.price && { price_details: { price: given.price.id, product: given.price.product } }),
      type: "price_details",
      unit_amount_decimal: given.unitAmount ?? (given.price ? unitAmountOf(given.price, given.currency) : null),
    },
    quantity: given.quantity,
    quantity_decimal: String(given.quantity),
    subscription: given.subscription,
    subtotal: given.amount,
    taxes: [],
  } satisfies InvoiceLine;
}

function nameOf(world: World, price: Price): string {
  return world.products.get(price.product)?.name ?? price.product;
}

function itemParent(subscription: Subscription, item: SubscriptionItem, proration: boolean): InvoiceLine["parent"] {
  return {
    type: "subscription_item_details",
    invoice_item_details: null,
    subscription_item_details: {
      invoice_item: proration ? newId("ii") : null,
      proration,
      proration_details: proration ? { credited_items: null } : null,
      subscription: subscription.id,
      subscription_item: item.id,
    },
  };
}

/** One item for one whole period. */
export function periodLine(
  world: World,
  subscription: Subscription,
  item: SubscriptionItem,
  period = { start: item.current_period_start, end: item.current_period_end },
): InvoiceLine {
  const price = world.prices.get(item.price.id) ?? item.price;
  const quantity = item.quantity ?? 1;
  const each = formatMoney(amountOf(price, subscription.currency), subscription.currency);
  return line({
    amount: amountOf(price, subscription.currency, quantity),
    currency: subscription.currency,
    description: `${quantity} × ${nameOf(world, price)} (at ${each} / ${formatInterval(price.recurring)})`,
    period,
    price,
    quantity,
    parent: itemParent(subscription, item, false),
    subscription: subscription.id,
    metadata: subscription.metadata,
  });
}

/** One item while it costs nothing yet. */
export function trialLine(world: World, subscription: Subscription, item: SubscriptionItem): InvoiceLine {
  const price = world.prices.get(item.price.id) ?? item.price;
  const quantity = item.quantity ?? 1;
  return line({
    amount: 0,
    currency: subscription.currency,
    description: `Free trial for ${quantity} × ${nameOf(world, price)}`,
    period: { start: item.current_period_start, end: item.current_period_end },
    price,
    quantity,
    parent: itemParent(subscription, item, false),
    subscription: subscription.id,
    metadata: subscription.metadata,
    unitAmount: "0",
  });
}

const shortDate = (at: number) =>
  new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** A part of a period: given back (`credit`) or charged. The amount is positive for both, in minor units. */
export interface Proration {
  kind: "credit" | "debit";
  amount: number;
  period: { start: number; end: number };
  price: Price;
  quantity: number;
  /** The line that charged what is given back. */
  credits?: InvoiceLine;
}

/** A part of an item's period. */
export function prorationLine(
  world: World,
  subscription: Subscription,
  item: SubscriptionItem,
  { kind, amount, period, price, quantity, credits }: Proration,
): InvoiceLine {
  const subject = quantity === 1 ? nameOf(world, price) : `${quantity} × ${nameOf(world, price)}`;
  const words = kind === "credit" ? "Unused time on" : "Remaining time on";
  const parent = itemParent(subscription, item, true);
  const credited = credits?.invoice ? { invoice: credits.invoice, invoice_line_items: [credits.id] } : null;
  if (parent?.subscription_item_details) {
    parent.subscription_item_details.proration_details = { credited_items: credited };
  }
  return line({
    amount: kind === "credit" ? -amount : amount,
    currency: subscription.currency,
    description: `${words} ${subject} after ${shortDate(period.start)}`,
    period,
    price,
    quantity,
    parent,
    subscription: subscription.id,
    metadata: subscription.metadata,
  });
}

/** Something bought once. */
export function purchaseLine(world: World, price: Price, currency: string, quantity: number): InvoiceLine {
  const now = world.now();
  return line({
    amount: amountOf(price, currency, quantity),
    currency,
    description: nameOf(world, price),
    period: { start: now, end: now },
    price,
    quantity,
    parent: {
      type: "invoice_item_details",
      invoice_item_details: {
        invoice_item: newId("ii"),
        proration: false,
        proration_details: null,
        subscription: null,
      },
      subscription_item_details: null,
    },
    subscription: null,
  });
}
