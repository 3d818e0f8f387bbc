// What goes on of a period into the next one, and what becomes of a trial's credits: when it is extended, or over.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Billing, callAs, daysLater, expectLawfulLedger, openBilling, quietLogs } from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
/** Stripe's clock; it only goes forward, through all tests of this file. */
let clock = NOW;
const plans: Record<string, string> = {};
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;
  await billing.sql("UPDATE subscription_plans SET rollover_cap = 2000 WHERE key = 'pro'");
});
afterAll(() => billing.close());

type Tenant = Awaited<ReturnType<typeof createTenant>>;

async function liveUntil(at: Date): Promise<void> {
  clock = at;
  await billing.setClock(at);
  await billing.settleOneByOne((await billing.freshEvents()).reverse(), clock);
}

async function subscribe(plan: string, tenant?: Tenant): Promise<Tenant & { subscription: string }> {
  const found = tenant ?? (await createTenant());
  const { url } = await callAs(found.owner, clock).subscription.checkout({
    ...{ organizationId: found.id, planId: plans[plan] ?? "", interval: "month" },
  });
  expect(await billing.pay(url)).toEqual({ status: "complete" });
  await billing.settle();
  const [row] = await billing.sql<{ id: string }>(
    "SELECT stripe_subscription_id AS id FROM organization_subscriptions WHERE organization_id = $1 ORDER BY started_at DESC",
    [found.id],
  );
  return { ...found, subscription: row?.id ?? "" };
}

const available = async (tenant: Tenant, at = clock) =>
  (await callAs(tenant.owner, at).credits.balance({ organizationId: tenant.id })).available;
const endOf = async (tenant: Tenant) =>
  (await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id }))?.currentPeriodEnd ?? clock;
const spend = (tenant: Tenant, quantity: number) =>
  callAs(tenant.owner, clock).credits.consume({
    ...{ organizationId: tenant.id, eventName: "api_call_basic", quantity, idempotencyKey: `k${quantity}${+clock}` },
  });
const lotsOf = async (tenant: Tenant) =>
  (
    await billing.sql<{ label: string; amount: number; remaining: number; rolled: number }>(
      "SELECT label, amount::int, remaining::int, rolled_over::int AS rolled FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id",
      [tenant.id],
    )
  ).map(({ label, amount, remaining, rolled }) => [label, amount, remaining, rolled]);

describe("what is left of a period", () => {
  it("goes on into the next one once it is paid, at most the cap, once, and is found by a refund", async () => {
    const tenant = await subscribe("pro");
    const { customer } = await billing.stripe.subscriptions.retrieve(tenant.subscription);
    const [payment] = (await billing.stripe.paymentIntents.list({ customer: customer as string })).data;
    await spend(tenant, 1000);
    await liveUntil(minutesLater(120, await endOf(tenant)));
    expect(await available(tenant)).toBe(8000);
    expect(await lotsOf(tenant)).toEqual([
      ["Pro, March 2026", 6000, 0, 2000],
      ["Pro, carried over from April", 2000, 2000, 0],
      ["Pro, April 2026", 6000, 6000, 0],
    ]);
    await billing.stripe.subscriptions.update(tenant.subscription, { metadata: { seen: "1" } });
    await billing.settle();
    expect(await available(tenant)).toBe(8000);
    const { rows } = await expectLawfulLedger(billing.sql, tenant.id);
    expect(rows.map(({ type, amount }) => [type, amount])).toEqual([
      ["grant", 6000],
      ["consume", -1000],
      ["expiry", -5000],
      ["grant", 2000],
      ["grant", 6000],
    ]);

    await billing.stripe.refunds.create({ payment_intent: payment?.id ?? "", amount: 4900 });
    await billing.settle();
    expect(await available(tenant)).toBe(6000);
    await expectLawfulLedger(billing.sql, tenant.id);
  });

  it("that a hold has set aside stays with it, and is gone when it is released", async () => {
    const tenant = await subscribe("pro");
    const end = await endOf(tenant);
    await liveUntil(minutesLater(-30, end));
    await callAs(tenant.owner, clock).credits.hold({
      ...{ organizationId: tenant.id, amount: 5500, eventName: "api_call_basic" },
      ...{ idempotencyKey: "held", leaseSeconds: 4 * 3600 },
    });
    await liveUntil(minutesLater(120, end));
    expect(await available(tenant)).toBe(6500);
    // What it releases later is not carried over.
    await liveUntil(minutesLater(400, end));
    await spend(tenant, 1);
    expect(await available(tenant)).toBe(6499);
    await expectLawfulLedger(billing.sql, tenant.id);
  });
});

describe("a trial", () => {
  it("that is extended keeps what is left of its credits until its new end, and no longer", async () => {
    const tenant = await subscribe("starter");
    await spend(tenant, 100);
    const end = daysLater(20, clock);
    await billing.stripe.subscriptions.update(tenant.subscription, { trial_end: Math.floor(end.getTime() / 1000) });
    await billing.settle();
    expect(await available(tenant)).toBe(200);
    expect(await available(tenant, daysLater(16, clock))).toBe(200);
    expect(await available(tenant, end)).toBe(0);
    await billing.settle();
    expect((await lotsOf(tenant)).map(([, amount]) => amount)).toEqual([300, 200]);
    await expectLawfulLedger(billing.sql, tenant.id);
    await liveUntil(minutesLater(120, end));
    expect(await available(tenant)).toBe(1500);
  });

  it("that is cancelled leaves nothing of its credits, owes nothing, and there is no second one", async () => {
    const tenant = await subscribe("starter");
    await spend(tenant, 120);
    await billing.stripe.subscriptions.cancel(tenant.subscription);
    await billing.settle();
    expect(await available(tenant)).toBe(0);
    const { rows } = await expectLawfulLedger(billing.sql, tenant.id);
    expect(rows.map(({ type, amount }) => [type, amount])).toEqual([
      ["grant", 300],
      ["consume", -120],
      ["expiry", -180],
    ]);
    const { customer, items } = await billing.stripe.subscriptions.retrieve(tenant.subscription);
    await billing.stripe.subscriptions.create({
      customer: customer as string,
      items: [{ price: items.data[0]?.price.id ?? "" }],
      trial_period_days: 10,
      metadata: { organizationId: tenant.id },
    });
    await billing.setClock(minutesLater(1, clock));
    await billing.settle();
    expect(await available(tenant)).toBe(0);
  });

  it("in which the plan is changed gives no second trial allowance", async () => {
    const tenant = await subscribe("starter");
    const { items } = await billing.stripe.subscriptions.retrieve(tenant.subscription);
    const [price] = (await billing.stripe.prices.list({ lookup_keys: ["billfold_plan_pro_month_usd"] })).data;
    await billing.stripe.subscriptions.update(tenant.subscription, {
      items: [{ id: items.data[0]?.id ?? "", deleted: true }, { price: price?.id ?? "" }],
    });
    await billing.settle();
    expect(await available(tenant)).toBe(300);
  });
});
