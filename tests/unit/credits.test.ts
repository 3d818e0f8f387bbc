// The rules of credits, for any lots at all: which are spent, how much of each, and what a balance is.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  availableCredits,
  BURN_ORDERS,
  balanceOf,
  burnQueue,
  compareLots,
  freeCredits,
  GRANT_SOURCES,
  isUsable,
  type Lot,
  takeInOrder,
  toCredits,
  ZERO_CREDITS,
} from "~/domain/credits";
import { BillingError, InvariantError } from "~/domain/errors";
import { costOf } from "~/domain/rate-card";

const NOW = new Date("2026-03-10T09:30:00.000Z");
const near = fc.integer({ min: -5, max: 5 }).map((step) => new Date(NOW.getTime() + step * 1000));

const lot: fc.Arbitrary<Lot> = fc
  .record({
    // Few ids, times and expiries, so that ties are common.
    id: fc.uuid(),
    source: fc.constantFrom(...GRANT_SOURCES),
    remaining: fc.integer({ min: 0, max: 50 }).map(toCredits),
    held: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 })),
    expiresAt: fc.option(near),
    createdAt: near,
  })
  .map((each) => ({ ...each, held: toCredits(Math.min(each.held, each.remaining)) }));
const lots = fc.uniqueArray(lot, { maxLength: 12, selector: ({ id }) => id });
const order = fc.constantFrom(...BURN_ORDERS);
const amount = fc.integer({ min: 1, max: 400 }).map(toCredits);
const account = fc.record({ held: amount, debt: amount });
const NOTHING = { held: ZERO_CREDITS, debt: ZERO_CREDITS };

function failureOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return null;
}

describe("the order in which lots are spent", () => {
  it("is total: any two lots that differ have one order, and three agree", () => {
    fc.assert(
      fc.property(lot, lot, lot, order, (a, b, c, by) => {
        const compare = compareLots(by);
        expect(Math.sign(compare(a, b))).toBe(-Math.sign(compare(b, a)) || 0);
        if (a.id !== b.id) expect(compare(a, b)).not.toBe(0);
        if (compare(a, b) <= 0 && compare(b, c) <= 0) expect(compare(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it("does not depend on the order in which lots were loaded", () => {
    fc.assert(
      fc.property(lots, order, fc.infiniteStream(fc.double({ noNaN: true })), (all, by, ranks) => {
        const shuffled = all
          .map((each) => ({ each, rank: ranks.next().value as number }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ each }) => each);
        expect(burnQueue(shuffled, by, NOW)).toEqual(burnQueue(all, by, NOW));
      }),
    );
  });

  it("holds exactly the lots that can be spent, and leaves its argument alone", () => {
    fc.assert(
      fc.property(lots, order, (all, by) => {
        const before = [...all];
        const queue = burnQueue(all, by, NOW);
        expect(all).toEqual(before);
        expect(new Set(queue)).toEqual(new Set(all.filter((each) => isUsable(each, NOW))));
      }),
    );
  });

  it("is what never expires first, oldest first, then what expires soonest; or the other way round", () => {
    const make = (id: string, createdAt: number, expiresAt: number | null): Lot => ({
      id,
      source: "purchase",
      remaining: toCredits(1),
      held: ZERO_CREDITS,
      createdAt: new Date(NOW.getTime() + createdAt),
      expiresAt: expiresAt === null ? null : new Date(NOW.getTime() + expiresAt),
    });
    const all = [
      make("e", -1, 20),
      make("c", -1, 10),
      make("d", -9, 10),
      make("b", -2, null),
      make("a", -2, null),
      make("z", -3, null),
    ];
    const ids = (by: (typeof BURN_ORDERS)[number]) => burnQueue(all, by, NOW).map(({ id }) => id);
    expect(ids("purchased_first")).toEqual(["z", "a", "b", "c", "d", "e"]);
    expect(ids("expiring_first")).toEqual(["c", "d", "e", "z", "a", "b"]);
  });
});

describe("a lot", () => {
  const expiring: Lot = {
    id: "x",
    source: "promotion",
    remaining: toCredits(3),
    held: ZERO_CREDITS,
    createdAt: NOW,
    expiresAt: NOW,
  };

  it("can be spent until the millisecond of its expiry, and not in it", () => {
    expect(isUsable(expiring, new Date(NOW.getTime() - 1))).toBe(true);
    expect(isUsable(expiring, NOW)).toBe(false);
    expect(isUsable({ ...expiring, expiresAt: null }, NOW)).toBe(true);
    expect(isUsable({ ...expiring, expiresAt: null, remaining: ZERO_CREDITS }, NOW)).toBe(false);
  });

  it("can be spent but for what is set aside of it", () => {
    const lasting = { ...expiring, expiresAt: null };
    expect(freeCredits({ ...lasting, held: toCredits(2) }, NOW)).toBe(1);
    expect(isUsable({ ...lasting, held: toCredits(2) }, NOW)).toBe(true);
    expect(isUsable({ ...lasting, held: toCredits(3) }, NOW)).toBe(false);
    expect(freeCredits({ ...expiring, held: toCredits(2) }, NOW)).toBe(0);
  });
});

describe("a take", () => {
  const inOrder = (all: readonly Lot[], by: (typeof BURN_ORDERS)[number]) => [...all].sort(compareLots(by));

  it("takes exactly the amount, from lots that can be spent, none more than is free of it, none before its turn", () => {
    fc.assert(
      fc.property(lots, amount, order, (all, wanted, by) => {
        fc.pre(wanted <= availableCredits(all, NOW));
        const parts = takeInOrder(inOrder(all, by), wanted, NOW);
        expect(parts.reduce((sum, part) => sum + part.amount, 0)).toBe(wanted);
        const queue = burnQueue(all, by, NOW);
        expect(parts.map((part) => part.lot)).toEqual(queue.slice(0, parts.length));
        for (const [index, part] of parts.entries()) {
          expect(part.amount).toBeGreaterThan(0);
          expect(part.amount).toBeLessThanOrEqual(freeCredits(part.lot, NOW));
          // Only the last one it reaches may keep a rest.
          if (index < parts.length - 1) expect(part.amount).toBe(freeCredits(part.lot, NOW));
        }
      }),
    );
  });

  it("of more than there is takes nothing and says how much is needed and how much there is, holds left out", () => {
    fc.assert(
      fc.property(lots, amount, order, (all, wanted, by) => {
        const available = availableCredits(all, NOW);
        const failure = failureOf(() => takeInOrder(inOrder(all, by), wanted, NOW));
        if (wanted <= available) expect(failure).toBeNull();
        else {
          expect(failure).toBeInstanceOf(BillingError);
          expect(failure).toMatchObject({
            code: "INSUFFICIENT_CREDITS",
            details: { required: wanted, available },
          });
        }
      }),
    );
  });

  it("leaves the lots as they are: it says what to take, and whoever posts it takes it", () => {
    fc.assert(
      fc.property(lots, amount, (all, wanted) => {
        const before = structuredClone(all);
        failureOf(() => takeInOrder(inOrder(all, "purchased_first"), wanted, NOW));
        expect(all).toEqual(before);
      }),
    );
  });

  it("of nothing, or less, is a mistake of ours", () => {
    for (const wrong of [0, -1]) {
      expect(failureOf(() => takeInOrder([], toCredits(wrong), NOW))).toBeInstanceOf(InvariantError);
    }
  });
});

describe("a balance", () => {
  it("is the sum of its parts: what is free of each lot, with what is held and owed beside it", () => {
    fc.assert(
      fc.property(lots, account, (all, { held, debt }) => {
        const balance = balanceOf(all, { held, debt }, NOW);
        const { available, purchased, subscription, other } = balance;
        const free = all.reduce((sum, each) => sum + freeCredits(each, NOW), 0);
        expect(purchased + subscription + other).toBe(free);
        expect(available).toBe(free);
        expect(available).toBe(availableCredits(all, NOW));
        expect(balance).toMatchObject({ held, debt });
      }),
    );
  });

  it("tells of the next expiry: the soonest instant to come, with all that expires in it", () => {
    fc.assert(
      fc.property(lots, (all) => {
        const { nextExpiry, available } = balanceOf(all, NOTHING, NOW);
        const expiring = all.filter((each) => isUsable(each, NOW) && each.expiresAt !== null);
        if (expiring.length === 0) expect(nextExpiry).toBeNull();
        else {
          expect(nextExpiry?.at.getTime()).toBe(Math.min(...expiring.map((each) => each.expiresAt?.getTime() ?? 0)));
          const then = balanceOf(all, NOTHING, nextExpiry?.at ?? NOW);
          expect(then.available).toBe(available - (nextExpiry?.amount ?? 0));
        }
      }),
    );
  });
});

describe("a cost", () => {
  const whole = (cost: number) => ({ cost: toCredits(cost), perUnits: 1 });

  it("is cost times quantity by the unit, rounded up once, exactly, or refused", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 40 }),
        fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 2 ** 40 })),
        fc.oneof(fc.integer({ min: 1, max: 2 ** 40 }), fc.maxSafeInteger()),
        (unit, perUnits, quantity) => {
          const product = BigInt(unit) * BigInt(quantity);
          const exact = product / BigInt(perUnits) + (product % BigInt(perUnits) > 0n ? 1n : 0n);
          const work = () => costOf({ cost: toCredits(unit), perUnits }, quantity);
          if (quantity > 0 && exact <= BigInt(Number.MAX_SAFE_INTEGER)) expect(BigInt(work())).toBe(exact);
          else expect(failureOf(work)).toMatchObject({ code: "INVALID_INPUT" });
        },
      ),
    );
  });

  it.each([0, -0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, 2 ** 53, "3"])(
    "of a quantity of %s is refused",
    (quantity) => {
      expect(failureOf(() => costOf(whole(1), quantity as number))).toMatchObject({ code: "INVALID_INPUT" });
    },
  );
});

describe("an amount of credits", () => {
  it("is a safe integer or nothing", () => {
    expect(toCredits(2n ** 53n - 1n)).toBe(Number.MAX_SAFE_INTEGER);
    for (const wrong of [1.5, Number.NaN, 2 ** 53, 2n ** 53n, Number.POSITIVE_INFINITY]) {
      expect(failureOf(() => toCredits(wrong))).toBeInstanceOf(InvariantError);
    }
  });
});
