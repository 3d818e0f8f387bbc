// Reading an organization's lots. They are made and spent in `credits.ts`.
import { burnQueue, type Credits, compareLots, type GrantSource, isExpired, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization, type Transaction } from "../db";
import { sumMoved } from "./ledger/movements";

export interface Grant {
  id: string;
  source: GrantSource;
  label: string;
  amount: Credits;
  remaining: Credits;
  /** Part of `remaining` that holds and open disputes have set aside, and what of that the disputes froze. */
  held: Credits;
  frozen: Credits;
  expiresAt: Date | null;
  createdAt: Date;
  /** 1 for the lot that is spent next; null for one that has ended, and while all that is left of it is set aside. */
  position: number | null;
  /** Null while something is left of it. */
  ended: LotEnd | null;
}

/** How a lot came to its end, and where its credits went; what is in none of the parts was spent. */
export interface LotEnd {
  at: Date;
  how: "spent" | "expired" | "refunded" | "disputed" | "transferred" | "adjusted";
  expired: Credits;
  /** By refunds, lost disputes and adjustments. */
  takenBack: Credits;
  transferred: Credits;
}

/** The organization's lots: those that something is left of, in burn order, then the latest that have ended. */
export function listGrants(organizationId: string, now: Date, closedLimit: number): Promise<Grant[]> {
  return asOrganization(organizationId, async (tx) => {
    const organization = await tx.organization.findUnique({
      where: { id: organizationId },
      select: { burnOrder: true },
    });
    if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const stored = await tx.creditGrant.findMany({ where: { organizationId, open: true } });
    const freed = await freedByLease(tx, organizationId, now);
    const left = stored
      .map((row) => toGrant({ ...row, held: row.held - (freed.get(row.id) ?? 0n) }))
      .filter((lot) => lot.held > 0 || !isExpired(lot, now));
    const places = new Map(burnQueue(left, organization.burnOrder, now).map((lot, index) => [lot.id, index + 1]));
    const open = left
      .sort(compareLots(organization.burnOrder))
      .map((lot) => ({ ...lot, position: places.get(lot.id) ?? null }));
    return closedLimit === 0
      ? open
      : [...open, ...(await listClosed(tx, organizationId, { now, limit: closedLimit, open }))];
  });
}

/** By lot, what holds have set aside whose lease is over: it counts as free from that instant on, whether or not the job ran. */
async function freedByLease(tx: Transaction, organizationId: string, now: Date): Promise<Map<string, bigint>> {
  const rows = await tx.$queryRaw<{ grant_id: string; freed: bigint }[]>`
    SELECT (part ->> 0)::uuid AS grant_id, sum((part ->> 1)::bigint)::bigint AS freed
    FROM credit_holds h CROSS JOIN LATERAL jsonb_array_elements(h.lots) AS part
    WHERE h.organization_id = ${organizationId}::uuid AND h.open AND h.lease_ends_at <= ${now}::timestamptz
    GROUP BY 1`;
  return new Map(rows.map((row) => [row.grant_id, row.freed]));
}

async function listClosed(
  tx: Transaction,
  organizationId: string,
  { now, limit, open }: { now: Date; limit: number; open: readonly Grant[] },
): Promise<Grant[]> {
  const rows = await tx.creditGrant.findMany({
    where: {
      organizationId,
      OR: [{ open: false }, { expiresAt: { lte: now } }],
      // Past their expiry, and still needed by a hold.
      id: { notIn: open.filter((lot) => isExpired(lot, now)).map((lot) => lot.id) },
    },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    take: limit,
  });
  const ids = rows.map((row) => row.id);
  const ends = await lastMovements(tx, organizationId, ids);
  const takenBack = await sumTakenBack(tx, organizationId, rows);
  return rows.map((row) => {
    const lot = toGrant(row);
    const last = ends.get(row.id);
    const parts = { takenBack: toCredits(takenBack.get(row.id) ?? 0n), transferred: toCredits(row.transferred) };
    // Past its expiry, which the job has not written yet.
    if (row.expiresAt !== null && row.remaining > 0n) {
      const expired = toCredits(row.expired + row.remaining);
      return { ...lot, ended: { at: row.expiresAt, how: "expired", expired, ...parts } };
    }
    const how = ENDS[last?.type ?? ""] ?? "spent";
    return { ...lot, ended: { at: last?.at ?? lot.createdAt, how, expired: toCredits(row.expired), ...parts } };
  });
}

/** What the last movement of a lot has made of it; the others have spent it. */
const ENDS: Partial<Record<string, LotEnd["how"]>> = {
  expiry: "expired",
  refund: "refunded",
  dispute: "disputed",
  transfer: "transferred",
  adjustment: "adjusted",
};

// No row has this number.
const AFTER_ALL = Number.MAX_SAFE_INTEGER;

interface LastMovement {
  type: string;
  at: Date;
}

async function lastMovements(
  tx: Transaction,
  organizationId: string,
  grantIds: string[],
): Promise<Map<string, LastMovement>> {
  const rows = await tx.$queryRaw<{ grant_id: string; type: string; at: Date }[]>`
    SELECT g.id AS grant_id, t.type::text AS type, t.created_at AS at
    FROM unnest(${grantIds}::uuid[]) AS g (id)
    CROSS JOIN LATERAL last_movement(${organizationId}::uuid, g.id, ${AFTER_ALL}::bigint, true) last
    JOIN credit_transactions t ON t.organization_id = ${organizationId}::uuid AND t.seq = last.transaction_seq`;
  return new Map(rows.map((row) => [row.grant_id, row]));
}

/**
 * What refunds, lost disputes and adjustments took of each lot, less what they gave back. Not `taken`, which counts what had been
 * spent before and became a debt; but where that is nothing, what came of refunds and disputes was not taken of the lot.
 */
async function sumTakenBack(
  tx: Transaction,
  organizationId: string,
  lots: readonly { id: string; taken: bigint }[],
): Promise<Map<string, bigint>> {
  const adjusted = await sumMoved(tx, organizationId, ["adjustment"], { onlyTakes: true });
  const isClaimed = lots.some((lot) => lot.taken > 0n);
  const claimed = isClaimed ? await sumMoved(tx, organizationId, ["refund", "dispute"]) : new Map<string, bigint>();
  return new Map(
    lots.map(({ id, taken }) => [id, -(adjusted.get(id) ?? 0n) - (taken > 0n ? (claimed.get(id) ?? 0n) : 0n)]),
  );
}

type StoredGrant = NonNullable<Awaited<ReturnType<Transaction["creditGrant"]["findFirst"]>>>;

function toGrant(row: StoredGrant): Grant {
  return {
    id: row.id,
    source: row.source,
    label: row.label,
    amount: toCredits(row.amount),
    remaining: toCredits(row.remaining),
    held: toCredits(row.held),
    frozen: toCredits(row.frozen),
    expiresAt: row.expiresAt,
    createdAt: row.createdAt,
    position: null,
    ended: null,
  };
}
