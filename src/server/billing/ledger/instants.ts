// Where an instant lies in an organization's ledger: at most as many rows as its number has bits are read for it.
import type { Transaction } from "../../db";

/** Number of the last row written before an instant; 0 where there is none. */
export async function lastSeqBefore(tx: Transaction, organizationId: string, at: Date): Promise<number> {
  const [row] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT ledger_seq_before(${organizationId}::uuid, ${at}::timestamptz) AS seq`;
  return Number(row?.seq ?? 0n);
}
