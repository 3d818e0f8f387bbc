// Statements: what an organization had at the beginning of a range, what moved, and what it had at the end; and the same
// rows as CSV, page by page.
import type { TransactionType } from "~/domain/account";
import { toCredits } from "~/domain/credits";
import { type CsvCell, csvLine } from "~/domain/csv";
import { BillingError } from "~/domain/errors";
import { asOrganization, type Transaction } from "../db";
import { seqBefore } from "./ledger/instants";
import { type RowSummary, summaryOf } from "./transactions";

export interface StatementRange {
  organizationId: string;
  /** From this instant on, to before that one. */
  from: Date;
  to: Date;
}

export interface StatementTotals {
  /** By type; the amounts of all of them lead from the opening balance to the closing one. */
  byType: { type: TransactionType; rows: number; amount: number }[];
  /** What was spent, by event; null for what holds took without naming one. */
  byEvent: { eventName: string | null; rows: number; quantity: number; amount: number }[];
}

export interface Statement {
  from: Date;
  to: Date;
  /** Credits right before the range, and at its end (now, where it has not ended); with the last row by then. */
  opening: { balance: number; seq: number };
  closing: { balance: number; seq: number };
  /** With the first page only. */
  totals: StatementTotals | null;
  /** Oldest first. */
  items: RowSummary[];
  nextCursor: number | null;
}

interface Bounds {
  first: bigint;
  last: bigint;
}

/** A page of a statement. The cursor is the `seq` of the last row of the page before. @throws BillingError INVALID_INPUT */
export function getStatement(query: StatementRange & { cursor: number | null; limit: number }): Promise<Statement> {
  const { organizationId, from, to, cursor, limit } = query;
  return asOrganization(organizationId, async (tx) => {
    const bounds = await boundsOf(tx, query);
    const rows = await readRows(tx, organizationId, bounds, cursor, limit);
    return {
      from,
      to,
      opening: { balance: await balanceAt(tx, organizationId, bounds.first), seq: Number(bounds.first) },
      closing: { balance: await balanceAt(tx, organizationId, bounds.last), seq: Number(bounds.last) },
      totals: cursor === null ? await totalsOf(tx, organizationId, bounds) : null,
      items: rows.map(summaryOf),
      nextCursor: nextOf(rows, bounds),
    };
  });
}

export interface StatementCsv {
  /** Lines; with the names of the columns on the first page. Instants are UTC. */
  text: string;
  rows: number;
  /** Rows of the whole range. */
  total: number;
  nextCursor: number | null;
}

const COLUMNS = [
  "entry",
  "time_utc",
  "type",
  "event",
  "quantity",
  "cost",
  "per_units",
  "credits",
  "set_aside",
  "debt",
  "balance",
  "reason",
  "reference",
  "project",
  "member",
  "api_key",
  "by",
  "idempotency_key",
  "transaction",
];

/** A page of a statement's rows as CSV. The cursor is the one of the page before. @throws BillingError INVALID_INPUT */
export function statementCsv(query: StatementRange & { cursor: number | null; limit: number }): Promise<StatementCsv> {
  const { organizationId, cursor, limit } = query;
  return asOrganization(organizationId, async (tx) => {
    const bounds = await boundsOf(tx, query);
    const rows = await readRows(tx, organizationId, bounds, cursor, limit);
    const lines = rows.map((row) => csvLine(cellsOf(row)));
    return {
      text: `${cursor === null ? csvLine(COLUMNS) : ""}${lines.join("")}`,
      rows: rows.length,
      total: Number(bounds.last - bounds.first),
      nextCursor: nextOf(rows, bounds),
    };
  });
}

function cellsOf(row: StoredRow): CsvCell[] {
  const number = (value: bigint | null) => (value === null ? null : Number(value));
  return [
    Number(row.seq),
    row.createdAt.toISOString(),
    row.type,
    row.eventName,
    number(row.quantity),
    number(row.unitCost),
    number(row.perUnits),
    Number(row.amount),
    Number(row.held),
    Number(row.debt),
    Number(row.balanceAfter),
    row.reason,
    row.reference,
    row.project,
    row.memberId,
    row.apiKeyId,
    row.actor,
    row.keySpace === "caller" ? row.idempotencyKey : null,
    row.id,
  ];
}

/** The rows of a range: after `first`, up to `last`. Rows are never removed, so pages fit together whatever is added meanwhile. */
async function boundsOf(tx: Transaction, { organizationId, from, to }: StatementRange): Promise<Bounds> {
  if (from >= to) throw new BillingError("INVALID_INPUT", "The range must end after it begins.", { from, to });
  const account = await tx.creditAccount.findFirst({ where: { organizationId }, select: { organizationId: true } });
  if (!account) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  return { first: await seqBefore(tx, organizationId, from), last: await seqBefore(tx, organizationId, to) };
}

type StoredRow = NonNullable<Awaited<ReturnType<Transaction["creditTransaction"]["findFirst"]>>>;

function readRows(
  tx: Transaction,
  organizationId: string,
  { first, last }: Bounds,
  cursor: number | null,
  limit: number,
): Promise<StoredRow[]> {
  const after = cursor === null || BigInt(cursor) < first ? first : BigInt(cursor);
  return tx.creditTransaction.findMany({
    where: { organizationId, seq: { gt: after, lte: last } },
    orderBy: { seq: "asc" },
    take: limit,
  });
}

function nextOf(rows: readonly StoredRow[], { last }: Bounds): number | null {
  const newest = rows.at(-1)?.seq;
  return newest === undefined || newest >= last ? null : Number(newest);
}

async function balanceAt(tx: Transaction, organizationId: string, seq: bigint): Promise<number> {
  const row = await tx.creditTransaction.findFirst({ where: { organizationId, seq }, select: { balanceAfter: true } });
  return toCredits(row?.balanceAfter ?? 0n);
}

async function totalsOf(tx: Transaction, organizationId: string, { first, last }: Bounds): Promise<StatementTotals> {
  const rows = await tx.$queryRaw<
    { type: TransactionType; event_name: string | null; rows: bigint; quantity: bigint; amount: bigint }[]
  >`
    SELECT type::text AS type, CASE WHEN type = 'consume' THEN event_name END AS event_name, count(*)::bigint AS rows,
      coalesce(sum(quantity), 0)::bigint AS quantity, sum(amount)::bigint AS amount
    FROM credit_transactions WHERE organization_id = ${organizationId}::uuid AND seq > ${first}::bigint AND seq <= ${last}::bigint
    GROUP BY 1, 2 ORDER BY 1, 2`;
  const byType = new Map<TransactionType, StatementTotals["byType"][number]>();
  for (const row of rows) {
    const known = byType.get(row.type) ?? { type: row.type, rows: 0, amount: 0 };
    byType.set(row.type, { ...known, rows: known.rows + Number(row.rows), amount: known.amount + Number(row.amount) });
  }
  const byEvent = rows
    .filter((row) => row.type === "consume")
    .map((row) => ({
      eventName: row.event_name,
      rows: Number(row.rows),
      quantity: Number(row.quantity),
      amount: Number(row.amount),
    }));
  return {
    // What came, then what went.
    byType: [...byType.values()].sort((a, b) => b.amount - a.amount),
    byEvent: byEvent.sort((a, b) => a.amount - b.amount),
  };
}
