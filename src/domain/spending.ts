// Spending: taking what an event costs, giving a take back, and writing off what has expired.
import { type Account, type AccountLot, type Cause, type LedgerRow, ownCause } from "./account";
import { budgetsOf, chargeBudgets, freeBudgets, requireBudget, windowsOf } from "./budgets";
import { settleAccount } from "./claims";
import { type Credits, isExpired } from "./credits";
import { BillingError } from "./errors";
import type { PricedEvent } from "./rate-card";

/**
 * @throws BillingError ACCOUNT_SUSPENDED `{ organizationId }` while the platform has stopped all spending, PAYMENT_OVERDUE
 *   `{ organizationId, since }` from the instant on at which the grace of an overdue payment is over
 */
export function requireSpendable({ state }: Account, at: Date): void {
  const { organizationId, suspended, blockedFrom } = state;
  if (suspended) {
    throw new BillingError("ACCOUNT_SUSPENDED", "Spending is suspended for this organization.", { organizationId });
  }
  if (blockedFrom === null || at.getTime() < blockedFrom) return;
  throw new BillingError(
    "PAYMENT_OVERDUE",
    "A payment of the subscription is overdue. Pay it to spend credits again.",
    {
      organizationId,
      since: new Date(blockedFrom),
    },
  );
}

/** Whether anything may be spent at all at this instant. */
export function isSpendable({ state }: Account, at: Date): boolean {
  return !state.suspended && (state.blockedFrom === null || at.getTime() < state.blockedFrom);
}

export interface Spending {
  cost: Credits;
  event: PricedEvent;
  quantity: number;
  cause: Cause;
  at: Date;
}

/**
 * Takes what an event costs from the lots in burn order, within the spender's budgets.
 * @throws BillingError INSUFFICIENT_CREDITS, BUDGET_EXCEEDED, ACCOUNT_SUSPENDED, PAYMENT_OVERDUE; the account is unchanged then
 */
export function consume(account: Account, spending: Spending): LedgerRow {
  const { cost, event, quantity, cause, at } = spending;
  requireSpendable(account, at);
  const parts = account.take(cost, at);
  const budgets = account.state.budgets.length === 0 ? [] : budgetsOf(account.state.budgets, cause);
  const countedAt = account.rowInstant(at);
  requireBudget(budgets, cost, countedAt);
  chargeBudgets(account, budgets, cost, countedAt);
  return account.post({
    type: "consume",
    cause,
    entries: parts.map((part) => ({ lot: part.lot, amount: -part.amount })),
    event,
    quantity,
    at,
  });
}

/** A take that is to be given back, as the ledger has it. */
export interface Taken {
  seq: number;
  at: Date;
  event: PricedEvent | null;
  spender: { apiKeyId: string | null; memberId: string | null; project: string | null };
  /** What it took in all. */
  amount: number;
  /** What of it a hold had set aside, and the windows of budgets that the hold was counted in. */
  held: { amount: number; windows: readonly [budgetId: string, windowStart: number][] };
  /** What it took of each lot, in burn order, less what earlier reversals gave back. */
  lots: { grantId: string; amount: number }[];
}

/**
 * Gives back a take, or a part of it, to exactly the lots that paid: last taken, first given back. Every lot of it is known
 * to the account (`addKnownLot`). What has expired meanwhile, or is claimed by a refund, goes on to where it belongs. Budgets
 * are freed in the windows in which the take was counted.
 * @throws BillingError INVALID_INPUT where more is asked for than is left of the take: `{ reversible }`
 */
export function reverse(account: Account, taken: Taken, amount: Credits | null, cause: Cause, at: Date): LedgerRow {
  const reversible = taken.lots.reduce((sum, lot) => sum + lot.amount, 0);
  const wanted = amount ?? reversible;
  if (reversible === 0 || wanted > reversible) {
    const message =
      reversible === 0 ? "It was given back before." : `Only ${reversible} credits of it can be given back.`;
    throw new BillingError("INVALID_INPUT", message, { reversible });
  }
  let open = wanted;
  const entries = [];
  for (const part of [...taken.lots].reverse()) {
    const given = Math.min(open, part.amount);
    if (given === 0) continue;
    const lot = account.requireLot(part.grantId);
    entries.push({ lot, amount: given });
    open -= given;
  }
  freeBudgetsOf(account, taken, reversible, wanted);
  const row = account.post({
    type: "reversal",
    // On the account of whoever spent it; the actor is who gives it back.
    cause: { ...cause, ...taken.spender },
    entries,
    correctsSeq: taken.seq,
    ...(taken.event ? { event: taken.event } : {}),
    at,
  });
  settleAccount(account, at);
  return row;
}

/** What went beyond a hold was counted last, at the take's own instant, and is freed first; the rest when its hold was made. */
function freeBudgetsOf(account: Account, taken: Taken, reversible: number, amount: number): void {
  const before = taken.amount - reversible;
  const beyondHold = Math.max(0, taken.amount - taken.held.amount - before);
  const freed = Math.min(amount, beyondHold);
  freeBudgets(account, windowsOf(account.state.budgets, taken.spender, taken), freed);
  freeBudgets(account, taken.held.windows, amount - freed);
}

/** Writes off what lots past their expiry still hold, except what is set aside. @returns how many lots */
export function expire(account: Account, at: Date): number {
  const due = account.state.lots.filter((lot) => isExpired(lot, at) && lot.remaining > lot.held);
  for (const lot of due) writeOff(account, lot, "expired", at);
  return due.length;
}

/** Writes off what is free of a lot that nobody is to spend any more. @param why what has become of it, as its row says */
export function writeOff(account: Account, lot: AccountLot, why: string, at: Date): void {
  const amount = lot.remaining - lot.held;
  if (amount === 0) return;
  lot.expired += amount;
  account.changedClaims.add(lot);
  account.post({
    type: "expiry",
    cause: ownCause(account, `expiry:${lot.id}`, { reason: `${lot.label}: ${why}` }),
    entries: [{ lot, amount: -amount }],
    at,
  });
}
