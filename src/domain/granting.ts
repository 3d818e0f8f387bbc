// Granting: new lots and the row that fills them. What is owed is paid from them at once.
import type { Account, Cause, LedgerRow, NewLot, TransactionType } from "./account";
import { settleAccount } from "./claims";

/** Adds a lot to the account. */
export function grant(account: Account, lot: NewLot, type: TransactionType, cause: Cause, at: Date): LedgerRow {
  return grantAll(account, [lot], type, cause, at);
}

/** Adds lots to the account, with one row. */
export function grantAll(
  account: Account,
  lots: readonly NewLot[],
  type: TransactionType,
  cause: Cause,
  at: Date,
): LedgerRow {
  const entries = lots.map((lot) => ({ lot: account.openLot(lot), amount: lot.amount }));
  const row = account.post({ type, cause, entries, newLots: [...lots], at });
  settleAccount(account, at);
  return row;
}
