// What ledger rows did to lots: read through the view that unites the rows that name their one lot with the entries of the others.
import type { TransactionType } from "~/domain/account";
import type { Transaction } from "../../db";

export interface LotMovement {
  /** Number of the row. */
  seq: bigint;
  grantId: string;
  amount: bigint;
  /** Change of what is set aside of the lot. */
  held: bigint;
  /** What the lot held after it. */
  lotAfter: bigint;
}

/** What rows moved in lots, by row and in the order in which each took them. */
export function movementsOf(tx: Transaction, organizationId: string, seqs: readonly bigint[]): Promise<LotMovement[]> {
  return tx.$queryRaw<LotMovement[]>`
    SELECT transaction_seq AS seq, grant_id AS "grantId", amount, held, lot_after AS "lotAfter" FROM credit_movements
    WHERE organization_id = ${organizationId}::uuid AND transaction_seq = ANY (${[...seqs]}::bigint[])
    ORDER BY transaction_seq, position`;
}

/**
 * By lot, the sum of what rows of types that are few have moved; with `onlyTakes`, of those alone that took from the balance. Such
 * rows are found by their index and asked one by one what they moved, while a lot's own may be millions: `OFFSET` keeps it so,
 * because under row-level security the planner does not know how few they are.
 */
export async function sumMoved(
  tx: Transaction,
  organizationId: string,
  types: readonly Exclude<TransactionType, "consume">[],
  { onlyTakes = false } = {},
): Promise<Map<string, bigint>> {
  const rows = await tx.$queryRaw<{ grant_id: string; amount: bigint }[]>`
    SELECT moved.grant_id, sum(moved.amount)::bigint AS amount FROM credit_transactions t
    CROSS JOIN LATERAL (
      SELECT e.grant_id, e.amount FROM credit_movements e
      WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq OFFSET 0
    ) moved
    WHERE t.organization_id = ${organizationId}::uuid AND t.type <> 'consume' AND t.type = ANY (${[...types]}::transaction_type[])
      AND (t.amount < 0 OR NOT ${onlyTakes})
    GROUP BY moved.grant_id`;
  return new Map(rows.map((row) => [row.grant_id, row.amount]));
}
