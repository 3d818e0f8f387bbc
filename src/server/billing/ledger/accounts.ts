// Moving credits inside somebody's transaction: lock the accounts, let a rule decide, write. What callers send one by one
// by the thousand (consume, hold, capture) goes through the group commit instead; both write by the same statement.
import { Account, type LedgerKey } from "~/domain/account";
import { BillingError, invariant } from "~/domain/errors";
import { endLeases } from "~/domain/holds";
import type { Transaction } from "../../db";
import { newTransactionId } from "../../db/keys";
import {
  type KnownRow,
  readAccount,
  readKnown,
  readLot,
  type StoredAccount,
  type StoredKnown,
  type StoredLot,
} from "./load";
import { PARAMETER_TYPES, writeParameters } from "./save";

/**
 * Locks organizations' accounts, in the order of their ids, until the transaction ends. Holds whose lease is over are ended first.
 * The transaction must have the platform's role.
 * @throws BillingError NOT_FOUND where there is none, or it is deleted
 */
export async function lockAccounts(tx: Transaction, organizationIds: readonly string[], now: Date): Promise<Account[]> {
  const wanted = [...new Set(organizationIds)];
  const rows = await tx.$queryRaw<{ state: StoredAccount }[]>`SELECT state FROM ledger_lock(${wanted}::uuid[])`;
  const states = new Map(rows.map(({ state }) => [state.organizationId, readAccount(state)]));
  return organizationIds.map((organizationId) => {
    const state = states.get(organizationId);
    if (!state || state.deleted)
      throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const account = new Account(state, newTransactionId);
    endLeases(account, now);
    return account;
  });
}

export async function lockAccount(tx: Transaction, organizationId: string, now: Date): Promise<Account> {
  const [account] = await lockAccounts(tx, [organizationId], now);
  invariant(account, "an account that was asked for is there or was refused");
  return account;
}

// Prisma sends text, so each parameter's type is named.
const WRITE = `SELECT ledger_write(${PARAMETER_TYPES.map((type, index) => `$${index + 1}::text::${type}`).join(", ")}) AS refused`;

/** Writes what was decided on locked accounts. */
export async function saveAccounts(tx: Transaction, accounts: readonly Account[]): Promise<void> {
  const changed = accounts.filter((account) => account.isChanged);
  if (changed.length === 0) return;
  const rows = await tx.$queryRawUnsafe<{ refused: unknown }[]>(WRITE, ...writeParameters(changed, null));
  invariant(rows[0]?.refused === null, `accounts under lock are written: ${JSON.stringify(rows[0]?.refused)}`);
}

/**
 * What stands under a key of an organization whose account is locked.
 * @throws BillingError IDEMPOTENCY_CONFLICT where the key stands for another request
 */
export async function findByKey(tx: Transaction, organizationId: string, key: LedgerKey): Promise<KnownRow | null> {
  const [row] = await tx.$queryRaw<{ known: StoredKnown }[]>`
    SELECT to_json(k) AS known FROM ledger_known(ARRAY[${organizationId}::uuid], ARRAY[${key.space}::key_space], ARRAY[${key.key}]) k`;
  if (!row) return null;
  const known = readKnown(row.known);
  requireSameRequest(known.id, known.requestHash, key);
  return known;
}

/** @throws BillingError IDEMPOTENCY_CONFLICT where a key stands for another request than the one it comes with now */
export function requireSameRequest(transactionId: string, requestHash: string, key: LedgerKey): void {
  if (requestHash === key.requestHash) return;
  throw new BillingError("IDEMPOTENCY_CONFLICT", "This idempotency key was used for another request.", {
    idempotencyKey: key.key,
    transactionId,
  });
}

/** Brings lots into a decision that may be closed and were therefore not loaded. The account is locked. */
export async function loadLots(tx: Transaction, account: Account, grantIds: readonly string[]): Promise<void> {
  const missing = grantIds.filter((id) => !account.findLot(id));
  if (missing.length === 0) return;
  const rows = await tx.$queryRaw<{ lot: StoredLot }[]>`
    SELECT ledger_lot(g) AS lot FROM credit_grants g
    WHERE g.organization_id = ${account.state.organizationId}::uuid AND g.id = ANY (${missing}::uuid[])`;
  for (const { lot } of rows) account.addKnownLot(readLot(lot));
}
