// The laws of the ledger as one statement that names whatever breaks them, so that they can be asked after each step.
import type { Sql } from "../setup/billing";

const BROKEN = `
WITH org AS (SELECT unnest($1::uuid[]) AS id),
rows AS (
  SELECT t.organization_id AS org, t.seq, t.type::text AS type, t.amount, t.held, t.debt, t.balance_after, t.available_after, t.created_at, t.hash, t.grant_id,
    row_number() OVER w AS number, sum(t.amount) OVER w AS running, sum(t.held) OVER w AS running_held, sum(t.debt) OVER w AS running_debt,
    lag(t.created_at) OVER w AS before
  FROM credit_transactions t JOIN org ON org.id = t.organization_id
  WINDOW w AS (PARTITION BY t.organization_id ORDER BY t.seq)
),
entries AS (
  SELECT e.organization_id AS org, e.transaction_seq AS seq, e.position, e.grant_id, e.amount, e.held, e.lot_after,
    sum(e.amount) OVER (PARTITION BY e.organization_id, e.grant_id ORDER BY e.transaction_seq, e.position) AS running
  FROM credit_movements e JOIN org ON org.id = e.organization_id
),
by_row AS (SELECT org, seq, sum(amount) AS amount, sum(held) AS held, count(*) AS parts, count(DISTINCT grant_id) AS lots FROM entries GROUP BY 1, 2),
by_entries AS (SELECT organization_id AS org, transaction_seq AS seq, count(*) AS parts FROM credit_entries JOIN org ON org.id = organization_id GROUP BY 1, 2),
by_lot AS (SELECT org, grant_id, sum(amount) AS amount, sum(held) AS held FROM entries GROUP BY 1, 2),
parts AS (
  SELECT h.organization_id AS org, h.id AS hold, (p.value ->> 0)::uuid AS lot, (p.value ->> 1)::bigint AS amount
  FROM credit_holds h JOIN org ON org.id = h.organization_id CROSS JOIN jsonb_array_elements(h.lots) p WHERE h.open
),
lots AS (
  SELECT g.*, coalesce((SELECT sum(p.amount) FROM parts p WHERE p.org = g.organization_id AND p.lot = g.id), 0) AS in_holds
  FROM credit_grants g JOIN org ON org.id = g.organization_id
),
totals AS (
  SELECT org.id, a.balance, a.held, a.debt, a.last_seq, a.last_at, a.last_hash,
    (SELECT coalesce(sum(remaining), 0) FROM lots l WHERE l.organization_id = org.id) AS lots,
    (SELECT coalesce(sum(held), 0) FROM lots l WHERE l.organization_id = org.id) AS lots_held,
    (SELECT count(*) FROM rows r WHERE r.org = org.id) AS rows
  FROM org JOIN credit_accounts a ON a.organization_id = org.id
)
SELECT 'sum of the lots is the balance' AS law, to_jsonb(t)::text AS where FROM totals t WHERE balance <> lots
UNION ALL SELECT 'what is held of the lots is what is held', to_jsonb(t)::text FROM totals t WHERE held <> lots_held
UNION ALL SELECT 'nothing is below zero', to_jsonb(t)::text FROM totals t WHERE least(balance, held, debt) < 0 OR held > balance
UNION ALL SELECT 'numbers have no gap', to_jsonb(t)::text FROM totals t WHERE last_seq <> rows
UNION ALL SELECT 'the account says what the last row says', to_jsonb(t)::text FROM totals t JOIN rows r ON r.org = t.id AND r.seq = t.last_seq
  WHERE r.running <> t.balance OR r.running_held <> t.held OR r.running_debt <> t.debt OR r.hash IS DISTINCT FROM t.last_hash OR r.created_at <> t.last_at
UNION ALL SELECT 'the running total has no gap', to_jsonb(r)::text FROM rows r WHERE r.seq <> r.number OR r.balance_after <> r.running
UNION ALL SELECT 'what is available is no more than what is not held', to_jsonb(r)::text FROM rows r
  WHERE r.available_after < 0 OR r.available_after > r.running - r.running_held OR r.running_held < 0 OR r.running_debt < 0
UNION ALL SELECT 'rows follow each other in time', to_jsonb(r)::text FROM rows r WHERE r.before > r.created_at
UNION ALL SELECT 'each row has its hash', to_jsonb(r)::text FROM rows r WHERE length(r.hash) IS DISTINCT FROM 32
UNION ALL SELECT 'entries say what their row says', to_jsonb(r)::text FROM rows r LEFT JOIN by_row b USING (org, seq)
  WHERE coalesce(b.amount, 0) <> r.amount OR coalesce(b.held, 0) <> r.held OR b.parts <> b.lots
UNION ALL SELECT 'a row names its one lot, or has an entry for each of several', to_jsonb(r)::text FROM rows r JOIN by_entries b USING (org, seq)
  WHERE r.grant_id IS NOT NULL OR b.parts = 1
UNION ALL SELECT 'entries say what their lot holds', to_jsonb(l)::text FROM lots l LEFT JOIN by_lot b ON b.org = l.organization_id AND b.grant_id = l.id
  WHERE coalesce(b.amount, 0) <> l.remaining OR coalesce(b.held, 0) <> l.held
UNION ALL SELECT 'each entry says what its lot held after it', to_jsonb(e)::text FROM entries e WHERE e.lot_after <> e.running OR e.running < 0
UNION ALL SELECT 'a lot stays within its bounds', to_jsonb(l)::text FROM lots l
  WHERE remaining < 0 OR remaining > amount OR held < 0 OR held > remaining OR frozen < 0 OR open <> (remaining > 0)
UNION ALL SELECT 'what is held of a lot is in holds or frozen', to_jsonb(l)::text FROM lots l WHERE held <> frozen + in_holds
UNION ALL SELECT 'a hold is what is left of it', to_jsonb(h)::text FROM credit_holds h JOIN org ON org.id = h.organization_id
  WHERE CASE WHEN h.open THEN h.remaining <> (SELECT coalesce(sum(p.amount), 0) FROM parts p WHERE p.org = org.id AND p.hold = h.id)
    OR h.remaining + h.captured <> h.amount ELSE h.remaining <> 0 OR h.captured > h.amount OR h.lots <> '[]' OR h.ended_at IS NULL END
UNION ALL SELECT 'no more is taken or frozen than is claimed', to_jsonb(l)::text FROM lots l WHERE taken > to_take OR frozen > to_freeze
UNION ALL SELECT 'what is claimed is taken where it is free', to_jsonb(l)::text FROM lots l
  WHERE to_take > taken + expired AND remaining - (held - frozen) > 0
UNION ALL SELECT 'what is disputed is frozen where it is free', to_jsonb(l)::text FROM lots l WHERE to_freeze > frozen AND remaining > held AND to_take <= taken + expired
UNION ALL SELECT 'a debt is paid while there are credits', to_jsonb(t)::text FROM totals t
  WHERE debt > 0 AND EXISTS (SELECT FROM lots l WHERE l.organization_id = t.id AND l.remaining > l.held AND (l.expires_at IS NULL OR l.expires_at > $2))
LIMIT 5`;

/** Whatever breaks a law of the organizations' ledgers at an instant: which law, and the row; nothing where all hold. */
export function brokenLaws(
  sql: Sql,
  organizationIds: readonly string[],
  now: Date,
): Promise<{ law: string; where: string }[]> {
  return sql<{ law: string; where: string }>(BROKEN, [[...organizationIds], now]);
}
