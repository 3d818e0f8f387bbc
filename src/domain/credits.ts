// What credits do: amounts, lots, the order in which they are spent, and what a balance is. No IO, no clock.
import { BillingError, invariant } from "./errors";

/** An amount of credits: a safe integer, and never an amount of money. */
export type Credits = number & { readonly __unit: "credits" };

export const ZERO_CREDITS = 0 as Credits;

/** Reads an amount of credits. @throws InvariantError when it is no safe integer. */
export function toCredits(value: number | bigint): Credits {
  const amount = Number(value);
  invariant(Number.isSafeInteger(amount), `${value} is not a safe integer of credits`);
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
  /** Unusable from this instant on; null for credits that never expire. */
  expiresAt: Date | null;
  createdAt: Date;
}

export interface Allocation {
  grantId: string;
  source: GrantSource;
  amount: Credits;
}

/** A lot can be spent while something is left and its expiry has not come, whether or not the expiry job ran. */
export function isUsable(lot: Lot, now: Date): boolean {
  return lot.remaining > 0 && (lot.expiresAt === null || lot.expiresAt.getTime() > now.getTime());
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

/** What can be spent at this instant: usable lots less what holds have set aside. Never negative. */
export function availableCredits(lots: readonly Lot[], held: Credits, now: Date): Credits {
  let sum = 0;
  for (const lot of lots) if (isUsable(lot, now)) sum += lot.remaining;
  return toCredits(Math.max(0, sum - held));
}

/**
 * Takes an amount from the lots in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS with `{ required, available }` when the usable lots hold less.
 */
export function allocate(
  lots: readonly Lot[],
  amount: Credits,
  held: Credits,
  order: BurnOrder,
  now: Date,
): Allocation[] {
  invariant(amount > 0, "an allocation takes a positive amount");
  const available = availableCredits(lots, held, now);
  if (amount > available) {
    throw new BillingError("INSUFFICIENT_CREDITS", `This needs ${amount} credits; ${available} are available.`, {
      required: amount,
      available,
    });
  }
  const allocations: Allocation[] = [];
  let open: number = amount;
  for (const lot of burnQueue(lots, order, now)) {
    if (open === 0) break;
    const taken = Math.min(open, lot.remaining);
    allocations.push({ grantId: lot.id, source: lot.source, amount: toCredits(taken) });
    open -= taken;
  }
  invariant(open === 0, "usable lots cover what is available");
  return allocations;
}

/**
 * What a quantity of an event costs: cost per unit × quantity.
 * @throws BillingError INVALID_INPUT when the quantity is no positive integer or the product leaves the safe integers.
 */
export function costOf(unitCost: Credits, quantity: number): Credits {
  if (!Number.isSafeInteger(quantity) || quantity <= 0) {
    throw new BillingError("INVALID_INPUT", "The quantity must be a positive whole number.", { quantity });
  }
  const cost = unitCost * quantity;
  if (!Number.isSafeInteger(cost)) {
    throw new BillingError("INVALID_INPUT", "The quantity is too large to be counted exactly.", { quantity, unitCost });
  }
  return toCredits(cost);
}

export interface Balance {
  /** What can be spent now. */
  available: Credits;
  purchased: Credits;
  subscription: Credits;
  /** Promotions, transfers and adjustments. */
  other: Credits;
  /** Set aside by holds; part of the lots, not of `available`. */
  held: Credits;
  nextExpiry: { at: Date; amount: Credits } | null;
}

/** What an organization has at this instant, by where it came from, and what it will lose next. */
export function balanceOf(lots: readonly Lot[], held: Credits, now: Date): Balance {
  let purchased = 0;
  let subscription = 0;
  let other = 0;
  let nextAt: number | null = null;
  let nextAmount = 0;
  for (const lot of lots) {
    if (!isUsable(lot, now)) continue;
    if (lot.source === "purchase") purchased += lot.remaining;
    else if (lot.source === "subscription") subscription += lot.remaining;
    else other += lot.remaining;
    const at = lot.expiresAt?.getTime();
    if (at === undefined) continue;
    if (nextAt === null || at < nextAt) {
      nextAt = at;
      nextAmount = lot.remaining;
    } else if (at === nextAt) {
      nextAmount += lot.remaining;
    }
  }
  return {
    available: availableCredits(lots, held, now),
    purchased: toCredits(purchased),
    subscription: toCredits(subscription),
    other: toCredits(other),
    held,
    nextExpiry: nextAt === null ? null : { at: new Date(nextAt), amount: toCredits(nextAmount) },
  };
}
