// The reconciler: what was missed comes across, once; what is right is left alone.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type ReconciliationReport, reconcile } from "~/server/billing/reconcile";
import { runReconciliation } from "~/server/jobs/tasks/reconcile";
import { targetOf } from "~/server/stripe/events";
import {
  type Billing,
  callAs,
  daysLater,
  expectLawfulLedger,
  openBilling,
  PLATFORM,
  quietLogs,
} from "../setup/billing";
import { differencesFromStripe } from "../setup/stripe-truth";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

// A month of a dozen customers is a long one on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

let billing: Billing;
/** Stripe's clock; it only goes forward, through all tests of this file. */
let clock = NOW;
const plans: Record<string, string> = {};
const packs: Record<string, string> = {};
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;
  for (const { key, id } of await callAs(null).creditProducts.list()) packs[key] = id;
});
afterAll(() => billing.close());
afterEach(async () => {
  billing.line.mode = "up";
  billing.line.bend = null;
  // What was lost of the test is made good with what its end brings.
  await billing.endAll();
  await run();
});

type Tenant = Awaited<ReturnType<typeof createTenant>>;

const QUICK = { pauseMs: 0, firstWaitMs: 20, tries: 5, pageSize: 100 };

/** Some minutes after the clock: what was on its way has come, or never will. */
const run = (change: Partial<Parameters<typeof runReconciliation>[0]> = {}): Promise<ReconciliationReport> =>
  runReconciliation({ cause: "test", since: null, now: minutesLater(10, clock), pace: QUICK, ...change });

const truth = () => differencesFromStripe(billing.sql, billing.stripe);

async function liveUntil(at: Date): Promise<void> {
  clock = at;
  await billing.setClock(at);
}

async function subscribe(plan: string, interval: "month" | "year" = "month"): Promise<Tenant> {
  const tenant = await createTenant();
  const { url } = await callAs(tenant.owner, clock).subscription.checkout({
    organizationId: tenant.id,
    planId: plans[plan] ?? "",
    interval,
  });
  expect(await billing.pay(url)).toEqual({ status: "complete" });
  return tenant;
}

async function buy(tenant: Tenant, pack = "pack_2500", card?: string): Promise<void> {
  const { url } = await callAs(tenant.owner, clock).creditProducts.checkout({
    organizationId: tenant.id,
    productId: packs[pack] ?? "",
  });
  await billing.pay(url, card);
}

async function customerOf(tenant: Tenant): Promise<string> {
  const [row] = await billing.sql<{ id: string }>("SELECT stripe_customer_id AS id FROM organizations WHERE id = $1", [
    tenant.id,
  ]);
  return row?.id ?? "";
}

async function subscriptionOf(tenant: Tenant): Promise<Stripe.Subscription> {
  const { data } = await billing.stripe.subscriptions.list({ customer: await customerOf(tenant) });
  return data[0] as Stripe.Subscription;
}

/** The payment of the newest pack of an organization. */
async function packPayment(tenant: Tenant): Promise<string> {
  const { data } = await billing.stripe.checkout.sessions.list({ customer: await customerOf(tenant), limit: 100 });
  return data.find(({ mode }) => mode === "payment")?.payment_intent as string;
}

/** A row for each table, with everything in it and the transaction that wrote each row last. */
async function writtenState(): Promise<Record<string, string>> {
  const tables = await billing.sql<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1",
  );
  const state: Record<string, string> = {};
  for (const { name } of tables) {
    // Its own row, and the lock under which it looks.
    if (name === "reconciliations" || name === "sync_locks") continue;
    const [row] = await billing.sql<{ digest: string }>(
      `SELECT coalesce(md5(string_agg(t.xmin::text || t::text, '|' ORDER BY t::text)), 'empty') AS digest FROM "${name}" t`,
    );
    state[name] = row?.digest ?? "";
  }
  return state;
}

/** The must: after one run nothing differs, and a second one finds and writes nothing. */
async function expectReconciled(): Promise<void> {
  expect(await truth()).toEqual([]);
  const before = await writtenState();
  expect(await run({ since: daysLater(-40, clock) })).toMatchObject({ drift: 0, repaired: 0, queued: 0, findings: [] });
  expect(await writtenState()).toEqual(before);
}

/** Numbers that look like chance and are the same each time. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

describe("what never came", () => {
  it("of a month in which a fifth of the webhooks is lost, for a dozen customers, is all made good by one run", async () => {
    const random = makeRandom(7);
    const lost: Stripe.Event[] = [];
    const deliverSome = async () => {
      const events = await billing.freshEvents();
      const arriving = events.filter(() => random() >= 0.2);
      lost.push(...events.filter((event) => !arriving.includes(event)));
      await billing.settle(arriving);
    };
    const tenants: Tenant[] = [];
    for (const plan of ["pro", "pro", "pro", "pro", "pro", "starter", "starter", "scale", "scale", "pro"]) {
      tenants.push(await subscribe(plan));
      await deliverSome();
    }
    tenants.push(await subscribe("pro", "year"), await subscribe("scale", "year"));
    for (const tenant of tenants.slice(0, 6)) await buy(tenant);
    const [first, second, third, fourth, fifth, sixth, , eighth, ninth] = tenants as [Tenant, ...Tenant[]];
    await deliverSome();

    await liveUntil(daysLater(3, clock));
    await billing.stripe.refunds.create({ payment_intent: await packPayment(first), amount: 1_000 });
    await billing.stripe.refunds.create({ payment_intent: await packPayment(second as Tenant) });
    // A refund that its bank sends back.
    await buy(third as Tenant, "pack_10000", "4000000000005126");
    await billing.stripe.refunds.create({ payment_intent: await packPayment(third as Tenant) });
    // A payment that its owner disputes within a second.
    await buy(fourth as Tenant, "pack_10000", "4000000000000259");
    await deliverSome();

    await liveUntil(daysLater(7, clock));
    const { id, items } = await subscriptionOf(fifth as Tenant);
    const { data } = await billing.stripe.prices.list({ lookup_keys: ["billfold_plan_scale_month_usd"] });
    await billing.stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id ?? "", price: data[0]?.id ?? "" }],
      proration_behavior: "always_invoice",
    });
    await billing.stripe.subscriptions.update((await subscriptionOf(sixth as Tenant)).id, {
      cancel_at_period_end: true,
    });
    await billing.stripe.subscriptions.cancel((await subscriptionOf(eighth as Tenant)).id);
    const ninths = (await subscriptionOf(ninth as Tenant)).id;
    const broken = await billing.stripe.paymentMethods.attach("pm_card_chargeCustomerFail", {
      customer: await customerOf(ninth as Tenant),
    });
    await billing.stripe.subscriptions.update(ninths, { default_payment_method: broken.id });
    await deliverSome();

    for (const days of [10, 8, 5]) {
      await liveUntil(minutesLater(70, daysLater(days, clock)));
      await deliverSome();
    }
    expect(lost.length).toBeGreaterThan(50);
    expect(await truth()).not.toEqual([]);
    // Of what is older than Stripe's memory only the objects tell.
    const reach = minutesLater(10, daysLater(-30, clock)).getTime() / 1000;
    const told = lost.filter(({ type, created }) => targetOf(type) !== null && created >= reach);
    expect(told.length).toBeGreaterThan(5);

    const report = await run();
    expect(report).toMatchObject({ resumed: false, queued: 0 });
    const events = report.findings.filter(({ kind }) => kind === "event").map(({ subject }) => subject);
    expect(events.sort()).toEqual(told.map(({ id }) => id).sort());
    expect(report.drift).toBe(report.findings.length);
    await expectReconciled();
    for (const tenant of tenants) await expectLawfulLedger(billing.sql, tenant.id);
  });

  it("while the endpoint was down for five days comes across, through renewals, purchases and an end", async () => {
    const tenants = [await subscribe("pro"), await subscribe("starter"), await subscribe("scale")] as const;
    await billing.settle();
    await liveUntil(minutesLater(-60 * 24, daysLater(30, clock)));
    await billing.settle();
    // From here on nothing is delivered.
    await liveUntil(daysLater(5, clock));
    await buy(tenants[0]);
    await billing.stripe.subscriptions.cancel((await subscriptionOf(tenants[1])).id);
    await subscribe("pro");
    await billing.freshEvents();
    expect(await truth()).not.toEqual([]);
    const report = await run();
    expect(report.drift).toBeGreaterThan(10);
    expect(report.queued).toBe(0);
    await expectReconciled();
  });

  it("is found by the objects themselves where no event tells of them any more", async () => {
    const tenant = await subscribe("pro");
    await buy(tenant);
    await billing.freshEvents();
    // Stripe has forgotten what happened; the objects are there.
    billing.line.bend = (path, answer) =>
      path.startsWith("/v1/events") ? { ...answer, data: [], has_more: false } : answer;
    const report = await run({ since: daysLater(-2, clock) });
    expect(report.findings.map(({ kind, repaired }) => `${kind} ${repaired}`).sort()).toEqual([
      "checkout true",
      "invoice true",
      "subscription true",
    ]);
    expect(report.findings.find(({ kind }) => kind === "subscription")?.message).toMatch(
      /^subscription sub_\w+ was missing/,
    );
    // What that grants is there, and nothing of it comes twice with the events.
    billing.line.bend = null;
    await run({ since: daysLater(-2, clock) });
    await expectReconciled();
  });

  describe("of a customer who was deleted is found", () => {
    const available = async ({ owner, id: organizationId }: Tenant) =>
      (await callAs(owner, clock).credits.balance({ organizationId })).available;

    async function deleteCustomer(tenant: Tenant): Promise<void> {
      await billing.stripe.customers.del(await customerOf(tenant));
      await billing.settle();
    }

    async function paymentOf(tenant: Tenant): Promise<{ invoice: string; payment: string }> {
      const { latest_invoice } = await subscriptionOf(tenant);
      const invoice = latest_invoice as string;
      const { data } = await billing.stripe.invoicePayments.list({ invoice });
      return { invoice, payment: data[0]?.payment.payment_intent as string };
    }

    /** What a run by the objects alone finds of the organization and repairs: kinds. */
    async function foundOf(tenant: Tenant): Promise<string[]> {
      await billing.freshEvents();
      billing.line.bend = (path, answer) =>
        path.startsWith("/v1/events") ? { ...answer, data: [], has_more: false } : answer;
      const { findings } = await run({ since: daysLater(-2, clock) });
      const repaired = findings.filter((each) => each.organizationId === tenant.id && each.repaired);
      return repaired.map(({ kind }) => kind);
    }

    it("for a credit note by its invoice", async () => {
      const tenant = await subscribe("pro");
      await billing.settle();
      const { invoice } = await paymentOf(tenant);
      await deleteCustomer(tenant);
      await billing.stripe.creditNotes.create({ invoice, amount: 2450, out_of_band_amount: 2450 });
      expect(await foundOf(tenant)).toEqual(["credit_note"]);
      expect(await available(tenant)).toBe(3000);
    });

    it("for a refund by the invoice of its payment, of which nothing was told", async () => {
      const tenant = await subscribe("pro");
      const told = await billing.freshEvents();
      await billing.settle(told.filter(({ type }) => targetOf(type) !== "payment_intent"));
      const { payment } = await paymentOf(tenant);
      await deleteCustomer(tenant);
      await billing.stripe.refunds.create({ payment_intent: payment });
      expect(await foundOf(tenant)).toEqual(["payment"]);
      expect(await available(tenant)).toBe(0);
    });

    it("for an invoice by its subscription", async () => {
      const tenant = await subscribe("pro");
      await billing.settle();
      const { customer, items } = await subscriptionOf(tenant);
      await billing.endAll();
      const { latest_invoice } = await billing.stripe.subscriptions.create({
        ...{ customer: customer as string, items: [{ price: items.data[0]?.price.id ?? "" }] },
        ...{ collection_method: "send_invoice", days_until_due: 30 },
      });
      await billing.stripe.invoices.finalizeInvoice(latest_invoice as string);
      await billing.settle();
      await deleteCustomer(tenant);
      await billing.stripe.invoices.markUncollectible(latest_invoice as string);
      expect(await foundOf(tenant)).toEqual(["invoice"]);
    });

    it("for a checkout by our row of it, though there is another customer now", async () => {
      const tenant = await subscribe("pro");
      await billing.settle();
      await buy(tenant);
      await billing.freshEvents();
      await deleteCustomer(tenant);
      await callAs(tenant.owner, clock).creditProducts.checkout({
        organizationId: tenant.id,
        productId: packs.pack_2500 ?? "",
      });
      expect(await foundOf(tenant)).toEqual(["checkout"]);
      expect(await available(tenant)).toBe(6000 + 2500);
    });
  });

  it("is told without being changed by a dry run", async () => {
    const tenant = await subscribe("pro");
    await billing.freshEvents();
    const before = await writtenState();
    const [{ runs: runsBefore = 0 } = {}] = await billing.sql<{ runs: number }>(
      "SELECT count(*)::int AS runs FROM reconciliations",
    );
    const report = await run({ dryRun: true });
    expect(report.id).toBeNull();
    expect(report.repaired).toBe(0);
    expect(report.findings.map(({ kind }) => kind)).toContain("subscription");
    expect(report.findings.every(({ repaired }) => !repaired)).toBe(true);
    expect(await writtenState()).toEqual(before);
    const [{ runs = 0 } = {}] = await billing.sql<{ runs: number }>(
      "SELECT count(*)::int AS runs FROM reconciliations",
    );
    expect(runs).toBe(runsBefore);
    expect(await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id })).toBeNull();
    await run();
    expect(await callAs(tenant.owner, clock).subscription.get({ organizationId: tenant.id })).toMatchObject({
      status: "active",
    });
    await expectReconciled();
  });
});

describe("a run", () => {
  it("while webhooks flow grants nothing twice", async () => {
    const tenants = await Promise.all([subscribe("pro"), subscribe("starter"), subscribe("pro")]);
    for (const tenant of tenants) await buy(tenant);
    const events = await billing.freshEvents();
    await Promise.all([
      run({ pace: { ...QUICK, pageSize: 5 } }),
      billing.settle(events),
      billing.settle([...events].reverse()),
    ]);
    await run();
    await expectReconciled();
    for (const tenant of tenants) await expectLawfulLedger(billing.sql, tenant.id);
  });

  it("goes over the edges of pages, whatever their size", async () => {
    for (let index = 0; index < 4; index++) await buy(await subscribe("pro"), "pack_2500");
    await billing.freshEvents();
    await run({ pace: { ...QUICK, pageSize: 2 } });
    await expectReconciled();
    const { data, has_more } = await billing.stripe.events.list({ limit: 100 });
    expect(data).toHaveLength(100);
    expect(has_more).toBe(true);
  });

  it("waits where Stripe asks it to, and goes on", async () => {
    await subscribe("pro");
    await billing.freshEvents();
    let answers = 0;
    billing.line.bend = (_, answer) => {
      answers += 1;
      if (answers % 7 === 0) {
        billing.line.mode = "limited";
        setTimeout(() => {
          billing.line.mode = "up";
        }, 30);
      }
      return answer;
    };
    const report = await run({ pace: { ...QUICK, tries: 8 } });
    expect(report.drift).toBeGreaterThan(0);
    expect(answers).toBeGreaterThan(14);
    billing.line.bend = null;
    billing.line.mode = "up";
    await expectReconciled();
  });

  it("that is cut off is gone on with by the next one, from where it was", async () => {
    const tenants = [await subscribe("pro"), await subscribe("pro")];
    for (const tenant of tenants) await buy(tenant);
    await billing.freshEvents();
    // Each run gets a little further and dies; the next one takes up at the page where it was.
    const starts: string[] = [];
    let report: ReconciliationReport | null = null;
    for (let tries = 0; report === null; tries++) {
      expect(tries).toBeLessThan(200);
      let left = 25;
      billing.line.bend = (_, answer) => {
        left -= 1;
        if (left === 0) billing.line.mode = "limited";
        return answer;
      };
      const began: string[] = [];
      report = await run({
        pace: { ...QUICK, tries: 1, pageSize: 20 },
        onStage: (name) => void began.push(name),
      }).catch((error) => {
        expect(error).toMatchObject({ code: "STRIPE_UNAVAILABLE" });
        return null;
      });
      starts.push(began[0] ?? "");
      billing.line.mode = "up";
    }
    billing.line.bend = null;
    expect(report.resumed).toBe(true);
    // Forward, never back to the beginning.
    expect(starts.length).toBeGreaterThan(2);
    expect(starts[0]).toBe("undelivered events");
    expect(starts.slice(2)).not.toContain("undelivered events");
    const [row] = await billing.sql("SELECT status::text, error, lease_until FROM reconciliations WHERE id = $1", [
      report.id,
    ]);
    expect(row).toEqual({ status: "done", error: null, lease_until: null });
    const [counted] = await billing.sql<{ count: number }>(
      "SELECT count(*)::int AS count FROM reconciliation_findings WHERE reconciliation_id = $1",
      [report.id],
    );
    expect(counted?.count).toBe(report.drift);
    await expectReconciled();
  });

  it("runs alone; one whose process is dead is taken over, and the dead one writes nothing any more", async () => {
    await subscribe("pro");
    await billing.freshEvents();
    let wake = () => {};
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    // A process that freezes in the middle of an event.
    const frozen = reconcile(
      { cause: "frozen", since: null, now: minutesLater(10, clock), pace: QUICK },
      { take: () => asleep },
    );
    await expect
      .poll(async () => (await billing.sql("SELECT 1 FROM reconciliations WHERE status = 'running'")).length)
      .toBe(1);
    await expect(run()).rejects.toMatchObject({ code: "BUSY" });
    await billing.sql("UPDATE reconciliations SET lease_until = now() - interval '1 second' WHERE status = 'running'");
    const report = await run();
    expect(report.resumed).toBe(true);
    wake();
    await expect(frozen).rejects.toMatchObject({ code: "BUSY" });
    const [row] = await billing.sql("SELECT status::text FROM reconciliations WHERE id = $1", [report.id]);
    expect(row).toEqual({ status: "done" });
    await expectReconciled();
  });

  it("says how long it took", async () => {
    billing.line.delayMs = 20;
    const begun = performance.now();
    const { id } = await run();
    const took = performance.now() - begun;
    billing.line.delayMs = 0;
    const [row] = await billing.sql<{ begins: Date; ms: number }>(
      "SELECT started_at AS begins, extract(epoch FROM finished_at - started_at)::float8 * 1000 AS ms FROM reconciliations WHERE id = $1",
      [id],
    );
    expect(row?.begins).toEqual(minutesLater(10, clock));
    expect(row?.ms).toBeGreaterThan(20);
    expect(row?.ms).toBeLessThanOrEqual(Math.ceil(took));
  });

  it("finds nothing in an upgrade of the second in which its period began", async () => {
    const tenant = await subscribe("pro");
    const { id, items } = await subscriptionOf(tenant);
    const { data } = await billing.stripe.prices.list({ lookup_keys: ["billfold_plan_scale_month_usd"] });
    await billing.stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id ?? "", price: data[0]?.id ?? "" }],
      proration_behavior: "always_invoice",
    });
    await billing.settle();
    const lots = await billing.sql<{ lots: number }>(
      "SELECT count(*)::int AS lots FROM credit_grants WHERE organization_id = $1",
      [tenant.id],
    );
    expect(lots).toEqual([{ lots: 2 }]);
    await expectReconciled();
  });
});

describe("what a person has to decide", () => {
  it("is told once, as a finding and an alert, and not again while the alert is open", async () => {
    const tenant = await subscribe("pro");
    await billing.settle();
    const { customer, default_payment_method, items } = await subscriptionOf(tenant);
    const second = await billing.stripe.subscriptions.create({
      customer: customer as string,
      items: [{ price: items.data[0]?.price.id ?? "" }],
      default_payment_method: default_payment_method as string,
      metadata: { organizationId: tenant.id },
    });
    const stranger = await billing.stripe.customers.create({ name: "Nobody we know" });
    await billing.stripe.paymentMethods.attach("pm_card_visa", { customer: stranger.id });
    const methods = await billing.stripe.customers.listPaymentMethods(stranger.id);
    const strange = await billing.stripe.subscriptions.create({
      customer: stranger.id,
      items: [{ price: items.data[0]?.price.id ?? "" }],
      default_payment_method: methods.data[0]?.id ?? "",
    });
    // Known to nobody but the objects.
    billing.line.bend = (path, answer) =>
      path.startsWith("/v1/events") ? { ...answer, data: [], has_more: false } : answer;
    await billing.freshEvents();
    const report = await run({ since: daysLater(-1, clock) });
    const told = report.findings.map(({ kind, subject, repaired }) => ({ kind, subject, repaired }));
    expect(told).toContainEqual({ kind: "second_subscription", subject: second.id, repaired: false });
    expect(told).toContainEqual({ kind: "unknown_customer", subject: stranger.id, repaired: false });
    expect(await run({ since: daysLater(-1, clock) })).toMatchObject({ drift: 0, findings: [] });
    const alerts = await billing.sql(
      "SELECT kind FROM billing_alerts WHERE resolved_at IS NULL AND subject IN ($1, $2) ORDER BY kind",
      [second.id, stranger.id],
    );
    expect(alerts).toEqual([{ kind: "second_subscription" }, { kind: "unknown_customer" }]);
    billing.line.bend = null;
    for (const { id } of [second, strange]) await billing.stripe.subscriptions.cancel(id);
    await run({ since: daysLater(-1, clock) });
  });

  it("is a grant that nobody paid for, which is never taken back by itself", async () => {
    const tenant = await subscribe("pro");
    await billing.settle();
    const { grantOnce } = await import("~/server/billing/credits");
    const { toCredits } = await import("~/domain/credits");
    const { asPlatform } = await import("~/server/db");
    await asPlatform((tx) =>
      grantOnce(tx, {
        organizationId: tenant.id,
        businessKey: "checkout:cs_nobody",
        type: "purchase",
        lot: { source: "purchase", amount: toCredits(700), expiresAt: null, label: "?", stripeSessionId: "cs_nobody" },
        reason: "?",
        now: clock,
      }),
    );
    const report = await run();
    expect(report.findings).toEqual([
      {
        organizationId: tenant.id,
        kind: "grant_without_payment",
        subject: "cs_nobody",
        message: expect.stringContaining("700 credits were granted for cs_nobody, which is not paid at Stripe"),
        repaired: false,
      },
    ]);
    expect(await run()).toMatchObject({ drift: 0 });
    const { available } = await callAs(tenant.owner, clock).credits.balance({ organizationId: tenant.id });
    expect(available).toBe(6700);
  });
});

describe("our own rows", () => {
  it("that are right at Stripe's end and not here are put right: a lost slice, a lost claim, a lost customer", async () => {
    const tenant = await subscribe("pro", "year");
    await buy(tenant);
    await billing.settle();
    await billing.stripe.refunds.create({ payment_intent: await packPayment(tenant) });
    await billing.settle();
    await liveUntil(daysLater(40, clock));
    await billing.settle();
    const claimed = await billing.sql<{ to_take: string }>(
      "SELECT to_take FROM credit_grants WHERE organization_id = $1 AND source = 'purchase'",
      [tenant.id],
    );
    expect(claimed).toEqual([{ to_take: "2500" }]);
    const report = await run();
    const mine = report.findings.filter(({ organizationId }) => organizationId === tenant.id);
    expect(mine).toMatchObject([{ kind: "slice", repaired: true }]);
    await billing.stripe.customers.del(await customerOf(tenant));
    await billing.freshEvents();
    billing.line.bend = (path, answer) =>
      path.startsWith("/v1/events") ? { ...answer, data: [], has_more: false } : answer;
    const gone = await run();
    expect(gone.findings.map(({ organizationId }) => organizationId)).toContain(tenant.id);
    expect(await customerOf(tenant)).toBe("");
    expect(await run()).toMatchObject({ drift: 0 });
  });
});

describe("the platform", () => {
  it("asks for runs, lists them and reads what they found; nobody else does", async () => {
    const tenant = await subscribe("pro");
    await billing.freshEvents();
    const report = await run({ now: minutesLater(30, clock) });
    const platform = callAs(PLATFORM, clock).admin.reconciliation;
    const { items } = await platform.list({ limit: 2 });
    expect(items).toHaveLength(2);
    expect(items[0]).toMatchObject({ id: report.id, status: "done", cause: "test", stage: null, drift: report.drift });
    const whole = await platform.get({ reconciliationId: report.id ?? "" });
    expect(whole.findings).toHaveLength(report.drift);
    expect(whole.findings[0]).toMatchObject({ kind: "event", repaired: true });
    expect(await platform.run()).toEqual({ requested: true });
    const jobs = await billing.sql<{ payload: unknown }>(
      "SELECT j.payload FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id WHERE t.identifier = 'reconcile'",
    );
    expect(jobs).toEqual([{ payload: { cause: expect.stringContaining("asked for by"), since: null } }]);
    await expect(callAs(tenant.owner).admin.reconciliation.list()).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(platform.get({ reconciliationId: tenant.id })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("the command", () => {
  const ROOT = fileURLToPath(new URL("../..", import.meta.url));

  function command(...args: string[]): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, ["--import", "tsx", "src/cli/reconcile.ts", ...args], {
      cwd: ROOT,
      env: process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
  }

  it("says the drift as a number, and whether anything is left to do", async () => {
    await run({ since: daysLater(-40, clock) });
    const tenant = await subscribe("pro");
    await billing.freshEvents();
    const since = daysLater(-1, clock).toISOString();
    const { id } = await subscriptionOf(tenant);
    const dry = await command("--dry-run", "--since", since);
    expect(dry.output).toContain(`differs · subscription ${id} · subscription ${id} was missing; `);
    expect(dry.output).toMatch(/objects compared\. Drift: [1-9]\d* \(nothing was written\)\./);
    expect(dry.code).toBe(1);
    const repaired = await command("--since", since);
    expect(repaired.output).toMatch(/Drift: ([1-9]\d*) \(\1 repaired, 0 for a person\)\./);
    expect(repaired.code).toBe(0);
    const again = await command("--since", since);
    expect(again).toMatchObject({ code: 0, output: expect.stringContaining("Drift: 0 (0 repaired, 0 for a person).") });
    expect((await command("--since", "yesterday")).code).toBe(2);
  });
});
