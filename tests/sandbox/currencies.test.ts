// Prices in several currencies, and currencies without minor units or with three decimals.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatMoney, parseMoney } from "../../src/sandbox/money";
import { DAY, openSandbox, refusal, subscribeSession, type TestSandbox, utc } from "./setup";

const START = utc(2026, 1, 31);
let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

/** A plan of 29.00 USD, 27.00 EUR (tax included) or ¥4,500 a month. */
async function plan() {
  const product = await stripe.products.create({ name: "Pro" });
  return await stripe.prices.create({
    product: product.id,
    currency: "usd",
    unit_amount: 2900,
    recurring: { interval: "month" },
    currency_options: { EUR: { unit_amount: 2700, tax_behavior: "inclusive" }, jpy: { unit_amount: 4500 } },
  });
}

async function payer() {
  const customer = await stripe.customers.create({ email: "many@example.com", address: { country: "DE" } });
  const { id } = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: id } });
  return customer.id;
}

describe("a price in several currencies", () => {
  it("shows them only when asked, its own among them", async () => {
    const { id, currency_options } = await plan();
    expect(currency_options).toBeUndefined();
    const shown = await stripe.prices.retrieve(id, { expand: ["currency_options"] });
    expect(Object.keys(shown.currency_options ?? {}).sort()).toEqual(["eur", "jpy", "usd"]);
    expect(shown.currency_options?.eur).toMatchObject({ unit_amount: 2700, tax_behavior: "inclusive" });
    const updated = await stripe.prices.update(id, {
      currency_options: { gbp: { unit_amount: 2400 }, jpy: { unit_amount: 4400 } },
      expand: ["currency_options"],
    });
    expect(updated.currency_options?.gbp?.unit_amount).toBe(2400);
    expect(updated.currency_options?.jpy?.unit_amount).toBe(4400);
    expect(updated.currency_options?.usd?.unit_amount).toBe(2900);
    const wrong = stripe.prices.update(id, { currency_options: { zzz: { unit_amount: 1 } } });
    expect((await refusal(wrong)).param).toBe("currency_options[zzz]");
  });

  it("is paid in the one that the session names", async () => {
    const price = await plan();
    const customer = await payer();
    const session = await subscribeSession(
      sandbox,
      { price: price.id, customer },
      { currency: "eur", automatic_tax: { enabled: true } },
    );
    expect(session).toMatchObject({ currency: "eur", amount_total: 2700, total_details: { amount_tax: 431 } });
    await sandbox.pay(session.id);
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription", "invoice"] });
    expect(paid.subscription).toMatchObject({ currency: "eur" });
    expect(paid.invoice).toMatchObject({ currency: "eur", total: 2700, total_excluding_tax: 2269, amount_paid: 2700 });
    expect((await stripe.customers.retrieve(customer)) as Stripe.Customer).toMatchObject({ currency: "eur" });
    const other = subscribeSession(sandbox, { price: price.id, customer: await payer() }, { currency: "chf" });
    expect((await refusal(other)).param).toBe("currency");
  });

  it("stays in the subscription's currency, whole yen included", async () => {
    const price = await plan();
    const customer = await payer();
    const subscription = await stripe.subscriptions.create({ customer, items: [{ price: price.id }], currency: "jpy" });
    expect(subscription.currency).toBe("jpy");
    // Nine of 28 days are over: 4500 × 19 ÷ 28 = 3053.57.
    await sandbox.setClock(START + 9 * DAY);
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: subscription.items.data[0]?.id, quantity: 2 }],
      proration_behavior: "always_invoice",
    });
    const { data } = await stripe.invoices.list({ subscription: subscription.id });
    expect(data.map(({ currency, total }) => [currency, total])).toEqual([
      ["jpy", 3053],
      ["jpy", 4500],
    ]);
    expect(data[0]?.lines.data.map(({ amount }) => amount)).toEqual([-3054, 6107]);
    const page = await (await fetch(data[1]?.hosted_invoice_url as string)).text();
    expect(page).toContain("¥4,500");
  });
});

describe("amounts", () => {
  it("are shown with the decimals of their currency", () => {
    expect(formatMoney(2900, "usd")).toBe("$29.00");
    expect(formatMoney(1200, "jpy")).toBe("¥1,200");
    expect(formatMoney(1500, "kwd").replaceAll("\u00a0", " ")).toBe("KWD 1.500");
  });

  it("are read with the decimals of their currency", () => {
    expect(parseMoney("12.5", "usd")).toBe(1250);
    expect(parseMoney("12", "jpy")).toBe(12);
    expect(parseMoney("1.25", "kwd")).toBe(1250);
    expect(() => parseMoney("1.5", "jpy")).toThrow("Not an amount");
  });

  it("in dinars go all the way through", async () => {
    const product = await stripe.products.create({ name: "Dinar" });
    const price = await stripe.prices.create({ product: product.id, currency: "kwd", unit_amount: 8750 });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      line_items: [{ price: price.id, quantity: 2 }],
      success_url: "http://app.test/done",
    });
    expect(session.amount_total).toBe(17_500);
    expect(await (await fetch(session.url as string)).text()).toContain("17.500");
  });
});
