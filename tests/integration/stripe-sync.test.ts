// `stripe:sync` against the sandbox: what is pushed, what is left alone, and what is refused.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { applyPush, type Change, changesOf, type PushOptions, planPush } from "~/server/billing/stripe-catalogue";
import { LISTENED_EVENTS } from "~/server/stripe/events";
import { type Billing, callAs, daysLater, openBilling, PLATFORM, quietLogs, STRIPE_KEY } from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

const URL_OF_APP = "https://billing.example.com/api/billing/webhook/stripe";
// Three plans for everyone and one for enterprises, three packs; a price for each interval and currency.
const PRODUCTS = 7;
const PRICES = 20;
const METERS = 4;

let billing: Billing;
let clock = NOW;
const secrets: string[] = [];
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
});
afterAll(() => billing.close());
beforeEach(() => {
  secrets.length = 0;
});
afterEach(() => {
  billing.line.mode = "up";
  billing.line.bend = null;
});

const ALL: PushOptions = {
  meters: true,
  endpoint: { url: URL_OF_APP, rollSecret: false, onSecret: ({ secret }) => void secrets.push(secret) },
};

const planned = async (options: PushOptions = ALL): Promise<Change[]> => changesOf(await planPush(options));
const told = (changes: readonly Change[]) => changes.map(({ action, kind, name }) => `${action} ${kind} ${name}`);
const countsOf = (changes: readonly Change[]) => {
  const counts: Record<string, number> = {};
  for (const { action, kind } of changes) counts[`${action} ${kind}`] = (counts[`${action} ${kind}`] ?? 0) + 1;
  return counts;
};

/** Plans and applies. @returns what was done, and the calls that changed something at Stripe */
async function push(options: PushOptions = ALL): Promise<{ done: Change[]; writes: string[] }> {
  const before = billing.line.calls.length;
  const done: Change[] = [];
  await applyPush(await planPush(options), (change) => void done.push(change));
  return { done, writes: billing.line.calls.slice(before).filter((call) => !call.startsWith("GET ")) };
}

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

/** Everything that could have been made twice. */
async function countAtStripe() {
  const { stripe } = billing;
  const [products, prices, meters, portals, endpoints] = await Promise.all([
    all(stripe.products.list({ limit: 100 })),
    all(stripe.prices.list({ limit: 100 })),
    all(stripe.billing.meters.list({ limit: 100 })),
    all(stripe.billingPortal.configurations.list({ limit: 100 })),
    all(stripe.webhookEndpoints.list({ limit: 100 })),
  ]);
  return {
    products: products.length,
    prices: prices.length,
    meters: meters.length,
    portals: portals.length,
    endpoints: endpoints.length,
  };
}

const COMPLETE = { products: PRODUCTS, prices: PRICES, meters: METERS, portals: 1, endpoints: 1 };

async function storedIds(): Promise<string[]> {
  const rows = await billing.sql<{ id: string | null }>(
    `SELECT stripe_product_id AS id FROM subscription_plans UNION ALL SELECT stripe_product_id FROM credit_products
     UNION ALL SELECT stripe_price_id FROM plan_prices UNION ALL SELECT stripe_price_id FROM credit_product_prices
     UNION ALL SELECT stripe_meter_id FROM credit_events UNION ALL SELECT webhook_endpoint_id FROM stripe_account
     UNION ALL SELECT portal_configuration_id FROM stripe_account`,
  );
  return rows.map(({ id }) => id ?? "none").sort();
}

async function wipeStripe(): Promise<void> {
  await fetch(`${billing.sandbox.url}/_sandbox/reset`, { method: "POST" });
  await billing.setClock(clock);
}

async function priceUnder(lookupKey: string): Promise<Stripe.Price> {
  const { data } = await billing.stripe.prices.list({ lookup_keys: [lookupKey], limit: 100 });
  expect(data).toHaveLength(1);
  return data[0] as Stripe.Price;
}

describe("a push", () => {
  it("into an empty account makes everything, once, and tells the endpoint's secret", async () => {
    await wipeStripe();
    expect(await countAtStripe()).toEqual({ products: 0, prices: 0, meters: 0, portals: 0, endpoints: 0 });
    const { done } = await push();
    expect(countsOf(done)).toEqual({
      "create product": PRODUCTS,
      "create price": PRICES,
      "create meter": METERS,
      "create portal_configuration": 1,
      "create webhook_endpoint": 1,
    });
    expect(await countAtStripe()).toEqual(COMPLETE);
    expect(secrets).toEqual([expect.stringMatching(/^whsec_/)]);
    const [endpoint] = (await billing.stripe.webhookEndpoints.list()).data;
    expect(endpoint).toMatchObject({ url: URL_OF_APP, status: "enabled", api_version: "2026-10-28.endive" });
    expect(endpoint?.enabled_events.toSorted()).toEqual(Object.keys(LISTENED_EVENTS).sort());
    expect(await priceUnder("billfold_plan_pro_month_usd")).toMatchObject({
      unit_amount: 4900,
      currency: "usd",
      recurring: { interval: "month" },
      tax_behavior: "unspecified",
      active: true,
    });
    const meters = await all(billing.stripe.billing.meters.list());
    expect(meters.map((meter) => meter.event_name).sort()).toEqual([
      "ai_inference",
      "api_call_basic",
      "api_call_premium",
      "storage_gb_month",
    ]);
  });

  it("configures the portal as our own pages behave: more at once and paid, less when the period has ended", async () => {
    const expand = ["data.features.subscription_update.products"];
    const [portal] = (await billing.stripe.billingPortal.configurations.list({ expand })).data;
    const [starter, pro, scale] = await Promise.all(
      ["starter", "pro", "scale"].map(async (plan) => ({
        month: await priceUnder(`billfold_plan_${plan}_month_usd`),
        year: await priceUnder(`billfold_plan_${plan}_year_usd`),
      })),
    );
    expect(portal?.features.subscription_update).toMatchObject({
      enabled: true,
      default_allowed_updates: ["price", "promotion_code"],
      proration_behavior: "always_invoice",
      schedule_at_period_end: { conditions: [{ type: "decreasing_item_amount" }, { type: "shortening_interval" }] },
    });
    // Not the plan for enterprises.
    const offered = portal?.features.subscription_update.products?.map(({ product, prices }) => ({
      product,
      prices: prices.toSorted(),
    }));
    expect(offered).toEqual(
      [starter, pro, scale].map((plan) => ({
        product: plan?.month.product,
        prices: [plan?.month.id, plan?.year.id].sort(),
      })),
    );
    expect(portal?.features.subscription_cancel).toMatchObject({
      enabled: true,
      mode: "at_period_end",
      cancellation_reason: { enabled: true },
    });
    expect(portal?.features.payment_method_update.enabled).toBe(true);
    expect(portal?.features.invoice_history.enabled).toBe(true);
  });

  it("again does nothing", async () => {
    const before = await storedIds();
    expect(before).not.toContain("none");
    expect(await push()).toEqual({ done: [], writes: [] });
    expect(await storedIds()).toEqual(before);
    expect(await countAtStripe()).toEqual(COMPLETE);
  });

  it("that is only planned writes nothing, there and here", async () => {
    await wipeStripe();
    const before = await storedIds();
    const from = billing.line.calls.length;
    expect(await planned()).toHaveLength(PRODUCTS + PRICES + METERS + 2);
    expect(billing.line.calls.slice(from).filter((call) => !call.startsWith("GET "))).toEqual([]);
    expect(await storedIds()).toEqual(before);
    expect(await countAtStripe()).toEqual({ products: 0, prices: 0, meters: 0, portals: 0, endpoints: 0 });
  });

  it("that is killed at every step, before and after each answer, makes nothing twice", async () => {
    await wipeStripe();
    const { hostname, port } = new URL(billing.line.url);
    const options = { host: hostname, port, protocol: "http" as const, maxNetworkRetries: 0, telemetry: false };
    const impatient = new Stripe(STRIPE_KEY, options);
    let runs = 0;
    for (;;) {
      // The first write of a run comes through; the answer to the second is lost, and so the process with it.
      let writes = 0;
      billing.line.bend = (_, answer) => {
        if (!billing.line.calls.at(-1)?.startsWith("POST ")) return answer;
        writes += 1;
        return writes === 2 ? undefined : answer;
      };
      const plan = await planPush({ ...ALL, stripe: impatient });
      runs += 1;
      expect(runs).toBeLessThan(100);
      if (changesOf(plan).length === 0) break;
      await applyPush(plan).catch((error) => expect(error).toMatchObject({ code: "STRIPE_UNAVAILABLE" }));
    }
    expect(runs).toBeGreaterThan(10);
    expect(await countAtStripe()).toEqual(COMPLETE);
    expect(await storedIds()).not.toContain("none");
  });

  it("finds its objects again where our rows have lost their ids", async () => {
    const before = await storedIds();
    await billing.sql("UPDATE subscription_plans SET stripe_product_id = null WHERE key = 'pro'");
    await billing.sql("UPDATE plan_prices SET stripe_price_id = null WHERE interval = 'year'");
    await billing.sql("UPDATE credit_events SET stripe_meter_id = null");
    await billing.sql("UPDATE stripe_account SET webhook_endpoint_id = null, portal_configuration_id = null");
    const { done, writes } = await push();
    expect(countsOf(done)).toEqual({
      "link product": 1,
      "link price": 7,
      "link meter": METERS,
      "link portal_configuration": 1,
      "link webhook_endpoint": 1,
    });
    expect(writes).toEqual([]);
    expect(await storedIds()).toEqual(before);
  });
});

describe("the catalogue", () => {
  it("whose price changes sells at the new one, while subscribers stay on theirs and renew at it", async () => {
    const { sql, stripe } = billing;
    const plans = await callAs(null).plans.list();
    const pro = plans.find(({ key }) => key === "pro")?.id ?? "";
    const subscribe = async () => {
      const tenant = await createTenant();
      const { url } = await callAs(tenant.owner, clock).subscription.checkout({
        organizationId: tenant.id,
        planId: pro,
        interval: "month",
      });
      expect(await billing.pay(url)).toEqual({ status: "complete" });
      await billing.settle();
      return tenant;
    };
    const amounts = async (tenant: { id: string }) => {
      const { items } = await callAs(PLATFORM, clock).billing.history({ organizationId: tenant.id });
      return items.map(({ amount, status }) => ({ amount, status }));
    };
    const early = await subscribe();
    const ledger = await sql("SELECT organization_id, seq, hash FROM credit_transactions ORDER BY 1, 2");
    const old = await priceUnder("billfold_plan_pro_month_usd");

    const change = { planId: pro, interval: "month", currency: "usd", unitAmount: 5900 } as const;
    const edited = await callAs(PLATFORM, clock).admin.plans.changePrice(change);
    expect(edited).toMatchObject({ changed: true, pushed: true, version: 2 });
    expect(await sql("SELECT organization_id, seq, hash FROM credit_transactions ORDER BY 1, 2")).toEqual(ledger);
    const fresh = await priceUnder("billfold_plan_pro_month_usd");
    expect(fresh).toMatchObject({ unit_amount: 5900, active: true });
    expect(await stripe.prices.retrieve(old.id)).toMatchObject({ active: false, lookup_key: null, unit_amount: 4900 });
    expect(await planned()).toEqual([]);
    // The same price again is no edit.
    expect(await callAs(PLATFORM, clock).admin.plans.changePrice(change)).toMatchObject({ changed: false, version: 2 });

    const late = await subscribe();
    expect(await amounts(late)).toEqual([{ amount: 5900, status: "paid" }]);
    clock = minutesLater(120, daysLater(31, clock));
    await billing.setClock(clock);
    await billing.settle();
    expect(await amounts(early)).toEqual([
      { amount: 4900, status: "paid" },
      { amount: 4900, status: "paid" },
    ]);
    expect(await amounts(late)).toEqual([
      { amount: 5900, status: "paid" },
      { amount: 5900, status: "paid" },
    ]);
    expect(await callAs(PLATFORM, clock).subscription.get({ organizationId: early.id })).toMatchObject({
      planKey: "pro",
      unitAmount: 4900,
      status: "active",
    });
  });

  it("whose plan is taken from sale is archived, and active again when it comes back", async () => {
    const { stripe } = billing;
    const scale = (await callAs(null).plans.list()).find(({ key }) => key === "scale")?.id ?? "";
    const actives = async () => {
      const price = await priceUnder("billfold_plan_scale_year_eur");
      const product = await stripe.products.retrieve(price.product as string);
      return [product.active, price.active];
    };
    await callAs(PLATFORM, clock).admin.plans.setActive({ planId: scale, active: false });
    expect(await actives()).toEqual([false, false]);
    expect(await planned()).toEqual([]);
    await callAs(PLATFORM, clock).admin.plans.setActive({ planId: scale, active: true });
    expect(await actives()).toEqual([true, true]);
    expect(await planned()).toEqual([]);
  });

  it("that is edited while Stripe is away is told to be behind, and the next push makes it good", async () => {
    billing.line.mode = "limited";
    const starter = (await callAs(null).plans.list()).find(({ key }) => key === "starter")?.id ?? "";
    const change = { planId: starter, interval: "year", currency: "eur", unitAmount: 14_900 } as const;
    expect(await callAs(PLATFORM, clock).admin.plans.changePrice(change)).toMatchObject({ pushed: false });
    billing.line.mode = "up";
    expect(told((await push()).done)).toEqual([
      "create price billfold_plan_starter_year_eur (14900 eur)",
      "archive price billfold_plan_starter_year_eur (14000 eur)",
    ]);
  });

  it("is edited by the platform only", async () => {
    const tenant = await createTenant();
    const change = { planId: tenant.id, active: false };
    await expect(callAs(tenant.owner).admin.plans.setActive(change)).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(callAs(PLATFORM).admin.plans.setActive(change)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("whose names and events change is followed", async () => {
    await billing.sql("UPDATE subscription_plans SET name = 'Pro plus', description = 'More.' WHERE key = 'pro'");
    await billing.sql("UPDATE credit_events SET active = false WHERE name = 'ai_inference'");
    const { done } = await push();
    expect(done.map(({ action, kind, details }) => ({ action, kind, details }))).toEqual([
      {
        action: "update",
        kind: "product",
        details: ["name: Pro → Pro plus", "description: For teams whose product runs on credits every day. → More."],
      },
      { action: "archive", kind: "meter", details: ["active: yes → no"] },
    ]);
    await billing.sql("UPDATE credit_events SET active = true WHERE name = 'ai_inference'");
    expect(told((await push()).done)).toEqual(["update meter ai_inference"]);
    expect(await planned()).toEqual([]);
  });
});

describe("what somebody changed in the dashboard", () => {
  it("is shown, and put right", async () => {
    const { stripe } = billing;
    const price = await priceUnder("billfold_plan_scale_month_usd");
    const pack = await priceUnder("billfold_pack_pack_2500_usd");
    await stripe.products.update(price.product as string, { name: "Scale!", description: "" });
    await stripe.prices.update(price.id, { active: false });
    await stripe.prices.update(pack.id, { lookup_key: "cheap" });
    const [portal] = (await stripe.billingPortal.configurations.list()).data;
    await stripe.billingPortal.configurations.update(portal?.id ?? "", {
      features: { subscription_cancel: { enabled: false }, subscription_update: { enabled: false } },
    });
    const [endpoint] = (await stripe.webhookEndpoints.list()).data;
    await stripe.webhookEndpoints.update(endpoint?.id ?? "", { enabled_events: ["invoice.paid"], disabled: true });

    const changes = await planned();
    expect(told(changes)).toEqual([
      "update product plan Scale",
      "update price billfold_plan_scale_month_usd (14900 usd)",
      "update price billfold_pack_pack_2500_usd (2500 usd)",
      "update portal_configuration customer portal",
      `update webhook_endpoint ${URL_OF_APP}`,
    ]);
    expect(changes[0]?.details).toEqual([
      "name: Scale! → Scale",
      "description: none → For products that many customers rely on.",
    ]);
    expect(changes[2]?.details).toEqual(["lookup_key: cheap → billfold_pack_pack_2500_usd"]);
    expect(changes[3]?.details[0]).toBe("features.subscription_cancel.enabled: no → yes");
    expect(changes[4]?.details[0]).toBe("enabled: no → yes");
    await push();
    expect(await planned()).toEqual([]);
    expect(await stripe.prices.retrieve(price.id)).toMatchObject({ active: true });
    expect((await stripe.webhookEndpoints.list()).data[0]).toMatchObject({ status: "enabled" });
  });

  it("as an amount cannot be put right, so another price takes over from it", async () => {
    // The row says what it costs; the stored price asks for something else.
    await billing.sql(
      "UPDATE credit_product_prices SET unit_amount = 2600 WHERE unit_amount = 2500 AND currency = 'usd'",
    );
    const before = await priceUnder("billfold_pack_pack_2500_usd");
    const { done } = await push();
    expect(done.map(({ action, name }) => `${action} ${name}`)).toEqual([
      "create billfold_pack_pack_2500_usd (2600 usd)",
      "archive billfold_pack_pack_2500_usd (2500 usd)",
    ]);
    expect(await priceUnder("billfold_pack_pack_2500_usd")).toMatchObject({ unit_amount: 2600, active: true });
    expect(await billing.stripe.prices.retrieve(before.id)).toMatchObject({ active: false, lookup_key: null });
    expect(await planned()).toEqual([]);
  });

  it("as a deleted endpoint is made again, with a secret that is told", async () => {
    const [endpoint] = (await billing.stripe.webhookEndpoints.list()).data;
    await billing.stripe.webhookEndpoints.del(endpoint?.id ?? "");
    expect(told((await push()).done)).toEqual([`create webhook_endpoint ${URL_OF_APP}`]);
    expect(secrets).toEqual([expect.stringMatching(/^whsec_/)]);
    expect(await planned()).toEqual([]);
  });
});

describe("an endpoint's secret", () => {
  it("is rolled with another endpoint, and the one before it goes on until the next push", async () => {
    const { stripe } = billing;
    const statuses = async () => (await stripe.webhookEndpoints.list()).data.map(({ status }) => status).toSorted();
    const endpoint = {
      url: URL_OF_APP,
      rollSecret: true,
      onSecret: ({ secret }: { secret: string }) => void secrets.push(secret),
    };
    expect(told((await push({ ...ALL, endpoint })).done)).toEqual([`create webhook_endpoint ${URL_OF_APP}`]);
    expect(secrets).toHaveLength(1);
    expect(await statuses()).toEqual(["enabled", "enabled"]);
    expect(told((await push()).done)).toEqual([`archive webhook_endpoint ${URL_OF_APP}`]);
    expect(await statuses()).toEqual(["disabled", "enabled"]);
    expect(secrets).toHaveLength(1);
    expect(await planned()).toEqual([]);
  });
});

describe("ids of another", () => {
  it("mode are refused", async () => {
    await billing.sql("UPDATE stripe_account SET livemode = true");
    await expect(planPush(ALL)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringMatching(
        /belong to account acct_\w+ in live mode.*is for account acct_\w+ in test mode.*--adopt/,
      ),
    });
    await billing.sql("UPDATE stripe_account SET livemode = false");
    expect(await planned()).toEqual([]);
  });

  it("account are refused, and looked up anew in one that is adopted", async () => {
    const before = await storedIds();
    billing.line.bend = (path, answer) => (path.startsWith("/v1/account") ? { ...answer, id: "acct_another" } : answer);
    await expect(planPush(ALL)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("--adopt"),
    });
    const plan = await planPush({ ...ALL, adopt: true });
    expect(plan).toMatchObject({ accountId: "acct_another", leavesBehind: { customers: 2, subscriptions: 2 } });
    const { writes, done } = await push({ ...ALL, adopt: true });
    expect(new Set(done.map(({ action }) => action))).toEqual(new Set(["link"]));
    expect(writes).toEqual([]);
    expect(await storedIds()).toEqual(before);
    const [account] = await billing.sql<{ account_id: string }>("SELECT account_id FROM stripe_account");
    expect(account?.account_id).toBe("acct_another");
    expect(await planned({ ...ALL, adopt: true })).toEqual([]);
    billing.line.bend = null;
    await push({ ...ALL, adopt: true });
    expect(await storedIds()).toEqual(before);
  });

  it("account from before anybody wrote down whose they are, are refused too", async () => {
    await billing.sql("DELETE FROM stripe_account");
    await billing.sql("UPDATE plan_prices SET stripe_price_id = 'price_else_' || id");
    await billing.sql("UPDATE credit_product_prices SET stripe_price_id = 'price_else_' || id");
    await billing.sql("UPDATE subscription_plans SET stripe_product_id = 'prod_else_' || id");
    await billing.sql("UPDATE credit_products SET stripe_product_id = 'prod_else_' || id");
    await expect(planPush(ALL)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("None of the stored ids"),
    });
    const { done } = await push({ ...ALL, adopt: true });
    expect(new Set(done.map(({ action }) => action))).toEqual(new Set(["link"]));
    expect(await planned()).toEqual([]);
  });
});

describe("the command", () => {
  const ROOT = fileURLToPath(new URL("../..", import.meta.url));

  function run(args: string[], env: Record<string, string> = {}): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, ["--import", "tsx", "src/cli/stripe-sync.ts", ...args], {
      cwd: ROOT,
      env: { ...process.env, STRIPE_WEBHOOK_SECRET: "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
  }

  it("shows, asks where it can, applies, and then has nothing to do", async () => {
    const env = { NEXTAUTH_URL: "https://billing.example.com" };
    await billing.stripe.products.update((await priceUnder("billfold_plan_pro_year_usd")).product as string, {
      name: "?",
    });
    const dry = await run(["--dry-run"], env);
    expect(dry.output).toContain("~ update product plan Pro plus");
    expect(dry.output).toContain("name: ? → Pro plus");
    expect(dry.code).toBe(0);
    const unasked = await run([], env);
    expect(unasked).toMatchObject({ code: 2, output: expect.stringContaining("there is no terminal to ask at") });
    expect(await run(["--yes"], env)).toMatchObject({
      code: 0,
      output: expect.stringContaining("done: ~ update product plan Pro plus"),
    });
    const again = await run(["--yes"], env);
    expect(again).toMatchObject({ code: 0, output: expect.stringContaining("Nothing to do: 7 products, ") });
  });

  it("does not touch a live account unless that is said", async () => {
    const from = billing.line.calls.length;
    const live = await run(["--yes"], { STRIPE_SECRET_KEY: "sk_live_of_somebody" });
    expect(live).toMatchObject({ code: 2, output: expect.stringContaining("-- --live") });
    expect(billing.line.calls.length).toBe(from);
  });
});
