// What a preview shows is what the change then makes.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, lineOf, openShop, type Shop, START } from "./plans";
import { DAY, refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const MID = START + 13 * DAY + 4321;

let shop: Shop;
let stripe: Stripe;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
});
afterEach(() => shop.close());

type Details = Stripe.InvoiceCreatePreviewParams.SubscriptionDetails;

/** Everything of an invoice that says what is asked for. */
function gist(invoice: Stripe.Invoice) {
  const { subtotal, total, amount_due, starting_balance, period_start, period_end } = invoice;
  return {
    subtotal,
    total,
    amount_due,
    starting_balance,
    period_start,
    period_end,
    lines: invoice.lines.data.map(lineOf),
  };
}

async function latest(id: string): Promise<Stripe.Invoice> {
  const { latest_invoice: invoice } = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
  return invoice as Stripe.Invoice;
}

type Row = [name: string, change: (item: string) => Details, at: "once" | "renewal"];

const rows: Row[] = [
  ["nothing", () => ({}), "renewal"],
  [
    "an upgrade, invoiced",
    (id) => ({ items: [{ id, price: shop.prices.large }], proration_behavior: "always_invoice" }),
    "once",
  ],
  ["an upgrade that waits", (id) => ({ items: [{ id, price: shop.prices.large }] }), "renewal"],
  [
    "an upgrade for free",
    (id) => ({ items: [{ id, price: shop.prices.large }], proration_behavior: "none" }),
    "renewal",
  ],
  [
    "a downgrade, invoiced",
    (id) => ({ items: [{ id, price: shop.prices.small }], proration_behavior: "always_invoice" }),
    "once",
  ],
  ["a downgrade that waits", (id) => ({ items: [{ id, price: shop.prices.small }] }), "renewal"],
  ["more seats", (id) => ({ items: [{ id, quantity: 7 }], proration_behavior: "always_invoice" }), "once"],
  ["an item more", () => ({ items: [{ price: shop.prices.seats, quantity: 3 }] }), "renewal"],
  [
    "another item instead",
    (id) => ({ items: [{ id, deleted: true }, { price: shop.prices.seats }], proration_behavior: "always_invoice" }),
    "once",
  ],
  ["another interval", (id) => ({ items: [{ id, price: shop.prices.yearly }] }), "once"],
  [
    "another interval, nothing back",
    (id) => ({ items: [{ id, price: shop.prices.yearly }], proration_behavior: "none" }),
    "once",
  ],
  ["a new anchor", () => ({ billing_cycle_anchor: { type: "now" } }), "once"],
  ["a trial", () => ({ trial_end: MAY + 5 * DAY }), "once"],
  [
    "a date before",
    (id) => ({
      items: [{ id, price: shop.prices.large }],
      proration_behavior: "always_invoice",
      proration_date: START + 5 * DAY,
    }),
    "once",
  ],
  ["an end in the next period", () => ({ cancel_at: MAY + 7 * DAY }), "renewal"],
];

describe("a preview of a change", () => {
  for (const [name, change, at] of rows) {
    it(`is what it makes: ${name}`, async () => {
      const { id, items } = await shop.subscribe();
      await shop.setClock(MID);
      const details = change(items.data[0]?.id as string);
      const shown = await stripe.invoices.createPreview({ subscription: id, subscription_details: details });
      expect(await stripe.subscriptions.retrieve(id)).toMatchObject({ items: { data: [{ id: items.data[0]?.id }] } });
      if (Object.keys(details).length > 0)
        await stripe.subscriptions.update(id, details as Stripe.SubscriptionUpdateParams);
      if (at === "renewal") await shop.setClock(MAY);
      const made = await latest(id);
      expect(gist(shown)).toEqual(gist(made));
      expect(shown).toMatchObject({ created: made.created, billing_reason: "upcoming", status: "draft" });
    });
  }

  it("holds after changes before it, with what waits", async () => {
    const { id, items } = await shop.subscribe();
    const item = items.data[0]?.id;
    await shop.setClock(MID);
    await stripe.subscriptions.update(id, { items: [{ id: item, price: shop.prices.large }] });
    await shop.setClock(MID + 5 * DAY);
    const details = { items: [{ id: item, price: shop.prices.small }], proration_behavior: "always_invoice" as const };
    const shown = await stripe.invoices.createPreview({ subscription: id, subscription_details: details });
    expect(shown.lines.data).toHaveLength(4);
    await stripe.subscriptions.update(id, details);
    expect(gist(shown)).toEqual(gist(await latest(id)));
  });

  it("of an end now gives back what is left", async () => {
    const { id } = await shop.subscribe();
    await shop.setClock(START + 15 * DAY);
    const shown = await stripe.invoices.createPreview({ subscription: id, subscription_details: { cancel_now: true } });
    expect(shown.total).toBe(-1500);
    await stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true });
    expect(gist(shown)).toEqual(gist(await latest(id)));
  });

  it("of an end at the period's end shows that nothing comes", async () => {
    const { id } = await shop.subscribe();
    const ending = { subscription: id, subscription_details: { cancel_at_period_end: true } };
    expect((await refusal(stripe.invoices.createPreview(ending))).code).toBe("invoice_upcoming_none");
    await stripe.subscriptions.update(id, { cancel_at_period_end: true });
    expect((await refusal(stripe.invoices.createPreview({ subscription: id }))).code).toBe("invoice_upcoming_none");
    const going = { subscription: id, subscription_details: { cancel_at_period_end: false } };
    expect((await stripe.invoices.createPreview(going)).total).toBe(3000);
  });

  it("of a trial's end is its first paid invoice", async () => {
    const { id } = await shop.subscribe({ trial_period_days: 14 });
    const shown = await stripe.invoices.createPreview({ subscription: id });
    const now = await stripe.invoices.createPreview({ subscription: id, subscription_details: { trial_end: "now" } });
    expect([shown.total, now.total]).toEqual([3000, 3000]);
    await shop.setClock(START + 14 * DAY);
    expect(gist(shown)).toEqual(gist(await latest(id)));
  });

  it("refuses a date where nothing is prorated", async () => {
    const { id } = await shop.subscribe();
    const details = { proration_behavior: "none" as const, proration_date: START };
    const refused = await refusal(stripe.invoices.createPreview({ subscription: id, subscription_details: details }));
    expect(refused.param).toBe("subscription_details[proration_date]");
  });
});

describe("a preview of a new subscription", () => {
  for (const [name, details, total] of [
    ["one item", {}, 3000],
    ["a trial", { trial_end: START + 10 * DAY }, 0],
    ["an end inside the first period", { cancel_at: START + 10 * DAY }, 1000],
  ] as const) {
    it(`is its first invoice: ${name}`, async () => {
      const customer = await shop.customer();
      const items = [{ price: shop.prices.pro }];
      const shown = await stripe.invoices.createPreview({ customer, subscription_details: { items, ...details } });
      expect(shown).toMatchObject({ total, parent: null });
      expect((await stripe.subscriptions.list({ customer, status: "all" })).data).toEqual([]);
      const { id } = await shop.subscribe({ customer, items, ...details });
      expect(gist(shown)).toEqual(gist(await latest(id)));
    });
  }
});

describe("a preview of a schedule", () => {
  it("knows the phase that comes", async () => {
    const { id } = await shop.subscribe();
    const schedule = await stripe.subscriptionSchedules.create({ from_subscription: id });
    const [first] = schedule.phases;
    await stripe.subscriptionSchedules.update(schedule.id, {
      phases: [
        { items: [{ price: shop.prices.pro }], start_date: first?.start_date, end_date: first?.end_date },
        {
          items: [{ price: shop.prices.large, quantity: 2 }],
          duration: { interval: "month" },
          proration_behavior: "none",
        },
      ],
    });
    const shown = await stripe.invoices.createPreview({ schedule: schedule.id });
    expect(gist(shown)).toEqual(gist(await stripe.invoices.createPreview({ subscription: id })));
    expect(shown.total).toBe(18_000);
    await shop.setClock(MAY);
    expect(gist(shown)).toEqual(gist(await latest(id)));
    expect(itemOf(await stripe.subscriptions.retrieve(id))).toMatchObject({
      quantity: 2,
      price: { id: shop.prices.large },
    });
  });

  it("that has not begun is its first invoice", async () => {
    const customer = await shop.customer();
    const { id } = await stripe.subscriptionSchedules.create({
      customer,
      start_date: MAY,
      phases: [{ items: [{ price: shop.prices.pro, quantity: 3 }] }],
    });
    expect(await stripe.invoices.createPreview({ schedule: id })).toMatchObject({ total: 9000, created: MAY });
  });
});
