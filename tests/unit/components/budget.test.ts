// Budgets in words: how one stands, and what one will do before it is made.
import { describe, expect, it } from "vitest";
import { consequenceOf, standingOf } from "~/components/billing/budget";

describe("a budget", () => {
  it("is worth a look from four fifths on, and used up at its limit", () => {
    const standing = (used: number) => standingOf({ used, limit: 1000 });
    expect([0, 799, 800, 999, 1000, 1200].map(standing)).toEqual([
      "within",
      "within",
      "nearly used up",
      "nearly used up",
      "used up",
      "used up",
    ]);
    expect(standingOf({ used: 0, limit: 0 })).toBe("used up");
  });

  it("says what it will do", () => {
    const terms = { scope: "project", name: "atlas", window: "month", limit: 10_000 } as const;
    expect(consequenceOf(terms)).toBe(
      "Project atlas may spend 10,000 credits a month, holds included. A request that goes beyond is refused, and nothing is taken. On the first of each month, in UTC, it begins anew.",
    );
    expect(consequenceOf({ ...terms, scope: "api_key", name: "staging", window: "total" })).toMatch(
      /^staging may spend 10,000 credits in all.*It does not begin anew\.$/,
    );
  });

  it("says that nothing is left of it, and that a limit of 0 refuses everything", () => {
    const terms = { scope: "member", name: "Jonas Weber", window: "day", limit: 100 } as const;
    expect(consequenceOf(terms, 100)).toContain("used up already: the next request of Jonas Weber is refused.");
    expect(consequenceOf({ ...terms, limit: 0 })).toBe(
      "Every request of Jonas Weber that needs credits is refused, from the next one on.",
    );
  });
});
