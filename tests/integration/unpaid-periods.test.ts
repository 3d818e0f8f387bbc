// Changes of a period that nobody has paid: what they give back of it is a discount until somebody does.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { expectLawfulLedger } from "../setup/billing";
import { type Life, openLife } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

it("an upgrade gives no more than its money buys while the renewal before it is unpaid, and the rest once that is paid", async () => {
  const tenant = await life.subscribe("pro");
  await life.changeCard(tenant, "pm_card_chargeCustomerFail");
  const end = (await life.rowOf(tenant)).currentPeriodEnd;
  await life.liveUntil(minutesLater(120, end));
  const renewal = await life.newestInvoice(tenant);
  expect(renewal).toMatchObject({ status: "open", total: 4900 });
  await life.changePlan(tenant, "scale", {
    proration_behavior: "always_invoice",
    payment_behavior: "allow_incomplete",
  });
  await life.billing.settle();
  const upgrade = await life.newestInvoice(tenant);
  await life.stripe.invoices.markUncollectible(renewal.id);
  await life.stripe.invoices.pay(upgrade.id, { paid_out_of_band: true });
  await life.billing.settle();
  // 9,973 of 14,900 is 16,733 of 25,000, rounded down once more; with what is credited at Pro's price it would be 18,948.
  expect(upgrade.total).toBe(9973);
  expect(await life.availableOf(tenant)).toBe(16_733);
  await life.stripe.invoices.pay(renewal.id, { paid_out_of_band: true });
  await life.billing.settle();
  expect(await life.availableOf(tenant)).toBe(18_948 + 6000);
  await expectLawfulLedger(life.sql, tenant.id);
});
