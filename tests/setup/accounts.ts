// Accounts in memory, as the rules work on them, for tests of the rules.
import { Account, type AccountLot, type AccountState, type Cause, type LedgerRow } from "~/domain/account";
import type { Budget } from "~/domain/budgets";
import { type GrantSource, toCredits } from "~/domain/credits";
import { grant } from "~/domain/granting";

export const NOW = new Date("2026-03-10T09:30:00.000Z");

export const minutesLater = (minutes: number) => new Date(NOW.getTime() + minutes * 60_000);

let made = 0;
/** An id; later ones sort behind. */
export const nextId = (what: string) => `${what}-${String(++made).padStart(6, "0")}`;

export const EVENT = { id: "event", name: "call", cost: toCredits(1), perUnits: 1, version: 1 };

export function causeOf(change: Partial<Cause> = {}): Cause {
  return { key: { space: "caller", key: nextId("key"), requestHash: "hash" }, actor: "test", ...change };
}

/** An account without anything. */
export function emptyAccount(change: Partial<AccountState> = {}): Account {
  const state: AccountState = {
    organizationId: "organization",
    version: 0,
    epoch: 1,
    deleted: false,
    burnOrder: "purchased_first",
    spentPolicy: "clamp",
    suspended: false,
    blockedFrom: null,
    balance: 0,
    held: 0,
    debt: 0,
    lastSeq: 0,
    lastAt: null,
    lastHash: null,
    lastLot: null,
    lots: [],
    holds: new Map(),
    budgets: [],
    overrides: [],
    ...change,
  };
  return new Account(state, (_, seq) => `row-${seq}`);
}

/** Grants a lot. */
export function give(
  account: Account,
  amount: number,
  change: { expiresAt?: Date | null; source?: GrantSource; at?: Date } = {},
): AccountLot {
  const { expiresAt = null, source = "purchase", at = NOW } = change;
  const id = nextId("lot");
  const rest = { source, amount: toCredits(amount), expiresAt, transferable: true, createdAt: at };
  grant(account, { id, label: id, ...rest }, "grant", causeOf(), at);
  const lot = account.findLot(id);
  if (!lot) throw new Error("a lot that was granted is there");
  return lot;
}

/** Adds a budget that counts from now on. */
export function addBudget(account: Account, change: Partial<Budget> = {}): Budget {
  const budget: Budget = {
    id: nextId("budget"),
    scope: "project",
    subject: "alpha",
    window: "day",
    limit: 10,
    sinceSeq: account.state.lastSeq,
    used: new Map(),
    ...change,
  };
  account.state.budgets.push(budget);
  return budget;
}

/** What a failed decision must leave as it was. */
export function snapshot(account: Account): unknown {
  const { rows, changedHolds, changedUsage, changedClaims } = account;
  const counts = [
    rows.length,
    changedHolds.size,
    changedClaims.size,
    [...changedUsage.values()].map((one) => one.change),
  ];
  return structuredClone([account.state, counts]);
}

/** The code and details of what a rule refuses; null where it does not. */
export function refusalOf(work: () => unknown): { code: string; details: Record<string, unknown> } | null {
  try {
    work();
    return null;
  } catch (error) {
    const { code, details } = error as { code?: string; details?: Record<string, unknown> };
    if (code === undefined || details === undefined) throw error;
    return { code, details };
  }
}

/** What a row moved of each lot. */
export const movedBy = (row: LedgerRow) => row.entries.map((entry) => [entry.grantId, entry.amount, entry.held]);
