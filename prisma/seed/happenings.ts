// What happens once in an organization's life: a pack refunded in part, answers given back, thanks, budgets, running work,
// credits for others. All through the use-cases; the everyday is in `history.ts`.
import { toCredits } from "~/domain/credits";
import { createBudget } from "~/server/billing/budgets";
import { consumeCredits, grantCredits } from "~/server/billing/credits";
import { createGift } from "~/server/billing/gifts";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { reverseConsumption } from "~/server/billing/reversals";
import { transferCredits } from "~/server/billing/transfers";
import { asPlatform } from "~/server/db";
import { stripeForJobs } from "~/server/stripe";
import { type Buying, buyPack, type ServiceKeys } from "./buying";
import { receiveEvents, setClock } from "./sandbox";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const LEASE_SECONDS = 24 * 60 * 60;

export interface Happening {
  /** Whole days before the end of the life. */
  daysLeft: number;
  happen: (buying: Buying, keys: ServiceKeys, at: Date) => Promise<void>;
}

/** A pack too many: two fifths of it are refunded a few hours later. */
export async function refundPart(buying: Buying, _: ServiceKeys, at: Date): Promise<void> {
  const { organizationId } = buying;
  await buyPack(buying, 2_500, at);
  const pack = await asPlatform((tx) =>
    tx.creditGrant.findFirstOrThrow({
      where: { organizationId, source: "purchase", amount: 2_500n },
      orderBy: { createdAt: "desc" },
      select: { stripePaymentId: true },
    }),
  );
  const paymentId = pack.stripePaymentId ?? "";
  const stripe = stripeForJobs();
  const { amount } = await stripe.paymentIntents.retrieve(paymentId);
  await setClock(new Date(at.getTime() + 6 * HOUR_MS));
  await stripe.refunds.create(
    { payment_intent: paymentId, amount: Math.ceil((amount * 2) / 5), reason: "requested_by_customer" },
    { idempotencyKey: "a-pack-too-many" },
  );
  await receiveEvents();
}

/** Some answers of a model were broken: their part of the take is given back. */
export async function giveBackFailedAnswers({ organizationId }: Buying, keys: ServiceKeys, at: Date): Promise<void> {
  const apiKeyId = keys["batch-worker"];
  const actor = `key:${apiKeyId}`;
  const { transactionId } = await consumeCredits({
    organizationId,
    eventName: "ai_inference",
    quantity: 12,
    idempotencyKey: "relabel-dock-7",
    metadata: { model: "vision-2", job: "relabel-dock-7" },
    project: "atlas",
    actor,
    apiKeyId,
    now: at,
  });
  await reverseConsumption({
    organizationId,
    transactionId,
    amount: toCredits(125),
    reason: "5 of 12 answers came back empty",
    idempotencyKey: "relabel-dock-7-empty",
    actor,
    now: new Date(at.getTime() + HOUR_MS / 2),
  });
}

export async function thank({ organizationId }: Buying, _: ServiceKeys, at: Date): Promise<void> {
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

/** Limits far enough above what is spent that nothing of the life is refused. @param memberId a developer */
export function setBudgets(memberId: string): Happening["happen"] {
  return async ({ organizationId, userId }, keys, now) => {
    const by = { organizationId, actor: `user:${userId}`, now };
    await createBudget({ ...by, scope: "api_key", subject: keys.staging, window: "month", limit: 500 });
    await createBudget({ ...by, scope: "project", subject: "atlas", window: "month", limit: 10_000 });
    await createBudget({ ...by, scope: "member", subject: memberId, window: "total", limit: 1_000 });
  };
}

/** Work that runs at this moment, and has used a part of what it holds. @param memberId whom some of it is for */
export async function startWork(
  { organizationId }: Buying,
  keys: ServiceKeys,
  memberId: string,
  now: Date,
): Promise<void> {
  const as = (key: keyof ServiceKeys) => ({ organizationId, actor: `key:${keys[key]}`, apiKeyId: keys[key] });
  const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000);
  const batch = as("batch-worker");
  const { holdId } = await holdCredits({
    ...batch,
    amount: toCredits(800),
    leaseSeconds: LEASE_SECONDS,
    eventName: "ai_inference",
    project: "atlas",
    idempotencyKey: "relabel-hall-2",
    metadata: { model: "vision-2", job: "relabel-hall-2" },
    now: minutesAgo(47),
  });
  for (const [part, quantity] of [6, 5].entries()) {
    await captureHold({
      ...batch,
      holdId,
      used: { quantity, eventName: null },
      idempotencyKey: `relabel-hall-2-${part}`,
      release: false,
      now: minutesAgo(30 - 12 * part),
    });
  }
  await holdCredits({
    ...as("production"),
    amount: toCredits(150),
    leaseSeconds: LEASE_SECONDS,
    eventName: "api_call_premium",
    memberId,
    idempotencyKey: "console-session-8841",
    metadata: { service: "console" },
    now: minutesAgo(9),
  });
}

/** Credits for a sister organization, and a gift that nobody has claimed yet. */
export async function giveAway({ organizationId, userId }: Buying, toOrganizationId: string, now: Date): Promise<void> {
  const by = { organizationId, actor: `user:${userId}`, apiKeyId: null, now };
  await transferCredits({
    ...by,
    toOrganizationId,
    amount: toCredits(400),
    reason: "for the pilot",
    idempotencyKey: "halden-pilot",
  });
  await createGift({
    ...by,
    amount: toCredits(200),
    message: "Thank you for testing Atlas",
    expiresAt: null,
    idempotencyKey: "atlas-testers",
  });
}
