// Rolls usage up from the ledger into quarters of an hour, so that reading months of it does not read the ledger. Each row
// counts once, however many workers run: what is counted and how far the ledger is counted change in one statement, under
// the lock of the organization's cursor. What counts is a rule of `domain/usage`; reading is in `usage.ts`.
import { SLOT_MS, USAGE_WEIGHTS } from "~/domain/usage";
import { asPlatform, Prisma, type Transaction } from "../db";

/** Ledger rows of one transaction: some tenths of a second, after which others get their turn and nothing is lost. */
const ROWS_AT_ONCE = 20_000;
/** Organizations that are this little behind are rolled up together: most are, most minutes. */
const LITTLE_BEHIND_ROWS = 500;
const ORGANIZATIONS_AT_ONCE = 100;

/** Stands for "no key" in the key of a slot, which cannot hold a null. */
export const NO_KEY = "00000000-0000-0000-0000-000000000000";

/** The rule as a table to join ledger rows with. */
export const weights = Prisma.sql`unnest(
  ${USAGE_WEIGHTS.map(({ type }) => type)}::text[], ${USAGE_WEIGHTS.map(({ quantity }) => quantity)}::int[],
  ${USAGE_WEIGHTS.map(({ calls }) => calls)}::int[]) AS weight (type, quantity, calls)`;

export interface Backlog {
  organizationId: string;
  /** Ledger rows that are not rolled up yet. */
  rows: number;
}

/**
 * Organizations whose ledger goes on beyond what is rolled up, those with the most rows first: whoever has to wait for a
 * later run has a short rest, which every read adds up itself.
 */
export function listOrganizationsBehind(limit: number): Promise<Backlog[]> {
  return asPlatform(async (tx) => {
    // Two tables of one narrow row an organization: some tens of milliseconds for a hundred thousand of them, once a minute.
    // An index on `last_seq` would cost every take more than that.
    const rows = await tx.$queryRaw<{ organization_id: string; rows: bigint }[]>`
      SELECT a.organization_id, a.last_seq - coalesce(c.seq, 0) AS rows
      FROM credit_accounts a LEFT JOIN credit_usage_cursors c ON c.organization_id = a.organization_id
      WHERE a.last_seq > coalesce(c.seq, 0)
      ORDER BY 2 DESC, 1 LIMIT ${limit}::int`;
    return rows.map((row) => ({ organizationId: row.organization_id, rows: Number(row.rows) }));
  });
}

/**
 * Rolls organizations up that are behind, those furthest behind first.
 * @param limits ledger rows and organizations of one run, about; what is left is for the next one
 * @returns how many ledger rows were gone through
 */
export async function rollUpBacklog(limits: { rows: number; organizations: number }): Promise<number> {
  let gone = 0;
  let together: string[] = [];
  for (const { organizationId, rows } of await listOrganizationsBehind(limits.organizations)) {
    if (gone >= limits.rows) return gone;
    if (rows > LITTLE_BEHIND_ROWS) {
      gone += await rollUpUsage(organizationId, limits.rows - gone);
      continue;
    }
    together.push(organizationId);
    if (together.length < ORGANIZATIONS_AT_ONCE) continue;
    gone += await rollUpOnce(together, LITTLE_BEHIND_ROWS);
    together = [];
  }
  if (together.length > 0) gone += await rollUpOnce(together, LITTLE_BEHIND_ROWS);
  return gone;
}

/**
 * Rolls one organization's ledger up to its last row, one bounded transaction after the other. Any number of callers may do
 * so at once; each row is counted by one of them.
 * @param mostRows where to stop although there is more
 * @returns how many ledger rows were gone through
 */
export async function rollUpUsage(organizationId: string, mostRows = Number.MAX_SAFE_INTEGER): Promise<number> {
  let gone = 0;
  while (gone < mostRows) {
    const rows = await rollUpOnce([organizationId], Math.min(ROWS_AT_ONCE, mostRows - gone));
    if (rows === 0) break;
    gone += rows;
  }
  return gone;
}

/**
 * Forgets what was rolled up of an organization and counts its ledger anew. Whoever reads meanwhile gets right numbers, from
 * the ledger.
 */
export async function rebuildUsage(organizationId: string): Promise<number> {
  await asPlatform(async (tx) => {
    await lockCursors(tx, [organizationId]);
    await tx.creditUsageSlot.deleteMany({ where: { organizationId } });
    await tx.creditUsageCursor.update({ where: { organizationId }, data: { seq: 0n } });
  });
  return rollUpUsage(organizationId);
}

/** @param mostRows of each organization */
function rollUpOnce(organizationIds: readonly string[], mostRows: number): Promise<number> {
  return asPlatform(async (tx) => {
    await lockCursors(tx, organizationIds);
    // One statement, and so one view of the ledger: the rows that are counted are those that the cursors move over.
    const [row] = await tx.$queryRaw<{ rows: bigint }[]>`
      WITH reach AS MATERIALIZED (
        SELECT c.organization_id, c.seq AS rolled, least(a.last_seq, c.seq + ${mostRows}::bigint) AS upto
        FROM credit_usage_cursors c JOIN credit_accounts a ON a.organization_id = c.organization_id
        WHERE c.organization_id = ANY (${organizationIds}::uuid[])
      ), counted AS (
        INSERT INTO credit_usage_slots AS s (organization_id, slot, event_name, api_key_id, project, credits, quantity, calls)
        SELECT reach.organization_id, t.slot, t.event_name, t.api_key_id, t.project, t.credits, t.quantity, t.calls
        FROM reach CROSS JOIN LATERAL (
          SELECT date_bin(${SLOT_MS}::int * interval '1 millisecond', t.created_at, 'epoch'::timestamptz) AS slot,
            coalesce(t.event_name, '') AS event_name, coalesce(t.api_key_id, ${NO_KEY}::uuid) AS api_key_id,
            coalesce(t.project, '') AS project, -sum(t.amount)::bigint AS credits,
            sum(coalesce(t.quantity, 0) * weight.quantity)::bigint AS quantity, sum(weight.calls)::bigint AS calls
          FROM credit_transactions t JOIN ${weights} ON weight.type = t.type::text
          WHERE t.organization_id = reach.organization_id AND t.seq > reach.rolled AND t.seq <= reach.upto
          GROUP BY 1, 2, 3, 4
        ) t
        ON CONFLICT (organization_id, slot, event_name, api_key_id, project) DO UPDATE SET
          credits = s.credits + excluded.credits, quantity = s.quantity + excluded.quantity, calls = s.calls + excluded.calls
      ), moved AS (
        UPDATE credit_usage_cursors c SET seq = reach.upto FROM reach
        WHERE c.organization_id = reach.organization_id AND c.seq < reach.upto
        RETURNING reach.upto - reach.rolled AS rows
      )
      SELECT coalesce(sum(rows), 0)::bigint AS rows FROM moved`;
    return Number(row?.rows ?? 0n);
  });
}

/** Whoever rolls up or rebuilds an organization waits here for the other; in the order of ids, so that nobody waits in a circle. */
async function lockCursors(tx: Transaction, organizationIds: readonly string[]): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO credit_usage_cursors (organization_id, seq)
    SELECT id, 0 FROM unnest(${organizationIds}::uuid[]) AS wanted (id) ORDER BY id
    ON CONFLICT (organization_id) DO NOTHING`;
  await tx.$queryRaw`
    SELECT organization_id FROM credit_usage_cursors WHERE organization_id = ANY (${organizationIds}::uuid[])
    ORDER BY organization_id FOR UPDATE`;
}
