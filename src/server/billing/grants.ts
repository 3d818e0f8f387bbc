// Reading an organization's lots. They are made and spent in `credits.ts`.
import { burnQueue, type Credits, type GrantSource, isUsable, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization, type Transaction } from "../db";

export interface Grant {
  id: string;
  source: GrantSource;
  label: string;
  amount: Credits;
  remaining: Credits;
  /** Part of `remaining` that holds and open disputes have set aside. */
  held: Credits;
  expiresAt: Date | null;
  createdAt: Date;
  /** 1 for the lot that is spent next; null for one that is spent or expired. */
  position: number | null;
  /** When and how a lot came to its end; `expired` is what was lost then. Null while it can be spent. */
  ended: { at: Date; expired: Credits } | null;
}

/** The organization's lots: those that can be spent, in burn order, then the latest that are spent or expired. */
export function listGrants(organizationId: string, now: Date, closedLimit: number): Promise<Grant[]> {
  return asOrganization(organizationId, async (tx) => {
    const organization = await tx.organization.findUnique({
      where: { id: organizationId },
      select: { burnOrder: true },
    });
    if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const open = (await tx.creditGrant.findMany({ where: { organizationId, open: true } })).map(toGrant);
    const queue = burnQueue(open, organization.burnOrder, now);
    const spendable = queue.map((lot, index) => ({ ...lot, position: index + 1 }));
    return closedLimit === 0 ? spendable : [...spendable, ...(await listClosed(tx, organizationId, now, closedLimit))];
  });
}

async function listClosed(tx: Transaction, organizationId: string, now: Date, limit: number): Promise<Grant[]> {
  const rows = await tx.creditGrant.findMany({
    where: { organizationId, OR: [{ open: false }, { expiresAt: { lte: now } }] },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    take: limit,
  });
  const ends = await lastMovements(
    tx,
    organizationId,
    rows.map((row) => row.id),
  );
  return rows.map((row) => {
    const lot = toGrant(row);
    const last = ends.get(row.id);
    // Past its expiry, which the job has not written yet.
    const pending = lot.remaining > 0 && !isUsable(lot, now);
    if (pending && lot.expiresAt) return { ...lot, ended: { at: lot.expiresAt, expired: lot.remaining } };
    const expired = toCredits(last?.type === "expiry" ? -last.amount : 0n);
    return { ...lot, ended: { at: last?.at ?? lot.createdAt, expired } };
  });
}

interface LastMovement {
  type: string;
  amount: bigint;
  at: Date;
}

async function lastMovements(
  tx: Transaction,
  organizationId: string,
  grantIds: string[],
): Promise<Map<string, LastMovement>> {
  const rows = await tx.$queryRaw<{ grant_id: string; type: string; amount: bigint; at: Date }[]>`
    SELECT g.id AS grant_id, t.type::text AS type, last.amount, t.created_at AS at
    FROM unnest(${grantIds}::uuid[]) AS g (id)
    CROSS JOIN LATERAL (
      SELECT e.transaction_seq, e.amount FROM credit_entries e
      WHERE e.organization_id = ${organizationId}::uuid AND e.grant_id = g.id
      ORDER BY e.transaction_seq DESC LIMIT 1
    ) last
    JOIN credit_transactions t ON t.organization_id = ${organizationId}::uuid AND t.seq = last.transaction_seq`;
  return new Map(rows.map((row) => [row.grant_id, row]));
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
    expiresAt: row.expiresAt,
    createdAt: row.createdAt,
    position: null,
    ended: null,
  };
}
