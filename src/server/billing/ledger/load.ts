// From what the database's loading functions answer to the accounts, known rows and rate card that the rules work on.
import type { AccountHold, AccountLot, AccountState, TransactionType } from "~/domain/account";
import type { Budget, BudgetScope, BudgetWindow } from "~/domain/budgets";
import { compareLots, type GrantSource, toCredits } from "~/domain/credits";
import type { RatedEvent, RateOverride } from "~/domain/rate-card";

type Ms = number;

/** An account as `ledger_read` answers it: instants in milliseconds, and what is empty left out. */
export interface StoredAccount extends Omit<AccountState, "lastAt" | "lots" | "holds" | "budgets" | "overrides"> {
  lastAt: Ms | null;
  lots: StoredLot[] | null;
  holds: StoredHold[] | null;
  budgets: [string, BudgetScope, string, BudgetWindow, number, number, [Ms, number][] | null][] | null;
  overrides: [string, number, number, Ms, Ms | null][] | null;
}

/** The columns of a lot in the order in which `ledger_read` names them. */
export type StoredLot = [
  id: string,
  source: GrantSource,
  remaining: number,
  held: number,
  expiresAt: Ms | null,
  createdAt: Ms,
  label: string,
  amount: number,
  frozen: number,
  toTake: number,
  taken: number,
  toFreeze: number,
  transferred: number,
  expired: number,
  transferable: boolean,
  originSource: GrantSource | null,
  returned: number,
  rolledOver: number,
];

type StoredHold = [
  id: string,
  kind: AccountHold["kind"],
  amount: number,
  captured: number,
  remaining: number,
  lots: [string, number][],
  budgets: [string, number][] | null,
  leaseEndsAt: Ms,
  eventName: string | null,
  project: string | null,
  memberId: string | null,
  apiKeyId: string | null,
  actor: string,
  createdAt: Ms,
];

export function readAccount(stored: StoredAccount): AccountState {
  const { lastAt, lots, holds, budgets, overrides, ...rest } = stored;
  return {
    ...rest,
    lastAt: lastAt === null ? null : new Date(lastAt),
    lots: (lots ?? []).map(readLot).sort(compareLots(stored.burnOrder)),
    holds: new Map((holds ?? []).map((hold) => [hold[0], readHold(hold)])),
    // The oldest first: where several are exceeded, it is always the same one that is told.
    budgets: (budgets ?? []).map(readBudget).sort((a, b) => (a.id < b.id ? -1 : 1)),
    overrides: (overrides ?? []).map(readOverride),
  };
}

export function readLot(stored: StoredLot): AccountLot {
  const [id, source, remaining, held, expiresAt, createdAt, label, amount, frozen, toTake, taken, toFreeze] = stored;
  const [transferred, expired, transferable, originSource, returned, rolledOver] = stored.slice(12) as [
    number,
    number,
    boolean,
    GrantSource | null,
    number,
    number,
  ];
  return {
    id,
    source,
    remaining: toCredits(remaining),
    held: toCredits(held),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    createdAt: new Date(createdAt),
    label,
    amount: toCredits(amount),
    frozen,
    toTake,
    taken,
    returned,
    toFreeze,
    transferred,
    expired,
    rolledOver,
    transferable,
    originSource,
  };
}

function readHold(stored: StoredHold): AccountHold {
  const [
    id,
    kind,
    amount,
    captured,
    remaining,
    lots,
    budgets,
    leaseEndsAt,
    eventName,
    project,
    memberId,
    apiKeyId,
    actor,
    createdAt,
  ] = stored;
  return {
    id,
    kind,
    amount,
    captured,
    remaining,
    lots,
    budgets: budgets ?? [],
    open: true,
    leaseEndsAt: new Date(leaseEndsAt),
    createdAt: new Date(createdAt),
    endedAt: null,
    eventName,
    project,
    memberId,
    apiKeyId,
    actor,
  };
}

function readBudget([id, scope, subject, window, limit, sinceSeq, used]: NonNullable<
  StoredAccount["budgets"]
>[number]): Budget {
  return { id, scope, subject, window, limit, sinceSeq, used: new Map(used ?? []) };
}

function readOverride([eventId, cost, perUnits, from, until]: NonNullable<
  StoredAccount["overrides"]
>[number]): RateOverride {
  const end = until === null ? null : new Date(until);
  return { eventId, cost: toCredits(cost), perUnits, from: new Date(from), until: end };
}

/** A row that stands under a key. */
export interface KnownRow {
  id: string;
  seq: number;
  type: TransactionType;
  amount: number;
  held: number;
  availableAfter: number;
  holdId: string | null;
  requestHash: string;
  entries: { grantId: string; source: GrantSource; amount: number; held: number }[];
}

export interface StoredKnown {
  organization_id: string;
  key_space: "caller" | "billing";
  idempotency_key: string;
  id: string;
  seq: number;
  type: TransactionType;
  amount: number;
  held: number;
  available_after: number;
  hold_id: string | null;
  request_hash: string;
  entries: [string, GrantSource, number, number][] | null;
}

export function readKnown(stored: StoredKnown): KnownRow {
  return {
    id: stored.id,
    seq: Number(stored.seq),
    type: stored.type,
    amount: Number(stored.amount),
    held: Number(stored.held),
    availableAfter: Number(stored.available_after),
    holdId: stored.hold_id,
    requestHash: stored.request_hash,
    entries: (stored.entries ?? []).map(([grantId, source, amount, held]) => ({ grantId, source, amount, held })),
  };
}

/** The rate card for everybody, and the epoch that it is of. */
export interface RateCard {
  epoch: number;
  events: Map<string, RatedEvent>;
}

export interface StoredRateCard {
  epoch: number;
  events: [string, string, number, number, number, boolean, Ms | null, [number, number, Ms, number][] | null][] | null;
}

export function readRateCard(stored: StoredRateCard): RateCard {
  const events = (stored.events ?? []).map(
    ([id, name, cost, perUnits, version, active, activeFrom, rates]): RatedEvent => ({
      id,
      name,
      cost: toCredits(cost),
      perUnits,
      version,
      active,
      activeFrom: activeFrom === null ? null : new Date(activeFrom),
      rates: (rates ?? []).map(([rateCost, ratePerUnits, from, rateVersion]) => ({
        cost: toCredits(rateCost),
        perUnits: ratePerUnits,
        from: new Date(from),
        version: rateVersion,
      })),
    }),
  );
  return { epoch: stored.epoch, events: new Map(events.map((event) => [event.name, event])) };
}
