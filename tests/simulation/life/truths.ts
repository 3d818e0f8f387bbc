// What must hold between Stripe's truth and ours, asked through Stripe's own API and plain SQL: nothing of the app's code is
// used, so that a mistake there is not made here again.
import type { Stripe } from "~/server/stripe";
import type { Sql } from "../../setup/billing";

export interface Breach {
  truth: string;
  where: string;
}

/** Everything that Stripe has of one organization. */
interface Theirs {
  subscriptions: Stripe.Subscription[];
  invoices: Stripe.Invoice[];
  sessions: Stripe.Checkout.Session[];
  charges: Stripe.Charge[];
  refunds: Stripe.Refund[];
  disputes: Stripe.Dispute[];
}

async function all<T extends { id: string }>(
  list: (page: { limit: number; starting_after?: string }) => Promise<{ data: T[]; has_more: boolean }>,
): Promise<T[]> {
  const found: T[] = [];
  for (;;) {
    const last = found.at(-1);
    const page = await list({ limit: 100, ...(last ? { starting_after: last.id } : {}) });
    found.push(...page.data);
    if (!page.has_more) return found;
  }
}

async function theirsOf(stripe: Stripe, customer: string): Promise<Theirs> {
  const invoices = await all<Stripe.Invoice & { id: string }>((page) =>
    stripe.invoices.list({ customer, expand: ["data.payments"], ...page }),
  );
  for (const invoice of invoices) {
    if (invoice.lines.has_more) {
      invoice.lines.data = await all((page) => stripe.invoices.listLineItems(invoice.id, page));
    }
  }
  const charges = await all((page) => stripe.charges.list({ customer, ...page }));
  return {
    subscriptions: await all((page) => stripe.subscriptions.list({ customer, status: "all", ...page })),
    invoices,
    sessions: await all((page) => stripe.checkout.sessions.list({ customer, ...page })),
    charges,
    refunds: (
      await Promise.all(charges.map((c) => all((page) => stripe.refunds.list({ charge: c.id, ...page }))))
    ).flat(),
    disputes: (
      await Promise.all(charges.map((c) => all((page) => stripe.disputes.list({ charge: c.id, ...page }))))
    ).flat(),
  };
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

/** Asks about one organization. @param customers its customers at Stripe that are not deleted there */
export async function breachesOf(
  sql: Sql,
  stripe: Stripe,
  organization: { id: string; number: number; gone: boolean; consumed: number },
  customers: readonly string[],
  now: Date,
): Promise<Breach[]> {
  const breaches: Breach[] = [];
  const name = `organization ${organization.number}`;
  const breach = (truth: string, where: string) => breaches.push({ truth, where: `${name}: ${where}` });
  const parts = await Promise.all(customers.map((customer) => theirsOf(stripe, customer)));
  const theirs: Theirs = {
    subscriptions: parts.flatMap((part) => part.subscriptions),
    invoices: parts.flatMap((part) => part.invoices),
    sessions: parts.flatMap((part) => part.sessions),
    charges: parts.flatMap((part) => part.charges),
    refunds: parts.flatMap((part) => part.refunds),
    disputes: parts.flatMap((part) => part.disputes),
  };
  await mirror(sql, organization, theirs, breach);
  await allowances(sql, organization, theirs, now, breach);
  await purchases(sql, organization, theirs, breach);
  await payments(sql, organization, theirs, breach);
  await history(sql, organization, theirs, breach);
  await spending(sql, organization, breach);
  return breaches;
}

type Tell = (truth: string, where: string) => void;
type Known = { id: string; gone: boolean; consumed: number };

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

interface PeriodRow {
  id: string;
  item: string;
  subscription: string;
  start: Date;
  end: Date;
  cause: string;
  trial: boolean;
  credits: number;
  slices: number;
  granted: number;
  total: number | null;
  stopped: Date | null;
  next: Date | null;
  invoice: string | null;
  plan: string;
}

async function allowances(
  sql: Sql,
  { id, gone }: Known,
  { invoices, subscriptions }: Theirs,
  now: Date,
  breach: Tell,
): Promise<void> {
  const periods = await sql<PeriodRow>(
    `SELECT id, stripe_item_id AS item, stripe_subscription_id AS subscription, period_start AS start, period_end AS "end", cause, trial,
       credits::float8 AS credits, slices, slices_granted AS granted, total::float8 AS total, stopped_at AS stopped, next_slice_at AS next,
       stripe_invoice_id AS invoice, plan_name AS plan
     FROM allowance_periods WHERE organization_id = $1`,
    [id],
  );
  const prices = new Map(
    (
      await sql<{ stripe: string; credits: number }>(
        "SELECT p.stripe_price_id AS stripe, s.credits::float8 AS credits FROM plan_prices p JOIN subscription_plans s ON s.id = p.plan_id WHERE p.stripe_price_id IS NOT NULL",
      )
    ).map((row) => [row.stripe, row.credits]),
  );
  const trials = periods.filter((period) => period.trial);
  if (trials.length > 1) breach("one trial for an organization", trials.map((period) => period.plan).join(", "));

  const key = (item: string, start: number) => `${item}@${start}`;
  const paid = new Map<string, { invoice: string; credits: number; subscription: string }>();
  for (const invoice of invoices.filter(({ status }) => status === "paid")) {
    for (const line of invoice.lines.data) {
      const details = line.parent?.subscription_item_details;
      const price = line.pricing?.price_details?.price;
      const credits = prices.get(typeof price === "string" ? price : (price?.id ?? ""));
      if (!details?.subscription_item || details.proration || credits === undefined) continue;
      const subscription = subscriptions.find((each) => each.id === details.subscription);
      const inTrial =
        subscription?.trial_start != null &&
        line.period.start >= subscription.trial_start &&
        line.period.start < (subscription.trial_end ?? 0);
      if (inTrial || line.period.end <= line.period.start) continue;
      paid.set(key(details.subscription_item, at(line.period.start)), {
        invoice: invoice.id ?? "",
        credits,
        subscription: details.subscription ?? "",
      });
    }
  }
  const whole = periods.filter((period) => period.cause === "" && !period.trial);
  const have = new Set(whole.map((period) => key(period.item, period.start.getTime())));
  const heard = new Set(periods.map((period) => period.subscription));
  for (const [place, { invoice, subscription }] of paid) {
    // What was paid for a subscription beside the live one waits for a person; and nothing is given to who has left.
    if (!have.has(place) && !gone && heard.has(subscription))
      breach("each paid period has its allowance", `${place}, ${invoice}`);
  }
  for (const period of whole) {
    const place = key(period.item, period.start.getTime());
    // An invoice of a customer that was deleted cannot be asked for any more.
    if (!paid.has(place) && subscriptions.some((each) => each.id === period.subscription)) {
      breach("each allowance was paid for", place);
    }
  }
  const lots = await sql<{ allowance: string; amount: number; count: number }>(
    `SELECT allowance_id AS allowance, sum(amount)::float8 AS amount, count(*)::int AS count FROM credit_grants g
     WHERE organization_id = $1 AND allowance_id IS NOT NULL AND origin_grant_id IS NULL AND EXISTS (
       SELECT FROM credit_transactions t WHERE t.organization_id = g.organization_id AND t.grant_id = g.id AND t.idempotency_key LIKE 'allowance:%')
     GROUP BY 1`,
    [id],
  );
  const lotsOf = new Map(lots.map((lot) => [lot.allowance, lot]));
  for (const period of periods) {
    const lot = lotsOf.get(period.id) ?? { amount: 0, count: 0 };
    if (lot.count > period.granted)
      breach("no slice is granted twice", `${period.plan} of ${period.start.toISOString()}`);
    if (period.cause === "" && period.credits > 0 && lot.count < period.granted) {
      breach("a slice that counts as granted was granted", `${period.plan} of ${period.start.toISOString()}`);
    }
    if (!gone && period.stopped === null && period.next !== null && period.next <= now) {
      breach("no slice is late", `${period.plan} of ${period.start.toISOString()}: ${period.next.toISOString()}`);
    }
  }
}

async function purchases(sql: Sql, { id, gone }: Known, { sessions }: Theirs, breach: Tell): Promise<void> {
  const lots = await sql<{ session: string; count: number }>(
    `SELECT stripe_session_id AS session, count(*)::int AS count FROM credit_grants
     WHERE organization_id = $1 AND source = 'purchase' AND origin_grant_id IS NULL GROUP BY 1`,
    [id],
  );
  const counts = new Map(lots.map((lot) => [lot.session, lot.count]));
  for (const session of sessions.filter(({ mode }) => mode === "payment")) {
    const wanted = session.status === "complete" && session.payment_status !== "unpaid" ? 1 : 0;
    const count = counts.get(session.id) ?? 0;
    if (count !== wanted && !(gone && count === 0))
      breach("each paid pack is granted once", `${session.id}: ${count} of ${wanted}`);
  }
}

async function payments(sql: Sql, { id, gone }: Known, theirs: Theirs, breach: Tell): Promise<void> {
  const rows = await sql<{ id: string; refunded: number; disputed: number; lost: number }>(
    "SELECT id, refunded::float8 AS refunded, disputed::float8 AS disputed, lost::float8 AS lost FROM stripe_payments WHERE organization_id = $1",
    [id],
  );
  const known = new Map(rows.map((row) => [row.id, row]));
  for (const charge of theirs.charges) {
    const intent = typeof charge.payment_intent === "string" ? charge.payment_intent : charge.payment_intent?.id;
    if (!intent || charge.status !== "succeeded") continue;
    const given = theirs.refunds.filter(
      (r) => r.charge === charge.id && r.status !== "failed" && r.status !== "canceled",
    );
    const refunded = given.reduce((sum, refund) => sum + refund.amount, 0);
    const disputes = theirs.disputes.filter((dispute) => dispute.charge === charge.id);
    const inState = (states: string[]) =>
      disputes.filter(({ status }) => states.includes(status)).reduce((sum, dispute) => sum + dispute.amount, 0);
    const [disputed, lost] = [inState(["needs_response", "under_review"]), inState(["lost"])];
    const row = known.get(intent) ?? { refunded: 0, disputed: 0, lost: 0 };
    const wanted = [refunded, disputed, lost].map((sum) => Math.min(sum, charge.amount_captured));
    if ([row.refunded, row.disputed, row.lost].join() !== wanted.join() && !gone) {
      breach(
        "what was taken back of a payment is Stripe's",
        `${intent}: ${[row.refunded, row.disputed, row.lost]} of ${wanted}`,
      );
    }
  }
  const lots = await sql<{ id: string; label: string }>(
    `SELECT id, label FROM credit_grants g WHERE organization_id = $1 AND source = 'purchase' AND origin_grant_id IS NULL AND to_take <>
       (SELECT coalesce(max(floor(g.amount::numeric * least(p.refunded + p.lost, p.amount) / p.amount)), 0) FROM stripe_payments p WHERE p.id = g.stripe_payment_id)`,
    [id],
  );
  if (!gone) for (const lot of lots) breach("a refunded pack is claimed by its share", lot.label);
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
      breach("each invoice is a line of history", invoice.id ?? "");
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
