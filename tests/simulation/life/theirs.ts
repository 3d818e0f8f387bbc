// Everything that Stripe has, read through its own API in a few long lists, and sorted by customer.
import type { Stripe } from "~/server/stripe";

/** Everything that Stripe has of one customer, or of all customers of one organization. */
export interface Theirs {
  subscriptions: Stripe.Subscription[];
  invoices: Stripe.Invoice[];
  sessions: Stripe.Checkout.Session[];
  charges: Stripe.Charge[];
  refunds: Stripe.Refund[];
  disputes: Stripe.Dispute[];
}

/** By organization, what the customers have that are not deleted at Stripe. */
export async function readStripe(stripe: Stripe): Promise<Map<string, Theirs>> {
  const byCustomer = new Map<string, Theirs>();
  const byOrganization = new Map<string, Theirs>();
  for (const { id, metadata } of await all(stripe.customers.list({ limit: 100 }))) {
    const owner = metadata.organizationId ?? "";
    const theirs = byOrganization.get(owner) ?? nothing();
    byOrganization.set(owner, theirs);
    byCustomer.set(id, theirs);
  }
  const of = (object: { customer: Reference }) => byCustomer.get(idOf(object.customer) ?? "");
  for (const one of await all(stripe.subscriptions.list({ status: "all", limit: 100 })))
    of(one)?.subscriptions.push(one);
  for (const one of await all(stripe.invoices.list({ limit: 100 }))) {
    if (one.lines.has_more && of(one))
      one.lines.data = await all(stripe.invoices.listLineItems(one.id, { limit: 100 }));
    of(one)?.invoices.push(one);
  }
  for (const one of await all(stripe.checkout.sessions.list({ limit: 100 }))) of(one)?.sessions.push(one);
  const byCharge = new Map<string, Theirs>();
  for (const one of await all(stripe.charges.list({ limit: 100 }))) {
    const theirs = of(one);
    theirs?.charges.push(one);
    if (theirs) byCharge.set(one.id, theirs);
  }
  const ofCharge = (object: { charge: Reference }) => byCharge.get(idOf(object.charge) ?? "");
  for (const one of await all(stripe.refunds.list({ limit: 100 }))) ofCharge(one)?.refunds.push(one);
  for (const one of await all(stripe.disputes.list({ limit: 100 }))) ofCharge(one)?.disputes.push(one);
  return byOrganization;
}

export const nothing = (): Theirs => ({
  subscriptions: [],
  invoices: [],
  sessions: [],
  charges: [],
  refunds: [],
  disputes: [],
});

export type Reference = string | { id: string } | null | undefined;

export const idOf = (reference: Reference): string | null =>
  typeof reference === "string" ? reference : (reference?.id ?? null);

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}
