// What Stripe's states are to us, and which changes are expected.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cancelsAt,
  isEnded,
  isExpectedTransition,
  isLive,
  type StripeSubscriptionFacts,
  SUBSCRIPTION_STATUSES,
  statusFromStripe,
  transitions,
} from "~/domain/subscription";

const facts = (change: Partial<StripeSubscriptionFacts>): StripeSubscriptionFacts => ({
  status: "active",
  cancellationReason: null,
  pausedReason: null,
  collectionPaused: false,
  ...change,
});

describe("Stripe's status", () => {
  it.each([
    ["trialing", {}, "trial"],
    ["active", {}, "active"],
    ["past_due", {}, "past_due"],
    ["incomplete", {}, "pending"],
    ["incomplete_expired", {}, "expired"],
    ["unpaid", {}, "expired"],
    ["canceled", {}, "cancelled"],
    ["canceled", { cancellationReason: "cancellation_requested" }, "cancelled"],
    ["canceled", { cancellationReason: "payment_failed" }, "expired"],
    ["canceled", { cancellationReason: "payment_disputed" }, "expired"],
    ["canceled", { cancellationReason: "never heard of" }, "cancelled"],
    ["paused", { pausedReason: "pause_requested" }, "paused"],
    ["paused", {}, "paused"],
    ["paused", { pausedReason: "trial_end_without_payment_method" }, "expired"],
    ["paused", { pausedReason: "final_payment_failure" }, "expired"],
    ["active", { collectionPaused: true }, "paused"],
    ["trialing", { collectionPaused: true }, "paused"],
    ["past_due", { collectionPaused: true }, "past_due"],
  ] as const)("%s with %o is %s", (status, change, ours) => {
    expect(statusFromStripe(facts({ status, ...change }))).toBe(ours);
  });

  it("that nobody has heard of is null, whatever else is said", () => {
    const known = new Set([
      "trialing",
      "active",
      "past_due",
      "incomplete",
      "incomplete_expired",
      "unpaid",
      "canceled",
      "paused",
    ]);
    fc.assert(
      fc.property(fc.string(), fc.option(fc.string()), fc.boolean(), (status, reason, collectionPaused) => {
        fc.pre(!known.has(status));
        expect(
          statusFromStripe(facts({ status, cancellationReason: reason, pausedReason: reason, collectionPaused })),
        ).toBeNull();
      }),
    );
    for (const status of ["constructor", "toString", "ACTIVE", " active", "hibernating"]) {
      expect(statusFromStripe(facts({ status }))).toBeNull();
    }
  });
});

describe("a status", () => {
  it("is live, ended or pending, and only one of them", () => {
    for (const status of SUBSCRIPTION_STATUSES) {
      const kinds = [isLive(status), isEnded(status), status === "pending"].filter(Boolean);
      expect(kinds, status).toHaveLength(1);
    }
    expect(SUBSCRIPTION_STATUSES.filter(isLive)).toEqual(["trial", "active", "past_due", "paused"]);
  });
});

describe("a change of status", () => {
  it("to itself is always expected, and cancelled is the end", () => {
    for (const from of SUBSCRIPTION_STATUSES) {
      expect(isExpectedTransition(from, from)).toBe(true);
      if (from !== "cancelled") expect(isExpectedTransition("cancelled", from)).toBe(false);
    }
  });

  it("is expected exactly where the table has it", () => {
    const table = new Set(transitions().map(([from, to]) => `${from} → ${to}`));
    for (const from of SUBSCRIPTION_STATUSES) {
      for (const to of SUBSCRIPTION_STATUSES) {
        if (from !== to) expect(isExpectedTransition(from, to)).toBe(table.has(`${from} → ${to}`));
      }
    }
  });

  it("leads from a trial to paying, from a failed payment back or out, and never back to pending", () => {
    for (const [from, to] of [
      ["pending", "trial"],
      ["pending", "active"],
      ["trial", "active"],
      ["active", "past_due"],
      ["past_due", "active"],
      ["past_due", "expired"],
      ["active", "cancelled"],
      ["expired", "active"],
    ] as const) {
      expect(isExpectedTransition(from, to), `${from} → ${to}`).toBe(true);
    }
    expect(transitions().filter(([, to]) => to === "pending")).toEqual([]);
    expect(transitions().filter(([from, to]) => from === to)).toEqual([]);
  });
});

describe("the instant at which a subscription ends by itself", () => {
  const end = new Date("2026-04-10T00:00:00Z");
  const other = new Date("2026-03-20T00:00:00Z");
  it("is Stripe's date where it names one, else the period's end where it was asked for, else none", () => {
    expect(cancelsAt({ cancelAt: null, cancelAtPeriodEnd: false, currentPeriodEnd: end })).toBeNull();
    expect(cancelsAt({ cancelAt: null, cancelAtPeriodEnd: true, currentPeriodEnd: end })).toBe(end);
    expect(cancelsAt({ cancelAt: other, cancelAtPeriodEnd: false, currentPeriodEnd: end })).toBe(other);
    expect(cancelsAt({ cancelAt: other, cancelAtPeriodEnd: true, currentPeriodEnd: end })).toBe(other);
  });
});
