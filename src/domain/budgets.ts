// Budgets: what a key, a member or a project may spend of its organization's credits in a day, a month or in all.
import type { Account } from "./account";
import { BillingError } from "./errors";

export const BUDGET_SCOPES = ["api_key", "member", "project"] as const;
export type BudgetScope = (typeof BUDGET_SCOPES)[number];

export const BUDGET_WINDOWS = ["day", "month", "total"] as const;
/** Days and months are those of UTC. */
export type BudgetWindow = (typeof BUDGET_WINDOWS)[number];

export interface Budget {
  id: string;
  scope: BudgetScope;
  /** The key's or member's id, or the project's tag. */
  subject: string;
  window: BudgetWindow;
  limit: number;
  /** The ledger's last row when the budget was made: what comes after it is counted. */
  sinceSeq: number;
  /** Used by the window's start, in milliseconds since 1970. */
  used: Map<number, number>;
}

/** On whose account inside the organization something is spent. */
export interface Spender {
  apiKeyId?: string | null;
  memberId?: string | null;
  project?: string | null;
}

/** The start of the window that an instant lies in, in milliseconds since 1970; 0 for the one that has no end. */
export function windowStart(window: BudgetWindow, at: Date): number {
  if (window === "total") return 0;
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), window === "day" ? at.getUTCDate() : 1);
}

/** When the window ends and the budget begins anew; null for the one that has no end. */
export function windowEnd(window: BudgetWindow, at: Date): Date | null {
  if (window === "total") return null;
  const day = window === "day";
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + (day ? 0 : 1), day ? at.getUTCDate() + 1 : 1));
}

/** The budgets that a spender is under. */
export function budgetsOf(budgets: readonly Budget[], spender: Spender): Budget[] {
  return budgets.filter((budget) => {
    if (budget.scope === "api_key") return budget.subject === spender.apiKeyId;
    return budget.subject === (budget.scope === "member" ? spender.memberId : spender.project);
  });
}

/**
 * Asks whether a spender may use an amount.
 * @throws BillingError BUDGET_EXCEEDED with the first budget that refuses: `{ budgetId, scope, subject, window, limit, used,
 *   required, resetsAt }`
 */
export function requireBudget(budgets: readonly Budget[], amount: number, at: Date): void {
  for (const budget of budgets) {
    const used = budget.used.get(windowStart(budget.window, at)) ?? 0;
    if (used + amount <= budget.limit) continue;
    const { id, scope, subject, window, limit } = budget;
    const resetsAt = windowEnd(window, at);
    const details = { budgetId: id, scope, subject, window, limit, used, required: amount, resetsAt };
    throw new BillingError("BUDGET_EXCEEDED", `The budget of ${limit} credits does not cover this.`, details);
  }
}

/** Counts an amount in the windows of an instant. @returns the windows, for whoever frees it later */
export function chargeBudgets(
  account: Account,
  budgets: readonly Budget[],
  amount: number,
  at: Date,
): [string, number][] {
  return budgets.map((budget) => {
    const start = windowStart(budget.window, at);
    budget.used.set(start, (budget.used.get(start) ?? 0) + amount);
    account.countUsage(budget.id, start, amount);
    return [budget.id, start];
  });
}

/** The windows that a row of the ledger was counted in: those of its instant, of the budgets that were there before it. */
export function windowsOf(
  budgets: readonly Budget[],
  spender: Spender,
  row: { seq: number; at: Date },
): [budgetId: string, windowStart: number][] {
  return budgetsOf(budgets, spender)
    .filter((budget) => budget.sinceSeq < row.seq)
    .map((budget) => [budget.id, windowStart(budget.window, row.at)]);
}

/** Gives back what was counted in windows. */
export function freeBudgets(account: Account, windows: readonly [string, number][], amount: number): void {
  if (amount === 0) return;
  for (const [budgetId, start] of windows) {
    const budget = account.state.budgets.find((candidate) => candidate.id === budgetId);
    // A window that was not loaded is an old one, which no decision reads any more; the database has its number.
    const used = budget?.used.get(start);
    if (used !== undefined) budget?.used.set(start, Math.max(0, used - amount));
    account.countUsage(budgetId, start, -amount);
  }
}
