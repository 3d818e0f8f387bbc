// The customer portal: what its configuration allows, and sessions that are opened for one thing.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, openShop, type Shop, START } from "./plans";
import { refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const MID = utc(2026, 4, 16);
const CARD = { cardNumber: "5555555555554444", cardExpiry: "12 / 40", cardCvc: "123", billingName: "Jenny Rosen" };

let shop: Shop;
let stripe: Stripe;
let id: string;
let customer: string;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
  const subscription = await shop.subscribe();
  id = subscription.id;
  customer = subscription.customer as string;
  await shop.setClock(MID);
});
afterEach(() => shop.close());

const read = () => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice", "schedule"] });

async function get(url: string) {
  const response = await fetch(url, { redirect: "manual" });
  return { status: response.status, text: await response.text(), location: response.headers.get("location") };
}
async function post(url: string, form: Record<string, string> = {}) {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(form), redirect: "manual" });
  return { status: response.status, text: await response.text(), location: response.headers.get("location") };
}

type Features = Stripe.BillingPortal.ConfigurationCreateParams.Features;
type Update = NonNullable<Features["subscription_update"]>;

const offer = (update: Partial<Update> = {}): Features => ({
  payment_method_update: { enabled: true },
  invoice_history: { enabled: true },
  subscription_cancel: { enabled: true },
  subscription_update: {
    enabled: true,
    default_allowed_updates: ["price", "quantity"],
    products: [
      {
        product: shop.product,
        prices: [shop.prices.small, shop.prices.pro, shop.prices.large, shop.prices.yearly],
        adjustable_quantity: { enabled: true, minimum: 1, maximum: 10 },
      },
    ],
    proration_behavior: "always_invoice",
    ...update,
  },
});

async function open(features: Features, flow?: Stripe.BillingPortal.SessionCreateParams.FlowData): Promise<string> {
  const configuration = await stripe.billingPortal.configurations.create({ features });
  const session = await stripe.billingPortal.sessions.create({
    customer,
    configuration: configuration.id,
    return_url: "http://app.test/billing",
    flow_data: flow,
  });
  return session.url;
}

describe("another plan", () => {
  it("is prorated at once, as the configuration says", async () => {
    const url = await open(offer());
    expect((await post(`${url}/change/${id}`, { price: shop.prices.large })).status).toBe(303);
    const after = await read();
    expect(itemOf(after).price.id).toBe(shop.prices.large);
    expect(after.latest_invoice).toMatchObject({ total: 3000, status: "paid" });
  });

  it("waits with its prorations, or has none", async () => {
    const url = await open(offer({ proration_behavior: "create_prorations" }));
    await post(`${url}/change/${id}`, { price: shop.prices.large });
    expect((await stripe.invoiceItems.list({ customer, pending: true })).data).toHaveLength(2);
    const other = await open(offer({ proration_behavior: "none" }));
    await post(`${other}/change/${id}`, { price: shop.prices.small });
    expect((await stripe.invoiceItems.list({ customer, pending: true })).data).toHaveLength(2);
    expect(itemOf(await read()).price.id).toBe(shop.prices.small);
  });

  for (const [type, price, now] of [
    ["decreasing_item_amount", "small", false],
    ["decreasing_item_amount", "large", true],
    ["shortening_interval", "small", true],
  ] as const) {
    it(`with the condition ${type}: to ${price} is ${now ? "made now" : "put off"}`, async () => {
      const url = await open(offer({ schedule_at_period_end: { conditions: [{ type }] } }));
      await post(`${url}/change/${id}`, { price: shop.prices[price] });
      const after = await read();
      expect(itemOf(after).price.id).toBe(now ? shop.prices[price] : shop.prices.pro);
      expect(after.schedule === null).toBe(now);
    });
  }

  it("that shortens the interval comes with the end of the period, and can be taken back until then", async () => {
    const { id: yearly } = await shop.subscribe({ customer, items: [{ price: shop.prices.yearly }] });
    const url = await open(offer({ schedule_at_period_end: { conditions: [{ type: "shortening_interval" }] } }));
    await post(`${url}/change/${yearly}`, { price: shop.prices.small });
    expect((await get(url)).text).toContain("Your plan will change on");
    await post(`${url}/keep/${yearly}`);
    expect((await stripe.subscriptions.retrieve(yearly)).schedule).toBeNull();
    await post(`${url}/change/${yearly}`, { price: shop.prices.small });
    await shop.setClock(utc(2027, 4, 16, 2));
    const after = await stripe.subscriptions.retrieve(yearly, { expand: ["latest_invoice"] });
    expect(itemOf(after)).toMatchObject({ price: { id: shop.prices.small }, current_period_end: utc(2027, 5, 16) });
    expect(after.latest_invoice).toMatchObject({ total: 1500, status: "paid" });
  });

  it("and another quantity, within limits", async () => {
    const url = await open(offer());
    expect((await get(`${url}/change/${id}`)).text).toContain('max="10"');
    expect((await post(`${url}/change/${id}`, { quantity: "11" })).text).toContain("from 1 to 10");
    await post(`${url}/change/${id}`, { quantity: "3" });
    expect(itemOf(await read())).toMatchObject({ quantity: 3, price: { id: shop.prices.pro } });
    expect((await read()).latest_invoice).toMatchObject({ total: 3000 });
  });

  it("is not offered where the configuration does not allow it", async () => {
    const url = await open(offer({ default_allowed_updates: ["promotion_code"] }));
    expect((await get(url)).text).not.toContain("Change plan");
    expect((await post(`${url}/change/${id}`, { price: shop.prices.large })).status).toBe(303);
    expect(itemOf(await read()).price.id).toBe(shop.prices.pro);
  });
});

describe("the end of a plan", () => {
  for (const [proration, balance] of [
    ["always_invoice", -1500],
    ["none", 0],
  ] as const) {
    it(`comes at once with ${proration}, and a reason`, async () => {
      const url = await open({
        subscription_cancel: {
          enabled: true,
          mode: "immediately",
          proration_behavior: proration,
          cancellation_reason: { enabled: true, options: ["too_expensive", "other"] },
        },
      });
      expect((await get(`${url}/cancel/${id}`)).text).toContain("too expensive");
      await post(`${url}/cancel/${id}`, { feedback: "too_expensive" });
      expect(await read()).toMatchObject({
        status: "canceled",
        cancellation_details: { reason: "cancellation_requested", feedback: "too_expensive" },
      });
      expect(await stripe.customers.retrieve(customer)).toMatchObject({ balance });
    });
  }
});

describe("a flow", () => {
  const redirect = { type: "redirect" as const, redirect: { return_url: "http://app.test/done" } };

  it("for a payment method leads back to the app", async () => {
    const url = await open(offer(), { type: "payment_method_update", after_completion: redirect });
    expect((await get(url)).location).toMatch(/\/payment-method$/);
    expect((await get(`${url}/cancel/${id}`)).location).toMatch(/\/payment-method$/);
    expect((await post(`${url}/payment-method`, CARD)).location).toBe("http://app.test/done");
    const { default_payment_method: method } = await stripe.subscriptions.retrieve(id, {
      expand: ["default_payment_method"],
    });
    expect(method).toMatchObject({ card: { last4: "4444" } });
    expect((await get(url)).text).toContain("Manage your billing");
  });

  it("for the end of a plan leads to the portal", async () => {
    const url = await open(offer(), { type: "subscription_cancel", subscription_cancel: { subscription: id } });
    expect((await get(url)).location).toMatch(new RegExp(`/cancel/${id}$`));
    const { location } = await post(`${url}/cancel/${id}`);
    expect(url.endsWith(location ?? "none")).toBe(true);
    expect((await read()).cancel_at).toBe(MAY);
    const again = stripe.billingPortal.sessions.create({
      customer,
      flow_data: { type: "subscription_cancel", subscription_cancel: { subscription: id } },
    });
    expect((await refusal(again)).message).toContain("already set to be canceled");
  });

  it("for a change leads to a confirmation", async () => {
    const url = await open(offer(), {
      type: "subscription_update",
      subscription_update: { subscription: id },
      after_completion: { type: "hosted_confirmation", hosted_confirmation: { custom_message: "Enjoy it!" } },
    });
    expect((await get(url)).location).toMatch(new RegExp(`/change/${id}$`));
    const done = await post(`${url}/change/${id}`, { price: shop.prices.large });
    expect(done).toMatchObject({ status: 200 });
    expect(done.text).toContain("Enjoy it!");
    expect(itemOf(await read()).price.id).toBe(shop.prices.large);
  });

  it("that confirms one change says what it costs, and does it", async () => {
    const item = itemOf(await read()).id;
    const url = await open(offer(), {
      type: "subscription_update_confirm",
      subscription_update_confirm: { subscription: id, items: [{ id: item, price: shop.prices.large, quantity: 2 }] },
      after_completion: redirect,
    });
    const page = await get(`${url}/confirm/${id}`);
    expect(page.text).toContain("2 × Pro, $90.00 per month");
    expect(page.text).toContain("Due today: $75.00.");
    expect((await post(`${url}/confirm/${id}`)).location).toBe("http://app.test/done");
    expect(itemOf(await read())).toMatchObject({ quantity: 2, price: { id: shop.prices.large } });
    expect((await read()).latest_invoice).toMatchObject({ amount_paid: 7500 });
  });

  it("that confirms shows a declined card and changes nothing", async () => {
    const item = itemOf(await read()).id;
    await shop.setCard(customer, "pm_card_chargeCustomerFail");
    const url = await open(offer(), {
      type: "subscription_update_confirm",
      subscription_update_confirm: { subscription: id, items: [{ id: item, price: shop.prices.large }] },
    });
    expect((await post(`${url}/confirm/${id}`)).text).toContain("declined");
    expect(itemOf(await read()).price.id).toBe(shop.prices.pro);
  });

  it("needs its feature, and a subscription of the customer", async () => {
    const none = await stripe.billingPortal.configurations.create({ features: { invoice_history: { enabled: true } } });
    const flow = { type: "subscription_update" as const, subscription_update: { subscription: id } };
    const closed = stripe.billingPortal.sessions.create({ customer, configuration: none.id, flow_data: flow });
    expect((await refusal(closed)).message).toContain("`subscription_update`");
    const stranger = await shop.customer();
    const { id: configuration } = await stripe.billingPortal.configurations.create({ features: offer() });
    const cancel = { type: "subscription_cancel" as const, subscription_cancel: { subscription: id } };
    const foreign = stripe.billingPortal.sessions.create({ customer: stranger, configuration, flow_data: cancel });
    expect((await refusal(foreign)).param).toBe("flow_data[subscription_cancel][subscription]");
    const empty = stripe.billingPortal.sessions.create({
      customer,
      configuration,
      flow_data: { type: "subscription_cancel" },
    });
    expect((await refusal(empty)).code).toBe("parameter_missing");
  });
});

describe("a configuration", () => {
  it("keeps what it was given", async () => {
    const created = await stripe.billingPortal.configurations.create({
      features: offer({ schedule_at_period_end: { conditions: [{ type: "shortening_interval" }] } }),
    });
    expect(created.features.subscription_update).toMatchObject({
      schedule_at_period_end: { conditions: [{ type: "shortening_interval" }] },
      products: [{ adjustable_quantity: { enabled: true, minimum: 1, maximum: 10 } }],
    });
    expect(created.created).toBe(MID);
    expect(START).toBeLessThan(MID);
  });

  it("refuses plans that are not there, and changes without any", async () => {
    const prices = [shop.prices.pro];
    const create = (features: Features) => refusal(stripe.billingPortal.configurations.create({ features }));
    const foreign = await stripe.products.create({ name: "Other" });
    expect((await create(offer({ products: [{ product: foreign.id, prices }] }))).param).toBe(
      "features[subscription_update][products][0][prices][0]",
    );
    expect((await create(offer({ products: "" }))).code).toBe("parameter_missing");
    const cancel = { enabled: true, mode: "at_period_end" as const, proration_behavior: "always_invoice" as const };
    expect((await create({ subscription_cancel: cancel })).param).toBe(
      "features[subscription_cancel][proration_behavior]",
    );
  });
});
