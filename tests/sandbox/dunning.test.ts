// Payments that fail, trials that end without a card, subscriptions that end: and how they come back.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, openShop, type Shop, START } from "./plans";
import { DAY, eventsAbout, refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const HOUR = 3600;
const FAILED = MAY + HOUR;

let shop: Shop;
let stripe: Stripe;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
});
afterEach(() => shop.close());

const read = (id: string) => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });

/** A subscription whose renewal in May fails. */
async function failing() {
  const subscription = await shop.subscribe();
  await shop.setCard(subscription.customer as string, "pm_card_chargeCustomerFail");
  return subscription.id;
}

describe("after the last retry", () => {
  for (const [setting, status] of [
    ["cancel", "canceled"],
    ["unpaid", "unpaid"],
    ["past_due", "past_due"],
  ] as const) {
    it(`the account's setting ${setting} makes a subscription ${status}`, async () => {
      expect(await shop.control("settings", { afterLastRetry: setting })).toEqual({
        retryDays: [3, 5, 7],
        afterLastRetry: setting,
        cancelDisputed: false,
      });
      const id = await failing();
      await shop.setClock(FAILED);
      expect(await read(id)).toMatchObject({
        status: "past_due",
        latest_invoice: { attempt_count: 1, next_payment_attempt: FAILED + 3 * DAY },
      });
      await shop.setClock(FAILED + 15 * DAY);
      const after = await read(id);
      expect(after).toMatchObject({
        status,
        cancellation_details: { reason: setting === "cancel" ? "payment_failed" : null },
        latest_invoice: { status: "open", attempt_count: 4, next_payment_attempt: null },
      });
    });
  }

  for (const way of ["voidInvoice", "markUncollectible"] as const) {
    it(`does not come once the latest invoice is given up by ${way}: the subscription is active again`, async () => {
      const id = await failing();
      await shop.setClock(FAILED);
      await stripe.invoices[way](((await read(id)).latest_invoice as Stripe.Invoice).id);
      expect(await read(id)).toMatchObject({ status: "active" });
      await shop.setClock(FAILED + 15 * DAY);
      expect(await read(id)).toMatchObject({ status: "active", latest_invoice: { attempt_count: 1 } });
    });
  }

  it("comes as soon as the account says", async () => {
    await shop.control("settings", { retryDays: [1] });
    const id = await failing();
    await shop.setClock(FAILED + DAY);
    expect(await read(id)).toMatchObject({ status: "canceled", ended_at: FAILED + DAY });
  });

  it("settings that make no sense are refused", async () => {
    expect(await shop.control("settings", { afterLastRetry: "explode" })).toEqual({
      error: "`afterLastRetry` must be one of cancel, unpaid, past_due",
    });
    expect(await shop.control("settings", { retryDays: [0] })).toHaveProperty("error");
    expect(await shop.control("settings", { other: 1 })).toEqual({ error: "There is no setting `other`." });
    expect(await shop.control("settings")).toMatchObject({ retryDays: [3, 5, 7], afterLastRetry: "cancel" });
  });

  it("may be set from the start", async () => {
    const other = await openShop({ afterLastRetry: "unpaid", retryDays: [2] });
    try {
      expect(await other.control("settings")).toMatchObject({ retryDays: [2], afterLastRetry: "unpaid" });
    } finally {
      await other.close();
    }
  });
});

describe("an unpaid subscription", () => {
  it("makes drafts that nobody collects, and revives when the latest one is paid", async () => {
    await shop.control("settings", { afterLastRetry: "unpaid" });
    const id = await failing();
    await shop.setClock(utc(2026, 6, 2));
    const unpaid = await read(id);
    expect(unpaid).toMatchObject({ status: "unpaid", latest_invoice: { status: "draft", auto_advance: false } });
    expect(itemOf(unpaid).current_period_end).toBe(utc(2026, 7, 1));
    const [draft, open] = (await stripe.invoices.list({ subscription: id })).data;
    await stripe.invoices.pay(open?.id as string, { payment_method: "pm_card_visa" });
    expect((await read(id)).status).toBe("unpaid");
    await stripe.invoices.pay(draft?.id as string, { payment_method: "pm_card_visa" });
    expect((await read(id)).status).toBe("active");
  });
});

describe("a past due subscription", () => {
  it("recovers with the next retry, once there is a card that works", async () => {
    const id = await failing();
    await shop.setClock(FAILED);
    const { customer } = await read(id);
    await shop.setCard(customer as string, "pm_card_visa");
    await shop.setClock(FAILED + 3 * DAY);
    expect(await read(id)).toMatchObject({ status: "active", latest_invoice: { status: "paid", attempt_count: 2 } });
  });
});

describe("an invoice that is not collected by itself any more", () => {
  it("is not tried again, however long it stays open", async () => {
    const id = await failing();
    await shop.setClock(FAILED);
    const { latest_invoice: invoice } = await read(id);
    await stripe.invoices.update((invoice as Stripe.Invoice).id, { auto_advance: false });
    await shop.setClock(FAILED + 20 * DAY);
    expect(await read(id)).toMatchObject({
      status: "past_due",
      latest_invoice: { status: "open", attempt_count: 1, next_payment_attempt: null },
    });
  });
});

describe("a first payment that never comes", () => {
  for (const clocked of [false, true]) {
    it(`expires after 23 hours${clocked ? " of a test clock" : ""}, and its invoice is void`, async () => {
      const clock = clocked ? (await stripe.testHelpers.testClocks.create({ frozen_time: START })).id : undefined;
      const customer = await shop.customer(null, { test_clock: clock });
      const { id } = await shop.subscribe({ customer, payment_behavior: "default_incomplete" });
      const pass = async (to: number) => {
        if (clock) await stripe.testHelpers.testClocks.advance(clock, { frozen_time: to });
        else await shop.setClock(to);
      };
      await pass(START + 23 * HOUR - 1);
      expect((await read(id)).status).toBe("incomplete");
      await pass(START + 23 * HOUR);
      expect(await read(id)).toMatchObject({ status: "incomplete_expired", latest_invoice: { status: "void" } });
    });
  }

  it("keeps its items until then", async () => {
    const customer = await shop.customer(null);
    const { id, items } = await shop.subscribe({ customer, payment_behavior: "default_incomplete" });
    const change = stripe.subscriptions.update(id, { items: [{ id: items.data[0]?.id, quantity: 2 }] });
    expect((await refusal(change)).message).toContain("incomplete");
  });
});

describe("a trial that ends without a card", () => {
  const trial = async (
    behavior: "cancel" | "create_invoice" | "pause",
    data: Partial<Stripe.SubscriptionCreateParams> = {},
  ) =>
    await shop.subscribe({
      customer: await shop.customer(null),
      trial_period_days: 7,
      trial_settings: { end_behavior: { missing_payment_method: behavior } },
      ...data,
    });
  const end = START + 7 * DAY;

  for (const [behavior, status] of [
    ["cancel", "canceled"],
    ["pause", "paused"],
    ["create_invoice", "past_due"],
  ] as const) {
    it(`is ${status} with ${behavior}, by the clock and when it is ended by hand`, async () => {
      const byHand = await trial(behavior);
      await stripe.subscriptions.update(byHand.id, { trial_end: "now" });
      const byClock = await trial(behavior);
      await shop.setClock(end + 2 * HOUR);
      expect([(await read(byHand.id)).status, (await read(byClock.id)).status]).toEqual([status, status]);
    });
  }

  it("that was paused resumes with an invoice, and stays paused until somebody pays", async () => {
    const { id, customer } = await trial("pause");
    await shop.setClock(end);
    expect((await read(id)).status_details?.paused.subscription.type).toBe("trial_end_without_payment_method");
    await stripe.subscriptions.resume(id);
    const waiting = await read(id);
    expect(waiting).toMatchObject({
      status: "paused",
      latest_invoice: { status: "open", total: 3000, attempt_count: 0 },
    });
    await shop.setCard(customer as string, "pm_card_visa");
    await stripe.invoices.pay((waiting.latest_invoice as Stripe.Invoice).id);
    const resumed = await read(id);
    expect(resumed).toMatchObject({ status: "active", billing_cycle_anchor: end });
    expect(resumed.status_details).toBeUndefined();
    expect((await eventsAbout(shop, id)).at(-1)).toBe("customer.subscription.resumed");
  });
});

describe("a subscription whose invoices are sent", () => {
  it("is active at once, past due when the date passes, and active again when it is paid", async () => {
    const customer = await shop.customer(null);
    const { id } = await shop.subscribe({ customer, collection_method: "send_invoice", days_until_due: 14 });
    expect(await read(id)).toMatchObject({
      status: "active",
      days_until_due: 14,
      latest_invoice: { status: "draft", collection_method: "send_invoice", due_date: START + 14 * DAY },
    });
    await shop.setClock(START + HOUR);
    const { latest_invoice: sent } = await read(id);
    expect(sent).toMatchObject({ status: "open", attempt_count: 0 });
    const invoice = (sent as Stripe.Invoice).id;
    expect((await eventsAbout(shop, invoice)).at(-1)).toBe("invoice.sent");
    await shop.setClock(START + 14 * DAY);
    expect((await read(id)).status).toBe("past_due");
    expect((await eventsAbout(shop, invoice)).at(-1)).toBe("invoice.overdue");
    await stripe.invoices.pay(invoice, { paid_out_of_band: true });
    expect((await read(id)).status).toBe("active");
  });

  it("needs to know how long, and nobody else may say so", async () => {
    const sends = shop.subscribe({ collection_method: "send_invoice" });
    expect((await refusal(sends)).param).toBe("days_until_due");
    const { id } = await shop.subscribe();
    expect((await refusal(stripe.subscriptions.update(id, { days_until_due: 3 }))).param).toBe("days_until_due");
    const changed = await stripe.subscriptions.update(id, { collection_method: "send_invoice", days_until_due: 3 });
    expect(changed).toMatchObject({ collection_method: "send_invoice", days_until_due: 3 });
  });
});

describe("a chargeback", () => {
  for (const cancels of [false, true]) {
    it(`${cancels ? "ends" : "leaves"} the subscription when the account says so`, async () => {
      await shop.control("settings", { cancelDisputed: cancels });
      const { id, latest_invoice: invoice } = await shop.subscribe();
      const payments = await stripe.invoicePayments.list({ invoice: invoice as string });
      await shop.control("disputes", { payment_intent: payments.data[0]?.payment.payment_intent });
      expect(await read(id)).toMatchObject({
        status: cancels ? "canceled" : "active",
        cancellation_details: { reason: cancels ? "payment_disputed" : null },
      });
    });
  }
});

describe("the end of a customer", () => {
  it("ends its subscriptions", async () => {
    const { id, customer } = await shop.subscribe();
    await stripe.customers.del(customer as string);
    expect(await read(id)).toMatchObject({ status: "canceled", ended_at: START });
    expect((await eventsAbout(shop, id, customer as string)).slice(-2)).toEqual([
      "customer.subscription.deleted",
      "customer.deleted",
    ]);
  });
});
