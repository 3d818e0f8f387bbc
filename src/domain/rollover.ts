// What is left of a period's credits and goes on into the next one, at most a plan's cap. It expires in its lot as everything
// else does, and goes on as a new one: nothing is there twice.
import { type Account, type AccountLot, ownCause } from "./account";
import { type ClaimDebts, type DebtPayer, giveBack, lapsedOf, ownCredits } from "./claims";
import { type Credits, toCredits } from "./credits";
import { writeOff } from "./spending";

/** A part of a lot that goes on. */
export interface CarriedPart {
  lot: AccountLot;
  amount: Credits;
}

/**
 * Ends lots and notes on them what goes on. What a refund or a dispute claims of that goes on with it, to be claimed again of the
 * new lot: what fails or is won later comes back there. What holds have set aside stays with them, and is gone when they release
 * it; and what was given back as time stays taken.
 * @param lots the newest first: it is they that go on where not all can
 * @param cap at most so much in all that is not taken; null for everything
 * @param debts what claims have taken that was not there to take, and who paid for it
 * @param why what has become of the lots, as their rows say
 */
export function carryOver(
  account: Account,
  lots: readonly AccountLot[],
  { cap, debts }: { cap: number | null; debts: ClaimDebts },
  why: string,
  at: Date,
): CarriedPart[] {
  const parts: CarriedPart[] = [];
  const payers = debts.payers.map((payer) => ({ ...payer }));
  let left = cap ?? Number.POSITIVE_INFINITY;
  for (const lot of lots) {
    unfreeze(account, lot, at);
    writeOff(account, lot, why, at);
    const free = Math.min(left, lapsedOf(lot) - (lot.toTake - lot.taken));
    if (free <= 0) continue;
    const amount =
      lot.toTake > lot.returned
        ? withItsClaim(account, lot, { free, covered: debts.covered.get(lot.id) ?? 0, payers }, why, at)
        : free;
    lot.rolledOver += amount;
    account.changedClaims.add(lot);
    parts.push({ lot, amount: toCredits(amount) });
    left -= free;
  }
  return parts;
}

/** What is frozen of a lot that is over goes on, and is frozen there. */
function unfreeze(account: Account, lot: AccountLot, at: Date): void {
  const { frozen } = lot;
  if (frozen === 0) return;
  lot.frozen = 0;
  lot.toFreeze = 0;
  account.changedClaims.add(lot);
  const reason = `${lot.label}: what is frozen goes on with what is left`;
  account.post({
    type: "dispute",
    cause: ownCause(account, `dispute:${lot.id}`, { reason, reference: lot.id }),
    entries: [{ lot, amount: 0, held: 0 - frozen }],
    at,
  });
}

/**
 * How much goes on of a lot that a refund has a share in, so that so much is free of it: as much more as the refund claims of that.
 * What was taken of the lot for it comes back to the lot, and expires there; what became debt, to whoever paid that.
 */
function withItsClaim(
  account: Account,
  lot: AccountLot,
  { free, covered, payers }: { free: number; covered: number; payers: DebtPayer[] },
  why: string,
  at: Date,
): number {
  const own = ownCredits(lot);
  const claimed = lot.toTake - lot.returned;
  const whole = Math.min(own, shareUp(free, own, Math.max(1, own - claimed)));
  const back = Math.min(lot.taken - Math.min(lot.taken, lot.returned), shareUp(claimed, whole, own));
  if (back > 0) {
    const reason = `${lot.label}: what was taken back goes on with what is left`;
    const cause = { type: "refund", reference: lot.id, reason } as const;
    lot.toTake -= back;
    giveBack(account, lot, { amount: back, covered, payers, cause, at });
    writeOff(account, lot, why, at);
  }
  return Math.min(whole, lapsedOf(lot));
}

/** `part` `of`-ths of a whole, rounded up. */
function shareUp(whole: number, part: number, of: number): number {
  return Number((BigInt(whole) * BigInt(part) + BigInt(of) - 1n) / BigInt(of));
}
