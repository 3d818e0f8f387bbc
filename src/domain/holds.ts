// Holds: credits set aside for work whose cost is not known yet, taken part by part, freed when the work or its lease ends.
import { type Account, type AccountHold, type AccountLot, type Cause, type LedgerRow, ownCause } from "./account";
import { budgetsOf, chargeBudgets, freeBudgets, requireBudget } from "./budgets";
import { settleAccount } from "./claims";
import { type Credits, insufficient, toCredits } from "./credits";
import { BillingError } from "./errors";
import type { PricedEvent } from "./rate-card";
import { requireSpendable } from "./spending";

export interface HoldRequest {
  id: string;
  kind: AccountHold["kind"];
  amount: Credits;
  leaseEndsAt: Date;
  eventName: string | null;
  cause: Cause;
  at: Date;
}

/**
 * Sets credits aside, from the lots in burn order. A lot that expires later stays good for its hold.
 * @param named what to set aside of which lots; in burn order where it is left out
 * @throws BillingError INSUFFICIENT_CREDITS, BUDGET_EXCEEDED, ACCOUNT_SUSPENDED, PAYMENT_OVERDUE; the account is unchanged then
 */
export function hold(
  account: Account,
  request: HoldRequest,
  named?: { lot: AccountLot; amount: Credits }[],
): LedgerRow {
  const { cause, amount, at } = request;
  requireSpendable(account, at);
  const parts = named ?? account.take(amount, at);
  const budgets = request.kind === "gift" ? [] : budgetsOf(account.state.budgets, cause);
  const createdAt = account.rowInstant(at);
  requireBudget(budgets, amount, createdAt);
  const held: AccountHold = {
    id: request.id,
    kind: request.kind,
    amount,
    captured: 0,
    remaining: amount,
    lots: parts.map((part) => [part.lot.id, part.amount]),
    budgets: chargeBudgets(account, budgets, amount, createdAt),
    open: true,
    leaseEndsAt: request.leaseEndsAt,
    createdAt,
    endedAt: null,
    eventName: request.eventName,
    project: cause.project ?? null,
    memberId: cause.memberId ?? null,
    apiKeyId: cause.apiKeyId ?? null,
    actor: cause.actor,
  };
  account.state.holds.set(held.id, held);
  account.changedHolds.add(held);
  return account.post({
    type: "hold",
    cause,
    entries: parts.map((part) => ({ lot: part.lot, amount: 0, held: part.amount })),
    holdId: held.id,
    at,
  });
}

export interface Capture {
  holdId: string;
  cost: Credits;
  event: PricedEvent | null;
  quantity: number | null;
  cause: Cause;
  at: Date;
}

/**
 * Takes a part of what is held, on the account of whoever held it. What goes beyond the hold is taken from what is free, in
 * burn order.
 * @throws BillingError HOLD_ENDED; INSUFFICIENT_CREDITS where hold and free credits together do not cover it, BUDGET_EXCEEDED
 *   for the part beyond the hold; the account is unchanged then
 */
export function capture(account: Account, { holdId, cost, event, quantity, cause, at }: Capture): LedgerRow {
  const held = requireOpenHold(account, holdId, at);
  const fromHold = Math.min(cost, held.remaining);
  const beyond = cost - fromHold;
  const spender = { apiKeyId: held.apiKeyId, memberId: held.memberId, project: held.project };
  const entries = new Map<AccountLot, { lot: AccountLot; amount: number; held: number }>();
  if (beyond > 0) {
    const available = account.available(at);
    if (beyond > available) throw insufficient(cost, held.remaining + available, { held: held.remaining });
    requireSpendable(account, at);
    const budgets = budgetsOf(account.state.budgets, spender);
    const countedAt = account.rowInstant(at);
    requireBudget(budgets, beyond, countedAt);
    chargeBudgets(account, budgets, beyond, countedAt);
  }
  // Decided before anything moves: once part of a lot is freed by the hold it would look free to the rest.
  const parts = beyond > 0 ? account.take(toCredits(beyond), at) : [];
  let open = fromHold;
  const left: AccountHold["lots"] = [];
  for (const [grantId, amount] of held.lots) {
    const taken = Math.min(open, amount);
    open -= taken;
    if (taken < amount) left.push([grantId, amount - taken]);
    if (taken === 0) continue;
    const lot = account.requireLot(grantId);
    entries.set(lot, { lot, amount: -taken, held: -taken });
  }
  for (const part of parts) {
    const known = entries.get(part.lot);
    if (known) known.amount -= part.amount;
    else entries.set(part.lot, { lot: part.lot, amount: -part.amount, held: 0 });
  }
  held.lots = left;
  held.remaining -= fromHold;
  held.captured += fromHold;
  account.changedHolds.add(held);
  const row = account.post({
    type: "consume",
    cause: { ...cause, ...spender },
    entries: [...entries.values()],
    ...(event ? { event } : {}),
    ...(quantity === null ? {} : { quantity }),
    holdId,
    at,
  });
  settleAccount(account, at);
  return row;
}

/** Moves the end of a hold's lease, never to an earlier instant. @throws BillingError HOLD_ENDED */
export function extend(account: Account, holdId: string, leaseEndsAt: Date, at: Date): AccountHold {
  const held = requireOpenHold(account, holdId, at);
  if (leaseEndsAt > held.leaseEndsAt) {
    held.leaseEndsAt = leaseEndsAt;
    account.changedHolds.add(held);
  }
  return held;
}

/** Frees what is left of a hold. @throws BillingError HOLD_ENDED */
export function release(
  account: Account,
  holdId: string,
  cause: Cause,
  at: Date,
  kind: AccountHold["kind"] = "work",
): AccountHold {
  const held = requireOpenHold(account, holdId, at, kind);
  end(account, held, cause, at, at);
  return held;
}

/** Ends the holds whose lease is over. Done before anything else is decided, so it does not wait for a job. @returns how many */
export function endLeases(account: Account, at: Date): number {
  let ended = 0;
  for (const held of account.state.holds.values()) {
    if (!held.open || held.leaseEndsAt > at) continue;
    const reason = held.kind === "gift" ? "The gift was not claimed in time" : "The hold's lease ended";
    end(account, held, ownCause(account, `release:${held.id}`, { reason }), at, held.leaseEndsAt);
    ended += 1;
  }
  return ended;
}

/**
 * A hold that has not ended.
 * @param kind a gift is claimed or cancelled, never captured, extended or released as work is
 * @throws BillingError HOLD_ENDED for every other one, whether or not it ever was
 */
export function requireOpenHold(
  account: Account,
  holdId: string,
  at: Date,
  kind: AccountHold["kind"] = "work",
): AccountHold {
  const held = account.state.holds.get(holdId);
  if (held?.open && held.kind === kind && held.leaseEndsAt > at) return held;
  throw new BillingError("HOLD_ENDED", "The hold has ended: it was released, or its lease is over.", { holdId });
}

/** @param endedAt a lease ends at its own instant, whenever that is noticed */
function end(account: Account, held: AccountHold, cause: Cause, at: Date, endedAt: Date): void {
  const entries = held.lots.map(([grantId, amount]) => {
    const lot = account.requireLot(grantId);
    return { lot, amount: 0, held: -amount };
  });
  freeBudgets(account, held.budgets, held.remaining);
  held.open = false;
  held.endedAt = endedAt;
  held.remaining = 0;
  held.lots = [];
  account.state.holds.delete(held.id);
  account.changedHolds.add(held);
  if (entries.length === 0) return;
  account.post({ type: "release", cause, entries, holdId: held.id, at });
  settleAccount(account, at);
}
