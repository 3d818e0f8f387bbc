// Stripe's side of a push: all pages of everything that we may have put there, archived objects included.
import { callStripe, expectObject, type Stripe } from "../../stripe";
import type { ChangeKind } from "./changes";

export interface Theirs {
  accountId: string;
  products: Stripe.Product[];
  prices: Stripe.Price[];
  meters: Stripe.Billing.Meter[];
  portals: Stripe.BillingPortal.Configuration[];
  endpoints: Stripe.WebhookEndpoint[];
}

// The portal's products are only told where they are asked for.
export const PORTAL_EXPAND = ["features.subscription_update.products"];

/** @param kinds what is looked at; of anything else there seems to be nothing */
export async function loadTheirs(stripe: Stripe, kinds: ReadonlySet<ChangeKind>): Promise<Theirs> {
  const page = { limit: 100 };
  const expand = PORTAL_EXPAND.map((field) => `data.${field}`);
  const account = await callStripe(() => stripe.accounts.retrieveCurrent());
  const all = <T>(kind: ChangeKind, list: () => AsyncIterable<T>) => (kinds.has(kind) ? collect(list()) : []);
  const [products, prices, meters, portals, endpoints] = await Promise.all([
    all("product", () => stripe.products.list(page)),
    all("price", () => stripe.prices.list(page)),
    all("meter", () => stripe.billing.meters.list(page)),
    all("portal_configuration", () => stripe.billingPortal.configurations.list({ ...page, expand })),
    all("webhook_endpoint", () => stripe.webhookEndpoints.list(page)),
  ]);
  return { accountId: expectObject("account", account).id, products, prices, meters, portals, endpoints };
}

function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  return callStripe(async () => {
    const found: T[] = [];
    for await (const one of list) found.push(one);
    return found;
  });
}
