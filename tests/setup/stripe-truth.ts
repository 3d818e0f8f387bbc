// Compares our database with Stripe, object by object, by rules of its own: it shares nothing with the code that keeps them equal
// but the tables. For tests that want to know whether everything has come across.
import type Stripe from "stripe";
import type { Sql } from "./billing";
import { isNothingSold, soldBy } from "./stripe-sold";

/** Where the two differ, a line each; empty where our rows say what Stripe says. */
export async function differencesFromStripe(sql: Sql, stripe: Stripe): Promise<string[]> {
  const truth = new Truth(sql, stripe);
  const organizations = await sql<{ id: string; customer: string }>(
    "SELECT id, stripe_customer_id AS customer FROM organizations WHERE stripe_customer_id IS NOT NULL AND deleted_at IS NULL ORDER BY id",
  );
  for (const { id, customer } of organizations) await truth.compare(id, customer);
  await truth.compareLots();
  return truth.found;
}

async function all<T>(list: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of list) found.push(one);
  return found;
}

const idOf = (reference: string | { id: string } | null | undefined): string | null =>
  typeof reference === "string" ? reference : (reference?.id ?? null);
const instant = (seconds: number | null | undefined): string | null =>
  seconds == null ? null : new Date(seconds * 1000).toISOString();

function statusOf({ status, pause_collection, cancellation_details }: Stripe.Subscription): string {
  const ended = ["payment_failed", "payment_disputed"].includes(cancellation_details?.reason ?? "");
  const table: Record<string, string> = {
    trialing: pause_collection ? "paused" : "trial",
    active: pause_collection ? "paused" : "active",
    past_due: "past_due",
    incomplete: "pending",
    incomplete_expired: "expired",
    unpaid: "expired",
    canceled: ended ? "expired" : "cancelled",
    paused: "paused",
  };
  return table[status] ?? status;
}

interface Money {
  amount: number;
  refunded: number;
  disputed: number;
  lost: number;
}

/** A lot, with what is claimed of it. */
interface Claimed {
  id: string;
  amount: number;
  own: number;
  take: number;
  freeze: number;
  /** Nothing of its period was given back as time, and all of it was granted. */
  plain: boolean;
}

class Truth {
  readonly found: string[] = [];
  private readonly paid = new Set<string>();

  constructor(
    private readonly sql: Sql,
    private readonly stripe: Stripe,
  ) {}

  private same(what: string, ours: unknown, theirs: unknown): void {
    const [here, there] = [JSON.stringify(ours ?? null), JSON.stringify(theirs ?? null)];
    if (here !== there) this.found.push(`${what}: here ${here}, at Stripe ${there}`);
  }

  async compare(organizationId: string, customer: string): Promise<void> {
    const { stripe } = this;
    const subscriptions = await all(stripe.subscriptions.list({ customer, status: "all", limit: 100 }));
    for (const subscription of subscriptions) await this.compareSubscription(organizationId, subscription);
    const ids = subscriptions.map(({ id }) => id);
    const gone = await this.sql<{ id: string }>(
      `SELECT stripe_subscription_id AS id FROM organization_subscriptions WHERE organization_id = $1
       AND status NOT IN ('cancelled', 'expired') AND NOT stripe_subscription_id = ANY ($2)`,
      [organizationId, ids],
    );
    for (const { id } of gone) this.found.push(`subscription ${id} lives here and is not the customer's at Stripe`);
    for (const invoice of await all(stripe.invoices.list({ customer, limit: 100 }))) {
      await this.compareInvoice(organizationId, invoice, subscriptions);
    }
    for (const session of await all(stripe.checkout.sessions.list({ customer, limit: 100 }))) {
      await this.compareSession(organizationId, session);
    }
  }

  private async compareSubscription(organizationId: string, subscription: Stripe.Subscription): Promise<void> {
    const { id, items } = subscription;
    const [row] = await this.sql(
      `SELECT s.status::text AS status, p.stripe_price_id AS price, s.current_period_start AS start, s.current_period_end AS end,
         s.cancels_at AS ends, s.trial_end AS trial, s.organization_id AS owner
       FROM organization_subscriptions s JOIN plan_prices p ON p.id = s.price_id WHERE s.stripe_subscription_id = $1`,
      [id],
    );
    // A first payment that never came through may never have been told.
    if (!row && subscription.status === "incomplete_expired") return;
    const [item] = items.data;
    const status = statusOf(subscription);
    const hasEnded = status === "cancelled" || status === "expired";
    const ends = subscription.cancel_at ?? (subscription.cancel_at_period_end ? item?.current_period_end : null);
    this.same(`subscription ${id}`, row && { ...row }, {
      status,
      price: item?.price.id,
      start: instant(item?.current_period_start),
      end: instant(item?.current_period_end),
      ends: hasEnded ? null : instant(ends),
      trial: instant(subscription.trial_end),
      owner: organizationId,
    });
  }

  /** What went back of a payment, from its refunds and disputes. */
  private async moneyOf(paymentIntent: string): Promise<Money> {
    const about = { payment_intent: paymentIntent, limit: 100 };
    const refunds = await all(this.stripe.refunds.list(about));
    const disputes = await all(this.stripe.disputes.list(about));
    const intent = await this.stripe.paymentIntents.retrieve(paymentIntent);
    const sum = (parts: { amount: number }[]) => parts.reduce((total, part) => total + part.amount, 0);
    const amount = intent.amount_received;
    const isOpen = (status: string) => status === "needs_response" || status === "under_review";
    return {
      amount,
      refunded: sum(refunds.filter(({ status }) => status !== "failed" && status !== "canceled")),
      disputed: Math.min(amount, sum(disputes.filter(({ status }) => isOpen(status)))),
      lost: Math.min(amount, sum(disputes.filter(({ status }) => status === "lost"))),
    };
  }

  /**
   * @param sold what the invoice sold, and what credit notes gave back of it otherwise than by refunds
   * @returns how a line that was paid is shown
   */
  private async comparePayments(
    paymentIntents: string[],
    lots: string,
    sold = { amount: 0, givenBack: 0 },
  ): Promise<string> {
    const total: Money = { amount: 0, refunded: 0, disputed: 0, lost: 0 };
    for (const id of paymentIntents) {
      const money = await this.moneyOf(id);
      for (const part of ["amount", "refunded", "disputed", "lost"] as const) total[part] += money[part];
      const [row] = await this.sql(
        "SELECT amount::int, refunded::int, disputed::int, lost::int FROM stripe_payments WHERE id = $1",
        [id],
      );
      const isTouched = money.refunded + money.disputed + money.lost > 0;
      if (row || isTouched) this.same(`payment ${id}`, row, money);
      if (isTouched) await this.compareRefunds(id);
    }
    const paidBy =
      lots === "stripe_session_id" ? await this.sessionOf(paymentIntents) : await this.invoiceOf(paymentIntents);
    const claimed = await this.sql<Claimed>(
      `SELECT g.id, g.amount::int, (g.amount - g.transferred - g.rolled_over)::int AS own, g.to_take::int AS take, g.to_freeze::int AS freeze,
         g.returned = 0 AND coalesce(a.slices_granted = a.slices AND a.returned = 0, true) AS plain
       FROM credit_grants g LEFT JOIN allowance_periods a ON a.id = g.allowance_id WHERE g.${lots} = $1 AND g.amount > 0`,
      [paidBy],
    );
    const back = total.refunded + total.lost + sold.givenBack;
    const whole = Math.max(total.amount, sold.amount);
    for (const { id, amount, take, freeze } of claimed) {
      if (back >= whole && whole > 0) this.same(`claim on lot ${id}`, take, amount);
      this.same(`frozen of lot ${id}`, freeze > 0, total.disputed > 0);
    }
    // Where time was given back as well, or months are still to come, others know what is whose.
    if (whole > 0 && claimed.every(({ plain }) => plain)) {
      const sum = (part: "own" | "take") => claimed.reduce((all, lot) => all + lot[part], 0);
      this.same(`claims of ${paidBy}`, sum("take"), Math.floor((sum("own") * Math.min(back, whole)) / whole));
    }
    if (total.disputed > 0) return "disputed";
    if (total.lost > 0) return "dispute_lost";
    if (total.refunded === 0) return "paid";
    return total.refunded >= total.amount ? "refunded" : "partially_refunded";
  }

  private async sessionOf([paymentIntent = ""]: string[]): Promise<string> {
    const { data } = await this.stripe.checkout.sessions.list({ payment_intent: paymentIntent, limit: 1 });
    return data[0]?.id ?? "";
  }

  private async invoiceOf([paymentIntent = ""]: string[]): Promise<string> {
    const payment = { type: "payment_intent" as const, payment_intent: paymentIntent };
    const { data } = await this.stripe.invoicePayments.list({ payment, limit: 1 });
    return idOf(data[0]?.invoice) ?? "";
  }

  private async compareRefunds(paymentIntent: string): Promise<void> {
    for (const { id, status, amount } of await all(
      this.stripe.refunds.list({ payment_intent: paymentIntent, limit: 100 }),
    )) {
      const [line] = await this.sql(
        "SELECT status, (-amount)::int AS amount FROM billing_history WHERE kind = 'refund' AND stripe_id = $1",
        [id],
      );
      this.same(`refund ${id}`, line, { status, amount });
    }
  }

  private async compareInvoice(
    organizationId: string,
    invoice: Stripe.Invoice,
    subscriptions: readonly Stripe.Subscription[],
  ): Promise<void> {
    const { id, total } = invoice;
    const of = invoice.parent?.subscription_details?.subscription;
    if (invoice.status === "draft" || !of) return;
    if (invoice.status === "paid" && !isNothingSold(invoice)) this.paid.add(id);
    const payments = await all(this.stripe.invoicePayments.list({ invoice: id, status: "paid", limit: 100 }));
    const intents = payments.map(({ payment }) => idOf(payment.payment_intent)).filter((intent) => intent !== null);
    const subscription = subscriptions.find((one) => one.id === idOf(of));
    const sold = await this.soldOf(invoice, subscription);
    const shown = intents.length > 0 ? await this.comparePayments(intents, "stripe_invoice_id", sold) : invoice.status;
    const open = invoice.attempt_count > 0 ? "failed" : "open";
    const status = invoice.status === "open" ? open : invoice.status === "paid" ? shown : invoice.status;
    const [line] = await this.sql(
      `SELECT status, amount::int, currency, organization_id AS owner FROM billing_history WHERE kind = 'invoice' AND stripe_id = $1`,
      [id],
    );
    const isFree = total === 0 && invoice.lines.data.every(({ amount }) => amount === 0);
    const isTrial = isFree && subscription?.trial_start != null;
    if (line || !isTrial) {
      this.same(`line of invoice ${id}`, line, {
        status,
        amount: total,
        currency: invoice.currency,
        owner: organizationId,
      });
    }
    if (invoice.status === "paid" && total > 0 && !isNothingSold(invoice)) await this.compareAllowance(id);
  }

  private async soldOf(
    invoice: Stripe.Invoice,
    subscription: Stripe.Subscription | undefined,
  ): Promise<{ amount: number; givenBack: number }> {
    const plans = await this.sql<{ id: string }>("SELECT stripe_price_id AS id FROM plan_prices");
    const item = subscription?.items.data.find(({ price }) => plans.some(({ id }) => id === price.id));
    const notes = await all(this.stripe.creditNotes.list({ invoice: invoice.id, limit: 100 }));
    const refunded = notes.flatMap(({ refunds }) => refunds).reduce((sum, each) => sum + each.amount_refunded, 0);
    return {
      amount: soldBy(invoice, item?.id),
      givenBack: invoice.post_payment_credit_notes_amount - refunded,
    };
  }

  /** A whole period that is paid has its first slice, and no more than the slices it has. Prorations have rules of their own. */
  private async compareAllowance(invoice: string): Promise<void> {
    for await (const line of this.stripe.invoices.listLineItems(invoice, { limit: 100 })) {
      const details = line.parent?.subscription_item_details;
      const price = idOf(line.pricing?.price_details?.price);
      if (!details || details.proration || price === null || line.amount <= 0) continue;
      const [plan] = await this.sql<{ credits: number }>(
        `SELECT s.credits::int FROM plan_prices p JOIN subscription_plans s ON s.id = p.plan_id WHERE p.stripe_price_id = $1`,
        [price],
      );
      if (!plan) continue;
      const rows = await this.sql<{ credits: number; granted: number }>(
        `SELECT credits::int, slices_granted::int AS granted FROM allowance_periods
         WHERE stripe_item_id = $1 AND period_start = $2 AND cause = '' AND NOT trial`,
        [details.subscription_item, instant(line.period.start)],
      );
      this.same(`periods that invoice ${invoice} paid for`, rows.length, 1);
      const [lots] = await this.sql<{ slices: number }>(
        // An upgrade within the second has its invoice behind the slice's number.
        `SELECT count(*)::int AS slices FROM credit_transactions
         WHERE starts_with(idempotency_key, $1) AND substr(idempotency_key, length($1) + 1) ~ '^[0-9]+$'`,
        [`allowance:${details.subscription_item}:${instant(line.period.start)}:`],
      );
      this.same(`slices that invoice ${invoice} paid for`, lots?.slices, rows[0]?.granted);
      if ((rows[0]?.granted ?? 0) < 1) this.found.push(`invoice ${invoice} is paid and nothing was granted for it`);
    }
  }

  private async compareSession(organizationId: string, session: Stripe.Checkout.Session): Promise<void> {
    const { id, mode, status, payment_status } = session;
    const isPaid = status === "complete" && payment_status !== "unpaid";
    const [row] = await this.sql<{ status: string }>(
      "SELECT status::text AS status FROM checkout_sessions WHERE stripe_session_id = $1",
      [id],
    );
    if (row) {
      const outcome = isPaid ? "paid" : status === "complete" ? row.status : status;
      this.same(`checkout ${id}`, row.status, outcome);
    }
    if (mode !== "payment") return;
    if (isPaid) this.paid.add(id);
    const lines = await all(this.stripe.checkout.sessions.listLineItems(id, { limit: 100 }));
    let bought = 0;
    for (const line of lines) {
      const [pack] = await this.sql<{ credits: number }>(
        `SELECT s.credits::int FROM credit_product_prices p JOIN credit_products s ON s.id = p.product_id WHERE p.stripe_price_id = $1`,
        [line.price?.id],
      );
      bought += (pack?.credits ?? 0) * (line.quantity ?? 1);
    }
    const lots = await this.sql<{ credits: number; owner: string }>(
      `SELECT amount::int AS credits, organization_id AS owner FROM credit_grants WHERE stripe_session_id = $1 AND source = 'purchase'`,
      [id],
    );
    const credits = lots.reduce((sum, lot) => sum + lot.credits, 0);
    this.same(`credits of checkout ${id}`, credits, isPaid ? bought : 0);
    if (lots.some(({ owner }) => owner !== organizationId)) this.found.push(`checkout ${id} was granted to another`);
    const intent = idOf(session.payment_intent);
    if (isPaid && intent) {
      const shown = await this.comparePayments([intent], "stripe_session_id");
      const [line] = await this.sql<{ status: string }>(
        "SELECT status FROM billing_history WHERE kind = 'credit_purchase' AND stripe_id = $1",
        [id],
      );
      this.same(`line of checkout ${id}`, line?.status, shown);
    }
  }

  /** Of a customer that is no organization's any more. */
  private async isPaid(id: string): Promise<boolean> {
    try {
      if (id.startsWith("in_")) {
        const invoice = await this.stripe.invoices.retrieve(id);
        return invoice.status === "paid" && !isNothingSold(invoice);
      }
      return (await this.stripe.checkout.sessions.retrieve(id)).payment_status !== "unpaid";
    } catch {
      return false;
    }
  }

  /** No lot names a payment that is none. */
  async compareLots(): Promise<void> {
    const lots = await this.sql<{ id: string; paid: string }>(
      `SELECT id, coalesce(stripe_session_id, stripe_invoice_id) AS paid FROM credit_grants
       WHERE source IN ('purchase', 'subscription') AND coalesce(stripe_session_id, stripe_invoice_id) IS NOT NULL`,
    );
    for (const { id, paid } of lots) {
      if (!this.paid.has(paid) && !(await this.isPaid(paid)))
        this.found.push(`lot ${id} was granted for ${paid}, which nobody paid`);
    }
  }
}
