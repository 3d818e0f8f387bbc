// Months of an organization's life, day by day: it subscribes, spends, buys packs, renews. All through the use-cases.
import { toCredits } from "~/domain/credits";
import { listCreditProducts, openPackCheckout } from "~/server/billing/credit-products";
import { consumeCredits, expireLots, getBalance, grantCredits } from "~/server/billing/credits";
import { listPlans } from "~/server/billing/plans";
import { findSubscription, openSubscriptionCheckout } from "~/server/billing/subscription";
import { payCheckout, receiveEvents, setClock } from "./sandbox";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
// Renewal invoices stay drafts for an hour at Stripe.
const AFTER_RENEWAL_MS = 2 * HOUR_MS;
const BUY_BELOW = 4_500;

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

/** Numbers that look like chance and are the same each time. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
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

async function buyPack(buying: Buying, credits: number, at: Date): Promise<void> {
  const pack = (await listCreditProducts("usd")).find((candidate) => candidate.credits === credits);
  if (!pack) throw new Error(`no pack of ${credits}`);
  await setClock(at);
  const { url } = await openPackCheckout({ ...buying, now: at }, { productId: pack.id, currency: "usd" });
  await payCheckout(url);
  await receiveEvents();
}

const MIX = [
  { eventName: "ai_inference", key: "batch-worker", most: 11, share: 0.9 },
  { eventName: "ai_inference", key: "production", most: 6, share: 0.35 },
  { eventName: "api_call_premium", key: "production", most: 32, share: 0.95 },
  { eventName: "api_call_basic", key: "production", most: 110, share: 1 },
  { eventName: "api_call_basic", key: "staging", most: 30, share: 0.5 },
  { eventName: "storage_gb_month", key: "production", most: 9, share: 0.8 },
] as const;

/** Lives from one instant to another, a day at a time. */
export async function live(buying: Buying, keys: ServiceKeys, from: Date, until: Date): Promise<void> {
  const { organizationId } = buying;
  const random = makeRandom(42);
  let thanked = false;
  const total = until.getTime() - from.getTime();
  for (let day = new Date(from); day < until; day = new Date(day.getTime() + DAY_MS)) {
    await renewIfDue(organizationId, day);
    await expireLots(organizationId, day);
    const { available } = await getBalance(organizationId, day);
    if (available < BUY_BELOW)
      await buyPack(buying, random() < 0.25 ? 2_500 : 10_000, new Date(day.getTime() + 7.4 * HOUR_MS));
    if (until.getTime() - day.getTime() < 2 * DAY_MS && !thanked) {
      await thank(organizationId, new Date(day.getTime() + 7 * HOUR_MS));
      thanked = true;
    }
    const weekend = day.getUTCDay() === 0 || day.getUTCDay() === 6;
    const growth = 0.65 + (0.55 * (day.getTime() - from.getTime())) / total;
    let hours = 8;
    for (const [index, { eventName, key, most, share }] of MIX.entries()) {
      hours += 0.4 + random() * 1.6;
      const at = new Date(day.getTime() + hours * HOUR_MS);
      if (random() > share || at >= until) continue;
      const quantity = Math.max(1, Math.round(most * growth * (0.45 + 0.75 * random()) * (weekend ? 0.4 : 1)));
      await consumeCredits({
        organizationId,
        eventName,
        quantity,
        idempotencyKey: `${day.toISOString().slice(0, 10)}-${index}`,
        metadata: key === "batch-worker" ? { model: "vision-2", job: "nightly-relabel" } : { service: "gateway" },
        actor: `key:${keys[key]}`,
        apiKeyId: keys[key],
        now: at,
      });
    }
  }
}

async function thank(organizationId: string, at: Date): Promise<void> {
  await grantCredits({
    organizationId,
    amount: toCredits(250),
    source: "promotion",
    expiresAt: new Date(at.getTime() + 21 * DAY_MS),
    reason: "Thanks for a bug report",
    idempotencyKey: "thanks-for-a-bug-report",
    actor: "billfold",
    now: at,
  });
}

async function renewIfDue(organizationId: string, now: Date): Promise<void> {
  const subscription = await findSubscription(organizationId);
  if (!subscription || subscription.currentPeriodEnd.getTime() + AFTER_RENEWAL_MS > now.getTime()) return;
  await setClock(now);
  await receiveEvents();
}
