// Puts our catalogue into Stripe: a product for each plan and pack, a price for each of ours, and keeps their ids.
// Doing it again changes nothing: what has an id is left alone, and each object is found again by a key of ours.
import { asPlatform } from "../db";
import { callStripe, expectObject, stripeForJobs } from "../stripe";

export interface PushedObject {
  kind: "product" | "price";
  name: string;
  stripeId: string;
}

/** @returns what was made in Stripe; empty when everything was there */
export async function pushCatalogue(): Promise<PushedObject[]> {
  const pushed: PushedObject[] = [];
  const plans = await asPlatform((tx) =>
    tx.subscriptionPlan.findMany({
      where: { active: true },
      include: { prices: { where: { active: true } } },
      orderBy: { sortOrder: "asc" },
    }),
  );
  for (const plan of plans) {
    const product =
      plan.stripeProductId ?? (await makeProduct(`plan_${plan.key}`, plan.name, plan.description, pushed));
    await asPlatform((tx) =>
      tx.subscriptionPlan.update({ where: { id: plan.id }, data: { stripeProductId: product } }),
    );
    for (const price of plan.prices) {
      if (price.stripePriceId) continue;
      const stripePriceId = await makePrice(
        {
          product,
          lookupKey: `billfold_plan_${plan.key}_${price.interval}_${price.currency}`,
          ownId: price.id,
          currency: price.currency,
          unitAmount: Number(price.unitAmount),
          interval: price.interval,
        },
        pushed,
      );
      await asPlatform((tx) => tx.planPrice.update({ where: { id: price.id }, data: { stripePriceId } }));
    }
  }
  const packs = await asPlatform((tx) =>
    tx.creditProduct.findMany({
      where: { active: true },
      include: { prices: { where: { active: true } } },
      orderBy: { sortOrder: "asc" },
    }),
  );
  for (const pack of packs) {
    const product = pack.stripeProductId ?? (await makeProduct(`pack_${pack.key}`, pack.name, null, pushed));
    await asPlatform((tx) => tx.creditProduct.update({ where: { id: pack.id }, data: { stripeProductId: product } }));
    for (const price of pack.prices) {
      if (price.stripePriceId) continue;
      const stripePriceId = await makePrice(
        {
          product,
          lookupKey: `billfold_pack_${pack.key}_${price.currency}`,
          ownId: price.id,
          currency: price.currency,
          unitAmount: Number(price.unitAmount),
          interval: null,
        },
        pushed,
      );
      await asPlatform((tx) => tx.creditProductPrice.update({ where: { id: price.id }, data: { stripePriceId } }));
    }
  }
  return pushed;
}

async function makeProduct(
  key: string,
  name: string,
  description: string | null,
  pushed: PushedObject[],
): Promise<string> {
  const product = await callStripe(async () =>
    expectObject(
      "product",
      await stripeForJobs().products.create(
        { name, metadata: { billfoldKey: key }, ...(description ? { description } : {}) },
        { idempotencyKey: `billfold:product:${key}` },
      ),
    ),
  );
  pushed.push({ kind: "product", name, stripeId: product.id });
  return product.id;
}

interface WantedPrice {
  product: string;
  lookupKey: string;
  ownId: string;
  currency: string;
  /** Minor units. */
  unitAmount: number;
  interval: "month" | "year" | null;
}

async function makePrice(wanted: WantedPrice, pushed: PushedObject[]): Promise<string> {
  const { product, lookupKey, ownId, currency, unitAmount, interval } = wanted;
  const price = await callStripe(async () =>
    expectObject(
      "price",
      await stripeForJobs().prices.create(
        {
          product,
          currency,
          unit_amount: unitAmount,
          // A replaced price gives its name to its successor; subscribers of the old one keep it.
          lookup_key: lookupKey,
          transfer_lookup_key: true,
          metadata: { billfoldId: ownId },
          ...(interval ? { recurring: { interval } } : {}),
        },
        { idempotencyKey: `billfold:price:${ownId}` },
      ),
    ),
  );
  pushed.push({ kind: "price", name: lookupKey, stripeId: price.id });
  return price.id;
}
