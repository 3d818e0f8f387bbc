// What a movement led to by itself: the rows that its own commit added right after it, because credits that came in had to pay
// a debt, or were claimed by a refund or dispute.
import { invariant } from "~/domain/errors";
import type { Transaction } from "../../db";
import type { KnownRow } from "./load";

// Nearly always there is one more row, or none.
const STEP = 10;

/**
 * What could be spent after a row and everything that it led to in its own commit. The ledger's answer: the same whenever it is
 * asked. The account is locked, and saved.
 */
export async function availableAfterSettling(
  tx: Transaction,
  organizationId: string,
  { seq }: { seq: number },
): Promise<number> {
  let last: SettledRow | null = null;
  for (let from = BigInt(seq); ; from += BigInt(STEP)) {
    const rows: SettledRow[] = await tx.creditTransaction.findMany({
      where: { organizationId, seq: { gte: from, lt: from + BigInt(STEP) } },
      orderBy: { seq: "asc" },
      select: { seq: true, type: true, reference: true, idempotencyKey: true, availableAfter: true, createdAt: true },
    });
    for (const row of rows) {
      if (last !== null && !isSettling(row, last)) return Number(last.availableAfter);
      last = row;
    }
    invariant(last, "a row that is asked for is in the ledger");
    if (rows.length < STEP) return Number(last.availableAfter);
  }
}

/** The part of an answer that adjustments and reversals have in common. */
export async function settledAnswer(
  tx: Transaction,
  organizationId: string,
  row: Pick<KnownRow, "id" | "seq" | "entries">,
  replayed: boolean,
) {
  return {
    transactionId: row.id,
    available: await availableAfterSettling(tx, organizationId, row),
    allocations: row.entries.map(({ grantId, source, amount }) => ({ grantId, source, amount })),
    replayed,
  };
}

type SettledRow = Pick<
  NonNullable<Awaited<ReturnType<Transaction["creditTransaction"]["findFirst"]>>>,
  "seq" | "type" | "reference" | "idempotencyKey" | "availableAfter" | "createdAt"
>;

/** Whether a row was added by itself after the one before it: at its instant, and not for a refund or dispute that came in. */
function isSettling(row: SettledRow, before: SettledRow): boolean {
  if (row.createdAt.getTime() !== before.createdAt.getTime()) return false;
  const { type, reference } = row;
  if (type === "debt") return reference === null;
  // It refers to the lot, which its key names; what comes from Stripe refers to Stripe's object.
  return (type === "refund" || type === "dispute") && row.idempotencyKey === `${type}:${reference}:${row.seq}`;
}
