// A subscription's end that is told late: it leaves what it would have left, had it been told at once.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { callAs, daysLater, expectLawfulLedger, makeEvent, PLATFORM } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const DAYS_UNTIL_END = 33;

/** A year, paid, that is ended within its second month. @returns what tells of the end */
async function endYear(isTold: boolean, inItsFirstMonth: (tenant: Tenant) => Promise<void> = async () => {}) {
  const tenant = await life.subscribe("pro", { interval: "year" });
  await inItsFirstMonth(tenant);
  const { id } = await life.rowOf(tenant);
  await life.liveUntil(daysLater(DAYS_UNTIL_END, life.now()));
  await life.stripe.subscriptions.cancel(id);
  if (isTold) await life.billing.settle();
  const object = { id, object: "subscription", customer: await life.customerOf(tenant) };
  return { tenant, end: makeEvent("customer.subscription.deleted", object) };
}

async function standing(tenant: Tenant) {
  await expectLawfulLedger(life.sql, tenant.id);
  return [await life.grantsOf(tenant), await life.availableOf(tenant), await life.debtOf(tenant)];
}

it.each([
  ["two days later, at once", 2, true, [[6000, 6000], 6000, 0]],
  ["two days later", 2, false, [[6000, 6000], 6000, 0]],
  ["in the third month, at once", 37, true, [[6000, 6000], 0, 0]],
  ["in the third month", 37, false, [[6000, 6000], 0, 0]],
])("a year that ended on its day 33 has given two months: looked at %s", async (_, days, isTold, wanted) => {
  const { tenant, end } = await endYear(isTold);
  await life.passUntil(daysLater(days, life.now()));
  await life.billing.settle([end], life.now());
  await grantDueSlices(life.now(), 1000);
  expect(await standing(tenant)).toEqual(wanted);
});

it("what was granted by the clock of a month that began after the end is gone once the end is told, but for what was spent", async () => {
  const { tenant, end } = await endYear(false);
  await life.passUntil(daysLater(37, life.now()));
  await grantDueSlices(life.now(), 1000);
  expect(await standing(tenant)).toEqual([[6000, 6000, 6000], 6000, 0]);
  await life.spend(tenant, 1000);
  await life.billing.settle([end], life.now());
  expect(await standing(tenant)).toEqual([[6000, 6000, 6000], 0, 0]);
  await life.billing.settle([{ ...end, id: `${end.id}_again` }], life.now());
  await grantDueSlices(life.now(), 1000);
  expect(await standing(tenant)).toEqual([[6000, 6000, 6000], 0, 0]);
});

it.each([
  ["at once", true],
  ["after the first renewal of the months", false],
])("a year that was left for months on its fifth day, told %s, has given its first month", async (_, isTold) => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  const start = life.now();
  await life.liveUntil(daysLater(5, start));
  await life.changePlan(tenant, "pro", { proration_behavior: "none" }, "month");
  if (isTold) await life.billing.settle();
  const told = await life.passUntil(daysLater(40, start));
  await grantDueSlices(life.now(), 1000);
  await life.billing.settle(told, life.now());
  await life.touch(tenant);
  // What the clock gave of the year's second month is gone with the word that it had been left before.
  expect(await life.availableOf(tenant)).toBe(6000);
  expect(await life.debtOf(tenant)).toBe(0);
});

describe("what is refunded of a year that ended on its day 33, its two months spent, is what never came", () => {
  // 40,833 of 49,000 is 59,999 of 72,000 credits: ten months, of which two were given and written off where the end was told late.
  const refund = async (payment: string | undefined) => {
    await life.stripe.refunds.create({ payment_intent: payment as string, amount: 40_833 });
    await life.billing.settle();
  };

  it.each([
    ["told at once", true, false],
    ["told late", false, false],
    ["told late, after the refund", false, true],
  ])("%s", async (_, isTold, isRefundedFirst) => {
    const { tenant, end } = await endYear(isTold, async (tenant) => {
      await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
      await life.spend(tenant, 6000);
    });
    await grantDueSlices(life.now(), 1000);
    await life.spend(tenant, 6000);
    const invoice = (await life.newestInvoice(tenant)).id;
    const [paid] = (await life.stripe.invoicePayments.list({ invoice })).data;
    const payment = paid?.payment.payment_intent as string;
    await life.passUntil(daysLater(67, life.now()));
    await grantDueSlices(life.now(), 1000);
    if (isRefundedFirst) await refund(payment);
    await life.billing.settle([end], life.now());
    await life.billing.freshEvents();
    if (!isRefundedFirst) await refund(payment);
    expect([await life.availableOf(tenant), await life.debtOf(tenant)]).toEqual([0, 0]);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});
