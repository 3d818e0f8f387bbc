// The life of a discount: a coupon or promotion code is redeemed, applies for its duration, and ends.
// What it takes off is reckoned in discount-amounts.ts.
import { invalidRequest, missingResource } from "../errors";
import { newId } from "../ids";
import { amountOf } from "../money";
import type { Discount, Invoice, PromotionCode, Subscription, SubscriptionItem } from "../types";
import type { KeptCoupon, World } from "../world";
import { type AppliedCoupon, amountOff, sumOf, takeOff } from "./discount-amounts";
import { addIntervals } from "./period";

/** How a caller names a discount: exactly one of the three. */
export interface DiscountSource {
  coupon?: string;
  promotion_code?: string;
  discount?: string;
}

export interface Redeemable {
  coupon: KeptCoupon;
  promotion: PromotionCode | null;
}

/** What a discount is for; decides who may redeem it. */
export interface Redemption {
  customer: string | null;
  currency: string;
  /** What is bought, in minor units before discounts; null where it is not known yet. */
  subtotal: number | null;
}

/** Whether a coupon can still be redeemed. */
export function isRedeemable(world: World, coupon: KeptCoupon): boolean {
  const { max_redemptions: most, redeem_by: until, times_redeemed: times } = coupon;
  return !coupon.deletedFromCatalogue && (most === null || times < most) && (until === null || world.now() <= until);
}

/** A promotion code can only be active while its coupon is valid. */
export function isActive(world: World, promotion: PromotionCode): boolean {
  const { max_redemptions: most, expires_at: until, times_redeemed: times } = promotion;
  const coupon = promotion.promotion.coupon ? world.coupons.get(promotion.promotion.coupon) : undefined;
  const fits = (most === null || times < most) && (until === null || world.now() < until);
  return promotion.active && fits && coupon !== undefined && isRedeemable(world, coupon);
}

/** A coupon that was not deleted, or a refusal. */
export function findCoupon(world: World, id: string, param = "id"): KeptCoupon {
  const coupon = world.coupons.get(id);
  if (!coupon || coupon.deletedFromCatalogue) throw missingResource("coupon", id, param);
  return coupon;
}

function refuse(message: string, param: string): Error {
  return invalidRequest(`This promotion code cannot be redeemed because ${message}.`, param);
}

function checkPromotion(world: World, promotion: PromotionCode, given: Redemption, param: string): void {
  const { restrictions } = promotion;
  if (!isActive(world, promotion)) throw refuse("it is expired or inactive", param);
  if (promotion.customer && promotion.customer !== given.customer) {
    throw refuse("it is only valid for another customer", param);
  }
  const paid = given.customer ? world.paymentIntents.by("customer", given.customer) : [];
  if (restrictions.first_time_transaction && paid.some(({ status }) => status === "succeeded")) {
    throw refuse("the associated customer has prior transactions", param);
  }
  const least =
    restrictions.minimum_amount_currency === given.currency
      ? restrictions.minimum_amount
      : (restrictions.currency_options?.[given.currency]?.minimum_amount ?? null);
  if (restrictions.minimum_amount !== null && least === null) {
    throw refuse(`its minimum amount is not defined in ${given.currency}`, param);
  }
  if (least !== null && given.subtotal !== null && given.subtotal < least) {
    throw refuse("the order does not reach its minimum amount", param);
  }
}

/** What a caller wants to redeem, once it is clear that it may be. */
export function redeemable(world: World, source: DiscountSource, given: Redemption, param: string): Redeemable {
  const named = Object.entries(source).filter(([, value]) => value !== undefined);
  if (named.length !== 1) {
    throw invalidRequest(
      "You must specify exactly one of these parameters: coupon, promotion_code, discount.",
      param,
      named.length ? "parameters_exclusive" : "parameter_missing",
    );
  }
  const promotion = source.promotion_code ? world.promotionCodes.get(source.promotion_code) : null;
  if (promotion === undefined) {
    throw missingResource("promotion code", source.promotion_code ?? "", `${param}[promotion_code]`);
  }
  if (promotion) checkPromotion(world, promotion, given, `${param}[promotion_code]`);
  const coupon = findCoupon(world, promotion?.promotion.coupon ?? source.coupon ?? "", `${param}[coupon]`);
  if (!isRedeemable(world, coupon)) {
    const usedUp = coupon.max_redemptions !== null && coupon.times_redeemed >= coupon.max_redemptions;
    throw invalidRequest(
      usedUp ? `Coupon ${coupon.id} is used up and cannot be applied.` : `Coupon expired: ${coupon.id}`,
      `${param}[coupon]`,
      "coupon_expired",
    );
  }
  if (coupon.percent_off === null && amountOff(coupon, given.currency) === null) {
    throw invalidRequest(
      `The coupon ${coupon.id} takes off an amount in \`${coupon.currency}\`, which doesn't match the expected currency: \`${given.currency}\`.`,
      `${param}[coupon]`,
    );
  }
  return { coupon, promotion };
}

/** Redeems a coupon for a subscription, an invoice or a session: counts it and notes when it ends. */
export function startDiscount(
  world: World,
  { coupon, promotion }: Redeemable,
  target: Partial<Pick<Discount, "checkout_session" | "customer" | "invoice" | "subscription">>,
): Discount {
  const now = world.now();
  const months = coupon.duration === "repeating" ? (coupon.duration_in_months ?? 1) : null;
  const discount = world.discounts.put({
    id: newId("di"),
    object: "discount",
    checkout_session: null,
    customer: null,
    customer_account: null,
    end: months === null ? null : addIntervals(now, "month", months),
    invoice: null,
    invoice_item: null,
    promotion_code: promotion?.id ?? null,
    source: { coupon: coupon.id, type: "coupon" },
    start: now,
    subscription: null,
    subscription_item: null,
    ...target,
  } satisfies Discount);
  world.coupons.patch(coupon.id, { times_redeemed: (world.coupons.get(coupon.id)?.times_redeemed ?? 0) + 1 });
  if (promotion) {
    const { times_redeemed: times } = world.promotionCodes.get(promotion.id) ?? promotion;
    world.promotionCodes.patch(promotion.id, { times_redeemed: times + 1 });
  }
  if (discount.subscription && discount.end !== null) {
    world.scheduler.plan("discount.end", discount.id, discount.end, world.clockOf(discount.customer));
  }
  return discount;
}

/** The coupons behind discounts that have not ended, in their order. */
export function couponsOf(world: World, discountIds: string[]): AppliedCoupon[] {
  return discountIds.flatMap((id) => {
    const discount = world.discounts.get(id);
    const coupon = discount?.source.coupon ? world.coupons.get(discount.source.coupon) : undefined;
    return coupon ? [{ discount: id, coupon }] : [];
  });
}

/** The discounts that a subscription's next invoice would have. */
export function discountsOf(world: World, subscription: Subscription): string[] {
  return subscription.discounts.filter((id) => {
    const end = world.discounts.get(id)?.end ?? null;
    return end === null || end > world.now();
  });
}

/** Begins the discounts of a new subscription; nobody is told of the subscription itself. */
export function beginDiscounts(world: World, subscription: Subscription, redeemed: Redeemable[]): Subscription {
  if (redeemed.length === 0) return subscription;
  const { id, customer } = subscription;
  const started = redeemed.map((each) => startDiscount(world, each, { customer, subscription: id }));
  for (const discount of started) world.events.emit("customer.discount.created", discount);
  return world.subscriptions.patch(id, { discounts: started.map((discount) => discount.id) });
}

/**
 * Replaces the discounts of a subscription. Those that are named by their own id stay. Returns the new list of ids:
 * the caller writes it, with whatever else changes.
 */
export function replaceDiscounts(world: World, subscription: Subscription, sources: DiscountSource[]): string[] {
  const { id, customer, currency } = subscription;
  const started: Discount[] = [];
  const list = sources.map((source, position) => {
    const param = `discounts[${position}]`;
    if (source.discount) {
      if (subscription.discounts.includes(source.discount)) return source.discount;
      throw missingResource("discount", source.discount, `${param}[discount]`);
    }
    const redeemed = redeemable(world, source, { customer, currency, subtotal: null }, param);
    const discount = startDiscount(world, redeemed, { customer, subscription: id });
    started.push(discount);
    return discount.id;
  });
  const ended = subscription.discounts.filter((each) => !list.includes(each));
  for (const discountId of ended) {
    const old = endedDiscount(world, discountId);
    if (!old) continue;
    // One that takes another's place is told of as a change.
    const successor = started.shift();
    if (successor) world.events.emit("customer.discount.updated", successor, world.events.snapshot(old));
    else world.events.emit("customer.discount.deleted", old);
  }
  for (const discount of started) world.events.emit("customer.discount.created", discount);
  return list;
}

function endedDiscount(world: World, id: string): Discount | undefined {
  world.scheduler.plan("discount.end", id, null, null);
  return world.discounts.get(id);
}

/** Takes discounts off their subscription. */
export function removeDiscounts(world: World, subscriptionId: string, ids: string[]): void {
  const subscription = world.subscriptions.get(subscriptionId);
  const gone = subscription?.discounts.filter((id) => ids.includes(id)) ?? [];
  if (!subscription || gone.length === 0) return;
  const discounts = subscription.discounts.filter((id) => !ids.includes(id));
  for (const id of gone) {
    const discount = endedDiscount(world, id);
    if (discount) world.events.emit("customer.discount.deleted", discount);
  }
  world.change(world.subscriptions, subscriptionId, { discounts }, "customer.subscription.updated");
}

/** The months of a repeating coupon are over. */
export function endDiscount(world: World, id: string): void {
  const subscription = world.discounts.get(id)?.subscription;
  if (subscription) removeDiscounts(world, subscription, [id]);
}

/** Coupons for one time only are gone once an invoice had something to take off; a trial's has not. */
export function exhaustDiscounts(world: World, invoice: Invoice): void {
  const subscription = invoice.parent?.subscription_details?.subscription;
  if (!subscription || invoice.subtotal <= 0) return;
  const once = couponsOf(world, invoice.discounts).filter(({ coupon }) => coupon.duration === "once");
  removeDiscounts(
    world,
    subscription,
    once.map(({ discount }) => discount),
  );
}

/** What a whole period of an item costs once the subscription's discounts are taken off, in minor units. */
export function discounted(world: World, subscription: Subscription, item: SubscriptionItem, whole: number): number {
  const coupons = couponsOf(world, discountsOf(world, subscription));
  if (coupons.length === 0) return whole;
  const { currency } = subscription;
  const others = subscription.items.data.filter(({ id }) => id !== item.id);
  const lines = [item, ...others].map(({ price, quantity }, position) => ({
    amount: position === 0 ? whole : amountOf(world.prices.get(price.id) ?? price, currency, quantity ?? 1),
    discountable: true,
    product: price.product,
  }));
  return whole - sumOf(takeOff(lines, coupons, currency)[0] ?? []);
}
