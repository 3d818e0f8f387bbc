// What Stripe's prices are to us: the plan or pack behind an id.
import { type Credits, toCredits } from "~/domain/credits";
import type { PlanTerms } from "~/domain/prorations";
import { asPlatform } from "../db";

export interface CataloguePlan extends PlanTerms {
  priceId: string;
  stripePriceId: string;
  planId: string;
  planKey: string;
  planName: string;
  planVersion: number;
  credits: Credits;
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
        unitAmount: Number(row.unitAmount),
        currency: row.currency,
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

/** The packs behind Stripe prices; prices that are none of ours have none. */
export async function findPacksByStripePrice(stripePriceIds: readonly string[]): Promise<Map<string, CataloguePack>> {
  const rows = await asPlatform((tx) =>
    tx.creditProductPrice.findMany({
      where: { stripePriceId: { in: [...stripePriceIds] } },
      include: { product: true },
    }),
  );
  return new Map(
    rows.map((row) => [
      row.stripePriceId ?? "",
      {
        priceId: row.id,
        productId: row.productId,
        name: row.product.name,
        credits: toCredits(row.product.credits),
      },
    ]),
  );
}
