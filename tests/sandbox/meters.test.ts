// Meters as the SDK sees them: what they take, what they refuse, what they show.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DAY, eventsAbout, openSandbox, refusal, type TestSandbox, utc } from "./setup";

const NOW = utc(2026, 3, 10, 12);
let sandbox: TestSandbox;
let stripe: Stripe;
let customer: string;

beforeEach(async () => {
  sandbox = await openSandbox({ now: NOW });
  stripe = sandbox.stripe;
  customer = (await stripe.customers.create({ email: "usage@example.com" })).id;
});
afterEach(() => sandbox.close());

const create = (formula: "count" | "last" | "sum", event_name = "tokens") =>
  stripe.billing.meters.create({ display_name: "Tokens", event_name, default_aggregation: { formula } });

const report = (value: string, more: Partial<Stripe.Billing.MeterEventCreateParams> = {}) =>
  stripe.billing.meterEvents.create({
    event_name: "tokens",
    payload: { stripe_customer_id: customer, value },
    ...more,
  });

async function total(meter: string, from = NOW - DAY, until = NOW + 60): Promise<number[]> {
  const summaries = await stripe.billing.meters.listEventSummaries(meter, {
    customer,
    start_time: from,
    end_time: until,
  });
  return summaries.data.map(({ aggregated_value }) => aggregated_value);
}

describe("a meter", () => {
  it("is created, renamed, turned off and on again", async () => {
    const meter = await create("sum");
    expect(meter).toMatchObject({
      object: "billing.meter",
      status: "active",
      customer_mapping: { event_payload_key: "stripe_customer_id", type: "by_id" },
      value_settings: { event_payload_key: "value" },
      event_time_window: null,
    });
    expect((await stripe.billing.meters.update(meter.id, { display_name: "Words" })).display_name).toBe("Words");
    expect(await stripe.billing.meters.deactivate(meter.id)).toMatchObject({
      status: "inactive",
      status_transitions: { deactivated_at: NOW },
    });
    expect(await refusal(report("1"))).toMatchObject({ param: "event_name" });
    expect((await stripe.billing.meters.list({ status: "inactive" })).data.map(({ id }) => id)).toEqual([meter.id]);
    expect(await stripe.billing.meters.reactivate(meter.id)).toMatchObject({
      status: "active",
      status_transitions: { deactivated_at: null },
    });
    expect(await eventsAbout(sandbox, meter.id)).toEqual([
      "billing.meter.created",
      "billing.meter.updated",
      "billing.meter.deactivated",
      "billing.meter.reactivated",
    ]);
    expect((await refusal(create("sum"))).code).toBe("resource_already_exists");
    expect((await refusal(stripe.billing.meters.retrieve("mtr_none"))).code).toBe("resource_missing");
  });

  it("sums, counts, or keeps the last value", async () => {
    const [sum, count, last] = [await create("sum"), await create("count", "calls"), await create("last", "seats")];
    for (const [value, hours] of [
      ["5", 3],
      ["7.5", 2],
      ["1", 4],
    ] as const) {
      const at = { timestamp: NOW - hours * 3600 };
      for (const event_name of ["tokens", "calls", "seats"]) await report(value, { event_name, ...at });
    }
    expect(await total(sum.id)).toEqual([13.5]);
    expect(await total(count.id)).toEqual([3]);
    expect(await total(last.id)).toEqual([7.5]);
  });

  it("shows usage by hour and by day", async () => {
    const meter = await create("sum");
    const midnight = utc(2026, 3, 10);
    await report("1", { timestamp: midnight - 1 });
    await report("2", { timestamp: midnight });
    await report("4", { timestamp: midnight + 3600 });
    const by = async (window: "day" | "hour", from: number, until: number) =>
      (
        await stripe.billing.meters.listEventSummaries(meter.id, {
          customer,
          start_time: from,
          end_time: until,
          value_grouping_window: window,
        })
      ).data.map((each) => [each.start_time, each.aggregated_value]);
    expect(await by("day", midnight - DAY, midnight + DAY)).toEqual([
      [midnight, 6],
      [midnight - DAY, 1],
    ]);
    expect(await by("hour", midnight, midnight + 7200)).toEqual([
      [midnight + 3600, 4],
      [midnight, 2],
    ]);
    expect((await refusal(by("day", midnight + 60, midnight + DAY))).param).toBe("start_time");
  });
});

describe("usage", () => {
  it("counts once for each identifier within a day", async () => {
    const meter = await create("sum");
    expect(await report("5", { identifier: "a" })).toMatchObject({
      object: "billing.meter_event",
      identifier: "a",
      timestamp: NOW,
      payload: { stripe_customer_id: customer, value: "5" },
    });
    expect(await refusal(report("5", { identifier: "a" }))).toMatchObject({
      code: "resource_already_exists",
      param: "identifier",
    });
    expect(await total(meter.id)).toEqual([5]);
    await sandbox.setClock(NOW + DAY);
    await report("5", { identifier: "a" });
    expect(await total(meter.id, NOW - DAY, NOW + 2 * DAY)).toEqual([10]);
  });

  it("may lie 35 days back and five minutes ahead, no more", async () => {
    await create("sum");
    await report("1", { timestamp: NOW - 35 * DAY });
    await report("1", { timestamp: NOW + 300 });
    expect((await refusal(report("1", { timestamp: NOW - 35 * DAY - 1 }))).code).toBe("timestamp_too_far_in_past");
    expect((await refusal(report("1", { timestamp: NOW + 301 }))).code).toBe("timestamp_in_future");
  });

  it("needs a meter, a customer and a number", async () => {
    await create("sum");
    expect((await refusal(report("1", { event_name: "none" }))).param).toBe("event_name");
    expect((await refusal(report("many"))).param).toBe("payload[value]");
    const stranger = { stripe_customer_id: "cus_none", value: "1" };
    expect((await refusal(report("1", { payload: stranger }))).code).toBe("resource_missing");
    expect((await refusal(report("1", { quantity: 1 } as never))).code).toBe("parameter_unknown");
  });

  it("is taken back within a day", async () => {
    const meter = await create("sum");
    await report("5", { identifier: "a" });
    await report("7", { identifier: "b" });
    const cancel = (identifier: string) =>
      stripe.billing.meterEventAdjustments.create({ event_name: "tokens", type: "cancel", cancel: { identifier } });
    expect(await cancel("a")).toMatchObject({ object: "billing.meter_event_adjustment", status: "complete" });
    expect(await total(meter.id)).toEqual([7]);
    expect((await refusal(cancel("a"))).code).toBe("resource_missing");
    await sandbox.setClock(NOW + DAY);
    expect((await refusal(cancel("b"))).code).toBe("resource_missing");
  });
});
