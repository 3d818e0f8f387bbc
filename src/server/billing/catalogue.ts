// What Stripe's prices are to us: the plan or pack behind an id, as it is today and as it was before it was edited.
import type { Interval } from "~/domain/allowance";
import { type Credits, toCredits } from "~/domain/credits";
import type { PlanTerms } from "~/domain/prorations";
import { inOneExchange, Prisma } from "../db";

/** What an item of the catalogue gave before edits, the oldest first. */
interface Edited<Terms> {
  earlier: readonly { until: Date; terms: Terms }[];
}

/** What an edit of a plan alters of what its price buys. */
interface GivenByPlan extends Pick<PlanTerms, "creditInterval"> {
  planVersion: number;
  credits: Credits;
  trialCredits: Credits;
}

export interface CataloguePlan extends PlanTerms, GivenByPlan, Edited<GivenByPlan> {
  priceId: string;
  stripePriceId: string;
  planId: string;
  planKey: string;
  planName: string;
  credits: Credits;
}

/**
 * An item of the catalogue with the terms of an instant: an edit changes what is sold from then on, and what was sold before is
 * granted as it was, whenever we hear of it. Its name and price are today's.
 */
export function asOf<Item extends Edited<object>>(item: Item, at: Date): Item {
  const held = item.earlier.find(({ until }) => until > at);
  return held ? { ...item, ...held.terms } : item;
}

/** The same of several, by Stripe price. */
export function allAsOf<Item extends Edited<object>>(items: ReadonlyMap<string, Item>, at: Date): Map<string, Item> {
  return new Map([...items].map(([stripePriceId, item]) => [stripePriceId, asOf(item, at)]));
}

/** The item that is the plan; others are seats, add-ons and the like. Where several are plans, the first one. */
export function planItemOf<Item extends { stripePriceId: string }>(
  items: readonly Item[],
  plans: ReadonlyMap<string, unknown>,
): Item | null {
  return items.find(({ stripePriceId }) => plans.has(stripePriceId)) ?? null;
}

/** The plans behind Stripe prices as they are today, archived ones included: their subscribers keep them. */
export async function findPlansByStripePrice(stripePriceIds: readonly string[]): Promise<Map<string, CataloguePlan>> {
  type Amounts = "credits" | "trialCredits" | "unitAmount";
  type Earlier = { until: string; version: number; credits: string; creditInterval: Interval; trialCredits: string };
  type Row = Omit<CataloguePlan, Amounts | "earlier"> & Record<Amounts, string> & { earlier: Earlier[] };
  const [rows] = await inOneExchange<[Row]>(Prisma.sql`
    SELECT price.id AS "priceId", stripe_price_id AS "stripePriceId", price.interval, unit_amount AS "unitAmount", currency,
      plan.id AS "planId", key AS "planKey", name AS "planName", version AS "planVersion", credits, credit_interval AS "creditInterval",
      trial_credits AS "trialCredits", ARRAY(
        SELECT json_build_object('until', held_until, 'version', v.version, 'credits', v.credits::text,
          'creditInterval', v.credit_interval, 'trialCredits', v.trial_credits::text)
        FROM subscription_plan_versions v WHERE v.plan_id = plan.id ORDER BY held_until) AS earlier
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
        earlier: row.earlier.map(({ until, version, credits, creditInterval, trialCredits }) => ({
          until: new Date(until),
          terms: {
            planVersion: version,
            credits: toCredits(BigInt(credits)),
            creditInterval,
            trialCredits: toCredits(BigInt(trialCredits)),
          },
        })),
      },
    ]),
  );
}

export interface CataloguePack extends Edited<{ credits: Credits }> {
  priceId: string;
  productId: string;
  name: string;
  credits: Credits;
}

/** The packs behind Stripe prices as they are today; prices that are none of ours have none. */
export async function findPacksByStripePrice(stripePriceIds: readonly string[]): Promise<Map<string, CataloguePack>> {
  if (stripePriceIds.length === 0) return new Map();
  type Earlier = { until: string; credits: string };
  type Row = Omit<CataloguePack, "credits" | "earlier"> & {
    stripePriceId: string;
    credits: string;
    earlier: Earlier[];
  };
  const [rows] = await inOneExchange<[Row]>(Prisma.sql`
    SELECT stripe_price_id AS "stripePriceId", price.id AS "priceId", product_id AS "productId", name, credits, ARRAY(
        SELECT json_build_object('until', held_until, 'credits', v.credits::text)
        FROM credit_product_versions v WHERE v.product_id = product.id ORDER BY held_until) AS earlier
    FROM credit_product_prices price JOIN credit_products product ON product.id = price.product_id
    WHERE stripe_price_id = ANY(${[...new Set(stripePriceIds)]})`);
  return new Map(
    rows.map(({ stripePriceId, ...row }) => [
      stripePriceId,
      {
        ...row,
        credits: toCredits(BigInt(row.credits)),
        earlier: row.earlier.map(({ until, credits }) => ({
          until: new Date(until),
          terms: { credits: toCredits(BigInt(credits)) },
        })),
      },
    ]),
  );
}
