// Spending, granting and reading credits: load the account under its lock, decide by the pure rule, append to the ledger.
import {
  allocate,
  type Balance,
  balanceOf,
  burnQueue,
  type Credits,
  costOf,
  type GrantSource,
  isUsable,
  toCredits,
} from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization, asPlatform, type Prisma, type Transaction } from "../db";
import { fingerprint } from "../db/keys";
import {
  findByKey,
  type LedgerKey,
  loadOpenLots,
  lockAccount,
  type NewLot,
  type OpenLot,
  postGrant,
  postMovement,
  type TransactionType,
} from "./ledger";

export interface ConsumeRequest {
  organizationId: string;
  eventName: string;
  /** Units of the event; a positive whole number. */
  quantity: number;
  /** The caller's own key for this unit of work; the same one again takes nothing and gives the first answer. */
  idempotencyKey: string;
  metadata?: Prisma.InputJsonObject | undefined;
  actor: string;
  apiKeyId?: string | null;
  now: Date;
}

export interface Consumption {
  transactionId: string;
  consumed: Credits;
  /** What could be spent right after the take. */
  available: Credits;
  allocations: { grantId: string; source: GrantSource; amount: Credits }[];
  replayed: boolean;
}

/**
 * Takes what a quantity of an event costs, from the organization's lots in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available }`, UNKNOWN_EVENT, INACTIVE_EVENT, IDEMPOTENCY_CONFLICT,
 *   INVALID_INPUT (cost beyond a safe integer), NOT_FOUND (organization). Nothing is taken then.
 */
export function consumeCredits(request: ConsumeRequest): Promise<Consumption> {
  const { organizationId, eventName, quantity, now } = request;
  const key: LedgerKey = {
    space: "caller",
    key: request.idempotencyKey,
    requestHash: fingerprint({ operation: "consume", eventName, quantity, metadata: request.metadata ?? {} }),
  };
  return asOrganization(organizationId, async (tx) => {
    const account = await lockAccount(tx, organizationId);
    const known = await findByKey(tx, organizationId, key);
    if (known) {
      return {
        transactionId: known.id,
        consumed: toCredits(-known.amount),
        available: known.availableAfter,
        allocations: known.allocations,
        replayed: true,
      };
    }
    const event = await loadEvent(tx, organizationId, eventName);
    const lots = await loadOpenLots(tx, organizationId);

    const cost = costOf(event.unitCost, quantity);
    const allocations = allocate(lots, cost, account.held, account.burnOrder, now);

    const posted = await postMovement(tx, account, lots, {
      type: "consume",
      key,
      entries: allocations.map(({ grantId, amount }) => ({ grantId, amount: -amount })),
      event: { ...event, quantity },
      actor: request.actor,
      apiKeyId: request.apiKeyId ?? null,
      metadata: request.metadata ?? null,
      at: now,
    });
    return {
      transactionId: posted.id,
      consumed: cost,
      available: posted.availableAfter,
      allocations,
      replayed: false,
    };
  });
}

interface PricedEvent {
  id: string;
  name: string;
  version: number;
  unitCost: Credits;
}

async function loadEvent(tx: Transaction, organizationId: string, eventName: string): Promise<PricedEvent> {
  const [row] = await tx.$queryRaw<{ id: string; version: number; active: boolean; cost: bigint }[]>`
    SELECT e.id, e.version, e.active, coalesce(o.cost, e.cost) AS cost
    FROM credit_events e
    LEFT JOIN credit_event_overrides o ON o.event_id = e.id AND o.organization_id = ${organizationId}::uuid
    WHERE e.name = ${eventName}`;
  if (!row) throw new BillingError("UNKNOWN_EVENT", `There is no event "${eventName}".`, { eventName });
  if (!row.active) throw new BillingError("INACTIVE_EVENT", `The event "${eventName}" is not active.`, { eventName });
  return { id: row.id, name: eventName, version: row.version, unitCost: toCredits(row.cost) };
}

export interface GrantRequest {
  organizationId: string;
  amount: Credits;
  source: "promotion" | "adjustment";
  expiresAt: Date | null;
  reason: string;
  idempotencyKey: string;
  actor: string;
  apiKeyId?: string | null;
  now: Date;
}

export interface Granted {
  transactionId: string;
  grantId: string;
  available: Credits;
  replayed: boolean;
}

/**
 * Gives credits that nobody paid for, with a reason that stays in the ledger.
 * @throws BillingError INVALID_INPUT for an expiry that has passed, IDEMPOTENCY_CONFLICT, NOT_FOUND
 */
export function grantCredits(request: GrantRequest): Promise<Granted> {
  const { organizationId, amount, source, expiresAt, reason, now } = request;
  const key: LedgerKey = {
    space: "caller",
    key: request.idempotencyKey,
    requestHash: fingerprint({ operation: "grant", amount, source, expiresAt, reason }),
  };
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId);
    const known = await findByKey(tx, organizationId, key);
    if (known) return replayedGrant(known);
    if (expiresAt !== null && expiresAt <= now) {
      throw new BillingError("INVALID_INPUT", "The expiry must lie in the future.", { expiresAt });
    }
    const lots = await loadOpenLots(tx, organizationId);
    const lot: NewLot = { source, amount, expiresAt, label: reason };
    const posted = await postGrant(tx, account, lots, lot, {
      type: source,
      key,
      reason,
      actor: request.actor,
      apiKeyId: request.apiKeyId ?? null,
      at: now,
    });
    return {
      transactionId: posted.id,
      grantId: posted.grantId,
      available: posted.availableAfter,
      replayed: false,
    };
  });
}

function replayedGrant(known: NonNullable<Awaited<ReturnType<typeof findByKey>>>): Granted {
  return {
    transactionId: known.id,
    grantId: known.allocations[0]?.grantId ?? "",
    available: known.availableAfter,
    replayed: true,
  };
}

export interface PaidGrant {
  organizationId: string;
  /** The business key that makes it once: `allowance:<item>:<period start>:<slice>`, `checkout:<session>`. */
  businessKey: string;
  type: "grant" | "purchase";
  lot: NewLot;
  reason: string;
  now: Date;
}

/**
 * Grants what a payment or a trial entitles to, inside the caller's transaction. A grant of the same business key is left
 * as it is, whatever the catalogue says by now.
 * @returns whether something was granted
 */
export async function grantOnce(tx: Transaction, grant: PaidGrant): Promise<boolean> {
  const account = await lockAccount(tx, grant.organizationId);
  const key: LedgerKey = {
    space: "billing",
    key: grant.businessKey,
    requestHash: fingerprint(grant.businessKey),
  };
  if (await findByKey(tx, grant.organizationId, key)) return false;
  const lots = await loadOpenLots(tx, grant.organizationId);
  await postGrant(tx, account, lots, grant.lot, {
    type: grant.type,
    key,
    reason: grant.reason,
    actor: "billfold",
    at: grant.now,
  });
  return true;
}

/** Writes the expiry of the organization's lots whose time has come, a ledger row each. @returns how many */
export function expireLots(organizationId: string, now: Date): Promise<number> {
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId);
    let lots = await loadOpenLots(tx, organizationId);
    const due = lots.filter((lot) => !isUsable(lot, now));
    for (const lot of due) {
      await postMovement(tx, account, lots, {
        type: "expiry",
        key: { space: "billing", key: `expiry:${lot.id}`, requestHash: fingerprint(lot.id) },
        entries: [{ grantId: lot.id, amount: -lot.remaining }],
        reason: `${lot.label}: expired`,
        actor: "billfold",
        at: now,
      });
      lots = lots.filter((other) => other.id !== lot.id);
    }
    return due.length;
  });
}

/** Organizations that have lots whose expiry has come but is not in the ledger yet. */
export function listOrganizationsWithDueLots(now: Date, limit: number): Promise<string[]> {
  return asPlatform(async (tx) => {
    const rows = await tx.$queryRaw<{ organization_id: string }[]>`
      SELECT DISTINCT g.organization_id FROM credit_grants g JOIN organizations o ON o.id = g.organization_id
      WHERE g.open AND g.expires_at IS NOT NULL AND g.expires_at <= ${now}::timestamptz AND o.deleted_at IS NULL LIMIT ${limit}`;
    return rows.map((row) => row.organization_id);
  });
}

/** What the organization has at this instant. @throws BillingError NOT_FOUND */
export function getBalance(organizationId: string, now: Date): Promise<Balance> {
  return asOrganization(organizationId, async (tx) => {
    const account = await tx.creditAccount.findUnique({ where: { organizationId } });
    if (!account) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    return balanceOf(await loadOpenLots(tx, organizationId), toCredits(account.held), now);
  });
}

export interface Grant {
  id: string;
  source: GrantSource;
  label: string;
  amount: number;
  remaining: number;
  expiresAt: Date | null;
  createdAt: Date;
  /** 1 for the lot that is spent next; null for one that is spent or expired. */
  position: number | null;
}

/** The organization's lots: those that can be spent, in burn order, then the latest that are spent or expired. */
export function listGrants(organizationId: string, now: Date, closedLimit: number): Promise<Grant[]> {
  return asOrganization(organizationId, async (tx) => {
    const organization = await tx.organization.findUnique({
      where: { id: organizationId },
      select: { burnOrder: true },
    });
    if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const open = await tx.creditGrant.findMany({ where: { organizationId, open: true } });
    const lots = open.map((row) => ({ ...row, remaining: toCredits(row.remaining), amount: toCredits(row.amount) }));
    const queue = burnQueue(lots, organization.burnOrder, now);
    const queued = new Set(queue.map((lot) => lot.id));
    const closed = await tx.creditGrant.findMany({
      where: { organizationId, OR: [{ open: false }, { expiresAt: { lte: now } }] },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: closedLimit,
    });
    return [
      ...queue.map((lot, index) => toGrant(lot, index + 1)),
      ...closed.filter((row) => !queued.has(row.id)).map((row) => toGrant(row, null)),
    ];
  });
}

type GrantRow = Omit<Grant, "amount" | "remaining" | "position"> & {
  amount: number | bigint;
  remaining: number | bigint;
};

function toGrant(row: GrantRow, position: number | null): Grant {
  return {
    id: row.id,
    source: row.source,
    label: row.label,
    amount: toCredits(row.amount),
    remaining: toCredits(row.remaining),
    expiresAt: row.expiresAt,
    createdAt: row.createdAt,
    position,
  };
}

export interface TransactionRow {
  id: string;
  /** Number of the row in the organization's ledger. */
  seq: number;
  type: TransactionType;
  amount: number;
  balanceAfter: number;
  eventName: string | null;
  quantity: number | null;
  unitCost: number | null;
  reason: string | null;
  apiKeyName: string | null;
  /** How many lots it touched. */
  lots: number;
  createdAt: Date;
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
    const createdAt = { ...(query.from ? { gte: query.from } : {}), ...(query.to ? { lt: query.to } : {}) };
    const rows = await tx.creditTransaction.findMany({
      where: {
        organizationId,
        ...(query.cursor === null ? {} : { seq: { lt: BigInt(query.cursor) } }),
        ...(query.type === null ? {} : { type: query.type }),
        ...(query.from || query.to ? { createdAt } : {}),
        ...(query.search === null
          ? {}
          : {
              OR: [
                { eventName: { contains: query.search, mode: "insensitive" } },
                { reason: { contains: query.search, mode: "insensitive" } },
                { idempotencyKey: query.search },
              ],
            }),
      },
      orderBy: { seq: "desc" },
      take: limit + 1,
    });
    const page = rows.slice(0, limit);
    const seqs = page.map((row) => row.seq);
    const counts = await tx.creditEntry.groupBy({
      by: ["transactionSeq"],
      where: { organizationId, transactionSeq: { in: seqs } },
      _count: true,
    });
    const names = await apiKeyNames(
      tx,
      page.map((row) => row.apiKeyId),
    );
    const lots = new Map(counts.map((count) => [count.transactionSeq, count._count]));
    return {
      items: page.map((row) => ({
        id: row.id,
        seq: Number(row.seq),
        type: row.type,
        amount: toCredits(row.amount),
        balanceAfter: toCredits(row.balanceAfter),
        eventName: row.eventName,
        quantity: row.quantity === null ? null : Number(row.quantity),
        unitCost: row.unitCost === null ? null : Number(row.unitCost),
        reason: row.reason,
        apiKeyName: row.apiKeyId === null ? null : (names.get(row.apiKeyId) ?? null),
        lots: lots.get(row.seq) ?? 0,
        createdAt: row.createdAt,
      })),
      nextCursor: rows.length > limit ? Number(page.at(-1)?.seq) : null,
    };
  });
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
  burnOrder: "purchased_first" | "expiring_first";
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
    const row = await tx.creditTransaction.findFirst({ where: { organizationId, id: transactionId } });
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
    const names = await apiKeyNames(tx, [row.apiKeyId]);
    return {
      id: row.id,
      seq: Number(row.seq),
      type: row.type,
      amount: toCredits(row.amount),
      balanceAfter: toCredits(row.balanceAfter),
      eventName: row.eventName,
      quantity: row.quantity === null ? null : Number(row.quantity),
      unitCost: row.unitCost === null ? null : Number(row.unitCost),
      reason: row.reason,
      apiKeyName: row.apiKeyId === null ? null : (names.get(row.apiKeyId) ?? null),
      lots: touched.length,
      createdAt: row.createdAt,
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
): Promise<(OpenLot & { moved: number; position: number })[]> {
  const rows = await tx.$queryRaw<
    {
      id: string;
      source: GrantSource;
      label: string;
      expires_at: Date | null;
      created_at: Date;
      before: bigint;
      moved: bigint | null;
      position: number | null;
    }[]
  >`
    SELECT g.id, g.source::text AS source, g.label, g.expires_at, g.created_at,
           coalesce(last.lot_after, 0) AS before, mine.amount AS moved, mine.position
    FROM credit_grants g
    LEFT JOIN credit_entries mine ON mine.organization_id = g.organization_id AND mine.grant_id = g.id AND mine.transaction_seq = ${seq}::bigint
    LEFT JOIN LATERAL (
      SELECT e.lot_after FROM credit_entries e
      WHERE e.organization_id = g.organization_id AND e.grant_id = g.id AND e.transaction_seq < ${seq}::bigint
      ORDER BY e.transaction_seq DESC LIMIT 1
    ) last ON true
    WHERE g.organization_id = ${organizationId}::uuid AND (mine.amount IS NOT NULL OR last.lot_after > 0)`;
  return rows.map((row) => ({
    id: row.id,
    source: row.source,
    label: row.label,
    remaining: toCredits(row.before),
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    moved: Number(row.moved ?? 0n),
    position: row.position ?? 0,
  }));
}
