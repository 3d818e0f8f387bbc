// Puts the catalogue into a Stripe account: products, prices, meters, the portal's configuration and the webhook endpoint.
// First what both sides have is loaded and compared, which gives a plan; then the plan is applied, in order. A push that was
// cut off is made good by the next one: what is there is found again by ids and keys of ours. `stripe-catalogue/*` has the nouns.
import { now } from "../clock";
import { isLiveMode, type Stripe, stripeForJobs } from "../stripe";
import { countLeftBehind, type LeftBehind, requireSameAccount } from "./stripe-catalogue/account";
import type { Change, ChangeAction, ChangeKind } from "./stripe-catalogue/changes";
import { planEndpoint, type WantedEndpoint } from "./stripe-catalogue/endpoint";
import { planMeter } from "./stripe-catalogue/meters";
import { loadOurs, saveAccount, withoutIds } from "./stripe-catalogue/ours";
import { planPortal } from "./stripe-catalogue/portal";
import { planPrices } from "./stripe-catalogue/prices";
import { planProduct } from "./stripe-catalogue/products";
import { loadTheirs } from "./stripe-catalogue/theirs";

export { type EndpointSecret, ensureWebhookEndpoint } from "./stripe-catalogue/endpoint";
export type { Change, ChangeAction, ChangeKind };

export interface PushOptions {
  stripe?: Stripe;
  /** Left out: endpoints are not looked at. */
  endpoint?: WantedEndpoint;
  /** Also a meter for each credit event. */
  meters?: boolean;
  /** Forgets the ids of another account or mode, and finds or makes everything in this one. */
  adopt?: boolean;
}

export interface PushPlan {
  accountId: string;
  livemode: boolean;
  /** In the order in which they are applied, those that change nothing included. */
  changes: Change[];
  /** Set where another account is left behind. */
  leavesBehind: LeftBehind | null;
}

/**
 * What a push would do. Reads only.
 * @throws BillingError INVALID_INPUT where the stored ids are another account's or mode's, STRIPE_UNAVAILABLE
 */
export async function planPush(options: PushOptions = {}): Promise<PushPlan> {
  const { stripe = stripeForJobs(), endpoint, adopt = false } = options;
  const livemode = isLiveMode();
  const kinds = new Set<ChangeKind>(["product", "price", "portal_configuration"]);
  if (options.meters) kinds.add("meter");
  if (endpoint) kinds.add("webhook_endpoint");
  const [stored, theirs] = await Promise.all([loadOurs(), loadTheirs(stripe, kinds)]);
  const { account } = stored;
  const isAnother = account !== null && (account.accountId !== theirs.accountId || account.livemode !== livemode);
  if (!adopt) requireSameAccount(stored, theirs, livemode);
  const ours = adopt && (isAnother || account === null) ? withoutIds(stored) : stored;

  const productIds = new Map<string, string>();
  const priceIds = new Map<string, string>();
  const products = ours.products.map((product) => planProduct(stripe, product, theirs.products, productIds));
  const side = { stripe, products: theirs.products, prices: theirs.prices, productIds };
  const changes = products.filter((change) => change !== null);
  changes.push(...planPrices(ours.products, side, priceIds));
  if (options.meters) changes.push(...ours.meters.flatMap((meter) => planMeter(stripe, meter, theirs.meters)));
  changes.push(planPortal(stripe, ours, theirs.portals, { products: productIds, prices: priceIds }));
  const known = ours.account?.webhookEndpointId ?? null;
  if (endpoint) changes.push(...planEndpoint(stripe, endpoint, known, theirs.endpoints));
  const leavesBehind = adopt && isAnother ? await countLeftBehind() : null;
  return { accountId: theirs.accountId, livemode, changes, leavesBehind };
}

/** What of a plan changes anything. */
export function changesOf(plan: PushPlan): Change[] {
  return plan.changes.filter((change) => change.action !== "keep");
}

/**
 * Applies a plan, in order.
 * @param onDone told of each change when it is made
 * @throws BillingError STRIPE_UNAVAILABLE, STRIPE_REFUSED; what was applied stays, and the next plan goes on from there
 */
export async function applyPush(plan: PushPlan, onDone: (change: Change) => void = () => {}): Promise<void> {
  const changes = changesOf(plan);
  if (changes.length === 0) return;
  await saveAccount({ accountId: plan.accountId, livemode: plan.livemode }, now());
  for (const change of changes) {
    await change.apply();
    onDone(change);
  }
}

/** Puts products, prices and the portal's configuration into Stripe. @returns what was changed; empty when all was there */
export async function pushCatalogue(): Promise<Change[]> {
  const plan = await planPush();
  await applyPush(plan);
  return changesOf(plan);
}
