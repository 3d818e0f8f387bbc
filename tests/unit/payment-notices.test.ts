// What the banner of an overdue payment says, and which alerts a customer is not told of.
import { describe, expect, it } from "vitest";
import { isForThePlatform, overdueWords } from "~/app/[org]/billing/_shared/payment-notices";

const VIEWER = { locale: "en-GB", timeZone: "UTC" };
const OVERDUE = {
  planName: "Pro",
  pastDueSince: new Date("2026-03-10T09:30:00Z"),
  graceUntil: new Date("2026-03-17T09:30:00Z"),
  blocked: false,
  openInvoice: {
    id: "in_1",
    amount: 5_407,
    currency: "usd",
    url: "https://stripe.example/in_1",
    nextAttemptAt: new Date("2026-03-13T09:30:00Z"),
  },
};

describe("a payment that is overdue", () => {
  it("says what failed, when it is tried again, and what happens when", () => {
    expect(overdueWords(OVERDUE, VIEWER)).toEqual({
      title: "The payment of $54.07 for Pro failed on 10 March.",
      text: "It is tried again on 13 March. Credits can be spent until 17 March, 09:30 UTC; then spending stops until it is paid.",
    });
  });

  it("says that nothing is tried any more, and that a plan without a limit just ends", () => {
    const openInvoice = { ...OVERDUE.openInvoice, nextAttemptAt: null };
    expect(overdueWords({ ...OVERDUE, openInvoice, graceUntil: null }, VIEWER).text).toBe(
      "It is not tried again by itself. Credits can be spent all the same; if it is never paid, the plan ends.",
    );
  });

  it("says first that spending is stopped, once it is", () => {
    expect(overdueWords({ ...OVERDUE, blocked: true }, VIEWER)).toEqual({
      title: "Spending is stopped since 17 March, 09:30 UTC.",
      text: "The payment of $54.07 for Pro failed on 10 March. Requests that need credits are refused until it is paid; the credits stay. It is tried again on 13 March.",
    });
  });
});

describe("alerts", () => {
  it("of the platform's own trouble are not told to a customer; those about their money are", () => {
    const told = ["payment_failed", "payment_disputed", "second_subscription", "reconciliation", "event_dead"].filter(
      (kind) => !isForThePlatform({ kind }),
    );
    expect(told).toEqual(["payment_failed", "payment_disputed", "second_subscription"]);
  });
});
