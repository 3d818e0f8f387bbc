// The sandbox by hand: what the buttons of its own pages do.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, DAY, openReceiver, openSandbox, subscribe, type TestSandbox, until, utc } from "./setup";

const START = utc(2026, 3, 10);
let sandbox: TestSandbox;
let stripe: Stripe;
const closing: Array<() => Promise<unknown>> = [];
beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
  closing.push(sandbox.close);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function get(path: string): Promise<string> {
  const response = await fetch(sandbox.url + path);
  expect(response.status).toBe(200);
  return await response.text();
}

async function press(path: string, fields: Record<string, string> = {}, from = "/") {
  const response = await fetch(sandbox.url + path, {
    method: "POST",
    body: new URLSearchParams(fields),
    redirect: "manual",
    headers: { referer: sandbox.url + from },
  });
  return { status: response.status, location: response.headers.get("location"), text: await response.text() };
}

async function subscriber(clock?: string) {
  const { price } = await catalogue(sandbox);
  const customer = await stripe.customers.create({ name: "Ada", email: "ada@example.com", test_clock: clock });
  const subscription = await subscribe(sandbox, { customer: customer.id, price: price.id });
  return { customer, subscription, page: `/customers/${customer.id}` };
}

const now = async () => (await sandbox.control<{ now: number }>("clock")).now;

it("says on every page that it is a stand-in, and leads to the others", async () => {
  const { page } = await subscriber();
  await stripe.webhookEndpoints.create({ url: "http://127.0.0.1:9/", enabled_events: ["*"] });
  const [event] = (await stripe.events.list({ limit: 1 })).data;
  const [charge] = (await stripe.charges.list({ limit: 1 })).data;
  for (const path of [
    "/",
    page,
    `/events/${event?.id}`,
    `/payments/${charge?.id}`,
    "/endpoints",
    "/faults",
    "/mailbox",
  ]) {
    const text = await get(path);
    expect(text, path).toContain("a stand-in, no money moves");
    for (const link of ["/endpoints", "/faults", "/mailbox"]) expect(text, path).toContain(`href="${link}"`);
  }
});

describe("the clock", () => {
  it("goes on an hour, a day, a month, to the next renewal, and back to real time", async () => {
    const { subscription } = await subscriber();
    expect(await press("/clock", { step: "hour" })).toMatchObject({ status: 303, location: "/" });
    expect(await now()).toBe(START + 3600);
    await press("/clock", { step: "day" });
    expect(await now()).toBe(START + 3600 + DAY);
    await press("/clock", { step: "renewal" });
    expect(await now()).toBe(utc(2026, 4, 10, 1));
    const renewed = await stripe.subscriptions.retrieve(subscription.id, { expand: ["latest_invoice"] });
    expect(renewed.latest_invoice).toMatchObject({ billing_reason: "subscription_cycle", status: "paid" });
    await press("/clock", { step: "month" });
    expect(await now()).toBe(utc(2026, 5, 10, 1));
    await press("/clock", { step: "real" });
    expect(await now()).toBeGreaterThan(Math.floor(Date.now() / 1000) - 5);
    expect((await press("/clock", { step: "century" })).status).toBe(400);
  });

  it("of a customer is moved on the customer's page", async () => {
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: START });
    const { customer, page } = await subscriber(clock.id);
    expect(await get(page)).toContain("Its own clock");
    expect(await press(`${page}/clock`, { step: "renewal" })).toMatchObject({ status: 303, location: page });
    expect((await stripe.testHelpers.testClocks.retrieve(clock.id)).frozen_time).toBe(utc(2026, 4, 10, 1));
    expect((await stripe.invoices.list({ customer: customer.id, status: "paid" })).data).toHaveLength(2);
    expect(await now()).toBe(START);
  });

  it("leads back to the page whose button was pressed, and never elsewhere", async () => {
    const { page } = await subscriber();
    expect((await press("/clock", { step: "day" }, page)).location).toBe(page);
    expect((await press("/clock", { step: "day" }, "//evil.test/")).location).toBe("/");
  });
});

describe("a customer's page", () => {
  it("is found by name, email, id or metadata", async () => {
    const { customer } = await subscriber();
    await stripe.customers.update(customer.id, { metadata: { organization: "org-77" } });
    await stripe.customers.create({ name: "Grace" });
    for (const query of ["ada", "ADA@example", customer.id, "org-77"]) {
      const text = await get(`/?q=${encodeURIComponent(query)}`);
      expect(text).toContain(`/customers/${customer.id}`);
      expect(text).not.toContain("Grace");
    }
    expect(await get("/?q=nobody")).toContain("Nobody of that name.");
  });

  it("ends a subscription, keeps it, pauses its collection and it, and resumes", async () => {
    const { subscription, page } = await subscriber();
    const button = (action: string) => press(`${page}/subscriptions/${subscription.id}/${action}`);
    const seen = () => stripe.subscriptions.retrieve(subscription.id);
    expect(await button("cancel_later")).toMatchObject({ status: 303, location: page });
    expect((await seen()).cancel_at_period_end).toBe(true);
    expect(await get(page)).toContain("ends 10 Apr 2026");
    await button("keep");
    expect(await seen()).toMatchObject({ cancel_at_period_end: false, cancel_at: null });
    await button("hold");
    expect((await seen()).pause_collection).toMatchObject({ behavior: "keep_as_draft" });
    await button("collect");
    expect((await seen()).pause_collection).toBeNull();
    await button("pause");
    expect((await seen()).status).toBe("paused");
    await button("resume");
    expect((await seen()).status).toBe("active");
    await button("cancel");
    expect((await seen()).status).toBe("canceled");
    expect((await button("explode")).status).toBe(404);
  });

  it("replaces what pays by a card that will be declined, and collects, voids and gives up invoices", async () => {
    const { customer, subscription, page } = await subscriber();
    await press(`${page}/methods`, { name: "pm_card_chargeCustomerFail" });
    expect((await stripe.subscriptions.retrieve(subscription.id)).default_payment_method).toBe(
      ((await stripe.customers.retrieve(customer.id)) as Stripe.Customer).invoice_settings.default_payment_method,
    );
    await press("/clock", { step: "renewal" });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("past_due");
    const [open] = (await stripe.invoices.list({ customer: customer.id, status: "open" })).data;
    const refused = await press(`${page}/invoices/${open?.id}/pay`);
    expect(refused).toMatchObject({ status: 402 });
    expect(refused.text).toContain("Your card was declined.");
    await press(`${page}/methods`, { name: "pm_card_visa" });
    expect((await press(`${page}/invoices/${open?.id}/pay`)).status).toBe(303);
    expect((await stripe.invoices.retrieve(open?.id ?? "")).status).toBe("paid");
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
    await press(`${page}/methods`, { name: "pm_card_chargeCustomerFail" });
    await press("/clock", { step: "renewal" });
    const [second] = (await stripe.invoices.list({ customer: customer.id, status: "open" })).data;
    await press(`${page}/invoices/${second?.id}/mark_uncollectible`);
    expect((await stripe.invoices.retrieve(second?.id ?? "")).status).toBe("uncollectible");
    await press(`${page}/invoices/${second?.id}/void`);
    expect((await stripe.invoices.retrieve(second?.id ?? "")).status).toBe("void");
  });

  it("lets the bank decide about a debit", async () => {
    const { customer, page } = await subscriber();
    const intent = await stripe.paymentIntents.create({
      amount: 900,
      currency: "usd",
      customer: customer.id,
      payment_method: "pm_usBankAccount_success",
      confirm: true,
    });
    expect(await get(page)).toContain(`/payments/${intent.id}/succeed`);
    await press(`${page}/payments/${intent.id}/fail`);
    expect((await stripe.paymentIntents.retrieve(intent.id)).status).toBe("requires_payment_method");
    const other = await stripe.customers.create({});
    expect((await press(`/customers/${other.id}/payments/${intent.id}/fail`)).status).toBe(404);
  });
});

it("an event's page shows its JSON and each attempt's answer, and sends it again to one endpoint", async () => {
  const receiver = await openReceiver((count) => (count === 1 ? 200 : 418));
  closing.push(receiver.close);
  const endpoint = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["customer.created"] });
  await stripe.customers.create({ name: "<b>Ada</b>" });
  await until(() => receiver.bodies.length === 1);
  const [event] = (await stripe.events.list({ type: "customer.created" })).data;
  const path = `/events/${event?.id}`;
  await until(async () => (await get(path)).includes("delivered"));
  const text = await get(path);
  for (const words of ["customer.created", "&lt;b&gt;Ada&lt;/b&gt;", receiver.url]) expect(text).toContain(words);
  expect(text).not.toContain("<b>Ada");
  const again = { back: "event", endpoint: endpoint.id };
  expect(await press(`${path}/redeliver`, again)).toMatchObject({ status: 303, location: path });
  await until(async () => (await get(path)).includes("418"));
  expect(receiver.bodies).toHaveLength(2);
});

it("endpoints are held back, let go, disabled, enabled and given a new secret", async () => {
  const receiver = await openReceiver();
  closing.push(receiver.close);
  const { id } = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["customer.created"] });
  await press(`/endpoints/${id}/pause`);
  await stripe.customers.create({});
  expect(await get("/endpoints")).toContain("1 waiting");
  await press(`/endpoints/${id}/resume`);
  await until(() => receiver.bodies.length === 1);
  await press(`/endpoints/${id}/disable`);
  expect((await stripe.webhookEndpoints.retrieve(id)).status).toBe("disabled");
  await press(`/endpoints/${id}/enable`);
  expect((await stripe.webhookEndpoints.retrieve(id)).status).toBe("enabled");
  await press(`/endpoints/${id}/roll`);
  expect(await get("/endpoints")).toContain("and 1 older");
  await press("/webhooks", { paused: "true" }, "/endpoints");
  expect(await sandbox.control("webhooks")).toEqual({ paused: true });
  expect(await get("/")).toContain("Webhooks are held back.");
});

it("faults are added, set and taken away", async () => {
  expect(
    await press("/faults/api", { match: "POST /v1/refunds", kind: "500", share: "25", when: "after" }),
  ).toMatchObject({
    status: 303,
    location: "/faults",
  });
  await press("/faults/webhooks", {
    copies: "10",
    loss: "",
    unanswered: "0",
    reorder: "5",
    delayFrom: "10",
    delayTo: "90",
  });
  expect(await sandbox.control("faults")).toMatchObject({
    api: [{ match: "POST /v1/refunds", kind: "500", share: 0.25, when: "after" }],
    webhooks: { copies: 0.1, loss: 0, reorder: 0.05, delayMs: [10, 90] },
  });
  expect(await get("/")).toContain("25% 500: an error of Stripe for POST /v1/refunds; webhooks: 10% copies");
  const wrong = await press("/faults/api", { match: "*", kind: "500", share: "250", when: "after" });
  expect(wrong).toMatchObject({ status: 400 });
  expect(wrong.text).toContain("must be a number from 0 to 1");
  await press("/faults/none", {});
  expect(await get("/")).toContain("None is set.");
});
