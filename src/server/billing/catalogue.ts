// What Stripe's prices are to us: the plan or pack behind an id.
import { type Credits, toCredits } from "~/domain/credits";
import type { PlanTerms } from "~/domain/prorations";
import { inOneExchange, Prisma } from "../db";

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

/** The item that is the plan; others are seats, add-ons and the like. Where several are plans, the first one. */
export function planItemOf<Item extends { stripePriceId: string }>(
  items: readonly Item[],
  plans: ReadonlyMap<string, unknown>,
): Item | null {
  return items.find(({ stripePriceId }) => plans.has(stripePriceId)) ?? null;
}

/** The plans behind Stripe prices, archived ones included: their subscribers keep them. */
export async function findPlansByStripePrice(stripePriceIds: readonly string[]): Promise<Map<string, CataloguePlan>> {
  type Row = Omit<CataloguePlan, "credits" | "trialCredits" | "unitAmount"> & Record<Amounts, string>;
  type Amounts = "credits" | "trialCredits" | "unitAmount";
  const [rows] = await inOneExchange<[Row]>(Prisma.sql`
    SELECT price.id AS "priceId", stripe_price_id AS "stripePriceId", price.interval, unit_amount AS "unitAmount", currency,
      plan.id AS "planId", key AS "planKey", name AS "planName", version AS "planVersion", credits, credit_interval AS "creditInterval",
      trial_credits AS "trialCredits"
    FROM plan_prices price JOIN subscription_plans plan ON plan.id = price.plan_id
    WHERE stripe_price_id = ANY(${[...new Set(stripePriceIds)]})`);
  return new Map(
    rows.map((row) => [
      row.stripePriceId,
      {
        ...row,
        unitAmount: Number(row.unitAmount),
        credits: toCredits(BigInt(row.credits)),
        trialCredits: toCredits(BigInt(row.trialCredits)),
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
  type Row = Omit<CataloguePack, "credits"> & { stripePriceId: string; credits: string };
  const [rows] = await inOneExchange<[Row]>(Prisma.sql`
    SELECT stripe_price_id AS "stripePriceId", price.id AS "priceId", product_id AS "productId", name, credits
    FROM credit_product_prices price JOIN credit_products product ON product.id = price.product_id
    WHERE stripe_price_id = ANY(${[...new Set(stripePriceIds)]})`);
  return new Map(
    rows.map(({ stripePriceId, credits, ...row }) => [stripePriceId, { ...row, credits: toCredits(BigInt(credits)) }]),
  );
}
