// Time passes: first payment, renewals, month ends, trials, failures, refunds, changes of plan.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, DAY, dateOf, openSandbox, subscribe, subscribeSession, type TestSandbox, utc } from "./setup";

let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: utc(2026, 1, 31) });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

const read = (id: string) => stripe.subscriptions.retrieve(id);

async function eventTypes(): Promise<string[]> {
  const types: string[] = [];
  for await (const event of stripe.events.list({ limit: 100 })) types.push(event.type);
  return types.reverse();
}

function periodOf(subscription: Stripe.Subscription): string {
  const item = subscription.items.data[0];
  return `${dateOf(item?.current_period_start)} to ${dateOf(item?.current_period_end)}`;
}

describe("a first payment", () => {
  it("makes a subscription, a paid invoice and one event for each change", async () => {
    const { price, customer, product } = await catalogue(sandbox);
    const session = await subscribeSession(
      sandbox,
      { price: price.id, customer: customer.id },
      {
        metadata: { a: "session" },
        subscription_data: { metadata: { a: "subscription" } },
        client_reference_id: "org_1",
      },
    );
    expect(session).toMatchObject({
      status: "open",
      payment_status: "unpaid",
      amount_total: 2900,
      client_reference_id: "org_1",
    });
    const seen = (await eventTypes()).length;
    expect(await sandbox.pay(session.id)).toEqual({ status: "complete" });

    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription", "invoice"] });
    expect(paid).toMatchObject({ status: "complete", payment_status: "paid", metadata: { a: "session" } });
    const subscription = paid.subscription as Stripe.Subscription;
    expect(subscription).toMatchObject({
      status: "active",
      metadata: { a: "subscription" },
      billing_mode: { type: "flexible" },
    });
    expect(periodOf(subscription)).toBe("2026-01-31 to 2026-02-28");

    const invoice = paid.invoice as Stripe.Invoice;
    expect(invoice).toMatchObject({ status: "paid", billing_reason: "subscription_create", amount_paid: 2900 });
    expect(invoice.parent?.subscription_details).toMatchObject({
      subscription: subscription.id,
      metadata: { a: "subscription" },
    });
    const line = invoice.lines.data[0];
    expect(line?.pricing?.price_details).toEqual({ price: price.id, product: product.id });
    expect(line?.parent?.subscription_item_details).toMatchObject({ proration: false, subscription: subscription.id });

    const payments = await stripe.invoicePayments.list({ invoice: invoice.id });
    const intent = payments.data[0]?.payment.payment_intent as string;
    const reverse = await stripe.invoicePayments.list({ payment: { type: "payment_intent", payment_intent: intent } });
    expect(reverse.data[0]?.invoice).toBe(invoice.id);

    expect((await eventTypes()).slice(seen)).toEqual([
      "payment_intent.created",
      "charge.succeeded",
      "payment_intent.succeeded",
      "payment_method.attached",
      "customer.updated",
      "invoice.created",
      "invoice.finalized",
      "customer.subscription.created",
      "invoice.updated",
      "invoice.paid",
      "invoice.payment_succeeded",
      "invoice_payment.paid",
      "customer.subscription.updated",
      "checkout.session.completed",
    ]);
  });

  it("that is declined leaves the session open and makes no subscription", async () => {
    const { price, customer } = await catalogue(sandbox);
    const session = await subscribeSession(sandbox, { price: price.id, customer: customer.id });
    expect(await sandbox.pay(session.id, "4000000000009995")).toMatchObject({
      status: "declined",
      error: { message: "Your card has insufficient funds.", decline_code: "insufficient_funds" },
    });
    expect((await stripe.subscriptions.list({ customer: customer.id, status: "all" })).data).toEqual([]);
    expect(await sandbox.pay(session.id)).toEqual({ status: "complete" });
    const intents = await stripe.paymentIntents.list({ customer: customer.id });
    expect(intents.data.map(({ status }) => status)).toEqual(["succeeded"]);
  });

  it("through the API may stay incomplete, and expires after 23 hours", async () => {
    const { price, customer } = await catalogue(sandbox);
    const subscription = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: price.id }],
      payment_behavior: "default_incomplete",
      expand: ["latest_invoice.confirmation_secret"],
    });
    expect(subscription.status).toBe("incomplete");
    expect((subscription.latest_invoice as Stripe.Invoice).confirmation_secret?.client_secret).toContain("_secret_");
    await sandbox.setClock(utc(2026, 1, 31, 22));
    expect((await read(subscription.id)).status).toBe("incomplete");
    await sandbox.setClock(utc(2026, 1, 31, 23));
    expect((await read(subscription.id)).status).toBe("incomplete_expired");
  });
});

describe("renewals", () => {
  it("keep to the last day of short months and come back to the 31st", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    await sandbox.setClock(utc(2026, 6, 1));
    expect(periodOf(await read(id))).toBe("2026-05-31 to 2026-06-30");
    const invoices = await stripe.invoices.list({ subscription: id });
    const starts = invoices.data.map((invoice) => dateOf(invoice.lines.data[0]?.period.start)).reverse();
    expect(starts).toEqual(["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]);
    expect(invoices.data.map(({ status }) => status)).toEqual(["paid", "paid", "paid", "paid", "paid"]);
    // Each thing happened at its own instant: drafted at the period's start, finalized an hour later.
    expect(invoices.data[0]).toMatchObject({
      created: utc(2026, 5, 31),
      status_transitions: { finalized_at: utc(2026, 5, 31, 1), paid_at: utc(2026, 5, 31, 1) },
    });
  });

  it("leave a draft for an hour, as Stripe does", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    await sandbox.setClock(utc(2026, 2, 28));
    const { latest_invoice: latest } = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(latest).toMatchObject({ status: "draft", billing_reason: "subscription_cycle" });
    await sandbox.setClock(utc(2026, 2, 28, 1));
    expect((await stripe.invoices.retrieve((latest as Stripe.Invoice).id)).status).toBe("paid");
  });

  it("on the 29th of February fall on the 28th in other years", async () => {
    await sandbox.setClock(utc(2028, 2, 29));
    const { customer, product } = await catalogue(sandbox);
    const yearly = await stripe.prices.create({
      product: product.id,
      currency: "usd",
      unit_amount: 29_000,
      recurring: { interval: "year" },
    });
    const { id } = await subscribe(sandbox, { price: yearly.id, customer: customer.id });
    expect(periodOf(await read(id))).toBe("2028-02-29 to 2029-02-28");
    await sandbox.setClock(utc(2031, 3, 1));
    expect(periodOf(await read(id))).toBe("2031-02-28 to 2032-02-29");
  });

  it("that fail make it past due, are retried after 3, 5 and 7 days, and then end it", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const broken = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
    await stripe.subscriptions.update(id, { default_payment_method: broken.id });
    await sandbox.setClock(utc(2026, 2, 28, 2));
    const failed = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(failed.status).toBe("past_due");
    expect(failed.latest_invoice).toMatchObject({
      status: "open",
      attempt_count: 1,
      next_payment_attempt: utc(2026, 3, 3, 1),
    });
    await sandbox.setClock(utc(2026, 3, 14));
    expect((await read(id)).status).toBe("past_due");
    await sandbox.setClock(utc(2026, 3, 16));
    expect(await read(id)).toMatchObject({
      status: "canceled",
      ended_at: utc(2026, 3, 15, 1),
      cancellation_details: { reason: "payment_failed" },
    });
    const types = await eventTypes();
    expect(types.filter((type) => type === "invoice.payment_failed")).toHaveLength(4);
    expect(types.at(-1)).toBe("customer.subscription.deleted");
  });

  it("that failed once come back to life when the invoice is paid", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const broken = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
    await stripe.subscriptions.update(id, { default_payment_method: broken.id });
    await sandbox.setClock(utc(2026, 3, 1));
    const { latest_invoice: invoice } = await read(id);
    await expect(stripe.invoices.pay(invoice as string)).rejects.toMatchObject({ type: "StripeCardError" });
    await stripe.invoices.pay(invoice as string, { payment_method: "pm_card_visa" });
    expect((await read(id)).status).toBe("active");
    await expect(stripe.invoices.pay(invoice as string)).rejects.toThrow("already paid");
  });
});

describe("trials", () => {
  const trial = { subscription_data: { trial_period_days: 14 } };

  it("begin with an invoice of nothing and turn into a paid period", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id, latest_invoice } = await subscribe(
      sandbox,
      { price: price.id, customer: customer.id },
      undefined,
      trial,
    );
    expect(await read(id)).toMatchObject({ status: "trialing", trial_end: utc(2026, 2, 14) });
    expect(await stripe.invoices.retrieve(latest_invoice as string)).toMatchObject({ status: "paid", total: 0 });
    await sandbox.setClock(utc(2026, 2, 14, 2));
    const paying = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
    expect(paying.status).toBe("active");
    expect(paying.latest_invoice).toMatchObject({
      status: "paid",
      amount_paid: 2900,
      billing_reason: "subscription_cycle",
    });
    expect(periodOf(paying)).toBe("2026-02-14 to 2026-03-14");
    expect(await eventTypes()).toContain("customer.subscription.trial_will_end");
  });

  for (const [behavior, status] of [
    ["cancel", "canceled"],
    ["pause", "paused"],
    ["create_invoice", "past_due"],
  ] as const) {
    it(`without a card end as agreed: ${behavior} makes it ${status}`, async () => {
      const { price, customer } = await catalogue(sandbox);
      const session = await subscribeSession(
        sandbox,
        { price: price.id, customer: customer.id },
        {
          payment_method_collection: "if_required",
          subscription_data: {
            trial_period_days: 14,
            trial_settings: { end_behavior: { missing_payment_method: behavior } },
          },
        },
      );
      expect(session.payment_status).toBe("no_payment_required");
      await sandbox.control(`checkout/${session.id}/complete`, {});
      await sandbox.setClock(utc(2026, 2, 15));
      const { data } = await stripe.subscriptions.list({ customer: customer.id, status: "all" });
      expect(data.map((each) => each.status)).toEqual([status]);
      if (behavior === "pause") {
        expect(data[0]?.status_details?.paused.subscription.type).toBe("trial_end_without_payment_method");
      }
    });
  }
});

describe("an agreed end", () => {
  it("comes at the end of the period and can be taken back before", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const ending = await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    expect(ending).toMatchObject({ status: "active", cancel_at: utc(2026, 2, 28), cancel_at_period_end: true });
    expect(await stripe.subscriptions.update(id, { cancel_at_period_end: false })).toMatchObject({ cancel_at: null });
    await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    await sandbox.setClock(utc(2026, 3, 5));
    expect(await read(id)).toMatchObject({ status: "canceled", ended_at: utc(2026, 2, 28) });
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });

  it("may be now", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    expect(await stripe.subscriptions.cancel(id)).toMatchObject({
      status: "canceled",
      cancellation_details: { reason: "cancellation_requested" },
    });
    await expect(stripe.subscriptions.cancel(id)).rejects.toMatchObject({ code: "resource_missing" });
  });
});

describe("a change of plan", () => {
  async function twoPlans() {
    await sandbox.setClock(utc(2026, 4, 1));
    const { price, customer, product } = await catalogue(sandbox, 3000);
    const large = await stripe.prices.create({
      product: product.id,
      currency: "usd",
      unit_amount: 9000,
      recurring: { interval: "month" },
    });
    const subscription = await subscribe(sandbox, { price: price.id, customer: customer.id });
    await sandbox.setClock(utc(2026, 4, 16));
    return { subscription, large, item: subscription.items.data[0]?.id };
  }

  it("with always_invoice charges the rest of the period at once, as the preview said", async () => {
    const { subscription, large, item } = await twoPlans();
    const items = [{ id: item, price: large.id }];
    const preview = await stripe.invoices.createPreview({
      subscription: subscription.id,
      subscription_details: { items, proration_behavior: "always_invoice" },
    });
    expect(preview.amount_due).toBe(3000);
    const updated = await stripe.subscriptions.update(subscription.id, {
      items,
      proration_behavior: "always_invoice",
      expand: ["latest_invoice"],
    });
    expect(updated.items.data[0]?.price.id).toBe(large.id);
    expect(periodOf(updated)).toBe("2026-04-01 to 2026-05-01");
    const invoice = updated.latest_invoice as Stripe.Invoice;
    expect(invoice).toMatchObject({ status: "paid", billing_reason: "subscription_update", amount_paid: 3000 });
    expect(invoice.lines.data.map(({ amount }) => amount)).toEqual([-1500, 4500]);
    expect(invoice.lines.data.every((line) => line.parent?.subscription_item_details?.proration)).toBe(true);
  });

  it("with create_prorations waits for the next invoice, and with none charges nothing", async () => {
    const { subscription, large, item } = await twoPlans();
    await stripe.subscriptions.update(subscription.id, { items: [{ id: item, price: large.id }] });
    expect((await stripe.invoices.createPreview({ subscription: subscription.id })).amount_due).toBe(12_000);
    await sandbox.setClock(utc(2026, 5, 2));
    expect((await stripe.invoices.list({ subscription: subscription.id })).data[0]).toMatchObject({
      amount_paid: 12_000,
    });
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item, quantity: 3 }],
      proration_behavior: "none",
    });
    expect((await stripe.invoices.createPreview({ subscription: subscription.id })).amount_due).toBe(27_000);
  });

  it("to another interval starts a new period now", async () => {
    const { subscription, large, item } = await twoPlans();
    const yearly = await stripe.prices.create({
      product: large.product as string,
      currency: "usd",
      unit_amount: 90_000,
      recurring: { interval: "year" },
    });
    const updated = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item, price: yearly.id }],
      expand: ["latest_invoice"],
    });
    expect(periodOf(updated)).toBe("2026-04-16 to 2027-04-16");
    expect(updated.latest_invoice).toMatchObject({ amount_paid: 88_500, status: "paid" });
  });

  it("downwards leaves what is too much on the customer's balance", async () => {
    const { subscription, item } = await twoPlans();
    const small = await stripe.prices.create({
      product: subscription.items.data[0]?.price.product as string,
      currency: "usd",
      unit_amount: 1000,
      recurring: { interval: "month" },
    });
    await stripe.subscriptions.update(subscription.id, {
      items: [{ id: item, price: small.id }],
      proration_behavior: "always_invoice",
    });
    expect(await stripe.customers.retrieve(subscription.customer as string)).toMatchObject({ balance: -1000 });
    await sandbox.setClock(utc(2026, 5, 2));
    expect((await stripe.invoices.list({ subscription: subscription.id })).data[0]).toMatchObject({
      total: 1000,
      amount_due: 0,
      status: "paid",
    });
    expect(await stripe.customers.retrieve(subscription.customer as string)).toMatchObject({ balance: 0 });
  });
});

describe("one-off purchases", () => {
  async function buyPack(data: Stripe.Checkout.SessionCreateParams = {}) {
    const product = await stripe.products.create({ name: "1,000 credits" });
    const price = await stripe.prices.create({ product: product.id, currency: "jpy", unit_amount: 1500 });
    const customer = await stripe.customers.create({ email: "pack@example.com" });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      customer: customer.id,
      line_items: [{ price: price.id, quantity: 2 }],
      payment_intent_data: { metadata: { pack: "1000" } },
      success_url: "http://app.test/done",
      ...data,
    });
    await sandbox.pay(session.id);
    return await stripe.checkout.sessions.retrieve(session.id, { expand: ["payment_intent"] });
  }

  it("are refunded in parts, the charge telling the sum", async () => {
    const session = await buyPack();
    expect(session).toMatchObject({ payment_status: "paid", amount_total: 3000, currency: "jpy", invoice: null });
    const intent = session.payment_intent as Stripe.PaymentIntent;
    expect(intent.metadata).toEqual({ pack: "1000" });
    await stripe.refunds.create({ payment_intent: intent.id, amount: 1000 });
    await expect(stripe.refunds.create({ payment_intent: intent.id, amount: 2001 })).rejects.toThrow(
      "greater than unrefunded",
    );
    await stripe.refunds.create({ charge: intent.latest_charge as string });
    expect(await stripe.charges.retrieve(intent.latest_charge as string)).toMatchObject({
      amount_refunded: 3000,
      refunded: true,
    });
    const { data } = await stripe.refunds.list({ payment_intent: intent.id });
    expect(data.map(({ amount }) => amount)).toEqual([2000, 1000]);
    await expect(stripe.refunds.create({ payment_intent: intent.id })).rejects.toMatchObject({
      code: "charge_already_refunded",
    });
    const refunded = await stripe.events.list({ type: "charge.refunded" });
    expect(refunded.data.map((event) => event.data.previous_attributes)).toEqual([
      { amount_refunded: 1000, refunded: false },
      { amount_refunded: 0 },
    ]);
  });

  it("make an invoice only when it was asked for", async () => {
    const session = await buyPack({ invoice_creation: { enabled: true, invoice_data: { metadata: { pack: "yes" } } } });
    const invoice = await stripe.invoices.retrieve(session.invoice as string);
    expect(invoice).toMatchObject({
      status: "paid",
      parent: null,
      billing_reason: "manual",
      metadata: { pack: "yes" },
      amount_paid: 3000,
    });
  });

  it("expire after a day", async () => {
    const { price, customer } = await catalogue(sandbox);
    const session = await subscribeSession(sandbox, { price: price.id, customer: customer.id });
    await sandbox.setClock(utc(2026, 1, 31) + DAY);
    expect((await stripe.checkout.sessions.retrieve(session.id)).status).toBe("expired");
    expect(await eventTypes()).toContain("checkout.session.expired");
  });
});

describe("test clocks", () => {
  it("let one customer live through months while the others stand still", async () => {
    const { price, customer } = await catalogue(sandbox);
    const still = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: utc(2030, 5, 31) });
    const traveller = await stripe.customers.create({ email: "later@example.com", test_clock: clock.id });
    expect(traveller.created).toBe(utc(2030, 5, 31));
    const moving = await subscribe(sandbox, { price: price.id, customer: traveller.id });
    expect(moving.test_clock).toBe(clock.id);
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: utc(2030, 7, 1) });
    const advanced = await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: utc(2030, 8, 1) });
    expect(advanced).toMatchObject({ status: "ready", frozen_time: utc(2030, 8, 1) });
    expect(periodOf(await read(moving.id))).toBe("2030-07-31 to 2030-08-31");
    expect((await stripe.invoices.list({ subscription: moving.id })).data).toHaveLength(3);
    expect(periodOf(await read(still.id))).toBe("2026-01-31 to 2026-02-28");
    await stripe.testHelpers.testClocks.del(clock.id);
    expect((await read(moving.id)).status).toBe("canceled");
  });
});
