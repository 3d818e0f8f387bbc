// Changes of plan as Stripe makes them, lived through with the real SDK: what each gives and takes back, told in any order.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { setSpentPolicy } from "~/server/billing/spent-policy";
import {
  type Billing,
  callAs,
  daysLater,
  expectLawfulLedger,
  openBilling,
  PLATFORM,
  quietLogs,
} from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
/** Stripe's clock; it only goes forward, through all tests of this file. */
let clock = NOW;
const plans: Record<string, string> = {};
const prices: Record<string, string> = {};
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;
  for await (const { lookup_key, id } of billing.stripe.prices.list({ limit: 100 })) prices[lookup_key ?? ""] = id;
});
afterAll(() => billing.close());
afterEach(() => billing.endAll());

type Tenant = Awaited<ReturnType<typeof createTenant>>;
type Interval = "month" | "year";
type Change = Omit<Stripe.SubscriptionUpdateParams, "items">;

let chance = 20_261;
const random = () => {
  chance = (chance * 48_271) % 2_147_483_647;
  return chance / 2_147_483_647;
};

/** Hands over what happened, shuffled, some of it twice. */
async function settle(): Promise<void> {
  const events = await billing.freshEvents();
  const told = [...events, ...events.filter(() => random() < 0.3)];
  for (let index = told.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [told[index], told[other]] = [told[other] as Stripe.Event, told[index] as Stripe.Event];
  }
  await billing.settle(told, clock);
}

async function liveUntil(at: Date): Promise<void> {
  clock = at;
  await billing.setClock(at);
  await settle();
}

async function subscribe(plan: string, interval: Interval = "month"): Promise<Tenant> {
  const tenant = await createTenant();
  const { url } = await callAs(tenant.owner, clock).subscription.checkout({
    organizationId: tenant.id,
    planId: plans[plan] ?? "",
    interval,
  });
  expect(await billing.pay(url)).toEqual({ status: "complete" });
  await settle();
  return tenant;
}

async function idOf(tenant: Tenant): Promise<string> {
  const [row] = await billing.sql<{ id: string }>(
    "SELECT stripe_subscription_id AS id FROM organization_subscriptions WHERE organization_id = $1",
    [tenant.id],
  );
  return row?.id ?? "";
}

/** Changes the plan at Stripe, as the portal and the dashboard do, without telling us. */
async function change(
  tenant: Tenant,
  plan: string | null,
  interval: Interval,
  rest: Change & { quantity?: number } = {},
) {
  const { quantity = 1, ...how } = rest;
  const id = await idOf(tenant);
  const { items } = await billing.stripe.subscriptions.retrieve(id);
  const price = plan === null ? {} : { price: prices[`billfold_plan_${plan}_${interval}_usd`] ?? "" };
  return billing.stripe.subscriptions.update(id, {
    items: [{ id: items.data[0]?.id ?? "", ...price, quantity }],
    proration_behavior: "always_invoice",
    ...how,
  });
}

async function spend(tenant: Tenant, amount: number): Promise<void> {
  await callAs(tenant.owner, clock).credits.consume({
    ...{ organizationId: tenant.id, eventName: "api_call_basic", quantity: amount, idempotencyKey: `k${random()}` },
  });
}

const available = async (tenant: Tenant) =>
  (await callAs(tenant.owner, clock).credits.balance({ organizationId: tenant.id })).available;

const lotsOf = (tenant: Tenant) =>
  billing.sql<{ label: string; amount: number; remaining: number; returned: number; expires: Date }>(
    `SELECT label, amount::int, remaining::int, returned::int, expires_at AS expires FROM credit_grants
     WHERE organization_id = $1 ORDER BY created_at, expires_at, label`,
    [tenant.id],
  );

const debtOf = async (tenant: Tenant) =>
  (
    await billing.sql<{ debt: number }>("SELECT debt::int FROM credit_accounts WHERE organization_id = $1", [tenant.id])
  )[0]?.debt;

const CREDITS: Record<string, [credits: number, price: number]> = {
  starter_month: [1500, 1500],
  pro_month: [6000, 4900],
  scale_month: [25_000, 14_900],
  starter_year: [18_000, 15_000],
  pro_year: [72_000, 49_000],
  scale_year: [300_000, 149_000],
};

/** What the prorations of the subscription's newest invoice give, reckoned from Stripe's own lines. */
async function netOfLatest(tenant: Tenant): Promise<number> {
  const { latest_invoice } = await billing.stripe.subscriptions.retrieve(await idOf(tenant));
  const { lines } = await billing.stripe.invoices.retrieve(latest_invoice as string);
  let net = 0;
  for (const { amount, quantity, pricing, parent } of lines.data) {
    if (!parent?.subscription_item_details?.proration) continue;
    const price = Object.entries(prices).find(([, id]) => id === pricing?.price_details?.price)?.[0] ?? "";
    const [credits = 0, listed = 1] = CREDITS[price.replace("billfold_plan_", "").replace("_usd", "")] ?? [];
    const exact = (credits * amount) / (listed * (quantity ?? 1));
    net += Math.floor(exact + 1e-9);
  }
  return net;
}

/** The best list price sells 300,000 credits for 149,000; nobody ever has had more for what they paid. */
async function expectMoneysWorth(tenant: Tenant): Promise<void> {
  const { customer } = await billing.stripe.subscriptions.retrieve(await idOf(tenant));
  let money = 0;
  for await (const { total, status } of billing.stripe.invoices.list({ customer: customer as string, limit: 100 })) {
    if (status === "paid") money += total;
  }
  const [sum] = await billing.sql<{ usable: string }>(
    `SELECT (SELECT coalesce(sum(remaining), 0) FROM credit_grants WHERE organization_id = a.organization_id AND expires_at > $2)
       + (SELECT coalesce(-sum(amount), 0) FROM credit_transactions WHERE organization_id = a.organization_id AND type IN ('consume', 'reversal'))
       - a.debt AS usable FROM credit_accounts a WHERE organization_id = $1`,
    [tenant.id, clock],
  );
  expect(
    BigInt(sum?.usable ?? 0) * 149_000n <= 300_000n * BigInt(Math.max(0, money)),
    `${sum?.usable} for ${money}`,
  ).toBe(true);
  await expectLawfulLedger(billing.sql, tenant.id);
}

describe("an upgrade", () => {
  it("gives what its money buys, once, and the next period the larger allowance", async () => {
    const tenant = await subscribe("pro");
    const end = (await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id }))?.currentPeriodEnd;
    await liveUntil(daysLater(10, clock));
    await change(tenant, "scale", "month");
    const net = await netOfLatest(tenant);
    await settle();
    expect(net).toBeGreaterThan(12_000);
    expect(await available(tenant)).toBe(6000 + net);
    expect((await lotsOf(tenant)).map(({ label, amount, expires }) => [label, amount, expires])).toEqual([
      ["Pro, March 2026", 6000, end],
      ["Scale, upgrade, March 2026", net, end],
    ]);
    const [row] = await billing.sql<{ id: string }>(
      "SELECT id FROM credit_transactions WHERE organization_id = $1 AND amount = $2",
      [tenant.id, net],
    );
    const explained = await callAs(tenant.owner, clock).credits.explain({
      organizationId: tenant.id,
      transactionId: row?.id ?? "",
    });
    expect(explained).toMatchObject({
      cause: "Credits came with the subscription: Scale, upgrade, March 2026.",
      lots: [{ origin: { plan: { name: "Scale", periodStart: clock, periodEnd: end, trial: false } } }],
    });
    await expectMoneysWorth(tenant);
    await liveUntil(minutesLater(120, end));
    expect(await available(tenant)).toBe(25_000);
    await expectMoneysWorth(tenant);
  });

  it("on the last day, when everything is used up, gives next to nothing", async () => {
    const tenant = await subscribe("pro");
    await spend(tenant, 6000);
    const end = (await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id }))?.currentPeriodEnd;
    await liveUntil(minutesLater(-10, end));
    await change(tenant, "scale", "month");
    await settle();
    expect(await available(tenant)).toBeLessThan(10);
    await expectMoneysWorth(tenant);
  });

  it("down and up again, twice within a second, spending between, never pays off", async () => {
    const tenant = await subscribe("pro");
    for (const plan of ["scale", "starter", "scale", "pro", "scale"]) await change(tenant, plan, "month");
    await settle();
    await expectMoneysWorth(tenant);
    for (const plan of ["starter", "scale", "pro", "starter"]) {
      await liveUntil(daysLater(2, clock));
      const left = await available(tenant);
      if (left > 1) await spend(tenant, Math.ceil(left / 3));
      await change(tenant, plan, "month");
      await settle();
      await expectMoneysWorth(tenant);
    }
  });

  it("whose prorations wait for the renewal gives its credits then, until the end of what is paid with them", async () => {
    const tenant = await subscribe("pro");
    const end = (await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id }))?.currentPeriodEnd;
    await liveUntil(daysLater(12, clock));
    await change(tenant, "scale", "month", { proration_behavior: "create_prorations" });
    await settle();
    expect(await available(tenant)).toBe(6000);
    await liveUntil(minutesLater(120, end));
    const net = await netOfLatest(tenant);
    expect(net).toBeGreaterThan(5000);
    expect(await available(tenant)).toBe(25_000 + net);
    const [renewed, upgrade] = (await lotsOf(tenant))
      .filter(({ remaining }) => remaining > 0)
      .sort((a, b) => b.amount - a.amount);
    expect(renewed?.expires).toEqual(upgrade?.expires);
    await expectMoneysWorth(tenant);
  });

  it("without prorations gives nothing before the next period", async () => {
    const tenant = await subscribe("pro");
    await change(tenant, "scale", "month", { proration_behavior: "none" });
    await settle();
    expect(await available(tenant)).toBe(6000);
    await liveUntil(daysLater(32, clock));
    expect(await available(tenant)).toBe(25_000);
    await expectMoneysWorth(tenant);
  });

  it("of seats gives nothing, and takes no more than a rounding", async () => {
    const tenant = await subscribe("pro");
    await liveUntil(daysLater(7, clock));
    await change(tenant, null, "month", { quantity: 4 });
    await settle();
    const left = await available(tenant);
    expect(left).toBeLessThanOrEqual(6000);
    expect(left).toBeGreaterThan(5995);
    await expectMoneysWorth(tenant);
  });

  it("of a year that is granted monthly gives each month the difference, and this month what is left of it", async () => {
    const tenant = await subscribe("pro", "year");
    await liveUntil(daysLater(40, clock));
    await grantDueSlices(clock, 100);
    await change(tenant, "scale", "year");
    const net = await netOfLatest(tenant);
    await settle();
    expect(await available(tenant)).toBe(6000 + net - 10 * 19_000);
    await liveUntil(daysLater(30, clock));
    await grantDueSlices(clock, 100);
    expect(await available(tenant)).toBe(25_000);
    await expectMoneysWorth(tenant);
    await liveUntil(daysLater(300, clock));
    await grantDueSlices(clock, 100);
    const upgrades = (await lotsOf(tenant)).filter(({ label }) => label.includes("upgrade"));
    expect(upgrades.reduce((sum, { amount }) => sum + amount, 0)).toBe(net);
    await expectMoneysWorth(tenant);
  });
});

describe("a downgrade that gives money back", () => {
  it("takes what is unspent, and what was spent is owed, whatever the policy is", async () => {
    for (const policy of ["clamp", "suspend"] as const) {
      const tenant = await subscribe("scale");
      await setSpentPolicy({ organizationId: tenant.id, policy, actor: "test", now: clock });
      await spend(tenant, 20_000);
      await liveUntil(daysLater(10, clock));
      await change(tenant, "pro", "month");
      const net = await netOfLatest(tenant);
      await settle();
      expect(await available(tenant)).toBe(0);
      expect(await debtOf(tenant)).toBe(-net - 5000);
      await expectMoneysWorth(tenant);
      await liveUntil(daysLater(25, clock));
      expect(await available(tenant)).toBe(Math.max(0, 6000 + net + 5000));
      await expectMoneysWorth(tenant);
    }
  });

  it("takes of the slices to come, so that each is the smaller plan's", async () => {
    const tenant = await subscribe("scale", "year");
    await liveUntil(daysLater(3, clock));
    await change(tenant, "pro", "year");
    const net = await netOfLatest(tenant);
    await settle();
    expect(await available(tenant)).toBe(25_000 + net + 11 * 19_000);
    await liveUntil(daysLater(30, clock));
    await grantDueSlices(clock, 100);
    expect(await available(tenant)).toBe(6000);
    await expectMoneysWorth(tenant);
  });

  it("finds credits that were given to another organization", async () => {
    const tenant = await subscribe("scale");
    const friend = await createTenant();
    await callAs(PLATFORM, clock).credits.transfer({
      ...{
        organizationId: tenant.id,
        toOrganizationId: friend.id,
        amount: 20_000,
        reason: "gift",
        idempotencyKey: "one",
      },
    });
    await change(tenant, "starter", "month");
    const net = await netOfLatest(tenant);
    await settle();
    expect((await available(tenant)) + (await available(friend))).toBe(25_000 + net);
    expect(await available(tenant)).toBe(0);
    await expectLawfulLedger(billing.sql, friend.id);
  });

  it("and a refund of the same invoice come to the same in any order", async () => {
    const standing = async (refundFirst: boolean) => {
      const tenant = await subscribe("scale");
      const { customer } = await billing.stripe.subscriptions.retrieve(await idOf(tenant));
      const [payment] = (await billing.stripe.paymentIntents.list({ customer: customer as string })).data;
      const refund = () => billing.stripe.refunds.create({ payment_intent: payment?.id ?? "", amount: 3000 });
      const downgrade = () => change(tenant, "pro", "month");
      for (const act of refundFirst ? [refund, downgrade] : [downgrade, refund]) {
        await act();
        await settle();
      }
      await expectLawfulLedger(billing.sql, tenant.id);
      return { available: await available(tenant), debt: await debtOf(tenant) };
    };
    expect(await standing(true)).toEqual({ available: 6000 - 5033, debt: 0 });
    expect(await standing(false)).toEqual({ available: 6000 - 5033, debt: 0 });
  });
});

describe("another interval", () => {
  it("from a month to a year takes the rest of the month and gives the year; and back again", async () => {
    const tenant = await subscribe("pro");
    await liveUntil(daysLater(15, clock));
    await change(tenant, "pro", "year");
    const back = await netOfLatest(tenant);
    await settle();
    expect(await available(tenant)).toBe(12_000 + back);
    await expectMoneysWorth(tenant);
    await liveUntil(daysLater(20, clock));
    await change(tenant, "pro", "month");
    await settle();
    await expectMoneysWorth(tenant);
    await liveUntil(daysLater(60, clock));
    await grantDueSlices(clock, 100);
    expect(await available(tenant)).toBeLessThanOrEqual(6000);
    await expectMoneysWorth(tenant);
  });

  it("within one second gives each what is left of its money", async () => {
    const tenant = await subscribe("pro");
    await change(tenant, "pro", "year");
    await change(tenant, "scale", "month");
    await settle();
    expect(await available(tenant)).toBe(25_000);
    await expectMoneysWorth(tenant);
  });
});

describe("an end at once", () => {
  it("that gives the unused time back takes its credits back", async () => {
    const tenant = await subscribe("scale");
    await liveUntil(daysLater(10, clock));
    await billing.stripe.subscriptions.cancel(await idOf(tenant), { prorate: true, invoice_now: true });
    const net = await netOfLatest(tenant);
    await settle();
    expect(net).toBeLessThan(-15_000);
    expect(await available(tenant)).toBe(25_000 + net);
    await expectMoneysWorth(tenant);
  });

  it("that gives nothing back leaves what was paid until its expiry", async () => {
    const tenant = await subscribe("scale");
    await billing.stripe.subscriptions.cancel(await idOf(tenant));
    await settle();
    expect(await available(tenant)).toBe(25_000);
  });
});
