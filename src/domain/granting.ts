// Granting: a new lot and the row that fills it. What is owed is paid from it at once.
import type { Account, Cause, LedgerRow, NewLot, TransactionType } from "./account";
import { settleAccount } from "./claims";

/** Adds a lot to the account. */
export function grant(account: Account, lot: NewLot, type: TransactionType, cause: Cause, at: Date): LedgerRow {
  const opened = account.openLot(lot);
  const row = account.post({ type, cause, entries: [{ lot: opened, amount: lot.amount }], newLots: [lot], at });
  settleAccount(account, at);
  return row;
}
