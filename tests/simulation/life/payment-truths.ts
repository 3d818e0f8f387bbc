// What must hold of payments: what was taken back of each is Stripe's, and claims its share of the credits that it paid for.
import type { Sql } from "../../setup/billing";
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
  if (!gone) await claims(sql, id, breach);
}

/** What a payment that was taken back claims of what it paid for: its share of it, rounded down, however it was split. */
async function claims(sql: Sql, id: string, breach: Tell): Promise<void> {
  const odd = await sql<{ paid: string; take: number; freeze: number; took: number; froze: number }>(CLAIMS, [id]);
  for (const { paid, take, freeze, took, froze } of odd) {
    breach("a payment that was taken back claims its share", `${paid}: ${took} and ${froze} of ${take} and ${freeze}`);
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
  SELECT coalesce(invoice_id, id) AS paid, max(invoice_id) AS invoice, max(id) AS payment, sum(amount)::numeric AS amount,
    least(sum(refunded + lost), sum(amount)) AS gone, least(sum(refunded + lost + disputed), sum(amount)) AS touched
  FROM stripe_payments WHERE organization_id = $1 GROUP BY 1
), claimed AS (
  SELECT m.paid, sum(g.returned) AS returned, sum(g.to_take) AS took, sum(g.to_freeze) AS froze,
    floor(sum(g.amount - g.transferred - g.rolled_over) * m.gone / m.amount) AS take,
    floor(sum(g.amount - g.transferred - g.rolled_over) * m.touched / m.amount) AS touch
  FROM money m JOIN credit_grants g ON g.organization_id = $1 AND g.stripe_invoice_id = m.invoice OR g.stripe_payment_id = m.payment
  WHERE m.amount > 0 GROUP BY m.paid, m.gone, m.touched, m.amount
)
SELECT paid, take::float8, (touch - take)::float8 AS freeze, took::float8, froze::float8 FROM claimed
WHERE CASE WHEN returned = 0 THEN took <> take OR froze <> touch - take ELSE took < take OR took > take + returned END`;
