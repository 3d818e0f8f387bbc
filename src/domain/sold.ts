// What an invoice sold, and what credit notes took back of it, whoever paid it and how: with a card, from the customer's balance, or
// with time that was given back. A refund is a share of this, not of what a card was charged. No IO, no clock.
import type { PaidLine } from "./allowance";

/** A line of an invoice, as far as it says what was sold. */
export interface SoldLine extends Pick<PaidLine, "stripeItemId" | "proration" | "periodEnd" | "amount"> {
  /** Tax that is added to its amount, in the currency's minor unit. */
  tax: number;
}

/** An invoice's money; amounts in the currency's minor unit. */
export interface InvoiceMoney {
  lines: readonly SoldLine[];
  /** What was asked for when it was finalized, less what credit notes took off that. */
  due: number;
  /** What credit notes took off before it was paid. */
  creditedBefore: number;
}

export interface SoldTruth {
  /** Net of discounts and of what was forgiven before it was paid, tax included. */
  sold: number;
  /** What credit notes gave back of that, otherwise than by refunds. */
  givenBack: number;
}

/**
 * What an invoice sold and what credit notes gave back of it. A note that lowers what is asked for is a discount; one that leaves
 * nothing to ask for has taken back what nobody paid.
 * @param givenBack what notes gave back after it was paid, otherwise than by refunds
 * @param planItem the item that prorations are of which do not say it
 */
export function truthOfInvoice(invoice: InvoiceMoney, givenBack: number, planItem: string | null): SoldTruth {
  const { creditedBefore } = invoice;
  const sold = soldBy(invoice.lines, planItem);
  if (isForgiven(invoice)) return { sold, givenBack: Math.min(sold, creditedBefore + givenBack) };
  return { sold: Math.max(0, sold - creditedBefore), givenBack };
}

/** Whether credit notes have taken an open invoice away: Stripe calls it paid, and nobody paid what it asked for. */
export function isForgiven({ due, creditedBefore }: Pick<InvoiceMoney, "due" | "creditedBefore">): boolean {
  return creditedBefore > 0 && due === 0;
}

/** Whether an invoice that was forgiven has sold nothing at all: nothing else paid for a part of it. */
export function isForgivenWhole(invoice: InvoiceMoney, planItem: string | null): boolean {
  return isForgiven(invoice) && invoice.creditedBefore >= soldBy(invoice.lines, planItem);
}

/**
 * The sum of what lines ask for. Prorations of one item and period count by what is left of them together, as their credits do; where
 * that is less than nothing they have sold nothing, and paid for other lines. What else is negative is a discount on the whole.
 */
function soldBy(lines: readonly SoldLine[], planItem: string | null): number {
  const prorations = new Map<string, number>();
  let sold = 0;
  for (const { stripeItemId, proration, periodEnd, amount, tax } of lines) {
    if (!proration) {
      sold += amount + tax;
      continue;
    }
    const key = `${stripeItemId ?? planItem}@${periodEnd.getTime()}`;
    prorations.set(key, (prorations.get(key) ?? 0) + amount + tax);
  }
  for (const amount of prorations.values()) sold += Math.max(0, amount);
  return Math.max(0, sold);
}
