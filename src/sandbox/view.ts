// How a kept object is served: nested lists and current prices are filled in here, at reading.

import { isActive, isRedeemable } from "./engine/discounts";
import type {
  AnyObject,
  CreditNote,
  Invoice,
  Plan,
  Price,
  PromotionCode,
  Subscription,
  SubscriptionItem,
} from "./types";
import type { KeptCoupon, World } from "./world";

/** Pages of a list inside an object. */
export function embeddedList<T>(data: T[], url: string, limit = 10) {
  return { object: "list" as const, data: data.slice(0, limit), has_more: data.length > limit, url };
}

/** The legacy twin of a recurring price, which subscription items still carry. */
export function planOf(price: Price): Plan {
  return {
    id: price.id,
    object: "plan",
    active: price.active,
    amount: price.unit_amount,
    amount_decimal: price.unit_amount_decimal,
    billing_scheme: price.billing_scheme,
    created: price.created,
    currency: price.currency,
    interval: price.recurring?.interval ?? "month",
    interval_count: price.recurring?.interval_count ?? 1,
    livemode: false,
    metadata: price.metadata,
    meter: price.recurring?.meter ?? null,
    nickname: price.nickname,
    product: price.product,
    tiers_mode: price.tiers_mode,
    transform_usage: null,
    trial_period_days: price.recurring?.trial_period_days ?? null,
    usage_type: price.recurring?.usage_type ?? "licensed",
  } satisfies Plan;
}

/** A price without what is only there when asked for. */
export function viewPrice({ currency_options: _, ...price }: Price): Price {
  return price;
}

export function viewItem(world: World, item: SubscriptionItem): SubscriptionItem {
  const price = viewPrice(world.prices.get(item.price.id) ?? item.price);
  return { ...item, price, plan: planOf(price) };
}

function viewSubscription(world: World, subscription: Subscription): Subscription {
  return {
    ...subscription,
    items: { ...subscription.items, data: subscription.items.data.map((item) => viewItem(world, item)) },
  };
}

function viewCreditNote(world: World, note: CreditNote): Record<string, unknown> {
  // A preview carries its own lines, as an invoice's does.
  if (note.lines.data.length > 0) return { ...note };
  const lines = world.creditNoteLines.by("note", note.id).map(({ note: _, ...line }) => line);
  return { ...note, lines: embeddedList(lines, `/v1/credit_notes/${note.id}/lines`) };
}

/** A coupon without what is only there when asked for. */
function viewCoupon(world: World, coupon: KeptCoupon): Record<string, unknown> {
  const { applies_to: _, currency_options: __, deletedFromCatalogue: ___, ...seen } = coupon;
  return { ...seen, valid: isRedeemable(world, coupon) };
}

function viewInvoice(world: World, { payments: _, ...invoice }: Invoice): Record<string, unknown> {
  // A preview has no id that anyone could look lines up with: it carries its own.
  if (invoice.lines.data.length > 0) return invoice;
  return { ...invoice, lines: embeddedList(world.lines.by("invoice", invoice.id), `/v1/invoices/${invoice.id}/lines`) };
}

/** What the API and events show of an object. */
export function viewOf(world: World, object: AnyObject): Record<string, unknown> {
  // What is left of a deleted object has nothing to add to.
  if ("deleted" in object) return { ...object };
  switch (object.object) {
    case "price":
      return { ...viewPrice(object as Price) };
    case "subscription":
      return { ...viewSubscription(world, object as Subscription) };
    case "subscription_item":
      if ("deleted" in object) return { ...object };
      return { ...viewItem(world, object as SubscriptionItem) };
    case "coupon":
      return viewCoupon(world, object as KeptCoupon);
    case "promotion_code":
      return { ...object, active: isActive(world, object as PromotionCode) };
    case "credit_note":
      return viewCreditNote(world, object as CreditNote);
    case "invoice":
      return viewInvoice(world, object as Invoice);
    default:
      return { ...object };
  }
}
