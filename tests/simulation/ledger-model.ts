// What the ledger promises, in the plainest words that can be run: no code of ours. Lots are spent in burn order, holds set
// parts of them aside, budgets count. What refunds and disputes do is not foretold here: where an organization has claims,
// its lots are read anew after what may have settled them, and only the laws speak.

export type BurnOrder = "purchased_first" | "expiring_first";

export interface ModelLot {
  id: string;
  /** What the credits were before they were ever transferred. */
  firstSource: string;
  transferable: boolean;
  /** Whether a refund or dispute has a claim on it. */
  claimed: boolean;
  remaining: number;
  held: number;
  expiresAt: number | null;
  createdAt: number;
}

export type Part = { grantId: string; amount: number };

export interface ModelHold {
  id: string;
  gift: boolean;
  amount: number;
  remaining: number;
  captured: number;
  parts: Part[];
  leaseEndsAt: number;
  project: string | null;
  windows: Window[];
}

export type Window = { budget: ModelBudget; start: number };

export interface ModelBudget {
  id: string;
  project: string;
  window: "day" | "total";
  limit: number;
  used: Map<number, number>;
}

export interface ModelTake {
  transactionId: string;
  amount: number;
  /** What it took of each lot, less what was given back, in the order of the take. */
  left: Part[];
  /** Counted when it was taken, and what a hold had counted before. */
  windows: Window[];
  fromHold: number;
  holdWindows: Window[];
}

export type Refusal = { code: string; details?: Record<string, unknown> };
export type Outcome<T> = { ok: T } | { refused: Refusal };

const DAY_MS = 86_400_000;

/** One organization. */
export class ModelAccount {
  lots = new Map<string, ModelLot>();
  holds = new Map<string, ModelHold>();
  takes: ModelTake[] = [];
  budgets: ModelBudget[] = [];
  burnOrder: BurnOrder = "purchased_first";
  suspended = false;
  debt = 0;
  /** Whether payments of it were ever taken back, so that what settles them cannot be foretold. */
  hasClaims = false;

  constructor(
    readonly id: string,
    readonly name: string,
  ) {}

  free(lot: ModelLot, now: number): number {
    return lot.expiresAt !== null && lot.expiresAt <= now ? 0 : lot.remaining - lot.held;
  }

  inBurnOrder(): ModelLot[] {
    const all = [...this.lots.values()];
    const byId = (a: ModelLot, b: ModelLot) => (a.id < b.id ? -1 : 1);
    const permanent = all.filter((lot) => lot.expiresAt === null);
    const expiring = all.filter((lot) => lot.expiresAt !== null);
    permanent.sort((a, b) => a.createdAt - b.createdAt || byId(a, b));
    expiring.sort((a, b) => (a.expiresAt ?? 0) - (b.expiresAt ?? 0) || byId(a, b));
    return this.burnOrder === "purchased_first" ? [...permanent, ...expiring] : [...expiring, ...permanent];
  }

  available(now: number): number {
    return this.inBurnOrder().reduce((sum, lot) => sum + this.free(lot, now), 0);
  }

  get balance(): number {
    return [...this.lots.values()].reduce((sum, lot) => sum + lot.remaining, 0);
  }

  get held(): number {
    return [...this.lots.values()].reduce((sum, lot) => sum + lot.held, 0);
  }

  private pick(lots: ModelLot[], amount: number, now: number): Part[] {
    const parts: Part[] = [];
    let open = amount;
    for (const lot of lots) {
      const part = Math.min(open, this.free(lot, now));
      if (part > 0) parts.push({ grantId: lot.id, amount: part });
      open -= part;
    }
    return parts;
  }

  private lot(id: string): ModelLot {
    const lot = this.lots.get(id);
    if (!lot) throw new Error(`the model has no lot ${id}`);
    return lot;
  }

  private windows(project: string | null, now: number): Window[] {
    const mine = this.budgets.filter((budget) => budget.project === project);
    return mine.map((budget) => ({ budget, start: budget.window === "total" ? 0 : now - (now % DAY_MS) }));
  }

  private count(windows: Window[], amount: number): void {
    for (const { budget, start } of windows) {
      budget.used.set(start, Math.max(0, (budget.used.get(start) ?? 0) + amount));
    }
  }

  /** Whether a spender may use an amount: null, or why not. */
  private refusal(amount: number, project: string | null, now: number): Refusal | null {
    if (this.suspended) return { code: "ACCOUNT_SUSPENDED" };
    const available = this.available(now);
    if (amount > available) return { code: "INSUFFICIENT_CREDITS", details: { required: amount, available } };
    return this.overBudget(amount, project, now);
  }

  private overBudget(amount: number, project: string | null, now: number): Refusal | null {
    for (const { budget, start } of this.windows(project, now)) {
      const used = budget.used.get(start) ?? 0;
      if (used + amount > budget.limit) {
        return {
          code: "BUDGET_EXCEEDED",
          details: { budgetId: budget.id, used, limit: budget.limit, required: amount },
        };
      }
    }
    return null;
  }

  consume(amount: number, project: string | null, now: number): Outcome<{ parts: Part[]; take: ModelTake }> {
    const refused = this.refusal(amount, project, now);
    if (refused) return { refused };
    const parts = this.pick(this.inBurnOrder(), amount, now);
    for (const part of parts) this.lot(part.grantId).remaining -= part.amount;
    const windows = this.windows(project, now);
    this.count(windows, amount);
    const left = parts.map((part) => ({ ...part }));
    const take = { transactionId: "", amount, left, windows, fromHold: 0, holdWindows: [] };
    this.takes.push(take);
    return { ok: { parts, take } };
  }

  hold(amount: number, project: string | null, now: number): Outcome<{ parts: Part[]; windows: Window[] }> {
    const refused = this.refusal(amount, project, now);
    if (refused) return { refused };
    const parts = this.pick(this.inBurnOrder(), amount, now);
    const windows = this.windows(project, now);
    this.count(windows, amount);
    for (const part of parts) this.lot(part.grantId).held += part.amount;
    return { ok: { parts, windows } };
  }

  openHold(hold: Omit<ModelHold, "amount" | "remaining" | "captured">): void {
    const amount = hold.parts.reduce((sum, part) => sum + part.amount, 0);
    this.holds.set(hold.id, {
      ...hold,
      parts: hold.parts.map((part) => ({ ...part })),
      amount,
      remaining: amount,
      captured: 0,
    });
  }

  capture(id: string, amount: number, now: number): Outcome<{ parts: Part[]; remaining: number; take: ModelTake }> {
    const hold = this.holds.get(id);
    if (!hold) return { refused: { code: "HOLD_ENDED" } };
    const fromHold = Math.min(amount, hold.remaining);
    const beyond = amount - fromHold;
    const available = this.available(now);
    if (beyond > available) {
      const details = { required: amount, available: hold.remaining + available };
      return { refused: { code: "INSUFFICIENT_CREDITS", details } };
    }
    if (beyond > 0) {
      if (this.suspended) return { refused: { code: "ACCOUNT_SUSPENDED" } };
      const refused = this.overBudget(beyond, hold.project, now);
      if (refused) return { refused };
    }
    const taken = new Map<string, number>();
    const others = this.pick(this.inBurnOrder(), beyond, now);
    let open = fromHold;
    for (const part of hold.parts) {
      const amountOfPart = Math.min(open, part.amount);
      part.amount -= amountOfPart;
      open -= amountOfPart;
      if (amountOfPart === 0) continue;
      const lot = this.lot(part.grantId);
      lot.remaining -= amountOfPart;
      lot.held -= amountOfPart;
      taken.set(part.grantId, amountOfPart);
    }
    hold.parts = hold.parts.filter((part) => part.amount > 0);
    for (const part of others) {
      this.lot(part.grantId).remaining -= part.amount;
      taken.set(part.grantId, (taken.get(part.grantId) ?? 0) + part.amount);
    }
    hold.remaining -= fromHold;
    hold.captured += fromHold;
    const windows = beyond > 0 ? this.windows(hold.project, now) : [];
    this.count(windows, beyond);
    const parts = [...taken].map(([grantId, part]) => ({ grantId, amount: part }));
    const left = parts.map((part) => ({ ...part }));
    const take = { transactionId: "", amount, left, windows, fromHold, holdWindows: hold.windows };
    this.takes.push(take);
    return { ok: { parts, remaining: hold.remaining, take } };
  }

  /** Ends a hold. @returns what of it is free again */
  end(id: string): number {
    const hold = this.holds.get(id);
    if (!hold) return 0;
    for (const part of hold.parts) this.lot(part.grantId).held -= part.amount;
    this.count(hold.windows, -hold.remaining);
    this.holds.delete(id);
    return hold.amount - hold.captured;
  }

  /** Ends what is over by now, as everybody who looks does before anything else. */
  endLeases(now: number): number {
    const over = [...this.holds.values()].filter((hold) => hold.leaseEndsAt <= now);
    for (const hold of over) this.end(hold.id);
    return over.length;
  }

  expire(now: number): void {
    for (const lot of this.lots.values()) {
      if (lot.expiresAt !== null && lot.expiresAt <= now) lot.remaining = lot.held;
    }
  }

  /** Gives a take back, last taken first. */
  reverse(take: ModelTake, amount: number | null): Outcome<Part[]> {
    const reversible = take.left.reduce((sum, part) => sum + part.amount, 0);
    const wanted = amount ?? reversible;
    if (reversible === 0 || wanted > reversible) return { refused: { code: "INVALID_INPUT", details: { reversible } } };
    let open = wanted;
    const parts: Part[] = [];
    for (const part of [...take.left].reverse()) {
      const given = Math.min(open, part.amount);
      if (given === 0) continue;
      part.amount -= given;
      open -= given;
      this.lot(part.grantId).remaining += given;
      parts.push({ grantId: part.grantId, amount: given });
    }
    const before = take.amount - reversible;
    const beyond = Math.min(wanted, Math.max(0, take.amount - take.fromHold - before));
    this.count(take.windows, -beyond);
    this.count(take.holdWindows, -(wanted - beyond));
    return { ok: parts };
  }

  /** What a transfer or a gift of an amount would take. */
  give(amount: number, now: number): Outcome<Part[]> {
    if (this.suspended) return { refused: { code: "ACCOUNT_SUSPENDED" } };
    const mine = this.inBurnOrder().filter(
      (lot) => lot.transferable && lot.firstSource !== "promotion" && !lot.claimed,
    );
    const transferable = mine.reduce((sum, lot) => sum + this.free(lot, now), 0);
    if (transferable < amount) {
      const details = { required: amount, available: this.available(now), transferable };
      return { refused: { code: "INSUFFICIENT_CREDITS", details } };
    }
    return { ok: this.pick(mine, amount, now) };
  }

  moveOut(parts: Part[]): void {
    for (const part of parts) this.lot(part.grantId).remaining -= part.amount;
  }

  setAside(parts: Part[]): void {
    for (const part of parts) this.lot(part.grantId).held += part.amount;
  }

  /** Whether a gift may still go: none of its credits is claimed or expired, and the giver owes nothing. */
  isGiftGood(hold: ModelHold, now: number): boolean {
    if (this.debt > 0) return false;
    return hold.parts.every((part) => {
      const lot = this.lot(part.grantId);
      return !lot.claimed && (lot.expiresAt === null || lot.expiresAt > now);
    });
  }
}
