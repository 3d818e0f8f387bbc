// Tax by country, by hand and not at all: on invoices, in Checkout, with discounts, and what exempts from it.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, eventsAbout, openSandbox, refusal, subscribeSession, type TestSandbox, utc } from "./setup";

const START = utc(2026, 1, 31);
let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

/** A customer in a country, with a card, and a plan of 29.00 a month. */
async function buyer(country: string | null, more: Stripe.CustomerUpdateParams = {}) {
  const { price, customer, product } = await catalogue(sandbox);
  const { id: method } = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: method },
    ...(country && { address: { country } }),
    ...more,
  });
  return { price: price.id, customer: customer.id, product: product.id };
}

async function firstInvoice(
  { price, customer }: { price: string; customer: string },
  more: Partial<Stripe.SubscriptionCreateParams> = {},
): Promise<Stripe.Invoice> {
  const subscription = await stripe.subscriptions.create({
    customer,
    items: [{ price }],
    automatic_tax: { enabled: true },
    expand: ["latest_invoice"],
    ...more,
  });
  return subscription.latest_invoice as Stripe.Invoice;
}

const taxesOf = (invoice: Stripe.Invoice) =>
  invoice.total_taxes?.map(({ amount, taxable_amount, tax_behavior, taxability_reason }) => [
    amount,
    taxable_amount,
    tax_behavior,
    taxability_reason,
  ]);

describe("automatic tax", () => {
  it("is put on top of the price at the rate of the customer's country", async () => {
    const invoice = await firstInvoice(await buyer("DE"));
    expect(invoice).toMatchObject({
      subtotal: 2900,
      subtotal_excluding_tax: 2900,
      total_excluding_tax: 2900,
      total: 3451,
      amount_paid: 3451,
      automatic_tax: { enabled: true, status: "complete", provider: "stripe", disabled_reason: null },
    });
    expect(taxesOf(invoice)).toEqual([[551, 2900, "exclusive", "standard_rated"]]);
    expect(invoice.lines.data[0]?.taxes?.[0]).toMatchObject({ amount: 551, taxable_amount: 2900 });
    const id = invoice.total_taxes?.[0]?.tax_rate_details?.tax_rate as string;
    expect(await stripe.taxRates.retrieve(id)).toMatchObject({
      percentage: 19,
      country: "DE",
      inclusive: false,
      active: false,
    });
  });

  it("is within the price where the price says so", async () => {
    const { customer, product } = await buyer("FR");
    const price = await stripe.prices.create({
      product,
      currency: "usd",
      unit_amount: 3000,
      recurring: { interval: "month" },
      tax_behavior: "inclusive",
    });
    const invoice = await firstInvoice({ customer, price: price.id });
    expect(invoice).toMatchObject({
      subtotal: 3000,
      subtotal_excluding_tax: 2500,
      total: 3000,
      total_excluding_tax: 2500,
    });
    expect(taxesOf(invoice)).toEqual([[500, 2500, "inclusive", "standard_rated"]]);
  });

  it("is reckoned on what discounts leave, and given back with prorations", async () => {
    const bought = await buyer("GB");
    const { id: coupon } = await stripe.coupons.create({ percent_off: 50, duration: "forever" });
    const invoice = await firstInvoice(bought, { discounts: [{ coupon }] });
    expect(invoice).toMatchObject({ subtotal: 2900, total: 1740, total_excluding_tax: 1450 });
    expect(taxesOf(invoice)).toEqual([[290, 1450, "exclusive", "standard_rated"]]);
    const { data } = await stripe.subscriptions.list({ customer: bought.customer });
    const [item] = data[0]?.items.data ?? [];
    const change = { items: [{ id: item?.id, quantity: 2 }], proration_behavior: "always_invoice" as const };
    const after = await stripe.subscriptions.update(data[0]?.id ?? "", { ...change, expand: ["latest_invoice"] });
    const second = after.latest_invoice as Stripe.Invoice;
    expect(second.lines.data.map(({ amount, taxes }) => [amount, taxes?.[0]?.amount])).toEqual([
      [-1450, -290],
      [2900, 580],
    ]);
    expect(second.total).toBe(1740);
  });

  it("is not collected where the account is not registered, nor from exempt customers and businesses abroad", async () => {
    expect(taxesOf(await firstInvoice(await buyer("US")))).toEqual([[0, 0, "exclusive", "not_collecting"]]);
    expect(taxesOf(await firstInvoice(await buyer("DE", { tax_exempt: "exempt" })))).toEqual([
      [0, 0, "exclusive", "customer_exempt"],
    ]);
    expect(taxesOf(await firstInvoice(await buyer("DE", { tax_exempt: "reverse" })))).toEqual([
      [0, 2900, "exclusive", "reverse_charge"],
    ]);
    const business = await buyer("DE");
    await stripe.customers.createTaxId(business.customer, { type: "eu_vat", value: "DE123456789" });
    const invoice = await firstInvoice(business);
    expect(taxesOf(invoice)).toEqual([[0, 2900, "exclusive", "reverse_charge"]]);
    expect(invoice.customer_tax_ids).toEqual([{ type: "eu_vat", value: "DE123456789" }]);
  });

  it("needs to know where the customer is", async () => {
    const bought = await buyer(null);
    expect((await refusal(firstInvoice(bought))).code).toBe("customer_tax_location_invalid");
    const draft = await stripe.invoices.create({ customer: bought.customer, automatic_tax: { enabled: true } });
    expect(draft.automatic_tax).toMatchObject({ enabled: true, status: "requires_location_inputs" });
    await stripe.invoiceItems.create({ invoice: draft.id, amount: 1000, currency: "usd" });
    expect((await refusal(stripe.invoices.finalizeInvoice(draft.id))).code).toBe("customer_tax_location_invalid");
    await stripe.customers.update(bought.customer, { address: { country: "IE" } });
    expect(await stripe.invoices.finalizeInvoice(draft.id)).toMatchObject({ total: 1230, status: "open" });
  });

  it("of a renewal is given up when the country is gone by then", async () => {
    const bought = await buyer("DE");
    const first = await firstInvoice(bought);
    await stripe.customers.update(bought.customer, { address: "" });
    await sandbox.setClock(utc(2026, 3, 1));
    const { data } = await stripe.invoices.list({ customer: bought.customer });
    expect(data[0]).toMatchObject({
      total: 2900,
      automatic_tax: { enabled: false, disabled_reason: "finalization_requires_location_inputs" },
    });
    expect(data[1]?.id).toBe(first.id);
  });
});

describe("tax in Checkout", () => {
  it("is known at once for a customer with an address", async () => {
    const bought = await buyer("NL");
    const session = await subscribeSession(sandbox, bought, { automatic_tax: { enabled: true } });
    expect(session).toMatchObject({
      amount_subtotal: 2900,
      amount_total: 3509,
      total_details: { amount_tax: 609 },
      automatic_tax: { enabled: true, status: "complete" },
    });
    await sandbox.pay(session.id);
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["invoice", "subscription"] });
    expect(paid.invoice).toMatchObject({ total: 3509, amount_paid: 3509 });
    expect(paid.subscription).toMatchObject({ automatic_tax: { enabled: true } });
  });

  it("waits for the country that the page asks for, and keeps it with a new customer", async () => {
    const { price } = await buyer(null);
    const session = await stripe.checkout.sessions.create({
      mode: "subscription",
      line_items: [{ price, quantity: 1 }],
      success_url: "http://app.test/done",
      automatic_tax: { enabled: true },
    });
    expect(session).toMatchObject({
      amount_total: 2900,
      automatic_tax: { status: "requires_location_inputs" },
    });
    const fields = {
      email: "new@example.com",
      country: "de",
      cardNumber: "4242424242424242",
      cardExpiry: "12 / 30",
      cardCvc: "123",
      billingName: "New",
    };
    const post = () =>
      fetch(session.url as string, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
    const asked = await post();
    expect(asked.status).toBe(200);
    expect(await asked.text()).toContain("$34.51");
    expect((await post()).status).toBe(303);
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["customer", "invoice"] });
    expect(paid).toMatchObject({
      status: "complete",
      amount_total: 3451,
      customer_details: { address: { country: "DE" } },
      customer: { address: { country: "DE" } },
      invoice: { total: 3451, amount_paid: 3451 },
    });
  });

  it("needs an address, or leave to keep one", async () => {
    const bought = await buyer(null);
    const open = (more: Stripe.Checkout.SessionCreateParams = {}) =>
      subscribeSession(sandbox, bought, { automatic_tax: { enabled: true }, ...more });
    expect((await refusal(open())).code).toBe("customer_tax_location_invalid");
    const session = await open({ customer_update: { address: "auto" } });
    expect(await sandbox.control(`checkout/${session.id}/complete`, { country: "FR" })).toEqual({ status: "complete" });
    expect(await stripe.customers.retrieve(bought.customer)).toMatchObject({ address: { country: "FR" } });
    expect((await stripe.checkout.sessions.retrieve(session.id)).total_details?.amount_tax).toBe(580);
  });
});

describe("tax rates", () => {
  it("of one's own choice apply to invoices and subscriptions", async () => {
    const bought = await buyer(null);
    const rate = await stripe.taxRates.create({ display_name: "Sales tax", percentage: 7.25, inclusive: false });
    expect(rate).toMatchObject({ object: "tax_rate", percentage: 7.25, effective_percentage: 7.25, active: true });
    const invoice = await firstInvoice(bought, { automatic_tax: { enabled: false }, default_tax_rates: [rate.id] });
    expect(invoice.total).toBe(3110);
    expect(taxesOf(invoice)).toEqual([[210, 2900, "exclusive", "not_available"]]);
    const updated = await stripe.taxRates.update(rate.id, { active: false });
    expect(updated.active).toBe(false);
    expect(
      (await refusal(firstInvoice(bought, { automatic_tax: { enabled: false }, default_tax_rates: [rate.id] }))).param,
    ).toBe("default_tax_rates[0]");
    expect(await eventsAbout(sandbox, rate.id)).toEqual(["tax_rate.created", "tax_rate.updated"]);
    expect((await stripe.taxRates.list({ active: true })).data).toEqual([]);
  });
});

describe("tax ids", () => {
  it("are kept with the customer, checked for their form", async () => {
    const { id } = await stripe.customers.create({});
    const made = await stripe.customers.createTaxId(id, { type: "gb_vat", value: "GB123456789" });
    expect(made).toMatchObject({ object: "tax_id", country: "GB", customer: id, type: "gb_vat" });
    expect((await stripe.customers.listTaxIds(id)).data.map((each) => each.id)).toEqual([made.id]);
    expect((await refusal(stripe.customers.createTaxId(id, { type: "eu_vat", value: "?" }))).code).toBe(
      "tax_id_invalid",
    );
    expect(await stripe.customers.deleteTaxId(id, made.id)).toEqual({ id: made.id, object: "tax_id", deleted: true });
    expect((await refusal(stripe.customers.retrieveTaxId(id, made.id))).code).toBe("resource_missing");
    expect(await eventsAbout(sandbox, made.id)).toEqual(["customer.tax_id.created", "customer.tax_id.deleted"]);
  });
});
