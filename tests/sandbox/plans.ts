// A shop for tests of subscriptions: plans whose prices divide well by days, and customers with a card.
import type Stripe from "stripe";
import type { SandboxOptions } from "../../src/sandbox/index";
import { openSandbox, utc } from "./setup";

/** The first of April, which has 30 days: `pro` costs 100 a day. */
export const START = utc(2026, 4, 1);

export async function openShop(options: Partial<SandboxOptions> = {}) {
  const sandbox = await openSandbox({ now: START, ...options });
  const { stripe } = sandbox;
  const product = await stripe.products.create({ name: "Pro" });
  const price = async (amount: number, interval: "month" | "year" | "week" = "month") =>
    (await stripe.prices.create({ product: product.id, currency: "usd", unit_amount: amount, recurring: { interval } }))
      .id;
  const prices = {
    small: await price(1500),
    pro: await price(3000),
    large: await price(9000),
    seats: await price(600),
    yearly: await price(90_000, "year"),
    free: await price(0),
  };
  const customer = async (card: string | null = "pm_card_visa", data: Stripe.CustomerCreateParams = {}) => {
    const { id } = await stripe.customers.create({ email: "jenny@example.com", ...data });
    if (card) await setCard(id, card);
    return id;
  };
  const setCard = async (id: string, card: string) => {
    const method = await stripe.paymentMethods.attach(card, { customer: id });
    await stripe.customers.update(id, { invoice_settings: { default_payment_method: method.id } });
  };
  const subscribe = async (data: Partial<Stripe.SubscriptionCreateParams> = {}) =>
    await stripe.subscriptions.create({
      customer: data.customer ?? (await customer()),
      items: [{ price: prices.pro }],
      ...data,
    });
  return { ...sandbox, product: product.id, prices, customer, setCard, subscribe };
}

export type Shop = Awaited<ReturnType<typeof openShop>>;

export function itemOf(subscription: Stripe.Subscription, at = 0): Stripe.SubscriptionItem {
  const item = subscription.items.data[at];
  if (!item) throw new Error("there is no such item");
  return item;
}

/** A line in a few words: amount, days of its period, what it is about. */
export function lineOf(line: Stripe.InvoiceLineItem) {
  const details = line.parent?.subscription_item_details;
  return {
    amount: line.amount,
    from: line.period.start,
    until: line.period.end,
    price: line.pricing?.price_details?.price,
    proration: details?.proration,
  };
}
