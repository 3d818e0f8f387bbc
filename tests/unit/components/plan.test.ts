// What a year saves.
import { describe, expect, it } from "vitest";
import { currenciesOf, freeMonths, type PlanOption, priceOf, yearlySaving } from "~/components/billing/plan";

const plan = (month: number | null, year: number | null): PlanOption => ({
  id: `${month}`,
  name: "Plan",
  features: [],
  credits: 1000,
  creditInterval: "month",
  prices: [
    ...(month === null ? [] : [{ interval: "month" as const, currency: "usd", unitAmount: month }]),
    ...(year === null ? [] : [{ interval: "year" as const, currency: "usd", unitAmount: year }]),
  ],
});

describe("a year", () => {
  it("saves what twelve months cost more", () => {
    expect(yearlySaving(plan(4900, 49000), "USD")).toEqual({ amount: 9800, currency: "USD" });
    expect(yearlySaving(plan(4900, 58800), "USD")).toBeNull();
    expect(yearlySaving(plan(4900, null), "USD")).toBeNull();
  });

  it("is so many months free only if that holds for every plan", () => {
    expect(freeMonths([plan(1500, 15000), plan(4900, 49000)], "usd")).toBe(2);
    expect(freeMonths([plan(1500, 15000), plan(4900, 55000)], "usd")).toBeNull();
    expect(freeMonths([plan(0, 0)], "usd")).toBeNull();
  });
});

it("finds prices in any case of the currency", () => {
  expect(priceOf(plan(1500, null), "month", "USD")?.unitAmount).toBe(1500);
  expect(priceOf(plan(1500, null), "month", "EUR")).toBeUndefined();
  expect(currenciesOf([plan(1, 2), plan(3, 4)])).toEqual(["USD"]);
});
