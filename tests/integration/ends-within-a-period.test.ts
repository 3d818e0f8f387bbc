// An end that is set within a period cuts its item's period short at Stripe: what is given back after that is of the whole that was paid.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { daysLater } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

/** Sets an end so many days into the period, with credit for what comes after it. @returns the subscription */
async function shorten(tenant: Tenant, days: number): Promise<string> {
  const { id, currentPeriodStart } = await life.rowOf(tenant);
  const cancel_at = Math.floor(daysLater(days, currentPeriodStart).getTime() / 1000);
  await life.stripe.subscriptions.update(id, { cancel_at, proration_behavior: "always_invoice" });
  await life.billing.settle();
  return id;
}

/** What all of the tenant's invoices have asked for or given back, in cents. */
async function netOf(tenant: Tenant): Promise<number> {
  const { data } = await life.stripe.invoices.list({ customer: (await life.customerOf(tenant)) ?? "", limit: 100 });
  return data.reduce((sum, { total }) => sum + total, 0);
}

it("an end at once with credit, after an end inside the period was set, takes the credits of both", async () => {
  const tenant = await life.subscribe("scale");
  const start = life.now();
  const id = await shorten(tenant, 20);
  await life.liveUntil(daysLater(1, start));
  await life.stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true });
  await life.billing.settle();
  // What was kept of 14,900 is one day of the month, 481 cents: 807 credits of 25,000, less one for each of two roundings.
  expect(await netOf(tenant)).toBe(481);
  expect(await life.availableOf(tenant)).toBe(806);
});

it("a downgrade with credit after it takes the credits of the time that was given back", async () => {
  const tenant = await life.subscribe("scale");
  const start = life.now();
  await shorten(tenant, 10);
  await life.liveUntil(daysLater(1, start));
  await life.changePlan(tenant, "pro", { proration_behavior: "always_invoice" });
  await life.billing.settle();
  const returns = await life.sql<{ credits: number }>(
    "SELECT credits::int AS credits FROM allowance_returns WHERE organization_id = $1",
    [tenant.id],
  );
  // Some 16,937 for what comes after the end, and 5,517 for the nine days before it: 25,000 - 22,454 = 2,546.
  const all = returns.reduce((sum, { credits }) => sum + credits, 0);
  expect(returns).toHaveLength(2);
  expect(await life.availableOf(tenant)).toBe(25_000 - all);
});

it("a year that is to end within it, then ended at once with credit, keeps what was paid and no more", async () => {
  const tenant = await life.subscribe("scale", { interval: "year" });
  const start = life.now();
  const id = await shorten(tenant, 200);
  await life.liveUntil(daysLater(35, start));
  await grantDueSlices(life.now(), 1000);
  await life.stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true });
  await life.billing.settle();
  // 35 of 365 days were kept: 28,769 of 300,000 credits, of which the first month's 25,000 have expired: 3,769 are left at most.
  const kept = Math.floor((300_000 * (await netOf(tenant))) / 149_000);
  expect(await life.availableOf(tenant)).toBeLessThanOrEqual(kept - 25_000);
});
