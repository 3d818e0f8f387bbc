// Two pauses: of collection and of the subscription.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, lineOf, openShop, type Shop, START } from "./plans";
import { DAY, eventsAbout, refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const MID = utc(2026, 4, 16);
const HOUR = 3600;

let shop: Shop;
let stripe: Stripe;
let id: string;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
  id = (await shop.subscribe()).id;
});
afterEach(() => shop.close());

const read = () => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
const latest = async () => (await read()).latest_invoice as Stripe.Invoice;

describe("a pause of collection", () => {
  for (const [behavior, invoice] of [
    ["keep_as_draft", { status: "draft", auto_advance: false, attempt_count: 0 }],
    ["mark_uncollectible", { status: "uncollectible", attempt_count: 0 }],
    ["void", { status: "void", attempt_count: 0 }],
  ] as const) {
    it(`with ${behavior} leaves the renewal ${invoice.status} and the subscription active`, async () => {
      const paused = await stripe.subscriptions.update(id, { pause_collection: { behavior } });
      expect(paused).toMatchObject({ status: "active", pause_collection: { behavior, resumes_at: null } });
      await shop.setClock(MAY + 2 * HOUR);
      expect(await read()).toMatchObject({ status: "active", latest_invoice: invoice });
      expect(itemOf(await read()).current_period_start).toBe(MAY);
    });
  }

  it("ends by itself, and at once when it is taken back", async () => {
    await stripe.subscriptions.update(id, { pause_collection: { behavior: "void", resumes_at: MAY + 10 * DAY } });
    await shop.setClock(MAY + 10 * DAY - 1);
    expect((await read()).pause_collection?.resumes_at).toBe(MAY + 10 * DAY);
    await shop.setClock(MAY + 10 * DAY);
    expect(await read()).toMatchObject({ pause_collection: null, latest_invoice: { status: "void" } });
    await shop.setClock(utc(2026, 6, 1, 2));
    expect(await latest()).toMatchObject({ status: "paid" });
    await stripe.subscriptions.update(id, { pause_collection: { behavior: "void" } });
    expect((await stripe.subscriptions.update(id, { pause_collection: "" })).pause_collection).toBeNull();
    await shop.setClock(utc(2026, 7, 1, 2));
    expect(await latest()).toMatchObject({ status: "paid" });
  });

  it("cannot end in the past", async () => {
    const change = { pause_collection: { behavior: "void" as const, resumes_at: START } };
    expect((await refusal(stripe.subscriptions.update(id, change))).param).toBe("pause_collection[resumes_at]");
  });
});

describe("a pause of the subscription", () => {
  it("gives back what is left, makes no invoices and begins anew when it is resumed", async () => {
    await shop.setClock(MID);
    const paused = await stripe.subscriptions.pause(id);
    expect(paused).toMatchObject({
      status: "paused",
      status_details: {
        paused: { type: "subscription", transitioned_at: MID, subscription: { type: "pause_requested" } },
      },
    });
    expect((await eventsAbout(shop, id)).slice(-2)).toEqual([
      "customer.subscription.updated",
      "customer.subscription.paused",
    ]);
    await shop.setClock(utc(2026, 6, 10));
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
    await stripe.subscriptions.resume(id, { payment_behavior: "resume_on_payment_success" });
    const resumed = await read();
    expect(resumed).toMatchObject({ status: "active", billing_cycle_anchor: utc(2026, 6, 10) });
    expect(resumed.status_details).toBeUndefined();
    expect((await latest()).lines.data.map(({ amount }) => amount)).toEqual([-1500, 3000]);
    expect(await latest()).toMatchObject({ amount_paid: 1500, status: "paid" });
  });

  it("may leave the time that was paid for, and go on inside it for nothing", async () => {
    await shop.setClock(MID);
    await stripe.subscriptions.pause(id, { bill_for: { unused_time_from: { type: "none" } } });
    await shop.setClock(MID + 5 * DAY);
    const resumed = await stripe.subscriptions.resume(id, { billing_cycle_anchor: { type: "unchanged" } });
    expect(resumed).toMatchObject({ status: "active", billing_cycle_anchor: START });
    expect(itemOf(resumed).current_period_end).toBe(MAY);
    expect((await stripe.invoices.list({ subscription: id })).data).toHaveLength(1);
  });

  it("charges what is left of a later period when the anchor stays", async () => {
    await shop.setClock(MID);
    await stripe.subscriptions.pause(id, { invoicing_behavior: "invoice" });
    expect(await latest()).toMatchObject({ total: -1500, status: "paid" });
    const back = utc(2026, 6, 16);
    await shop.setClock(back);
    const rules = {
      billing_cycle_anchor: { type: "unchanged" as const },
      proration_behavior: "always_invoice" as const,
    };
    const shown = await stripe.invoices.createPreview({
      subscription: id,
      subscription_details: { resume_at: "now", ...rules },
    });
    await stripe.subscriptions.resume(id, rules);
    const made = await latest();
    expect(made.lines.data.map(lineOf)).toEqual([
      { amount: 1500, from: back, until: utc(2026, 7, 1), price: shop.prices.pro, proration: true },
    ]);
    expect(shown.lines.data.map(lineOf)).toEqual(made.lines.data.map(lineOf));
    // The balance of the pause pays it.
    expect(made).toMatchObject({ amount_due: 0, status: "paid" });
    expect((await read()).status).toBe("active");
  });

  it("that is resumed for a payment nobody tries stays, its invoice void after 23 hours", async () => {
    await stripe.subscriptions.pause(id, { bill_for: { unused_time_from: { type: "none" } } });
    await shop.setClock(MAY + DAY);
    await stripe.subscriptions.resume(id);
    expect(await read()).toMatchObject({ status: "paused", latest_invoice: { status: "open", attempt_count: 0 } });
    await shop.setClock(MAY + DAY + 23 * HOUR);
    expect(await read()).toMatchObject({ status: "paused", latest_invoice: { status: "void" } });
  });

  it("goes on past due when that payment is tried and fails", async () => {
    await stripe.subscriptions.pause(id, { bill_for: { unused_time_from: { type: "none" } } });
    await shop.setClock(MAY + DAY);
    await stripe.subscriptions.resume(id);
    const invoice = await latest();
    await refusal(stripe.invoices.pay(invoice.id, { payment_method: "pm_card_chargeCustomerFail" }));
    expect(await read()).toMatchObject({ status: "past_due", billing_cycle_anchor: MAY + DAY });
  });

  it("lets its plan be changed for nothing, long after its period", async () => {
    await stripe.subscriptions.pause(id);
    await shop.setClock(utc(2026, 9, 1));
    const item = itemOf(await read()).id;
    const changed = await stripe.subscriptions.update(id, { items: [{ id: item, price: shop.prices.small }] });
    expect(changed).toMatchObject({ status: "paused", items: { data: [{ price: { id: shop.prices.small } }] } });
    await stripe.subscriptions.resume(id, { payment_behavior: "resume_on_payment_success" });
    expect((await latest()).lines.data.map(({ amount }) => amount)).toEqual([-3000, 1500]);
  });

  it("is for active subscriptions without a schedule", async () => {
    const schedule = await stripe.subscriptionSchedules.create({ from_subscription: id });
    expect((await refusal(stripe.subscriptions.pause(id))).message).toContain(schedule.id);
    await stripe.subscriptionSchedules.release(schedule.id);
    await stripe.subscriptions.pause(id);
    expect((await refusal(stripe.subscriptions.pause(id))).message).toContain("paused");
    const other = await shop.subscribe();
    expect((await refusal(stripe.subscriptions.resume(other.id))).message).toContain("Only paused");
  });
});
