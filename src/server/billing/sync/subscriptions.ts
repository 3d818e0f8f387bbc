// A subscription's row: its plan, status and period, what its next invoice asks for, and each change with its cause.

import { BillingError } from "~/domain/errors";
import {
  cancelsAt,
  isEnded,
  isExpectedTransition,
  isLive,
  LIVE_STATUSES,
  type SubscriptionStatus,
  statusFromStripe,
} from "~/domain/subscription";
import { Prisma, type Transaction } from "../../db";
import { newId } from "../../db/keys";
import { log } from "../../log";
import { callStripe, expectObject, type Stripe, toDate } from "../../stripe";
import type { SubscriptionFacts } from "../../stripe/facts";
import { raiseAlert, resolveAlert } from "../alerts";
import { type AllowanceState, entitle, stopAllowances } from "../allowances";
import type { CataloguePlan } from "../catalogue";
import type { SyncRun } from "./run";

export interface NextInvoice {
  at: string;
  amount: number;
  tax: number;
  currency: string;
}

/** What the next invoice will ask for; null when there is none; undefined where Stripe could not say. */
export async function previewNextInvoice(
  stripe: Stripe,
  facts: SubscriptionFacts,
): Promise<NextInvoice | null | undefined> {
  const renews = facts.status === "active" || facts.status === "trialing";
  if (!renews || facts.cancelAt !== null || facts.cancelAtPeriodEnd) return null;
  let preview: Stripe.Invoice;
  try {
    preview = await callStripe(async () =>
      expectObject("invoice", await stripe.invoices.createPreview({ subscription: facts.id })),
    );
  } catch (error) {
    // It is for people to look at; what was paid is not held back for it.
    if (!(error instanceof BillingError)) throw error;
    log.warn("the next invoice could not be previewed", { subscription: facts.id, error });
    return undefined;
  }
  const at = preview.next_payment_attempt ?? preview.period_end;
  return {
    at: toDate(at).toISOString(),
    amount: preview.total,
    tax: (preview.total_taxes ?? []).reduce((sum, tax) => sum + tax.amount, 0),
    currency: preview.currency,
  };
}

/** Another subscription of the organization that we hold to be live. */
export function findRival(tx: Transaction, run: SyncRun, subscriptionId: string) {
  return tx.organizationSubscription.findFirst({
    where: {
      organizationId: run.lock.organizationId,
      status: { in: [...LIVE_STATUSES] },
      stripeSubscriptionId: { not: subscriptionId },
    },
    select: { stripeSubscriptionId: true },
  });
}

export async function saveSubscription(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Map<string, CataloguePlan>,
  nextInvoice: NextInvoice | null | undefined,
): Promise<{ accepted: true; sentence: string; allowances: AllowanceState } | { accepted: false; sentence: string }> {
  const { organizationId } = run.lock;
  const item = facts.items.find((candidate) => plans.has(candidate.stripePriceId));
  const plan = item ? plans.get(item.stripePriceId) : undefined;
  if (!item || !plan) {
    const alert = {
      organizationId,
      kind: "unknown_price" as const,
      subject: facts.id,
      message: "A subscription has no item that is a plan of the catalogue. It gives no access and no credits.",
      details: { prices: facts.items.map((candidate) => candidate.stripePriceId), subscription: facts.id },
    };
    await raiseAlert(tx, alert, run.now);
    return { accepted: false, sentence: "no item is a plan that we know; an alert is open" };
  }
  const before = await tx.organizationSubscription.findUnique({ where: { stripeSubscriptionId: facts.id } });
  const told = statusFromStripe(facts);
  if (told === null) {
    const alert = {
      organizationId,
      kind: "unknown_status" as const,
      subject: facts.id,
      message: `Stripe says that the subscription is "${facts.status}", which we do not know. Access is unchanged.`,
    };
    await raiseAlert(tx, alert, run.now);
    if (!before) return { accepted: false, sentence: `status ${facts.status} is not known; an alert is open` };
  }
  const status: SubscriptionStatus = told ?? before?.status ?? "pending";
  if (isLive(status)) {
    const rival = await findRival(tx, run, facts.id);
    if (rival) {
      const alert = {
        organizationId,
        kind: "second_subscription" as const,
        subject: facts.id,
        message:
          "The organization has a second live subscription at Stripe. It is not used here; cancel and refund one of them.",
        details: { live: rival.stripeSubscriptionId, second: facts.id },
      };
      await raiseAlert(tx, alert, run.now);
      return { accepted: false, sentence: "a second live subscription; an alert is open" };
    }
  }
  if (before && !isExpectedTransition(before.status, status)) {
    const alert = {
      organizationId,
      kind: "unexpected_transition" as const,
      subject: `${facts.id}:${before.status}:${status}`,
      message: `The subscription went from ${before.status} to ${status}, which is not expected.`,
    };
    await raiseAlert(tx, alert, run.now);
  }
  const row = {
    planId: plan.planId,
    priceId: plan.priceId,
    status,
    interval: plan.interval,
    stripeItemId: item.id,
    stripeStatus: facts.status,
    currentPeriodStart: item.periodStart,
    currentPeriodEnd: item.periodEnd,
    trialEnd: facts.trialEnd,
    cancelsAt: isEnded(status) ? null : cancelsAt({ ...facts, currentPeriodEnd: item.periodEnd }),
    endedAt: facts.endedAt,
    paymentMethod: facts.card ? { ...facts.card } : Prisma.DbNull,
    ...(nextInvoice === undefined ? {} : { nextInvoice: nextInvoice ? { ...nextInvoice } : Prisma.DbNull }),
    startedAt: facts.startedAt,
    syncedAt: run.now,
  };
  const saved = await tx.organizationSubscription.upsert({
    where: { stripeSubscriptionId: facts.id },
    create: { id: newId(run.now), organizationId, stripeSubscriptionId: facts.id, ...row },
    update: row,
  });
  if (!before || before.status !== status || before.priceId !== plan.priceId) {
    await recordChange(tx, run, saved.id, before, { status, priceId: plan.priceId });
  }
  if (facts.trialStart) {
    await tx.organization.updateMany({
      where: { id: organizationId, trialUsedAt: null },
      data: { trialUsedAt: facts.trialStart },
    });
  }
  if (status === "past_due") {
    const message = "The last payment for the subscription failed. Update the card to keep access.";
    await raiseAlert(tx, { organizationId, kind: "payment_failed", subject: facts.id, message }, run.now);
  } else {
    await resolveAlert(tx, organizationId, "payment_failed", facts.id, run.now);
  }
  const allowances: AllowanceState = {
    stripeSubscriptionId: facts.id,
    ended: isEnded(status),
    current: { stripeItemId: item.id, periodStart: item.periodStart, plan },
  };
  return { accepted: true, sentence: `${plan.planName} is ${status}`, allowances };
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

/** Stripe does not have the subscription any more: what we hold to be live has ended. */
export function endVanished(run: SyncRun, subscriptionId: string): Promise<string> {
  const { organizationId } = run.lock;
  return run.lock.save(async (tx) => {
    const row = await tx.organizationSubscription.findFirst({
      where: { organizationId, stripeSubscriptionId: subscriptionId },
    });
    if (!row || isEnded(row.status)) return `subscription ${subscriptionId} is gone at Stripe`;
    await tx.organizationSubscription.update({
      where: { id: row.id },
      data: { status: "cancelled", endedAt: run.now, cancelsAt: null, nextInvoice: Prisma.DbNull, syncedAt: run.now },
    });
    await recordChange(tx, run, row.id, row, { status: "cancelled", priceId: row.priceId });
    await stopAllowances(tx, organizationId, subscriptionId, run.now);
    return "the subscription is gone at Stripe and ended here";
  });
}

export async function saveTrial(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Map<string, CataloguePlan>,
): Promise<string | null> {
  if (facts.status !== "trialing" || !facts.trialEnd) return null;
  for (const item of facts.items) {
    const plan = plans.get(item.stripePriceId);
    if (!plan) continue;
    const period = {
      stripePriceId: item.stripePriceId,
      stripeItemId: item.id,
      periodStart: item.periodStart,
      periodEnd: item.periodEnd,
      trial: true,
    };
    const granted = await entitle(tx, run.lock.organizationId, facts.id, plan, period, null, run.now);
    if (granted > 0) return `granted ${granted} credits of the trial`;
  }
  return null;
}
