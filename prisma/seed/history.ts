// Months of an organization's life, day by day: it spends, buys packs, renews. All through the use-cases.
import { consumeCredits, expireLots, getBalance } from "~/server/billing/credits";
import { findSubscription } from "~/server/billing/subscription";
import { type Buying, buyPack, type ServiceKeys } from "./buying";
import { giveBackFailedAnswers, type Happening, thank } from "./happenings";
import { receiveEvents, setClock } from "./sandbox";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
// Renewal invoices stay drafts for an hour at Stripe.
const AFTER_RENEWAL_MS = 2 * HOUR_MS;
// Before anything is spent on a day. What is renewed at `RENEWS_AT_MS` of it has brought its credits by then.
const MORNING_MS = 7.2 * HOUR_MS;
const FIRST_TAKE_MS = 8 * HOUR_MS;
const BUY_BELOW = 4_500;

/** When to subscribe on a day, so that no day's takes come between a period's end and the next one's credits. */
export const RENEWS_AT_MS = 5 * HOUR_MS;

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

const MIX = [
  { eventName: "ai_inference", key: "batch-worker", project: "atlas", most: 11, share: 0.9 },
  { eventName: "ai_inference", key: "production", project: "fleet-console", most: 6, share: 0.35 },
  { eventName: "api_call_premium", key: "production", project: "fleet-console", most: 32, share: 0.95 },
  { eventName: "api_call_basic", key: "production", project: "storefront", most: 110, share: 1 },
  { eventName: "api_call_basic", key: "staging", project: null, most: 30, share: 0.5 },
  { eventName: "storage_gb_month", key: "production", project: "atlas", most: 9, share: 0.8 },
] as const;

/** What happens in every life, when it is long enough. */
const USUAL: readonly Happening[] = [
  { daysLeft: 9, happen: giveBackFailedAnswers },
  { daysLeft: 1, happen: thank },
];

/** Lives from one instant to another, a day at a time. */
export async function live(
  buying: Buying,
  keys: ServiceKeys,
  from: Date,
  until: Date,
  also: readonly Happening[] = [],
): Promise<void> {
  const { organizationId } = buying;
  const random = makeRandom(42);
  const total = until.getTime() - from.getTime();
  for (let day = new Date(from); day < until; day = new Date(day.getTime() + DAY_MS)) {
    // The last day may not have begun at work.
    if (day.getTime() + FIRST_TAKE_MS >= until.getTime()) break;
    const morning = new Date(day.getTime() + MORNING_MS);
    await renewIfDue(organizationId, morning);
    await expireLots(organizationId, morning);
    const { available } = await getBalance(organizationId, morning);
    if (available < BUY_BELOW)
      await buyPack(buying, random() < 0.25 ? 2_500 : 10_000, new Date(day.getTime() + 7.4 * HOUR_MS));
    const daysLeft = Math.floor((until.getTime() - day.getTime()) / DAY_MS);
    for (const one of [...also, ...USUAL]) {
      if (one.daysLeft === daysLeft) await one.happen(buying, keys, new Date(day.getTime() + 7.5 * HOUR_MS));
    }
    const weekend = day.getUTCDay() === 0 || day.getUTCDay() === 6;
    const growth = 0.65 + (0.55 * (day.getTime() - from.getTime())) / total;
    let hours = FIRST_TAKE_MS / HOUR_MS;
    for (const [index, { eventName, key, project, most, share }] of MIX.entries()) {
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
        project,
        now: at,
      });
    }
  }
}

async function renewIfDue(organizationId: string, now: Date): Promise<void> {
  const subscription = await findSubscription(organizationId, now);
  if (!subscription || subscription.currentPeriodEnd.getTime() + AFTER_RENEWAL_MS > now.getTime()) return;
  await setClock(now);
  await receiveEvents();
}
