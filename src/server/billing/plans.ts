// The plans that are for sale, and editing them. An edit changes the future only: subscribers keep the price they have, and the
// ledger keeps what each transaction was made under.
import type { Interval } from "~/domain/allowance";
import { toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { recordAction } from "./alerts";

export interface Plan {
  id: string;
  key: string;
  name: string;
  description: string;
  features: string[];
  credits: number;
  creditInterval: Interval;
  trialDays: number;
  trialCredits: number;
  prices: { id: string; interval: Interval; currency: string; unitAmount: number }[];
}

/** Public, active plans with their active prices, in the order of the plans page. @param currency only prices in it */
export async function listPlans(currency: string | null): Promise<Plan[]> {
  const rows = await asPlatform((tx) =>
    tx.subscriptionPlan.findMany({
      where: { active: true, isPublic: true },
      include: { prices: { where: { active: true, ...(currency === null ? {} : { currency }) } } },
      orderBy: [{ sortOrder: "asc" }, { key: "asc" }],
    }),
  );
  return rows.map((row) => ({
    id: row.id,
    key: row.key,
    name: row.name,
    description: row.description,
    features: row.features as string[],
    credits: toCredits(row.credits),
    creditInterval: row.creditInterval,
    trialDays: row.trialDays,
    trialCredits: toCredits(row.trialCredits),
    prices: row.prices
      .map((price) => ({
        id: price.id,
        interval: price.interval,
        currency: price.currency,
        unitAmount: Number(price.unitAmount),
      }))
      .sort((a, b) => a.currency.localeCompare(b.currency) || a.interval.localeCompare(b.interval)),
  }));
}

interface Edit {
  planId: string;
  actor: string;
  now: Date;
}

export interface EditedPlan {
  planId: string;
  /** Raised by each edit that changes something. */
  version: number;
  changed: boolean;
}

/**
 * Gives a plan another price for new subscriptions. The row before it stays, for its subscribers, and is not sold any more.
 * @param change.unitAmount in the currency's minor unit
 * @throws BillingError NOT_FOUND
 */
export function changePlanPrice(
  change: Edit & { interval: Interval; currency: string; unitAmount: number },
): Promise<EditedPlan & { priceId: string }> {
  const { planId, interval, currency, unitAmount, now } = change;
  return edit(change, async (tx, plan) => {
    const same = { planId, interval, currency, active: true };
    const before = await tx.planPrice.findFirst({ where: same });
    if (before && Number(before.unitAmount) === unitAmount) return { message: null, priceId: before.id };
    const priceId = newId(now);
    await tx.planPrice.updateMany({ where: same, data: { active: false } });
    await tx.planPrice.create({
      data: { id: priceId, planId, interval, currency, unitAmount: BigInt(unitAmount), createdAt: now },
    });
    const from = before ? ` instead of ${before.unitAmount}` : "";
    return { message: `${plan.name} costs ${unitAmount} ${currency} a ${interval}${from}.`, priceId };
  });
}

/** Offers a plan, or no more. Its subscribers keep it. @throws BillingError NOT_FOUND */
export function setPlanActive(change: Edit & { active: boolean }): Promise<EditedPlan> {
  return edit(change, async (tx, plan) => {
    if (plan.active === change.active) return { message: null };
    await tx.subscriptionPlan.update({ where: { id: plan.id }, data: { active: change.active } });
    return { message: `${plan.name} is ${change.active ? "" : "not "}for sale.` };
  });
}

/** One edit after the other: raises the version, and keeps who did what. */
function edit<T extends { message: string | null }>(
  { planId, actor, now }: Edit,
  work: (tx: Transaction, plan: { id: string; name: string; active: boolean }) => Promise<T>,
): Promise<EditedPlan & Omit<T, "message">> {
  return asPlatform(async (tx) => {
    await tx.$queryRaw`SELECT id FROM subscription_plans WHERE id = ${planId}::uuid FOR UPDATE`;
    const plan = await tx.subscriptionPlan.findUnique({ where: { id: planId } });
    if (!plan) throw new BillingError("NOT_FOUND", "There is no such plan.", { planId });
    const { message, ...result } = await work(tx, plan);
    if (message === null) return { planId, version: plan.version, changed: false, ...result };
    const version = plan.version + 1;
    await tx.subscriptionPlan.update({ where: { id: planId }, data: { version, updatedAt: now } });
    const details = { actor, version };
    await recordAction(tx, { organizationId: null, kind: "plan_changed", subject: planId, message, details }, now);
    return { planId, version, changed: true, ...result };
  });
}
