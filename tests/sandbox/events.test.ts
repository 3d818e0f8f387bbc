// What /v1/events tells, and how far back.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, DAY, openReceiver, openSandbox, refusal, subscribe, type TestSandbox, until, utc } from "./setup";

const START = utc(2026, 3, 10);
let sandbox: TestSandbox;
const closing: Array<() => Promise<unknown>> = [];
beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
});
afterEach(async () => {
  await sandbox.close();
  for (const close of closing.splice(0)) await close();
});

const typesOf = ({ data }: { data: Stripe.Event[] }) => data.map(({ type }) => type);

describe("events.list", () => {
  it("takes exact types, a group with a wildcard at its end, and not both", async () => {
    const { stripe } = sandbox;
    const { customer, price } = await catalogue(sandbox);
    await subscribe(sandbox, { customer: customer.id, price: price.id });
    expect(typesOf(await stripe.events.list({ types: ["price.created", "product.created"] }))).toEqual([
      "price.created",
      "product.created",
    ]);
    expect(new Set(typesOf(await stripe.events.list({ type: "customer.subscription.*", limit: 100 })))).toEqual(
      new Set(["customer.subscription.created", "customer.subscription.updated"]),
    );
    expect(typesOf(await stripe.events.list({ types: ["price.*"] }))).toEqual([]);
    expect(await refusal(stripe.events.list({ types: ["price.created"], type: "price.created" }))).toMatchObject({
      type: "StripeInvalidRequestError",
      code: "parameters_exclusive",
    });
  });

  it("refuses more than twenty types", async () => {
    const types = Array.from({ length: 21 }, (_, index) => `customer.${index}`);
    expect((await sandbox.stripe.events.list({ types: types.slice(1) })).data).toEqual([]);
    expect(await refusal(sandbox.stripe.events.list({ types }))).toMatchObject({
      rawType: "invalid_request_error",
      param: "types",
    });
  });

  it("narrows to a range of time", async () => {
    const { stripe } = sandbox;
    await stripe.customers.create({ name: "first" });
    await sandbox.setClock(START + 10);
    await stripe.customers.create({ name: "second" });
    const names = ({ data }: { data: Stripe.Event[] }) =>
      data.map(({ data: { object } }) => (object as { name?: string }).name);
    expect(names(await stripe.events.list({ created: { gt: START } }))).toEqual(["second"]);
    expect(names(await stripe.events.list({ created: { lte: START } }))).toEqual(["first"]);
    expect(names(await stripe.events.list({ created: START + 10 }))).toEqual(["second"]);
    expect(names(await stripe.events.list({ created: { gte: START, lt: START + 11 } }))).toEqual(["second", "first"]);
  });

  it("pages both ways, also from a cursor that its filter leaves out", async () => {
    const { stripe } = sandbox;
    for (const name of ["a", "b", "c"]) await stripe.customers.create({ name });
    await stripe.products.create({ name: "d" });
    const all = (await stripe.events.list()).data.map(({ id }) => id);
    expect(all).toHaveLength(4);
    const first = await stripe.events.list({ limit: 3 });
    expect(first.has_more).toBe(true);
    const rest = await stripe.events.list({ limit: 3, starting_after: first.data[2]?.id });
    expect([...first.data, ...rest.data].map(({ id }) => id)).toEqual(all);
    expect(rest.has_more).toBe(false);
    const newer = await stripe.events.list({ ending_before: all[2] });
    expect(newer.data.map(({ id }) => id)).toEqual(all.slice(0, 2));
    const customers = await stripe.events.list({ type: "customer.created", starting_after: all[0] });
    expect(customers.data.map(({ id }) => id)).toEqual(all.slice(1));
  });

  it("reaches thirty days back on the sandbox's clock, and no further", async () => {
    const { stripe } = sandbox;
    await stripe.customers.create({});
    const [old] = (await stripe.events.list()).data;
    await sandbox.setClock(START + 30 * DAY);
    expect((await stripe.events.list()).data).toHaveLength(1);
    expect((await stripe.events.retrieve(old?.id ?? "")).id).toBe(old?.id);
    await sandbox.setClock(START + 30 * DAY + 1);
    expect((await stripe.events.list()).data).toEqual([]);
    expect(await refusal(stripe.events.retrieve(old?.id ?? ""))).toMatchObject({ code: "resource_missing" });
    expect(await refusal(stripe.events.list({ starting_after: old?.id }))).toMatchObject({ code: "resource_missing" });
    await stripe.customers.create({});
    expect(typesOf(await stripe.events.list())).toEqual(["customer.created"]);
  });

  it("counts what happens on a test clock of last year as told today", async () => {
    const { stripe } = sandbox;
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: START - 365 * DAY });
    await stripe.customers.create({ test_clock: clock.id });
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: START - 300 * DAY });
    const types = typesOf(await stripe.events.list());
    expect(types).toContain("customer.created");
    expect(types).toContain("test_helpers.test_clock.ready");
  });

  it("tells which were delivered, which were not, and how many endpoints still wait", async () => {
    const { stripe } = sandbox;
    const [good, bad] = [await openReceiver(), await openReceiver(() => 500)];
    closing.push(good.close, bad.close);
    for (const [url, event] of [
      [good.url, "customer.created"],
      [good.url, "product.created"],
      [bad.url, "product.created"],
    ] as const) {
      await stripe.webhookEndpoints.create({ url, enabled_events: [event] });
    }
    await stripe.customers.create({});
    await stripe.products.create({ name: "Pro" });
    await until(() => good.bodies.length === 2 && bad.bodies.length >= 1);
    const delivered = async (success: boolean) => typesOf(await stripe.events.list({ delivery_success: success }));
    await until(async () => (await delivered(true)).length === 1);
    expect(await delivered(true)).toEqual(["customer.created"]);
    expect(await delivered(false)).toEqual(["product.created"]);
    const waiting = Object.fromEntries(
      (await stripe.events.list()).data.map((event) => [event.type, event.pending_webhooks]),
    );
    expect(waiting).toEqual({ "customer.created": 0, "product.created": 1 });
  });
});
