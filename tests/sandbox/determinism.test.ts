// The same seed and the same requests: the same bytes, whatever the wall clock shows.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { catalogue, DAY, openSandbox, subscribe, type TestSandbox, utc } from "./setup";

const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(seed: string | number, options = {}): Promise<TestSandbox> {
  const sandbox = await openSandbox({ seed, now: utc(2026, 1, 31), ...options });
  closing.push(sandbox.close);
  return sandbox;
}

/** Two months of a customer who pays, is refused once and pays again; everything that Stripe told of it. */
async function live(sandbox: TestSandbox, reads = 0): Promise<string> {
  const { stripe } = sandbox;
  const { price, customer } = await catalogue(sandbox);
  const endpoint = await stripe.webhookEndpoints.create({ url: "http://127.0.0.1:9/hook", enabled_events: ["*"] });
  const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
  for (let read = 0; read < reads; read += 1) await stripe.customers.retrieve(customer.id);
  const failing = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
  await stripe.subscriptions.update(id, { default_payment_method: failing.id });
  for (let day = 1; day <= 29; day += 1) await sandbox.setClock(utc(2026, 1, 31) + day * DAY);
  const events = await stripe.events.list({ limit: 100 });
  // Which requests made them is told by the requests' own ids, and those count reads too.
  const told = events.data.map(({ request: _, ...event }) => event);
  // The port is the machine's.
  return JSON.stringify([endpoint.secret, customer, told]).replaceAll(sandbox.url, "http://sandbox");
}

describe("a seed", () => {
  it("makes everything the same in every run, and another seed makes other ids", async () => {
    const first = await live(await open(7));
    expect(await live(await open(7))).toBe(first);
    expect(first).toContain("invoice.payment_failed");
    const other = await live(await open(8));
    expect(other).not.toBe(first);
    expect(other.length).toBe(first.length);
  });

  it("is not disturbed by requests that only look", async () => {
    expect(await live(await open(7), 3)).toBe(await live(await open(7)));
  });

  it("begins anew after a reset", async () => {
    const sandbox = await open("again");
    const before = await sandbox.stripe.customers.create({});
    await sandbox.control("reset", {});
    await sandbox.setClock(utc(2026, 1, 31));
    expect((await sandbox.stripe.customers.create({})).id).toBe(before.id);
  });

  it("never gives an id twice, also not after a restart", async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "sandbox-"));
    closing.push(async () => rmSync(dataDir, { recursive: true, force: true }));
    const ids = new Set<string>();
    for (let start = 0; start < 3; start += 1) {
      const sandbox = await openSandbox({ seed: 7, dataDir });
      for (let made = 0; made < 4; made += 1) ids.add((await sandbox.stripe.customers.create({})).id);
      await sandbox.close();
    }
    expect(ids.size).toBe(12);
  });

  it("is not asked by a sandbox without one, also when both run at once", async () => {
    const [seeded, free] = [await open(7), await openSandbox()];
    closing.push(free.close);
    const [mine, other] = await Promise.all([seeded.stripe.customers.create({}), free.stripe.customers.create({})]);
    const again = await open(7);
    expect((await again.stripe.customers.create({})).id).toBe(mine.id);
    expect(other.id).not.toBe(mine.id);
  });
});

it("does at once what is due at once, while the clock stands still", async () => {
  const { stripe } = await open(7);
  await stripe.paymentIntents.create({
    amount: 1000,
    currency: "usd",
    confirm: true,
    payment_method: "pm_card_createDispute",
  });
  expect((await stripe.disputes.list()).data).toHaveLength(1);
});

it("lives through a year of sixty monthly subscriptions, day by day, in seconds", async () => {
  const sandbox = await open(1);
  const { price } = await catalogue(sandbox);
  for (let index = 0; index < 60; index += 1) {
    const { id } = await sandbox.stripe.customers.create({ email: `owner-${index}@example.com` });
    await subscribe(sandbox, { price: price.id, customer: id });
  }
  // Of the processor: a busy machine is no reason to fail.
  const before = process.cpuUsage();
  for (let day = 1; day <= 365; day += 1) await sandbox.setClock(utc(2026, 1, 31) + day * DAY);
  // The last renewal is an hour before it is collected.
  await sandbox.setClock(utc(2027, 1, 31, 1));
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(10);
  const paid = await sandbox.stripe.events.list({ type: "invoice.paid", limit: 100 });
  expect(paid.data).toHaveLength(60);
}, 120_000);
