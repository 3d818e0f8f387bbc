// A year that is paid before or after time of it was given back: each month that is still to come becomes smaller, either way.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { daysLater } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

/** From now on a tenant pays by bank transfer: a year of scale, changed to a year of pro after a while; paid before or after that. */
async function live(
  tenant: Tenant,
  isPaidFirst: boolean,
  taken: { backAt: Date; months: number[] },
): Promise<number[]> {
  await life.stripe.subscriptions.update((await life.rowOf(tenant)).id, {
    collection_method: "send_invoice",
    days_until_due: 60,
  });
  await life.changePlan(tenant, "scale", { proration_behavior: "always_invoice" }, "year");
  await life.billing.settle();
  const { id } = await life.newestInvoice(tenant);
  const pay = async () => {
    await life.stripe.invoices.pay(id, { paid_out_of_band: true });
    await life.billing.settle();
  };
  if (isPaidFirst) await pay();
  await life.liveUntil(taken.backAt);
  await life.changePlan(tenant, "pro", { proration_behavior: "always_invoice" }, "year");
  await life.billing.settle();
  if (!isPaidFirst) await pay();
  const seen = [await life.availableOf(tenant)];
  for (const days of taken.months) {
    await life.liveUntil(daysLater(days, life.now()));
    await grantDueSlices(life.now(), 1000);
    seen.push(await life.availableOf(tenant));
  }
  return seen;
}

it.each([
  ["before", true],
  ["after", false],
])("a year that was paid %s its downgrade gives the smaller plan's credits in each month", async (_, isPaidFirst) => {
  const tenant = await life.subscribe("scale");
  const taken = { backAt: minutesLater(10, life.now()), months: [32, 31, 31] };
  // Returned: ceil(300,000 x 148,99x / 149,000) - floor(72,000 x 48,99x / 49,000), some 228,000 = 12 x 19,000. Each of the eleven months
  // to come is 25,000 - 19,000 = 6,000; this month some 6,000 too (6,004 by rounding).
  const [first = 0, ...later] = await live(tenant, isPaidFirst, taken);
  expect(later).toEqual([6000, 6000, 6000]);
  expect(Math.abs(first - 6000)).toBeLessThanOrEqual(10);
});

it.each([
  ["before", true],
  ["after", false],
])(
  "an upgrade within a year that was paid %s it was taken back gives each month the smaller plan's credits",
  async (_, isPaidFirst) => {
    const tenant = await life.subscribe("pro", { interval: "year" });
    const taken = { backAt: daysLater(3, life.now()), months: [32, 31, 31, 31, 31] };
    const [, ...later] = await live(tenant, isPaidFirst, taken);
    // Some 226,000 of the upgrade's 228,000 go back, 19,000 a month.
    expect(later).toEqual([6000, 6000, 6000, 6000, 6000]);
  },
);
