// An organization's credits while a decision is made: its lots in burn order, what it owes and holds, and the ledger rows
// that the decision adds. The movements themselves are rules of their own (`spending`, `holds`, `claims`, `transfers`).

import type { Budget } from "./budgets";
import {
  availableCredits,
  type BurnOrder,
  type Credits,
  compareLots,
  type GrantSource,
  type Lot,
  takeInOrder,
  toCredits,
} from "./credits";
import { BillingError, invariant } from "./errors";
import type { PricedEvent, RateOverride } from "./rate-card";

export const TRANSACTION_TYPES = [
  "grant",
  "purchase",
  "promotion",
  "adjustment",
  "consume",
  "reversal",
  "expiry",
  "refund",
  "dispute",
  "transfer",
  "hold",
  "release",
  "debt",
] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

export const SPENT_POLICIES = ["clamp", "debt", "suspend"] as const;
/** What happens to credits that were spent when their payment is taken back. */
export type SpentPolicy = (typeof SPENT_POLICIES)[number];

/** A lot with everything that can happen to it. */
export interface AccountLot extends Lot {
  label: string;
  amount: Credits;
  /** Part of `held` that open disputes froze. */
  frozen: number;
  /** What refunds, lost disputes and time given back take back in all, and what of it was taken. */
  toTake: number;
  taken: number;
  /** Part of `toTake` whose price was given back as a proration of the subscription. */
  returned: number;
  /** What open disputes freeze in all. */
  toFreeze: number;
  transferred: number;
  expired: number;
  /** What of `expired` goes on as a lot of the next period. */
  rolledOver: number;
  transferable: boolean;
  originSource: GrantSource | null;
}

/** Credits set aside for work, or for a gift. */
export interface AccountHold {
  id: string;
  kind: "work" | "gift";
  amount: number;
  /** What was taken of it; the rest of `amount` is still set aside (`remaining`) or was released. */
  captured: number;
  remaining: number;
  /** What is set aside of each lot, in burn order. */
  lots: [grantId: string, amount: number][];
  /** The budgets' windows that it is counted in. */
  budgets: [budgetId: string, windowStart: number][];
  open: boolean;
  leaseEndsAt: Date;
  createdAt: Date;
  endedAt: Date | null;
  eventName: string | null;
  project: string | null;
  memberId: string | null;
  apiKeyId: string | null;
  actor: string;
}

/** An account as it was loaded. A decision changes it in place; whoever keeps it must forget it when the write fails. */
export interface AccountState {
  organizationId: string;
  version: number;
  epoch: number;
  deleted: boolean;
  burnOrder: BurnOrder;
  spentPolicy: SpentPolicy;
  suspended: boolean;
  /** From when on nothing can be spent, because a payment is overdue, in milliseconds; null while none is. */
  blockedFrom: number | null;
  balance: number;
  held: number;
  debt: number;
  lastSeq: number;
  lastAt: Date | null;
  lastHash: string | null;
  /** The lot that the newest row names. */
  lastLot: string | null;
  /** In burn order. */
  lots: AccountLot[];
  holds: Map<string, AccountHold>;
  budgets: Budget[];
  overrides: RateOverride[];
}

/** Who chose a key: a caller, or Billfold from what caused the movement. The two cannot collide. */
export interface LedgerKey {
  space: "caller" | "billing";
  key: string;
  /** Fingerprint of the request's meaning. */
  requestHash: string;
}

/** Who moves credits and what for; kept with the row. */
export interface Cause {
  key: LedgerKey;
  actor: string;
  apiKeyId?: string | null;
  reason?: string | null;
  /** The object of somebody else that caused it: a refund, a dispute, the other organization. */
  reference?: string | null;
  project?: string | null;
  memberId?: string | null;
  metadata?: Record<string, unknown> | null;
}

export interface LedgerEntry {
  grantId: string;
  source: GrantSource;
  /** Change of what the lot holds, and of what of it is set aside. */
  amount: number;
  held: number;
  lotAfter: number;
}

export interface LedgerRow extends Cause {
  id: string;
  seq: number;
  type: TransactionType;
  amount: number;
  held: number;
  debt: number;
  balanceAfter: number;
  availableAfter: number;
  event: PricedEvent | null;
  quantity: number | null;
  correctsSeq: number | null;
  holdId: string | null;
  at: Date;
  entries: LedgerEntry[];
  /** Lots that this row made. */
  newLots: NewLot[];
}

/** A lot that a movement makes. */
export interface NewLot {
  id: string;
  source: GrantSource;
  amount: Credits;
  expiresAt: Date | null;
  label: string;
  transferable: boolean;
  createdAt: Date;
  planId?: string | null;
  planVersion?: number | null;
  priceId?: string | null;
  productId?: string | null;
  stripeInvoiceId?: string | null;
  stripePaymentId?: string | null;
  stripeSessionId?: string | null;
  originOrganizationId?: string | null;
  originGrantId?: string | null;
  originSource?: GrantSource | null;
}

export interface Movement {
  type: TransactionType;
  cause: Cause;
  /** What each lot gains or loses, in order; one entry a lot. */
  entries: { lot: AccountLot; amount: number; held?: number }[];
  debt?: number;
  event?: PricedEvent;
  quantity?: number;
  correctsSeq?: number;
  holdId?: string;
  newLots?: NewLot[];
  at: Date;
}

/** Makes a row's id, which carries its `seq`. */
export type TransactionIds = (at: Date, seq: number) => string;

const NO_LOTS: NewLot[] = [];

interface RareChanges {
  newLots: Map<string, NewLot>;
  claims: Set<AccountLot>;
  holds: Set<AccountHold>;
  usage: Map<string, { budgetId: string; windowStart: number; change: number }>;
}

/** A decision on one account: it changes the state and keeps what has to be written. */
export class Account {
  readonly rows: LedgerRow[] = [];
  /** What the rows changed in lots that were there before. */
  readonly changedLots: { id: string; amount: number; held: number }[] = [];
  /** Keys that the decision took to be new without having asked; the write refuses where one is not. */
  readonly unknownKeys: LedgerKey[] = [];
  private rareChanges: RareChanges | null = null;
  suspension: { at: Date | null; reason: string | null } | null = null;
  readonly expectedVersion: number;

  constructor(
    readonly state: AccountState,
    private readonly newTransactionId: TransactionIds,
  ) {
    this.expectedVersion = state.version;
  }

  /** Whether there is anything to write. */
  get isChanged(): boolean {
    if (this.rows.length > 0 || this.suspension !== null) return true;
    const rare = this.rareChanges;
    return rare !== null && (rare.holds.size > 0 || rare.claims.size > 0);
  }

  /** Whether it has changes that a plain take has not. */
  get hasRareChanges(): boolean {
    return this.rareChanges !== null || this.suspension !== null;
  }

  // Made when they are first asked for: most decisions are takes, and have none of them.
  private get rare(): RareChanges {
    this.rareChanges ??= { newLots: new Map(), claims: new Set(), holds: new Set(), usage: new Map() };
    return this.rareChanges;
  }

  get newLots(): Map<string, NewLot> {
    return this.rare.newLots;
  }

  /** Lots whose claims (refunds, disputes, transfers, expiry) changed. */
  get changedClaims(): Set<AccountLot> {
    return this.rare.claims;
  }

  get changedHolds(): Set<AccountHold> {
    return this.rare.holds;
  }

  /** By budget and window: what is used more. */
  get changedUsage(): RareChanges["usage"] {
    return this.rare.usage;
  }

  available(at: Date): Credits {
    return availableCredits(this.state.lots, at);
  }

  /** Takes from what is free, in burn order. @throws BillingError INSUFFICIENT_CREDITS */
  take(amount: Credits, at: Date): { lot: AccountLot; amount: Credits }[] {
    return takeInOrder(this.state.lots, amount, at);
  }

  findLot(id: string): AccountLot | undefined {
    return this.state.lots.find((lot) => lot.id === id);
  }

  /** A lot that the decision cannot be without: one of an open hold is open, and the others were loaded for it. */
  requireLot(id: string): AccountLot {
    const lot = this.findLot(id);
    invariant(lot, "a lot that is to be moved is loaded");
    return lot;
  }

  /** Brings a lot into the decision that holds nothing any more and was therefore not loaded. */
  addKnownLot(lot: AccountLot): void {
    if (!this.findLot(lot.id)) this.insert(lot);
  }

  private insert(lot: AccountLot): void {
    this.state.lots.push(lot);
    this.state.lots.sort(compareLots(this.state.burnOrder));
  }

  /**
   * Makes an empty lot; the movement that names it in `newLots` fills it.
   * @throws BillingError INVALID_INPUT where the balance would leave the safe integers
   */
  openLot(lot: NewLot): AccountLot {
    if (!Number.isSafeInteger(this.state.balance + lot.amount)) {
      throw new BillingError("INVALID_INPUT", "The balance would become too large to be counted exactly.", {
        amount: lot.amount,
      });
    }
    const opened: AccountLot = {
      id: lot.id,
      source: lot.source,
      remaining: toCredits(0),
      held: toCredits(0),
      expiresAt: lot.expiresAt,
      createdAt: lot.createdAt,
      label: lot.label,
      amount: lot.amount,
      frozen: 0,
      toTake: 0,
      taken: 0,
      returned: 0,
      toFreeze: 0,
      transferred: 0,
      expired: 0,
      rolledOver: 0,
      transferable: lot.transferable,
      originSource: lot.originSource ?? null,
    };
    this.newLots.set(lot.id, lot);
    this.insert(opened);
    return opened;
  }

  /** The instant of a row that is decided at `at`. Rows follow each other in time, so that any instant is a prefix of the ledger. */
  rowInstant(at: Date): Date {
    const { lastAt } = this.state;
    return lastAt !== null && lastAt > at ? lastAt : at;
  }

  /** Adds a row to the ledger and does what it says to the lots. */
  post(movement: Movement): LedgerRow {
    const { state } = this;
    const at = this.rowInstant(movement.at);
    let amount = 0;
    let held = 0;
    const entries: LedgerEntry[] = [];
    for (const entry of movement.entries) {
      const { lot } = entry;
      const entryHeld = entry.held ?? 0;
      lot.remaining = (lot.remaining + entry.amount) as Credits;
      lot.held = (lot.held + entryHeld) as Credits;
      invariant(lot.remaining >= 0 && lot.remaining <= lot.amount, "a lot stays between nothing and its amount");
      invariant(lot.held >= 0 && lot.held <= lot.remaining, "what is set aside of a lot is in it");
      amount += entry.amount;
      held += entryHeld;
      if (!this.rareChanges?.newLots.has(lot.id)) this.noteChange(lot.id, entry.amount, entryHeld);
      entries.push({
        grantId: lot.id,
        source: lot.source,
        amount: entry.amount,
        held: entryHeld,
        lotAfter: lot.remaining,
      });
    }
    const debt = movement.debt ?? 0;
    invariant(amount !== 0 || held !== 0 || debt !== 0, "a movement moves something");
    state.balance = toCredits(state.balance + amount);
    state.held += held;
    state.debt += debt;
    invariant(state.balance >= 0 && state.held >= 0 && state.debt >= 0, "an account is never below zero");
    state.lastSeq += 1;
    state.lastAt = at;
    const { cause } = movement;
    const row: LedgerRow = {
      key: cause.key,
      actor: cause.actor,
      apiKeyId: cause.apiKeyId ?? null,
      reason: cause.reason ?? null,
      reference: cause.reference ?? null,
      project: cause.project ?? null,
      memberId: cause.memberId ?? null,
      metadata: cause.metadata ?? null,
      id: this.newTransactionId(at, state.lastSeq),
      seq: state.lastSeq,
      type: movement.type,
      amount,
      held,
      debt,
      balanceAfter: state.balance,
      availableAfter: this.available(movement.at),
      event: movement.event ?? null,
      quantity: movement.quantity ?? null,
      correctsSeq: movement.correctsSeq ?? null,
      holdId: movement.holdId ?? null,
      at,
      entries,
      newLots: movement.newLots ?? NO_LOTS,
    };
    this.rows.push(row);
    return row;
  }

  private noteChange(id: string, amount: number, held: number): void {
    for (const change of this.changedLots) {
      if (change.id !== id) continue;
      change.amount += amount;
      change.held += held;
      return;
    }
    this.changedLots.push({ id, amount, held });
  }

  /** Counts a change of what a budget's window has used. */
  countUsage(budgetId: string, windowStart: number, change: number): void {
    const key = `${budgetId}:${windowStart}`;
    const known = this.changedUsage.get(key);
    if (known) known.change += change;
    else this.changedUsage.set(key, { budgetId, windowStart, change });
  }
}

/** A key of Billfold's own: once-ness comes from the state that the rule looks at, uniqueness from the row's number. */
export function ownCause(account: Account, what: string, rest: Partial<Cause> = {}): Cause {
  const key = `${what}:${account.state.lastSeq + 1}`;
  return { key: { space: "billing", key, requestHash: key }, actor: "billfold", ...rest };
}
