// Changes of plan at a discount: credits follow the time that is left, as they do in renewals at the same discount.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { expectLawfulLedger } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

/** A plan with a coupon that is on it for ever, renewed once at its price. */
async function renewAt(plan: string, percentOff: number): Promise<Tenant> {
  const { id: coupon } = await life.stripe.coupons.create({ percent_off: percentOff, duration: "forever" });
  const tenant = await life.subscribe(plan);
  const { id, currentPeriodEnd } = await life.rowOf(tenant);
  await life.stripe.subscriptions.update(id, { discounts: [{ coupon }] });
  await life.liveUntil(minutesLater(120, currentPeriodEnd));
  return tenant;
}

/** What of a plan's credits the time is worth that is left of the period: rounded down, and up. */
async function worthOf(tenant: Tenant, credits: number): Promise<{ given: number; takenBack: number }> {
  const { currentPeriodStart, currentPeriodEnd } = await life.rowOf(tenant);
  const left = currentPeriodEnd.getTime() - life.now().getTime();
  const worth = (credits * left) / (currentPeriodEnd.getTime() - currentPeriodStart.getTime());
  return { given: Math.floor(worth), takenBack: Math.ceil(worth) };
}

it.each([
  ["pro", 6000, "scale", 25_000, 50],
  ["scale", 25_000, "pro", 6000, 50],
  ["pro", 6000, "scale", 25_000, 90],
] as const)(
  "%s (%i) to %s (%i) at %i percent off for ever changes the credits by the time that is left",
  async (from, before, to, after, percentOff) => {
    const tenant = await renewAt(from, percentOff);
    expect(await life.availableOf(tenant)).toBe(before);
    await life.changePlan(tenant, to);
    await life.billing.settle();
    const gained = (await worthOf(tenant, after)).given - (await worthOf(tenant, before)).takenBack;
    expect(await life.availableOf(tenant)).toBe(before + gained);
    await expectLawfulLedger(life.sql, tenant.id);
  },
);
