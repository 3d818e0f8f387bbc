// Updates that need a payment: what each payment_behavior makes of one that fails.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, openShop, type Shop } from "./plans";
import { DAY, eventsAbout, refusal, utc } from "./setup";

const MID = utc(2026, 4, 16);
const HOUR = 3600;

let shop: Shop;
let stripe: Stripe;
let id: string;
let item: string;
let customer: string;

/** A paid subscription in the middle of its period, whose customer's card fails from now on. */
beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
  const subscription = await shop.subscribe();
  id = subscription.id;
  item = itemOf(subscription).id;
  customer = subscription.customer as string;
  await shop.setCard(customer, "pm_card_chargeCustomerFail");
  await shop.setClock(MID);
});
afterEach(() => shop.close());

const upgrade = (
  payment: Stripe.SubscriptionUpdateParams.PaymentBehavior,
  data: Stripe.SubscriptionUpdateParams = {},
) =>
  stripe.subscriptions.update(id, {
    items: [{ id: item, price: shop.prices.large }],
    proration_behavior: "always_invoice",
    payment_behavior: payment,
    ...data,
  });
const read = () => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });

describe("a change whose payment fails", () => {
  it("is made all the same with allow_incomplete, and the subscription is past due", async () => {
    expect(itemOf(await upgrade("allow_incomplete")).price.id).toBe(shop.prices.large);
    expect(await read()).toMatchObject({
      status: "past_due",
      latest_invoice: { status: "open", total: 3000, attempt_count: 1 },
    });
  });

  it("waits for a payment with default_incomplete, none being tried", async () => {
    await upgrade("default_incomplete");
    expect(await read()).toMatchObject({ status: "past_due", latest_invoice: { status: "open", attempt_count: 0 } });
  });

  it("is refused with error_if_incomplete, and leaves nothing behind", async () => {
    const before = await read();
    const refused = await refusal(upgrade("error_if_incomplete"));
    expect(refused).toMatchObject({ type: "StripeCardError", statusCode: 402 });
    expect(await read()).toEqual(before);
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });
});

describe("a pending update", () => {
  it("changes nothing until its invoice is paid", async () => {
    const pending = await upgrade("pending_if_incomplete", { metadata: { plan: "large" } });
    expect(pending).toMatchObject({
      status: "active",
      metadata: {},
      items: { data: [{ price: { id: shop.prices.pro } }] },
      pending_update: {
        expires_at: MID + 23 * HOUR,
        subscription_items: [{ id: item, price: { id: shop.prices.large } }],
        billing_cycle_anchor: null,
      },
    });
    const invoice = pending.latest_invoice as string;
    expect(await stripe.invoices.retrieve(invoice)).toMatchObject({ status: "open", total: 3000 });
    await refusal(stripe.invoices.pay(invoice));
    expect((await read()).pending_update?.expires_at).toBe(MID + 23 * HOUR);
    await stripe.invoices.pay(invoice, { payment_method: "pm_card_visa" });
    expect(await read()).toMatchObject({
      status: "active",
      pending_update: null,
      metadata: { plan: "large" },
      items: { data: [{ id: item, price: { id: shop.prices.large } }] },
    });
    expect((await eventsAbout(shop, id)).slice(1)).toEqual([
      "customer.subscription.updated",
      "customer.subscription.updated",
      "customer.subscription.updated",
      "customer.subscription.pending_update_applied",
    ]);
    await shop.setClock(MID + DAY);
    expect((await stripe.invoices.retrieve(invoice)).status).toBe("paid");
  });

  it("that is paid at once is an update like any other", async () => {
    await shop.setCard(customer, "pm_card_visa");
    expect(await upgrade("pending_if_incomplete")).toMatchObject({
      pending_update: null,
      items: { data: [{ price: { id: shop.prices.large } }] },
    });
    expect(await eventsAbout(shop, id)).not.toContain("customer.subscription.pending_update_applied");
  });

  it("expires after 23 hours: its invoice is void and nothing was changed", async () => {
    const { latest_invoice: invoice } = await upgrade("pending_if_incomplete");
    await shop.setClock(MID + 23 * HOUR - 1);
    expect((await read()).pending_update).not.toBeNull();
    await shop.setClock(MID + 23 * HOUR);
    expect(await read()).toMatchObject({
      status: "active",
      pending_update: null,
      items: { data: [{ price: { id: shop.prices.pro } }] },
    });
    expect(await stripe.invoices.retrieve(invoice as string)).toMatchObject({ status: "void" });
    expect((await eventsAbout(shop, id)).at(-1)).toBe("customer.subscription.pending_update_expired");
    // What was offered is not given back: the old price's time still counts.
    const shown = await stripe.invoices.createPreview({ subscription: id, subscription_details: { cancel_now: true } });
    expect(shown.total).toBe(-1404);
  });

  it("ends with the period, if that is sooner", async () => {
    await shop.setClock(utc(2026, 4, 30, 20));
    const pending = await upgrade("pending_if_incomplete");
    expect(pending.pending_update?.expires_at).toBe(utc(2026, 5, 1));
    await shop.setClock(utc(2026, 5, 1));
    expect(await read()).toMatchObject({ pending_update: null, latest_invoice: { total: 3000, status: "draft" } });
  });

  it("is given up by voiding its invoice, and by another update", async () => {
    const first = await upgrade("pending_if_incomplete");
    await stripe.invoices.voidInvoice(first.latest_invoice as string);
    expect((await read()).pending_update).toBeNull();
    const second = await upgrade("pending_if_incomplete");
    const third = await stripe.subscriptions.update(id, {
      items: [{ id: item, price: shop.prices.small }],
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
    });
    expect(third).toMatchObject({ pending_update: null, items: { data: [{ price: { id: shop.prices.small } }] } });
    expect((await stripe.invoices.retrieve(second.latest_invoice as string)).status).toBe("void");
  });

  it("takes only what it can hold back", async () => {
    const refused = await refusal(upgrade("pending_if_incomplete", { cancel_at_period_end: true }));
    expect(refused.message).toContain("`cancel_at_period_end` is not supported");
  });

  it("that costs nothing is made at once", async () => {
    const changed = await upgrade("pending_if_incomplete", { proration_behavior: "none" });
    expect(changed).toMatchObject({ pending_update: null, items: { data: [{ price: { id: shop.prices.large } }] } });
  });
});
