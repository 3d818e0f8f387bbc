// What an invoice sold, worked out from Stripe's own lines: a second time, sharing nothing with the app, for those who compare.
import type Stripe from "stripe";

/** Whether a credit note has taken an open invoice away: it is called paid, and nobody paid what it asked for. */
const isForgiven = (invoice: Pick<Stripe.Invoice, "pre_payment_credit_notes_amount" | "amount_due">): boolean =>
  invoice.pre_payment_credit_notes_amount > 0 && invoice.amount_due === 0;

/**
 * What an invoice sold: its lines with tax that is added to them, less what was forgiven before it was paid. Prorations of one item
 * and period are one thing; where more of it is given back than asked for it sold nothing.
 */
export function soldBy(invoice: Stripe.Invoice, planItem: string | undefined): number {
  const together = new Map<string, number>();
  for (const [index, line] of invoice.lines.data.entries()) {
    const of = line.parent?.subscription_item_details;
    const isProration = (of ?? line.parent?.invoice_item_details)?.proration;
    const off = (line.discount_amounts ?? []).reduce((sum, each) => sum + each.amount, 0);
    const added = (line.taxes ?? []).filter((tax) => tax.tax_behavior === "exclusive");
    const net = line.amount - off + added.reduce((sum, tax) => sum + tax.amount, 0);
    const place = isProration ? `${of?.subscription_item ?? planItem} ${line.period.end}` : `line ${index}`;
    together.set(place, (together.get(place) ?? 0) + net);
  }
  const isTime = (place: string) => !place.startsWith("line ");
  const sold = [...together].reduce((sum, [place, net]) => sum + (isTime(place) ? Math.max(0, net) : net), 0);
  return Math.max(0, sold - (isForgiven(invoice) ? 0 : invoice.pre_payment_credit_notes_amount));
}

/** Whether an invoice sold nothing at all, though it is called paid: credit notes took away all, and nothing else paid a part of it. */
export const isNothingSold = (invoice: Stripe.Invoice): boolean =>
  isForgiven(invoice) && invoice.pre_payment_credit_notes_amount >= soldBy(invoice, undefined);
