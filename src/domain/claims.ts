// Claims on lots: what a refund or a lost dispute takes back, what an open dispute freezes, and what becomes of credits
// that were spent already. Targets are absolute, so any order and any number of copies leads to the same account.
import { type Account, type AccountLot, type Cause, ownCause } from "./account";
import { type Credits, toCredits } from "./credits";

/** A payment as the bank has it, in the currency's minor unit. */
export interface PaymentTruth {
  amount: number;
  /** Refunded in all, failed refunds left out. */
  refunded: number;
  /** In disputes that are open, and in those that are lost. */
  disputed: number;
  lost: number;
}

/**
 * What a payment claims of a lot that it paid for: its share of the lot, rounded down; what was transferred away is claimed
 * where it went.
 */
export function claimsOn(
  lot: { amount: number; transferred: number },
  payment: PaymentTruth,
): { toTake: number; toFreeze: number } {
  const base = BigInt(lot.amount - lot.transferred);
  const whole = BigInt(payment.amount);
  if (whole <= 0n) return { toTake: 0, toFreeze: 0 };
  const share = (part: number): number => {
    const bounded = BigInt(Math.min(part, payment.amount));
    return Number((base * bounded) / whole);
  };
  const toTake = share(payment.refunded + payment.lost);
  const toFreeze = share(payment.refunded + payment.lost + payment.disputed) - toTake;
  return { toTake, toFreeze };
}

/** Where a claim comes from; kept with each row that it causes. */
export interface ClaimCause {
  type: "refund" | "dispute";
  /** Stripe's refund, dispute or payment. */
  reference: string;
  reason: string;
}

/** Sets what is claimed of a lot and does it: takes, freezes, or gives back. */
export function claim(
  account: Account,
  lot: AccountLot,
  target: { toTake: number; toFreeze: number },
  cause: ClaimCause,
  at: Date,
): void {
  if (lot.toTake === target.toTake && lot.toFreeze === target.toFreeze) return;
  const grew = target.toTake > lot.toTake;
  lot.toTake = target.toTake;
  lot.toFreeze = target.toFreeze;
  account.changedClaims.add(lot);
  settleLot(account, lot, cause, at, grew);
  settleDebt(account, at);
}

/** Does what claims and debts still wait for, after credits have come free or come in. */
export function settleAccount(account: Account, at: Date): void {
  for (const lot of [...account.state.lots]) {
    if (lot.toTake === lot.taken && lot.toFreeze === lot.frozen) continue;
    settleLot(
      account,
      lot,
      { type: "refund", reference: lot.id, reason: `${lot.label}: its payment was taken back` },
      at,
      false,
    );
  }
  settleDebt(account, at);
}

function settleLot(account: Account, lot: AccountLot, cause: ClaimCause, at: Date, grew: boolean): void {
  const owed = lot.toTake - lot.taken;
  if (owed > 0) takeBack(account, lot, owed, cause, at, grew);
  else if (owed < 0) giveBack(account, lot, -owed, cause, at);
  const unheld = lot.remaining - (lot.held - lot.frozen);
  const change = Math.min(lot.toFreeze, unheld) - lot.frozen;
  if (change === 0) return;
  lot.frozen += change;
  account.changedClaims.add(lot);
  account.post({
    type: "dispute",
    cause: rowCause(account, lot, cause, change > 0 ? "frozen" : "no longer frozen"),
    entries: [{ lot, amount: 0, held: change }],
    at,
  });
}

function takeBack(account: Account, lot: AccountLot, owed: number, cause: ClaimCause, at: Date, grew: boolean): void {
  const fromFrozen = Math.min(owed, lot.frozen);
  const fromFree = Math.min(owed - fromFrozen, lot.remaining - lot.held);
  const taken = fromFrozen + fromFree;
  const entries = taken > 0 ? [{ lot, amount: -taken, held: -fromFrozen }] : [];
  // What is neither here, nor taken, nor gone some other way was spent; what holds have is still here and follows later.
  const spent = lot.amount - lot.remaining - lot.taken - lot.transferred - lot.expired;
  const short = Math.min(owed - taken, Math.max(0, spent));
  lot.frozen -= fromFrozen;
  lot.taken += taken;
  let debt = 0;
  if (account.state.spentPolicy === "debt" && short > 0) {
    const others = payFrom(account, short, at, lot);
    for (const part of others) entries.push({ lot: part.lot, amount: -part.amount, held: 0 });
    debt = short - others.reduce((sum, part) => sum + part.amount, 0);
    lot.taken += short;
  }
  if (taken > 0 || debt > 0 || entries.length > 0) account.changedClaims.add(lot);
  if (account.state.spentPolicy === "suspend" && short > 0 && grew && !account.state.suspended) {
    account.state.suspended = true;
    account.suspension = { at, reason: cause.reason };
  }
  if (entries.length === 0 && debt === 0) return;
  account.post({ type: cause.type, cause: rowCause(account, lot, cause, "taken back"), entries, debt, at });
}

/** Credits of other lots that pay what this one cannot. */
function payFrom(
  account: Account,
  amount: number,
  at: Date,
  except: AccountLot | null,
): { lot: AccountLot; amount: Credits }[] {
  const free = account.available(at) - (except === null ? 0 : freeOf(except, at));
  const payable = Math.min(amount, free);
  if (payable <= 0) return [];
  const parts: { lot: AccountLot; amount: Credits }[] = [];
  let open = payable;
  for (const lot of account.state.lots) {
    if (lot === except || open === 0) continue;
    const part = Math.min(open, freeOf(lot, at));
    if (part <= 0) continue;
    parts.push({ lot, amount: toCredits(part) });
    open -= part;
  }
  return parts;
}

function freeOf(lot: AccountLot, at: Date): number {
  return lot.expiresAt !== null && lot.expiresAt <= at ? 0 : lot.remaining - lot.held;
}

function giveBack(account: Account, lot: AccountLot, amount: number, cause: ClaimCause, at: Date): void {
  const settled = Math.min(account.state.debt, amount);
  const given = amount - settled;
  lot.taken -= amount;
  account.changedClaims.add(lot);
  account.post({
    type: cause.type,
    cause: rowCause(account, lot, cause, "given back"),
    entries: given > 0 ? [{ lot, amount: given }] : [],
    debt: -settled,
    at,
  });
}

/** Pays debt from what is free, in burn order. */
export function settleDebt(account: Account, at: Date): void {
  if (account.state.debt === 0) return;
  const parts = payFrom(account, account.state.debt, at, null);
  const paid = parts.reduce((sum, part) => sum + part.amount, 0);
  if (paid === 0) return;
  account.post({
    type: "debt",
    cause: ownCause(account, "debt", {
      reason: "Pays for credits that were spent before their payment was taken back",
    }),
    entries: parts.map((part) => ({ lot: part.lot, amount: -part.amount })),
    debt: -paid,
    at,
  });
}

function rowCause(account: Account, lot: AccountLot, cause: ClaimCause, what: string): Cause {
  return ownCause(account, `${cause.type}:${lot.id}`, {
    reason: `${cause.reason}: ${what}`,
    reference: cause.reference,
  });
}
