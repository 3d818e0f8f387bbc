// Webhook endpoints: what may be made, in which version they are told, what they are signed with, and what comes back.
import { createHmac } from "node:crypto";
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, openReceiver, openSandbox, refusal, subscribe, type TestSandbox, until, utc } from "./setup";

type Create = Stripe.WebhookEndpointCreateParams;
let sandbox: TestSandbox;
const closing: Array<() => Promise<unknown>> = [];
beforeEach(async () => {
  sandbox = await openSandbox({ now: utc(2026, 3, 10) });
  closing.push(sandbox.close);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const create = (given: Partial<Create>) =>
  sandbox.stripe.webhookEndpoints.create({ url: "http://127.0.0.1:9/hook", enabled_events: ["*"], ...given });

async function receive(given: Partial<Create> = {}, answer?: (count: number) => number) {
  const receiver = await openReceiver(answer);
  closing.push(receiver.close);
  const endpoint = await create({ url: receiver.url, ...given });
  return { receiver, endpoint, secret: endpoint.secret ?? "" };
}

const bodyOf = ({ body }: { body: string }) => JSON.parse(body) as Stripe.Event & { data: { object: Json } };
type Json = Record<string, unknown>;

describe("an endpoint", () => {
  it("keeps what it was made with, and can be changed", async () => {
    const made = await create({
      description: "ours",
      metadata: { team: "billing" },
      enabled_events: ["invoice.paid", "customer.created"],
    });
    expect(made).toMatchObject({ status: "enabled", api_version: null, metadata: { team: "billing" } });
    expect(made.secret).toMatch(/^whsec_[A-Za-z0-9]{32}$/);
    const changed = await sandbox.stripe.webhookEndpoints.update(made.id, {
      disabled: true,
      description: "",
      metadata: { team: "", zone: "eu" },
      enabled_events: ["*"],
    });
    expect(changed).toMatchObject({
      status: "disabled",
      description: null,
      metadata: { zone: "eu" },
      enabled_events: ["*"],
    });
    expect((await sandbox.stripe.webhookEndpoints.list()).data).toEqual([changed]);
  });

  it("takes only types of events that exist", async () => {
    const events = ["invoice.paid", "invoice.payed"] as Stripe.WebhookEndpointCreateParams.EnabledEvent[];
    expect(await refusal(create({ enabled_events: events }))).toMatchObject({
      rawType: "invalid_request_error",
      param: "enabled_events[1]",
      message: "Invalid enabled_events[1]: invoice.payed is not a type of event.",
    });
    const { id } = await create({});
    expect(await refusal(sandbox.stripe.webhookEndpoints.update(id, { enabled_events: events }))).toMatchObject({
      param: "enabled_events[1]",
    });
  });

  it("takes only versions that exist, older ones too", async () => {
    expect((await create({ api_version: "2024-06-20" })).api_version).toBe("2024-06-20");
    expect(
      await refusal(create({ api_version: "2024-06-21" as Stripe.WebhookEndpointCreateParams.ApiVersion })),
    ).toMatchObject({
      param: "api_version",
      message: "Invalid Stripe API version: 2024-06-21",
    });
  });

  it("is at an https address, or at any on this machine", async () => {
    for (const url of [
      "https://app.test/hook",
      "http://localhost:3000/hook",
      "http://[::1]:3000/",
      "http://127.9.0.1/",
    ]) {
      expect((await create({ url })).url).toBe(url);
    }
    expect(await refusal(create({ url: "http://app.test/hook" }))).toMatchObject({ code: "url_invalid", param: "url" });
    expect(await refusal(create({ url: "ftp://127.0.0.1/" }))).toMatchObject({ code: "url_invalid" });
  });

  it("is one of sixteen at most", async () => {
    for (let made = 0; made < 16; made += 1) await create({});
    expect(await refusal(create({}))).toMatchObject({
      message: "You have reached the maximum of 16 test webhook endpoints.",
    });
    const [last] = (await sandbox.stripe.webhookEndpoints.list({ limit: 1 })).data;
    await sandbox.stripe.webhookEndpoints.del(last?.id ?? "");
    expect((await create({})).status).toBe("enabled");
  });
});

describe("the version of an endpoint", () => {
  it("of before basil finds periods, subscriptions and payments where they were", async () => {
    const old = await receive({
      api_version: "2024-06-20",
      enabled_events: ["customer.subscription.updated", "invoice.paid"],
    });
    const { customer, price } = await catalogue(sandbox);
    const subscription = await subscribe(sandbox, { customer: customer.id, price: price.id });
    await sandbox.setClock(utc(2026, 4, 10, 1));
    // Active after the first payment, renewed a month later; each paid.
    await until(() => old.receiver.bodies.length === 4);
    const events = old.receiver.bodies.map(bodyOf).sort((a, b) => a.created - b.created);
    expect(new Set(events.map(({ api_version }) => api_version))).toEqual(new Set(["2024-06-20"]));
    const renewed = events.find(
      ({ type, created }) => type === "customer.subscription.updated" && created === utc(2026, 4, 10),
    );
    expect(renewed?.data.object).toMatchObject({
      current_period_start: utc(2026, 4, 10),
      current_period_end: utc(2026, 5, 10),
    });
    expect(renewed?.data.previous_attributes).toMatchObject({
      current_period_start: utc(2026, 3, 10),
      current_period_end: utc(2026, 4, 10),
    });
    const [item] = (renewed?.data.object.items as { data: Json[] } | undefined)?.data ?? [];
    expect(item).not.toHaveProperty("current_period_end");
    const paid = events.findLast(({ type }) => type === "invoice.paid");
    expect(paid?.data.object).toMatchObject({
      subscription: subscription.id,
      paid: true,
      payment_intent: expect.stringMatching(/^pi_/),
      charge: expect.stringMatching(/^ch_/),
      lines: { data: [{ price: price.id, type: "subscription", proration: false }] },
    });
    expect(paid?.data.object).not.toHaveProperty("parent");
  });

  it("from basil on finds them where the SDK has them", async () => {
    const current = await receive({
      api_version: "2025-03-31.basil",
      enabled_events: ["customer.subscription.created"],
    });
    const { customer, price } = await catalogue(sandbox);
    await subscribe(sandbox, { customer: customer.id, price: price.id });
    await until(() => current.receiver.bodies.length === 1);
    const [event] = current.receiver.bodies.map(bodyOf);
    expect(event?.api_version).toBe("2025-03-31.basil");
    expect(event?.data.object).not.toHaveProperty("current_period_end");
    // Whoever lists events gets them in the account's version.
    const [listed] = (await sandbox.stripe.events.list({ type: "customer.subscription.created" })).data;
    expect(listed).toMatchObject({ id: event?.id, api_version: "2026-10-28.endive" });
  });

  it("names the endpoint's invoice on payments of before basil", async () => {
    const old = await receive({
      api_version: "2023-10-16",
      enabled_events: ["charge.succeeded", "payment_intent.succeeded"],
    });
    const { customer, price } = await catalogue(sandbox);
    const { latest_invoice } = await subscribe(sandbox, { customer: customer.id, price: price.id });
    await until(() => old.receiver.bodies.length === 2);
    expect(old.receiver.bodies.map((sent) => bodyOf(sent).data.object.invoice)).toEqual([
      latest_invoice,
      latest_invoice,
    ]);
  });
});

describe("a rolled secret", () => {
  it("signs along with the new one for a while", async () => {
    const { receiver, endpoint, secret: old } = await receive();
    const rolled = await sandbox.control<{ secret: string; old_secret_expires_at: number }>(
      `webhook_endpoints/${endpoint.id}/roll`,
      { expires_in: 3600 },
    );
    expect(rolled.secret).not.toBe(old);
    expect(rolled.old_secret_expires_at).toBeGreaterThan(Date.now() / 1000 + 3500);
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 1);
    const [{ body, signature } = { body: "", signature: "" }] = receiver.bodies;
    for (const secret of [old, rolled.secret]) {
      expect(sandbox.stripe.webhooks.constructEvent(body, signature, secret).type).toBe("customer.created");
    }
    const [, at = ""] = /t=(\d+)/.exec(signature) ?? [];
    const v1 = (secret: string) => createHmac("sha256", secret).update(`${at}.${body}`).digest("hex");
    expect(signature).toBe(`t=${at},v1=${v1(rolled.secret)},v1=${v1(old)}`);
  });

  it("is of no use at once when nobody gives it time", async () => {
    const { receiver, endpoint, secret: old } = await receive();
    const { secret } = await sandbox.control<{ secret: string }>(`webhook_endpoints/${endpoint.id}/roll`, {
      expires_in: 0,
    });
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 1);
    const [{ body, signature } = { body: "", signature: "" }] = receiver.bodies;
    expect(sandbox.stripe.webhooks.constructEvent(body, signature, secret).type).toBe("customer.created");
    expect(() => sandbox.stripe.webhooks.constructEvent(body, signature, old)).toThrow();
    expect(await sandbox.control(`webhook_endpoints/${endpoint.id}/roll`, { expires_in: 90_000 })).toEqual({
      error: "`expires_in` must be seconds, from 0 to 86400",
    });
  });
});

describe("deliveries", () => {
  interface Kept {
    data: Array<{
      state: string;
      endpoint: string;
      attempts: number;
      log: Array<{ status: number | null; answer: string }>;
    }>;
  }

  it("are kept with what each attempt was answered", async () => {
    const { receiver } = await receive({}, (count) => (count === 1 ? 503 : 200));
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 2);
    const kept = () => sandbox.control<Kept>("deliveries");
    await until(async () => (await kept()).data[0]?.state === "delivered");
    expect((await kept()).data[0]?.log).toMatchObject([
      { status: 503, answer: "" },
      { status: 200, answer: "" },
    ]);
  });

  it("say why there was no answer", async () => {
    await create({ url: "http://127.0.0.1:9/hook" });
    await create({ url: "https://app.test/hook" });
    await sandbox.stripe.customers.create({});
    const kept = () => sandbox.control<Kept>("deliveries");
    await until(async () => (await kept()).data.every(({ log }) => log.length > 0));
    const answers = (await kept()).data.map(({ state, log }) => [state, log[0]?.answer]);
    expect(answers).toContainEqual(["failed", "the sandbox sends nothing beyond this machine"]);
    expect(answers).toContainEqual(["pending", expect.stringMatching(/bad port|ECONNREFUSED|fetch failed/)]);
  });

  it("wait while their endpoint is paused, and only they", async () => {
    const [paused, other] = [await receive(), await receive()];
    await sandbox.control(`webhook_endpoints/${paused.endpoint.id}/pause`, {});
    await sandbox.stripe.customers.create({});
    await until(() => other.receiver.bodies.length === 1);
    expect(paused.receiver.bodies).toHaveLength(0);
    expect(await sandbox.control(`webhook_endpoints/${paused.endpoint.id}/resume`, {})).toEqual({
      id: paused.endpoint.id,
      paused: false,
    });
    await until(() => paused.receiver.bodies.length === 1);
  });

  it("to an endpoint that was disabled meanwhile are given up", async () => {
    const { receiver, endpoint } = await receive();
    await sandbox.control("webhooks", { paused: true });
    await sandbox.stripe.customers.create({});
    await sandbox.stripe.webhookEndpoints.update(endpoint.id, { disabled: true });
    await sandbox.control("webhooks", { paused: false });
    const kept = () => sandbox.control<Kept>("deliveries");
    await until(async () => (await kept()).data[0]?.state === "failed");
    expect((await kept()).data[0]?.log).toMatchObject([{ status: null, answer: "the endpoint is disabled" }]);
    expect(receiver.bodies).toHaveLength(0);
  });
});
