// Who buys in the seed, and buying as a person does: through Stripe's pages.
import { listCreditProducts, openPackCheckout } from "~/server/billing/credit-products";
import { listPlans } from "~/server/billing/plans";
import { openSubscriptionCheckout } from "~/server/billing/subscription";
import { payCheckout, receiveEvents, setClock } from "./sandbox";

export interface Buying {
  organizationId: string;
  userId: string;
  email: string;
}

export interface ServiceKeys {
  production: string;
  staging: string;
  "batch-worker": string;
}

/** Subscribes at an instant, as if the owner paid on Stripe's page. */
export async function subscribe(buying: Buying, planKey: string, at: Date): Promise<void> {
  const plan = (await listPlans("usd")).find((candidate) => candidate.key === planKey);
  if (!plan) throw new Error(`no plan ${planKey}`);
  await setClock(at);
  const choice = { planId: plan.id, interval: "month" as const, currency: "usd" };
  const { url } = await openSubscriptionCheckout({ ...buying, now: at }, choice);
  await payCheckout(url);
  await receiveEvents();
}

export async function buyPack(buying: Buying, credits: number, at: Date): Promise<void> {
  const pack = (await listCreditProducts("usd")).find((candidate) => candidate.credits === credits);
  if (!pack) throw new Error(`no pack of ${credits}`);
  await setClock(at);
  const { url } = await openPackCheckout({ ...buying, now: at }, { productId: pack.id, currency: "usd" });
  await payCheckout(url);
  await receiveEvents();
}
