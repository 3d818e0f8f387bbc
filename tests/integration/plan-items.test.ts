// Subscriptions with several plans, or with another item in the place of one: what was paid goes on.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { daysLater, expectLawfulLedger } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

async function liveFor(days: number): Promise<void> {
  await life.liveUntil(daysLater(days, life.now()));
  await grantDueSlices(life.now(), 1000);
}

/** Puts an item with another plan's year in the place of the one there is. */
async function replaceItem(tenant: Tenant, plan: string, proration: "none" | "always_invoice"): Promise<void> {
  const { id } = await life.rowOf(tenant);
  const { items } = await life.stripe.subscriptions.retrieve(id);
  const { stripeId } = await life.priceOf(plan, "year");
  await life.stripe.subscriptions.update(id, {
    items: [{ id: items.data[0]?.id ?? "", deleted: true }, { price: stripeId }],
    proration_behavior: proration,
  });
}

it("a year of a second plan in the same subscription, which was paid, gives all of its months", async () => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  const { id } = await life.rowOf(tenant);
  const { stripeId } = await life.priceOf("scale", "year");
  await life.stripe.subscriptions.update(id, { items: [{ price: stripeId }], proration_behavior: "always_invoice" });
  await life.billing.settle();
  expect(await life.newestInvoice(tenant)).toMatchObject({ total: 149_000, amount_paid: 149_000 });
  await liveFor(40);
  expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([6000, 6000, 25_000, 25_000]);
});

it("a year whose item was put in another's place without prorations gives its months as one whose price was changed", async () => {
  const replaced = await life.subscribe("pro", { interval: "year" });
  const changed = await life.subscribe("pro", { interval: "year" });
  await replaceItem(replaced, "scale", "none");
  await life.changePlan(changed, "scale", { proration_behavior: "none" }, "year");
  await life.billing.settle();
  await liveFor(40);
  expect(await life.grantsOf(changed)).toEqual([6000, 6000]);
  expect(await life.grantsOf(replaced)).toEqual([6000, 6000]);
});

it("a year whose item was put in another's place, and given back, gives the months of the other", async () => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  await liveFor(40);
  expect(await life.availableOf(tenant)).toBe(6000);
  await replaceItem(tenant, "scale", "always_invoice");
  await life.billing.settle();
  const { lines } = await life.newestInvoice(tenant);
  const amounts = lines.data.map(({ amount }) => amount).sort((a, b) => a - b);
  expect(amounts).toHaveLength(2);
  await liveFor(31);
  const given = await life.sql<{ credits: number; cut: number }>(
    `SELECT coalesce(total, credits * slices)::int AS credits, returned::int AS cut FROM allowance_periods
     WHERE organization_id = $1 ORDER BY created_at`,
    [tenant.id],
  );
  const back = Math.ceil((72_000 * -(amounts[0] ?? 0)) / 49_000);
  // Ten months were still to come of it, and nothing of them comes any more; the rest is taken of the month that had begun.
  expect(given[0]).toEqual({ credits: 72_000, cut: 60_000 });
  const [taken] = await life.sql<{ taken: number }>(
    "SELECT sum(taken)::int AS taken FROM credit_grants WHERE organization_id = $1",
    [tenant.id],
  );
  expect(taken).toEqual({ taken: back - 60_000 });
  expect(given[1]?.credits).toBe(Math.floor((300_000 * (amounts[1] ?? 0)) / 149_000));
  expect((await life.grantsOf(tenant)).slice(0, 2)).toEqual([6000, 6000]);
  expect((await life.grantsOf(tenant)).at(-1)).toBe(25_000);
  await expectLawfulLedger(life.sql, tenant.id);
});

it("months that began after a year was left for months are gone once that is told, as if it had been told at once", async () => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  await liveFor(20);
  await life.changePlan(tenant, "scale", { proration_behavior: "none" });
  const events = await life.passUntil(daysLater(20, life.now()));
  await grantDueSlices(life.now(), 1000);
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
  await life.billing.settle(events, life.now());
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 25_000]);
  expect(await life.availableOf(tenant)).toBe(25_000);
  await liveFor(31);
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 25_000, 25_000]);
});

it("a year that was left stays so when its item is put in another's place later", async () => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  const { id } = await life.rowOf(tenant);
  await life.liveUntil(daysLater(5, life.now()));
  await life.changePlan(tenant, "pro", { proration_behavior: "none" }, "month");
  await life.billing.settle();
  const year = () =>
    life.sql<{ stopped: boolean }>(
      "SELECT stopped_at IS NOT NULL AS stopped FROM allowance_periods WHERE organization_id = $1 AND slices = 12",
      [tenant.id],
    );
  expect(await year()).toEqual([{ stopped: true }]);
  const { items } = await life.stripe.subscriptions.retrieve(id);
  const { stripeId } = await life.priceOf("scale");
  await life.stripe.subscriptions.update(id, {
    items: [{ id: items.data[0]?.id ?? "", deleted: true }, { price: stripeId }],
    proration_behavior: "none",
  });
  await life.billing.settle();
  expect(await year()).toEqual([{ stopped: true }]);
  await life.liveUntil(daysLater(62, life.now()));
  await grantDueSlices(life.now(), 1000);
  // The year's first month, the month of pro, and two months of scale.
  expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([6000, 6000, 25_000, 25_000]);
});
