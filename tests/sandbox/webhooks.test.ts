// Events on their way: signed, chosen, retried, held back, sent again, and kept over a restart.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Stripe from "stripe";
import { afterEach, describe, expect, it } from "vitest";
import { openReceiver, openSandbox, type TestSandbox, until } from "./setup";

const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(answer?: (count: number) => number, options = {}) {
  const sandbox = await openSandbox(options);
  const receiver = await openReceiver(answer);
  closing.push(sandbox.close, receiver.close);
  return { sandbox, receiver };
}

async function listen({ stripe }: TestSandbox, url: string, events: string[] = ["*"]) {
  const endpoint = await stripe.webhookEndpoints.create({
    url,
    enabled_events: events as Stripe.WebhookEndpointCreateParams.EnabledEvent[],
    api_version: "2026-10-28.endive",
  });
  return { endpoint, secret: endpoint.secret ?? "" };
}

describe("deliveries", () => {
  it("are signed so that the SDK accepts them, and carry what changed", async () => {
    const { sandbox, receiver } = await open();
    const { secret } = await listen(sandbox, receiver.url);
    const customer = await sandbox.stripe.customers.create({ name: "A", metadata: { org: "1" } });
    await sandbox.stripe.customers.update(
      customer.id,
      { name: "B", metadata: { org: "2" } },
      { idempotencyKey: "rename" },
    );
    await until(() => receiver.bodies.length === 2);
    const events = receiver.bodies.map(({ body, signature }) =>
      sandbox.stripe.webhooks.constructEvent(body, signature, secret),
    );
    const updated = events.find(({ type }) => type === "customer.updated");
    expect(updated).toMatchObject({
      object: "event",
      api_version: "2026-10-28.endive",
      livemode: false,
      pending_webhooks: 1,
      request: { idempotency_key: "rename", id: expect.stringMatching(/^req_/) },
      data: { object: { name: "B" }, previous_attributes: { name: "A", metadata: { org: "1" } } },
    });
    const [{ body, signature } = { body: "", signature: "" }] = receiver.bodies;
    expect(() => sandbox.stripe.webhooks.constructEvent(`${body} `, signature, secret)).toThrow();
  });

  it("go only to endpoints that asked for the event, and not to disabled ones", async () => {
    const { sandbox, receiver } = await open();
    const { endpoint } = await listen(sandbox, receiver.url, ["product.created"]);
    expect((await sandbox.stripe.webhookEndpoints.retrieve(endpoint.id)).secret).toBeUndefined();
    await sandbox.stripe.customers.create({});
    await sandbox.stripe.products.create({ name: "Heard" });
    await until(() => receiver.bodies.length === 1);
    expect(JSON.parse(receiver.bodies[0]?.body ?? "")).toMatchObject({ type: "product.created" });
    await sandbox.stripe.webhookEndpoints.update(endpoint.id, { disabled: true });
    await sandbox.stripe.products.create({ name: "Unheard" });
    await sandbox.stripe.webhookEndpoints.del(endpoint.id);
    expect((await sandbox.stripe.webhookEndpoints.list()).data).toEqual([]);
    expect(receiver.bodies).toHaveLength(1);
  });

  it("are repeated after a 500 and after a redirect, until they are taken", async () => {
    const { sandbox, receiver } = await open((count) => [500, 302, 204][count - 1] ?? 200);
    await listen(sandbox, receiver.url);
    const customer = await sandbox.stripe.customers.create({});
    const [event] = (await sandbox.stripe.events.list({ type: "customer.created" })).data;
    const undelivered = await sandbox.stripe.events.list({ delivery_success: false });
    expect(undelivered.data.map(({ id }) => id)).toEqual([event?.id]);
    await until(() => receiver.bodies.length === 3);
    expect(new Set(receiver.bodies.map(({ body }) => JSON.parse(body).id))).toEqual(new Set([event?.id]));
    await until(async () => (await sandbox.stripe.events.list({ delivery_success: false })).data.length === 0);
    const { data } = await sandbox.control<{ data: unknown[] }>("deliveries");
    expect(data).toEqual([expect.objectContaining({ state: "delivered", attempts: 3, lastStatus: 204 })]);
    expect(event?.data.object).toMatchObject({ id: customer.id });
  }, 15_000);

  it("wait while they are paused, and can be sent again later", async () => {
    const { sandbox, receiver } = await open();
    await listen(sandbox, receiver.url);
    await sandbox.control("webhooks", { paused: true });
    await sandbox.stripe.customers.create({});
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(receiver.bodies).toHaveLength(0);
    await sandbox.control("webhooks", { paused: false });
    await until(() => receiver.bodies.length === 1);
    const { id } = JSON.parse(receiver.bodies[0]?.body ?? "") as Stripe.Event;
    await sandbox.control(`events/${id}/deliver`, {});
    await until(() => receiver.bodies.length === 2);
    expect(JSON.parse(receiver.bodies[1]?.body ?? "").id).toBe(id);
  });

  it("go on after a restart, with everything else that was kept", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "sandbox-"));
    closing.push(async () => rmSync(dataDir, { recursive: true, force: true }));
    const before = await openSandbox({ dataDir });
    const receiver = await openReceiver();
    closing.push(receiver.close);
    const { secret } = await listen(before, receiver.url);
    await before.control("webhooks", { paused: true });
    const customer = await before.stripe.customers.create({ name: "Kept" }, { idempotencyKey: "kept" });
    await before.close();

    const after = await openSandbox({ dataDir });
    closing.push(after.close);
    expect(await after.stripe.customers.retrieve(customer.id)).toMatchObject({ name: "Kept" });
    const again = await after.stripe.customers.create({ name: "Kept" }, { idempotencyKey: "kept" });
    expect(again.id).toBe(customer.id);
    await after.control("webhooks", { paused: false });
    await until(() => receiver.bodies.length === 1);
    const [{ body, signature } = { body: "", signature: "" }] = receiver.bodies;
    expect(after.stripe.webhooks.constructEvent(body, signature, secret).type).toBe("customer.created");
  });
});
