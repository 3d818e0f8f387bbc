// Test clocks: customers that live by a time of their own.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { itemOf, openShop, type Shop, START } from "./plans";
import { DAY, eventsAbout, refusal, utc } from "./setup";

const HOUR = 3600;

let shop: Shop;
let stripe: Stripe;
let clock: string;

beforeEach(async () => {
  shop = await openShop();
  stripe = shop.stripe;
  clock = (await stripe.testHelpers.testClocks.create({ frozen_time: START, name: "a life" })).id;
});
afterEach(() => shop.close());

const advance = (to: number) => stripe.testHelpers.testClocks.advance(clock, { frozen_time: to });
const read = (id: string) => stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] });

describe("a test clock", () => {
  it("is made, read, listed, moved and deleted, and each is told", async () => {
    expect(await stripe.testHelpers.testClocks.retrieve(clock)).toMatchObject({
      name: "a life",
      frozen_time: START,
      status: "ready",
      deletes_after: START + 30 * DAY,
    });
    expect((await stripe.testHelpers.testClocks.list()).data.map(({ id }) => id)).toEqual([clock]);
    expect(await advance(START + DAY)).toMatchObject({ status: "ready", frozen_time: START + DAY });
    expect(await stripe.testHelpers.testClocks.del(clock)).toEqual(
      expect.objectContaining({ id: clock, deleted: true }),
    );
    expect((await refusal(stripe.testHelpers.testClocks.retrieve(clock))).code).toBe("resource_missing");
    expect(await eventsAbout(shop, clock)).toEqual([
      "test_helpers.test_clock.created",
      "test_helpers.test_clock.advancing",
      "test_helpers.test_clock.ready",
      "test_helpers.test_clock.deleted",
    ]);
  });

  it("only goes forward, two years at a time as long as nobody subscribes", async () => {
    expect((await refusal(advance(START))).param).toBe("frozen_time");
    expect((await refusal(advance(utc(2028, 4, 1) + 1))).message).toContain("two years");
    expect((await advance(utc(2028, 4, 1))).frozen_time).toBe(utc(2028, 4, 1));
  });

  it("goes two intervals of the shortest subscription at a time; the global clock goes as far as it likes", async () => {
    const customer = await shop.customer("pm_card_visa", { test_clock: clock });
    await shop.subscribe({ customer, items: [{ price: shop.prices.yearly }] });
    const { id } = await shop.subscribe({ customer });
    expect((await refusal(advance(utc(2026, 6, 1) + 1))).message).toContain("two intervals");
    await advance(utc(2026, 6, 1));
    expect(itemOf(await read(id)).current_period_end).toBe(utc(2026, 7, 1));
    await stripe.subscriptions.cancel(id);
    expect((await advance(utc(2028, 6, 1))).frozen_time).toBe(utc(2028, 6, 1));
    const still = await shop.subscribe();
    await shop.setClock(utc(2030, 1, 1));
    expect(itemOf(await read(still.id)).current_period_end).toBe(utc(2030, 2, 1));
  });
});

describe("a life by advancing only", () => {
  it("passes a trial, months, a failure with its retries, and the end", async () => {
    const customer = await shop.customer("pm_card_visa", { test_clock: clock });
    const { id } = await shop.subscribe({ customer, trial_period_days: 30 });
    await advance(START + 30 * DAY);
    expect(await read(id)).toMatchObject({ status: "active", latest_invoice: { status: "draft", total: 3000 } });
    await advance(START + 30 * DAY + HOUR);
    expect(await read(id)).toMatchObject({ latest_invoice: { status: "paid" } });
    await shop.setCard(customer, "pm_card_chargeCustomerFail");
    await advance(utc(2026, 6, 1, 1));
    expect(await read(id)).toMatchObject({ status: "past_due", test_clock: clock });
    await advance(utc(2026, 6, 16, 1) - 1);
    expect(await read(id)).toMatchObject({ status: "past_due", latest_invoice: { attempt_count: 3 } });
    await advance(utc(2026, 6, 16, 1));
    expect(await read(id)).toMatchObject({ status: "canceled", ended_at: utc(2026, 6, 16, 1) });
  });

  it("moves schedules, pending updates and pauses of collection too", async () => {
    const customer = await shop.customer("pm_card_visa", { test_clock: clock });
    const { id, items } = await shop.subscribe({ customer });
    const schedule = await stripe.subscriptionSchedules.create({ from_subscription: id });
    expect(schedule.test_clock).toBe(clock);
    await stripe.subscriptionSchedules.update(schedule.id, {
      phases: [
        { items: [{ price: shop.prices.pro }], start_date: START, end_date: utc(2026, 5, 1) },
        { items: [{ price: shop.prices.small }], duration: { interval: "month" } },
      ],
    });
    await stripe.subscriptions.update(id, { pause_collection: { behavior: "void", resumes_at: utc(2026, 5, 10) } });
    await advance(utc(2026, 5, 2));
    expect(await read(id)).toMatchObject({
      items: { data: [{ price: { id: shop.prices.small } }] },
      latest_invoice: { status: "void" },
    });
    await advance(utc(2026, 5, 10));
    expect((await read(id)).pause_collection).toBeNull();
    await shop.setCard(customer, "pm_card_chargeCustomerFail");
    const item = itemOf(await read(id)).id;
    await stripe.subscriptions.update(id, {
      items: [{ id: item, price: shop.prices.large }],
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
    });
    expect((await read(id)).pending_update?.expires_at).toBe(utc(2026, 5, 10, 23));
    await advance(utc(2026, 5, 10, 23));
    expect(await read(id)).toMatchObject({ pending_update: null, latest_invoice: { status: "void" } });
    expect(items.data).toHaveLength(1);
  });

  it("ends with the clock: its customers and their subscriptions go with it", async () => {
    const customer = await shop.customer("pm_card_visa", { test_clock: clock });
    const { id } = await shop.subscribe({ customer });
    await stripe.testHelpers.testClocks.del(clock);
    expect(await stripe.customers.retrieve(customer)).toMatchObject({ deleted: true });
    expect((await read(id)).status).toBe("canceled");
  });
});
