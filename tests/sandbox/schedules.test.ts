// Subscription schedules: phases that follow each other by the clock.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, lineOf, openShop, type Shop, START } from "./plans";
import { DAY, eventsAbout, refusal, utc } from "./setup";

const MAY = utc(2026, 5, 1);
const JUNE = utc(2026, 6, 1);
const JULY = utc(2026, 7, 1);

let shop: Shop;
let stripe: Stripe;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
});
afterEach(() => shop.close());

const read = (id: string) => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });
const latest = async (id: string) => (await read(id)).latest_invoice as Stripe.Invoice;

/** A subscription to `pro` that goes on as something else from May. */
async function downgradeInMay(data: Partial<Stripe.SubscriptionScheduleUpdateParams> = {}, price = shop.prices.small) {
  const subscription = await shop.subscribe();
  const schedule = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
  const updated = await stripe.subscriptionSchedules.update(schedule.id, {
    phases: [
      { items: [{ price: shop.prices.pro }], start_date: START, end_date: MAY },
      { items: [{ price }], duration: { interval: "month", interval_count: 2 }, proration_behavior: "none" },
    ],
    ...data,
  });
  return { subscription, schedule: updated };
}

describe("a schedule of an existing subscription", () => {
  it("has its period as the first phase", async () => {
    const { id } = await shop.subscribe();
    const schedule = await stripe.subscriptionSchedules.create({ from_subscription: id });
    expect(schedule).toMatchObject({
      status: "active",
      subscription: id,
      end_behavior: "release",
      current_phase: { start_date: START, end_date: MAY },
      phases: [{ start_date: START, end_date: MAY, items: [{ price: shop.prices.pro, quantity: 1 }], currency: "usd" }],
    });
    expect((await read(id)).schedule).toBe(schedule.id);
    const again = await refusal(stripe.subscriptionSchedules.create({ from_subscription: id }));
    expect(again.message).toContain(schedule.id);
    const mixed = { from_subscription: id, end_behavior: "cancel" as const };
    expect((await refusal(stripe.subscriptionSchedules.create(mixed))).param).toBe("end_behavior");
  });

  it("changes the plan at the end of the period, without prorations", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await shop.setClock(MAY - 1);
    expect(itemOf(await read(subscription.id)).price.id).toBe(shop.prices.pro);
    await shop.setClock(MAY + 2 * 3600);
    const after = await read(subscription.id);
    expect(after).toMatchObject({ status: "active", schedule: schedule.id, billing_cycle_anchor: START });
    expect(itemOf(after)).toMatchObject({
      price: { id: shop.prices.small },
      current_period_start: MAY,
      current_period_end: JUNE,
    });
    const invoice = await latest(subscription.id);
    expect(invoice).toMatchObject({ status: "paid", billing_reason: "subscription_cycle" });
    expect(invoice.lines.data.map(lineOf)).toEqual([
      { amount: 1500, from: MAY, until: JUNE, price: shop.prices.small, proration: false },
    ]);
    expect(await stripe.subscriptionSchedules.retrieve(schedule.id)).toMatchObject({
      current_phase: { start_date: MAY, end_date: JULY },
    });
    expect((await stripe.invoices.list({ subscription: subscription.id })).data).toHaveLength(2);
  });

  it("lets the subscription go after the last phase", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await shop.setClock(MAY);
    expect(await eventsAbout(shop, schedule.id)).toEqual([
      "subscription_schedule.created",
      "subscription_schedule.updated",
      "subscription_schedule.updated",
    ]);
    await shop.setClock(JULY + 2 * 3600);
    expect(await stripe.subscriptionSchedules.retrieve(schedule.id)).toMatchObject({
      status: "released",
      released_at: JULY,
      released_subscription: subscription.id,
      subscription: null,
      current_phase: null,
    });
    expect(await read(subscription.id)).toMatchObject({ status: "active", schedule: null });
    expect(itemOf(await read(subscription.id)).current_period_end).toBe(utc(2026, 8, 1));
    expect(await eventsAbout(shop, schedule.id)).toEqual(["subscription_schedule.released"]);
  });

  it("that cancels ends the subscription with the last phase", async () => {
    const { subscription, schedule } = await downgradeInMay({ end_behavior: "cancel" });
    expect((await read(subscription.id)).cancel_at).toBe(JULY);
    await shop.setClock(JULY);
    expect(await stripe.subscriptionSchedules.retrieve(schedule.id)).toMatchObject({
      status: "completed",
      completed_at: JULY,
    });
    expect(await read(subscription.id)).toMatchObject({ status: "canceled", ended_at: JULY });
    expect((await stripe.invoices.list({ subscription: subscription.id })).data).toHaveLength(3);
    expect((await eventsAbout(shop, schedule.id)).at(-1)).toBe("subscription_schedule.completed");
  });

  it("moves to another interval with a new anchor", async () => {
    const { subscription } = await downgradeInMay({}, shop.prices.yearly);
    await shop.setClock(MAY + 2 * 3600);
    const after = await read(subscription.id);
    expect(after.billing_cycle_anchor).toBe(MAY);
    expect(itemOf(after).current_period_end).toBe(utc(2027, 5, 1));
    expect(await latest(subscription.id)).toMatchObject({ total: 90_000, status: "paid" });
  });

  it("prorates a phase that begins inside a period, if it says so", async () => {
    const { id } = await shop.subscribe();
    const schedule = await stripe.subscriptionSchedules.create({ from_subscription: id });
    const half = START + 15 * DAY;
    await stripe.subscriptionSchedules.update(schedule.id, {
      phases: [
        { items: [{ price: shop.prices.pro }], start_date: START, end_date: half },
        { items: [{ price: shop.prices.large }], end_date: JUNE, proration_behavior: "always_invoice" },
      ],
    });
    await shop.setClock(half);
    expect((await latest(id)).lines.data.map(({ amount }) => amount)).toEqual([-1500, 4500]);
    expect(itemOf(await read(id)).current_period_end).toBe(MAY);
  });
});

describe("changes", () => {
  it("of the current phase happen now", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await shop.setClock(START + 15 * DAY);
    await stripe.subscriptionSchedules.update(schedule.id, {
      phases: [{ items: [{ price: shop.prices.pro, quantity: 3 }], start_date: START, end_date: MAY }],
      proration_behavior: "always_invoice",
    });
    expect(itemOf(await read(subscription.id)).quantity).toBe(3);
    expect(await latest(subscription.id)).toMatchObject({ total: 3000, status: "paid" });
  });

  it("cannot move the start of the current phase, and need it", async () => {
    const { schedule } = await downgradeInMay();
    const items = [{ price: shop.prices.pro }];
    const moved = stripe.subscriptionSchedules.update(schedule.id, {
      phases: [{ items, start_date: START + 1, end_date: MAY }],
    });
    expect((await refusal(moved)).message).toBe("You can not modify the start date of the current phase.");
    const without = stripe.subscriptionSchedules.update(schedule.id, { phases: [{ items, end_date: MAY }] });
    expect((await refusal(without)).code).toBe("parameter_missing");
  });

  it("of a subscription's end go through its schedule", async () => {
    const { subscription, schedule } = await downgradeInMay();
    const refused = await refusal(stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true }));
    expect(refused.message).toBe(
      `The subscription is managed by the subscription schedule \`${schedule.id}\`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead.`,
    );
  });

  it("of a subscription's items become those of the current phase, until the next one", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await stripe.subscriptions.update(subscription.id, { items: [{ id: itemOf(subscription).id, quantity: 4 }] });
    const after = await stripe.subscriptionSchedules.retrieve(schedule.id);
    expect(after.phases.map(({ items }) => items[0]?.quantity)).toEqual([4, 1]);
    await shop.setClock(MAY);
    expect(itemOf(await read(subscription.id))).toMatchObject({ quantity: 1, price: { id: shop.prices.small } });
  });

  it("are refused once a schedule is over", async () => {
    const { schedule } = await downgradeInMay();
    await stripe.subscriptionSchedules.release(schedule.id);
    const refused = await refusal(stripe.subscriptionSchedules.update(schedule.id, { end_behavior: "cancel" }));
    expect(refused.message).toContain("`released`");
  });
});

describe("releasing and canceling", () => {
  it("leave the subscription as it is, or end it", async () => {
    const { subscription, schedule } = await downgradeInMay({ end_behavior: "cancel" });
    const released = await stripe.subscriptionSchedules.release(schedule.id);
    expect(released).toMatchObject({ status: "released", released_subscription: subscription.id, subscription: null });
    expect(await read(subscription.id)).toMatchObject({ schedule: null, cancel_at: null });
    await shop.setClock(MAY);
    expect(itemOf(await read(subscription.id)).price.id).toBe(shop.prices.pro);
  });

  it("keep the end that the schedule has set, if asked to", async () => {
    const { subscription, schedule } = await downgradeInMay({ end_behavior: "cancel" });
    await stripe.subscriptionSchedules.release(schedule.id, { preserve_cancel_date: true });
    expect((await read(subscription.id)).cancel_at).toBe(JULY);
  });

  it("ends the subscription now, with what is left given back", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await shop.setClock(START + 15 * DAY);
    expect(await stripe.subscriptionSchedules.cancel(schedule.id)).toMatchObject({
      status: "canceled",
      canceled_at: START + 15 * DAY,
    });
    expect(await read(subscription.id)).toMatchObject({ status: "canceled", latest_invoice: { total: -1500 } });
  });

  it("follows from the end of the subscription: canceled, or aborted when nobody paid", async () => {
    const { subscription, schedule } = await downgradeInMay();
    await stripe.subscriptions.cancel(subscription.id);
    expect((await eventsAbout(shop, schedule.id)).at(-1)).toBe("subscription_schedule.canceled");
    const other = await downgradeInMay();
    await shop.setCard(other.subscription.customer as string, "pm_card_chargeCustomerFail");
    await shop.setClock(utc(2026, 5, 17));
    expect((await read(other.subscription.id)).status).toBe("canceled");
    expect((await eventsAbout(shop, other.schedule.id)).at(-1)).toBe("subscription_schedule.aborted");
  });
});

describe("a schedule of its own", () => {
  it("begins its subscription later, with a first invoice that is a draft for an hour", async () => {
    const customer = await shop.customer();
    const schedule = await stripe.subscriptionSchedules.create({
      customer,
      start_date: MAY,
      end_behavior: "cancel",
      phases: [
        {
          items: [{ price: shop.prices.pro, quantity: 2 }],
          duration: { interval: "month" },
          metadata: { phase: "one" },
        },
        { items: [{ price: shop.prices.large }], duration: { interval: "month" }, metadata: { phase: "two" } },
      ],
    });
    expect(schedule).toMatchObject({ status: "not_started", subscription: null, current_phase: null });
    expect(schedule.phases.map(({ start_date, end_date }) => [start_date, end_date])).toEqual([
      [MAY, JUNE],
      [JUNE, JULY],
    ]);
    expect((await stripe.subscriptionSchedules.list({ customer, scheduled: true })).data).toHaveLength(1);
    await shop.setClock(MAY);
    const { subscription } = await stripe.subscriptionSchedules.retrieve(schedule.id);
    expect(await read(subscription as string)).toMatchObject({
      status: "active",
      metadata: { phase: "one" },
      latest_invoice: { status: "draft", total: 6000 },
    });
    await shop.setClock(JUNE + 2 * 3600);
    expect(await read(subscription as string)).toMatchObject({
      metadata: { phase: "two" },
      latest_invoice: { status: "paid", total: 9000 },
    });
    await shop.setClock(JULY);
    expect((await read(subscription as string)).status).toBe("canceled");
  });

  it("may begin with a trial", async () => {
    const customer = await shop.customer();
    const { subscription } = await stripe.subscriptionSchedules.create({
      customer,
      start_date: "now",
      phases: [
        { items: [{ price: shop.prices.pro }], duration: { interval: "week", interval_count: 2 }, trial: true },
        { items: [{ price: shop.prices.pro }], duration: { interval: "month" } },
      ],
    });
    const end = START + 14 * DAY;
    expect(await read(subscription as string)).toMatchObject({ status: "trialing", trial_end: end });
    await shop.setClock(end + 2 * 3600);
    expect(await read(subscription as string)).toMatchObject({
      status: "active",
      latest_invoice: { total: 3000, status: "paid" },
    });
  });

  it("takes an end or a duration, not both", async () => {
    const customer = await shop.customer();
    const phases = [{ items: [{ price: shop.prices.pro }], end_date: MAY, duration: { interval: "month" as const } }];
    const refused = await refusal(stripe.subscriptionSchedules.create({ customer, start_date: "now", phases }));
    expect(refused.param).toBe("phases[0][end_date]");
  });
});
