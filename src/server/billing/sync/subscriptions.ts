// A subscription's row: its plan, status and period, what is owed and to come, and each change with its cause.
import {
  cancelsAt,
  isEnded,
  isExpectedTransition,
  isLive,
  type SubscriptionStatus,
  statusFromStripe,
} from "~/domain/subscription";
import { Prisma, type Transaction } from "../../db";
import { newId } from "../../db/keys";
import type { SubscriptionFacts } from "../../stripe/facts";
import { type AlertKind, raiseAlert, resolveAlert } from "../alerts";
import { type AllowanceState, stopAllowances } from "../allowances";
import { asOf, type CataloguePlan, planItemOf } from "../catalogue";
import { settleDunning, tellOfUnpaidEnd } from "../dunning";
import { giveTrial, settleTrial } from "../trials";
import type { OpenInvoice } from "./overdue";
import { findRival, wasAlwaysSecond } from "./rivals";
import { quarantined, type SyncResult, type SyncRun, told } from "./run";
import { type NextInvoice, pendingChangeOf, scheduledChangeOf } from "./upcoming";

type Plans = Map<string, CataloguePlan>;

/** What was found out at Stripe beside the subscription itself. */
export interface Circumstances {
  nextInvoice: NextInvoice | null | undefined;
  openInvoice: OpenInvoice | null;
  pastDueSince: Date | null;
  /** The newest invoice, by which Stripe says whether anything is overdue, was voided or given up. */
  isWaived: boolean;
}

export interface SavedSubscription {
  result: SyncResult;
  /** Its paid periods and its trial give credits: it is the organization's one live subscription, or was, or will be. */
  entitles: boolean;
  /** It was live and has ended. */
  hasEnded: boolean;
  /** What the slices that are still to come depend on; null where the plan is not known. */
  allowances: AllowanceState | null;
}

export async function saveSubscription(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Plans,
  circumstances: Circumstances,
): Promise<SavedSubscription> {
  const { organizationId } = run.lock;
  const refused = (result: SyncResult): SavedSubscription => ({
    result,
    entitles: false,
    hasEnded: false,
    allowances: null,
  });
  await keepTrial(tx, organizationId, facts);
  const before = await tx.organizationSubscription.findUnique({ where: { stripeSubscriptionId: facts.id } });
  const item = planItemOf(facts.items, plans);
  const plan = (item && plans.get(item.stripePriceId)) ?? null;
  const over: AlertKind[] = [];
  if (!plan) await tellOfUnknownPrice(tx, run, facts);
  else over.push("unknown_price");
  if (!plan && !before) return refused(quarantined("no item is a plan that we know; an alert is open"));

  const known = statusFromStripe(facts);
  if (known === null) await tellOfUnknownStatus(tx, run, facts);
  else over.push("unknown_status");
  const status: SubscriptionStatus = known ?? before?.status ?? "pending";
  const rival = isLive(status) ? await findRival(tx, organizationId, facts.id) : null;
  if (!rival && (known !== null || before)) over.push("second_subscription");
  await resolveAlert(tx, organizationId, over, facts.id, run.now);
  if (known === null && !before) return refused(told(`status ${facts.status} is not known; an alert is open`));
  if (rival) {
    await tellOfSecond(tx, run, facts, rival.stripeSubscriptionId, plan);
    return refused(told("a second live subscription; an alert is open"));
  }
  const unused = isEnded(status) && (await wasAlwaysSecond(tx, organizationId, facts));
  if (unused && !before) return refused(told("a second subscription, which has ended and was never used"));
  if (before && !isExpectedTransition(before.status, status)) {
    const alert = {
      organizationId,
      kind: "unexpected_transition" as const,
      subject: `${facts.id}:${before.status}:${status}`,
      message: `The subscription went from ${before.status} to ${status}, which is not expected.`,
    };
    await raiseAlert(tx, alert, run.now);
  }
  // Of a price that we do not know we follow everything but the plan.
  const shown = item ?? facts.items.find(({ id }) => id === before?.stripeItemId) ?? facts.items[0] ?? null;
  const price = plan ?? (before && { planId: before.planId, priceId: before.priceId, interval: before.interval });
  if (!shown || !price) return refused(quarantined("no item is a plan that we know; an alert is open"));
  const row = {
    ...rowOf(facts, status, shown, plans, price.priceId),
    ...circumstancesOf(circumstances, status),
    planId: price.planId,
    priceId: price.priceId,
    interval: price.interval,
    syncedAt: run.now,
  };
  const saved = await tx.organizationSubscription.upsert({
    where: { stripeSubscriptionId: facts.id },
    create: { id: newId(run.now), organizationId, stripeSubscriptionId: facts.id, ...row },
    update: row,
  });
  if (!before || before.status !== status || before.priceId !== price.priceId) {
    await recordChange(tx, run, saved.id, before, { status, priceId: price.priceId });
  }
  await settleDunning(tx, organizationId, run.now, circumstances.isWaived);
  const hasEnded = before !== null && isLive(before.status) && isEnded(status);
  if (hasEnded && status === "expired") await tellOfUnpaidEnd(tx, organizationId, facts.id, run.now);
  const sentence = plan ? `${plan.planName} is ${status}` : `it is ${status}, at a price that we do not know`;
  if (!plan && isEnded(status)) await stopAllowances(tx, organizationId, facts.id, endOf(facts, run), run.now);
  return {
    result: { sentence, quarantined: !plan },
    entitles: !unused,
    hasEnded,
    allowances: plan && {
      stripeSubscriptionId: facts.id,
      endedAt: isEnded(status) ? endOf(facts, run) : null,
      items: facts.items,
    },
  };
}

/** When one that has ended did so; Stripe does not say it where it could be paid still. */
const endOf = (facts: SubscriptionFacts, run: SyncRun): Date => facts.endedAt ?? run.now;

/** What of the row is Stripe's own word. */
function rowOf(
  facts: SubscriptionFacts,
  status: SubscriptionStatus,
  item: SubscriptionFacts["items"][number],
  plans: Plans,
  priceId: string,
) {
  const scheduled = isEnded(status) ? null : scheduledChangeOf(facts, plans, { priceId });
  const pending = isEnded(status) ? null : pendingChangeOf(facts, plans);
  const endsAt = cancelsAt({ ...facts, currentPeriodEnd: item.periodEnd }) ?? facts.schedule?.endsAt ?? null;
  return {
    status,
    stripeItemId: item.id,
    stripeStatus: facts.status,
    currentPeriodStart: item.periodStart,
    currentPeriodEnd: item.periodEnd,
    trialEnd: facts.trialEnd,
    cancelsAt: isEnded(status) ? null : endsAt,
    endedAt: facts.endedAt,
    resumesAt: status === "paused" ? facts.resumesAt : null,
    stripeScheduleId: facts.schedule?.id ?? null,
    scheduledChange: scheduled ? { ...scheduled } : Prisma.DbNull,
    pendingChange: pending ? { ...pending } : Prisma.DbNull,
    paymentMethod: facts.card ? { ...facts.card } : Prisma.DbNull,
    startedAt: facts.startedAt,
  };
}

function circumstancesOf({ nextInvoice, openInvoice, pastDueSince }: Circumstances, status: SubscriptionStatus) {
  return {
    ...(nextInvoice === undefined ? {} : { nextInvoice: nextInvoice ? { ...nextInvoice } : Prisma.DbNull }),
    openInvoice: openInvoice ? { ...openInvoice } : Prisma.DbNull,
    pastDueSince: status === "past_due" ? pastDueSince : null,
  };
}

/** The one trial of an organization is used, from when Stripe says. */
async function keepTrial(tx: Transaction, organizationId: string, facts: SubscriptionFacts): Promise<void> {
  if (!facts.trialStart) return;
  await tx.organization.updateMany({
    where: { id: organizationId, OR: [{ trialUsedAt: null }, { trialUsedAt: { gt: facts.trialStart } }] },
    data: { trialUsedAt: facts.trialStart },
  });
}

async function tellOfUnknownPrice(tx: Transaction, run: SyncRun, facts: SubscriptionFacts): Promise<void> {
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "unknown_price" as const,
    subject: facts.id,
    message:
      "A subscription has no item that is a plan of the catalogue. It gives no access and no credits. Add its price to the catalogue, or change the subscription at Stripe.",
    details: {
      subscription: facts.id,
      customer: facts.customerId,
      prices: facts.items.map(({ stripePriceId }) => stripePriceId),
      status: facts.status,
      cause: run.cause,
    },
  };
  await raiseAlert(tx, alert, run.now);
}

async function tellOfUnknownStatus(tx: Transaction, run: SyncRun, facts: SubscriptionFacts): Promise<void> {
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "unknown_status" as const,
    subject: facts.id,
    message: `Stripe says that the subscription is "${facts.status}", which we do not know. Access is unchanged.`,
    details: { subscription: facts.id, status: facts.status, cause: run.cause },
  };
  await raiseAlert(tx, alert, run.now);
}

async function tellOfSecond(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  live: string,
  plan: CataloguePlan | null,
): Promise<void> {
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "second_subscription" as const,
    subject: facts.id,
    message: `The organization has a second live subscription at Stripe, ${facts.id}${plan ? ` (${plan.planName})` : ""}. It is not used here while ${live} lives; cancel one of them at Stripe and refund what was paid for it.`,
    details: { live, second: facts.id, plan: plan?.planKey ?? null, startedAt: facts.startedAt.toISOString() },
  };
  await raiseAlert(tx, alert, run.now);
}

interface Standing {
  status: SubscriptionStatus;
  priceId: string;
}

/** Keeps a change with its time and cause: churn and conversion are computed from these. */
async function recordChange(
  tx: Transaction,
  run: SyncRun,
  subscriptionId: string,
  from: Standing | null,
  to: Standing,
): Promise<void> {
  await tx.subscriptionChange.create({
    data: {
      id: newId(run.now),
      organizationId: run.lock.organizationId,
      subscriptionId,
      fromStatus: from?.status ?? null,
      toStatus: to.status,
      fromPriceId: from?.priceId ?? null,
      toPriceId: to.priceId,
      cause: run.cause,
      at: run.now,
    },
  });
}

/**
 * Ends a subscription that Stripe does not have any more, or whose customer it does not have.
 * @returns null where we have none that has not ended
 */
export function endHere(run: SyncRun, subscriptionId: string): Promise<{ wasLive: boolean } | null> {
  const { organizationId } = run.lock;
  return run.lock.save(async (tx) => {
    const row = await tx.organizationSubscription.findFirst({
      where: { organizationId, stripeSubscriptionId: subscriptionId },
    });
    if (!row || isEnded(row.status)) return null;
    await tx.organizationSubscription.update({
      where: { id: row.id },
      data: {
        status: "cancelled",
        endedAt: run.now,
        cancelsAt: null,
        pastDueSince: null,
        resumesAt: null,
        scheduledChange: Prisma.DbNull,
        pendingChange: Prisma.DbNull,
        openInvoice: Prisma.DbNull,
        nextInvoice: Prisma.DbNull,
        syncedAt: run.now,
      },
    });
    await recordChange(tx, run, row.id, row, { status: "cancelled", priceId: row.priceId });
    await stopAllowances(tx, organizationId, subscriptionId, run.now, run.now);
    await resolveAlert(tx, organizationId, ["second_subscription", "unknown_price"], subscriptionId, run.now);
    await settleDunning(tx, organizationId, run.now);
    return { wasLive: isLive(row.status) };
  });
}

/** Grants the credits of a trial that runs, and keeps them as long as it lasts. @returns a sentence; null where there was nothing to do */
export async function saveTrial(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Plans,
): Promise<string | null> {
  const { organizationId } = run.lock;
  if (!facts.trialEnd) return null;
  const item = planItemOf(facts.items, plans);
  const plan = item && plans.get(item.stripePriceId);
  if (facts.status === "trialing" && facts.trialStart && item && plan) {
    const promised = asOf(plan, facts.trialStart);
    const granted = await giveTrial(tx, { organizationId, subscription: facts, item, plan: promised }, run.now);
    if (granted > 0) return `granted ${granted} credits of the trial`;
  }
  return settleTrial(tx, { organizationId, subscription: facts }, run.now);
}
