// The plans that are for sale.
import type { Interval } from "~/domain/allowance";
import { toCredits } from "~/domain/credits";
import { asPlatform } from "../db";

export interface Plan {
  id: string;
  key: string;
  name: string;
  description: string;
  features: string[];
  credits: number;
  creditInterval: Interval;
  trialDays: number;
  trialCredits: number;
  prices: { id: string; interval: Interval; currency: string; unitAmount: number }[];
}

/** Public, active plans with their active prices, in the order of the plans page. @param currency only prices in it */
export async function listPlans(currency: string | null): Promise<Plan[]> {
  const rows = await asPlatform((tx) =>
    tx.subscriptionPlan.findMany({
      where: { active: true, isPublic: true },
      include: { prices: { where: { active: true, ...(currency === null ? {} : { currency }) } } },
      orderBy: [{ sortOrder: "asc" }, { key: "asc" }],
    }),
  );
  return rows.map((row) => ({
    id: row.id,
    key: row.key,
    name: row.name,
    description: row.description,
    features: row.features as string[],
    credits: toCredits(row.credits),
    creditInterval: row.creditInterval,
    trialDays: row.trialDays,
    trialCredits: toCredits(row.trialCredits),
    prices: row.prices
      .map((price) => ({
        id: price.id,
        interval: price.interval,
        currency: price.currency,
        unitAmount: Number(price.unitAmount),
      }))
      .sort((a, b) => a.currency.localeCompare(b.currency) || a.interval.localeCompare(b.interval)),
  }));
}
