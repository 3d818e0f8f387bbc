// Checkouts: for a plan and for a pack, from the click to the credits, and everything that may go wrong on the way.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import {
  type Billing,
  callAs,
  expectLawfulLedger,
  openBilling,
  PLATFORM,
  quietLogs,
  readLedger,
  sessionOf,
} from "../setup/billing";
import { codeOf, createMember, createTenant, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
const plans: Record<string, string> = {};
let pack: { id: string; credits: number };
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  await asPlatform(async (tx) => {
    const pro = await tx.subscriptionPlan.findUniqueOrThrow({ where: { key: "pro" } });
    const yen = { interval: "month" as const, currency: "jpy", unitAmount: 7_500n, createdAt: NOW };
    await tx.planPrice.create({ data: { id: newId(NOW), planId: pro.id, ...yen } });
    const small = await tx.creditProduct.findUniqueOrThrow({ where: { key: "pack_2500" } });
    await tx.creditProductPrice.create({
      data: { id: newId(NOW), productId: small.id, currency: "jpy", unitAmount: 3_900n, createdAt: NOW },
    });
  });
  await pushCatalogue();
  for (const { key, id } of await asPlatform((tx) => tx.subscriptionPlan.findMany())) plans[key] = id;
  const [first] = await callAs(null).creditProducts.list();
  if (!first) throw new Error("no pack");
  pack = first;
});
afterAll(() => billing.close());
afterEach(() => {
  billing.line.mode = "up";
  billing.line.bend = null;
});

type Tenant = Awaited<ReturnType<typeof createTenant>>;

const subscribe = (tenant: Tenant, change: { planId?: string; interval?: "month" | "year"; currency?: string } = {}) =>
  callAs(tenant.owner).subscription.checkout({
    organizationId: tenant.id,
    planId: plans.pro ?? "",
    interval: "month",
    ...change,
  });

const buyPack = (tenant: Tenant, change: { productId?: string; currency?: string } = {}, now = NOW) =>
  callAs(tenant.owner, now).creditProducts.checkout({ organizationId: tenant.id, productId: pack.id, ...change });

const comeBack = (tenant: Tenant, url: string, now = NOW) =>
  callAs(tenant.owner, now).billing.completeCheckout({ organizationId: tenant.id, sessionId: sessionOf(url) });

const balance = (tenant: Tenant, now = NOW) => callAs(tenant.owner, now).credits.balance({ organizationId: tenant.id });

const history = async (tenant: Tenant) =>
  (await callAs(tenant.owner).billing.history({ organizationId: tenant.id })).items;

/** What Stripe has of an organization. */
async function atStripe(tenant: Tenant) {
  const customers = (await billing.stripe.customers.list({ limit: 100 })).data.filter(
    (customer) => customer.metadata.organizationId === tenant.id,
  );
  const sessions: Stripe.Checkout.Session[] = [];
  for (const { id } of customers) {
    sessions.push(...(await billing.stripe.checkout.sessions.list({ customer: id })).data);
  }
  return { customers, sessions, open: sessions.filter((session) => session.status === "open") };
}

const rowsOf = (tenant: Tenant) =>
  billing.sql<{ status: string; kind: string; credits: number | null }>(
    "SELECT status::text, kind::text, credits::int FROM checkout_sessions WHERE organization_id = $1 ORDER BY created_at, id",
    [tenant.id],
  );

async function customerOf(tenant: Tenant): Promise<string | null> {
  const [row] = await billing.sql<{ id: string | null }>(
    "SELECT stripe_customer_id AS id FROM organizations WHERE id = $1",
    [tenant.id],
  );
  return row?.id ?? null;
}

describe("two clicks", () => {
  it("at once, with no customer yet, are one customer, one session and one address", async () => {
    const tenant = await createTenant();
    const answers = await Promise.all([subscribe(tenant), subscribe(tenant), subscribe(tenant)]);
    expect(new Set(answers.map(({ url }) => url)).size).toBe(1);
    const { customers, sessions } = await atStripe(tenant);
    expect(customers).toHaveLength(1);
    expect(customers[0]).toMatchObject({ id: await customerOf(tenant), email: tenant.owner.email, name: "Northwind" });
    expect(sessions).toHaveLength(1);
    expect(await rowsOf(tenant)).toEqual([{ status: "open", kind: "subscription", credits: null }]);
  });

  it("on a plan and a pack share the customer", async () => {
    const tenant = await createTenant();
    const [plan, credits] = await Promise.all([subscribe(tenant), buyPack(tenant)]);
    expect(plan.url).not.toBe(credits.url);
    expect((await atStripe(tenant)).customers).toHaveLength(1);
    expect((await atStripe(tenant)).open).toHaveLength(2);
  });

  it("on a plan with a trial do not give a second one by the page that the first opened", async () => {
    const tenant = await createTenant();
    const first = await subscribe(tenant, { planId: plans.starter });
    await billing.sql("UPDATE organizations SET trial_used_at = now() WHERE id = $1", [tenant.id]);
    const second = await subscribe(tenant, { planId: plans.starter });
    expect(second.url).not.toBe(first.url);
    await expect(billing.pay(first.url)).rejects.toThrow("409");
    expect((await atStripe(tenant)).open.map(({ id }) => id)).toEqual([sessionOf(second.url)]);
  });

  it("on two plans leave one that can be paid", async () => {
    const tenant = await createTenant();
    const first = await subscribe(tenant);
    const second = await subscribe(tenant, { planId: plans.scale });
    const { open } = await atStripe(tenant);
    expect(open.map(({ id }) => id)).toEqual([sessionOf(second.url)]);
    await expect(billing.pay(first.url)).rejects.toThrow("409");
    expect((await rowsOf(tenant)).map((row) => row.status).sort()).toEqual(["expired", "open"]);
    // And back again: the closed one is not handed out.
    const third = await subscribe(tenant);
    expect(third.url).not.toBe(first.url);
    expect((await atStripe(tenant)).open.map(({ id }) => id)).toEqual([sessionOf(third.url)]);
  });

  it("of which the second comes after the payment and before its event find it paid", async () => {
    const tenant = await createTenant();
    const { url } = await subscribe(tenant);
    await billing.pay(url);
    expect(await subscribe(tenant).catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    expect(await subscribe(tenant, { planId: plans.scale }).catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    expect((await atStripe(tenant)).sessions).toHaveLength(1);
  });
});

describe("a checkout", () => {
  it("is refused while there is a subscription", async () => {
    const tenant = await createTenant();
    await billing.pay((await subscribe(tenant)).url);
    await billing.settle();
    expect(await subscribe(tenant, { planId: plans.scale }).catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    expect((await atStripe(tenant)).open).toEqual([]);
  });

  it("is refused where Stripe knows of a subscription that we have not heard of, which is then known", async () => {
    const tenant = await createTenant();
    const { url } = await subscribe(tenant);
    await billing.stripe.checkout.sessions.expire(sessionOf(url));
    const customer = (await customerOf(tenant)) ?? "";
    const method = await billing.stripe.paymentMethods.attach("pm_card_visa", { customer });
    const [price] = await billing.sql<{ id: string }>(
      "SELECT stripe_price_id AS id FROM plan_prices WHERE plan_id = $1 AND interval = 'month' AND currency = 'usd'",
      [plans.pro],
    );
    await billing.stripe.subscriptions.create({
      customer,
      items: [{ price: price?.id ?? "" }],
      default_payment_method: method.id,
    });
    expect(await subscribe(tenant, { planId: plans.scale }).catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    const known = await callAs(tenant.owner).subscription.get({ organizationId: tenant.id });
    expect(known).toMatchObject({ planKey: "pro", status: "active" });
    expect((await atStripe(tenant)).open).toEqual([]);
  });

  it("is in the currency that the customer pays in, and in no other", async () => {
    const tenant = await createTenant();
    await billing.pay((await subscribe(tenant, { currency: "eur" })).url);
    await billing.settle();
    await callAs(tenant.owner).subscription.cancel({ organizationId: tenant.id, at: "now" });
    const refusal = { cause: { code: "WRONG_CURRENCY", details: { currency: "eur" } } };
    await expect(subscribe(tenant, { currency: "usd" })).rejects.toMatchObject(refusal);
    const session = await billing.stripe.checkout.sessions.retrieve(sessionOf((await subscribe(tenant)).url));
    expect(session).toMatchObject({ currency: "eur", amount_total: 4_500 });
  });

  it("for a customer that was deleted at Stripe is for a new one", async () => {
    const tenant = await createTenant();
    await subscribe(tenant);
    const gone = (await customerOf(tenant)) ?? "";
    await billing.stripe.customers.del(gone);
    expect((await subscribe(tenant)).url).toContain("cs_");
    const fresh = await customerOf(tenant);
    expect(fresh).not.toBe(gone);
    expect((await atStripe(tenant)).customers.map(({ id }) => id)).toEqual([fresh]);
  });

  it("of a plan that is unknown, archived, not public, or not sold so, is refused and makes no session", async () => {
    const tenant = await createTenant();
    const archived = newId(NOW);
    await asPlatform((tx) =>
      tx.subscriptionPlan.create({
        data: {
          id: archived,
          key: "legacy",
          name: "Legacy",
          description: "",
          features: [],
          credits: 10n,
          createdAt: NOW,
          updatedAt: NOW,
          prices: {
            create: { interval: "month", currency: "usd", unitAmount: 100n, createdAt: NOW },
          },
        },
      }),
    );
    await pushCatalogue();
    await asPlatform((tx) => tx.subscriptionPlan.update({ where: { id: archived }, data: { active: false } }));
    const choices = [
      { planId: "00000000-0000-7000-8000-00000000dead" },
      { planId: archived },
      { planId: plans.enterprise },
      { currency: "chf" },
      { interval: "year" as const, currency: "jpy" },
    ];
    for (const choice of choices) expect(await subscribe(tenant, choice).catch(codeOf)).toBe("PLAN_NOT_AVAILABLE");
    expect(await buyPack(tenant, { productId: plans.pro }).catch(codeOf)).toBe("PRODUCT_NOT_AVAILABLE");
    expect(await buyPack(tenant, { currency: "chf" }).catch(codeOf)).toBe("PRODUCT_NOT_AVAILABLE");
    expect(await customerOf(tenant)).toBeNull();
    expect(await rowsOf(tenant)).toEqual([]);
  });

  it("asks Stripe for the catalogue's price, whatever else the request says", async () => {
    const tenant = await createTenant();
    const input = { organizationId: tenant.id, productId: pack.id, credits: 1e9, quantity: 100, unitAmount: 1 };
    const { url } = await callAs(tenant.owner).creditProducts.checkout(input);
    const session = await billing.stripe.checkout.sessions.retrieve(sessionOf(url));
    expect(session).toMatchObject({ amount_total: 2500, currency: "usd", mode: "payment" });
    await billing.pay(url);
    await billing.settle();
    expect((await balance(tenant)).purchased).toBe(2500);
  });

  it.each(["fails", "silent", "limited"] as const)(
    "says within five seconds that Stripe is not there (%s), and leaves no half rows",
    async (mode) => {
      const tenant = await createTenant();
      billing.line.mode = mode;
      const started = performance.now();
      const failures = await Promise.all([subscribe(tenant).catch(codeOf)]);
      expect(failures).toEqual(["STRIPE_UNAVAILABLE"]);
      expect(performance.now() - started).toBeLessThan(5000);
      expect(await customerOf(tenant)).toBeNull();
      expect(await rowsOf(tenant)).toEqual([]);
      billing.line.mode = "up";
      expect((await subscribe(tenant)).url).toContain("cs_");
      expect((await atStripe(tenant)).customers).toHaveLength(1);
    },
  );

  it("whose customer was made while the answer got lost finds the same customer, also for another person", async () => {
    const tenant = await createTenant();
    const admin = await createMember(tenant.id, "admin");
    billing.line.bend = (path, answer) => (path === "/v1/customers" ? { cut: "off" } : answer);
    expect(await subscribe(tenant).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    expect((await atStripe(tenant)).customers).toHaveLength(1);
    expect(await customerOf(tenant)).toBeNull();
    billing.line.bend = null;
    await callAs(admin).subscription.checkout({
      organizationId: tenant.id,
      planId: plans.pro ?? "",
      interval: "month",
    });
    expect((await atStripe(tenant)).customers.map(({ id }) => id)).toEqual([await customerOf(tenant)]);
  });

  it.each(["/v1/customers/search", "/v1/checkout/sessions"])(
    "says that Stripe is not there when what comes from %s makes no sense",
    async (path) => {
      const tenant = await createTenant();
      billing.line.bend = (asked, answer) => (asked.startsWith(path) ? { message: "no such route" } : answer);
      expect(await subscribe(tenant).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
      expect(await rowsOf(tenant)).toEqual([]);
    },
  );

  it("whose session was made while the answer got lost hands out that session", async () => {
    const tenant = await createTenant();
    billing.line.bend = (path, answer) => (path === "/v1/checkout/sessions" ? { cut: "off" } : answer);
    expect(await subscribe(tenant).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    expect(await rowsOf(tenant)).toEqual([]);
    billing.line.bend = null;
    const { url } = await subscribe(tenant);
    expect((await atStripe(tenant)).sessions.map(({ id }) => id)).toEqual([sessionOf(url)]);
  });
});

describe("coming back from a checkout", () => {
  it("without having paid grants nothing", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    expect(await comeBack(tenant, url)).toEqual({ kind: "credits", status: "open", credits: 2500 });
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
  });

  it("after paying grants before any event came, and the events grant nothing more", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    expect(await comeBack(tenant, url)).toEqual({ kind: "credits", status: "paid", credits: 2500 });
    expect(await balance(tenant)).toMatchObject({ available: 2500, purchased: 2500, nextExpiry: null });
    await billing.settle();
    expect(await comeBack(tenant, url)).toMatchObject({ status: "paid" });
    expect(await readLedger(billing.sql, tenant.id)).toMatchObject({ balance: 2500, lastSeq: 1 });
  });

  it("at the same time as the events, five times over, grants once", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    const events = await billing.freshEvents();
    await Promise.all([
      ...[1, 2, 3, 4, 5].map(() => comeBack(tenant, url)),
      ...events.map((event) => billing.settle([event])),
    ]);
    expect(await comeBack(tenant, url)).toMatchObject({ status: "paid" });
    const ledger = await expectLawfulLedger(billing.sql, tenant.id);
    expect(ledger.rows.map((row) => [row.type, row.amount])).toEqual([["purchase", 2500]]);
    expect(await history(tenant)).toHaveLength(1);
  });

  it("of a subscription at the same time as its events is one subscription and one allowance", async () => {
    const tenant = await createTenant();
    const { url } = await subscribe(tenant);
    await billing.pay(url);
    const events = await billing.freshEvents();
    const [outcome] = await Promise.all([
      comeBack(tenant, url),
      comeBack(tenant, url),
      ...events.map((event) => billing.settle([event])),
    ]);
    expect(outcome).toEqual({ kind: "subscription", status: "paid", credits: null });
    expect((await expectLawfulLedger(billing.sql, tenant.id)).rows.map((row) => row.amount)).toEqual([6000]);
    expect(
      await billing.sql("SELECT 1 FROM organization_subscriptions WHERE organization_id = $1", [tenant.id]),
    ).toHaveLength(1);
  });

  it("is nothing to another organization, nor for a session that is none", async () => {
    const [tenant, stranger] = [await createTenant(), await createTenant()];
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    expect(await comeBack(stranger, url).catch(codeOf)).toBe("NOT_FOUND");
    const posing = callAs(stranger.owner).billing.completeCheckout({
      organizationId: tenant.id,
      sessionId: sessionOf(url),
    });
    expect(await posing.catch(codeOf)).toBe("NOT_FOUND");
    const made = callAs(tenant.owner).billing.completeCheckout({ organizationId: tenant.id, sessionId: "cs_test_x" });
    expect(await made.catch(codeOf)).toBe("NOT_FOUND");
    expect((await readLedger(billing.sql, stranger.id)).rows).toEqual([]);
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
  });

  it("while Stripe does not answer says what is known, and the event makes it good", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    billing.line.mode = "fails";
    expect(await comeBack(tenant, url)).toMatchObject({ status: "open" });
    billing.line.mode = "up";
    await billing.settle();
    expect(await comeBack(tenant, url)).toMatchObject({ status: "paid" });
    expect((await balance(tenant)).available).toBe(2500);
  });
});

describe("a pack", () => {
  it("is credits that never expire and one line of history", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    await billing.settle();
    expect(await balance(tenant, minutesLater(60 * 24 * 365 * 20))).toMatchObject({
      available: 2500,
      nextExpiry: null,
    });
    expect(await history(tenant)).toMatchObject([
      { kind: "credit_purchase", status: "paid", amount: 2500, currency: "usd", description: "2,500 credits" },
    ]);
    expect((await history(tenant))[0]?.invoiceUrl).toMatch(/^http/);
  });

  it("bought again is granted again", async () => {
    const tenant = await createTenant();
    for (let purchase = 1; purchase <= 2; purchase++) {
      await billing.pay((await buyPack(tenant)).url);
      await billing.settle();
      expect((await balance(tenant)).available).toBe(2500 * purchase);
    }
    expect(await history(tenant)).toHaveLength(2);
  });

  it("holds what it held when it was offered, though it was edited before it was paid", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    const edit = (credits: bigint) =>
      asPlatform((tx) =>
        tx.creditProduct.update({ where: { id: pack.id }, data: { credits, version: { increment: 1 } } }),
      );
    await edit(2600n);
    await billing.pay(url);
    await billing.settle();
    expect((await balance(tenant)).available).toBe(2500);
    // And a new click is a new offer.
    const again = await buyPack(tenant);
    await billing.pay(again.url);
    await billing.settle();
    expect((await balance(tenant)).available).toBe(5100);
    await edit(2500n);
  });

  it("whose card is declined changes nothing, and can be paid with another card", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    expect(await billing.pay(url, "4000000000000002")).toMatchObject({ status: "declined" });
    await billing.settle();
    expect(await comeBack(tenant, url)).toMatchObject({ status: "open" });
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
    expect(await history(tenant)).toEqual([]);
    expect((await buyPack(tenant)).url).toBe(url);
    await billing.pay(url);
    await billing.settle();
    expect((await balance(tenant)).available).toBe(2500);
  });

  it("whose payment is under way is granted when it has arrived, once", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    const events = await billing.freshEvents();
    billing.line.bend = whilePaymentIs("processing");
    await billing.settle(events);
    expect(await comeBack(tenant, url)).toMatchObject({ status: "processing" });
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
    expect(await history(tenant)).toMatchObject([{ kind: "credit_purchase", status: "processing" }]);
    billing.line.bend = null;
    const completed = events.find(({ type }) => type === "checkout.session.completed");
    const arrived = { ...completed, id: `${completed?.id}_async`, type: "checkout.session.async_payment_succeeded" };
    await billing.settle([arrived as Stripe.Event, { ...arrived, id: `${arrived.id}_2` } as Stripe.Event]);
    expect((await readLedger(billing.sql, tenant.id)).rows.map((row) => row.amount)).toEqual([2500]);
    expect(await history(tenant)).toMatchObject([{ kind: "credit_purchase", status: "paid" }]);
  });

  it("whose payment failed after all is closed, visibly, and grants nothing", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    await billing.pay(url);
    billing.line.bend = whilePaymentIs("requires_payment_method");
    await billing.settle();
    expect(await comeBack(tenant, url)).toMatchObject({ status: "failed" });
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
    expect(await history(tenant)).toMatchObject([{ kind: "credit_purchase", status: "failed" }]);
  });

  it("is stored in the currency that was paid, also one without cents", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant, { currency: "jpy" });
    await billing.pay(url);
    await billing.settle();
    expect(await history(tenant)).toMatchObject([{ amount: 3900, currency: "jpy", status: "paid" }]);
    expect((await balance(tenant)).available).toBe(2500);
  });
});

function whilePaymentIs(intentStatus: string) {
  return (path: string, answer: Record<string, unknown>): unknown => {
    if (!/^\/v1\/checkout\/sessions\/cs_/.test(path)) return answer;
    const intent = answer.payment_intent;
    return {
      ...answer,
      payment_status: "unpaid",
      payment_intent: typeof intent === "object" ? { ...intent, status: intentStatus } : intent,
    };
  };
}

describe("a subscription's currency", () => {
  it.each([
    ["eur", 4500],
    ["jpy", 7500],
  ])("is kept with its amounts: %s", async (currency, amount) => {
    const tenant = await createTenant();
    await billing.pay((await subscribe(tenant, { currency })).url);
    await billing.settle();
    expect(await history(tenant)).toMatchObject([{ kind: "invoice", amount, currency }]);
    const subscription = await callAs(tenant.owner).subscription.get({ organizationId: tenant.id });
    expect(subscription).toMatchObject({ currency, unitAmount: amount, nextInvoice: { amount, currency } });
    expect((await balance(tenant)).available).toBe(6000);
  });
});

describe("a session that nobody paid", () => {
  it("is closed when it expires, and the next click opens a new one", async () => {
    const tenant = await createTenant();
    const { url } = await buyPack(tenant);
    const after = minutesLater(25 * 60);
    await billing.setClock(after);
    const events = await billing.freshEvents();
    expect(events.map(({ type }) => type)).toContain("checkout.session.expired");
    await billing.settle(events);
    expect(await rowsOf(tenant)).toEqual([{ status: "expired", kind: "credits", credits: 2500 }]);
    expect(await comeBack(tenant, url, after)).toMatchObject({ status: "expired" });
    expect((await buyPack(tenant, {}, after)).url).not.toBe(url);
  });
});

describe("the portal", () => {
  it("opens for who has been at a checkout, and says so to who has not", async () => {
    const tenant = await createTenant();
    const open = () => callAs(tenant.owner).subscription.portal({ organizationId: tenant.id });
    expect(await open().catch(codeOf)).toBe("NO_BILLING_ACCOUNT");
    await subscribe(tenant);
    expect((await open()).url).toMatch(/^http/);
    billing.line.mode = "fails";
    expect(await open().catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
  });

  it("opens for a service and for the platform", async () => {
    const tenant = await createTenant();
    await subscribe(tenant);
    const open = await callAs(PLATFORM).subscription.portal({ organizationId: tenant.id });
    expect(open.url).toMatch(/^http/);
  });
});
