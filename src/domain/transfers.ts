// Transfers and gifts: credits that go from one organization to another, lot by lot, with their expiry, their origin and the
// payment behind them. What nobody paid for, and what a refund or dispute claims, does not go.
import type { Account, AccountHold, AccountLot, Cause, LedgerRow, NewLot } from "./account";
import { type Credits, freeCredits, isExpired, toCredits } from "./credits";
import { BillingError, invariant } from "./errors";
import { grantAll } from "./granting";
import { release } from "./holds";
import { isSpendable, requireSpendable } from "./spending";

/** Nobody paid for promotions and trials, and what a refund or dispute claims stays where it can be found. */
export function isTransferable(lot: AccountLot): boolean {
  return lot.transferable && firstSource(lot) !== "promotion" && lot.toTake === 0 && lot.toFreeze === 0;
}

/** What a lot was before it was ever transferred. */
function firstSource(lot: AccountLot): AccountLot["source"] {
  return lot.originSource ?? lot.source;
}

/** What of the account could be transferred at this instant. */
export function transferableCredits(account: Account, at: Date): Credits {
  if (!isSpendable(account, at)) return toCredits(0);
  let sum = 0;
  for (const lot of account.state.lots) if (isTransferable(lot)) sum += freeCredits(lot, at);
  return toCredits(sum);
}

/** A part of a lot that goes to somebody else. */
export interface TransferredPart {
  lot: AccountLot;
  amount: Credits;
}

/**
 * The credits that a transfer of an amount would take, in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available, transferable }`, ACCOUNT_SUSPENDED, PAYMENT_OVERDUE
 */
export function pickTransferable(account: Account, amount: Credits, at: Date): TransferredPart[] {
  requireSpendable(account, at);
  const parts: TransferredPart[] = [];
  let open: number = amount;
  for (const lot of account.state.lots) {
    const free = isTransferable(lot) ? freeCredits(lot, at) : 0;
    const part = Math.min(open, free);
    if (part <= 0) continue;
    parts.push({ lot, amount: toCredits(part) });
    open -= part;
  }
  if (open === 0) return parts;
  const available = account.available(at);
  const transferable = amount - open;
  const message = `${amount} credits were asked for; ${transferable} of the ${available} available ones can be given to others.`;
  throw new BillingError("INSUFFICIENT_CREDITS", message, { required: amount, available, transferable });
}

/** Takes the parts out of the giver's lots. @param movement.held whether a hold had set them aside (a gift) */
export function moveOut(
  account: Account,
  parts: readonly TransferredPart[],
  movement: { cause: Cause; holdId?: string; held: boolean; at: Date },
): LedgerRow {
  for (const part of parts) {
    invariant(isTransferable(part.lot) && !isExpired(part.lot, movement.at), "what is moved may be moved");
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

/** What a lot carries that no rule looks at: what was bought, and who was paid for it. */
export interface Carried {
  planId: string | null;
  planVersion: number | null;
  priceId: string | null;
  productId: string | null;
  stripeInvoiceId: string | null;
  stripePaymentId: string | null;
  stripeSessionId: string | null;
  /** Where the lot itself came from, when it had been transferred before. */
  originOrganizationId: string | null;
  originGrantId: string | null;
}

/** The receiver's lot for a part of one of the giver's: transferred on, it still names where the credits were first. */
export function arrivingLot(
  giver: Account,
  part: TransferredPart,
  carried: Carried,
  made: { id: string; label: string; at: Date },
): NewLot {
  const { lot, amount } = part;
  return {
    ...carried,
    id: made.id,
    source: "transfer",
    amount,
    expiresAt: lot.expiresAt,
    label: made.label,
    transferable: lot.transferable,
    createdAt: made.at,
    originOrganizationId: carried.originOrganizationId ?? giver.state.organizationId,
    originGrantId: carried.originGrantId ?? lot.id,
    originSource: firstSource(lot),
  };
}

/** Puts lots into the receiver's account, one for each part, with everything that they carried. */
export function moveIn(account: Account, lots: readonly NewLot[], cause: Cause, at: Date): LedgerRow {
  invariant(lots.length > 0, "a transfer moves something");
  return grantAll(account, lots, "transfer", cause, at);
}

/** A gift that waits to be claimed, or null where its hold has ended. */
export function findOpenGift(account: Account, holdId: string, at: Date): AccountHold | null {
  const held = account.state.holds.get(holdId);
  return held?.open && held.kind === "gift" && held.leaseEndsAt > at ? held : null;
}

/**
 * Whether a gift may still go. What was set aside for it may have been claimed by a refund or dispute since, or its giver owes
 * credits by now: then it belongs there. A suspension of the giver passes: until then the gift waits, and stays good.
 */
export function isGiftGood(account: Account, gift: AccountHold, at: Date): boolean {
  if (account.state.debt > 0) return false;
  return partsOf(account, gift).every(({ lot }) => isTransferable(lot) && !isExpired(lot, at));
}

/** Takes a gift that is good, of a giver who may spend, out of its hold and ends it. @returns the parts that go to the receiver */
export function takeGift(
  account: Account,
  gift: AccountHold,
  cause: Cause,
  at: Date,
): { row: LedgerRow; parts: TransferredPart[] } {
  invariant(gift.open && isGiftGood(account, gift, at), "only a good gift is taken");
  invariant(isSpendable(account, at), "a gift waits while its giver may not spend");
  const parts = partsOf(account, gift);
  gift.captured = gift.remaining;
  gift.remaining = 0;
  gift.lots = [];
  gift.open = false;
  gift.endedAt = at;
  account.state.holds.delete(gift.id);
  account.changedHolds.add(gift);
  return { row: moveOut(account, parts, { cause, holdId: gift.id, held: true, at }), parts };
}

/** Frees the credits of a gift that was not claimed. */
export function endGift(account: Account, gift: AccountHold, cause: Cause, at: Date): void {
  release(account, gift.id, cause, at, "gift");
}

function partsOf(account: Account, gift: AccountHold): TransferredPart[] {
  return gift.lots.map(([grantId, amount]) => {
    const lot = account.requireLot(grantId);
    return { lot, amount: toCredits(amount) };
  });
}
