// Refunds and disputes as rules: whatever becomes of a payment, in whatever order it is told, and whatever is spent, held,
// given back or expires in between, the account keeps its laws and ends where the last truth puts it.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Account, AccountLot, Cause, SpentPolicy } from "~/domain/account";
import { type Claim, claim, claimsOn, type PaymentTruth, shortOf } from "~/domain/claims";
import { type Credits, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { grant } from "~/domain/granting";
import { capture, hold, release } from "~/domain/holds";
import { consume, expire, reverse } from "~/domain/spending";
import { EVENT, emptyAccount, minutesLater as later, NOW } from "../setup/accounts";

const POLICIES = ["clamp", "debt", "suspend"] as const;

let made = 0;
const cause = (): Cause => ({ key: { space: "caller", key: `key-${++made}`, requestHash: "hash" }, actor: "test" });

/** A world in which payment A paid for lots "a…", payment B for lots "b…", and nobody for "c". */
class World {
  readonly account: Account;
  at = NOW;

  constructor(policy: SpentPolicy) {
    this.account = emptyAccount({ organizationId: "northwind", spentPolicy: policy });
  }

  give(id: string, amount: number, expiresAt: Date | null = null): AccountLot {
    const lot = {
      id,
      source: "purchase" as const,
      amount: toCredits(amount),
      expiresAt,
      label: id,
      transferable: true,
    };
    grant(this.account, { ...lot, createdAt: this.at }, "purchase", cause(), this.at);
    return this.lot(id);
  }

  lot(id: string): AccountLot {
    const lot = this.account.findLot(id);
    if (!lot) throw new Error(`there is no lot ${id}`);
    return lot;
  }

  lotsOf(payment: string): AccountLot[] {
    return this.account.state.lots.filter((lot) => lot.id.startsWith(payment)).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  spend(amount: number) {
    const cost = toCredits(amount);
    return consume(this.account, { cost, event: EVENT, quantity: amount, cause: cause(), at: this.at });
  }

  /** Gives a take back as `reverse` does it from the ledger: less what was given back before. */
  undo(seq: number, amount: number | null = null): void {
    const { rows } = this.account;
    const row = rows.find((candidate) => candidate.seq === seq);
    if (!row) throw new Error("there is no such row");
    const back = rows.filter(({ type, correctsSeq }) => type === "reversal" && correctsSeq === seq);
    const given = (id: string) =>
      back.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + (entry.grantId === id ? entry.amount : 0), 0);
    const lots = row.entries
      .map(({ grantId, amount }) => ({ grantId, amount: -amount - given(grantId) }))
      .filter((lot) => lot.amount > 0);
    const spender = { apiKeyId: null, memberId: null, project: null };
    const taken = {
      seq,
      at: row.at,
      event: EVENT,
      spender,
      amount: -row.amount,
      held: { amount: 0, windows: [] },
      lots,
    };
    reverse(this.account, taken, amount === null ? null : toCredits(amount), cause(), this.at);
  }

  /** What the use-case does with a payment's truth: who covered what is read from the rows. */
  tell(payment: string, truth: PaymentTruth): void {
    const { account } = this;
    const lots = this.lotsOf(payment);
    const targets = claimsOn(lots, truth);
    const moved = (types: string[], id: string) =>
      account.rows
        .filter((row) => types.includes(row.type))
        .flatMap((row) => row.entries)
        .reduce((sum, entry) => sum + (entry.grantId === id ? entry.amount : 0), 0);
    const claims = lots.map((lot, index): Claim => {
      const target = targets[index];
      if (!target) throw new Error("each lot has its claim");
      const said = { reference: payment, reason: "told" };
      const covered = lot.taken + moved(["refund", "dispute"], lot.id);
      return { lot, target, taking: { type: "refund", ...said }, freezing: { type: "dispute", ...said }, covered };
    });
    const payers = [...account.state.lots]
      .reverse()
      .map((lot) => ({ lot, amount: -moved(["debt"], lot.id) }))
      .filter(({ amount }) => amount > 0);
    claim(account, claims, payers, this.at);
  }

  /** What an account is, whatever way it came there. */
  standing() {
    const { balance, held, debt, lots, suspended } = this.account.state;
    return {
      balance,
      held,
      debt,
      suspended,
      lots: lots.map(({ id, remaining, held, frozen, toTake, taken, toFreeze }) => ({
        ...{ id, remaining, held, frozen, toTake, taken, toFreeze },
      })),
    };
  }

  expectLawful(): void {
    const { rows, state } = this.account;
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    expect(sum(rows.map((row) => row.amount))).toBe(state.balance);
    expect(sum(state.lots.map((lot) => lot.remaining))).toBe(state.balance);
    expect(sum(rows.map((row) => row.held))).toBe(state.held);
    expect(sum(state.lots.map((lot) => lot.held))).toBe(state.held);
    expect(sum(rows.map((row) => row.debt))).toBe(state.debt);
    for (const row of rows) expect(sum(row.entries.map((entry) => entry.amount))).toBe(row.amount);
    // Who owes has nothing free, and only one policy makes debts.
    if (state.debt > 0) expect(this.account.available(this.at)).toBe(0);
    if (state.spentPolicy !== "debt") expect(state.debt).toBe(0);
    const heldByWork = (lot: AccountLot) =>
      sum([...state.holds.values()].flatMap((held) => held.lots.map(([id, amount]) => (id === lot.id ? amount : 0))));
    for (const lot of state.lots) {
      expect(lot.remaining).toBeGreaterThanOrEqual(0);
      expect(lot.remaining + lot.expired).toBeLessThanOrEqual(lot.amount);
      expect(lot.held).toBe(lot.frozen + heldByWork(lot));
      expect(lot.held).toBeLessThanOrEqual(lot.remaining);
      expect(lot.taken).toBeGreaterThanOrEqual(0);
      expect(lot.taken, "never more than is claimed").toBeLessThanOrEqual(lot.toTake);
      expect(lot.toTake + lot.toFreeze).toBeLessThanOrEqual(lot.amount);
      const unheld = lot.remaining - heldByWork(lot);
      if (lot.toTake > lot.taken + lot.expired) expect(unheld, "what is claimed is not left free").toBe(0);
      expect(lot.frozen, "what is disputed is frozen, as far as it is here").toBe(Math.min(lot.toFreeze, unheld));
      if (state.spentPolicy === "debt") expect(shortOf(lot), "what was spent is owed").toBe(0);
    }
  }
}

const truth = (change: Partial<PaymentTruth> = {}): PaymentTruth => ({
  amount: 1000,
  refunded: 0,
  disputed: 0,
  lost: 0,
  ...change,
});

// Refunds and disputes that together exceed the payment are real.
const part = fc.oneof(fc.constant(0), fc.constant(1000), fc.integer({ min: 0, max: 1000 }));
const anyTruth: fc.Arbitrary<PaymentTruth> = fc.record({
  amount: fc.constant(1000),
  refunded: part,
  disputed: part,
  lost: part,
});
const policy = fc.constantFrom(...POLICIES);

describe("what a payment claims", () => {
  const lots = fc.array(
    fc.record({ amount: fc.integer({ min: 1, max: 1_000_000_000 }), gone: fc.nat() }).map(({ amount, gone }) => ({
      amount,
      transferred: gone % (amount + 1),
    })),
    { maxLength: 8 },
  );

  it("of its lots together is its share of them rounded down, however they were split", () => {
    fc.assert(
      fc.property(lots, anyTruth, (all, payment) => {
        const claims = claimsOn(all, payment);
        const base = BigInt(all.reduce((sum, lot) => sum + lot.amount - lot.transferred, 0));
        const share = (money: number) => Number((base * BigInt(Math.min(money, 1000))) / 1000n);
        const taken = claims.reduce((sum, one) => sum + one.toTake, 0);
        expect(taken).toBe(share(payment.refunded + payment.lost));
        for (const [index, one] of claims.entries()) {
          const lot = all[index];
          expect(one.toTake).toBeGreaterThanOrEqual(0);
          expect(one.toFreeze).toBeGreaterThanOrEqual(0);
          expect(one.toTake + one.toFreeze).toBeLessThanOrEqual((lot?.amount ?? 0) - (lot?.transferred ?? 0));
        }
        const touched = share(payment.refunded + payment.lost + payment.disputed);
        const claimed = claims.reduce((sum, one) => sum + one.toTake + one.toFreeze, 0);
        expect(claimed).toBeGreaterThanOrEqual(touched);
        // Each lot rounds once more at most.
        expect(claimed).toBeLessThanOrEqual(touched + all.length);
        if (payment.refunded + payment.lost + payment.disputed >= 1000) expect(claimed).toBe(Number(base));
      }),
    );
  });

  it("does not change for the lots that were there when another one comes", () => {
    fc.assert(
      fc.property(lots, anyTruth, (all, payment) => {
        const more = [...all, { amount: 77, transferred: 0 }];
        expect(claimsOn(more, payment).slice(0, -1)).toEqual(claimsOn(all, payment));
      }),
    );
  });

  it("of a payment of nothing is nothing", () => {
    expect(claimsOn([{ amount: 10, transferred: 0 }], truth({ amount: 0, refunded: 5 }))).toEqual([
      { toTake: 0, toFreeze: 0 },
    ]);
  });
});

describe("any sequence of truths", () => {
  it("leads to the account that the last of them alone would have made, with whatever was spent before", () => {
    fc.assert(
      fc.property(
        policy.filter((one) => one !== "suspend"),
        fc.array(fc.tuple(fc.constantFrom("a", "b"), anyTruth), { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 400 }),
        (by, told, spent) => {
          const build = () => {
            const world = new World(by);
            world.give("a1", 100);
            world.give("a2", 33);
            world.give("b1", 200, later(10_000));
            world.give("c", 70, later(20_000));
            if (spent > 0) world.spend(spent);
            return world;
          };
          const through = build();
          for (const [payment, payload] of told) {
            through.tell(payment, payload);
            through.expectLawful();
            const before = through.account.rows.length;
            through.tell(payment, payload);
            expect(through.account.rows.length, "a copy adds nothing").toBe(before);
          }
          const direct = build();
          for (const payment of ["a", "b"]) {
            const last = told.findLast(([name]) => name === payment);
            if (last) direct.tell(payment, last[1]);
          }
          const net = (world: World) => world.account.state.balance - world.account.state.debt;
          expect(net(through)).toBe(net(direct));
          // Where two payments are taken back, a debt of one may or may not meet what the other has frozen.
          const isOnePayment = new Set(told.map(([name]) => name)).size === 1;
          if (isOnePayment) expect(through.account.state.debt).toBe(direct.account.state.debt);
          // Which lot pays a debt depends on what was free when it arose.
          if (by === "clamp" || spent === 0) expect(through.standing()).toEqual(direct.standing());
        },
      ),
      { numRuns: 400 },
    );
  });

  it("that ends with nothing taken back leaves the account as it was before it", () => {
    fc.assert(
      fc.property(
        policy,
        fc.array(anyTruth, { maxLength: 6 }),
        fc.nat({ max: 203 }),
        fc.boolean(),
        (by, told, spent, expiring) => {
          const world = new World(by);
          world.give("a", 100, expiring ? later(60) : null);
          world.give("c", 103);
          if (spent > 0) world.spend(spent);
          const { suspended: _, ...before } = world.standing();
          for (const payload of told) world.tell("a", payload);
          // Its period is over by now: what others paid for it must not come back to a lot that has ended.
          world.at = expiring ? later(59) : NOW;
          world.tell("a", truth());
          const { suspended: __, ...after } = world.standing();
          expect(after).toEqual({
            ...before,
            lots: before.lots.map((lot) => ({ ...lot, toTake: 0, toFreeze: 0, taken: 0, frozen: 0 })),
          });
        },
      ),
    );
  });
});

describe("with spends, holds, reversals and expiries in between", () => {
  type Step =
    | { do: "spend" | "hold" | "capture"; amount: number; which: number }
    | { do: "release" | "expire" | "undo"; which: number; amount: number }
    | { do: "tell"; payment: string; truth: PaymentTruth }
    | { do: "grant"; amount: number };
  const amount = fc.integer({ min: 1, max: 120 });
  const which = fc.nat();
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constantFrom("spend", "hold", "capture"), amount, which }),
    fc.record({ do: fc.constantFrom("release", "expire", "undo"), which, amount }),
    fc.record({ do: fc.constant("tell" as const), payment: fc.constantFrom("a", "b"), truth: anyTruth }),
    fc.record({ do: fc.constant("grant" as const), amount }),
  );
  const REFUSALS = new Set(["INSUFFICIENT_CREDITS", "ACCOUNT_SUSPENDED", "HOLD_ENDED", "INVALID_INPUT"]);

  function perform(world: World, one: Step): void {
    const { account } = world;
    world.at = new Date(world.at.getTime() + 60_000);
    const { at } = world;
    const holds = [...account.state.holds.keys()];
    const pick = <T>(all: T[], index: number): T | undefined => all[index % Math.max(1, all.length)];
    try {
      if (one.do === "spend") world.spend(one.amount);
      else if (one.do === "tell") world.tell(one.payment, one.truth);
      else if (one.do === "grant") world.give(`c${++made}`, one.amount);
      else if (one.do === "expire") expire(account, at);
      else if (one.do === "hold") {
        const request = { id: `hold-${++made}`, kind: "work" as const, amount: one.amount as Credits, eventName: null };
        hold(account, { ...request, leaseEndsAt: later(1e6), cause: cause(), at });
      } else if (one.do === "undo") {
        const takes = account.rows.filter((row) => row.type === "consume" && row.holdId === null);
        const row = pick(takes, one.which);
        if (row) world.undo(row.seq, one.amount % 2 === 0 ? one.amount : null);
      } else {
        const holdId = pick(holds, one.which);
        if (!holdId) return;
        if (one.do === "release") release(account, holdId, cause(), at);
        else capture(account, { holdId, cost: one.amount as Credits, event: EVENT, quantity: 1, cause: cause(), at });
      }
    } catch (error) {
      if (!(error instanceof BillingError && REFUSALS.has(error.code))) throw error;
    }
  }

  it("all laws hold after every step, and a payment that is whole again has nothing taken", () => {
    fc.assert(
      fc.property(policy, fc.array(step, { maxLength: 40 }), (by, steps) => {
        const world = new World(by);
        world.give("a1", 100);
        world.give("a2", 50, later(15));
        world.give("b", 120, later(25));
        for (const one of steps) {
          perform(world, one);
          world.expectLawful();
        }
        for (const payment of ["a", "b"]) world.tell(payment, truth());
        world.expectLawful();
        for (const lot of world.account.state.lots) {
          expect(lot).toMatchObject({ toTake: 0, taken: 0, toFreeze: 0, frozen: 0 });
        }
        // Nothing was made and nothing lost: what came in is here, was spent, or expired.
        const moved = (types: string[]) =>
          world.account.rows.filter((row) => types.includes(row.type)).reduce((sum, row) => sum + row.amount, 0);
        const { balance, debt } = world.account.state;
        expect(debt).toBe(0);
        expect(balance).toBe(moved(["purchase"]) + moved(["consume", "reversal", "expiry"]));
      }),
      { numRuns: 600 },
    );
  });
});

describe("credits that were spent before", () => {
  function spentWorld(by: SpentPolicy): World {
    const world = new World(by);
    world.give("a", 100);
    world.spend(80);
    world.give("c", 50);
    return world;
  }

  it("are let go by clamp: what is unspent is taken, the rest stays spent", () => {
    const world = spentWorld("clamp");
    world.tell("a", truth({ refunded: 1000 }));
    expect(world.standing()).toMatchObject({ balance: 50, debt: 0, suspended: false });
    expect(shortOf(world.lot("a"))).toBe(80);
  });

  it("are paid by other credits and the next grants under debt", () => {
    const world = spentWorld("debt");
    world.tell("a", truth({ refunded: 1000 }));
    expect(world.standing()).toMatchObject({ balance: 0, debt: 30 });
    world.give("d", 100);
    expect(world.standing()).toMatchObject({ balance: 70, debt: 0 });
    world.expectLawful();
  });

  it("are paid back to whoever paid them when the refund fails, though their own lot has ended", () => {
    const world = new World("debt");
    world.give("a", 100, later(10));
    world.spend(100);
    world.give("c", 60);
    world.tell("a", truth({ refunded: 1000 }));
    world.give("d", 100);
    expect(world.standing()).toMatchObject({ balance: 60, debt: 0 });
    world.at = later(20);
    world.tell("a", truth());
    expire(world.account, world.at);
    expect([world.lot("a").remaining, world.lot("c").remaining, world.lot("d").remaining]).toEqual([0, 60, 100]);
  });

  it("stop all spending under suspend, once: lifted, it stays lifted until more is taken back", () => {
    const world = spentWorld("suspend");
    world.tell("a", truth({ refunded: 500 }));
    expect(world.standing()).toMatchObject({ balance: 50, suspended: true });
    expect(() => world.spend(1)).toThrowError(expect.objectContaining({ code: "ACCOUNT_SUSPENDED" }));
    world.account.state.suspended = false;
    world.tell("a", truth({ refunded: 500 }));
    world.give("d", 10);
    expect(world.account.state.suspended).toBe(false);
    world.tell("a", truth({ refunded: 510 }));
    expect(world.account.state.suspended).toBe(true);
  });

  it("are not those of a hold, until it takes them", () => {
    for (const by of POLICIES) {
      const world = new World(by);
      world.give("a", 100);
      const request = { kind: "work" as const, amount: toCredits(60), leaseEndsAt: later(60), eventName: null };
      for (const id of ["one", "two"]) {
        hold(world.account, { ...request, id, amount: toCredits(30), cause: cause(), at: NOW });
      }
      world.tell("a", truth({ refunded: 1000 }));
      expect(world.standing()).toMatchObject({ balance: 60, held: 60, debt: 0, suspended: false });
      capture(world.account, {
        ...{ holdId: "one", cost: toCredits(30), event: EVENT, quantity: 30, cause: cause(), at: NOW },
      });
      expect(world.standing()).toMatchObject({
        balance: 30,
        debt: by === "debt" ? 30 : 0,
        suspended: by === "suspend",
      });
      release(world.account, "two", cause(), NOW);
      expect(world.standing()).toMatchObject({ balance: 0, held: 0, debt: by === "debt" ? 30 : 0 });
      world.expectLawful();
    }
  });

  it("are not those that have expired: half the money for half that expired unspent leaves nothing owed", () => {
    const world = new World("debt");
    world.give("a", 100, later(10));
    world.spend(50);
    world.at = later(20);
    expire(world.account, world.at);
    world.tell("a", truth({ refunded: 500 }));
    expect(world.standing()).toMatchObject({ balance: 0, debt: 0 });
    world.tell("a", truth({ refunded: 700 }));
    expect(world.standing()).toMatchObject({ balance: 0, debt: 20 });
  });
});

describe("a dispute", () => {
  it("freezes beside what a refund has taken, and loses or frees exactly that", () => {
    for (const [end, left] of [
      [truth({ refunded: 300 }), 70],
      [truth({ refunded: 300, lost: 700 }), 0],
    ] as const) {
      const world = new World("clamp");
      world.give("a", 100);
      world.tell("a", truth({ refunded: 300 }));
      world.tell("a", truth({ refunded: 300, disputed: 700 }));
      expect(world.standing()).toMatchObject({ balance: 70, held: 70 });
      expect(() => world.spend(1)).toThrowError(expect.objectContaining({ code: "INSUFFICIENT_CREDITS" }));
      world.tell("a", end);
      expect(world.standing()).toMatchObject({ balance: left, held: 0 });
    }
  });

  it("takes what is free before what another dispute has frozen", () => {
    const world = new World("clamp");
    world.give("a", 100);
    world.tell("a", truth({ disputed: 300 }));
    const before = world.account.rows.length;
    world.tell("a", truth({ disputed: 300, refunded: 500 }));
    expect(world.standing()).toMatchObject({ balance: 50, held: 30 });
    expect(world.account.rows.length).toBe(before + 1);
  });
});

describe("time that was given back", () => {
  const said = { reference: "in_1", reason: "Unused time was given back" };
  /** Tells what is taken of lot "a" as time, beside what a refund of payment A claims. */
  function tellBoth(world: World, returned: number, refunded: number): void {
    const lot = world.lot("a");
    const [target] = claimsOn([{ ...lot, returned }], truth({ refunded }));
    if (!target) throw new Error("each lot has its claim");
    const causes = { taking: { type: "refund" as const, ...said }, freezing: { type: "dispute" as const, ...said } };
    claim(world.account, [{ lot, target, returned, ...causes, covered: 0 }], [], world.at);
  }

  it.each(POLICIES)("is owed where it was spent, under %s", (by) => {
    const world = new World(by);
    world.give("a", 100);
    world.spend(50);
    tellBoth(world, 80, 0);
    expect(world.standing()).toMatchObject({ balance: 0, debt: 30, suspended: false });
    tellBoth(world, 80, 0);
    expect(world.standing()).toMatchObject({ balance: 0, debt: 30 });
  });

  it("and a refund come to the same in any order, and the refund still lets go of what was spent", () => {
    const worlds = [true, false].map((refundFirst) => {
      const world = new World("clamp");
      world.give("a", 100);
      world.spend(50);
      if (refundFirst) tellBoth(world, 0, 500);
      else tellBoth(world, 80, 0);
      tellBoth(world, 80, 500);
      return world.standing();
    });
    expect(worlds[0]).toEqual(worlds[1]);
    expect(worlds[0]).toMatchObject({ balance: 0, debt: 30, lots: [{ toTake: 100, taken: 80 }] });
  });

  it("of credits that went on into the next period is claimed there, not twice", () => {
    const lots = [
      { amount: 100, transferred: 0, rolledOver: 40, returned: 10 },
      { amount: 40, transferred: 0 },
    ];
    expect(claimsOn(lots, truth({ refunded: 1000 }))).toEqual([
      { toTake: 60, toFreeze: 0 },
      { toTake: 40, toFreeze: 0 },
    ]);
    expect(claimsOn(lots, truth({ refunded: 500 })).map(({ toTake }) => toTake)).toEqual([40, 20]);
  });
});
