// What credits do: amounts, lots, the order in which they are spent, and what a balance is. No IO, no clock.
import { BillingError, InvariantError, invariant } from "./errors";

/** An amount of credits: a safe integer, and never an amount of money. */
export type Credits = number & { readonly __unit: "credits" };

export const ZERO_CREDITS = 0 as Credits;

/** Reads an amount of credits. @throws InvariantError when it is no safe integer. */
export function toCredits(value: number | bigint): Credits {
  const amount = Number(value);
  // Not by `invariant`: its sentence would be made each time, and this is done many times for each take.
  if (!Number.isSafeInteger(amount)) throw new InvariantError(`${value} is not a safe integer of credits`);
  return amount as Credits;
}

export const GRANT_SOURCES = ["subscription", "purchase", "promotion", "transfer", "adjustment"] as const;
export type GrantSource = (typeof GRANT_SOURCES)[number];

export const BURN_ORDERS = ["purchased_first", "expiring_first"] as const;
export type BurnOrder = (typeof BURN_ORDERS)[number];

/** A grant as spending sees it. */
export interface Lot {
  id: string;
  source: GrantSource;
  remaining: Credits;
  /** Part of `remaining` that holds and open disputes have set aside. */
  held: Credits;
  /** Unusable from this instant on; null for credits that never expire. */
  expiresAt: Date | null;
  createdAt: Date;
}

export interface Allocation {
  grantId: string;
  source: GrantSource;
  amount: Credits;
}

/** A lot cannot be spent from the instant of its expiry on, whether or not the expiry job ran. */
export function isExpired(lot: Pick<Lot, "expiresAt">, now: Date): boolean {
  return lot.expiresAt !== null && lot.expiresAt.getTime() <= now.getTime();
}

/** What of a lot can be spent: what is neither spent, nor set aside, nor expired. */
export function freeCredits(lot: Lot, now: Date): Credits {
  return isExpired(lot, now) ? ZERO_CREDITS : toCredits(lot.remaining - lot.held);
}

/** Whether anything of a lot can be spent. */
export function isUsable(lot: Lot, now: Date): boolean {
  return lot.remaining > lot.held && !isExpired(lot, now);
}

/**
 * The order in which lots are spent. `purchased_first` (what the product promises): lots without expiry first, oldest
 * first, then expiring lots, soonest first. `expiring_first`: the other way round. Ties by id.
 */
export function compareLots(order: BurnOrder): (a: Lot, b: Lot) => number {
  const permanentRank = order === "purchased_first" ? -1 : 1;
  return (a, b) => {
    if ((a.expiresAt === null) !== (b.expiresAt === null)) return a.expiresAt === null ? permanentRank : -permanentRank;
    const byTime =
      a.expiresAt !== null && b.expiresAt !== null
        ? a.expiresAt.getTime() - b.expiresAt.getTime()
        : a.createdAt.getTime() - b.createdAt.getTime();
    if (byTime !== 0) return byTime;
    return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
  };
}

/** The usable lots in the order in which they will be spent. */
export function burnQueue<L extends Lot>(lots: readonly L[], order: BurnOrder, now: Date): L[] {
  return lots.filter((lot) => isUsable(lot, now)).sort(compareLots(order));
}

/** What can be spent at this instant. */
export function availableCredits(lots: readonly Lot[], now: Date): Credits {
  let sum = 0;
  for (const lot of lots) if (isUsable(lot, now)) sum += lot.remaining - lot.held;
  return toCredits(sum);
}

/**
 * Takes an amount from lots that are in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS with `{ required, available }` when what is free of them is less.
 */
export function takeInOrder<L extends Lot>(
  queue: readonly L[],
  amount: Credits,
  now: Date,
): { lot: L; amount: Credits }[] {
  invariant(amount > 0, "an allocation takes a positive amount");
  const taken: { lot: L; amount: Credits }[] = [];
  let open: number = amount;
  for (const lot of queue) {
    if (!isUsable(lot, now)) continue;
    const part = Math.min(open, lot.remaining - lot.held);
    taken.push({ lot, amount: part as Credits });
    open -= part;
    if (open === 0) return taken;
  }
  throw insufficient(amount, toCredits(amount - open));
}

/** The one refusal that services branch on. */
export function insufficient(required: number, available: number, details: Record<string, unknown> = {}): BillingError {
  const message = `This needs ${required} credits; ${available} are available.`;
  return new BillingError("INSUFFICIENT_CREDITS", message, { required, available, ...details });
}

export interface Balance {
  /** What can be spent now. */
  available: Credits;
  purchased: Credits;
  subscription: Credits;
  /** Promotions, transfers and adjustments. */
  other: Credits;
  /** Set aside by holds and open disputes; part of the lots, not of `available`. */
  held: Credits;
  /** Owed for credits that were spent before their payment was taken back; the next grants pay it first. */
  debt: Credits;
  nextExpiry: { at: Date; amount: Credits } | null;
}

/** What an organization has at this instant, by where it came from, and what it will lose next. */
export function balanceOf(lots: readonly Lot[], account: { held: Credits; debt: Credits }, now: Date): Balance {
  let purchased = 0;
  let subscription = 0;
  let other = 0;
  let nextAt: number | null = null;
  let nextAmount = 0;
  for (const lot of lots) {
    if (!isUsable(lot, now)) continue;
    const free = lot.remaining - lot.held;
    const source = lot.source;
    if (source === "purchase") purchased += free;
    else if (source === "subscription") subscription += free;
    else other += free;
    const at = lot.expiresAt?.getTime();
    if (at === undefined) continue;
    if (nextAt === null || at < nextAt) {
      nextAt = at;
      nextAmount = free;
    } else if (at === nextAt) {
      nextAmount += free;
    }
  }
  return {
    available: availableCredits(lots, now),
    purchased: toCredits(purchased),
    subscription: toCredits(subscription),
    other: toCredits(other),
    held: account.held,
    debt: account.debt,
    nextExpiry: nextAt === null ? null : { at: new Date(nextAt), amount: toCredits(nextAmount) },
  };
}
