// Several subscriptions of one organization, customers that are deleted, and what is not known: the live one is never hurt.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { callAs, daysLater, expectLawfulLedger, makeEvent, PLATFORM } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { createTenant } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const standing = async (tenant: Tenant) => (await life.rowsOf(tenant)).map(({ plan, status }) => `${plan} ${status}`);
const kindsOf = async (tenant: Tenant) => (await life.alertsOf(tenant)).map(({ kind }) => kind);
const second = (tenant: Tenant, change: Partial<Stripe.SubscriptionCreateParams> = {}) =>
  life.subscribeInDashboard(tenant, "scale", change);
const available = async (tenant: Tenant) =>
  (await callAs(tenant.owner, life.now()).credits.balance({ organizationId: tenant.id })).available;

/** A price that is in no catalogue of ours. */
async function strangePrice(recurring: boolean): Promise<string> {
  const product = await life.stripe.products.create({ name: "Consulting" });
  const price = await life.stripe.prices.create({
    ...{ product: product.id, currency: "usd", unit_amount: 99_000 },
    ...(recurring ? { recurring: { interval: "month" as const } } : {}),
  });
  return price.id;
}

describe("a second live subscription", () => {
  it("that ended after the first had ended gives what was paid, also where nobody told of it before", async () => {
    const tenant = await life.subscribe("pro");
    const first = await life.rowOf(tenant);
    await life.liveUntil(daysLater(1, life.now()));
    const other = await second(tenant);
    await life.passUntil(daysLater(1, life.now()));
    await life.stripe.subscriptions.cancel(first.id);
    await life.passUntil(daysLater(1, life.now()));
    await life.stripe.subscriptions.cancel(other);
    const customer = await life.customerOf(tenant);
    const ended = (id: string) => makeEvent("customer.subscription.deleted", { id, object: "subscription", customer });
    await life.billing.settle([ended(first.id), ended(other)]);
    expect(await standing(tenant)).toEqual(["pro cancelled", "scale cancelled"]);
    expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([6000, 25_000]);
  });

  it("gives nothing while the first lives, and takes its place at once when that ends", async () => {
    const tenant = await life.subscribe("pro");
    const first = await life.rowOf(tenant);
    await life.liveUntil(daysLater(1, life.now()));
    const other = await second(tenant);
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro active"]);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    expect(await life.alertsOf(tenant)).toEqual([{ kind: "second_subscription", subject: other }]);
    const [alert] = await life.sql<{ message: string; details: unknown }>(
      "SELECT message, details FROM billing_alerts WHERE subject = $1",
      [other],
    );
    expect(alert?.message).toContain(other);
    expect(alert?.message).toContain(first.id);
    expect(alert?.details).toMatchObject({ live: first.id, second: other, plan: "scale" });
    // It was paid all the same, and is shown.
    expect((await life.historyOf(tenant)).map(({ description }) => description)).toEqual([
      "Scale, monthly",
      "Pro, monthly",
    ]);

    await life.stripe.subscriptions.cancel(first.id);
    const told = (await life.billing.freshEvents()).filter(({ type }) => type === "customer.subscription.deleted");
    await life.billing.settle(told);
    expect(await standing(tenant)).toEqual(["pro cancelled", "scale active"]);
    expect(await life.grantsOf(tenant)).toEqual([6000, 25_000]);
    expect(await life.alertsOf(tenant)).toEqual([]);
    await life.billing.settleOneByOne(
      [...told].map((event) => ({ ...event, id: `${event.id}_again` }) as Stripe.Event),
    );
    expect(await life.grantsOf(tenant)).toEqual([6000, 25_000]);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("that ends leaves the first as it is", async () => {
    const tenant = await life.subscribe("pro");
    const other = await second(tenant);
    await life.billing.settle();
    await life.liveUntil(daysLater(1, life.now()));
    await life.stripe.subscriptions.cancel(other);
    const events = await life.billing.freshEvents();
    await life.billing.settle(events);
    expect(await standing(tenant)).toEqual(["pro active"]);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    expect(await life.alertsOf(tenant)).toEqual([]);

    // Nor does it give anything when it is told again after the first has ended as well.
    await life.liveUntil(daysLater(1, life.now()));
    await life.stripe.subscriptions.cancel((await life.rowOf(tenant)).id);
    await life.billing.settle();
    await life.billing.settleOneByOne(events.map((event) => ({ ...event, id: `${event.id}_again` }) as Stripe.Event));
    expect(await standing(tenant)).toEqual(["pro cancelled"]);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
  });

  it("of two checkouts that were both paid is the younger one, in whichever order they are told", async () => {
    for (const backwards of [false, true]) {
      const tenant = await life.subscribe("pro");
      const { id } = await life.rowOf(tenant);
      await life.stripe.subscriptions.cancel(id);
      await life.liveUntil(daysLater(1, life.now()));
      const elder = await life.subscribeInDashboard(tenant, "pro");
      await life.passUntil(daysLater(1, life.now()));
      await second(tenant);
      const live = (await life.stripe.subscriptions.list({ customer: (await life.customerOf(tenant)) ?? "" })).data;
      const events = live.map((object) =>
        makeEvent("customer.subscription.created", object as unknown as Record<string, unknown>),
      );
      await life.billing.settleOneByOne(backwards ? events : events.reverse());
      expect(await standing(tenant)).toEqual(["pro cancelled", "pro active"]);
      expect((await life.rowOf(tenant)).id).toBe(elder);
      expect(await kindsOf(tenant)).toEqual(["second_subscription"]);
    }
  });

  it("that waits for its first payment is second only once that has come", async () => {
    const tenant = await life.subscribe("pro");
    const other = await second(tenant, { payment_behavior: "default_incomplete" });
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro active", "scale pending"]);
    expect(await life.alertsOf(tenant)).toEqual([]);
    const { latest_invoice } = await life.stripe.subscriptions.retrieve(other);
    await life.stripe.invoices.pay(latest_invoice as string);
    await life.billing.settle();
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    expect(await kindsOf(tenant)).toEqual(["second_subscription"]);
  });

  it("that waits for its first payment and has it is the live one where there is no other", async () => {
    const tenant = await life.subscribe("pro");
    await life.stripe.subscriptions.cancel((await life.rowOf(tenant)).id);
    await life.billing.settle();
    const other = await second(tenant, { payment_behavior: "default_incomplete" });
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro cancelled", "scale pending"]);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    const { latest_invoice } = await life.stripe.subscriptions.retrieve(other);
    await life.stripe.invoices.pay(latest_invoice as string);
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro cancelled", "scale active"]);
    expect(await life.grantsOf(tenant)).toEqual([6000, 25_000]);
  });
});

describe("a superseded subscription", () => {
  it("whose events come again, and late, changes nothing of the live one", async () => {
    const tenant = await life.subscribe("pro");
    const old = await life.rowOf(tenant);
    const oldInvoice = (await life.stripe.subscriptions.retrieve(old.id)).latest_invoice as string;
    await life.stripe.subscriptions.cancel(old.id);
    await life.billing.settle();
    await life.subscribe("scale", { tenant });
    const before = { rows: await life.rowsOf(tenant), grants: await life.grantsOf(tenant) };
    const customer = await life.customerOf(tenant);
    await life.billing.settle([
      makeEvent("customer.subscription.updated", { id: old.id, object: "subscription", customer, status: "active" }),
      makeEvent("invoice.paid", { id: oldInvoice, object: "invoice", customer }),
      makeEvent("customer.subscription.deleted", { id: old.id, object: "subscription", customer }),
      makeEvent("invoice.payment_failed", { id: oldInvoice, object: "invoice", customer }),
    ]);
    expect({ rows: await life.rowsOf(tenant), grants: await life.grantsOf(tenant) }).toEqual(before);
    expect(await life.alertsOf(tenant)).toEqual([]);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});

describe("a customer that is deleted at Stripe", () => {
  it("ends what it had, is unlinked, and the next checkout makes another, as often as it happens", async () => {
    const tenant = await createTenant();
    const seen: string[] = [];
    for (let round = 0; round < 3; round++) {
      await life.subscribe("pro", { tenant });
      const customer = (await life.customerOf(tenant)) ?? "";
      expect(seen).not.toContain(customer);
      seen.push(customer);
      await life.stripe.customers.del(customer);
      const events = await life.billing.freshEvents();
      await life.billing.settle(events.filter(({ type }) => type === "customer.deleted"));
      expect(await life.customerOf(tenant)).toBeNull();
      expect((await life.rowOf(tenant)).status).toBe("cancelled");
      // What comes later of the old customer finds its organization by its rows, and links nothing.
      await life.billing.settle(events);
      expect(await life.statusesOf(events)).toEqual(new Set(["done"]));
      expect(await life.customerOf(tenant)).toBeNull();
    }
    const [change] = await life.sql<{ cause: string }>(
      "SELECT cause FROM subscription_changes WHERE organization_id = $1 AND to_status = 'cancelled' ORDER BY at, id LIMIT 1",
      [tenant.id],
    );
    expect(change?.cause).toMatch(/^customer\.deleted evt_/);
    expect(await life.alertsOf(tenant)).toEqual([]);
    expect(await life.alertsOf(null)).toEqual([]);
  });

  it("whose subscription's events come after another customer took its place changes nothing", async () => {
    const tenant = await life.subscribe("pro");
    const old = { customer: (await life.customerOf(tenant)) ?? "", subscription: (await life.rowOf(tenant)).id };
    await life.stripe.customers.del(old.customer);
    await life.billing.settle();
    await life.subscribe("scale", { tenant });
    const customer = await life.customerOf(tenant);
    const before = await life.rowsOf(tenant);
    const late = makeEvent("customer.subscription.updated", {
      id: old.subscription,
      object: "subscription",
      customer: old.customer,
      metadata: { organizationId: tenant.id },
    });
    await life.billing.settle([late]);
    expect(await life.statusesOf([late])).toEqual(new Set(["done"]));
    expect(await life.rowsOf(tenant)).toEqual(before);
    expect(await life.customerOf(tenant)).toBe(customer);
    expect(await life.alertsOf(null)).toEqual([]);
  });

  it("is not linked by an event of it that the organization has no row of", async () => {
    const tenant = await createTenant();
    const gone = await life.stripe.customers.create({ metadata: { organizationId: tenant.id } });
    await life.stripe.customers.del(gone.id);
    await life.billing.freshEvents();
    await life.billing.settle([
      makeEvent("customer.updated", { id: gone.id, object: "customer", metadata: { organizationId: tenant.id } }),
    ]);
    expect(await life.customerOf(tenant)).toBeNull();
  });
});

describe("a price that we do not know", () => {
  it("of a subscription is put aside with an alert, and taken up once it is known", async () => {
    const tenant = await life.subscribe("pro");
    await life.stripe.subscriptions.cancel((await life.rowOf(tenant)).id);
    await life.billing.settle();
    await life.liveUntil(daysLater(1, life.now()));
    const price = await strangePrice(true);
    const id = await life.subscribeInDashboard(tenant, "pro", { items: [{ price }] });
    const events = await life.billing.freshEvents();
    await life.billing.settle(events);
    const told = events.filter(({ type }) => type === "invoice.paid" || type === "customer.subscription.created");
    expect(await life.statusesOf(told)).toEqual(new Set(["quarantined"]));
    expect(await life.alertsOf(tenant)).toEqual([{ kind: "unknown_price", subject: id }]);
    expect(await standing(tenant)).toEqual(["pro cancelled"]);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    // The money was taken: its line is there.
    expect((await life.historyOf(tenant))[0]).toMatchObject({ amount: 99_000, status: "paid" });

    const known = await life.priceOf("scale", "year");
    await life.sql("UPDATE plan_prices SET stripe_price_id = $2 WHERE id = $1", [known.id, price]);
    const object = { id, object: "subscription", customer: await life.customerOf(tenant) };
    await life.billing.settle([makeEvent("customer.subscription.updated", object)]);
    await life.sql("UPDATE plan_prices SET stripe_price_id = $2 WHERE id = $1", [known.id, known.stripeId]);
    expect(await life.alertsOf(tenant)).toEqual([]);
    expect((await life.rowOf(tenant)).status).toBe("active");
    expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([6000, 25_000]);
  });

  it("that a live subscription changes to leaves its plan as it was, and follows everything else", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const { items } = await life.stripe.subscriptions.retrieve(id);
    const price = await strangePrice(true);
    await life.stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id ?? "", price }],
      proration_behavior: "none",
    });
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro active"]);
    expect(await kindsOf(tenant)).toEqual(["unknown_price"]);
    await life.stripe.subscriptions.cancel(id);
    await life.billing.settle();
    expect(await standing(tenant)).toEqual(["pro cancelled"]);
  });

  it("does not keep another subscription of the organization from being right", async () => {
    const tenant = await life.subscribe("pro");
    const price = await strangePrice(true);
    await life.subscribeInDashboard(tenant, "pro", { items: [{ price }] });
    await life.liveUntil(daysLater(32, life.now()));
    expect(await standing(tenant)).toEqual(["pro active"]);
    expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
    expect(await kindsOf(tenant)).toEqual(["unknown_price"]);
  });
});

describe("a status that we have never heard of", () => {
  it("changes no entitlement and is told until it is another", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const look = makeEvent.bind(null, "customer.subscription.updated", {
      ...{ id, object: "subscription", customer: await life.customerOf(tenant) },
    });
    life.billing.line.bend = (path, answer) =>
      path.startsWith(`/v1/subscriptions/${id}`) ? { ...answer, status: "hibernating" } : answer;
    await life.billing.settle([look()]);
    expect(await standing(tenant)).toEqual(["pro active"]);
    expect(await available(tenant)).toBe(6000);
    expect(await life.alertsOf(tenant)).toEqual([{ kind: "unknown_status", subject: id }]);
    life.billing.line.bend = null;
    await life.billing.settle([look()]);
    expect(await life.alertsOf(tenant)).toEqual([]);
  });
});

describe("what names another organization", () => {
  it("is put aside, and changes neither", async () => {
    const [tenant, named] = [await life.subscribe("pro"), await life.subscribe("starter")];
    const customer = (await life.customerOf(tenant)) ?? "";
    const before = [await life.rowsOf(tenant), await life.rowsOf(named)];
    const price = await life.priceOf("scale");
    const [method] = (await life.stripe.customers.listPaymentMethods(customer)).data;
    const made = await life.stripe.subscriptions.create({
      ...{ customer, items: [{ price: price.stripeId }], metadata: { organizationId: named.id } },
      default_payment_method: method?.id ?? "",
    });
    const events = (await life.billing.freshEvents()).filter(({ type }) => type === "customer.subscription.created");
    await life.billing.settle(events);
    expect(await life.statusesOf(events)).toEqual(new Set(["quarantined"]));
    expect(await life.alertsOf(null)).toEqual([{ kind: "customer_mismatch", subject: made.id }]);
    expect([await life.rowsOf(tenant), await life.rowsOf(named)]).toEqual(before);
    expect(await callAs(PLATFORM, life.now()).subscription.get({ organizationId: tenant.id })).toMatchObject({
      planKey: "pro",
    });
  });
});
