// Names of ledger entries, and why which lots paid.
import { describe, expect, it } from "vitest";
import {
  explainPayment,
  movementInWords,
  nameOf,
  payersInWords,
  type QueuedLot,
} from "~/components/billing/transaction";

const lot = (id: string, before: number, took: number): QueuedLot => ({ id, label: id, expiresAt: null, before, took });

describe("the name of an entry", () => {
  it("is the quantity and the event, else what it was", () => {
    expect(nameOf({ type: "consume", eventName: "ai_inference", quantity: 1500 })).toBe("1,500 × ai_inference");
    expect(nameOf({ type: "grant", label: "Pack of 2,500" })).toBe("Pack of 2,500");
    expect(nameOf({ type: "reversal" })).toBe("Correction");
    expect(nameOf({ type: "reversal", eventName: "ai_inference", label: "Correction: broken" })).toBe(
      "Correction: broken",
    );
    expect(nameOf({ type: "bulk_import" })).toBe("Bulk import");
  });
});

describe("what a row moved", () => {
  it("is its amount with a sign", () => {
    expect(movementInWords({ type: "consume", amount: -375, held: -375 })).toBe("−375");
    expect(movementInWords({ type: "promotion", amount: 250 })).toBe("+250");
    expect(movementInWords({ type: "debt", amount: -120, debt: -120 })).toBe("−120");
  });

  it("is what was set aside, freed or owed where the balance stayed as it was", () => {
    expect(movementInWords({ type: "hold", amount: 0, held: 1500 })).toBe("1,500 held");
    expect(movementInWords({ type: "release", amount: 0, held: -40 })).toBe("40 freed");
    expect(movementInWords({ type: "dispute", amount: 0, held: 2500 })).toBe("2,500 frozen");
    expect(movementInWords({ type: "dispute", amount: 0, held: -2500 })).toBe("2,500 freed");
    expect(movementInWords({ type: "refund", amount: 0, debt: 120 })).toBe("120 owed");
    expect(movementInWords({ type: "refund", amount: 0, debt: -120 })).toBe("120 no longer owed");
  });
});

describe("why", () => {
  it("says that one lot was enough", () => {
    expect(explainPayment([lot("a", 500, 40), lot("b", 10, 0)], "never_expiring_first")).toMatch(
      /^Credits that never expire go first.*The first lot had enough\.$/,
    );
    expect(payersInWords([lot("a", 500, 40), lot("b", 10, 0)])).toBe("One lot paid for it");
  });

  it("says how far two lots reached", () => {
    const queue = [lot("a", 340, 340), lot("b", 2500, 35), lot("c", 10, 0)];
    expect(payersInWords(queue)).toBe("Two lots paid for it");
    expect(explainPayment(queue, "expiring_first")).toBe(
      "Credits that expire go first, soonest first; then those that never expire, oldest lot first. The first lot had only 340, so the second gave the other 35.",
    );
  });

  it("says it of more than two", () => {
    const queue = [lot("a", 10, 10), lot("b", 20, 20), lot("c", 100, 5)];
    expect(explainPayment(queue, "never_expiring_first")).toContain(
      "The first 2 lots had 10 and 20, so the third gave the other 5.",
    );
  });
});
