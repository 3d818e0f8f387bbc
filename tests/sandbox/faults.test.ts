// Failures on request: what the SDK makes of them, and that a seed repeats them.
import { type AddressInfo, createServer } from "node:net";
import Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openReceiver, openSandbox, refusal, SECRET_KEY, type TestSandbox, until } from "./setup";

let sandbox: TestSandbox;
const closing: Array<() => Promise<unknown>> = [];
beforeEach(async () => {
  sandbox = await openSandbox({ seed: 1 });
  closing.push(sandbox.close);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Shown {
  api: Array<{ matched: number; met: number }>;
  webhooks: { met: Record<string, number> };
  error?: string;
}
const set = (faults: Record<string, unknown>) => sandbox.control<Shown>("faults", faults);
const shown = () => sandbox.control<Shown>("faults");
const one = (kind: string, more: Record<string, unknown> = {}) =>
  set({ api: [{ match: "POST /v1/customers", kind, ...more }] });
const customers = async () => {
  await set({});
  return (await sandbox.stripe.customers.list({ limit: 100 })).data.length;
};

describe("a fault of the API", () => {
  it.each([
    ["429", { type: "StripeRateLimitError", statusCode: 429, code: "rate_limit" }],
    ["lock_timeout", { type: "StripeRateLimitError", statusCode: 429, code: "lock_timeout" }],
    ["500", { type: "StripeAPIError", statusCode: 500 }],
    ["html", { type: "StripeAPIError", message: "Invalid JSON received from the Stripe API" }],
    ["reset", { type: "StripeConnectionError" }],
    ["truncated", { type: "StripeConnectionError" }],
  ])("of kind %s, before the work, leaves nothing done", async (kind, expected) => {
    await one(kind, { when: "before" });
    expect(await refusal(sandbox.stripe.customers.create({}))).toMatchObject(expected);
    // After a reset the SDK asks once more by itself: the connection may have been an old one.
    const times = kind === "reset" ? 2 : 1;
    expect((await shown()).api).toMatchObject([{ matched: times, met: times }]);
    expect(await customers()).toBe(0);
  });

  it.each(["429", "500", "html", "reset", "truncated"])(
    "of kind %s, after the work, loses the answer",
    async (kind) => {
      await one(kind, { when: "after" });
      await refusal(sandbox.stripe.customers.create({ name: "A" }, { idempotencyKey: "once" }));
      await set({});
      const again = await sandbox.stripe.customers.create({ name: "A" }, { idempotencyKey: "once" });
      expect(again.name).toBe("A");
      expect(await customers()).toBe(1);
    },
  );

  it("tells when to come back after too many requests", async () => {
    await one("429");
    const response = await fetch(`${sandbox.url}/v1/customers`, { method: "POST" });
    expect(response.headers.get("retry-after")).toBe("1");
    expect(response.headers.get("stripe-rate-limited-reason")).toBe("global-rate");
  });

  it.each([404, 500])("answers a %i whose JSON has no error, which the SDK takes for an answer", async (status) => {
    await one(`${status}_without_error`);
    const answer = await sandbox.stripe.customers.create({});
    expect(answer).not.toHaveProperty("object");
    expect(answer.lastResponse.statusCode).toBe(status);
  });

  it("is silent until the caller gives up, before the work or after it", async () => {
    const impatient = new Stripe(SECRET_KEY, {
      host: "127.0.0.1",
      port: sandbox.port,
      protocol: "http",
      maxNetworkRetries: 0,
      timeout: 150,
    });
    for (const [when, made] of [
      ["before", 0],
      ["after", 1],
    ] as const) {
      await one("timeout", { when });
      expect(await refusal(impatient.customers.create({}))).toMatchObject({ type: "StripeConnectionError" });
      expect(await customers()).toBe(made);
    }
  });

  it("is slow as long as it was asked to be", async () => {
    await one("slow", { ms: 200 });
    const started = performance.now();
    expect((await sandbox.stripe.customers.create({})).object).toBe("customer");
    expect(performance.now() - started).toBeGreaterThanOrEqual(195);
  });

  it("is retried by the SDK as Stripe's own would be", async () => {
    const patient = new Stripe(SECRET_KEY, { host: "127.0.0.1", port: sandbox.port, protocol: "http" });
    await one("500", { count: 2 });
    expect((await patient.customers.create({})).object).toBe("customer");
    expect((await shown()).api).toMatchObject([{ matched: 3, met: 2 }]);
    expect(await customers()).toBe(1);
  });

  it("can be kept under the idempotency key, as Stripe keeps its own failures", async () => {
    await one("500", { kept: true, count: 1 });
    const call = () => sandbox.stripe.customers.create({}, { idempotencyKey: "broken" });
    expect(await refusal(call())).toMatchObject({ statusCode: 500 });
    expect(await refusal(call())).toMatchObject({ statusCode: 500 });
    expect(await customers()).toBe(0);
  });

  it("meets what matches: a method and a path, with wildcards", async () => {
    await set({ api: [{ match: "GET /v1/customers/*", kind: "500" }] });
    const { id } = await sandbox.stripe.customers.create({});
    expect((await sandbox.stripe.customers.list()).data).toHaveLength(1);
    await refusal(sandbox.stripe.customers.retrieve(id));
    await set({ api: [{ match: "/v1/products", kind: "500" }] });
    await refusal(sandbox.stripe.products.create({ name: "A" }));
    await refusal(sandbox.stripe.products.list());
    expect((await sandbox.stripe.customers.retrieve(id)).id).toBe(id);
  });

  it("meets the same requests again under the same seed", async () => {
    const run = async (seed: number): Promise<string> => {
      await set({ seed, api: [{ match: "GET /v1/customers", kind: "500", share: 0.4 }] });
      let met = "";
      for (let index = 0; index < 40; index += 1) {
        met += await sandbox.stripe.customers.list().then(
          () => ".",
          () => "x",
        );
      }
      return met;
    };
    const first = await run(7);
    expect(await run(7)).toBe(first);
    expect(await run(8)).not.toBe(first);
    const share = first.replaceAll(".", "").length;
    expect(share).toBeGreaterThan(8);
    expect(share).toBeLessThan(25);
  });

  it("is refused when it is not understood, and everything stays as it was", async () => {
    await one("500", { share: 0.5 });
    for (const api of [
      [{ kind: "never" }],
      [{ kind: "500", share: 2 }],
      [{ kind: "500", often: 1 }],
      [{ kind: "html", kept: true }],
    ]) {
      expect((await set({ api })).error).toMatch(/`/);
    }
    expect((await shown()).api).toMatchObject([{ kind: "500", share: 0.5 }]);
    expect(await set({})).toMatchObject({ api: [], webhooks: { copies: 0 } });
  });
});

describe("a fault of webhooks", () => {
  async function receive(answer?: (count: number) => number) {
    const receiver = await openReceiver(answer);
    closing.push(receiver.close);
    await sandbox.stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["customer.created"] });
    return receiver;
  }
  const idsOf = ({ bodies }: { bodies: Array<{ body: string }> }) =>
    bodies.map(({ body }) => JSON.parse(body).id as string);
  const attempts = async () =>
    (await sandbox.control<{ data: Array<{ attempts: number; state: string }> }>("deliveries")).data;

  it("makes copies, and one is enough for the event to be delivered", async () => {
    const receiver = await receive();
    await set({ webhooks: { copies: 1 } });
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 2);
    expect(new Set(idsOf(receiver)).size).toBe(1);
    await until(async () => (await attempts()).every(({ state }) => state === "delivered"));
    expect((await sandbox.stripe.events.list({ type: "customer.*" })).data).toMatchObject([{ pending_webhooks: 0 }]);
    expect((await shown()).webhooks.met.copies).toBe(1);
  });

  it("loses attempts on their way, which are made again", async () => {
    const receiver = await receive();
    await set({ webhooks: { loss: 1 } });
    await sandbox.stripe.customers.create({});
    await until(async () => (await attempts())[0]?.attempts === 1);
    expect(receiver.bodies).toHaveLength(0);
    await set({});
    await until(() => receiver.bodies.length === 1);
  });

  it("loses answers, so that an event that was taken comes again", async () => {
    const receiver = await receive();
    await set({ webhooks: { unanswered: 1 } });
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 1);
    await set({});
    await until(() => receiver.bodies.length === 2);
    expect(new Set(idsOf(receiver)).size).toBe(1);
  });

  it("delays every delivery", async () => {
    const receiver = await receive();
    await set({ webhooks: { delayMs: [300, 300] } });
    const started = performance.now();
    await sandbox.stripe.customers.create({});
    await until(() => receiver.bodies.length === 1);
    expect(performance.now() - started).toBeGreaterThanOrEqual(295);
  });

  it("lets later events overtake earlier ones, the same ones under the same seed", async () => {
    const receiver = await receive();
    await set({ seed: 3, webhooks: { reorder: 0.5 } });
    const made: string[] = [];
    for (let index = 0; index < 8; index += 1) {
      await sandbox.stripe.customers.create({});
      const [event] = (await sandbox.stripe.events.list({ type: "customer.created", limit: 1 })).data;
      made.push(event?.id ?? "");
    }
    await until(() => receiver.bodies.length === 8);
    expect(idsOf(receiver)).not.toEqual(made);
    expect(new Set(idsOf(receiver))).toEqual(new Set(made));
    const { reorder } = (await shown()).webhooks.met;
    expect(reorder).toBeGreaterThan(0);
    expect(reorder).toBeLessThan(8);
  });

  it("is seen as a reset connection when the receiver crashes", async () => {
    const crashing = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    await new Promise<void>((resolve) => crashing.listen(0, "127.0.0.1", () => resolve()));
    closing.push(() => new Promise((resolve) => crashing.close(resolve)));
    const { port } = crashing.address() as AddressInfo;
    await sandbox.stripe.webhookEndpoints.create({ url: `http://127.0.0.1:${port}/`, enabled_events: ["*"] });
    await sandbox.stripe.customers.create({});
    await until(async () => (await attempts())[0]?.attempts === 1);
    expect((await attempts())[0]).toMatchObject({ state: "pending", lastStatus: null, lastError: "read ECONNRESET" });
  });
});
