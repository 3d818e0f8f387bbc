// The days of a statement, as an address says them.
import { describe, expect, it } from "vitest";
import { daysOf, instantsOf, monthOf } from "~/app/[org]/billing/statement/range";

const NOW = new Date("2026-03-31T23:30:00Z");
const MARCH = { from: "2026-03-01", to: "2026-03-31" };

describe("the days of a statement", () => {
  it("are the address's, both ends included", () => {
    const days = daysOf({ from: "2026-02-01", to: "2026-02-28" }, NOW);
    expect(instantsOf(days)).toEqual({ from: new Date("2026-02-01T00:00:00Z"), to: new Date("2026-03-01T00:00:00Z") });
    expect(daysOf({ from: "2026-02-10", to: "2026-02-10" }, NOW)).toEqual({ from: "2026-02-10", to: "2026-02-10" });
  });

  it("are the present month where the address says none", () => {
    expect(daysOf({}, NOW)).toEqual(MARCH);
    expect(daysOf({ from: "2026-03-10" }, NOW)).toEqual({ from: "2026-03-10", to: "2026-03-31" });
  });

  it.each([
    { from: "2026-02-30", to: "2026-02-31" },
    { from: "yesterday", to: "" },
    { from: "0001-01-01", to: "x" },
    { from: ["2026-02-01", "2026-02-02"], to: "2026-13-01" },
    { from: "2026-03-20", to: "2026-03-10" },
  ])("are the present month where there are no such days: %j", (address) => {
    expect(daysOf(address, NOW)).toEqual(MARCH);
  });

  it("of earlier months are whole, over the turn of a year and in February", () => {
    expect(monthOf(NOW, 1)).toEqual({ from: "2026-02-01", to: "2026-02-28" });
    expect(monthOf(NOW, 3)).toEqual({ from: "2025-12-01", to: "2025-12-31" });
  });
});
