// Reading an organization's lots. They are made and spent in `credits.ts`.
import { burnQueue, type GrantSource, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization } from "../db";

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
