// Any instant is a prefix of an organization's ledger, because rows follow each other in time. The prefix is found by
// bisecting the primary key: a few pages are read, however long the ledger is.
import type { Transaction } from "../../db";

/** The number of the last row that was written before an instant; 0 where there was none. */
export async function seqBefore(tx: Transaction, organizationId: string, at: Date): Promise<bigint> {
  const [row] = await tx.$queryRaw<{ seq: bigint }[]>`
    SELECT ledger_seq_before(${organizationId}::uuid, ${at}::timestamptz) AS seq`;
  return row?.seq ?? 0n;
}

/** The number of the last row that was written by an instant, that one included; 0 where there was none. */
export function seqAt(tx: Transaction, organizationId: string, at: Date): Promise<bigint> {
  // Instants are whole milliseconds.
  return seqBefore(tx, organizationId, new Date(at.getTime() + 1));
}
