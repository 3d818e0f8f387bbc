// Paid invoices and changes of plan while the catalogue is edited, or does not know a price yet: what was sold is given, and what a
// change came to stays.
import { randomUUID } from "node:crypto";
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { PaidLine } from "~/domain/allowance";
import { settlePaidInvoice } from "~/server/billing/allowances";
import { asOf, findPacksByStripePrice, findPlansByStripePrice } from "~/server/billing/catalogue";
import { asPlatform } from "~/server/db";
import { readSubscription } from "~/server/stripe/facts";
import { callAs, daysLater, expectLawfulLedger } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { createTenant, minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const standingOf = async (tenant: Tenant) => [await life.availableOf(tenant), await life.debtOf(tenant)];

/** Edits a row of the catalogue while something is done, and takes the edit back after a minute. */
async function withEdit(
  table: "subscription_plans" | "credit_products",
  key: string,
  change: Record<string, number | string>,
  act: () => Promise<unknown>,
) {
  const columns = Object.keys(change);
  const write = (values: readonly unknown[], at: Date) =>
    life.sql(
      `UPDATE ${table} SET version = version + 1, updated_at = $2, ${columns.map((name, index) => `${name} = $${index + 3}`)}
       WHERE key = $1`,
      [key, at, ...values],
    );
  const [before = {}] = await life.sql(`SELECT ${columns} FROM ${table} WHERE key = $1`, [key]);
  await write(Object.values(change), life.now());
  await act();
  const back = minutesLater(1, life.now());
  await write(Object.values(before), back);
  await life.liveUntil(back);
}

const withPlan = (plan: string, credits: number, credit_interval: "month" | "year", act: () => Promise<unknown>) =>
  withEdit("subscription_plans", plan, { credits, credit_interval }, act);

/** What has happened at Stripe and is told five minutes later: before that, the edit. */
const tellLater = async () => {
  const told = await life.passUntil(minutesLater(5, life.now()));
  return () => life.billing.settle(told);
};

async function packPrice(key: string): Promise<string> {
  const [price] = await life.sql<{ id: string }>(
    `SELECT r.stripe_price_id AS id FROM credit_product_prices r JOIN credit_products p ON p.id = r.product_id
     WHERE p.key = $1 AND r.currency = 'usd'`,
    [key],
  );
  return price?.id ?? "";
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

/** What an invoice for a change from Pro to Scale buys: what it charges, less what it gives back. */
function boughtBy({ lines }: Stripe.Invoice): number {
  const gained = lines.data.map(({ amount }) =>
    amount < 0 ? -Math.ceil((6000 * -amount) / 4900) : Math.floor((25_000 * amount) / 14_900),
  );
  expect(gained).toHaveLength(2);
  return gained.reduce((sum, each) => sum + each, 0);
}

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
  expect(await standingOf(late)).toEqual([boughtBy(invoice), 0]);
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

it("a renewal that was paid before its plan was edited gives what was sold, under the version of then", async () => {
  const tenant = await life.subscribe("pro");
  const { currentPeriodEnd } = await life.rowOf(tenant);
  const told = await life.passUntil(minutesLater(120, currentPeriodEnd));
  await withPlan("pro", 100, "month", () => life.billing.settle(told));
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
  const versions = await life.sql<{ paid: number; today: number }>(
    `SELECT a.plan_version AS paid, p.version AS today FROM allowance_periods a JOIN subscription_plans p ON p.id = a.plan_id
     WHERE organization_id = $1 ORDER BY period_start`,
    [tenant.id],
  );
  expect(versions.map(({ paid, today }) => today - paid)).toEqual([2, 2]);
});

it("a renewal after the edit gives what is sold since", async () => {
  const tenant = await life.subscribe("pro");
  const { currentPeriodEnd } = await life.rowOf(tenant);
  await life.liveUntil(minutesLater(-1, currentPeriodEnd));
  await withPlan("pro", 7000, "month", () => life.liveUntil(minutesLater(120, currentPeriodEnd)));
  expect(await life.grantsOf(tenant)).toEqual([6000, 7000]);
});

it("an upgrade that was paid before its plan was edited gives what its money bought", async () => {
  const tenant = await life.subscribe("pro");
  await life.liveUntil(daysLater(5, life.now()));
  await life.changePlan(tenant, "scale");
  const invoice = await life.newestInvoice(tenant);
  await withPlan("scale", 100, "month", await tellLater());
  expect((await upgradesOf(tenant)).map(({ total }) => total)).toEqual([boughtBy(invoice)]);
});

it("a year that was paid as months before its plan was edited comes as months", async () => {
  const tenant = await createTenant();
  await life.buy(tenant, "pro", "year");
  await withPlan("pro", 72_000, "year", await tellLater());
  expect(await life.grantsOf(tenant)).toEqual([6000]);
});

it("a trial gives what was promised when it began, also one that has no invoice", async () => {
  const tenant = await createTenant();
  await life.buy(tenant, "starter");
  await withEdit("subscription_plans", "starter", { trial_credits: 10 }, await tellLater());
  expect(await life.grantsOf(tenant)).toEqual([300]);

  const other = await life.subscribe("pro");
  await life.liveUntil(daysLater(5, life.now()));
  const { id } = await life.rowOf(other);
  await withEdit("subscription_plans", "pro", { trial_credits: 200 }, () =>
    life.stripe.subscriptions.update(id, {
      ...{ trial_end: Math.floor(daysLater(10, life.now()).getTime() / 1000), proration_behavior: "none" },
    }),
  );
  expect(await life.grantsOf(other)).toEqual([6000, 200]);
});

it("a pack that was sold before it was edited gives what was sold, on an invoice as in a checkout of the dashboard", async () => {
  const tenant = await life.subscribe("pro");
  const customer = (await life.customerOf(tenant)) ?? "";
  const price = await packPrice("pack_2500");
  const { id } = await life.stripe.invoices.create({ customer });
  await life.stripe.invoiceItems.create({ customer, invoice: id, pricing: { price } });
  await life.stripe.invoices.pay(id, { paid_out_of_band: true });
  await withEdit("credit_products", "pack_2500", { credits: 10 }, await tellLater());
  expect(await life.grantsOf(tenant)).toEqual([6000, 2500]);

  const { url } = await life.stripe.checkout.sessions.create({
    ...{ mode: "payment", customer, line_items: [{ price, quantity: 2 }], success_url: "http://app.test/done" },
  });
  expect(await life.billing.pay(url ?? "")).toEqual({ status: "complete" });
  await withEdit("credit_products", "pack_2500", { credits: 10 }, await tellLater());
  expect(await life.grantsOf(tenant)).toEqual([6000, 2500, 5000]);
});

it("an edit holds from its instant, never from before the edit that it follows, and what it replaced cannot be altered", async () => {
  const from = life.now();
  const at = (minutes: number) => minutesLater(minutes, from);
  const productId = randomUUID();
  await life.sql(
    `INSERT INTO credit_products (id, key, name, credits, active, created_at, updated_at)
     VALUES ($1, 'edited', 'Edited', 10, false, $2, $2)`,
    [productId, from],
  );
  await life.sql(
    `INSERT INTO credit_product_prices (id, product_id, currency, unit_amount, stripe_price_id, active, created_at)
     VALUES ($1, $1, 'usd', 100, 'price_edited', false, $2)`,
    [productId, from],
  );
  const edit = (credits: number, since: Date) =>
    life.sql("UPDATE credit_products SET credits = $2, updated_at = $3 WHERE id = $1", [productId, credits, since]);
  await edit(20, at(10));
  // By a clock that is behind.
  await edit(30, at(5));
  await edit(40, at(20));
  await life.sql("UPDATE credit_products SET name = 'Renamed', updated_at = $2 WHERE id = $1", [productId, at(30)]);
  const creditsAt = async (instants: readonly Date[]) => {
    const pack = (await findPacksByStripePrice(["price_edited"])).get("price_edited");
    return instants.map((instant) => pack && asOf(pack, instant).credits);
  };
  expect(await creditsAt([at(0), at(9), at(10), at(19), at(20), at(40)])).toEqual([10, 10, 30, 30, 40, 40]);

  // One that names no instant holds from when it is made.
  const made = () => life.sql<{ at: Date }>("SELECT greatest(clock_timestamp(), $1) AS at", [at(20)]);
  const [before] = await made();
  await life.sql("UPDATE credit_products SET credits = 50 WHERE id = $1", [productId]);
  const [after] = await made();
  expect(await creditsAt([at(19), minutesLater(-1, before?.at), minutesLater(1, after?.at)])).toEqual([
    ...[30, minutesLater(-1, before?.at) < at(20) ? 30 : 40, 50],
  ]);

  for (const alter of ["UPDATE credit_product_versions SET credits = 1", "DELETE FROM credit_product_versions"]) {
    await expect(asPlatform((tx) => tx.$executeRawUnsafe(alter))).rejects.toThrow(/permission denied/);
  }
});
