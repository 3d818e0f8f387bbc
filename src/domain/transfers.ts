// Transfers: credits that go from one organization to another with their expiry, origin and the payment behind them.
import type { Account, AccountLot, Cause, LedgerRow, NewLot } from "./account";
import { settleAccount } from "./claims";
import { type Credits, freeCredits, insufficient, toCredits } from "./credits";
import { invariant } from "./errors";
import { requireSpendable } from "./spending";

/** Nobody paid for promotions and trials, and what a refund or dispute claims stays where it can be found. */
export function isTransferable(lot: AccountLot): boolean {
  return lot.transferable && (lot.originSource ?? lot.source) !== "promotion" && lot.toTake === 0 && lot.toFreeze === 0;
}

/**
 * The credits that a transfer of an amount would take, in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available, transferable }`, ACCOUNT_SUSPENDED
 */
export function pickTransferable(account: Account, amount: Credits, at: Date): { lot: AccountLot; amount: Credits }[] {
  requireSpendable(account);
  const parts: { lot: AccountLot; amount: Credits }[] = [];
  let open: number = amount;
  for (const lot of account.state.lots) {
    const free = isTransferable(lot) ? freeCredits(lot, at) : 0;
    const part = Math.min(open, free);
    if (part <= 0) continue;
    parts.push({ lot, amount: toCredits(part) });
    open -= part;
  }
  if (open > 0) throw insufficient(amount, account.available(at), { transferable: amount - open });
  return parts;
}

/** What arrives of a lot that was transferred in part or whole. */
export interface TransferredPart {
  lot: AccountLot;
  amount: Credits;
}

/** Takes the parts out of the giver's lots. @param held whether a hold had set them aside (a gift) */
export function moveOut(
  account: Account,
  parts: readonly TransferredPart[],
  movement: { cause: Cause; holdId?: string; held: boolean; at: Date },
): LedgerRow {
  for (const part of parts) {
    part.lot.transferred += part.amount;
    account.changedClaims.add(part.lot);
  }
  return account.post({
    type: "transfer",
    cause: movement.cause,
    entries: parts.map((part) => ({ lot: part.lot, amount: -part.amount, held: movement.held ? -part.amount : 0 })),
    ...(movement.holdId ? { holdId: movement.holdId } : {}),
    at: movement.at,
  });
}

/** Puts lots into the receiver's account, one for each part, with everything that they carried. */
export function moveIn(account: Account, lots: readonly NewLot[], cause: Cause, at: Date): LedgerRow {
  invariant(lots.length > 0, "a transfer moves something");
  const opened = lots.map((lot) => account.openLot(lot));
  const row = account.post({
    type: "transfer",
    cause,
    entries: opened.map((lot) => ({ lot, amount: lot.amount })),
    newLots: [...lots],
    at,
  });
  settleAccount(account, at);
  return row;
}

/** Takes a claimed gift out of its hold and ends it. @returns the parts that go to the receiver */
export function takeGift(
  account: Account,
  holdId: string,
  cause: Cause,
  at: Date,
): { row: LedgerRow; parts: TransferredPart[] } | null {
  const held = account.state.holds.get(holdId);
  if (!held?.open || held.leaseEndsAt <= at) return null;
  const parts = held.lots.map(([grantId, amount]) => {
    const lot = account.findLot(grantId);
    invariant(lot, "a lot of an open hold is open");
    return { lot, amount: toCredits(amount) };
  });
  held.captured = held.remaining;
  held.remaining = 0;
  held.lots = [];
  held.open = false;
  held.endedAt = at;
  account.state.holds.delete(holdId);
  account.changedHolds.add(held);
  return { row: moveOut(account, parts, { cause, holdId, held: true, at }), parts };
}
