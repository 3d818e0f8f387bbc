// Spending as rules: what a take takes, what a reversal gives back, and what expires.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Account, LedgerRow } from "~/domain/account";
import { windowStart } from "~/domain/budgets";
import { toCredits } from "~/domain/credits";
import { consume, expire, reverse, type Taken } from "~/domain/spending";
import {
  addBudget,
  causeOf,
  EVENT,
  emptyAccount,
  give,
  minutesLater,
  movedBy,
  NOW,
  refusalOf,
  snapshot,
} from "../setup/accounts";

const take = (account: Account, cost: number, change: { project?: string; at?: Date } = {}) => {
  const { project = null, at = NOW } = change;
  return consume(account, { cost: toCredits(cost), event: EVENT, quantity: cost, cause: causeOf({ project }), at });
};

const takenBy = (row: LedgerRow): Taken => ({
  seq: row.seq,
  at: row.at,
  event: EVENT,
  spender: { apiKeyId: row.apiKeyId ?? null, memberId: row.memberId ?? null, project: row.project ?? null },
  amount: -row.amount,
  held: { amount: 0, windows: [] },
  lots: row.entries.map(({ grantId, amount }) => ({ grantId, amount: -amount })),
});

describe("a take", () => {
  it("is refused without a trace: too dear, beyond a budget, or suspended", () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.nat(50),
        fc.boolean(),
        fc.integer({ min: 1, max: 60 }),
        (free, limit, suspended, cost) => {
          const account = emptyAccount({ suspended });
          if (free > 0) give(account, free);
          addBudget(account, { limit });
          const before = snapshot(account);
          const refusal = refusalOf(() => take(account, cost, { project: "alpha" }));
          const code = suspended ? "ACCOUNT_SUSPENDED" : cost > free ? "INSUFFICIENT_CREDITS" : "BUDGET_EXCEEDED";
          if (!suspended && cost <= free && cost <= limit) expect(refusal).toBeNull();
          else {
            expect(refusal?.code).toBe(code);
            expect(snapshot(account)).toEqual(before);
          }
        },
      ),
    );
  });

  it("is counted in the window of its row, also where its own clock is behind the ledger's", () => {
    const account = emptyAccount();
    give(account, 100, { at: new Date("2026-03-11T00:00:00.100Z") });
    const budget = addBudget(account);
    const row = take(account, 5, { project: "alpha", at: new Date("2026-03-10T23:59:59.900Z") });
    expect([...budget.used]).toEqual([[windowStart("day", row.at), 5]]);
    expect(windowStart("day", row.at)).toBe(Date.UTC(2026, 2, 11));
    reverse(account, takenBy(row), null, causeOf(), row.at);
    expect([...budget.used.values()]).toEqual([0]);
  });
});

describe("a reversal", () => {
  it("in any parts gives each lot back what it paid, no more, and leaves the account as if nothing was taken", () => {
    const lots = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        lots,
        fc.integer({ min: 1, max: 150 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (amounts, cost, parts) => {
          const account = emptyAccount();
          for (const amount of amounts) give(account, amount);
          const total = amounts.reduce((sum, amount) => sum + amount, 0);
          fc.pre(cost <= total);
          const budget = addBudget(account, { limit: total });
          const before = account.state.lots.map((lot) => lot.remaining);
          const taken = takenBy(take(account, cost, { project: "alpha" }));
          let left = cost;
          for (const part of [...parts, null]) {
            const refusal = refusalOf(() => {
              const row = reverse(account, taken, part === null ? null : toCredits(part), causeOf(), minutesLater(1));
              expect(row.amount).toBe(part ?? left);
              expect(row).toMatchObject({ type: "reversal", correctsSeq: taken.seq, project: "alpha" });
              for (const entry of row.entries) {
                const lot = taken.lots.find(({ grantId }) => grantId === entry.grantId);
                if (lot) lot.amount -= entry.amount;
                expect(lot?.amount).toBeGreaterThanOrEqual(0);
              }
              left -= row.amount;
            });
            if (left === 0 && refusal)
              expect(refusal).toMatchObject({ code: "INVALID_INPUT", details: { reversible: 0 } });
            else if (refusal) expect(refusal).toEqual({ code: "INVALID_INPUT", details: { reversible: left } });
            expect(account.available(NOW)).toBe(total - left);
            expect([...budget.used.values()]).toEqual([left]);
          }
          expect(left).toBe(0);
          expect(account.state.lots.map((lot) => lot.remaining)).toEqual(before);
        },
      ),
    );
  });

  it("gives last what was taken first", () => {
    const account = emptyAccount();
    const [first, second] = [give(account, 10), give(account, 10, { at: minutesLater(1) })];
    const taken = takenBy(take(account, 15, { at: minutesLater(2) }));
    const row = reverse(account, taken, toCredits(7), causeOf(), minutesLater(3));
    expect(movedBy(row)).toEqual([
      [second.id, 5, 0],
      [first.id, 2, 0],
    ]);
  });

  it("to a lot that a refund claims goes on to the refund", () => {
    const account = emptyAccount();
    const lot = give(account, 100);
    const taken = takenBy(take(account, 60));
    Object.assign(lot, { remaining: 0, toTake: 100, taken: 40 });
    account.state.balance = 0;
    reverse(account, taken, null, causeOf(), minutesLater(1));
    expect(lot).toMatchObject({ remaining: 0, taken: 100 });
    expect(account.available(NOW)).toBe(0);
    expect(account.rows.map((row) => [row.type, row.amount])).toEqual([
      ["grant", 100],
      ["consume", -60],
      ["reversal", 60],
      ["refund", -60],
    ]);
  });
});

describe("an expiry", () => {
  it("writes off what is left of a lot past its instant, once, and leaves the rest alone", () => {
    const account = emptyAccount();
    const due = give(account, 10, { expiresAt: minutesLater(1) });
    give(account, 10, { expiresAt: minutesLater(2) });
    give(account, 10);
    expect(expire(account, NOW)).toBe(0);
    expect(expire(account, minutesLater(1))).toBe(1);
    expect(expire(account, minutesLater(1))).toBe(0);
    expect(due).toMatchObject({ remaining: 0, expired: 10 });
    expect(account.state.balance).toBe(20);
  });
});
