// The one place of the bench that knows the ledger's columns: fills databases with lawful ledgers in bulk, and checks the
// laws of whatever is in them. It mirrors what `server/billing/ledger.ts` writes.
import type pg from "pg";

/** Organizations that are alike. Their ids follow from `set` and a number from 1 on. */
export type Population = {
  /** One hexadecimal digit that no other population of the database has. */
  set: string;
  organizations: number;
  /** Lots that still have credits, each granted with `LOT_CREDITS`. */
  openLots: number;
  /** Lots that were granted with one credit and spent. */
  closedLots: number;
  /** Ledger rows of one credit each, taken from the first open lot. */
  consumed: number;
};

export type Audit = {
  organizations: number;
  transactions: number;
  /** Organizations where Σ ledger, Σ lots, cached balance, running total or numbering disagree. */
  unlawful: number;
};

/** Far more than any run takes. */
const LOT_CREDITS = 1_000_000_000;
export const EVENT_NAME = "bench_call";
const YEAR_MS = 365 * 86_400_000;
const LEDGER = ["credit_transactions", "credit_entries", "credit_grants"];

export function organizationId(set: string, number: number): string {
  return `0190000${set}-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

export function ledgerRowsOf({ organizations, openLots, closedLots, consumed }: Population): number {
  return organizations * (openLots + 2 * closedLots + consumed);
}

/** The one event of the bench, which costs one credit. */
export async function seedEvent(client: pg.ClientBase): Promise<void> {
  await client.query(
    `INSERT INTO credit_events (id, name, description, category, cost, created_at, updated_at)
     VALUES (gen_random_uuid(), $1, 'A call', 'Bench', 1, now(), now())`,
    [EVENT_NAME],
  );
}

/**
 * Writes populations as if their past had been lived through. The client must be a superuser's: row-level security binds
 * even the owner.
 */
export async function seedPopulations(client: pg.ClientBase, populations: readonly Population[]): Promise<void> {
  // Rows of a past that can be made again need no flush of their own.
  await client.query("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'");
  await withoutIndexes(client, async () => {
    for (const population of populations) await seedPopulation(client, population);
  });
  await client.query(
    "VACUUM (ANALYZE) organizations, credit_accounts, credit_grants, credit_transactions, credit_entries",
  );
}

/** Indexes that are made over all rows at once cost a tenth of those that grow with each row. Keys stay. */
async function withoutIndexes(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
     FROM pg_index i
     WHERE i.indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`,
    [LEDGER],
  );
  for (const { name } of rows) await client.query(`DROP INDEX ${name}`);
  await work();
  for (const { definition } of rows) await client.query(definition);
}

/**
 * A past in this order: the lots that are closed by now are granted, then spent one by one; the open lots are granted;
 * the rest is taken from the first of them. Its rows carry no hashes, as those from before the chain began.
 */
async function seedPopulation(client: pg.ClientBase, population: Population): Promise<void> {
  const { set, organizations, openLots, closedLots, consumed } = population;
  const last = 2 * closedLots + openLots + consumed;
  // Rows up to here grant lots that get closed, spend them, and grant the open ones.
  const [granted, spent, opened] = [closedLots, 2 * closedLots, 2 * closedLots + openLots];
  const full = `${LOT_CREDITS}::bigint`;
  const since = `timestamptz '${new Date(Date.now() - YEAR_MS).toISOString()}'`;
  const at = `${since} + seq * interval '10 seconds'`;
  const lotId = "(lpad(to_hex(lot), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
  const each = `
    generate_series(1, ${organizations}) AS n
    CROSS JOIN LATERAL (SELECT ('0190000${set}-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS organization_id) o`;
  const eachRow = `${each} CROSS JOIN generate_series(1, ${last}) AS seq`;

  await client.query(`
    INSERT INTO organizations (id, slug, name, created_at)
    SELECT organization_id, 'bench-${set}-' || n, 'Bench ' || n, ${since} FROM ${each}`);
  await client.query(`
    INSERT INTO credit_accounts (organization_id, balance, last_seq, last_at, updated_at)
    SELECT organization_id, ${openLots} * ${full} - ${consumed}, seq, ${at}, ${at} FROM ${each} CROSS JOIN (SELECT ${last} AS seq) l`);
  await client.query(`
    INSERT INTO credit_grants (organization_id, id, source, amount, remaining, open, label, created_at)
    SELECT organization_id, ${lotId}, 'purchase', amount, remaining, remaining > 0, 'Lot ' || lot, ${since} + lot * interval '1 second'
    FROM ${each}
    CROSS JOIN generate_series(1, ${closedLots + openLots}) AS lot
    CROSS JOIN LATERAL (SELECT
      CASE WHEN lot <= ${closedLots} THEN 1 ELSE ${full} END AS amount,
      CASE WHEN lot <= ${closedLots} THEN 0 WHEN lot = ${closedLots + 1} THEN ${full} - ${consumed} ELSE ${full} END AS remaining) a`);
  await client.query(`
    INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key,
      request_hash, event_id, event_name, event_version, quantity, unit_cost, per_units, reason, actor, created_at, grant_id, lot_after,
      starts_run)
    SELECT organization_id, seq, ${TRANSACTION_ID}, CASE WHEN takes THEN 'consume' ELSE 'purchase' END::transaction_type,
      CASE WHEN takes THEN -1 WHEN seq <= ${granted} THEN 1 ELSE ${full} END, total, total,
      CASE WHEN takes THEN 'caller' ELSE 'billing' END::key_space, 'bench-seed-' || lpad(seq::text, 12, '0'), repeat('0', 64),
      CASE WHEN takes THEN e.id END, CASE WHEN takes THEN e.name END, CASE WHEN takes THEN e.version END,
      CASE WHEN takes THEN 1 END, CASE WHEN takes THEN 1 END, CASE WHEN takes THEN 1 END, CASE WHEN NOT takes THEN 'Pack' END, 'bench', at,
      ${lotId}, lot_after, starts_run
    FROM ${eachRow}
    CROSS JOIN (SELECT id, name, version FROM credit_events WHERE name = '${EVENT_NAME}') e
    CROSS JOIN LATERAL (SELECT
      ${at} AS at,
      (seq > ${granted} AND seq <= ${spent}) OR seq > ${opened} AS takes,
      CASE WHEN seq <= ${granted} THEN seq
           WHEN seq <= ${spent} THEN ${spent} - seq
           WHEN seq <= ${opened} THEN (seq - ${spent}) * ${full}
           ELSE ${openLots} * ${full} - (seq - ${opened}) END AS total,
      CASE WHEN seq <= ${granted} THEN seq WHEN seq <= ${opened} THEN seq - ${closedLots} ELSE ${closedLots + 1} END AS lot,
      CASE WHEN seq <= ${granted} THEN 1 WHEN seq <= ${spent} THEN 0 WHEN seq <= ${opened} THEN ${full}
           ELSE ${full} - (seq - ${opened}) END AS lot_after,
      CASE WHEN seq <= ${opened} + 1 THEN true END AS starts_run) t`);
}

/** A UUIDv7 that carries the row's number, as `newTransactionId` makes them; the organization's number stands for chance. */
const TRANSACTION_ID = `(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000'
      || to_hex(-9223372036854775808 + seq::bigint * 4194304 + n))::uuid`;

/** Reads every ledger of a database and compares all that must agree: law 2 of the design, from zero. */
export async function auditLedgers(client: pg.ClientBase): Promise<Audit> {
  const { rows } = await client.query<{ organizations: string; transactions: string; unlawful: string }>(`
    WITH ledger AS (
      SELECT organization_id, count(*) AS rows, sum(amount) AS total, max(seq) AS last_seq, min(balance_after) AS least
      FROM credit_transactions GROUP BY organization_id
    ), movements AS (
      SELECT organization_id, sum(amount) AS total FROM credit_movements GROUP BY organization_id
    ), lots AS (
      SELECT organization_id, sum(remaining) AS total FROM credit_grants GROUP BY organization_id
    )
    SELECT count(*) AS organizations, coalesce(sum(l.rows), 0) AS transactions,
      count(*) FILTER (WHERE
        a.balance IS DISTINCT FROM coalesce(l.total, 0) OR a.balance IS DISTINCT FROM coalesce(g.total, 0)
        OR a.balance IS DISTINCT FROM coalesce(m.total, 0) OR a.last_seq IS DISTINCT FROM coalesce(l.last_seq, 0)
        OR a.last_seq IS DISTINCT FROM coalesce(l.rows, 0) OR l.least < 0
        OR a.balance IS DISTINCT FROM coalesce(t.balance_after, 0)) AS unlawful
    FROM credit_accounts a
    LEFT JOIN ledger l USING (organization_id)
    LEFT JOIN movements m USING (organization_id)
    LEFT JOIN lots g USING (organization_id)
    LEFT JOIN credit_transactions t ON t.organization_id = a.organization_id AND t.seq = a.last_seq`);
  const [row] = rows;
  if (!row) throw new Error("an audit answers with one row");
  return {
    organizations: Number(row.organizations),
    transactions: Number(row.transactions),
    unlawful: Number(row.unlawful),
  };
}
