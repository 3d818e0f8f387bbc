// The life of subscriptions in tests, by Stripe's clock: what happens there, what arrives of it, and what our rows say then.
import type Stripe from "stripe";
import { expect } from "vitest";
import { type Billing, callAs, daysLater, openBilling, quietLogs } from "./billing";
import { createTenant, NOW } from "./tenancy";

export type Tenant = Awaited<ReturnType<typeof createTenant>>;

/** The row of a subscription, with what tests look at. */
export interface SubscriptionRow {
  id: string;
  status: string;
  plan: string;
  currentPeriodStart: Date;
  currentPeriodEnd: Date;
  cancelsAt: Date | null;
  endedAt: Date | null;
  pastDueSince: Date | null;
  resumesAt: Date | null;
  scheduleId: string | null;
  scheduledChange: { priceId: string; planId: string; at: string } | null;
  pendingChange: { priceId: string; planId: string; expiresAt: string; invoiceId: string | null } | null;
  openInvoice: {
    id: string;
    amount: number;
    currency: string;
    url: string | null;
    nextAttemptAt: string | null;
  } | null;
  nextInvoice: { at: string; amount: number; tax: number; currency: string } | null;
}

/** Everything of a test file, with Stripe's clock at `NOW`; it only goes forward, through all tests of the file. */
export async function openLife() {
  quietLogs();
  const billing: Billing = await openBilling();
  const { stripe, sql } = billing;
  let clock = NOW;
  let spent = 0;
  let touched = 0;
  const plans: Record<string, string> = {};
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;

  /** Lets time pass at Stripe. @returns what happened there, which it tells of for thirty days only */
  async function passUntil(at: Date): Promise<Stripe.Event[]> {
    const events: Stripe.Event[] = [];
    while (clock < at) {
      clock = new Date(Math.min(daysLater(25, clock).getTime(), at.getTime()));
      await billing.setClock(clock);
      events.push(...(await billing.freshEvents()));
    }
    return events;
  }

  /** The same; what happened arrives, each thing at its own instant. */
  async function liveUntil(at: Date): Promise<Stripe.Event[]> {
    const events = await passUntil(at);
    await billing.settle(events);
    return events;
  }

  /** A checkout that is paid; nothing of it has arrived yet. */
  async function buy(tenant: Tenant, plan: string, interval: "month" | "year" = "month"): Promise<void> {
    const { url } = await callAs(tenant.owner, clock).subscription.checkout({
      organizationId: tenant.id,
      planId: plans[plan] ?? "",
      interval,
    });
    expect(await billing.pay(url)).toEqual({ status: "complete" });
  }

  async function subscribe(plan: string, change: { interval?: "month" | "year"; tenant?: Tenant } = {}) {
    const tenant = change.tenant ?? (await createTenant());
    await buy(tenant, plan, change.interval);
    await billing.settle();
    return tenant;
  }

  /** The organization's subscriptions, oldest first. */
  function rowsOf(tenant: Tenant): Promise<SubscriptionRow[]> {
    return sql<SubscriptionRow>(
      `SELECT s.stripe_subscription_id AS id, s.status::text, p.key AS plan, s.current_period_start AS "currentPeriodStart",
              s.current_period_end AS "currentPeriodEnd", s.cancels_at AS "cancelsAt", s.ended_at AS "endedAt",
              s.past_due_since AS "pastDueSince", s.resumes_at AS "resumesAt", s.stripe_schedule_id AS "scheduleId",
              s.scheduled_change AS "scheduledChange", s.pending_change AS "pendingChange", s.open_invoice AS "openInvoice",
              s.next_invoice AS "nextInvoice"
       FROM organization_subscriptions s JOIN subscription_plans p ON p.id = s.plan_id
       WHERE s.organization_id = $1 ORDER BY s.started_at, s.id`,
      [tenant.id],
    );
  }

  async function rowOf(tenant: Tenant): Promise<SubscriptionRow> {
    const row = (await rowsOf(tenant)).at(-1);
    if (!row) throw new Error("the organization has no subscription");
    return row;
  }

  async function customerOf(tenant: Tenant): Promise<string | null> {
    const [row] = await sql<{ id: string | null }>("SELECT stripe_customer_id AS id FROM organizations WHERE id = $1", [
      tenant.id,
    ]);
    return row?.id ?? null;
  }

  async function priceOf(plan: string, interval = "month"): Promise<{ id: string; planId: string; stripeId: string }> {
    const [row] = await sql<{ id: string; stripeId: string }>(
      `SELECT id, stripe_price_id AS "stripeId" FROM plan_prices
       WHERE plan_id = $1 AND interval = $2::billing_interval AND currency = 'usd' AND active`,
      [plans[plan], interval],
    );
    if (!row) throw new Error(`no price of ${plan}`);
    return { ...row, planId: plans[plan] ?? "" };
  }

  /** Changes the plan's price at Stripe. */
  async function changePlan(
    tenant: Tenant,
    plan: string,
    change: Stripe.SubscriptionUpdateParams = { proration_behavior: "always_invoice" },
    interval = "month",
  ): Promise<Stripe.Subscription> {
    const { id } = await rowOf(tenant);
    const { items } = await stripe.subscriptions.retrieve(id);
    const { stripeId } = await priceOf(plan, interval);
    return stripe.subscriptions.update(id, { items: [{ id: items.data[0]?.id ?? "", price: stripeId }], ...change });
  }

  /** Another subscription of the organization's customer, as made in the dashboard. */
  async function subscribeInDashboard(
    tenant: Tenant,
    plan: string,
    change: Partial<Stripe.SubscriptionCreateParams> = {},
  ): Promise<string> {
    const { stripeId } = await priceOf(plan);
    const customer = (await customerOf(tenant)) ?? "";
    const [method] = (await stripe.customers.listPaymentMethods(customer)).data;
    const { id } = await stripe.subscriptions.create({
      customer,
      items: [{ price: stripeId }],
      ...(method ? { default_payment_method: method.id } : {}),
      ...change,
    });
    return id;
  }

  /** From now on every charge of the subscription fails, or succeeds again. */
  async function changeCard(tenant: Tenant, card: "pm_card_chargeCustomerFail" | "pm_card_visa"): Promise<void> {
    const { id } = await rowOf(tenant);
    const method = await stripe.paymentMethods.attach(card, { customer: (await customerOf(tenant)) ?? "" });
    await stripe.subscriptions.update(id, { default_payment_method: method.id });
    await billing.settle();
  }

  /** Credits that were granted, in order. */
  async function grantsOf(tenant: Tenant): Promise<number[]> {
    const rows = await sql<{ amount: number }>(
      "SELECT amount::int FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id",
      [tenant.id],
    );
    return rows.map(({ amount }) => amount);
  }

  async function availableOf({ id: organizationId, owner }: Tenant): Promise<number> {
    return (await callAs(owner, clock).credits.balance({ organizationId })).available;
  }

  async function debtOf(tenant: Tenant): Promise<number> {
    const [row] = await sql<{ debt: number }>("SELECT debt::int FROM credit_accounts WHERE organization_id = $1", [
      tenant.id,
    ]);
    return row?.debt ?? 0;
  }

  /** Spends credits, one for each call of the event. */
  function spend({ id: organizationId, owner }: Tenant, quantity: number) {
    const idempotencyKey = `spend-${++spent}`;
    return callAs(owner, clock).credits.consume({
      ...{ organizationId, eventName: "api_call_basic", quantity, idempotencyKey },
    });
  }

  /** The customer's newest invoice. */
  async function newestInvoice(tenant: Tenant): Promise<Stripe.Invoice> {
    const customer = (await customerOf(tenant)) ?? "";
    const { data } = await stripe.invoices.list({ customer, limit: 1, expand: ["data.payments"] });
    if (!data[0]) throw new Error("no invoice");
    return data[0];
  }

  /** Something happens to the subscription at Stripe that is nothing to us, so that we look again. */
  async function touch(tenant: Tenant): Promise<void> {
    const { id } = await rowOf(tenant);
    await stripe.subscriptions.update(id, { metadata: { touched: String(++touched) } });
    await billing.settle();
  }

  /** Open alerts. */
  function alertsOf(tenant: Tenant | null): Promise<{ kind: string; subject: string }[]> {
    return sql(
      `SELECT kind, subject FROM billing_alerts
       WHERE organization_id IS NOT DISTINCT FROM $1 AND resolved_at IS NULL ORDER BY created_at, subject`,
      [tenant?.id ?? null],
    );
  }

  /** Lines of history, newest first. */
  async function historyOf(tenant: Tenant) {
    const { items } = await callAs(tenant.owner, clock).billing.history({ organizationId: tenant.id, limit: 100 });
    return items.map(({ kind, status, amount, tax, currency, description }) => ({
      ...{ kind, status, amount, tax, currency, description },
    }));
  }

  /** What became of events, by their ids. */
  async function statusesOf(events: readonly Stripe.Event[]): Promise<Set<string>> {
    const rows = await sql<{ status: string }>("SELECT status::text FROM stripe_events WHERE id = ANY($1)", [
      events.map(({ id }) => id),
    ]);
    return new Set(rows.map(({ status }) => status));
  }

  /** For `afterEach`: nobody else's renewals in the next test. */
  async function tidy(): Promise<void> {
    billing.line.mode = "up";
    billing.line.bend = null;
    await billing.settle(await billing.endAll());
  }

  return {
    ...{ billing, stripe, sql, plans, now: () => clock, passUntil, liveUntil, tidy },
    ...{ buy, subscribe, subscribeInDashboard, changePlan, changeCard },
    ...{ spend, touch, rowsOf, rowOf, customerOf, priceOf, grantsOf, availableOf, debtOf, newestInvoice },
    ...{ alertsOf, historyOf, statusesOf },
  };
}

export type Life = Awaited<ReturnType<typeof openLife>>;
