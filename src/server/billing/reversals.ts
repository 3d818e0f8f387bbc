// Giving a take back: what the ledger says of it, loaded for the rule that undoes it.
import type { Account } from "~/domain/account";
import { type Credits, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import type { PricedEvent } from "~/domain/rate-card";
import { reverse, type Taken } from "~/domain/spending";
import { asPlatform, type Transaction } from "../db";
import { seqOfTransactionId } from "../db/keys";
import { type Allocation, callerKey, causeOf } from "./credits";
import { findByKey, loadLots, lockAccount, saveAccounts } from "./ledger/accounts";
import type { KnownRow } from "./ledger/load";
import { movementsOf } from "./ledger/movements";
import { settledAnswer } from "./ledger/settling";

export interface ReversalRequest {
  organizationId: string;
  /** The take that is given back. */
  transactionId: string;
  /** null: everything that is left of it. */
  amount: Credits | null;
  reason: string;
  idempotencyKey: string;
  actor: string;
  now: Date;
}

export interface Reversal {
  transactionId: string;
  reversed: number;
  /**
   * What could be spent right after it, and after it has paid what was owed; what came back to lots that have expired is not,
   * nor what a refund or dispute claims of them.
   */
  available: number;
  /** Which lots got how much back, last taken first. */
  allocations: Allocation[];
  replayed: boolean;
}

/**
 * Gives back a take, whole or in part, to the lots that paid for it; again and again until nothing of it is left.
 * @throws BillingError NOT_FOUND (organization, transaction), INVALID_INPUT where it is no take, or more is asked for than is
 *   left of it `{ reversible }`, IDEMPOTENCY_CONFLICT
 */
export function reverseConsumption(request: ReversalRequest): Promise<Reversal> {
  const { organizationId, transactionId, amount, reason, now } = request;
  const key = callerKey(request.idempotencyKey, { operation: "reverse", transactionId, amount, reason });
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const known = await findByKey(tx, organizationId, key);
    if (known) return reversalOf(tx, organizationId, known, true);
    const taken = await getTake(tx, account, transactionId);
    const row = reverse(account, taken, amount, { ...causeOf(request, key), reason }, now);
    await saveAccounts(tx, [account]);
    return reversalOf(tx, organizationId, row, false);
  });
}

async function reversalOf(
  tx: Transaction,
  organizationId: string,
  row: Pick<KnownRow, "id" | "seq" | "amount" | "entries">,
  replayed: boolean,
): Promise<Reversal> {
  return { ...(await settledAnswer(tx, organizationId, row, replayed)), reversed: row.amount };
}

/** A take with what earlier reversals left of it; brings its lots into the decision. @throws BillingError NOT_FOUND, INVALID_INPUT */
async function getTake(tx: Transaction, account: Account, transactionId: string): Promise<Taken> {
  const { organizationId } = account.state;
  const seq = BigInt(seqOfTransactionId(transactionId));
  const row = await tx.creditTransaction.findFirst({ where: { organizationId, seq, id: transactionId } });
  if (!row) throw new BillingError("NOT_FOUND", "There is no such transaction.", { transactionId });
  if (row.type !== "consume") {
    throw new BillingError("INVALID_INPUT", "Only what was consumed can be given back.", { type: row.type });
  }
  const reversals = await tx.creditTransaction.findMany({
    where: { organizationId, correctsSeq: seq, type: "reversal" },
    select: { seq: true },
  });
  const movements = await movementsOf(tx, organizationId, [seq, ...reversals.map((reversal) => reversal.seq)]);
  // The take's own come first, in burn order; what came back to each of its lots is of the other sign.
  const left = new Map<string, number>();
  for (const { grantId, amount } of movements) left.set(grantId, (left.get(grantId) ?? 0) - Number(amount));
  const lots = [...left].map(([grantId, amount]) => ({ grantId, amount }));
  await loadLots(
    tx,
    account,
    lots.map(({ grantId }) => grantId),
  );
  return {
    seq: Number(seq),
    at: row.createdAt,
    event: eventOf(row),
    spender: { apiKeyId: row.apiKeyId, memberId: row.memberId, project: row.project },
    amount: -Number(row.amount),
    held: {
      amount: -Number(row.held),
      windows: row.holdId === null ? [] : await windowsOfHold(tx, account, row.holdId),
    },
    lots,
  };
}

async function windowsOfHold(tx: Transaction, account: Account, id: string): Promise<[string, number][]> {
  const { organizationId } = account.state;
  const held = await tx.creditHold.findFirst({ where: { organizationId, id }, select: { budgets: true } });
  return (held?.budgets ?? []) as [string, number][];
}

type StoredTake = NonNullable<Awaited<ReturnType<Transaction["creditTransaction"]["findFirst"]>>>;

function eventOf({ eventId, eventName, eventVersion, unitCost, perUnits }: StoredTake): PricedEvent | null {
  if (eventId === null || eventName === null || unitCost === null) return null;
  const cost = toCredits(unitCost);
  return { id: eventId, name: eventName, version: eventVersion ?? 1, cost, perUnits: Number(perUnits ?? 1n) };
}
