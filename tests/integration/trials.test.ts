// A trial's credits when a subscription has more than one trial, or its first one ends otherwise than planned.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { daysLater, makeEvent } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { createTenant, minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const tryUntil = (at: Date) => ({
  trial_end: Math.floor(at.getTime() / 1000),
  proration_behavior: "none" as const,
});

/** A trial that is ended on its second day by paying, and on the third a second one. */
async function tryTwice(tenant: Tenant, isTold: boolean): Promise<string> {
  const { id } = await life.rowOf(tenant);
  // So that nothing of the first trial is left.
  await life.spend(tenant, 300);
  const tell = async () => void (isTold && (await life.billing.settle()));
  await life.passUntil(daysLater(2, life.now()));
  await life.stripe.subscriptions.update(id, { trial_end: "now" });
  await tell();
  await life.passUntil(daysLater(1, life.now()));
  await life.stripe.subscriptions.update(id, tryUntil(daysLater(20, life.now())));
  await tell();
  return id;
}

it("a second trial does not make a paid period of the first one's invoice when that is told again", async () => {
  const tenant = await life.subscribe("starter");
  const first = await life.newestInvoice(tenant);
  expect(first.total).toBe(0);
  await tryTwice(tenant, true);
  expect(await life.grantsOf(tenant)).toEqual([300, 1500]);
  const history = await life.historyOf(tenant);
  const object = { id: first.id, object: "invoice", customer: await life.customerOf(tenant) };
  await life.billing.settle([makeEvent("invoice.paid", object)], life.now());
  expect(await life.grantsOf(tenant)).toEqual([300, 1500]);
  expect(await life.historyOf(tenant)).toEqual(history);
});

it("a second trial, of a subscription that says when its first one began, does not make a trial of what was paid between", async () => {
  const tenant = await life.subscribe("starter");
  const { trial_start } = await life.stripe.subscriptions.retrieve((await life.rowOf(tenant)).id);
  const id = await tryTwice(tenant, false);
  life.billing.line.bend = (path, answer) =>
    path.startsWith(`/v1/subscriptions/${id}`) ? { ...answer, trial_start } : answer;
  await life.billing.settle();
  expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([300, 1500]);
});

it("a second trial does not bring back what had expired of the first one", async () => {
  const tenant = await life.subscribe("starter");
  const { id } = await life.rowOf(tenant);
  await life.liveUntil(minutesLater(120, daysLater(14, life.now())));
  expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[300, 1500], 1500]);
  await life.liveUntil(daysLater(10, life.now()));
  await life.stripe.subscriptions.update(id, tryUntil(daysLater(20, life.now())));
  await life.billing.settle();
  expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[300, 1500], 1500]);
});

it("a second trial, after a first one that nobody paid for, does not bring its credits back either", async () => {
  const tenant = await life.subscribe("starter");
  const { id } = await life.rowOf(tenant);
  await life.changeCard(tenant, "pm_card_chargeCustomerFail");
  await life.liveUntil(minutesLater(120, daysLater(14, life.now())));
  expect([(await life.rowOf(tenant)).status, await life.availableOf(tenant)]).toEqual(["past_due", 0]);
  await life.stripe.subscriptions.update(id, tryUntil(daysLater(20, life.now())));
  await life.billing.settle();
  expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[300], 0]);
});

it("a trial that was extended in time keeps its credits, also where that is told after its first end", async () => {
  const tenant = await life.subscribe("starter");
  const { id } = await life.rowOf(tenant);
  await life.spend(tenant, 100);
  await life.passUntil(daysLater(10, life.now()));
  await life.stripe.subscriptions.update(id, tryUntil(daysLater(20, life.now())));
  const events = await life.passUntil(daysLater(8, life.now()));
  expect(await life.availableOf(tenant)).toBe(0);
  await life.billing.settle(events, life.now());
  expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[300, 200], 200]);
});

it("a period whose price is wholly taken off is no trial", async () => {
  const tenant = await life.subscribe("pro");
  const { id, currentPeriodEnd } = await life.rowOf(tenant);
  const { id: coupon } = await life.stripe.coupons.create({ percent_off: 100, duration: "forever" });
  await life.stripe.subscriptions.update(id, { discounts: [{ coupon }] });
  await life.liveUntil(minutesLater(120, currentPeriodEnd));
  expect((await life.newestInvoice(tenant)).total).toBe(0);
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
});

it.each([0, 5])(
  "a trial that is ended by paying on day %i keeps its credits as long as it was to last, whenever it is told",
  async (days) => {
    for (const isTold of [true, false]) {
      const tenant = await createTenant();
      await life.buy(tenant, "starter");
      const begun = life.now();
      const events = await life.billing.freshEvents();
      if (isTold) await life.billing.settle(events);
      const [subscription] = (await life.stripe.subscriptions.list({ limit: 1 })).data;
      events.push(...(await life.passUntil(daysLater(days, begun))));
      await life.stripe.subscriptions.update(subscription?.id ?? "", { trial_end: "now" });
      events.push(...(await life.billing.freshEvents()));
      await life.billing.settle(isTold ? events : events.reverse(), life.now());
      expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([300, 1500]);
      const lots = await life.sql<{ end: Date }>(
        `SELECT expires_at AS "end" FROM credit_grants WHERE organization_id = $1 AND amount = 300`,
        [tenant.id],
      );
      expect(lots).toEqual([{ end: daysLater(14, begun) }]);
      expect(await life.availableOf(tenant)).toBe(1800);
    }
  },
);
