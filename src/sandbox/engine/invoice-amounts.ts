// What an invoice comes to: discounts first, then tax, then the customer's balance. Nothing is kept here.
import type { Invoice, InvoiceLine } from "../types";
import type { World } from "../world";
import { type AppliedCoupon, sumOf, takeOff } from "./discount-amounts";
import { sumTaxes, type Taxation, taxesOn, taxWithin } from "./tax";

type Behavior = "exclusive" | "inclusive";

/** Whether a price holds its tax already. What leaves that open is taxed on top. */
export function behaviorOf(world: World, priceId: string | undefined, currency: string): Behavior {
  const price = priceId ? world.prices.get(priceId) : undefined;
  const option = price && (price.currency === currency ? price : price.currency_options?.[currency]);
  return option?.tax_behavior === "inclusive" ? "inclusive" : "exclusive";
}

/** The lines with what discounts take off them and the tax on what is left. */
export function priceLines(
  world: World,
  lines: InvoiceLine[],
  coupons: AppliedCoupon[],
  taxation: Taxation,
): InvoiceLine[] {
  const currency = lines[0]?.currency ?? "usd";
  const offs = takeOff(
    lines.map(({ amount, discountable, pricing }) => ({
      amount,
      discountable,
      product: pricing?.price_details?.product ?? null,
    })),
    coupons,
    currency,
  );
  return lines.map((line, at) => {
    const discountAmounts = offs[at] ?? [];
    const behavior = behaviorOf(world, line.pricing?.price_details?.price, currency);
    return {
      ...line,
      discount_amounts: discountAmounts,
      pretax_credit_amounts: discountAmounts.map((each) => ({ ...each, type: "discount" })),
      taxes: taxesOn(line.amount - sumOf(discountAmounts), taxation.ratesFor(behavior)),
    };
  });
}

/** The fields of an invoice that follow from its priced lines and the balance that is applied (minor units). */
export function totalsOf(lines: InvoiceLine[], coupons: AppliedCoupon[], taxation: Taxation, balance: number) {
  const subtotal = sumOf(lines);
  const discounts = coupons.map(({ discount }) => ({
    discount,
    amount: sumOf(lines.flatMap((line) => line.discount_amounts ?? []).filter((each) => each.discount === discount)),
  }));
  const taxes = sumTaxes(lines.flatMap((line) => line.taxes ?? []));
  const total = subtotal - sumOf(discounts) + taxWithin(taxes, "exclusive");
  // Inclusive tax of the whole price, as if nothing had been taken off.
  const within = sumOf(
    lines.flatMap((line) => {
      const inclusive = (line.taxes ?? []).some((tax) => tax.tax_behavior === "inclusive");
      return inclusive ? taxesOn(line.amount, taxation.ratesFor("inclusive")).filter(isInclusive) : [];
    }),
  );
  // A negative total or balance is money that the customer has left for later invoices.
  const due = Math.max(0, total + balance);
  return {
    subtotal,
    subtotal_excluding_tax: subtotal - within,
    total,
    total_discount_amounts: discounts,
    total_pretax_credit_amounts: discounts.map((each) => ({ ...each, type: "discount" as const })),
    total_taxes: taxes,
    total_excluding_tax: total - sumOf(taxes),
    amount_due: due,
    amount_remaining: due,
    starting_balance: balance,
    automatic_tax: automaticTaxOf(taxation),
    endingBalance: total + balance - due,
  };
}

function isInclusive(tax: { tax_behavior: string }): boolean {
  return tax.tax_behavior === "inclusive";
}

function automaticTaxOf({ automatic, status }: Taxation): Invoice["automatic_tax"] {
  return {
    disabled_reason: null,
    enabled: automatic,
    liability: automatic ? { type: "self" } : null,
    provider: automatic ? "stripe" : null,
    status,
  };
}
