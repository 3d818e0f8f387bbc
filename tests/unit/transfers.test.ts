// Transfers and gifts as rules: what may go and what may not, what travels along, and that nothing is made or lost on the way,
// whatever else happens to the credits meanwhile.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Account, AccountLot, Cause, LedgerRow, NewLot, SpentPolicy } from "~/domain/account";
import { type ClaimTarget, claim, claimsOn, type DebtPayer } from "~/domain/claims";
import { type GrantSource, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { grant } from "~/domain/granting";
import { capture, endLeases, extend, hold, release } from "~/domain/holds";
import { consume, expire, reverse } from "~/domain/spending";
import {
  arrivingLot,
  type Carried,
  endGift,
  findOpenGift,
  isGiftGood,
  isTransferable,
  moveIn,
  moveOut,
  pickTransferable,
  type TransferredPart,
  takeGift,
  transferableCredits,
} from "~/domain/transfers";
import { EVENT, emptyAccount, nextId as id, minutesLater as later, NOW } from "../setup/accounts";

const cause = (): Cause => ({ key: { space: "caller", key: id("key"), requestHash: "hash" }, actor: "test" });

function account(organizationId = "giver", spentPolicy: SpentPolicy = "clamp"): Account {
  return emptyAccount({ organizationId, spentPolicy });
}

function lot(amount: number, change: Partial<NewLot> = {}): NewLot {
  const { source = "purchase" } = change;
  return {
    id: id("lot"),
    source,
    amount: toCredits(amount),
    expiresAt: null,
    label: `${source} of ${amount}`,
    transferable: source !== "promotion",
    createdAt: NOW,
    ...change,
  };
}

function give(to: Account, amount: number, change: Partial<NewLot> = {}, at = NOW): AccountLot {
  const made = lot(amount, change);
  grant(to, made, "grant", cause(), at);
  const opened = to.findLot(made.id);
  if (!opened) throw new Error("a lot that was granted is there");
  return opened;
}

/** What the database keeps of each lot, for what travels along. */
function carriedOf(giver: Account, part: TransferredPart): Carried {
  const stored = giver.newLots.get(part.lot.id);
  return {
    planId: stored?.planId ?? null,
    planVersion: stored?.planVersion ?? null,
    priceId: stored?.priceId ?? null,
    productId: stored?.productId ?? null,
    stripeInvoiceId: stored?.stripeInvoiceId ?? null,
    stripePaymentId: stored?.stripePaymentId ?? null,
    stripeSessionId: stored?.stripeSessionId ?? null,
    originOrganizationId: stored?.originOrganizationId ?? null,
    originGrantId: stored?.originGrantId ?? null,
  };
}

function arrive(giver: Account, receiver: Account, parts: readonly TransferredPart[], at: Date): LedgerRow {
  const lots = parts.map((part) =>
    arrivingLot(giver, part, carriedOf(giver, part), { id: id("lot"), label: part.lot.label, at }),
  );
  return moveIn(receiver, lots, cause(), at);
}

function transfer(giver: Account, receiver: Account, amount: number, at = NOW): LedgerRow {
  const parts = pickTransferable(giver, toCredits(amount), at);
  moveOut(giver, parts, { cause: cause(), held: false, at });
  return arrive(giver, receiver, parts, at);
}

function makeGift(giver: Account, amount: number, leaseEndsAt: Date, at = NOW): string {
  const holdId = id("hold");
  const parts = pickTransferable(giver, toCredits(amount), at);
  const request = { id: holdId, kind: "gift" as const, amount: toCredits(amount), leaseEndsAt, eventName: null };
  hold(giver, { ...request, cause: cause(), at }, parts);
  return holdId;
}

/** What the use-case does with a claim. @returns whether it went */
function claimGift(giver: Account, receiver: Account, holdId: string, at = NOW): boolean {
  const gift = findOpenGift(giver, holdId, at);
  if (!gift) return false;
  if (!isGiftGood(giver, gift, at)) {
    endGift(giver, gift, cause(), at);
    return false;
  }
  if (giver.state.suspended) return false;
  const { parts } = takeGift(giver, gift, cause(), at);
  arrive(giver, receiver, parts, at);
  return true;
}

/** What a payment claims of lots, with what the ledger knows of what was paid for claims before. */
function claimLots(of: Account, targets: [AccountLot, ClaimTarget][], at = NOW): void {
  const moved = (types: string[]) => {
    const sums = new Map<string, number>();
    for (const row of [...of.rows].reverse()) {
      if (!types.includes(row.type)) continue;
      for (const { grantId, amount } of row.entries) sums.set(grantId, (sums.get(grantId) ?? 0) - amount);
    }
    return sums;
  };
  const taken = moved(["refund", "dispute"]);
  const payers: DebtPayer[] = [...moved(["debt"])].flatMap(([grantId, amount]) => {
    const lot = of.findLot(grantId);
    return lot && amount > 0 ? [{ lot, amount }] : [];
  });
  const claims = targets.map(([lot, target]) => ({
    lot,
    target,
    taking: { type: "refund" as const, reference: "re", reason: "refunded" },
    freezing: { type: "dispute" as const, reference: "dp", reason: "disputed" },
    covered: lot.taken - (taken.get(lot.id) ?? 0),
  }));
  claim(of, claims, payers, at);
}

function refusal(act: () => unknown): { code: string; details: Record<string, unknown> } | null {
  try {
    act();
    return null;
  } catch (error) {
    if (!(error instanceof BillingError)) throw error;
    return { code: error.code, details: error.details };
  }
}

describe("what may be transferred", () => {
  it.each([
    ["purchase", {}, true],
    ["subscription", { source: "subscription", expiresAt: later(60) }, true],
    ["adjustment", { source: "adjustment" }, true],
    ["promotion", { source: "promotion" }, false],
    ["promotion that somebody marked by mistake", { source: "promotion", transferable: true }, false],
    ["trial", { source: "subscription", transferable: false }, false],
    ["transfer of a purchase", { source: "transfer", originSource: "purchase" }, true],
    ["transfer of a promotion, which there is none of", { source: "transfer", originSource: "promotion" }, false],
  ] as [string, Partial<NewLot>, boolean][])("of a %s: %o", (_name, change, expected) => {
    expect(isTransferable(give(account(), 10, change))).toBe(expected);
  });

  it("is nothing of a lot that a refund or a dispute claims, even in part", () => {
    const giver = account();
    const refunded = give(giver, 100);
    claimLots(giver, [[refunded, { toTake: 40, toFreeze: 0 }]]);
    const disputed = give(giver, 100);
    claimLots(giver, [[disputed, { toTake: 0, toFreeze: 40 }]]);
    expect(giver.available(NOW)).toBe(120);
    expect(transferableCredits(giver, NOW)).toBe(0);
    expect(refusal(() => pickTransferable(giver, toCredits(1), NOW))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 1, available: 120, transferable: 0 },
    });
  });

  it("is refused beyond what may go, with both figures, and nothing has moved", () => {
    const giver = account();
    give(giver, 100, { source: "promotion" });
    give(giver, 30);
    expect(refusal(() => transfer(giver, account("receiver"), 31))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 31, available: 130, transferable: 30 },
    });
    expect(giver.state.lastSeq).toBe(2);
    expect(transferableCredits(giver, NOW)).toBe(30);
  });

  it("is nothing of what has expired, from its instant on", () => {
    const giver = account();
    give(giver, 10, { expiresAt: later(60) });
    expect(refusal(() => pickTransferable(giver, toCredits(10), later(60)))?.code).toBe("INSUFFICIENT_CREDITS");
    expect(pickTransferable(giver, toCredits(10), later(59))).toHaveLength(1);
  });

  it("is nothing of what a hold has set aside, and nothing at all while spending is suspended", () => {
    const giver = account();
    give(giver, 10);
    const request = {
      id: id("hold"),
      kind: "work" as const,
      amount: toCredits(7),
      leaseEndsAt: later(5),
      eventName: null,
    };
    hold(giver, { ...request, cause: cause(), at: NOW });
    expect(transferableCredits(giver, NOW)).toBe(3);
    giver.state.suspended = true;
    expect(transferableCredits(giver, NOW)).toBe(0);
    expect(refusal(() => pickTransferable(giver, toCredits(1), NOW))?.code).toBe("ACCOUNT_SUSPENDED");
  });
});

describe("what travels along", () => {
  it("is a lot for each of the giver's, with its expiry and the payment behind it", () => {
    const giver = account();
    const receiver = account("receiver");
    const bought = give(giver, 50, { stripePaymentId: "pi_1", stripeSessionId: "cs_1", productId: "pack" });
    const monthly = give(giver, 50, { source: "subscription", expiresAt: later(60), stripeInvoiceId: "in_1" });
    const row = transfer(giver, receiver, 70);
    expect(row.newLots).toEqual([
      expect.objectContaining({
        source: "transfer",
        amount: 50,
        expiresAt: null,
        originSource: "purchase",
        originOrganizationId: "giver",
        originGrantId: bought.id,
        stripePaymentId: "pi_1",
        stripeSessionId: "cs_1",
        productId: "pack",
        transferable: true,
      }),
      expect.objectContaining({
        source: "transfer",
        amount: 20,
        expiresAt: later(60),
        originSource: "subscription",
        originGrantId: monthly.id,
        stripeInvoiceId: "in_1",
      }),
    ]);
    expect([bought.transferred, monthly.transferred]).toEqual([50, 20]);
    expect([giver.state.balance, receiver.state.balance]).toEqual([30, 70]);
  });

  it("is the first origin, however often it is transferred on", () => {
    const [a, b, c] = [account("a"), account("b"), account("c")];
    const first = give(a, 10, { stripePaymentId: "pi_1" });
    transfer(a, b, 10);
    const [last] = transfer(b, c, 4).newLots;
    expect(last).toMatchObject({
      originOrganizationId: "a",
      originGrantId: first.id,
      originSource: "purchase",
      stripePaymentId: "pi_1",
    });
  });

  it("pays what the receiver owes first", () => {
    const giver = account();
    give(giver, 100);
    const receiver = account("receiver", "debt");
    const spent = give(receiver, 40);
    consume(receiver, { cost: toCredits(40), event: EVENT, quantity: 40, cause: cause(), at: NOW });
    claimLots(receiver, [[spent, { toTake: 40, toFreeze: 0 }]]);
    expect(receiver.state.debt).toBe(40);
    transfer(giver, receiver, 100);
    expect([receiver.state.debt, receiver.state.balance]).toEqual([0, 60]);
  });
});

describe("a gift", () => {
  it("is set aside until it is claimed, and then is the receiver's", () => {
    const giver = account();
    give(giver, 100);
    const holdId = makeGift(giver, 60, later(60));
    expect([giver.available(NOW), giver.state.balance]).toEqual([40, 100]);
    const receiver = account("receiver");
    const held = findOpenGift(giver, holdId, NOW);
    expect(claimGift(giver, receiver, holdId)).toBe(true);
    expect(held).toMatchObject({ open: false, remaining: 0, captured: 60, lots: [], endedAt: NOW });
    expect([giver.state.balance, giver.state.held, receiver.available(NOW)]).toEqual([40, 0, 60]);
    expect(claimGift(giver, receiver, holdId)).toBe(false);
    expect(receiver.available(NOW)).toBe(60);
  });

  it("comes free by itself at the end of its time, and cannot be claimed from that instant on", () => {
    const giver = account();
    give(giver, 100);
    const holdId = makeGift(giver, 60, later(60));
    expect(claimGift(giver, account("receiver"), holdId, later(60))).toBe(false);
    expect(endLeases(giver, later(60))).toBe(1);
    expect(giver.available(later(60))).toBe(100);
  });

  it("is not work: nobody captures, extends or releases it as such", () => {
    const giver = account();
    give(giver, 100);
    const holdId = makeGift(giver, 60, later(60));
    const part = { holdId, cost: toCredits(1), event: null, quantity: null, cause: cause(), at: NOW };
    for (const act of [
      () => capture(giver, part),
      () => extend(giver, holdId, later(600), NOW),
      () => release(giver, holdId, cause(), NOW),
    ]) {
      expect(refusal(act)?.code).toBe("HOLD_ENDED");
    }
    expect(giver.available(NOW)).toBe(40);
  });

  it("is not claimed where its payment was taken back meanwhile: its credits go where they belong", () => {
    const giver = account();
    const bought = give(giver, 100);
    const holdId = makeGift(giver, 60, later(60));
    claimLots(giver, [[bought, { toTake: 100, toFreeze: 0 }]]);
    expect(giver.state.balance).toBe(60);
    const receiver = account("receiver");
    expect(claimGift(giver, receiver, holdId)).toBe(false);
    expect([giver.state.balance, giver.state.held, receiver.state.balance]).toEqual([0, 0, 0]);
  });

  it("of an organization that owes credits pays them instead", () => {
    const giver = account("giver", "debt");
    const spent = give(giver, 50);
    consume(giver, { cost: toCredits(50), event: EVENT, quantity: 50, cause: cause(), at: NOW });
    give(giver, 30);
    const holdId = makeGift(giver, 30, later(60));
    claimLots(giver, [[spent, { toTake: 50, toFreeze: 0 }]]);
    expect(giver.state.debt).toBe(50);
    expect(claimGift(giver, account("receiver"), holdId)).toBe(false);
    expect([giver.state.debt, giver.state.balance]).toEqual([20, 0]);
  });
});

// ── Laws ───────────────────────────────────────────────────────────────────────────────────────────────────

const ORGANIZATIONS = ["a", "b", "c"];
const organization = fc.nat(ORGANIZATIONS.length - 1);
const amount = fc.integer({ min: 1, max: 60 });
const step = fc.oneof(
  fc.record({
    do: fc.constant("grant" as const),
    at: organization,
    amount,
    kind: fc.constantFrom("purchase", "subscription", "trial", "promotion", "adjustment"),
    minutes: fc.option(fc.integer({ min: 1, max: 200 })),
  }),
  fc.record({ do: fc.constant("transfer" as const), at: organization, to: organization, amount }),
  fc.record({ do: fc.constant("consume" as const), at: organization, amount }),
  fc.record({ do: fc.constant("reverse" as const), at: organization, which: fc.nat(), amount }),
  fc.record({ do: fc.constant("hold" as const), at: organization, amount, minutes: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constant("capture" as const), at: organization, which: fc.nat(), amount }),
  fc.record({ do: fc.constant("release" as const), at: organization, which: fc.nat() }),
  fc.record({ do: fc.constant("gift" as const), at: organization, amount, minutes: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constant("claim" as const), at: organization, to: organization, which: fc.nat() }),
  fc.record({ do: fc.constant("cancel" as const), at: organization, which: fc.nat() }),
  fc.record({
    do: fc.constant("payment" as const),
    which: fc.nat(),
    refunded: fc.nat(100),
    disputed: fc.nat(100),
    lost: fc.nat(100),
  }),
  fc.record({ do: fc.constant("wait" as const), minutes: fc.integer({ min: 1, max: 30 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Three organizations that do everything to their credits and to each other's. */
class World {
  now = NOW;
  readonly accounts: Account[];
  readonly payments: string[] = [];
  readonly lots = new Map<string, { organization: string; lot: NewLot }>();
  private readonly seen = new Map<Account, number>();

  constructor(policy: SpentPolicy) {
    this.accounts = ORGANIZATIONS.map((name) => account(name, policy));
  }

  run(one: Step): void {
    for (const each of this.accounts) endLeases(each, this.now);
    // What the rules refuse leaves everything as it was.
    const refused = refusal(() => this.act(one));
    if (refused)
      expect(["INSUFFICIENT_CREDITS", "ACCOUNT_SUSPENDED", "HOLD_ENDED", "INVALID_INPUT"]).toContain(refused.code);
    this.expectLawful();
  }

  private at(index: number): Account {
    const found = this.accounts[index];
    if (!found) throw new Error("there is no such organization");
    return found;
  }

  private act(one: Step): void {
    const { now } = this;
    switch (one.do) {
      case "grant":
        this.grant(one);
        return;
      case "transfer":
        if (one.at !== one.to) transfer(this.at(one.at), this.at(one.to), one.amount, now);
        return;
      case "consume":
        consume(this.at(one.at), {
          cost: toCredits(one.amount),
          event: EVENT,
          quantity: one.amount,
          cause: cause(),
          at: now,
        });
        return;
      case "reverse":
        this.reverse(this.at(one.at), one.which, one.amount);
        return;
      case "hold": {
        const leaseEndsAt = new Date(now.getTime() + one.minutes * 60_000);
        const request = { id: id("hold"), kind: "work" as const, amount: toCredits(one.amount), leaseEndsAt };
        hold(this.at(one.at), { ...request, eventName: null, cause: cause(), at: now });
        return;
      }
      case "capture":
      case "release": {
        // Any hold, gifts too: those must refuse it.
        const holds = [...this.at(one.at).state.holds.keys()];
        const holdId = holds[one.which % Math.max(1, holds.length)];
        if (holdId === undefined) return;
        if (one.do === "release") release(this.at(one.at), holdId, cause(), now);
        else {
          const cost = toCredits(one.amount);
          capture(this.at(one.at), { holdId, cost, event: EVENT, quantity: 1, cause: cause(), at: now });
        }
        return;
      }
      case "gift": {
        const giver = this.at(one.at);
        const ends = pickTransferable(giver, toCredits(one.amount), now).flatMap(({ lot }) => lot.expiresAt ?? []);
        const asked = new Date(now.getTime() + one.minutes * 60_000);
        const first = new Date(Math.min(asked.getTime(), ...ends.map((at) => at.getTime())));
        makeGift(giver, one.amount, first, now);
        return;
      }
      case "claim":
      case "cancel": {
        const giver = this.at(one.at);
        const gifts = [...giver.state.holds.values()].filter(({ kind }) => kind === "gift");
        const gift = gifts[one.which % Math.max(1, gifts.length)];
        if (!gift) return;
        if (one.do === "cancel") endGift(giver, gift, cause(), now);
        else if (one.at !== one.to) claimGift(giver, this.at(one.to), gift.id, now);
        return;
      }
      case "payment":
        this.tellPayment(one);
        return;
      case "wait":
        this.now = new Date(now.getTime() + one.minutes * 60_000);
        for (const each of this.accounts) {
          endLeases(each, this.now);
          expire(each, this.now);
        }
    }
  }

  private grant(one: Step & { do: "grant" }): void {
    const paid = one.kind === "purchase" || one.kind === "subscription";
    const payment = paid ? id("pi") : null;
    if (payment) this.payments.push(payment);
    const source: GrantSource = one.kind === "trial" ? "subscription" : (one.kind as GrantSource);
    give(
      this.at(one.at),
      one.amount,
      {
        source,
        transferable: one.kind !== "trial" && one.kind !== "promotion",
        expiresAt: one.minutes === null ? null : new Date(this.now.getTime() + one.minutes * 60_000),
        stripePaymentId: payment,
        createdAt: this.now,
      },
      this.now,
    );
  }

  private reverse(of: Account, which: number, part: number): void {
    const takes = of.rows.filter((row) => row.type === "consume" && row.holdId === null);
    const take = takes[which % Math.max(1, takes.length)];
    if (!take) return;
    const given = new Map<string, number>();
    for (const row of of.rows) {
      if (row.correctsSeq !== take.seq || row.type !== "reversal") continue;
      for (const entry of row.entries) given.set(entry.grantId, (given.get(entry.grantId) ?? 0) + entry.amount);
    }
    const lots = take.entries
      .map((entry) => ({ grantId: entry.grantId, amount: -entry.amount - (given.get(entry.grantId) ?? 0) }))
      .filter((left) => left.amount > 0);
    const spender = { apiKeyId: null, memberId: null, project: null };
    const taken = { seq: take.seq, at: take.at, event: EVENT, spender, amount: -take.amount, held: NOTHING_HELD, lots };
    reverse(of, taken, toCredits(part), cause(), this.now);
  }

  /** A payment's truth, wherever the credits that it paid for are by now. */
  private tellPayment(truth: { which: number; refunded: number; disputed: number; lost: number }): void {
    const payment = this.payments[truth.which % Math.max(1, this.payments.length)];
    if (!payment) return;
    const paid = this.accounts.flatMap((each) =>
      each.state.lots
        .filter((one) => each.newLots.get(one.id)?.stripePaymentId === payment)
        .map((one) => ({ each, one, since: [...this.lots.keys()].indexOf(one.id) })),
    );
    paid.sort((a, b) => a.since - b.since);
    const targets = claimsOn(
      paid.map(({ one }) => one),
      { amount: 100, ...truth },
    );
    for (const account of this.accounts) {
      const own = paid.flatMap(({ each, one }, index): [AccountLot, ClaimTarget][] => {
        const target = targets[index];
        return each === account && target ? [[one, target]] : [];
      });
      claimLots(account, own, this.now);
    }
  }

  private expectLawful(): void {
    for (const each of this.accounts) {
      const { state } = each;
      const sum = (of: (lot: AccountLot) => number) => state.lots.reduce((total, one) => total + of(one), 0);
      expect(
        sum((one) => one.remaining),
        "Σ lots = balance",
      ).toBe(state.balance);
      expect(
        sum((one) => one.held),
        "Σ held of lots = held",
      ).toBe(state.held);
      for (const row of each.rows.slice(this.seen.get(each) ?? 0)) this.expectLawfulRow(each, row);
      this.seen.set(each, each.rows.length);
      for (const one of state.lots) {
        const { transferable, source, originSource } = each.newLots.get(one.id) ?? one;
        // Nothing ever goes out of a lot that nobody paid for, and no lot says that it came from one.
        if (!transferable || source === "promotion") expect(one.transferred).toBe(0);
        expect(originSource ?? null).not.toBe("promotion");
        expect(one.transferred + one.remaining).toBeLessThanOrEqual(one.amount);
      }
    }
    const moved = this.accounts.flatMap((each) => each.rows).filter((row) => row.type === "transfer");
    expect(
      moved.reduce((total, row) => total + row.amount, 0),
      "what goes out comes in",
    ).toBe(0);
  }

  private expectLawfulRow(of: Account, row: LedgerRow): void {
    for (const made of row.newLots) {
      this.lots.set(made.id, { organization: of.state.organizationId, lot: made });
      if (row.type !== "transfer") continue;
      const first = this.lots.get(made.originGrantId ?? "");
      expect(first?.organization).toBe(made.originOrganizationId);
      expect(first?.lot.source).toBe(made.originSource);
      expect(first?.lot.source).not.toBe("transfer");
      expect(first?.lot.transferable, "what arrives was transferable from the beginning").toBe(true);
      expect(made.expiresAt, "expiry travels along").toEqual(first?.lot.expiresAt);
      expect(made.stripePaymentId, "the payment travels along").toBe(first?.lot.stripePaymentId);
    }
    if (row.type !== "transfer" || row.amount > 0) return;
    for (const entry of row.entries) {
      const end = of.findLot(entry.grantId)?.expiresAt ?? null;
      expect(end === null || end > this.now, "nothing expired moves").toBe(true);
    }
  }
}

const NOTHING_HELD = { amount: 0, windows: [] };

describe.each(["clamp", "debt", "suspend"] as const)("whatever happens, under the policy of %s", (policy) => {
  it("credits are neither made nor lost on their way, carry what they are, and promotions and trials stay", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const world = new World(policy);
        for (const one of steps) world.run(one);
      }),
      { numRuns: 300 },
    );
  });
});
