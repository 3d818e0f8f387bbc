// The parameters about discounts and tax that subscriptions, invoices and sessions share.
import { type DiscountSource, type Redeemable, type Redemption, redeemable } from "../engine/discounts";
import { unknownLocation } from "../engine/invoice-draft";
import * as p from "../params";
import type { Customer, Subscription } from "../types";
import type { World } from "../world";

/** An empty string takes all discounts away. */
export const discountList = p.emptyable(
  p.list(p.object({ coupon: p.string(), discount: p.string(), promotion_code: p.string() }), { max: 20 }),
);

export const automaticTax = p.object({
  enabled: p.required(p.boolean()),
  liability: p.object({ type: p.required(p.oneOf("self")) }),
});

/** What is to be redeemed, in order, or the first refusal. */
export function readDiscounts(
  world: World,
  sources: DiscountSource[] | null | undefined,
  given: Redemption,
): Redeemable[] {
  return (sources ?? []).map((source, position) => redeemable(world, source, given, `discounts[${position}]`));
}

/** Automatic tax of a subscription needs a country from the beginning. */
export function requireTaxLocation(customer: Customer, enabled: boolean | undefined): void {
  if (enabled && !customer.address?.country) throw unknownLocation();
}

export function taxSetting(customer: Customer, enabled: boolean): Subscription["automatic_tax"] {
  requireTaxLocation(customer, enabled);
  return { disabled_reason: null, enabled, liability: enabled ? { type: "self" } : null };
}
