// What must hold between Stripe's truth and ours, asked through Stripe's own API and plain SQL: nothing of the app's code is
// used, so that a mistake there is not made here again.
import type { Stripe } from "~/server/stripe";
import type { Sql } from "../../setup/billing";
import { allowances } from "./allowance-truths";
import { payments } from "./payment-truths";
import type { Theirs } from "./theirs";

export interface Breach {
  truth: string;
  where: string;
}

export type Tell = (truth: string, where: string) => void;

/** What the simulation itself knows of an organization. */
export interface Known {
  id: string;
  number: number;
  gone: boolean;
  consumed: number;
  /** Credits of the pack that each checkout offered, by session. */
  offered: ReadonlyMap<string, number>;
}

const LIVE = new Set(["trialing", "active", "past_due", "paused"]);

/** Ours for Stripe's, written down a second time. */
function statusOf(subscription: Stripe.Subscription): string | null {
  const { status, pause_collection: pause, cancellation_details: ended } = subscription;
  if ((status === "active" || status === "trialing") && pause) return "paused";
  if (status === "canceled") {
    return ended?.reason === "payment_failed" || ended?.reason === "payment_disputed" ? "expired" : "cancelled";
  }
  const told = { trialing: "trial", active: "active", past_due: "past_due", incomplete: "pending", unpaid: "expired" };
  return (told as Record<string, string>)[status] ?? (status === "incomplete_expired" ? "expired" : null);
}

/** Asks about one organization. @param theirs what its customers have that are not deleted at Stripe */
export async function breachesOf(sql: Sql, organization: Known, theirs: Theirs, now: Date): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const name = `organization ${organization.number}`;
  const breach = (truth: string, where: string) => breaches.push({ truth, where: `${name}: ${where}` });
  await mirror(sql, organization, theirs, breach);
  await changes(sql, organization, breach);
  await allowances(sql, organization, theirs, now, breach);
  await purchases(sql, organization, theirs, breach);
  await payments(sql, organization, theirs, breach);
  await history(sql, organization, theirs, breach);
  await spending(sql, organization, breach);
  return breaches;
}

const at = (unix: number): number => unix * 1000;

async function mirror(sql: Sql, { id, gone }: Known, { subscriptions }: Theirs, breach: Tell): Promise<void> {
  const rows = await sql<{
    stripe: string;
    status: string;
    item: string;
    price: string | null;
    start: Date;
    end: Date;
    cancels: Date | null;
  }>(
    `SELECT s.stripe_subscription_id AS stripe, s.status::text AS status, s.stripe_item_id AS item, p.stripe_price_id AS price,
       s.current_period_start AS start, s.current_period_end AS "end", s.cancels_at AS cancels
     FROM organization_subscriptions s JOIN plan_prices p ON p.id = s.price_id WHERE s.organization_id = $1`,
    [id],
  );
  const live = rows.filter((row) => ["trial", "active", "past_due", "paused"].includes(row.status));
  if (live.length > 1) breach("at most one subscription is live", live.map((row) => row.stripe).join(", "));
  if (gone && live.length > 0) breach("a removed organization has no live subscription", live[0]?.stripe ?? "");
  if (gone) {
    for (const each of subscriptions.filter(({ status }) => LIVE.has(status))) {
      breach("the subscription of a removed organization is cancelled at Stripe", each.id);
    }
    return;
  }
  const theirLive = subscriptions.filter(({ status }) => LIVE.has(status));
  if (theirLive.length > 0 && live.length === 0) {
    breach("who has a live subscription at Stripe has one here", theirLive.map((each) => each.id).join(", "));
  }
  for (const row of rows.filter(({ status }) => status === "cancelled" || status === "expired")) {
    if (theirLive.some((each) => each.id === row.stripe)) breach("what lives at Stripe has not ended here", row.stripe);
  }
  for (const row of live) {
    const each = subscriptions.find((subscription) => subscription.id === row.stripe);
    const wanted = each ? statusOf(each) : "cancelled";
    if (row.status !== wanted) breach("the status is Stripe's", `${row.stripe}: ${row.status}, should be ${wanted}`);
    const item = each?.items.data.find((candidate) => candidate.id === row.item);
    if (!each || !item) {
      breach("the plan's item is Stripe's", row.stripe);
      continue;
    }
    if (item.price.id !== row.price) breach("the price is Stripe's", `${row.stripe}: ${row.price}`);
    if (at(item.current_period_start) !== row.start.getTime() || at(item.current_period_end) !== row.end.getTime()) {
      breach("the period is Stripe's", `${row.stripe}: ${row.start.toISOString()} to ${row.end.toISOString()}`);
    }
    const ends = each.cancel_at ?? (each.cancel_at_period_end ? item.current_period_end : null);
    if ((ends === null ? null : at(ends)) !== (row.cancels?.getTime() ?? null)) {
      breach("the end that was agreed is Stripe's", `${row.stripe}: ${row.cancels?.toISOString()}`);
    }
  }
}

/** Each change of a subscription begins where the one before has ended, and what was cancelled stays so. */
async function changes(sql: Sql, { id }: Known, breach: Tell): Promise<void> {
  const odd = await sql<{ subscription: string; from: string | null; to: string; before: string | null }>(
    `SELECT * FROM (
       SELECT subscription_id AS subscription, from_status::text AS "from", to_status::text AS "to",
         lag(to_status::text) OVER (PARTITION BY subscription_id ORDER BY at, id) AS before
       FROM subscription_changes WHERE organization_id = $1) told
     WHERE "from" IS DISTINCT FROM before OR ("from" = 'cancelled' AND "to" <> 'cancelled')`,
    [id],
  );
  for (const { subscription, from, to, before } of odd) {
    breach("what was cancelled stays so", `${subscription}: ${before ?? "new"}, then ${from ?? "new"} to ${to}`);
  }
}

async function purchases(sql: Sql, { id, gone, offered }: Known, { sessions }: Theirs, breach: Tell): Promise<void> {
  const lots = await sql<{ session: string; count: number; amount: number }>(
    `SELECT stripe_session_id AS session, count(*)::int AS count, sum(amount)::float8 AS amount FROM credit_grants
     WHERE organization_id = $1 AND source = 'purchase' AND origin_grant_id IS NULL GROUP BY 1`,
    [id],
  );
  const bySession = new Map(lots.map((lot) => [lot.session, lot]));
  for (const session of sessions.filter(({ mode }) => mode === "payment")) {
    const wanted = session.status === "complete" && session.payment_status !== "unpaid" ? 1 : 0;
    const { count, amount } = bySession.get(session.id) ?? { count: 0, amount: 0 };
    if (count !== wanted && !(gone && count === 0))
      breach("each paid pack is granted once", `${session.id}: ${count} of ${wanted}`);
    const credits = offered.get(session.id);
    if (count === 1 && credits !== undefined && amount !== credits)
      breach("a pack gives what it offered", `${session.id}: ${amount} of ${credits}`);
  }
}

async function history(sql: Sql, { id, gone }: Known, { invoices }: Theirs, breach: Tell): Promise<void> {
  if (gone) return;
  const lines = await sql<{ stripe: string; amount: number; tax: number; currency: string; status: string }>(
    `SELECT stripe_id AS stripe, amount::float8 AS amount, tax::float8 AS tax, currency, status FROM billing_history
     WHERE organization_id = $1 AND kind = 'invoice'`,
    [id],
  );
  const known = new Map(lines.map((line) => [line.stripe, line]));
  for (const invoice of invoices) {
    const isSubscription = invoice.parent?.subscription_details?.subscription != null;
    if (!isSubscription || invoice.status === "draft" || invoice.total === 0) continue;
    const line = known.get(invoice.id ?? "");
    if (!line) {
      const { id, status, total, billing_reason: reason, created } = invoice;
      const when = new Date(at(created)).toISOString();
      breach("each invoice is a line of history", `${id}, ${status}, ${total}, ${reason} of ${when}`);
      continue;
    }
    if (line.amount !== invoice.total || line.currency !== invoice.currency) {
      breach("history says what was asked for", `${invoice.id}: ${line.amount} ${line.currency}`);
    }
    const told = /^disput|refunded$/.test(line.status) ? "paid" : line.status;
    const wanted = invoice.status === "open" ? ["open", "failed"] : [invoice.status];
    if (!wanted.includes(told as Stripe.Invoice.Status)) {
      breach("history has the latest status", `${invoice.id}: ${line.status}, is ${invoice.status}`);
    }
  }
}

async function spending(sql: Sql, { id, consumed }: Known, breach: Tell): Promise<void> {
  const [taken] = await sql<{ amount: number }>(
    "SELECT coalesce(-sum(amount), 0)::float8 AS amount FROM credit_transactions WHERE organization_id = $1 AND type = 'consume'",
    [id],
  );
  if (taken?.amount !== consumed)
    breach("what was answered as taken is in the ledger", `${taken?.amount} of ${consumed}`);
  const [odd] = await sql<{ blocked: Date | null; status: string | null }>(
    `SELECT a.blocked_from AS blocked, (SELECT s.status::text FROM organization_subscriptions s
       WHERE s.organization_id = a.organization_id AND s.status IN ('trial', 'active', 'past_due', 'paused')) AS status
     FROM credit_accounts a WHERE a.organization_id = $1`,
    [id],
  );
  if (odd?.blocked && odd.status !== "past_due")
    breach("only who owes a payment is blocked", odd.status ?? "no subscription");
  if (!odd?.blocked && odd?.status === "past_due") breach("who owes a payment is blocked after the grace", "past_due");
}
