// What is left of a period's credits and goes on into the next one, at most a plan's cap. It expires in its lot as everything
// else does, and goes on as a new one: nothing is there twice.
import type { Account, AccountLot } from "./account";
import { lapsedOf } from "./claims";
import { type Credits, toCredits } from "./credits";
import { writeOff } from "./spending";

/** A part of a lot that goes on. */
export interface CarriedPart {
  lot: AccountLot;
  amount: Credits;
}

/**
 * Ends lots and notes on them what goes on. What a refund or a dispute claims stays where it can be found; what holds have set
 * aside stays with them, and is gone when they release it.
 * @param lots the newest first: it is they that go on where not all can
 * @param cap at most so much in all; null for everything
 * @param why what has become of the lots, as their rows say
 */
export function carryOver(
  account: Account,
  lots: readonly AccountLot[],
  cap: number | null,
  why: string,
  at: Date,
): CarriedPart[] {
  const parts: CarriedPart[] = [];
  let left = cap ?? Number.POSITIVE_INFINITY;
  for (const lot of lots) {
    writeOff(account, lot, why, at);
    const amount = Math.min(left, carriable(lot));
    if (amount === 0) continue;
    lot.rolledOver += amount;
    account.changedClaims.add(lot);
    parts.push({ lot, amount: toCredits(amount) });
    left -= amount;
  }
  return parts;
}

function carriable(lot: AccountLot): number {
  if (lot.toFreeze > 0 || lot.toTake > lot.returned) return 0;
  return Math.max(0, lapsedOf(lot) - (lot.toTake - lot.taken));
}
