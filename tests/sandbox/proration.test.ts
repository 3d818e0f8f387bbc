// Changes in the middle of a period: what is given back, what is charged, and when.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, lineOf, openShop, type Shop, START } from "./plans";
import { DAY, refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const MID = utc(2026, 4, 16);

let shop: Shop;
let stripe: Stripe;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
});
afterEach(() => shop.close());

const latest = async (id: string) => {
  const { latest_invoice: invoice } = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
  return invoice as Stripe.Invoice;
};
const linesOf = (invoice: Stripe.Invoice) => invoice.lines.data.map(lineOf);
const pending = async (customer: string) =>
  (await stripe.invoiceItems.list({ customer, pending: true })).data.map(({ amount }) => amount).sort((a, b) => a - b);

describe("an upgrade that is invoiced at once", () => {
  it("gives back the unused half, charges the other one, and says what was credited", async () => {
    const { id, latest_invoice: first } = await shop.subscribe();
    const bought = (await stripe.invoices.retrieve(first as string)).lines.data[0];
    await shop.setClock(MID);
    const subscription = await stripe.subscriptions.retrieve(id);
    const item = itemOf(subscription);
    const updated = await stripe.subscriptions.update(id, {
      items: [{ id: item.id, price: shop.prices.large }],
      proration_behavior: "always_invoice",
    });
    const invoice = await latest(id);
    expect(invoice).toMatchObject({
      total: 3000,
      amount_paid: 3000,
      status: "paid",
      billing_reason: "subscription_update",
    });
    expect(linesOf(invoice)).toEqual([
      { amount: -1500, from: MID, until: MAY, price: shop.prices.pro, proration: true },
      { amount: 4500, from: MID, until: MAY, price: shop.prices.large, proration: true },
    ]);
    expect(invoice.lines.data[0]?.parent?.subscription_item_details).toMatchObject({
      subscription_item: item.id,
      proration_details: { credited_items: { invoice: first, invoice_line_items: [bought?.id] } },
    });
    expect(invoice.lines.data[1]?.parent?.subscription_item_details?.proration_details).toEqual({
      credited_items: null,
    });
    expect(itemOf(updated)).toMatchObject({ id: item.id, current_period_start: START, current_period_end: MAY });
  });

  it("rounds each line by itself, to the second", async () => {
    const { id } = await shop.subscribe();
    const at = START + 10 * DAY + 12_345;
    await shop.setClock(at);
    const { items } = await stripe.subscriptions.retrieve(id);
    await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.large }],
      proration_behavior: "always_invoice",
    });
    // 30 days are 2,592,000 s, of which 1,715,655 are left.
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-1986, 5957]);
  });

  it("takes time as used from another instant, if told so, and refuses one outside the period", async () => {
    const { id, items } = await shop.subscribe();
    await shop.setClock(MID);
    const change = {
      items: [{ id: items.data[0]?.id, price: shop.prices.large }],
      proration_behavior: "always_invoice" as const,
    };
    const refused = await refusal(stripe.subscriptions.update(id, { ...change, proration_date: MAY + 1 }));
    expect(refused.param).toBe("proration_date");
    await stripe.subscriptions.update(id, { ...change, proration_date: START + 10 * DAY });
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-2000, 6000]);
  });
});

describe("several changes in one period", () => {
  it("credit what was charged, also within one second", async () => {
    const { id, customer, items } = await shop.subscribe();
    const item = items.data[0]?.id;
    await shop.setClock(MID);
    for (const price of [shop.prices.large, shop.prices.small, shop.prices.pro]) {
      await stripe.subscriptions.update(id, { items: [{ id: item, price }] });
    }
    // pro −1500, large +4500 −4500, small +750 −750, pro +1500: back where it began.
    const waiting = await pending(customer as string);
    expect(waiting).toEqual([-4500, -1500, -750, 750, 1500, 4500]);
    await shop.setClock(MAY + 2 * 3600);
    expect(await latest(id)).toMatchObject({ total: 3000, amount_paid: 3000, status: "paid" });
    expect(await pending(customer as string)).toEqual([]);
  });

  it("give back nothing for a price that was never charged", async () => {
    const { id, items } = await shop.subscribe();
    const item = items.data[0]?.id;
    await shop.setClock(START + 10 * DAY);
    // The dear plan for free until May, then back to the old one: the 2000 left of the old price is what counts.
    await stripe.subscriptions.update(id, {
      items: [{ id: item, price: shop.prices.large }],
      proration_behavior: "none",
    });
    await stripe.subscriptions.update(id, {
      items: [{ id: item, price: shop.prices.small }],
      proration_behavior: "always_invoice",
    });
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-2000, 1000]);
  });

  it("have a credit line for each charge when time was charged in parts", async () => {
    const { id, items } = await shop.subscribe({ items: [{ price: shop.prices.seats, quantity: 5 }] });
    const item = items.data[0]?.id;
    await shop.setClock(START + 10 * DAY);
    await stripe.subscriptions.update(id, {
      items: [{ id: item, quantity: 10 }],
      proration_behavior: "always_invoice",
    });
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-2000, 4000]);
    await shop.setClock(START + 20 * DAY);
    await stripe.subscriptions.update(id, { items: [{ id: item, quantity: 4 }], proration_behavior: "always_invoice" });
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-2000, 800]);
  });
});

describe("a downgrade", () => {
  it("that is invoiced at once is paid at once and goes to the customer's balance", async () => {
    const { id, customer, items } = await shop.subscribe();
    await shop.setClock(MID);
    await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.small }],
      proration_behavior: "always_invoice",
    });
    expect(await latest(id)).toMatchObject({
      total: -750,
      amount_due: 0,
      amount_paid: 0,
      status: "paid",
      ending_balance: -750,
    });
    expect(await stripe.customers.retrieve(customer as string)).toMatchObject({ balance: -750 });
    await shop.setClock(MAY + 2 * 3600);
    expect(await latest(id)).toMatchObject({ total: 1500, amount_due: 750, amount_paid: 750, starting_balance: -750 });
  });
});

describe("quantities and items", () => {
  it("are set to one with a new price, unless a quantity comes with it", async () => {
    const { id, items } = await shop.subscribe({ items: [{ price: shop.prices.seats, quantity: 5 }] });
    const updated = await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.pro }],
    });
    expect(itemOf(updated).quantity).toBe(1);
  });

  it("are prorated when they are added and when they go", async () => {
    const { id, items, customer } = await shop.subscribe();
    await shop.setClock(MID);
    const added = await stripe.subscriptionItems.create({ subscription: id, price: shop.prices.seats, quantity: 2 });
    expect(added).toMatchObject({ quantity: 2, current_period_end: MAY });
    expect(await pending(customer as string)).toEqual([600]);
    await stripe.subscriptionItems.update(added.id, { quantity: 4 });
    expect(await pending(customer as string)).toEqual([-600, 600, 1200]);
    await stripe.subscriptionItems.del(items.data[0]?.id as string);
    expect(await pending(customer as string)).toEqual([-1500, -600, 600, 1200]);
    const refused = await refusal(stripe.subscriptionItems.del(added.id));
    expect(refused.message).toContain("at least one active item");
  });

  it("refuse the same price twice", async () => {
    const { id } = await shop.subscribe();
    const refused = await refusal(stripe.subscriptions.update(id, { items: [{ price: shop.prices.pro }] }));
    expect(refused.message).toBe(`Cannot add multiple subscription items with the same plan: ${shop.prices.pro}`);
  });

  it("that wait are deleted as invoice items are", async () => {
    const { id, items, customer } = await shop.subscribe();
    await shop.setClock(MID);
    await stripe.subscriptions.update(id, { items: [{ id: items.data[0]?.id, price: shop.prices.large }] });
    const list = await stripe.invoiceItems.list({ customer: customer as string, pending: true });
    expect(list.data.every((item) => item.proration && item.parent?.subscription_details?.subscription === id)).toBe(
      true,
    );
    for (const item of list.data) await stripe.invoiceItems.del(item.id);
    await shop.setClock(MAY + 2 * 3600);
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([9000]);
  });
});

describe("another interval", () => {
  it("begins a period now: a credit, the whole new price, and a new anchor", async () => {
    const { id, items } = await shop.subscribe();
    await shop.setClock(MID);
    const updated = await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.yearly }],
    });
    expect(updated.billing_cycle_anchor).toBe(MID);
    expect(linesOf(await latest(id))).toEqual([
      { amount: -1500, from: MID, until: MAY, price: shop.prices.pro, proration: true },
      { amount: 90_000, from: MID, until: utc(2027, 4, 16), price: shop.prices.yearly, proration: false },
    ]);
  });

  it("without prorations charges the new period and gives nothing back", async () => {
    const { id, items } = await shop.subscribe();
    await shop.setClock(MID);
    await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.yearly }],
      proration_behavior: "none",
    });
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([90_000]);
  });

  it("takes the other items with it to the new anchor", async () => {
    const { id, items } = await shop.subscribe({ items: [{ price: shop.prices.pro }, { price: shop.prices.seats }] });
    await shop.setClock(MID);
    const updated = await stripe.subscriptions.update(id, { billing_cycle_anchor: { type: "now" } });
    expect(updated.items.data.map((item) => item.current_period_end)).toEqual([utc(2026, 5, 16), utc(2026, 5, 16)]);
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([-1500, -300, 3000, 600]);
    expect(items.data).toHaveLength(2);
  });
});

describe("trials", () => {
  it("change their plan for nothing", async () => {
    const { id, items, customer } = await shop.subscribe({ trial_period_days: 14 });
    await shop.setClock(START + 5 * DAY);
    const updated = await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: shop.prices.large }],
      proration_behavior: "always_invoice",
    });
    expect(updated).toMatchObject({ status: "trialing", trial_end: START + 14 * DAY });
    expect(await pending(customer as string)).toEqual([]);
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
    await shop.setClock(START + 14 * DAY + 2 * 3600);
    expect(await latest(id)).toMatchObject({ total: 9000, status: "paid" });
  });

  it("that end now are charged now", async () => {
    const { id } = await shop.subscribe({ trial_period_days: 14 });
    await shop.setClock(START + 5 * DAY);
    const ended = await stripe.subscriptions.update(id, { trial_end: "now" });
    expect(ended).toMatchObject({
      status: "active",
      trial_end: START + 5 * DAY,
      billing_cycle_anchor: START + 5 * DAY,
    });
    expect(await latest(id)).toMatchObject({ total: 3000, status: "paid" });
  });

  it("that are given in the middle of a period give it back", async () => {
    const { id, customer } = await shop.subscribe();
    await shop.setClock(MID);
    const given = await stripe.subscriptions.update(id, { trial_end: MID + 10 * DAY });
    expect(given).toMatchObject({ status: "trialing", trial_start: MID, trial_end: MID + 10 * DAY });
    expect(await stripe.customers.retrieve(customer as string)).toMatchObject({ balance: -1500 });
    const moved = await stripe.subscriptions.update(id, { trial_end: MID + 12 * DAY });
    expect(itemOf(moved).current_period_end).toBe(MID + 12 * DAY);
    await shop.setClock(MID + 12 * DAY + 2 * 3600);
    expect(await latest(id)).toMatchObject({ total: 3000, amount_paid: 1500 });
  });
});

describe("an end in the middle of a period", () => {
  it("gives back the rest of it now, and charges it again when it is taken back", async () => {
    const { id, customer } = await shop.subscribe();
    const ending = await stripe.subscriptions.update(id, { cancel_at: MID });
    expect(ending).toMatchObject({ cancel_at: MID, cancellation_details: { reason: "cancellation_requested" } });
    expect(itemOf(ending).current_period_end).toBe(MID);
    expect(await pending(customer as string)).toEqual([-1500]);
    const going = await stripe.subscriptions.update(id, { cancel_at: "" });
    expect(itemOf(going).current_period_end).toBe(MAY);
    expect(await pending(customer as string)).toEqual([-1500, 1500]);
  });

  it("of a period to come makes that one a part, and ends with it", async () => {
    const { id } = await shop.subscribe();
    const end = utc(2026, 5, 11);
    await stripe.subscriptions.update(id, { cancel_at: end });
    await shop.setClock(MAY + 2 * 3600);
    // Ten of May's 31 days.
    expect(linesOf(await latest(id))).toEqual([
      { amount: 968, from: MAY, until: end, price: shop.prices.pro, proration: true },
    ]);
    await shop.setClock(end);
    expect(await stripe.subscriptions.retrieve(id)).toMatchObject({ status: "canceled", ended_at: end });
  });

  it("collects what waits with a last invoice", async () => {
    const { id, items } = await shop.subscribe();
    await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    await shop.setClock(MID);
    await stripe.subscriptions.update(id, { items: [{ id: items.data[0]?.id, price: shop.prices.large }] });
    await shop.setClock(MAY + 2 * 3600);
    expect(await stripe.subscriptions.retrieve(id)).toMatchObject({ status: "canceled", ended_at: MAY });
    expect(await latest(id)).toMatchObject({ total: 3000, status: "paid" });
  });
});

describe("an anchor in the future", () => {
  const anchored = (data: Partial<Stripe.SubscriptionCreateParams> = {}) =>
    shop.subscribe({ billing_cycle_anchor: utc(2026, 4, 11), ...data });

  it("makes the first period a part of one", async () => {
    const { id, items } = await anchored();
    expect(items.data[0]?.current_period_end).toBe(utc(2026, 4, 11));
    // Ten of the 31 days from the 11th of March.
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([968]);
    await shop.setClock(utc(2026, 4, 11, 2));
    expect(linesOf(await latest(id)).map(({ amount }) => amount)).toEqual([3000]);
  });

  it("without prorations costs nothing until then", async () => {
    const free = await anchored({ proration_behavior: "none" });
    expect(free).toMatchObject({ status: "active", latest_invoice: null });
    await shop.setClock(utc(2026, 4, 11, 2));
    expect(linesOf(await latest(free.id)).map(({ amount }) => amount)).toEqual([3000]);
  });
});

describe("canceling now", () => {
  for (const [rules, balance, waiting] of [
    [{ prorate: true, invoice_now: true }, -1500, []],
    [{ prorate: true }, 0, [-1500]],
    [{}, 0, []],
  ] as const) {
    it(`with ${JSON.stringify(rules)} leaves ${balance} on the balance and ${waiting.length} items`, async () => {
      const { id, customer } = await shop.subscribe();
      await shop.setClock(MID);
      expect(await stripe.subscriptions.cancel(id, rules)).toMatchObject({ status: "canceled", ended_at: MID });
      expect(await stripe.customers.retrieve(customer as string)).toMatchObject({ balance });
      expect(await pending(customer as string)).toEqual(waiting);
    });
  }

  it("drops prorations that wait, unless they are invoiced", async () => {
    for (const invoiceNow of [false, true]) {
      const { id, items, customer } = await shop.subscribe();
      await shop.setClock((await stripe.subscriptions.retrieve(id)).created + 15 * DAY);
      await stripe.subscriptions.update(id, { items: [{ id: items.data[0]?.id, price: shop.prices.large }] });
      await stripe.subscriptions.cancel(id, { invoice_now: invoiceNow });
      expect(await pending(customer as string)).toEqual([]);
      const invoices = await stripe.invoices.list({ subscription: id });
      expect(invoices.data.map(({ billing_reason }) => billing_reason)).toEqual(
        invoiceNow ? ["subscription_update", "subscription_create"] : ["subscription_create"],
      );
    }
  });
});
