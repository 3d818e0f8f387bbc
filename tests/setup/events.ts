// Stripe's events in tests: an organization that has something to be told of, what was stored, and all that came of it.
import type Stripe from "stripe";
import { expect } from "vitest";
import type { Person } from "~/server/auth/actor";
import { type Billing, callAs, readLedger } from "./billing";
import { createTenant } from "./tenancy";

export interface StoredEvent extends Record<string, unknown> {
  status: string;
  outcome: string | null;
  attempts: number;
  faults: number;
  deliveries: number;
  organization: string | null;
  next: Date | null;
}

export type Tenant = { id: string; slug: string; owner: Person };

export function only(events: Stripe.Event[], type: string): Stripe.Event {
  const event = events.find((candidate) => candidate.type === type);
  if (!event) throw new Error(`no ${type}`);
  return event;
}

/** @param billing is asked for when a test runs */
export function eventTools(billing: () => Billing) {
  async function stored(id: string): Promise<StoredEvent | null> {
    const [row] = await billing().sql<StoredEvent>(
      `SELECT status::text, outcome, attempts, faults, deliveries, organization_id AS organization, next_attempt_at AS next
       FROM stripe_events WHERE id = $1`,
      [id],
    );
    return row ?? null;
  }

  /** Open ones. */
  async function alerts(kind: string): Promise<{ subject: string; organization: string | null }[]> {
    return billing().sql(
      "SELECT subject, organization_id AS organization FROM billing_alerts WHERE kind = $1 AND resolved_at IS NULL",
      [kind],
    );
  }

  async function proPrice(): Promise<{ planId: string; stripePriceId: string }> {
    const plan = (await callAs(null).plans.list()).find(({ key }) => key === "pro");
    if (!plan) throw new Error("no plan");
    const [price] = await billing().sql<{ id: string }>(
      "SELECT stripe_price_id AS id FROM plan_prices WHERE plan_id = $1 AND interval = 'month' AND currency = 'usd'",
      [plan.id],
    );
    return { planId: plan.id, stripePriceId: price?.id ?? "" };
  }

  /** An organization that has just paid for Pro, and the events of it that nobody has delivered yet. */
  async function subscribed(): Promise<{ tenant: Tenant; events: Stripe.Event[] }> {
    const tenant = await createTenant();
    const { planId } = await proPrice();
    const { url } = await callAs(tenant.owner).subscription.checkout({
      organizationId: tenant.id,
      planId,
      interval: "month",
    });
    expect(await billing().pay(url)).toEqual({ status: "complete" });
    return { tenant, events: await billing().freshEvents() };
  }

  /** All that synchronization writes, without ids. */
  async function snapshot(organizationId: string) {
    const rows = (text: string) => billing().sql(text, [organizationId]);
    const { rows: ledger, balance } = await readLedger(billing().sql, organizationId);
    return {
      subscription: await rows(
        `SELECT s.status::text, s.interval::text, s.stripe_status, s.current_period_start, s.current_period_end, s.trial_end,
                s.cancels_at, s.ended_at, s.payment_method, s.next_invoice, s.started_at, p.key
         FROM organization_subscriptions s JOIN subscription_plans p ON p.id = s.plan_id WHERE s.organization_id = $1`,
      ),
      changes: await rows(
        `SELECT from_status::text, to_status::text, from_price_id, to_price_id FROM subscription_changes
         WHERE organization_id = $1 ORDER BY at, id`,
      ),
      grants: await rows(
        `SELECT source::text, amount::text, remaining::text, expires_at, label, plan_version FROM credit_grants
         WHERE organization_id = $1 ORDER BY amount`,
      ),
      periods: await rows(
        `SELECT period_start, period_end, trial, credits::text, slices, slices_granted, next_slice_at FROM allowance_periods
         WHERE organization_id = $1 ORDER BY period_start`,
      ),
      history: await rows(
        `SELECT kind::text, status, description, amount::text, tax::text, currency, occurred_at FROM billing_history
         WHERE organization_id = $1 ORDER BY occurred_at, kind`,
      ),
      checkouts: await rows(
        "SELECT kind::text, status::text, credits::text FROM checkout_sessions WHERE organization_id = $1",
      ),
      alerts: await rows(
        "SELECT kind, subject, resolved_at IS NULL AS open FROM billing_alerts WHERE organization_id = $1",
      ),
      ledger: ledger.map((row) => [row.type, row.amount, row.balanceAfter]),
      balance,
    };
  }

  return { stored, alerts, proPrice, subscribed, snapshot };
}
