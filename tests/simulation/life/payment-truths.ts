// What must hold of payments: what was taken back of each is Stripe's, and claims its share of the credits that it paid for.
import type { Sql } from "../../setup/billing";
import { soldBy } from "../../setup/stripe-sold";
import { idOf, type Theirs } from "./theirs";
import type { Known, Tell } from "./truths";

export async function payments(sql: Sql, { id, gone }: Known, theirs: Theirs, breach: Tell): Promise<void> {
  const rows = await sql<{ id: string; refunded: number; disputed: number; lost: number }>(
    "SELECT id, refunded::float8 AS refunded, disputed::float8 AS disputed, lost::float8 AS lost FROM stripe_payments WHERE organization_id = $1",
    [id],
  );
  const known = new Map(rows.map((row) => [row.id, row]));
  for (const charge of theirs.charges) {
    const intent = idOf(charge.payment_intent);
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
  if (!gone) await claims(sql, id, theirs, breach);
}

interface Claimed {
  paid: string;
  payments: string[];
  /** Of all payments together. */
  amount: number;
  back: number;
  disputed: number;
  /** Of its lots. */
  own: number;
  returned: number;
  take: number;
  freeze: number;
  /** Of its months that are no lots. */
  coming: number;
  never: number;
  cut: number;
}

/**
 * What went back of what an invoice sold, or of a payment without one, claims its share of all credits that were bought with it,
 * rounded down, however they were split and whoever paid: first of what never comes, then of the rest; what was given back as time
 * is taken beside it.
 */
async function claims(sql: Sql, id: string, { invoices, subscriptions }: Theirs, breach: Tell): Promise<void> {
  const plans = new Set(
    (await sql<{ id: string }>("SELECT stripe_price_id AS id FROM plan_prices")).map((row) => row.id),
  );
  const sold = new Map<string, number>();
  for (const invoice of invoices) {
    const subscription = idOf(invoice.parent?.subscription_details?.subscription);
    const items = subscriptions.find((each) => each.id === subscription)?.items.data ?? [];
    sold.set(invoice.id, soldBy(invoice, items.find((item) => plans.has(item.price.id))?.id));
  }
  for (const row of await sql<Claimed>(CLAIMS, [id])) {
    const whole = BigInt(Math.max(row.amount, sold.get(row.paid) ?? 0));
    if (whole === 0n) continue;
    const all = row.own + row.coming + row.never + row.cut;
    const shareOf = (money: number) => (BigInt(all) * BigInt(Math.min(money, Number(whole)))) / whole;
    const [take, touch] = [shareOf(row.back), shareOf(row.back + row.disputed)].map(
      (share) => Number(share) - row.never,
    );
    const has = row.take - row.returned;
    // What is to come bears its part when it comes.
    const between = (wanted: number, value: number) => value <= Math.max(0, wanted) && value >= wanted - row.coming;
    if (!between(take ?? 0, has) || !between(touch ?? 0, has + row.freeze)) {
      breach(
        "what went back of an invoice claims its share",
        `${row.paid}: ${has} and ${row.freeze} of ${take} to ${touch}`,
      );
    }
  }
  const waiting = await sql<{ label: string; take: number; taken: number }>(
    `SELECT label, to_take::float8 AS take, taken::float8 AS taken FROM credit_grants
     WHERE organization_id = $1 AND (taken > to_take OR taken < to_take - (expired - rolled_over) OR frozen > to_freeze)`,
    [id],
  );
  for (const { label, take, taken } of waiting) {
    breach("what is claimed is taken, and no more", `${label}: ${taken} of ${take}`);
  }
}

const CLAIMS = `
WITH money AS (
  SELECT coalesce(p.invoice_id, p.id) AS paid, array_agg(p.id) AS payments, sum(p.amount)::float8 AS amount,
    sum(p.refunded + p.lost)::float8 AS back, sum(p.disputed)::float8 AS disputed
  FROM stripe_payments p WHERE p.organization_id = $1 GROUP BY 1
)
SELECT m.*, lots.*, months.* FROM money m
CROSS JOIN LATERAL (
  SELECT count(*)::int AS lots, coalesce(sum(g.amount - g.transferred - g.rolled_over), 0)::float8 AS own,
    coalesce(sum(least(g.returned, g.amount - g.transferred - g.rolled_over)), 0)::float8 AS returned,
    coalesce(sum(g.to_take), 0)::float8 AS take, coalesce(sum(g.to_freeze), 0)::float8 AS freeze
  FROM credit_grants g WHERE g.stripe_invoice_id = m.paid OR g.stripe_payment_id = ANY (m.payments)
) lots
CROSS JOIN LATERAL (
  SELECT coalesce(sum(CASE WHEN i > a.slices_granted AND a.stopped_at IS NULL THEN month.whole - month.cut END), 0)::float8 AS coming,
    coalesce(sum(CASE WHEN i > a.slices_granted AND a.stopped_at IS NOT NULL THEN month.whole - month.cut END), 0)::float8 AS never,
    coalesce(sum(month.cut), 0)::float8 AS cut
  FROM allowance_periods a CROSS JOIN generate_series(1, a.slices) i
  CROSS JOIN LATERAL (SELECT coalesce(a.amounts[i], a.credits) AS whole, coalesce(a.cuts[i], 0) AS cut) month
  WHERE a.stripe_invoice_id = m.paid AND NOT a.trial
) months WHERE lots.lots > 0`;
