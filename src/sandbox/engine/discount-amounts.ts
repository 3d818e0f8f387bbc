// What coupons take off the lines of an invoice or a Checkout session. Arithmetic only; coupons live in discounts.ts.
import type { Coupon } from "../types";

export interface Discountable {
  /** In minor units, before discounts. */
  amount: number;
  discountable: boolean;
  product: string | null;
}

export interface AppliedCoupon {
  /** The id of the discount through which the coupon applies. */
  discount: string;
  coupon: Coupon;
}

export interface DiscountAmount {
  amount: number;
  discount: string;
}

/** What a coupon takes off in a currency: null for a percentage, or where it does not know the currency. */
export function amountOff(coupon: Coupon, currency: string): number | null {
  if (coupon.currency === currency) return coupon.amount_off;
  return coupon.currency_options?.[currency]?.amount_off ?? null;
}

/** Splits an amount by weights; the parts add up to it, and none is above its weight. */
function spread(amount: number, weights: number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const given = Math.min(amount, total);
  let reached = 0;
  let before = 0;
  return weights.map((weight) => {
    reached += weight;
    const upTo = total === 0 ? 0 : Math.round((given * reached) / total);
    const part = upTo - before;
    before = upTo;
    return part;
  });
}

/** For each line what each coupon takes off it, in minor units. A coupon works on what those before it left. */
export function takeOff(lines: Discountable[], coupons: AppliedCoupon[], currency: string): DiscountAmount[][] {
  const left = lines.map(({ amount, discountable }) => (discountable ? Math.max(0, amount) : 0));
  const taken: DiscountAmount[][] = lines.map(() => []);
  for (const { discount, coupon } of coupons) {
    const products = coupon.applies_to?.products;
    const eligible = left.map((amount, at) => (products && !products.includes(lines[at]?.product ?? "") ? 0 : amount));
    const { percent_off: percent } = coupon;
    const parts =
      percent === null
        ? spread(amountOff(coupon, currency) ?? 0, eligible)
        : eligible.map((amount) => Math.round((amount * percent) / 100));
    for (const [at, amount] of parts.entries()) {
      if ((eligible[at] ?? 0) === 0) continue;
      left[at] = (left[at] ?? 0) - amount;
      taken[at]?.push({ amount, discount });
    }
  }
  return taken;
}

export function sumOf(amounts: Array<{ amount: number }>): number {
  return amounts.reduce((sum, { amount }) => sum + amount, 0);
}
