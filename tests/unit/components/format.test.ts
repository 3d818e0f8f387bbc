// Money, credits and dates as they are written.
import { describe, expect, it } from "vitest";
import {
  currencyDigits,
  dayKey,
  daysUntil,
  formatCompact,
  formatCredits,
  formatMoney,
  formatPercent,
  formatRelative,
  formatTime,
  inWords,
  ordinal,
  type Viewer,
  zoneName,
} from "~/components/billing/format";

const seattle: Viewer = { locale: "en-US", timeZone: "America/Los_Angeles" };
const tokyo: Viewer = { locale: "en-US", timeZone: "Asia/Tokyo" };

describe("money", () => {
  it("divides by what the currency itself says", () => {
    expect(currencyDigits("usd")).toBe(2);
    expect(currencyDigits("JPY")).toBe(0);
    expect(currencyDigits("bhd")).toBe(3);
    expect(formatMoney({ amount: 5407, currency: "usd" })).toBe("$54.07");
    expect(formatMoney({ amount: 5400, currency: "jpy" })).toBe("¥5,400");
    expect(formatMoney({ amount: 12345, currency: "BHD" })).toMatch(/12\.345$/);
  });

  it("puts a real minus before the symbol", () => {
    expect(formatMoney({ amount: -2759, currency: "usd" })).toBe("−$27.59");
    expect(formatMoney({ amount: 196000, currency: "usd" }, { sign: "always" })).toBe("+$1,960.00");
  });

  it("leaves out empty cents only when asked and only when they are empty", () => {
    expect(formatMoney({ amount: 4900, currency: "usd" }, { trim: true })).toBe("$49");
    expect(formatMoney({ amount: 4950, currency: "usd" }, { trim: true })).toBe("$49.50");
    expect(formatMoney({ amount: 4900, currency: "usd" })).toBe("$49.00");
  });

  it("follows the locale", () => {
    expect(formatMoney({ amount: 123456, currency: "eur" }, { locale: "de-DE" })).toMatch(/^1\.234,56\s€$/);
  });
});

describe("credits and shares", () => {
  it("have thousands separators and a real minus", () => {
    expect(formatCredits(18240)).toBe("18,240");
    expect(formatCredits(-375)).toBe("−375");
    expect(formatCredits(50, { sign: "always" })).toBe("+50");
    expect(formatCredits(0, { sign: "always" })).toBe("0");
    expect(formatPercent(0.249, { sign: "always" })).toBe("+24.9%");
    expect(formatPercent(-0.026)).toBe("−2.6%");
    expect(formatCompact(24_000)).toBe("24k");
    expect(formatCompact(800)).toBe("800");
  });
});

describe("instants", () => {
  const at = new Date("2026-01-22T04:30:00Z");

  it("belong to the day where the viewer is", () => {
    expect(dayKey(at, seattle)).toBe("2026-01-21");
    expect(dayKey(at, tokyo)).toBe("2026-01-22");
    expect(formatTime(at, seattle, { style: "time" })).toBe("20:30");
    expect(formatTime(at, seattle, { style: "time", zone: true })).toBe("20:30 PST");
    expect(zoneName(at)).toBe("UTC");
  });

  it("midnight is 00, not 24", () => {
    expect(formatTime(new Date("2026-01-22T00:05:00Z"), undefined, { style: "time" })).toBe("00:05");
  });

  it("are told in calendar days, also across a change of clocks", () => {
    const before = new Date("2026-03-07T20:00:00Z");
    const after = new Date("2026-03-09T08:00:00Z");
    expect(daysUntil(after, before, seattle)).toBe(2);
    expect(formatRelative(new Date("2026-02-01T08:00:00Z"), at, seattle)).toBe("in 11 days");
    expect(formatRelative(at, at, seattle)).toBe("today");
    expect(formatRelative(new Date("2026-06-22T08:00:00Z"), at, seattle)).toBe("in 5 months");
  });
});

it("counts places and joins words", () => {
  expect([1, 2, 3, 4, 11, 12, 13, 21, 22, 103].map(ordinal)).toEqual([
    "1st",
    "2nd",
    "3rd",
    "4th",
    "11th",
    "12th",
    "13th",
    "21st",
    "22nd",
    "103rd",
  ]);
  expect(inWords(["2,000", "10,000"])).toBe("2,000 and 10,000");
  expect(inWords(["a", "b", "c"])).toBe("a, b and c");
});
