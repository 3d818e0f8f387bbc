// Organizations that live whole lives, each by a test clock of its own at Stripe: what happens to one, and when, is nothing to the
// others of the file.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type Stripe from "stripe";
import { expect } from "vitest";
import type { Person } from "~/server/auth/actor";
import { LISTENED_EVENTS } from "~/server/stripe/events";
import {
  callAs,
  daysLater,
  deliver,
  expectLawfulLedger,
  makeEvent,
  openBilling,
  quietLogs,
  sessionOf,
} from "./billing";
import { createTenant, NOW } from "./tenancy";

export type Interval = "month" | "year";

/** The row of a subscription, with what tests look at. */
export interface SubscriptionRow {
  id: string;
  plan: string;
  status: string;
  interval: Interval;
  start: Date;
  end: Date;
  trialEnd: Date | null;
  cancelsAt: Date | null;
  endedAt: Date | null;
  pastDueSince: Date | null;
  scheduledChange: { planId: string; at: string } | null;
  openInvoice: { id: string; amount: number } | null;
}

export interface Lot {
  amount: number;
  remaining: number;
  source: string;
  expires: Date | null;
  label: string;
}

export interface Purchase {
  session: string;
  /** The payment intent; empty where nothing was to be paid. */
  payment: string;
}

/** An endpoint of the sandbox's for the events that ours is registered for: it keeps them until somebody hands them on. */
export async function openCollector(stripe: Stripe, sandboxUrl: string, apiVersion?: string) {
  let taken: Stripe.Event[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    taken.push(JSON.parse(Buffer.concat(chunks).toString("utf8")) as Stripe.Event);
    response.writeHead(200).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { id } = await stripe.webhookEndpoints.create({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    enabled_events: Object.keys(LISTENED_EVENTS) as (keyof typeof LISTENED_EVENTS)[],
    ...(apiVersion ? { api_version: apiVersion as Stripe.WebhookEndpointCreateParams.ApiVersion } : {}),
  });
  return {
    id,
    /** What was delivered since the last call, in the order of its instants, once nothing is on its way any more. */
    async drain(): Promise<Stripe.Event[]> {
      for (;;) {
        const answer = await fetch(`${sandboxUrl}/_sandbox/deliveries?state=pending&limit=1`);
        const { pending } = (await answer.json()) as { pending: number };
        if (pending === 0) break;
        await sleep(2);
      }
      const events = taken.sort((a, b) => a.created - b.created);
      taken = [];
      return events;
    },
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

const CARDS = { good: "pm_card_visa", broken: "pm_card_chargeCustomerFail" } as const;

/** Billing for a test file, and its companies. */
export async function openCompanies(extra: Record<string, string> = {}) {
  quietLogs();
  const billing = await openBilling(extra);
  const { stripe, sql } = billing;
  const plans: Record<string, string> = {};
  const packs: Record<string, string> = {};
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;
  for (const { key, id } of await callAs(null).creditProducts.list()) packs[key] = id;
  const collector = await openCollector(stripe, billing.sandbox.url);
  const freshEvents = collector.drain;
  let takes = 0;

  /** What the world's clocks have told, or these. */
  const settle = async (events?: readonly Stripe.Event[], at?: Date) =>
    billing.settle(events ?? (await freshEvents()), at);

  /** What banks do, and what is done by hand in the sandbox. */
  async function bank<T = Stripe.Dispute>(path: string, body: unknown = {}): Promise<T> {
    const answer = await fetch(`${billing.sandbox.url}/_sandbox/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** Stripe's id of a plan's price for sale. */
  async function priceOf(plan: string, interval: Interval = "month", currency = "usd"): Promise<string> {
    const [row] = await sql<{ id: string }>(
      `SELECT r.stripe_price_id AS id FROM plan_prices r JOIN subscription_plans p ON p.id = r.plan_id
       WHERE p.key = $1 AND r.interval = $2::billing_interval AND r.currency = $3 AND r.active`,
      [plan, interval, currency],
    );
    if (!row) throw new Error(`no price of ${plan}`);
    return row.id;
  }

  /** Stripe's id of a pack's price for sale. */
  async function packPriceOf(pack: string, currency = "usd"): Promise<string> {
    const [row] = await sql<{ id: string }>(
      `SELECT r.stripe_price_id AS id FROM credit_product_prices r JOIN credit_products p ON p.id = r.product_id
       WHERE p.key = $1 AND r.currency = $2 AND r.active`,
      [pack, currency],
    );
    if (!row) throw new Error(`no price of ${pack}`);
    return row.id;
  }

  class Company {
    now: Date;

    constructor(
      readonly id: string,
      readonly slug: string,
      readonly owner: Person,
      /** Stripe's customer; empty before there is one. */
      readonly customer: string,
      private readonly clock: string | null,
      begins: Date,
    ) {
      this.now = begins;
    }

    get api() {
      return callAs(this.owner, this.now);
    }

    get self() {
      return { organizationId: this.id };
    }

    // ── What it does ─────────────────────────────────────────────────────────────────────────────────────────

    /** The page of a checkout. */
    async offer(plan: string, interval: Interval = "month", currency?: string): Promise<string> {
      const choice = { planId: plans[plan] ?? "", interval, ...(currency ? { currency } : {}) };
      return (await this.api.subscription.checkout({ ...this.self, ...choice })).url;
    }

    /** A checkout that is paid, of which nothing was told yet. */
    async checkOut(plan: string, interval: Interval = "month"): Promise<this> {
      expect(await billing.pay(await this.offer(plan, interval))).toEqual({ status: "complete" });
      return this;
    }

    async subscribe(plan: string, interval: Interval = "month"): Promise<this> {
      await this.checkOut(plan, interval);
      await settle();
      return this;
    }

    async packOffer(pack = "pack_10000", currency?: string): Promise<string> {
      const choice = { productId: packs[pack] ?? "", ...(currency ? { currency } : {}) };
      return (await this.api.creditProducts.checkout({ ...this.self, ...choice })).url;
    }

    /** A pack that is paid, of which nothing was told yet. */
    async payPack(pack = "pack_10000", card?: string): Promise<Purchase> {
      const url = await this.packOffer(pack);
      expect(await billing.pay(url, card)).toEqual({ status: "complete" });
      const session = await stripe.checkout.sessions.retrieve(sessionOf(url));
      return { session: session.id, payment: String(session.payment_intent ?? "") };
    }

    async buy(pack = "pack_10000", card?: string): Promise<Purchase> {
      const purchase = await this.payPack(pack, card);
      await settle();
      return purchase;
    }

    /** A subscription made past our app, as in the dashboard. */
    async subscribeByHand(
      plan: string,
      change: Partial<Stripe.SubscriptionCreateParams> = {},
    ): Promise<Stripe.Subscription> {
      return stripe.subscriptions.create({
        customer: this.customer,
        items: [{ price: await priceOf(plan) }],
        default_payment_method: await this.card("good"),
        ...change,
      });
    }

    /** Another card. @returns its id */
    async card(kind: keyof typeof CARDS): Promise<string> {
      return (await stripe.paymentMethods.attach(CARDS[kind], { customer: this.customer })).id;
    }

    /** Has a card pay the subscription from now on. */
    async payBy(kind: keyof typeof CARDS): Promise<void> {
      await stripe.subscriptions.update((await this.row()).id, { default_payment_method: await this.card(kind) });
    }

    /** Changes the plan's price at Stripe, as the portal does. */
    async switchTo(
      plan: string,
      change: Partial<Stripe.SubscriptionUpdateParams> = { proration_behavior: "always_invoice" },
      interval: Interval = "month",
    ): Promise<Stripe.Subscription> {
      const { id } = await this.row();
      const { items } = await stripe.subscriptions.retrieve(id);
      const item = { id: items.data[0]?.id ?? "", price: await priceOf(plan, interval) };
      return stripe.subscriptions.update(id, { items: [item], ...change });
    }

    async spend(quantity: number): Promise<void> {
      const use = { eventName: "api_call_basic", quantity, idempotencyKey: `spend-${++takes}` };
      await this.api.credits.consume({ ...this.self, ...use });
    }

    /** Lets time pass for it. @returns what happened, of which nothing was told yet */
    async pass(until: Date): Promise<Stripe.Event[]> {
      const events: Stripe.Event[] = await freshEvents();
      while (this.now < until) {
        this.now = new Date(Math.min(daysLater(25, this.now).getTime(), until.getTime()));
        if (!this.clock) throw new Error("a company without a clock stands still");
        await stripe.testHelpers.testClocks.advance(this.clock, { frozen_time: this.now.getTime() / 1000 });
        events.push(...(await freshEvents()));
      }
      return events;
    }

    /** The same; all of it is told, each thing at its instant. */
    async live(until: Date): Promise<Stripe.Event[]> {
      const events = await this.pass(until);
      await settle(events);
      return events;
    }

    /** Lives until the invoice of the next period has been collected. */
    async renew(): Promise<Stripe.Event[]> {
      return this.live(daysLater(0.1, (await this.row()).end));
    }

    // ── What there is of it ──────────────────────────────────────────────────────────────────────────────────

    /** Subscriptions, oldest first. */
    rows(): Promise<SubscriptionRow[]> {
      return sql<SubscriptionRow>(
        `SELECT s.stripe_subscription_id AS id, p.key AS plan, s.status::text, s.interval::text,
                s.current_period_start AS start, s.current_period_end AS end, s.trial_end AS "trialEnd",
                s.cancels_at AS "cancelsAt", s.ended_at AS "endedAt", s.past_due_since AS "pastDueSince",
                s.scheduled_change AS "scheduledChange", s.open_invoice AS "openInvoice"
         FROM organization_subscriptions s JOIN subscription_plans p ON p.id = s.plan_id
         WHERE s.organization_id = $1 ORDER BY s.started_at, s.id`,
        [this.id],
      );
    }

    async row(): Promise<SubscriptionRow> {
      const row = (await this.rows()).at(-1);
      if (!row) throw new Error("there is no subscription");
      return row;
    }

    /** Each subscription's plan and status, oldest first. */
    async standing(): Promise<string[]> {
      return (await this.rows()).map(({ plan, status }) => `${plan} ${status}`);
    }

    /** Lots in the order in which they were granted. */
    lots(): Promise<Lot[]> {
      return sql<Lot>(
        `SELECT amount::float8, remaining::float8, source::text, expires_at AS expires, label
         FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id`,
        [this.id],
      );
    }

    async grants(): Promise<number[]> {
      return (await this.lots()).map(({ amount }) => amount);
    }

    /** What can be spent, what is set aside or frozen, and what is owed. */
    async credits(at = this.now) {
      const { available, held, debt } = await callAs(this.owner, at).credits.balance(this.self);
      return { available, held, debt };
    }

    async available(at = this.now): Promise<number> {
      return (await this.credits(at)).available;
    }

    /** Lines of history, newest first: `kind status amount`. */
    async history(): Promise<string[]> {
      const { items } = await this.api.billing.history({ ...this.self, limit: 100 });
      return items.map(({ kind, status, amount }) => `${kind} ${status} ${amount}`);
    }

    /** Kinds of open alerts. */
    async alerts(): Promise<string[]> {
      const rows = await sql<{ kind: string }>(
        "SELECT kind FROM billing_alerts WHERE organization_id = $1 AND resolved_at IS NULL ORDER BY created_at, kind",
        [this.id],
      );
      return rows.map(({ kind }) => kind);
    }

    /** How its subscriptions changed: `from → to`. */
    async changes(): Promise<string[]> {
      const rows = await sql<{ change: string }>(
        `SELECT coalesce(from_status::text, 'nothing') || ' → ' || to_status::text AS change FROM subscription_changes
         WHERE organization_id = $1 AND from_status IS DISTINCT FROM to_status ORDER BY at, id`,
        [this.id],
      );
      return rows.map(({ change }) => change);
    }

    /** Open and paid invoices at Stripe and all others, newest first. */
    async invoices(): Promise<Stripe.Invoice[]> {
      return (await stripe.invoices.list({ customer: this.customer, limit: 100 })).data;
    }

    /** Stripe's payment of an invoice. */
    async paymentOf(invoice: Stripe.Invoice): Promise<string> {
      const { data } = await stripe.invoicePayments.list({ invoice: invoice.id });
      return String(data[0]?.payment.payment_intent);
    }

    /** Its ledger, once it was found lawful: `type amount`, in order. */
    async ledger(): Promise<string[]> {
      const { rows } = await expectLawfulLedger(sql, this.id);
      return rows.map(({ type, amount }) => `${type} ${amount}`);
    }
  }

  /** A new organization, with a customer who lives by a clock of their own. @param begins when that clock begins */
  async function found(begins: Date = NOW): Promise<Company> {
    const { id, slug, owner } = await createTenant();
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: begins.getTime() / 1000 });
    const customer = await stripe.customers.create({
      ...{ email: owner.email, test_clock: clock.id },
      metadata: { organizationId: id },
    });
    await sql("UPDATE organizations SET stripe_customer_id = $2 WHERE id = $1", [id, customer.id]);
    await settle();
    return new Company(id, slug, owner, customer.id, clock.id, begins);
  }

  /** A new organization that Stripe knows nothing of. */
  async function foundHere(): Promise<Company> {
    const { id, slug, owner } = await createTenant();
    return new Company(id, slug, owner, "", null, NOW);
  }

  /** Tells of an object again, under an event of its own. */
  function tellOf(type: string, object: object, at: Date): Promise<void> {
    return settle([makeEvent(type, object as Record<string, unknown>)], at);
  }

  /** What became of an event. */
  async function statusOf(id: string): Promise<string | null> {
    const [row] = await sql<{ status: string }>("SELECT status::text FROM stripe_events WHERE id = $1", [id]);
    return row?.status ?? null;
  }

  return {
    ...{
      billing,
      stripe,
      sql,
      plans,
      packs,
      settle: settle,
      freshEvents: freshEvents,
      close: billing.close,
    },
    ...{ bank, priceOf, packPriceOf, found, foundHere, tellOf, statusOf, deliver },
    async close() {
      await collector.close();
      await billing.close();
    },
  };
}

export type Companies = Awaited<ReturnType<typeof openCompanies>>;
export type Company = Awaited<ReturnType<Companies["found"]>>;

/** The same events under other ids, as copies of what happened. */
export function again(events: readonly Stripe.Event[], mark = "again"): Stripe.Event[] {
  return events.map((event) => ({ ...event, id: `${event.id}_${mark}` }) as Stripe.Event);
}

/** The events of one type. */
export const ofType = (events: readonly Stripe.Event[], ...types: string[]): Stripe.Event[] =>
  events.filter(({ type }) => types.includes(type));
