// Adjustments that take: the platform takes credits back, with a reason. What is spent or set aside stays as it is.
import type { Account, AccountLot, Cause, LedgerRow } from "./account";
import { type Credits, freeCredits, insufficient } from "./credits";

/**
 * Takes an amount back from what is free, in burn order or of one lot.
 * @throws BillingError INSUFFICIENT_CREDITS; the account is unchanged then
 */
export function takeAdjustment(
  account: Account,
  amount: Credits,
  of: AccountLot | null,
  cause: Cause,
  at: Date,
): LedgerRow {
  if (of !== null && freeCredits(of, at) < amount) throw insufficient(amount, freeCredits(of, at), { grantId: of.id });
  const parts = of === null ? account.take(amount, at) : [{ lot: of, amount }];
  return account.post({
    type: "adjustment",
    cause,
    entries: parts.map((part) => ({ lot: part.lot, amount: -part.amount })),
    at,
  });
}

/**
 * Takes back what is unspent of one lot, by a row that names the row that granted it.
 * @returns the row, or null where nothing is left to take
 */
export function undoGrant(
  account: Account,
  lot: AccountLot,
  grantSeq: number,
  cause: Cause,
  at: Date,
): LedgerRow | null {
  const free = freeCredits(lot, at);
  if (free === 0) return null;
  return account.post({
    type: "adjustment",
    cause,
    entries: [{ lot, amount: -free }],
    correctsSeq: grantSeq,
    at,
  });
}
