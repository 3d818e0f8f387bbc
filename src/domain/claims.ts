// Claims on lots: what a refund or a lost dispute takes back, what an open dispute freezes, and what becomes of credits
// that were spent already. Targets are absolute, so any order and any number of copies leads to the same account.
import { type Account, type AccountLot, type Cause, ownCause } from "./account";
import { freeCredits } from "./credits";
import { invariant } from "./errors";

/**
 * What was paid, and what went back of it, in the currency's minor unit: a payment as the bank has it, or all that an invoice sold.
 * Refunds and disputes together may exceed it.
 */
export interface PaymentTruth {
  amount: number;
  /** Refunded in all, failed refunds left out; for an invoice with what credit notes gave back otherwise. */
  refunded: number;
  /** In disputes that are open, and in those that are lost. */
  disputed: number;
  lost: number;
}

export interface ClaimTarget {
  /** What is to be taken of a lot in all. */
  toTake: number;
  /** What is to be frozen of it in all, beside that. */
  toFreeze: number;
}

/** What claims look at of a lot. */
export interface ClaimedLot {
  amount: number;
  transferred: number;
  /** What of it went on into the next period. */
  rolledOver?: number;
  /** What of it is to be taken because its price was given back as a proration, whatever becomes of the payment. */
  returned?: number;
  /** What nobody spent of one that should never have come, because the subscription had left its month before it began. */
  void?: number;
}

/** What is a lot's own: what was transferred away, or went on into the next period, is claimed where it went. */
export function ownCredits(lot: ClaimedLot): number {
  return lot.amount - lot.transferred - (lot.rolledOver ?? 0);
}

/** Credits that a payment paid for and that are no lots: those of periods that are granted month by month. */
export interface Ungranted {
  /** Still to come, and never to come any more, because the subscription has left their period; without what was cut of them. */
  toCome: number;
  neverCome: number;
  /** Given back as time before they were granted, of whatever month. */
  cut: number;
}

const NOTHING_UNGRANTED: Ungranted = { toCome: 0, neverCome: 0, cut: 0 };

/**
 * What a payment claims of each lot that it paid for, beside what was given back as time. Of all that it paid for together it claims
 * its share, rounded down, however that was split. What never comes bears it first, and what should never have come and is unspent;
 * the rest is shared by lots and months to come, and what a lot has not left of it, because its time was given back, falls on the
 * others.
 * @param lots everything that the payment paid for, in the order in which it came to be
 */
export function claimsOn(
  lots: readonly ClaimedLot[],
  payment: PaymentTruth,
  ungranted: Ungranted = NOTHING_UNGRANTED,
): ClaimTarget[] {
  const { refunded, lost, disputed } = payment;
  const taking = shareOut(lots, ungranted, refunded + lost, payment.amount);
  const touching = shareOut(lots, ungranted, refunded + lost + disputed, payment.amount);
  return lots.map((lot, index) => {
    const own = ownCredits(lot);
    const share = taking[index] ?? 0;
    const toTake = Math.min(own, (lot.returned ?? 0) + share);
    return { toTake, toFreeze: Math.min(own - toTake, Math.max(0, (touching[index] ?? 0) - share)) };
  });
}

/** How many credits refunds and lost disputes claim of all that a payment paid for. */
export function claimedInAll(lots: readonly ClaimedLot[], payment: PaymentTruth, ungranted: Ungranted): number {
  const { amount, refunded, lost } = payment;
  if (amount <= 0) return 0;
  return Number((BigInt(paidInAll(lots, ungranted)) * BigInt(Math.min(refunded + lost, amount))) / BigInt(amount));
}

/** All credits that a payment paid for, wherever they are. */
export function paidInAll(lots: readonly ClaimedLot[], { toCome, neverCome, cut }: Ungranted): number {
  return lots.reduce((sum, lot) => sum + ownCredits(lot), toCome + neverCome + cut);
}

/** What a part of the money claims of each lot. */
function shareOut(lots: readonly ClaimedLot[], ungranted: Ungranted, money: number, amount: number): number[] {
  const whole = BigInt(Math.max(0, amount));
  const claimed = BigInt(paidInAll(lots, ungranted)) * BigInt(Math.min(money, Math.max(0, amount)));
  const asked = claimed - BigInt(ungranted.neverCome) * whole;
  if (asked <= 0n) return lots.map(() => 0);
  const first = bearFirst(lots, Number(asked / whole));
  const left = asked - BigInt(first.reduce((sum, share) => sum + share, 0)) * whole;
  const rest = lots.map((lot) => ownCredits(lot) - voidOf(lot));
  const base = rest.reduce((sum, own) => sum + own, ungranted.toCome);
  if (left < whole || base <= 0) return first;
  const room = lots.map((lot, index) => Math.max(0, (rest[index] ?? 0) - (lot.returned ?? 0)));
  const upTo = (credits: number) => (BigInt(credits) * left) / (whole * BigInt(base));
  let before = 0;
  const shares = rest.map((own, index) => {
    const after = before + own;
    const share = Number(upTo(after) - upTo(before));
    before = after;
    return Math.min(share, room[index] ?? 0);
  });
  const given = shares.reduce((sum, share) => sum + share, 0);
  // Months to come can bear all that they are; of lots the newest are the least likely to be spent.
  let over = Number(left / whole) - given - ungranted.toCome;
  for (let index = lots.length - 1; index >= 0 && over > 0; index--) {
    const more = Math.min(over, (room[index] ?? 0) - (shares[index] ?? 0));
    shares[index] = (shares[index] ?? 0) + more;
    over -= more;
  }
  return shares.map((share, index) => share + (first[index] ?? 0));
}

/** What of a lot should never have come: nothing of that was given back as time. */
function voidOf(lot: ClaimedLot): number {
  return Math.max(0, Math.min(lot.void ?? 0, ownCredits(lot) - (lot.returned ?? 0)));
}

/** What lots that should never have come bear of a claim, each as much as it can. */
function bearFirst(lots: readonly ClaimedLot[], asked: number): number[] {
  let left = asked;
  return lots.map((lot) => {
    const share = Math.min(left, voidOf(lot));
    left -= share;
    return share;
  });
}

/** Where a claim comes from; kept with each row that it causes. */
export interface ClaimCause {
  type: "refund" | "dispute";
  /** Stripe's refund, dispute or payment. */
  reference: string;
  reason: string;
}

/** A new target for a lot. */
export interface Claim {
  lot: AccountLot;
  target: ClaimTarget;
  /** What of `toTake` is time that was given back; as it was where it is left out. */
  returned?: number;
  /** Why something is taken or given back, and why something is frozen or no longer. */
  taking: ClaimCause;
  freezing: ClaimCause;
  /** What of `taken` was not there to take and became debt: by the ledger, `taken` less what its rows took of the lot. */
  covered: number;
}

/** What a lot has paid for debts, less what it got back. */
export interface DebtPayer {
  lot: AccountLot;
  amount: number;
}

/** Claims that met credits which were spent. */
export interface ClaimDebts {
  /** By lot: what of `taken` was not there to take and became debt. */
  covered: ReadonlyMap<string, number>;
  /** Who paid debts until now, last in burn order first. */
  payers: readonly DebtPayer[];
}

export const NO_DEBTS: ClaimDebts = { covered: new Map(), payers: [] };

/**
 * Sets what is claimed of lots and does it: takes, freezes, or gives back. What was paid for a claim that is no more goes
 * back to the lots that paid it.
 * @param payers who paid debts until now, last in burn order first; needed where a claim that was covered shrinks
 */
export function claim(account: Account, claims: readonly Claim[], payers: readonly DebtPayer[], at: Date): void {
  const left = payers.map((payer) => ({ ...payer }));
  for (const { lot, target, taking, freezing, covered, returned = lot.returned } of claims) {
    if (lot.toTake === target.toTake && lot.toFreeze === target.toFreeze && lot.returned === returned) continue;
    const grew = target.toTake - returned > lot.toTake - lot.returned;
    lot.returned = returned;
    lot.toTake = target.toTake;
    lot.toFreeze = target.toFreeze;
    account.changedClaims.add(lot);
    const tooMuch = lot.taken - lot.toTake;
    if (tooMuch > 0) giveBack(account, lot, { amount: tooMuch, covered, payers: left, cause: taking, at });
    settleLot(account, lot, { taking, freezing, at, isNew: grew });
  }
  // Debts only now: a lot that is claimed as well must not pay for another's first. And what came back to a lot may be claimed there.
  settleAccount(account, at);
}

/** What is claimed of a lot and is nowhere to be taken any more, because it was spent. Debt that stands for it is not counted. */
export function shortOf(lot: AccountLot): number {
  return Math.max(0, lot.toTake - lot.taken - lapsedOf(lot) - lot.remaining);
}

/** What of a lot expired for good: nobody has spent it, and nobody will. */
export function lapsedOf(lot: Pick<AccountLot, "expired" | "rolledOver">): number {
  return lot.expired - lot.rolledOver;
}

/** Does what claims and debts still wait for, after credits have come free, come in, or left a hold. */
export function settleAccount(account: Account, at: Date): void {
  const cause = account.rows.at(-1);
  const spent = cause?.type === "consume" ? new Set(cause.entries.map((entry) => entry.grantId)) : null;
  for (const lot of [...account.state.lots]) {
    if (lot.toTake === lot.taken && lot.toFreeze === lot.frozen) continue;
    const reason = `${lot.label}: its payment was taken back`;
    settleLot(account, lot, {
      taking: { type: "refund", reference: lot.id, reason },
      freezing: { type: "dispute", reference: lot.id, reason: `${lot.label}: its payment is disputed` },
      at,
      // A claim that waited for a hold meets what the hold has spent only now.
      isNew: spent?.has(lot.id) ?? false,
    });
  }
  settleDebt(account, at);
}

interface Settling {
  taking: ClaimCause;
  freezing: ClaimCause;
  at: Date;
  /** Whether a claim has just met credits that are spent: once for each, so that a suspension that was lifted stays lifted. */
  isNew: boolean;
}

function settleLot(account: Account, lot: AccountLot, { taking, freezing, at, isNew }: Settling): void {
  if (lot.toTake > lot.taken) takeBack(account, lot, taking, at, isNew);
  const unheld = lot.remaining - (lot.held - lot.frozen);
  const change = Math.min(lot.toFreeze, unheld) - lot.frozen;
  if (change === 0) return;
  lot.frozen += change;
  account.changedClaims.add(lot);
  account.post({
    type: "dispute",
    cause: rowCause(account, lot, freezing, change > 0 ? "frozen" : "no longer frozen"),
    entries: [{ lot, amount: 0, held: change }],
    at,
  });
}

function takeBack(account: Account, lot: AccountLot, cause: ClaimCause, at: Date, isNew: boolean): void {
  const owed = lot.toTake - lot.taken - lapsedOf(lot);
  // What no dispute needs any more goes first, then what is free, then what is frozen.
  const thawed = Math.min(Math.max(0, owed), Math.max(0, lot.frozen - lot.toFreeze));
  const free = Math.min(Math.max(0, owed - thawed), lot.remaining - lot.held);
  const frozen = Math.min(Math.max(0, owed - thawed - free), lot.frozen - thawed);
  const taken = thawed + free + frozen;
  lot.frozen -= thawed + frozen;
  lot.taken += taken;
  const entries = taken > 0 ? [{ lot, amount: -taken, held: 0 - thawed - frozen }] : [];
  // What holds have set aside is still here and follows when they end; what has expired was never spent.
  const gone = lot.taken + lapsedOf(lot) + (lot.remaining - taken);
  const short = Math.max(0, lot.toTake - gone);
  // Time that was given back at the customer's own wish has been paid for with money: what was spent of it is owed, always.
  const debt = account.state.spentPolicy === "debt" ? short : Math.min(short, Math.max(0, lot.returned - gone));
  lot.taken += debt;
  if (taken > 0 || debt > 0) account.changedClaims.add(lot);
  if (account.state.spentPolicy === "suspend" && short > debt && isNew && !account.state.suspended) {
    account.state.suspended = true;
    account.suspension = { at, reason: cause.reason };
  }
  if (entries.length === 0 && debt === 0) return;
  account.post({ type: cause.type, cause: rowCause(account, lot, cause, "taken back"), entries, debt, at });
}

interface GivingBack {
  amount: number;
  covered: number;
  /** Who paid debts, last in burn order first; each is left with what it has still paid. */
  payers: { lot: AccountLot; amount: number }[];
  cause: ClaimCause;
  at: Date;
}

/** Gives back what a claim has taken too much: what was covered by debt first, to whoever paid it, then what the lot itself bore. */
export function giveBack(account: Account, lot: AccountLot, { amount, covered, payers, cause, at }: GivingBack): void {
  invariant(covered >= 0 && covered <= lot.taken, "no more of a claim was covered than was taken");
  const uncovered = Math.min(amount, covered);
  const own = amount - uncovered;
  const unpaid = Math.min(account.state.debt, uncovered);
  lot.taken -= amount;
  account.changedClaims.add(lot);
  if (own > 0 || unpaid > 0) {
    account.post({
      type: cause.type,
      cause: rowCause(account, lot, cause, "given back"),
      entries: own > 0 ? [{ lot, amount: own }] : [],
      debt: 0 - unpaid,
      at,
    });
  }
  const entries: { lot: AccountLot; amount: number }[] = [];
  let open = uncovered - unpaid;
  for (const payer of payers) {
    const part = Math.min(open, payer.amount);
    if (part === 0) continue;
    entries.push({ lot: payer.lot, amount: part });
    payer.amount -= part;
    open -= part;
  }
  if (entries.length === 0) return;
  const reason = `${cause.reason}: what other credits had paid is given back`;
  account.post({ type: "debt", cause: ownCause(account, "debt", { reason, reference: cause.reference }), entries, at });
}

/** Pays debt from what is free, in burn order. */
export function settleDebt(account: Account, at: Date): void {
  let open = account.state.debt;
  if (open === 0) return;
  const entries: { lot: AccountLot; amount: number }[] = [];
  for (const lot of account.state.lots) {
    const part = Math.min(open, freeCredits(lot, at));
    if (part === 0) continue;
    entries.push({ lot, amount: -part });
    open -= part;
  }
  if (entries.length === 0) return;
  account.post({
    type: "debt",
    cause: ownCause(account, "debt", {
      reason: "Pays for credits that were spent before their payment was taken back",
    }),
    entries,
    debt: open - account.state.debt,
    at,
  });
}

function rowCause(account: Account, lot: AccountLot, cause: ClaimCause, what: string): Cause {
  return ownCause(account, `${cause.type}:${lot.id}`, {
    reason: `${cause.reason}: ${what}`,
    reference: cause.reference,
  });
}
