// What an overdue payment means at which instant: grace, the day before, the block; what takes it back; and who is told of a trial.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { declineMessage } from "~/domain/declines";
import { isBlocked, isTrialEnding, noticeAt, overdueOf } from "~/domain/dunning";
import { capture, hold } from "~/domain/holds";
import { moneyInWords } from "~/domain/pricing";
import { consume } from "~/domain/spending";
import { SUBSCRIPTION_STATUSES } from "~/domain/subscription";
import { pickTransferable, transferableCredits } from "~/domain/transfers";
import { causeOf, EVENT, emptyAccount, give, NOW, nextId, refusalOf, snapshot } from "../setup/accounts";

const DAY_MS = 86_400_000;
const plus = (ms: number, from = NOW) => new Date(from.getTime() + ms);

const overdue = (graceDays: number | null) => {
  const found = overdueOf({ status: "past_due", pastDueSince: NOW, graceDays });
  if (!found) throw new Error("a payment that is past due is overdue");
  return found;
};

describe("grace", () => {
  it("is the plan's days from the first failure on; then spending has stopped, from the millisecond on", () => {
    const until = plus(7 * DAY_MS);
    expect(overdue(7)).toEqual({ since: NOW, graceUntil: until });
    expect(isBlocked(overdue(7), plus(-1, until))).toBe(false);
    expect(isBlocked(overdue(7), until)).toBe(true);
    expect(isBlocked(overdue(0), NOW)).toBe(true);
    expect(overdue(null)).toEqual({ since: NOW, graceUntil: null });
    expect(isBlocked(overdue(null), plus(1_000 * DAY_MS))).toBe(false);
  });

  it("is of past_due alone: what recovered or ended owes no credits", () => {
    for (const status of SUBSCRIPTION_STATUSES) {
      const found = overdueOf({ status, pastDueSince: NOW, graceDays: 7 });
      expect(found !== null, status).toBe(status === "past_due");
    }
    expect(overdueOf({ status: "past_due", pastDueSince: null, graceDays: 7 })).toBeNull();
  });

  it("has one notice for each instant, and they only go forward", () => {
    const order = ["payment_failed", "block_tomorrow", "blocked"];
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), fc.nat(70 * DAY_MS), fc.nat(DAY_MS), (days, at, later) => {
        const [first, second] = [noticeAt(overdue(days), plus(at)), noticeAt(overdue(days), plus(at + later))];
        expect(order.indexOf(second)).toBeGreaterThanOrEqual(order.indexOf(first));
        expect(first === "blocked").toBe(isBlocked(overdue(days), plus(at)));
      }),
    );
    const until = plus(7 * DAY_MS);
    expect(noticeAt(overdue(7), NOW)).toBe("payment_failed");
    expect(noticeAt(overdue(7), plus(-DAY_MS - 1, until))).toBe("payment_failed");
    expect(noticeAt(overdue(7), plus(-DAY_MS, until))).toBe("block_tomorrow");
    expect(noticeAt(overdue(7), until)).toBe("blocked");
    expect(noticeAt(overdue(1), NOW)).toBe("block_tomorrow");
    expect(noticeAt(overdue(0), NOW)).toBe("blocked");
    expect(noticeAt(overdue(null), plus(400 * DAY_MS))).toBe("payment_failed");
  });
});

describe("an account that is blocked from an instant on", () => {
  const FROM = plus(60_000);
  const account = () => {
    const blocked = emptyAccount({ blockedFrom: FROM.getTime() });
    give(blocked, 100);
    return blocked;
  };
  const spend = (on: ReturnType<typeof account>, at: Date) =>
    consume(on, { cost: toCredits(10), event: EVENT, quantity: 10, cause: causeOf(), at });
  const setAside = (on: ReturnType<typeof account>, amount: number, at: Date) => {
    const id = nextId("hold");
    const request = { id, kind: "work" as const, amount: toCredits(amount), eventName: null, cause: causeOf(), at };
    hold(on, { ...request, leaseEndsAt: plus(DAY_MS) });
    return id;
  };

  it("spends until the millisecond before, and nothing from then on, without a trace", () => {
    const blocked = account();
    spend(blocked, plus(-1, FROM));
    const before = snapshot(blocked);
    const refusal = { code: "PAYMENT_OVERDUE", details: { organizationId: "organization", since: FROM } };
    expect(refusalOf(() => spend(blocked, FROM))).toEqual(refusal);
    expect(refusalOf(() => setAside(blocked, 1, FROM))).toEqual(refusal);
    expect(refusalOf(() => pickTransferable(blocked, toCredits(1), FROM))).toEqual(refusal);
    expect(transferableCredits(blocked, FROM)).toBe(0);
    expect(transferableCredits(blocked, plus(-1, FROM))).toBe(90);
    expect(snapshot(blocked)).toEqual(before);
  });

  it("lets work that was begun take what it has set aside, and nothing beyond", () => {
    const blocked = account();
    const holdId = setAside(blocked, 30, NOW);
    const take = (cost: number) =>
      capture(blocked, { holdId, cost: toCredits(cost), event: EVENT, quantity: cost, cause: causeOf(), at: FROM });
    expect(refusalOf(() => take(31))?.code).toBe("PAYMENT_OVERDUE");
    expect(take(30).amount).toBe(-30);
  });

  it("is told of its suspension first", () => {
    const blocked = account();
    blocked.state.suspended = true;
    expect(refusalOf(() => spend(blocked, FROM))?.code).toBe("ACCOUNT_SUSPENDED");
  });
});

describe("the end of a trial", () => {
  const trialEnd = plus(14 * DAY_MS);
  const trial = { status: "trial" as const, trialEnd, cancelsAt: null };

  it("is told of in its last three days, where it will cost something", () => {
    expect(isTrialEnding(trial, plus(-3 * DAY_MS - 1, trialEnd))).toBe(false);
    expect(isTrialEnding(trial, plus(-3 * DAY_MS, trialEnd))).toBe(true);
    expect(isTrialEnding(trial, plus(-1, trialEnd))).toBe(true);
    expect(isTrialEnding(trial, trialEnd)).toBe(false);
    expect(isTrialEnding({ ...trial, cancelsAt: trialEnd }, plus(-1, trialEnd))).toBe(false);
    expect(isTrialEnding({ ...trial, status: "active" }, plus(-1, trialEnd))).toBe(false);
  });
});

describe("words", () => {
  it("say what a bank said, and what to do", () => {
    expect(declineMessage("insufficient_funds")).toBe(
      "There is not enough money on the card. Use another card, or ask your bank.",
    );
    expect(declineMessage("processing_error")).toBe("The bank could not take the payment. Try again in a moment.");
  });

  it("keep to themselves what a bank keeps to itself", () => {
    const unsaid = declineMessage("generic_decline");
    for (const code of ["stolen_card", "lost_card", "fraudulent", "a code of tomorrow"]) {
      expect(declineMessage(code)).toBe(unsaid);
    }
  });

  it("have money in its currency's own digits", () => {
    expect(moneyInWords(5407, "usd")).toBe("$54.07");
    expect(moneyInWords(5400, "jpy")).toBe("¥5,400");
  });
});
