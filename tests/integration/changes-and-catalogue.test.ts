// Changes of plan while the catalogue is edited, or does not know a price yet: what a change came to stays.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { PaidLine } from "~/domain/allowance";
import { settlePaidInvoice } from "~/server/billing/allowances";
import { findPlansByStripePrice } from "~/server/billing/catalogue";
import { asPlatform } from "~/server/db";
import { readSubscription } from "~/server/stripe/facts";
import { callAs, daysLater, expectLawfulLedger } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const standingOf = async (tenant: Tenant) => [await life.availableOf(tenant), await life.debtOf(tenant)];

/** Edits a plan while something is done, and takes the edit back. */
async function withPlan(plan: string, credits: number, interval: "month" | "year", act: () => Promise<unknown>) {
  const sql = "UPDATE subscription_plans SET credits = $2, credit_interval = $3::billing_interval WHERE key = $1";
  const [before] = await life.sql<{ credits: number; interval: string }>(
    "SELECT credits::int, credit_interval::text AS interval FROM subscription_plans WHERE key = $1",
    [plan],
  );
  await life.sql(sql, [plan, credits, interval]);
  await act();
  await life.sql(sql, [plan, before?.credits, before?.interval]);
}

/** Takes a plan's price out of the catalogue while something is done. */
async function withoutPrice(plan: string, act: () => Promise<unknown>) {
  const price = await life.priceOf(plan);
  await life.sql("UPDATE plan_prices SET stripe_price_id = null WHERE id = $1", [price.id]);
  await act();
  await life.sql("UPDATE plan_prices SET stripe_price_id = $2 WHERE id = $1", [price.id, price.stripeId]);
}

/** A subscription of some days, with all of its credits spent. */
async function spendAll(plan: string, credits: number): Promise<Tenant> {
  const tenant = await life.subscribe(plan);
  await life.liveUntil(daysLater(5, life.now()));
  await life.spend(tenant, credits);
  return tenant;
}

const upgradesOf = ({ id }: Tenant) =>
  life.sql<{ total: number; amounts: number[] }>(
    "SELECT total::int, amounts::int[] FROM allowance_periods WHERE organization_id = $1 AND total IS NOT NULL",
    [id],
  );

it("an upgrade to a price that is known only later comes to what its money buys, and to nothing before", async () => {
  const late = await spendAll("pro", 6000);
  await life.changePlan(late, "scale");
  const invoice = await life.newestInvoice(late);
  await withoutPrice("scale", async () => {
    await life.billing.settle();
    // Nothing is guessed of an invoice that is known by half.
    expect(await standingOf(late)).toEqual([0, 0]);
    const { id } = await life.rowOf(late);
    const subjects = [invoice.id, id].sort().map((subject) => ({ kind: "unknown_price", subject }));
    const alerts = await life.alertsOf(late);
    expect(alerts.sort((a, b) => a.subject.localeCompare(b.subject))).toEqual(subjects);
  });
  await life.touch(late);
  expect(await life.alertsOf(late)).toEqual([]);
  const gained = invoice.lines.data.map(({ amount }) =>
    amount < 0 ? -Math.ceil((6000 * -amount) / 4900) : Math.floor((25_000 * amount) / 14_900),
  );
  expect(gained).toHaveLength(2);
  expect(await standingOf(late)).toEqual([gained.reduce((sum, each) => sum + each, 0), 0]);
});

it("events of an invoice that is known by half are in quarantine", async () => {
  const tenant = await spendAll("pro", 6000);
  await life.changePlan(tenant, "scale");
  const events = await life.billing.freshEvents();
  await withoutPrice("scale", () => life.billing.settle(events));
  const paid = events.filter(({ type }) => type === "invoice.paid");
  expect(paid).toHaveLength(1);
  expect(await life.statusesOf(paid)).toEqual(new Set(["quarantined"]));
});

it("an upgrade that was kept stays as it is when its price leaves the catalogue", async () => {
  const tenant = await spendAll("pro", 6000);
  await life.changePlan(tenant, "scale");
  await life.billing.settle();
  const before = [await standingOf(tenant), await upgradesOf(tenant)];
  await withoutPrice("pro", () => life.touch(tenant));
  expect([await standingOf(tenant), await upgradesOf(tenant)]).toEqual(before);
  expect(await life.alertsOf(tenant)).toEqual([]);
});

it("a downgrade gives nothing when its plan's credits are raised later", async () => {
  const tenant = await life.subscribe("scale");
  await life.liveUntil(daysLater(5, life.now()));
  await life.changePlan(tenant, "pro");
  await life.billing.settle();
  const before = await standingOf(tenant);
  await withPlan("pro", 60_000, "month", () => life.touch(tenant));
  expect([await standingOf(tenant), await upgradesOf(tenant)]).toEqual([before, []]);
  await expectLawfulLedger(life.sql, tenant.id);
});

it("an upgrade that was paid with the renewal owes nothing when its plan's credits are lowered later", async () => {
  const tenant = await spendAll("pro", 6000);
  await life.changePlan(tenant, "scale", { proration_behavior: "create_prorations" });
  await life.billing.settle();
  await life.liveUntil(minutesLater(120, (await life.rowOf(tenant)).currentPeriodEnd));
  const before = await standingOf(tenant);
  await withPlan("scale", 2000, "month", () => life.touch(tenant));
  expect(await standingOf(tenant)).toEqual(before);
});

it("a change to and fro that came to nothing gives nothing when a plan's credits are raised later", async () => {
  const tenant = await spendAll("pro", 6000);
  await life.changePlan(tenant, "scale", { proration_behavior: "create_prorations" });
  await life.changePlan(tenant, "pro");
  await life.billing.settle();
  const before = await standingOf(tenant);
  await withPlan("scale", 60_000, "month", () => life.touch(tenant));
  await withPlan("pro", 60_000, "month", () => life.touch(tenant));
  expect(await standingOf(tenant)).toEqual(before);
});

it("a year that was paid as months is given back as months when its plan is granted by the year since", async () => {
  const totals: unknown[] = [];
  for (const isEdited of [false, true]) {
    const tenant = await life.subscribe("pro", { interval: "year" });
    const change = async () => {
      await life.liveUntil(daysLater(10, life.now()));
      await life.changePlan(tenant, "scale", { proration_behavior: "always_invoice" }, "year");
      await life.billing.settle();
    };
    if (isEdited) await withPlan("pro", 72_000, "year", change);
    else await change();
    totals.push(await upgradesOf(tenant));
  }
  expect(totals[1]).toEqual(totals[0]);
});

it("changes of one second that last until different ends are kept each, and once", async () => {
  const tenant = await life.subscribe("pro");
  const { id, currentPeriodEnd } = await life.rowOf(tenant);
  const subscription = readSubscription(await life.stripe.subscriptions.retrieve(id));
  const [pro, scale] = [await life.priceOf("pro"), await life.priceOf("scale")];
  const plans = await findPlansByStripePrice([pro.stripeId, scale.stripeId]);
  const from = daysLater(5, life.now());
  const line = (price: string, amount: number, days: number): PaidLine => ({
    ...{ stripePriceId: price, stripeItemId: subscription.items[0]?.id ?? "", proration: true, quantity: 1 },
    ...{ periodStart: from, periodEnd: daysLater(days, currentPeriodEnd) },
    ...{ amount, currency: "usd", discounted: false, givesBack: amount < 0 },
  });
  const lines = [
    line(scale.stripeId, 1490, -20),
    line(scale.stripeId, 2980, -10),
    line(pro.stripeId, -49, -15),
    line(pro.stripeId, -98, -5),
  ];
  const invoice = { id: "in_of_one_second", status: "paid", paidAt: from, lines };
  const paid = { organizationId: tenant.id, subscription, invoice, plans };
  for (let time = 0; time < 2; time++) await asPlatform((tx) => settlePaidInvoice(tx, paid, from));
  expect((await upgradesOf(tenant)).map(({ total }) => total).sort((a, b) => a - b)).toEqual([2500, 5000]);
  expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([2500, 5000, 6000]);
  const returns = await life.sql<{ credits: number }>(
    "SELECT credits::int FROM allowance_returns WHERE organization_id = $1 ORDER BY credits",
    [tenant.id],
  );
  expect(returns.map(({ credits }) => credits)).toEqual([60, 120]);
  await expectLawfulLedger(life.sql, tenant.id);
});

it("a preview says what a change gives by what was paid, not by what the catalogue has become", async () => {
  const tenant = await life.subscribe("pro");
  await life.liveUntil(daysLater(5, life.now()));
  await withPlan("pro", 60_000, "month", async () => {
    const { id: organizationId, owner } = tenant;
    const { planId } = await life.priceOf("scale");
    const preview = await callAs(owner, life.now()).subscription.previewChange({
      ...{ organizationId, planId, interval: "month" },
    });
    await life.changePlan(tenant, "scale");
    await life.billing.settle();
    const [upgrade] = await upgradesOf(tenant);
    expect(preview.credits).toMatchObject({ now: upgrade?.total });
  });
});
