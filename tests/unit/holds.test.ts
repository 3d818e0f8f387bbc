// Holds as rules: any life of takes, holds, captures, ends, reversals and expiries, of any spenders under any budgets, keeps
// every law at every step; and what a rule refuses leaves no trace.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Account, AccountHold, LedgerRow } from "~/domain/account";
import { BUDGET_WINDOWS, type Budget, budgetsOf, windowStart } from "~/domain/budgets";
import { BURN_ORDERS, isExpired, toCredits } from "~/domain/credits";
import { capture, endLeases, extend, hold, release, requireOpenHold } from "~/domain/holds";
import { consume, expire, reverse } from "~/domain/spending";
import {
  addBudget,
  causeOf,
  EVENT,
  emptyAccount,
  give,
  minutesLater,
  NOW,
  nextId,
  refusalOf,
  snapshot,
} from "../setup/accounts";

interface Spender {
  apiKeyId: string | null;
  memberId: string | null;
  project: string | null;
}

const NOBODY: Spender = { apiKeyId: null, memberId: null, project: null };

const setAside = (
  account: Account,
  amount: number,
  change: { spender?: Spender; leaseEndsAt?: Date; at?: Date; kind?: AccountHold["kind"] } = {},
): AccountHold => {
  const { spender = NOBODY, at = NOW, leaseEndsAt = minutesLater(60), kind = "work" } = change;
  const id = nextId("hold");
  const request = { id, kind, amount: toCredits(amount), leaseEndsAt, eventName: null, at };
  hold(account, { ...request, cause: causeOf(spender) });
  return requireOpenHold(account, id, at, kind);
};

const take = (account: Account, cost: number, spender = NOBODY, at = NOW) =>
  consume(account, { cost: toCredits(cost), event: EVENT, quantity: cost, cause: causeOf(spender), at });

const captured = (account: Account, holdId: string, cost: number, at = NOW, spender = NOBODY) =>
  capture(account, { holdId, cost: toCredits(cost), event: null, quantity: null, cause: causeOf(spender), at });

// ── Any life ───────────────────────────────────────────────────────────────────────────────────────────────

type Step =
  | { do: "grant"; amount: number; minutes: number | null }
  | { do: "take"; amount: number; spender: Spender }
  | { do: "hold"; amount: number; minutes: number; spender: Spender }
  | { do: "capture"; which: number; amount: number; spender: Spender }
  | { do: "extend"; which: number; minutes: number }
  | { do: "release"; which: number }
  | { do: "reverse"; which: number; amount: number | null }
  | { do: "budget"; subject: Spender; window: (typeof BUDGET_WINDOWS)[number]; limit: number }
  | { do: "expire" }
  | { do: "wait"; minutes: number };

const name = fc.constantFrom(null, "a", "b");
const spender = fc.record({ apiKeyId: name, memberId: name, project: name });
const amount = fc.integer({ min: 1, max: 40 });
const which = fc.nat(20);
// About an hour, and about a day, so that leases, expiries and midnights come and go.
const minutes = fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 600, max: 2000 }));

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("grant" as const),
    amount: fc.integer({ min: 1, max: 80 }),
    minutes: fc.option(minutes),
  }),
  fc.record({ do: fc.constant("take" as const), amount, spender }),
  fc.record({ do: fc.constant("hold" as const), amount, minutes, spender }),
  fc.record({ do: fc.constant("hold" as const), amount, minutes, spender }),
  fc.record({ do: fc.constant("capture" as const), which, amount, spender }),
  fc.record({ do: fc.constant("capture" as const), which, amount, spender }),
  fc.record({ do: fc.constant("extend" as const), which, minutes }),
  fc.record({ do: fc.constant("release" as const), which }),
  fc.record({ do: fc.constant("reverse" as const), which, amount: fc.option(amount) }),
  fc.record({
    do: fc.constant("budget" as const),
    subject: spender,
    window: fc.constantFrom(...BUDGET_WINDOWS),
    limit: fc.nat(120),
  }),
  fc.record({ do: fc.constant("expire" as const) }),
  fc.record({ do: fc.constant("wait" as const), minutes }),
);

/** What was spent or held, told apart from the account: whose it is, when it was counted, and what of it still counts. */
interface Counted {
  spender: Spender;
  seq: number;
  at: Date;
  amount: number;
}

interface Take {
  row: LedgerRow;
  /** What it took by lot, less what came back. */
  lots: { grantId: string; amount: number }[];
  beyond: Counted;
  /** The hold's own count, and how much of it this take used. */
  held: { counted: Counted; amount: number; windows: AccountHold["budgets"] } | null;
}

class Life {
  readonly account: Account;
  readonly holds: { held: AccountHold; counted: Counted; ended: boolean }[] = [];
  readonly takes: Take[] = [];
  now = NOW;

  constructor(order: (typeof BURN_ORDERS)[number]) {
    this.account = emptyAccount({ burnOrder: order });
  }

  /** Does a step as a use-case would: leases first, then the rule; what a rule refuses must leave no trace. */
  run(step: Step): void {
    if (step.do === "wait") {
      this.now = new Date(this.now.getTime() + step.minutes * 60_000);
      return;
    }
    endLeases(this.account, this.now);
    this.noteEnds();
    const before = snapshot(this.account);
    const rows = this.account.rows.length;
    const refusal = refusalOf(() => this.decide(step));
    if (refusal) {
      expect(snapshot(this.account)).toEqual(before);
      expect(["INSUFFICIENT_CREDITS", "BUDGET_EXCEEDED", "HOLD_ENDED", "INVALID_INPUT"]).toContain(refusal.code);
    }
    this.noteEnds();
    for (const row of this.account.rows.slice(rows)) this.checkRow(row);
  }

  private decide(step: Exclude<Step, { do: "wait" }>): void {
    const { account, now } = this;
    switch (step.do) {
      case "grant":
        give(account, step.amount, { at: now, expiresAt: step.minutes === null ? null : this.after(step.minutes) });
        return;
      case "take": {
        const row = take(account, step.amount, step.spender, now);
        this.noteTake(row, step.spender, null);
        return;
      }
      case "hold": {
        const change = { spender: step.spender, leaseEndsAt: this.after(step.minutes), at: now };
        const held = setAside(account, step.amount, change);
        const counted = { spender: step.spender, seq: account.state.lastSeq, at: held.createdAt, amount: step.amount };
        this.holds.push({ held, counted, ended: false });
        return;
      }
      case "capture": {
        const one = this.holdAt(step.which);
        if (!one) return;
        const windows = one.held.budgets;
        const row = captured(account, one.held.id, step.amount, now, step.spender);
        this.noteTake(row, one.counted.spender, { counted: one.counted, amount: -row.held, windows });
        return;
      }
      case "extend": {
        const one = this.holdAt(step.which);
        const before = one?.held.leaseEndsAt ?? now;
        if (one) expect(extend(account, one.held.id, this.after(step.minutes), now).leaseEndsAt >= before).toBe(true);
        return;
      }
      case "release": {
        const one = this.holdAt(step.which);
        if (one) release(account, one.held.id, causeOf(), now);
        return;
      }
      case "reverse":
        this.reverse(this.takes[step.which % Math.max(1, this.takes.length)], step.amount);
        return;
      case "budget": {
        const { apiKeyId, memberId, project } = step.subject;
        const [scope, subject] =
          apiKeyId !== null
            ? ["api_key", apiKeyId]
            : memberId !== null
              ? ["member", memberId]
              : ["project", project ?? "a"];
        addBudget(account, { scope: scope as Budget["scope"], subject, window: step.window, limit: step.limit });
        return;
      }
      case "expire":
        expire(account, now);
    }
  }

  private reverse(taken: Take | undefined, amount: number | null): void {
    if (!taken) return;
    const { row, lots, beyond, held } = taken;
    const reversal = reverse(
      this.account,
      {
        seq: row.seq,
        at: row.at,
        event: EVENT,
        // As the ledger has it: whoever captured, it is on the account of whoever held.
        spender: { apiKeyId: row.apiKeyId ?? null, memberId: row.memberId ?? null, project: row.project ?? null },
        amount: -row.amount,
        held: { amount: -row.held, windows: held?.windows ?? [] },
        lots,
      },
      amount === null ? null : toCredits(amount),
      causeOf(),
      this.now,
    );
    for (const entry of reversal.entries) {
      const lot = lots.find(({ grantId }) => grantId === entry.grantId);
      if (lot) lot.amount -= entry.amount;
      expect(lot?.amount ?? -1).toBeGreaterThanOrEqual(0);
    }
    const freed = Math.min(reversal.amount, beyond.amount);
    beyond.amount -= freed;
    if (held) held.counted.amount -= reversal.amount - freed;
  }

  private noteTake(row: LedgerRow, spender: Spender, held: Take["held"]): void {
    const lots = row.entries.map((entry) => ({ grantId: entry.grantId, amount: -entry.amount }));
    const beyond = { spender, seq: row.seq, at: row.at, amount: -row.amount + row.held };
    this.takes.push({ row, lots, beyond, held });
  }

  /** Whatever a hold did not take counts no more once it has ended. */
  private noteEnds(): void {
    for (const one of this.holds) {
      if (one.ended || one.held.open) continue;
      one.ended = true;
      one.counted.amount -= one.held.amount - one.held.captured;
    }
  }

  private holdAt(which: number) {
    return this.holds[which % Math.max(1, this.holds.length)];
  }

  private after(minutes: number): Date {
    return new Date(this.now.getTime() + minutes * 60_000);
  }

  /** Nothing that has expired is spent or set aside, but by the hold that had it before. */
  private checkRow(row: LedgerRow): void {
    if (row.type !== "consume" && row.type !== "hold") return;
    for (const entry of row.entries) {
      const lot = this.account.findLot(entry.grantId);
      const byHold = row.type === "consume" && entry.amount === entry.held;
      if (lot && isExpired(lot, row.at)) expect(byHold).toBe(true);
    }
  }

  checkLaws(): void {
    const { account, now } = this;
    const { state } = account;
    const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
    expect(sum(state.lots.map((lot) => lot.remaining))).toBe(state.balance);
    expect(sum(account.rows.map((row) => row.amount))).toBe(state.balance);
    expect(sum(account.rows.map((row) => row.held))).toBe(state.held);
    const open = [...state.holds.values()];
    for (const lot of state.lots) {
      const held = open.flatMap((one) => one.lots.filter(([id]) => id === lot.id).map(([, amount]) => amount));
      expect(sum(held)).toBe(lot.held);
    }
    for (const { held } of this.holds) {
      expect(sum(held.lots.map(([, amount]) => amount))).toBe(held.remaining);
      expect(held.captured + held.remaining).toBe(held.open ? held.amount : held.captured);
      expect(state.holds.has(held.id)).toBe(held.open);
    }
    for (const [index, row] of account.rows.entries()) {
      expect(row.seq).toBe(index + 1);
      const last = account.rows[index - 1];
      if (last) expect(row.at >= last.at).toBe(true);
    }
    expect(account.available(now)).toBeLessThanOrEqual(state.balance - state.held);
    this.checkBudgets();
  }

  private checkBudgets(): void {
    const everything = [...this.holds.map((one) => one.counted), ...this.takes.map((taken) => taken.beyond)];
    for (const budget of this.account.state.budgets) {
      const expected = new Map<number, number>();
      for (const { spender, seq, at, amount } of everything) {
        if (seq <= budget.sinceSeq || budgetsOf([budget], spender).length === 0) continue;
        const start = windowStart(budget.window, at);
        expected.set(start, (expected.get(start) ?? 0) + amount);
      }
      for (const [start, used] of expected) {
        expect(budget.used.get(start) ?? 0).toBe(used);
        expect(used).toBeLessThanOrEqual(budget.limit);
        // What the database is told adds up to the same.
        expect(this.account.changedUsage.get(`${budget.id}:${start}`)?.change ?? 0).toBe(used);
      }
    }
  }
}

describe("any life of an account", () => {
  it("keeps every law at every step", () => {
    fc.assert(
      fc.property(fc.constantFrom(...BURN_ORDERS), fc.array(step, { maxLength: 60, size: "max" }), (order, steps) => {
        const life = new Life(order);
        give(life.account, 100);
        for (const each of steps) {
          life.run(each);
          life.checkLaws();
        }
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

// ── Single rules ───────────────────────────────────────────────────────────────────────────────────────────

describe("a hold", () => {
  it("of a suspended account is refused; what was held before may still be taken, but nothing beyond it", () => {
    const account = emptyAccount();
    give(account, 100);
    const held = setAside(account, 30);
    account.state.suspended = true;
    expect(refusalOf(() => setAside(account, 1))?.code).toBe("ACCOUNT_SUSPENDED");
    const before = snapshot(account);
    expect(refusalOf(() => captured(account, held.id, 31))?.code).toBe("ACCOUNT_SUSPENDED");
    expect(snapshot(account)).toEqual(before);
    expect(captured(account, held.id, 30).amount).toBe(-30);
  });

  it("of a gift is no work: it is not captured, extended or released as such", () => {
    const account = emptyAccount();
    give(account, 100);
    const gift = setAside(account, 30, { kind: "gift" });
    for (const work of [
      () => captured(account, gift.id, 1),
      () => extend(account, gift.id, minutesLater(99), NOW),
      () => release(account, gift.id, causeOf(), NOW),
    ]) {
      expect(refusalOf(work)?.code).toBe("HOLD_ENDED");
    }
    expect(account.state.held).toBe(30);
  });

  it("ends in the instant of its lease, and says that instant however late it is noticed", () => {
    const account = emptyAccount();
    give(account, 100);
    const held = setAside(account, 30, { leaseEndsAt: minutesLater(5) });
    const last = new Date(minutesLater(5).getTime() - 1);
    expect(requireOpenHold(account, held.id, last)).toBe(held);
    expect(refusalOf(() => captured(account, held.id, 1, minutesLater(5)))?.code).toBe("HOLD_ENDED");
    expect(endLeases(account, last)).toBe(0);
    expect(endLeases(account, minutesLater(60))).toBe(1);
    expect(endLeases(account, minutesLater(60))).toBe(0);
    expect(held).toMatchObject({ open: false, endedAt: minutesLater(5), remaining: 0 });
    expect(account.rows.at(-1)).toMatchObject({ type: "release", held: -30, at: minutesLater(60) });
  });

  it("that is taken whole ends without a row of its own", () => {
    const account = emptyAccount();
    give(account, 30);
    const held = setAside(account, 30);
    captured(account, held.id, 30);
    const rows = account.rows.length;
    release(account, held.id, causeOf(), NOW);
    expect(account.rows).toHaveLength(rows);
    expect([...account.changedHolds]).toEqual([held]);
  });

  it("is taken in burn order, whichever part comes first", () => {
    const account = emptyAccount();
    const [first, second] = [give(account, 10), give(account, 10, { at: minutesLater(1) })];
    const at = minutesLater(2);
    const held = setAside(account, 15, { at });
    const parts = [4, 8, 3].map((cost) => captured(account, held.id, cost, at).entries);
    expect(parts.map((entries) => entries.map((entry) => [entry.grantId, entry.amount]))).toEqual([
      [[first.id, -4]],
      [
        [first.id, -6],
        [second.id, -2],
      ],
      [[second.id, -3]],
    ]);
  });

  it("pays from its lots first, beyond it from free ones, of one lot both", () => {
    const account = emptyAccount();
    const [first, second] = [give(account, 20), give(account, 20, { at: minutesLater(1) })];
    const at = minutesLater(2);
    const held = setAside(account, 10, { at });
    take(account, 5, NOBODY, at);
    const row = captured(account, held.id, 25, at);
    expect(row.entries.map((entry) => [entry.grantId, entry.amount, entry.held])).toEqual([
      [first.id, -15, -10],
      [second.id, -10, 0],
    ]);
    expect([first.remaining, second.remaining, account.state.held]).toEqual([0, 10, 0]);
  });
});
