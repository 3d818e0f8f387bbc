// Reading the ledger: its rows page by page, and one row with the lots that it touched and those that it did not reach.
import type { TransactionType } from "~/domain/account";
import { type BurnOrder, burnQueue, type GrantSource, type Lot, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization, type Transaction } from "../db";
import { seqOfTransactionId } from "../db/keys";
import { seqBefore } from "./ledger/instants";
import { displayNames } from "./members";

// What stands for something else in a pattern. Prisma hands it on as it is.
const LIKE_SIGNS = /[\\%_]/g;
const USER = /^user:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** A row, in short. */
export interface RowSummary {
  id: string;
  /** Number of the row in the organization's ledger. */
  seq: number;
  type: TransactionType;
  amount: number;
  /** Change of what is set aside, and of what is owed. */
  held: number;
  debt: number;
  balanceAfter: number;
  eventName: string | null;
  quantity: number | null;
  reason: string | null;
  createdAt: Date;
}

export interface TransactionRow extends RowSummary {
  unitCost: number | null;
  /** What caused it, where that is an object of somebody else: a refund, a dispute, the other side of a transfer. */
  reference: string | null;
  /** Inside the organization: what it was spent for. */
  project: string | null;
  apiKeyName: string | null;
  /** Who caused it, as people call it: the key, the person, "Billfold" for what it does by itself, or "Platform". */
  by: string;
  /** What a hold, or the end of one, is for; null where its event was not said. */
  holdEventName: string | null;
  /** How many lots it touched. */
  lots: number;
}

/** A page of the ledger, newest first. The cursor is the `seq` of the last row of the page before. */
export function listTransactions(query: {
  organizationId: string;
  cursor: number | null;
  limit: number;
  type: TransactionType | null;
  search: string | null;
  from: Date | null;
  to: Date | null;
}): Promise<{ items: TransactionRow[]; nextCursor: number | null }> {
  const { organizationId, limit } = query;
  return asOrganization(organizationId, async (tx) => {
    // A time is a number of a row: nothing has to be read to skip what lies beyond it.
    const after = query.from === null ? null : await seqBefore(tx, organizationId, query.from);
    const until = query.to === null ? null : await seqBefore(tx, organizationId, query.to);
    const contains = { contains: query.search?.replace(LIKE_SIGNS, "\\$&") ?? "", mode: "insensitive" } as const;
    const rows = await tx.creditTransaction.findMany({
      where: {
        organizationId,
        seq: {
          ...(query.cursor === null ? {} : { lt: BigInt(query.cursor) }),
          ...(after === null ? {} : { gt: after }),
          ...(until === null ? {} : { lte: until }),
        },
        ...(query.type === null ? {} : { type: query.type }),
        ...(query.search === null
          ? {}
          : {
              OR: [{ eventName: contains }, { reason: contains }, { idempotencyKey: query.search }],
            }),
      },
      orderBy: { seq: "desc" },
      take: limit + 1,
    });
    const page = rows.slice(0, limit);
    const lots = await countLots(tx, organizationId, page);
    const names = await namesOf(tx, organizationId, page);
    return {
      items: page.map((row) => toTransactionRow(row, names, lots.get(row.seq) ?? 0)),
      nextCursor: rows.length > limit ? Number(page.at(-1)?.seq) : null,
    };
  });
}

/** A row as it is stored. */
export type StoredTransaction = NonNullable<Awaited<ReturnType<Transaction["creditTransaction"]["findFirst"]>>>;

/** By row, how many lots it touched; a row that touched none is not among them. */
async function countLots(
  tx: Transaction,
  organizationId: string,
  rows: readonly StoredTransaction[],
): Promise<Map<bigint, number>> {
  const one = rows.filter((row) => row.grantId !== null).map((row): [bigint, number] => [row.seq, 1]);
  const others = rows.filter((row) => row.grantId === null).map((row) => row.seq);
  if (others.length === 0) return new Map(one);
  const counts = await tx.creditEntry.groupBy({
    by: ["transactionSeq"],
    where: { organizationId, transactionSeq: { in: others } },
    _count: true,
  });
  return new Map([...one, ...counts.map((count): [bigint, number] => [count.transactionSeq, count._count])]);
}

interface RowNames {
  keys: Map<string, string>;
  people: Awaited<ReturnType<typeof displayNames>>;
  holds: Map<string, string | null>;
}

async function namesOf(tx: Transaction, organizationId: string, rows: readonly StoredTransaction[]): Promise<RowNames> {
  const keys = await apiKeyNames(
    tx,
    rows.map((row) => row.apiKeyId),
  );
  const people = [...new Set(rows.flatMap(({ actor }) => userIdOf(actor) ?? []))];
  return {
    keys,
    people: people.length === 0 ? new Map() : await displayNames(tx, people),
    holds: await holdEventNames(tx, organizationId, rows),
  };
}

function userIdOf(actor: string): string | null {
  return USER.exec(actor)?.[1] ?? null;
}

function actorInWords({ actor, apiKeyId }: StoredTransaction, names: RowNames): string {
  const key = apiKeyId === null ? undefined : names.keys.get(apiKeyId);
  if (key !== undefined) return key;
  if (actor === "billfold") return "Billfold";
  const userId = userIdOf(actor);
  // Whoever left, and the people of the platform, cannot be seen from within an organization.
  if (userId !== null) return names.people.get(userId) ?? "A person";
  return "Platform";
}

/** A stored row, in short. */
export function summaryOf(row: StoredTransaction): RowSummary {
  return {
    id: row.id,
    seq: Number(row.seq),
    type: row.type,
    amount: toCredits(row.amount),
    held: Number(row.held),
    debt: Number(row.debt),
    balanceAfter: toCredits(row.balanceAfter),
    eventName: row.eventName,
    quantity: row.quantity === null ? null : Number(row.quantity),
    reason: row.reason,
    createdAt: row.createdAt,
  };
}

function toTransactionRow(row: StoredTransaction, names: RowNames, lots: number): TransactionRow {
  return {
    ...summaryOf(row),
    unitCost: row.unitCost === null ? null : Number(row.unitCost),
    reference: row.reference,
    project: row.project,
    apiKeyName: row.apiKeyId === null ? null : (names.keys.get(row.apiKeyId) ?? null),
    by: actorInWords(row, names),
    holdEventName: row.holdId === null ? null : (names.holds.get(row.holdId) ?? null),
    lots,
  };
}

async function holdEventNames(
  tx: Transaction,
  organizationId: string,
  rows: readonly StoredTransaction[],
): Promise<Map<string, string | null>> {
  const ids = [...new Set(rows.flatMap(({ holdId }) => holdId ?? []))];
  if (ids.length === 0) return new Map();
  const holds = await tx.creditHold.findMany({
    where: { organizationId, id: { in: ids } },
    select: { id: true, eventName: true },
  });
  return new Map(holds.map((hold) => [hold.id, hold.eventName]));
}

async function apiKeyNames(tx: Transaction, ids: (string | null)[]): Promise<Map<string, string>> {
  const known = [...new Set(ids.filter((id) => id !== null))];
  if (known.length === 0) return new Map();
  const keys = await tx.apiKey.findMany({ where: { id: { in: known } }, select: { id: true, name: true } });
  return new Map(keys.map((key) => [key.id, key.name]));
}

export interface TransactionDetail extends TransactionRow {
  actor: string;
  idempotencyKey: string | null;
  metadata: Record<string, unknown> | null;
  burnOrder: BurnOrder;
  /** Every lot that could have paid, in burn order, with what it had before and what was taken (0: not reached). */
  queue: {
    grantId: string;
    label: string;
    source: GrantSource;
    expiresAt: Date | null;
    before: number;
    moved: number;
  }[];
}

/** One row of the ledger with the lots it touched and those that it did not reach. @throws BillingError NOT_FOUND */
export function getTransaction(organizationId: string, transactionId: string): Promise<TransactionDetail> {
  return asOrganization(organizationId, async (tx) => {
    const seq = BigInt(seqOfTransactionId(transactionId));
    const row = await tx.creditTransaction.findFirst({ where: { organizationId, seq, id: transactionId } });
    const organization = await tx.organization.findUnique({
      where: { id: organizationId },
      select: { burnOrder: true },
    });
    if (!row || !organization) throw new BillingError("NOT_FOUND", "There is no such transaction.", { transactionId });
    const lots = await lotsBefore(tx, organizationId, row.seq);
    const touched = lots.filter((lot) => lot.moved !== 0);
    const waiting = burnQueue(
      lots.filter((lot) => lot.moved === 0),
      organization.burnOrder,
      row.createdAt,
    );
    const names = await namesOf(tx, organizationId, [row]);
    return {
      ...toTransactionRow(row, names, touched.length),
      actor: row.actor,
      idempotencyKey: row.keySpace === "caller" ? row.idempotencyKey : null,
      metadata: row.metadata as Record<string, unknown> | null,
      burnOrder: organization.burnOrder,
      queue: [...touched.sort((a, b) => a.position - b.position), ...(row.type === "consume" ? waiting : [])].map(
        (lot) => ({
          grantId: lot.id,
          label: lot.label,
          source: lot.source,
          expiresAt: lot.expiresAt,
          before: lot.remaining,
          moved: lot.moved,
        }),
      ),
    };
  });
}

/** The lots as they stood just before a ledger row, with what that row moved in each. */
async function lotsBefore(
  tx: Transaction,
  organizationId: string,
  seq: bigint,
): Promise<(Lot & { label: string; moved: number; position: number })[]> {
  const rows = await tx.$queryRaw<
    {
      id: string;
      source: GrantSource;
      label: string;
      expires_at: Date | null;
      created_at: Date;
      before: bigint;
      held: bigint;
      moved: bigint | null;
      position: number | null;
    }[]
  >`
    SELECT g.id, g.source::text AS source, g.label, g.expires_at, g.created_at,
           coalesce(last.lot_after, 0) AS before, mine.amount AS moved, mine.position,
           (SELECT coalesce(sum(e.held), 0)::bigint FROM credit_movements e
            WHERE e.organization_id = g.organization_id AND e.grant_id = g.id AND e.transaction_seq < ${seq}::bigint AND e.held <> 0) AS held
    FROM credit_grants g
    LEFT JOIN credit_movements mine ON mine.organization_id = g.organization_id AND mine.grant_id = g.id AND mine.transaction_seq = ${seq}::bigint
    LEFT JOIN LATERAL last_movement(g.organization_id, g.id, ${seq}::bigint) last ON true
    WHERE g.organization_id = ${organizationId}::uuid AND (mine.amount IS NOT NULL OR last.lot_after > 0)`;
  return rows.map((row) => ({
    id: row.id,
    source: row.source,
    label: row.label,
    remaining: toCredits(row.before),
    held: toCredits(row.held),
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    moved: Number(row.moved ?? 0n),
    position: row.position ?? 0,
  }));
}
