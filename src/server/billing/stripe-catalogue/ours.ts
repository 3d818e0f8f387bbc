// Our side of a push: the catalogue as rows of what Stripe should have, and the ids that we know.
import { asPlatform, type Transaction } from "../../db";
import { enqueue } from "../../db/enqueue";

export interface OurPrice {
  id: string;
  /** The name under which the price is found; a successor takes it over. */
  lookupKey: string;
  currency: string;
  /** Minor units. */
  unitAmount: number;
  interval: "month" | "year" | null;
  /** For sale: it is active, and what it is the price of is too. */
  active: boolean;
  stripeId: string | null;
}

export interface OurProduct {
  noun: "plan" | "pack";
  id: string;
  /** Kept in the product's metadata. */
  key: string;
  name: string;
  description: string | null;
  active: boolean;
  /** Whether customers may change to it by themselves. */
  isPublic: boolean;
  stripeId: string | null;
  prices: OurPrice[];
}

export interface OurMeter {
  eventId: string;
  eventName: string;
  displayName: string;
  active: boolean;
  stripeId: string | null;
}

/** The account that the ids belong to; null before the first push. */
export interface KnownAccount {
  accountId: string;
  livemode: boolean;
  webhookEndpointId: string | null;
  portalConfigurationId: string | null;
}

export interface Ours {
  products: OurProduct[];
  meters: OurMeter[];
  account: KnownAccount | null;
}

export function loadOurs(): Promise<Ours> {
  return asPlatform(async (tx) => ({
    products: [...(await loadPlans(tx)), ...(await loadPacks(tx))],
    meters: await loadMeters(tx),
    account: await tx.stripeAccount.findUnique({ where: { id: 1 } }),
  }));
}

async function loadPlans(tx: Transaction): Promise<OurProduct[]> {
  const plans = await tx.subscriptionPlan.findMany({
    include: { prices: { orderBy: [{ createdAt: "asc" }, { id: "asc" }] } },
    orderBy: [{ sortOrder: "asc" }, { key: "asc" }],
  });
  return plans.map((plan) => ({
    noun: "plan",
    id: plan.id,
    key: `plan_${plan.key}`,
    name: plan.name,
    description: plan.description || null,
    active: plan.active,
    isPublic: plan.isPublic,
    stripeId: plan.stripeProductId,
    prices: plan.prices.map((price) => ({
      id: price.id,
      lookupKey: `billfold_plan_${plan.key}_${price.interval}_${price.currency}`,
      currency: price.currency,
      unitAmount: Number(price.unitAmount),
      interval: price.interval,
      active: price.active && plan.active,
      stripeId: price.stripePriceId,
    })),
  }));
}

async function loadPacks(tx: Transaction): Promise<OurProduct[]> {
  const packs = await tx.creditProduct.findMany({
    include: { prices: { orderBy: [{ createdAt: "asc" }, { id: "asc" }] } },
    orderBy: [{ sortOrder: "asc" }, { key: "asc" }],
  });
  return packs.map((pack) => ({
    noun: "pack",
    id: pack.id,
    key: `pack_${pack.key}`,
    name: pack.name,
    description: null,
    active: pack.active,
    isPublic: false,
    stripeId: pack.stripeProductId,
    prices: pack.prices.map((price) => ({
      id: price.id,
      lookupKey: `billfold_pack_${pack.key}_${price.currency}`,
      currency: price.currency,
      unitAmount: Number(price.unitAmount),
      interval: null,
      active: price.active && pack.active,
      stripeId: price.stripePriceId,
    })),
  }));
}

async function loadMeters(tx: Transaction): Promise<OurMeter[]> {
  const events = await tx.creditEvent.findMany({ orderBy: { name: "asc" } });
  return events.map((event) => ({
    eventId: event.id,
    eventName: event.name,
    // As long as Stripe takes it.
    displayName: (event.description || event.name).slice(0, 250),
    active: event.active,
    stripeId: event.stripeMeterId,
  }));
}

/** The same rows as if no id had ever been stored: those of another account are never followed. */
export function withoutIds(ours: Ours): Ours {
  return {
    account: null,
    products: ours.products.map((product) => ({
      ...product,
      stripeId: null,
      prices: product.prices.map((price) => ({ ...price, stripeId: null })),
    })),
    meters: ours.meters.map((meter) => ({ ...meter, stripeId: null })),
  };
}

/** Every id of the catalogue that is stored. */
export function idsOf({ products, meters }: Ours): string[] {
  const priced = products.flatMap((product) => [product.stripeId, ...product.prices.map((price) => price.stripeId)]);
  return [...priced, ...meters.map((meter) => meter.stripeId)].filter((id) => id !== null);
}

// ── Writing ids down ───────────────────────────────────────────────────────────────────────────────────────

export function saveProductId({ noun, id }: OurProduct, stripeProductId: string): Promise<unknown> {
  const change = { where: { id }, data: { stripeProductId } };
  return asPlatform((tx) =>
    noun === "plan"
      ? tx.subscriptionPlan.update({ ...change, select: { id: true } })
      : tx.creditProduct.update({ ...change, select: { id: true } }),
  );
}

export function savePriceId({ noun }: OurProduct, { id }: OurPrice, stripePriceId: string): Promise<unknown> {
  const change = { where: { id }, data: { stripePriceId } };
  return asPlatform(async (tx) => {
    if (noun === "plan") await tx.planPrice.update({ ...change, select: { id: true } });
    else await tx.creditProductPrice.update({ ...change, select: { id: true } });
    // Stripe may have told of what was bought at this price before we knew it.
    await enqueue(tx, "retry-quarantined-events", { customerId: null }, { key: "quarantine" });
  });
}

export function saveMeterId({ eventId }: OurMeter, stripeMeterId: string): Promise<unknown> {
  return asPlatform((tx) => tx.creditEvent.update({ where: { id: eventId }, data: { stripeMeterId } }));
}

/** Remembers whose the ids are, before the first of them is stored. Those of another account are forgotten. */
export function saveAccount(account: { accountId: string; livemode: boolean }, now: Date): Promise<void> {
  return asPlatform(async (tx) => {
    const known = await tx.stripeAccount.findUnique({ where: { id: 1 } });
    if (known?.accountId === account.accountId && known.livemode === account.livemode) return;
    if (known) await forgetIds(tx);
    const fresh = { ...account, webhookEndpointId: null, portalConfigurationId: null, syncedAt: now };
    await tx.stripeAccount.upsert({ where: { id: 1 }, create: { id: 1, ...fresh }, update: fresh });
  });
}

async function forgetIds(tx: Transaction): Promise<void> {
  await tx.subscriptionPlan.updateMany({ data: { stripeProductId: null } });
  await tx.planPrice.updateMany({ data: { stripePriceId: null } });
  await tx.creditProduct.updateMany({ data: { stripeProductId: null } });
  await tx.creditProductPrice.updateMany({ data: { stripePriceId: null } });
  await tx.creditEvent.updateMany({ data: { stripeMeterId: null } });
}

export function saveAccountPart(
  part: { webhookEndpointId: string } | { portalConfigurationId: string },
): Promise<unknown> {
  return asPlatform((tx) => tx.stripeAccount.update({ where: { id: 1 }, data: part }));
}
