// What Stripe's prices are to us: the plan or pack behind an id.
import type { Interval } from "~/domain/allowance";
import { type Credits, toCredits } from "~/domain/credits";
import { asPlatform } from "../db";

export interface CataloguePlan {
  priceId: string;
  stripePriceId: string;
  interval: Interval;
  planId: string;
  planKey: string;
  planName: string;
  planVersion: number;
  credits: Credits;
  creditInterval: Interval;
  trialCredits: Credits;
}

/** The plans behind Stripe prices, archived ones included: their subscribers keep them. */
export async function findPlansByStripePrice(stripePriceIds: readonly string[]): Promise<Map<string, CataloguePlan>> {
  const rows = await asPlatform((tx) =>
    tx.planPrice.findMany({ where: { stripePriceId: { in: [...stripePriceIds] } }, include: { plan: true } }),
  );
  return new Map(
    rows.map((row) => [
      row.stripePriceId ?? "",
      {
        priceId: row.id,
        stripePriceId: row.stripePriceId ?? "",
        interval: row.interval,
        planId: row.planId,
        planKey: row.plan.key,
        planName: row.plan.name,
        planVersion: row.plan.version,
        credits: toCredits(row.plan.credits),
        creditInterval: row.plan.creditInterval,
        trialCredits: toCredits(row.plan.trialCredits),
      },
    ]),
  );
}

export interface CataloguePack {
  priceId: string;
  productId: string;
  name: string;
  credits: Credits;
}

/** The pack behind a Stripe price; null for a price that is none of ours. */
export async function findPackByStripePrice(stripePriceIds: readonly string[]): Promise<CataloguePack | null> {
  const row = await asPlatform((tx) =>
    tx.creditProductPrice.findFirst({
      where: { stripePriceId: { in: [...stripePriceIds] } },
      include: { product: true },
    }),
  );
  if (!row) return null;
  return { priceId: row.id, productId: row.productId, name: row.product.name, credits: toCredits(row.product.credits) };
}
