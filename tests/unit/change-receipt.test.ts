// What the page says a change of plan costs and brings, from what the server previewed.
import { describe, expect, it } from "vitest";
import { type ChangeRequest, changeReceiptOf } from "~/app/[org]/billing/plans/change-receipt";
import { toCredits } from "~/domain/credits";

const NOW = new Date("2026-01-22T14:20:00Z");
const END = new Date("2026-02-01T00:00:00Z");
const VIEWER = { locale: "en-GB", timeZone: "UTC" };
const NONE = toCredits(0);
const BALANCE = {
  available: toCredits(18_000),
  purchased: toCredits(12_240),
  subscription: toCredits(6_000),
  other: NONE,
  held: toCredits(240),
  debt: NONE,
  nextExpiry: null,
};
const CARD = { brand: "visa", last4: "4242", expMonth: 12, expYear: 2031 };
const PRO: ChangeRequest["subscription"] = {
  planName: "Pro",
  status: "active",
  interval: "month",
  credits: 6_000,
  creditInterval: "month",
  unitAmount: 4_900,
  currency: "usd",
  card: CARD,
  nextInvoice: { at: END, amount: 5_407, tax: 507, currency: "usd" },
};
const SCALE = { name: "Scale", interval: "month" as const };
const UPGRADE: ChangeRequest["preview"] = {
  kind: "upgrade",
  effective: "now",
  at: NOW,
  dueNow: {
    amount: 3_347,
    tax: 314,
    currency: "usd",
    lines: [
      { description: "Unused time on Pro", amount: -1_486 },
      { description: "Remaining time on Scale", amount: 4_519 },
    ],
  },
  recurring: { amount: 16_442, tax: 1_542, currency: "usd", interval: "month", from: END },
  credits: { now: 7_581, takenBack: 1_818, owed: 0, perInterval: 25_000, creditInterval: "month", from: END },
  prorationDate: NOW,
  token: "token",
};

function shown(change: Partial<ChangeRequest> = {}) {
  return changeReceiptOf({
    preview: UPGRADE,
    subscription: PRO,
    target: SCALE,
    balance: BALANCE,
    viewer: VIEWER,
    ...change,
  });
}

const amounts = (lines: readonly { label: string; amount: number }[]) => lines.map((line) => [line.label, line.amount]);

describe("the receipt of a change", () => {
  it("of an upgrade adds up to what is charged, tax and all, and the button says it", () => {
    const { receipt, confirm, terms } = shown();
    expect(receipt).toMatchObject({ title: "Pro to Scale", when: "takes effect now" });
    expect(amounts(receipt.today.lines)).toEqual([
      ["Unused time on Pro", -1_486],
      ["Remaining time on Scale", 4_519],
      ["Tax", 314],
    ]);
    expect(receipt.today).toMatchObject({ totalLabel: "Today, Visa ending 4242", total: { amount: 3_347 } });
    expect(receipt.onwards).toMatchObject({
      label: "Each month, first on 1 February",
      note: "$149.00 + tax $15.42",
      amount: { amount: 16_442 },
      now: { amount: 5_407 },
    });
    expect(confirm).toBe("Change to Scale and pay $33.47");
    expect(terms).toContain("kept for half an hour");
  });

  it("of an upgrade tells which credits stay, go and come", () => {
    const { credits } = shown().receipt;
    expect(amounts(credits?.lines ?? [])).toEqual([
      ["Purchased", 12_240],
      ["Subscription", 6_000],
      ["Pro, given back", -1_818],
      ["Scale, rest of this period", 7_581],
    ]);
    expect(credits).toMatchObject({
      now: 18_240,
      total: 18_240 - 1_818 + 7_581,
      note: "On 1 February, 25,000 credits arrive instead of 6,000.",
    });
  });

  it("tells what of the credits that are given back is spent already", () => {
    const preview = { ...UPGRADE, credits: { ...UPGRADE.credits, owed: 1_200 } };
    expect(shown({ preview }).receipt.credits?.lines[2]?.note).toBe(
      "1,200 are spent already: the new ones pay for them",
    );
  });

  it("of a downgrade charges nothing, moves no credits, and names the day", () => {
    const preview: ChangeRequest["preview"] = {
      ...UPGRADE,
      kind: "downgrade",
      effective: "period_end",
      at: END,
      dueNow: { amount: 0, tax: 0, currency: "usd", lines: [] },
      recurring: { amount: 1_500, tax: 0, currency: "usd", interval: "month", from: END },
      credits: { ...UPGRADE.credits, now: 0, takenBack: 0, perInterval: 1_500 },
    };
    const { receipt, confirm } = shown({ preview, target: { name: "Starter", interval: "month" } });
    expect(receipt.when).toBe("takes effect on 1 February");
    expect(receipt.today).toEqual({ lines: [], totalLabel: "Today", total: { amount: 0, currency: "usd" } });
    expect(receipt.onwards?.now).toEqual({ amount: 4_900, currency: "usd" });
    expect(receipt.credits).toMatchObject({ totalLabel: "Unchanged for now", total: 18_240 });
    expect(receipt.credits?.now).toBeUndefined();
    expect(confirm).toBe("Change to Starter on 1 February");
  });

  it("to a year names both intervals, and says that credits come each month", () => {
    const target = { name: "Pro", interval: "year" as const };
    const until = new Date("2027-01-22T14:20:00Z");
    const preview: ChangeRequest["preview"] = {
      ...UPGRADE,
      recurring: { amount: 49_000, tax: 0, currency: "usd", interval: "year", from: until },
      credits: { ...UPGRADE.credits, perInterval: 6_000, from: until },
    };
    const { receipt, confirm } = shown({ preview, target });
    expect(receipt.title).toBe("Pro monthly to Pro yearly");
    expect(receipt.onwards).toMatchObject({ label: "Each year, first on 22 Jan 2027", now: null });
    expect(receipt.credits?.note).toBe("From now on, 6,000 credits arrive each month.");
    expect(confirm).toBe("Change to Pro yearly and pay $33.47");
  });

  it("in a trial says that nothing is charged before it ends", () => {
    const preview = { ...UPGRADE, dueNow: { amount: 0, tax: 0, currency: "usd", lines: [] } };
    const { confirm, terms } = shown({ preview, subscription: { ...PRO, status: "trial" } });
    expect(confirm).toBe("Change to Scale now");
    expect(terms).toBe("The trial goes on, and nothing is charged before it ends.");
  });

  it("explains the rest where prices hold the tax, or a discount takes something off", () => {
    const lines = UPGRADE.dueNow.lines;
    const inclusive = { ...UPGRADE, dueNow: { ...UPGRADE.dueNow, amount: 3_033 } };
    expect(shown({ preview: inclusive }).receipt.today).toMatchObject({
      lines: lines.map(({ description: label, amount }) => ({ label, amount })),
      totalLabel: "Today, Visa ending 4242, with $3.14 of tax",
    });
    const discounted = { ...UPGRADE, dueNow: { ...UPGRADE.dueNow, amount: 3_047 } };
    expect(amounts(shown({ preview: discounted }).receipt.today.lines).at(-1)).toEqual([
      "Discounts and what the account has",
      -300,
    ]);
    const back = {
      ...UPGRADE,
      dueNow: { amount: 0, tax: 0, currency: "usd", lines: [{ description: "Unused", amount: -500 }] },
    };
    const { receipt, confirm } = shown({ preview: back });
    expect(amounts(receipt.today.lines)).toEqual([
      ["Unused", -500],
      ["Kept on the account for later invoices", 500],
    ]);
    expect(receipt.today.totalLabel).toBe("Today");
    expect(confirm).toBe("Change to Scale now");
  });
});
