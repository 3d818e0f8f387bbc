// Packs as Stripe tells of them: as often as they were bought, in every currency, paid late or not at all, or of no known price.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { newId } from "~/server/db/keys";
import { callAs, daysLater, expectLawfulLedger, makeEvent, sessionOf } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { createTenant, NOW } from "../setup/tenancy";

let life: Life;
let packs: Record<string, { productId: string; stripePriceId: string }>;
beforeAll(async () => {
  life = await openLife();
  const rows = await life.sql<{ key: string; productId: string; stripePriceId: string }>(
    `SELECT p.key, p.id AS "productId", c.stripe_price_id AS "stripePriceId"
     FROM credit_products p JOIN credit_product_prices c ON c.product_id = p.id WHERE c.currency = 'usd'`,
  );
  packs = Object.fromEntries(rows.map((row) => [row.key, row]));
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const stripePriceOf = (pack: string) => packs[pack]?.stripePriceId ?? "";

/** The organization's customer, made at Stripe by hand. */
async function customerFor(tenant: Tenant): Promise<string> {
  const { id } = await life.stripe.customers.create({ metadata: { organizationId: tenant.id } });
  await life.sql("UPDATE organizations SET stripe_customer_id = $2 WHERE id = $1", [tenant.id, id]);
  return id;
}

/** A checkout made in the dashboard, and paid with a card. @returns its id */
async function buyInDashboard(
  tenant: Tenant,
  lines: Stripe.Checkout.SessionCreateParams.LineItem[],
  change: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<string> {
  const session = await life.stripe.checkout.sessions.create({
    ...{ mode: "payment", customer: (await life.customerOf(tenant)) ?? (await customerFor(tenant)) },
    ...{ line_items: lines, success_url: "http://app.test/done" },
    ...change,
  });
  expect(await life.billing.pay(session.url ?? "")).toEqual({ status: "complete" });
  return session.id;
}

/** Our own checkout of a pack, which is paid by a bank debit: days later, or never. */
async function debit(tenant: Tenant, account: string): Promise<string> {
  const { url } = await callAs(tenant.owner, life.now()).creditProducts.checkout({
    organizationId: tenant.id,
    productId: packs.pack_10000?.productId ?? "",
  });
  const session = sessionOf(url);
  const response = await fetch(`${life.billing.sandbox.url}/_sandbox/checkout/${session}/complete`, {
    method: "POST",
    body: JSON.stringify({ method: "us_bank_account", account }),
  });
  expect(await response.json()).toEqual({ status: "complete" });
  await life.billing.settle();
  return session;
}

const lineOf = async (tenant: Tenant) =>
  (await life.historyOf(tenant)).map(({ currency: _, tax: __, ...line }) => line);

describe("a pack", () => {
  it("bought three times in one checkout gives its credits three times, as one line", async () => {
    const tenant = await createTenant();
    const session = await buyInDashboard(tenant, [{ price: stripePriceOf("pack_2500"), quantity: 3 }]);
    await life.billing.settle();
    expect(await life.grantsOf(tenant)).toEqual([7500]);
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "paid", amount: 7500, description: "7,500 credits" },
    ]);
    await life.billing.settle([
      makeEvent("checkout.session.completed", {
        ...{ id: session, object: "checkout.session", customer: await life.customerOf(tenant) },
      }),
    ]);
    expect(await life.grantsOf(tenant)).toEqual([7500]);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("beside another one in one checkout gives each its credits", async () => {
    const tenant = await createTenant();
    await buyInDashboard(tenant, [
      { price: stripePriceOf("pack_2500"), quantity: 2 },
      { price: stripePriceOf("pack_10000"), quantity: 1 },
    ]);
    await life.billing.settle();
    expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([5000, 10_000]);
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "paid", amount: 13_900, description: "15,000 credits" },
    ]);
  });

  it("that nothing was to be paid for gives its credits all the same", async () => {
    const tenant = await createTenant();
    const coupon = await life.stripe.coupons.create({ percent_off: 100, duration: "once" });
    await buyInDashboard(tenant, [{ price: stripePriceOf("pack_2500"), quantity: 1 }], {
      discounts: [{ coupon: coupon.id }],
    });
    await life.billing.settle();
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "paid", amount: 0, description: "2,500 credits" },
    ]);
    expect(await life.grantsOf(tenant)).toEqual([2500]);
  });

  it.each([
    ["by its payment", false],
    ["where no payment leads to it", true],
  ])("that is an invoice too is one line, found %s", async (_, unpaid) => {
    const tenant = await createTenant();
    await buyInDashboard(tenant, [{ price: stripePriceOf("pack_2500"), quantity: 1 }], {
      invoice_creation: { enabled: true },
    });
    const events = await life.billing.freshEvents();
    const invoiced = events.filter(({ type }) => type === "invoice.paid");
    expect(invoiced).toHaveLength(1);
    if (unpaid) {
      life.billing.line.bend = (path, answer) =>
        path.startsWith("/v1/invoices/in_")
          ? { ...answer, payments: { object: "list", data: [], has_more: false } }
          : answer;
    }
    await life.billing.settle([...invoiced, ...events]);
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "paid", amount: 2500, description: "2,500 credits" },
    ]);
    expect(await life.grantsOf(tenant)).toEqual([2500]);
  });

  it("in yen, whose amounts have no decimals, is kept as Stripe says", async () => {
    const tenant = await createTenant();
    const price = await life.stripe.prices.create({
      ...{ product: (await life.stripe.prices.retrieve(stripePriceOf("pack_2500"))).product as string },
      ...{ currency: "usd", unit_amount: 2500, currency_options: { jpy: { unit_amount: 3800 } } },
    });
    await life.sql(
      `INSERT INTO credit_product_prices (id, product_id, currency, unit_amount, stripe_price_id, active, created_at)
       VALUES ($1, $2, 'jpy', 3800, $3, false, $4)`,
      [newId(NOW), packs.pack_2500?.productId, price.id, NOW],
    );
    await buyInDashboard(tenant, [{ price: price.id, quantity: 2 }], { currency: "jpy" });
    await life.billing.settle();
    expect(await life.historyOf(tenant)).toMatchObject([{ amount: 7600, tax: 0, currency: "jpy", status: "paid" }]);
    expect(await life.grantsOf(tenant)).toEqual([5000]);
  });

  it("paid by a debit is under way, then paid, and gives its credits only then", async () => {
    const tenant = await createTenant();
    await debit(tenant, "000123456789");
    expect((await lineOf(tenant)).map(({ status }) => status)).toEqual(["processing"]);
    expect(await life.grantsOf(tenant)).toEqual([]);
    await life.liveUntil(daysLater(5, life.now()));
    expect((await lineOf(tenant)).map(({ status }) => status)).toEqual(["paid"]);
    expect(await life.grantsOf(tenant)).toEqual([10_000]);
  });

  it("whose debit fails is a line that says so, and gives nothing", async () => {
    const tenant = await createTenant();
    await debit(tenant, "000222222227");
    await life.liveUntil(daysLater(5, life.now()));
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "failed", amount: 8900, description: "10,000 credits" },
    ]);
    expect(await life.grantsOf(tenant)).toEqual([]);
  });
});

describe("a purchase of a price that we do not know", () => {
  async function strangePrice(): Promise<string> {
    const product = await life.stripe.products.create({ name: "Consulting" });
    const made = await life.stripe.prices.create({ product: product.id, currency: "usd", unit_amount: 99_000 });
    return made.id;
  }

  const makeKnown = (stripePriceId: string) =>
    life.sql(
      `INSERT INTO credit_product_prices (id, product_id, currency, unit_amount, stripe_price_id, active, created_at)
       VALUES ($1, $2, 'usd', 99000, $3, false, $4)`,
      [newId(NOW), packs.pack_50000?.productId, stripePriceId, NOW],
    );

  it("is put aside with all that a person needs, and taken up once it is known", async () => {
    const tenant = await createTenant();
    const price = await strangePrice();
    const session = await buyInDashboard(tenant, [{ price, quantity: 1 }]);
    const events = (await life.billing.freshEvents()).filter(({ type }) => type === "checkout.session.completed");
    await life.billing.settle(events);
    expect(await life.statusesOf(events)).toEqual(new Set(["quarantined"]));
    expect(await life.grantsOf(tenant)).toEqual([]);
    expect(await lineOf(tenant)).toEqual([
      { kind: "credit_purchase", status: "paid", amount: 99_000, description: "Consulting" },
    ]);
    const [alert] = await life.sql<{ details: unknown }>("SELECT details FROM billing_alerts WHERE subject = $1", [
      session,
    ]);
    expect(alert?.details).toMatchObject({
      ...{ session, customer: await life.customerOf(tenant), prices: [price], amount: 99_000, currency: "usd" },
    });

    await makeKnown(price);
    await life.billing.settleOneByOne(events.map((event) => ({ ...event, id: `${event.id}_again` }) as Stripe.Event));
    expect(await life.grantsOf(tenant)).toEqual([50_000]);
    expect(await life.alertsOf(tenant)).toEqual([]);
  });

  it("beside a known one grants the known one, and the other once it is known, each once", async () => {
    const tenant = await createTenant();
    const price = await strangePrice();
    await buyInDashboard(tenant, [
      { price: stripePriceOf("pack_2500"), quantity: 1 },
      { price, quantity: 1 },
    ]);
    const events = (await life.billing.freshEvents()).filter(({ type }) => type === "checkout.session.completed");
    await life.billing.settle(events);
    expect(await life.grantsOf(tenant)).toEqual([2500]);
    expect(await lineOf(tenant)).toMatchObject([{ description: "2,500 credits, Consulting" }]);
    await makeKnown(price);
    for (const copy of [1, 2]) {
      await life.billing.settleOneByOne(
        events.map((event) => ({ ...event, id: `${event.id}_${copy}` }) as Stripe.Event),
      );
    }
    expect((await life.grantsOf(tenant)).sort((a, b) => a - b)).toEqual([2500, 50_000]);
    expect(await life.alertsOf(tenant)).toEqual([]);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});
