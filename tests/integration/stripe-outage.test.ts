// An hour without Stripe: credits are spent, pages open, each action says so in time, webhooks are kept; afterwards everything
// catches up, each action once.
import { setTimeout as sleep } from "node:timers/promises";
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { withSyncLock } from "~/server/billing/sync-lock";
import { processEvent } from "~/server/webhooks/process";
import {
  addLot,
  type Billing,
  callAs,
  daysLater,
  deliver,
  openBilling,
  quietLogs,
  type StripeLine,
} from "../setup/billing";
import { serviceOf } from "../setup/callers";
import {
  chargedAmounts,
  createSubscriber,
  invoicesOf,
  type PlanKey,
  planIds,
  replaceCard,
  type Subscriber,
  type Tenant,
} from "../setup/subscribers";
import { codeOf, createTenant, minutesLater } from "../setup/tenancy";

let billing: Billing;
let plans: Record<PlanKey, string>;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  plans = await planIds();
});
afterAll(() => billing.close());
afterEach(() => restore());

function restore(): void {
  billing.line.mode = "up";
  billing.line.delayMs = 0;
}

const of = (tenant: Tenant) => ({ organizationId: tenant.id });

/** Organizations in each state that an action needs, made before the line is cut. */
interface Cast {
  fresh: Tenant;
  pro: Subscriber;
  scale: Subscriber;
  scheduled: Subscriber;
  cancelled: Subscriber;
  running: Subscriber;
  paused: Subscriber;
  owing: Subscriber;
  leaving: Subscriber;
}

interface Deed {
  who: keyof Cast;
  act(tenant: Tenant, cast: Cast): Promise<unknown>;
}

async function castOf(): Promise<{ cast: Cast; tokens: Record<"up" | "down", string>; invoiceId: string }> {
  const [pro, scale, scheduled, cancelled, running, paused, owing, leaving] = [
    await createSubscriber(billing),
    await createSubscriber(billing, { plan: "scale" }),
    await createSubscriber(billing, { plan: "scale" }),
    await createSubscriber(billing),
    await createSubscriber(billing),
    await createSubscriber(billing),
    await createSubscriber(billing),
    await createSubscriber(billing),
  ];
  const cast: Cast = { fresh: await createTenant(), pro, scale, scheduled, cancelled, running, paused, owing, leaving };
  const api = (tenant: Tenant) => callAs(tenant.owner).subscription;
  const preview = (tenant: Tenant, plan: PlanKey) =>
    api(tenant).previewChange({ ...of(tenant), planId: plans[plan], interval: "month" });
  const change = async (tenant: Tenant, plan: PlanKey) => {
    const { token } = await preview(tenant, plan);
    return api(tenant).change({ ...of(tenant), planId: plans[plan], interval: "month", token });
  };
  await change(scheduled, "pro");
  await api(cancelled).cancel({ ...of(cancelled), at: "period_end" });
  await api(paused).pause(of(paused));
  await replaceCard(billing, owing, "pm_card_chargeCustomerFail");
  await change(owing, "scale");
  await replaceCard(billing, owing, "pm_card_visa");
  const invoiceId = (await api(owing).get(of(owing)))?.openInvoice?.id ?? "";
  const tokens = { up: (await preview(pro, "scale")).token, down: (await preview(scale, "pro")).token };
  await billing.settle();
  return { cast, tokens, invoiceId };
}

function deedsOf(tokens: Record<"up" | "down", string>, invoiceId: string): Record<string, Deed> {
  const api = (tenant: Tenant) => callAs(tenant.owner, minutesLater(20)).subscription;
  return {
    checkout: {
      who: "fresh",
      act: (tenant) => api(tenant).checkout({ ...of(tenant), planId: plans.pro, interval: "month" }),
    },
    previewChange: {
      who: "pro",
      act: (tenant) => api(tenant).previewChange({ ...of(tenant), planId: plans.scale, interval: "month" }),
    },
    "change, up": {
      who: "pro",
      act: (tenant) => api(tenant).change({ ...of(tenant), planId: plans.scale, interval: "month", token: tokens.up }),
    },
    "change, down": {
      who: "scale",
      act: (tenant) => api(tenant).change({ ...of(tenant), planId: plans.pro, interval: "month", token: tokens.down }),
    },
    undoChange: { who: "scheduled", act: (tenant) => api(tenant).undoChange(of(tenant)) },
    "cancel, now": { who: "leaving", act: (tenant) => api(tenant).cancel({ ...of(tenant), at: "now" }) },
    "cancel, later": { who: "running", act: (tenant) => api(tenant).cancel({ ...of(tenant), at: "period_end" }) },
    undoCancel: { who: "cancelled", act: (tenant) => api(tenant).undoCancel(of(tenant)) },
    resume: { who: "paused", act: (tenant) => api(tenant).resume(of(tenant)) },
    portal: { who: "running", act: (tenant) => api(tenant).portal(of(tenant)) },
    payInvoice: {
      who: "owing",
      act: (tenant) => callAs(tenant.owner, minutesLater(20)).billing.payInvoice({ ...of(tenant), invoiceId }),
    },
  };
}

/** Rows of everything that an action writes here. */
const rowsHere = () =>
  billing.sql(
    `SELECT 'session' AS what, id::text, status::text AS state FROM checkout_sessions
     UNION ALL SELECT 'subscription', id::text, concat_ws(' ', status, price_id, cancels_at, resumes_at, scheduled_change, pending_change) FROM organization_subscriptions
     UNION ALL SELECT 'customer', id::text, stripe_customer_id FROM organizations
     UNION ALL SELECT 'row', id::text, seq::text FROM credit_transactions
     UNION ALL SELECT 'alert', id::text, kind FROM billing_alerts
     ORDER BY 1, 2`,
  );

interface Said {
  code: string;
  ms: number;
}

async function sayOf(call: () => Promise<unknown>): Promise<Said> {
  const began = performance.now();
  const code = await call().then(() => "ok", codeOf);
  return { code, ms: performance.now() - began };
}

// The deadline is four and a half seconds; twice that, because no test fails where only the machine is slow.
const MOST_MS = 9_000;

describe("while Stripe cannot be reached", () => {
  let cast: Cast;
  let deeds: Record<string, Deed>;
  let kept: Stripe.Event[];
  beforeAll(async () => {
    const made = await castOf();
    cast = made.cast;
    deeds = deedsOf(made.tokens, made.invoiceId);
    await addLot({ organizationId: cast.pro.id, amount: 100 });
  });

  it.each(["fails", "silent", "limited", "reset", "html"] satisfies StripeLine["mode"][])(
    "each action says so within five seconds (%s), and nothing is half done",
    async (mode) => {
      const before = await rowsHere();
      billing.line.mode = mode;
      const said = await Promise.all(
        Object.entries(deeds).map(
          async ([name, { who, act }]) => [name, await sayOf(() => act(cast[who], cast))] as const,
        ),
      );
      for (const [name, { code, ms }] of said) {
        // Two of one organization wait for each other; the second may hear that.
        expect(["STRIPE_UNAVAILABLE", "BUSY"], name).toContain(code);
        expect(ms, name).toBeLessThan(MOST_MS);
      }
      expect(said.filter(([, { code }]) => code === "BUSY").length).toBeLessThanOrEqual(1);
      restore();
      expect(await rowsHere()).toEqual(before);
    },
  );

  it("credits are spent, and every page's questions are answered, in no time", async () => {
    billing.line.mode = "silent";
    const asked = billing.line.calls.length;
    const { pro: tenant } = cast;
    const now = minutesLater(30);
    const service = callAs(serviceOf(tenant.id), now);
    const usage = { ...of(tenant), eventName: "api_call_basic", quantity: 1 };
    expect((await service.credits.consume({ ...usage, idempotencyKey: "in the outage" })).consumed).toBe(1);
    const api = callAs(tenant.owner, now);
    const began = performance.now();
    await Promise.all([
      api.subscription.get(of(tenant)),
      api.billing.summary(of(tenant)),
      api.billing.concerns(of(tenant)),
      api.billing.history(of(tenant)),
      api.credits.balance(of(tenant)),
      api.credits.check(usage),
      api.credits.transactions(of(tenant)),
      api.credits.grants(of(tenant)),
      api.credits.statement({ ...of(tenant), from: daysLater(-1), to: now }),
      api.plans.list(),
      api.creditProducts.list(),
      api.creditEvents.list(of(tenant)),
      api.gifts.list(of(tenant)),
      api.budgets.list(of(tenant)),
      api.members.list(of(tenant)),
    ]);
    expect(performance.now() - began).toBeLessThan(MOST_MS);
    expect(billing.line.calls).toHaveLength(asked);
  });

  it("webhooks are kept, and tried again", async () => {
    const { running } = cast;
    await billing.stripe.subscriptions.update(running.subscription, { metadata: { note: "in the outage" } });
    kept = await billing.freshEvents();
    expect(kept.map(({ type }) => type)).toEqual(["customer.subscription.updated"]);
    billing.line.mode = "fails";
    for (const event of kept) {
      expect((await deliver(event, minutesLater(30))).status).toBe(200);
      await processEvent(event.id, minutesLater(30));
    }
    const rows = await billing.sql("SELECT status::text FROM stripe_events WHERE id = ANY($1)", [
      kept.map(({ id }) => id),
    ]);
    expect(rows).toEqual([{ status: "failed" }]);
  });

  it("afterwards each action is done, once, and what was kept is processed", async () => {
    for (const { id } of kept) await processEvent(id, minutesLater(90));
    const rows = await billing.sql("SELECT status::text FROM stripe_events WHERE id = ANY($1)", [
      kept.map(({ id }) => id),
    ]);
    expect(rows).toEqual([{ status: "done" }]);
    for (const [name, { who, act }] of Object.entries(deeds)) {
      expect(await sayOf(() => act(cast[who], cast)), name).toMatchObject({ code: "ok" });
      if (name.startsWith("previewChange")) continue;
      expect(await sayOf(() => act(cast[who], cast)), `${name}, again`).toMatchObject({ code: "ok" });
    }
    const get = (tenant: Tenant) => callAs(tenant.owner, minutesLater(21)).subscription.get(of(tenant));
    expect(await get(cast.pro)).toMatchObject({ planKey: "scale" });
    expect(await chargedAmounts(billing, cast.pro)).toEqual([4_900, 10_000]);
    expect(await get(cast.scale)).toMatchObject({ planKey: "scale", scheduledChange: { planKey: "pro" } });
    expect(await get(cast.scheduled)).toMatchObject({ planKey: "scale", scheduledChange: null });
    expect(await get(cast.leaving)).toMatchObject({ status: "cancelled" });
    expect((await get(cast.running))?.cancelsAt).toEqual(new Date("2026-04-10T09:30:00Z"));
    expect((await get(cast.cancelled))?.cancelsAt).toBeNull();
    expect(await get(cast.paused)).toMatchObject({ status: "active" });
    expect(await get(cast.owing)).toMatchObject({ planKey: "scale", pendingChange: null });
    expect(await chargedAmounts(billing, cast.owing)).toEqual([4_900, 10_000]);
    const customers = (await billing.stripe.customers.list({ limit: 100 })).data;
    expect(customers.filter(({ metadata }) => metadata.organizationId === cast.fresh.id)).toHaveLength(1);
    const sessions = await billing.sql("SELECT status::text FROM checkout_sessions WHERE organization_id = $1", [
      cast.fresh.id,
    ]);
    expect(sessions).toEqual([{ status: "open" }]);
  });
});

describe("while each answer takes 1.7 seconds", () => {
  it("each action answers within five, and what had begun is there afterwards, once", async () => {
    const { cast, tokens, invoiceId } = await castOf();
    const deeds = deedsOf(tokens, invoiceId);
    billing.line.delayMs = 1_700;
    const said = await Promise.all(
      Object.entries(deeds).map(
        async ([name, { who, act }]) => [name, await sayOf(() => act(cast[who], cast))] as const,
      ),
    );
    for (const [name, { code, ms }] of said) {
      // What asks Stripe only once or twice may come to its end.
      expect(["STRIPE_UNAVAILABLE", "BUSY", ...(/portal|preview/.test(name) ? ["ok"] : [])], name).toContain(code);
      expect(ms, name).toBeLessThan(MOST_MS);
    }
    restore();
    // The change that is previewed was done behind, or is being done.
    delete deeds.previewChange;
    for (const [name, { who, act }] of Object.entries(deeds)) {
      // What goes on behind holds the lock for some seconds.
      await expect.poll(async () => (await sayOf(() => act(cast[who], cast))).code, { timeout: 40_000 }).toBe("ok");
      if (name === "change, up") expect(await chargedAmounts(billing, cast.pro)).toEqual([4_900, 10_000]);
      if (name === "payInvoice") expect(await chargedAmounts(billing, cast.owing)).toEqual([4_900, 10_000]);
    }
    expect((await invoicesOf(billing, cast.pro)).map(({ status }) => status)).toEqual(["paid", "paid"]);
    const schedules = await billing.stripe.subscriptionSchedules.list({ customer: cast.scale.customer });
    expect(schedules.data).toHaveLength(1);
  });

  it("what was said not to be done is not done behind", async () => {
    const tenant = await createSubscriber(billing);
    const busy = withSyncLock(tenant.id, { waitMs: 0 }, () => sleep(3_500));
    billing.line.delayMs = 1_700;
    const failure = callAs(tenant.owner).subscription.cancel({ ...of(tenant), at: "period_end" });
    await expect(failure).rejects.toMatchObject({
      cause: { code: "STRIPE_UNAVAILABLE", details: { retryable: true } },
      message: expect.stringContaining("Nothing was changed"),
    });
    await busy;
    await sleep(2_500);
    restore();
    expect(await billing.stripe.subscriptions.retrieve(tenant.subscription)).toMatchObject({
      cancel_at_period_end: false,
    });
  });
});
