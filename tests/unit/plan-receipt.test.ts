// What the plans page says a subscription costs and brings, before anybody pays.
import { describe, expect, it } from "vitest";
import { receiptOf } from "~/app/[org]/billing/plans/receipt";
import { toCredits } from "~/domain/credits";

const NOW = new Date("2026-01-31T10:00:00Z");
const VIEWER = { locale: "en-GB", timeZone: "UTC" };
const NONE = toCredits(0);
const EMPTY = {
  available: NONE,
  purchased: NONE,
  subscription: NONE,
  other: NONE,
  held: NONE,
  debt: NONE,
  nextExpiry: null,
};
const PLAN = {
  id: "plan",
  key: "pro",
  name: "Pro",
  description: "",
  features: [],
  credits: toCredits(6_000),
  creditInterval: "month" as const,
  trialDays: 14,
  trialCredits: toCredits(300),
  prices: [],
};
const MONTHLY = { id: "month", interval: "month" as const, currency: "USD", unitAmount: 4_900 };
const YEARLY = { id: "year", interval: "year" as const, currency: "USD", unitAmount: 49_000 };

describe("the receipt of a subscription", () => {
  it("charges the price today and again when the month is over, on the last day of a shorter month", () => {
    const receipt = receiptOf({ plan: PLAN, price: MONTHLY, trial: false, balance: EMPTY, now: NOW, viewer: VIEWER });
    expect(receipt.today.total).toEqual({ amount: 4_900, currency: "USD" });
    expect(receipt.onwards).toMatchObject({ label: "Each month, first on 28 February", amount: { amount: 4_900 } });
    expect(receipt.credits).toMatchObject({ now: 0, total: 6_000 });
  });

  it("charges nothing while the trial lasts, and brings the trial's credits", () => {
    const receipt = receiptOf({ plan: PLAN, price: MONTHLY, trial: true, balance: EMPTY, now: NOW, viewer: VIEWER });
    expect(receipt.today.total.amount).toBe(0);
    expect(receipt.onwards).toMatchObject({ label: "Each month, first on 14 February", amount: { amount: 4_900 } });
    expect(receipt.credits?.total).toBe(300);
    expect(receipt.credits?.note).toBe(
      "On 14 February, 6,000 new credits arrive, and what is left of the trial’s expires.",
    );
  });

  it("grants by the month in a plan that is paid by the year", () => {
    const receipt = receiptOf({ plan: PLAN, price: YEARLY, trial: false, balance: EMPTY, now: NOW, viewer: VIEWER });
    expect(receipt.onwards?.label).toBe("Each year, first on 31 Jan 2027");
    expect(receipt.credits?.lines.at(-1)).toMatchObject({ label: "Pro, first month", note: "expire on 28 Feb 2026" });
  });

  it("adds to what the organization has, held credits included", () => {
    const balance = { ...EMPTY, available: toCredits(900), purchased: toCredits(1_000), held: toCredits(100) };
    const receipt = receiptOf({ plan: PLAN, price: MONTHLY, trial: false, balance, now: NOW, viewer: VIEWER });
    expect(receipt.credits).toMatchObject({ now: 1_000, total: 7_000 });
    expect(receipt.credits?.lines[0]?.note).toBe("untouched, never expire; 100 are held");
  });
});
