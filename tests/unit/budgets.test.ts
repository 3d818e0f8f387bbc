// Budgets as rules: their windows for any instant, whom they bind, and what they refuse.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BUDGET_WINDOWS, budgetsOf, requireBudget, windowEnd, windowStart, windowsOf } from "~/domain/budgets";
import { addBudget, emptyAccount, NOW, refusalOf } from "../setup/accounts";

const instant = fc.date({
  min: new Date("1971-01-01T00:00:00Z"),
  max: new Date("2300-01-01T00:00:00Z"),
  noInvalidDate: true,
});

describe("the window of a budget", () => {
  it("holds its instant, begins where the one before ended, and has the same start for all that it holds", () => {
    fc.assert(
      fc.property(fc.constantFrom("day", "month"), instant, (window, at) => {
        const start = windowStart(window, at);
        const end = windowEnd(window, at)?.getTime() ?? Number.NaN;
        expect(start).toBeLessThanOrEqual(at.getTime());
        expect(end).toBeGreaterThan(at.getTime());
        expect(windowStart(window, new Date(start))).toBe(start);
        expect(windowStart(window, new Date(end - 1))).toBe(start);
        expect(windowStart(window, new Date(end))).toBe(end);
        expect(windowEnd(window, new Date(start - 1))?.getTime()).toBe(start);
      }),
    );
  });

  it("is the day and the month of UTC, leap days and turns of the year included", () => {
    const of = (window: (typeof BUDGET_WINDOWS)[number], at: string) => [
      new Date(windowStart(window, new Date(at))).toISOString(),
      windowEnd(window, new Date(at))?.toISOString() ?? null,
    ];
    expect(of("day", "2028-02-28T23:59:59.999Z")).toEqual(["2028-02-28T00:00:00.000Z", "2028-02-29T00:00:00.000Z"]);
    expect(of("month", "2028-02-29T12:00:00Z")).toEqual(["2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z"]);
    expect(of("month", "2026-12-31T23:59:59.999Z")).toEqual(["2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"]);
    expect(of("day", "2026-12-31T12:00:00Z")[1]).toBe("2027-01-01T00:00:00.000Z");
    expect(of("total", "2026-12-31T12:00:00Z")).toEqual(["1970-01-01T00:00:00.000Z", null]);
  });
});

describe("a budget", () => {
  it("binds whom it names, and nobody without a name", () => {
    const account = emptyAccount();
    addBudget(account, { id: "key", scope: "api_key", subject: "same" });
    addBudget(account, { id: "member", scope: "member", subject: "same" });
    addBudget(account, { id: "project", scope: "project", subject: "same" });
    const bound = (spender: object) => budgetsOf(account.state.budgets, spender).map(({ id }) => id);
    expect(bound({ apiKeyId: "same" })).toEqual(["key"]);
    expect(bound({ memberId: "same" })).toEqual(["member"]);
    expect(bound({ project: "same", apiKeyId: "other" })).toEqual(["project"]);
    expect(bound({ apiKeyId: "same", memberId: "same", project: "same" })).toEqual(["key", "member", "project"]);
    for (const nobody of [{}, { apiKeyId: null, memberId: null, project: null }, { project: "Same" }]) {
      expect(bound(nobody)).toEqual([]);
    }
  });

  it("allows exactly what is left of its limit, and a limit of nothing allows nothing", () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(100), fc.integer({ min: 1, max: 100 }), (limit, used, amount) => {
        const budget = addBudget(emptyAccount(), { limit, used: new Map([[windowStart("day", NOW), used]]) });
        const refusal = refusalOf(() => requireBudget([budget], amount, NOW));
        if (used + amount <= limit) expect(refusal).toBeNull();
        else expect(refusal).toMatchObject({ code: "BUDGET_EXCEEDED", details: { limit, used, required: amount } });
      }),
    );
  });

  it("of a row of the ledger is one that was there before it", () => {
    const account = emptyAccount();
    addBudget(account, { id: "old", sinceSeq: 4 });
    addBudget(account, { id: "new", sinceSeq: 5, window: "month" });
    const of = (seq: number) => windowsOf(account.state.budgets, { project: "alpha" }, { seq, at: NOW });
    expect(of(4)).toEqual([]);
    expect(of(5)).toEqual([["old", windowStart("day", NOW)]]);
    expect(of(6)).toEqual([
      ["old", windowStart("day", NOW)],
      ["new", windowStart("month", NOW)],
    ]);
  });
});
