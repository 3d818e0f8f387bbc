// Trials: an organization has one, and its credits are good until the end that it was to have, also where it is paid before that.

import type { Transaction } from "../db";
import { newId } from "../db/keys";
import type { SubscriptionFacts } from "../stripe/facts";
import { grantDue, lockFirst, writeOffLots } from "./allowance-grants";
import { type AllowanceRow, labelOf, slicesOfRow } from "./allowance-rows";
import type { CataloguePlan } from "./catalogue";
import { carry } from "./rollover";

/** A subscription's trial, and the plan that it is of. */
export interface TrialOf {
  organizationId: string;
  subscription: Pick<SubscriptionFacts, "id" | "status" | "trialStart" | "trialEnd">;
  /** Its item, in the period that is the trial. */
  item: { id: string; periodStart: Date; periodEnd: Date };
  plan: CataloguePlan;
}

/**
 * Gives a trial's credits, once for an organization, whatever becomes of its plan, its subscription or its end.
 * @returns credits granted now
 */
export async function giveTrial(tx: Transaction, trial: TrialOf, now: Date): Promise<number> {
  const { organizationId, subscription, item, plan } = trial;
  const { trialStart, trialEnd } = subscription;
  // One that was ended in the second in which it began has been one.
  if (!trialStart || !trialEnd || trialEnd < item.periodStart) return 0;
  // The account first: of two that look at once, the second finds what the first has given.
  await lockFirst(tx, organizationId, now);
  if (await findTrial(tx, organizationId)) return 0;
  const { trialUsedAt } = await tx.organization.findUniqueOrThrow({
    where: { id: organizationId },
    select: { trialUsedAt: true },
  });
  if (trialUsedAt !== null && trialUsedAt < trialStart) return 0;
  const key = { organizationId, stripeItemId: item.id, periodStart: item.periodStart, cause: "" };
  const where = { organizationId_stripeItemId_periodStart_cause: key };
  // Ended in the second in which it began: what was paid then is there already.
  if (await tx.allowancePeriod.findUnique({ where })) return 0;
  const row = await tx.allowancePeriod.create({
    data: {
      id: newId(now),
      ...key,
      stripeSubscriptionId: subscription.id,
      // As it was promised, also where it was ended before that: an invoice says it for ever. Extended, it is so after this.
      periodEnd: item.periodEnd,
      trial: true,
      amounts: [],
      cuts: [],
      planId: plan.planId,
      planName: plan.planName,
      planVersion: plan.planVersion,
      priceId: plan.priceId,
      credits: BigInt(plan.trialCredits),
      creditInterval: "year",
      slices: 1,
      nextSliceAt: item.periodStart,
      createdAt: now,
    },
  });
  return grantDue(tx, row, now);
}

/**
 * Makes a trial's credits agree with the trial: one that was extended keeps them until its new end; one that is over without
 * having been converted leaves nothing of them, and nothing owed. What holds have set aside of them stays good for the hold.
 * A later trial of the same subscription is not the one that gave them.
 * @returns a sentence; null where there was nothing to do
 */
export async function settleTrial(
  tx: Transaction,
  { organizationId, subscription }: Pick<TrialOf, "organizationId" | "subscription">,
  now: Date,
): Promise<string | null> {
  const row = await findTrial(tx, organizationId);
  if (!row || row.stripeSubscriptionId !== subscription.id || !subscription.trialEnd) return null;
  const wasAnother = subscription.trialStart !== null && subscription.trialStart >= row.periodEnd;
  if (subscription.status === "trialing" && !wasAnother) {
    const isExtended = row.periodEnd < subscription.trialEnd && !(await wasConverted(tx, row));
    return isExtended ? extend(tx, row, subscription.trialEnd, now) : null;
  }
  // Active, it may wait for the invoice that converts it.
  if (subscription.status === "active" || (await wasConverted(tx, row))) return null;
  return endTrial(tx, row, now);
}

function findTrial(tx: Transaction, organizationId: string): Promise<AllowanceRow | null> {
  return tx.allowancePeriod.findFirst({ where: { organizationId, trial: true }, orderBy: { createdAt: "asc" } });
}

async function wasConverted(tx: Transaction, { organizationId, stripeSubscriptionId }: AllowanceRow): Promise<boolean> {
  const paid = await tx.allowancePeriod.findFirst({
    where: { organizationId, stripeSubscriptionId, trial: false },
    select: { id: true },
  });
  return paid !== null;
}

async function extend(tx: Transaction, row: AllowanceRow, end: Date, now: Date): Promise<string | null> {
  const extended = await tx.allowancePeriod.update({ where: { id: row.id }, data: { periodEnd: end } });
  const [slice] = slicesOfRow(extended);
  const lots = await listLots(tx, row);
  if (!slice || lots.length === 0) return null;
  await carry(tx, {
    organizationId: row.organizationId,
    businessKey: `trial:${row.stripeItemId}:${row.periodStart.toISOString()}:${end.toISOString()}`,
    grantIds: lots,
    cap: null,
    why: "the trial was extended",
    lot: {
      label: labelOf(row, slice),
      expiresAt: end,
      transferable: false,
      planId: row.planId,
      planVersion: row.planVersion,
      priceId: row.priceId,
    },
    now,
  });
  return "the trial's credits last until its new end";
}

async function endTrial(tx: Transaction, row: AllowanceRow, now: Date): Promise<string | null> {
  const ended = await writeOffLots(tx, row.organizationId, await listLots(tx, row), "the trial is over", now);
  return ended > 0 ? `the trial is over: ${ended} unspent credits of it are gone` : null;
}

/** The trial's own lots, those of an earlier end included. */
async function listLots(tx: Transaction, { organizationId, id }: AllowanceRow): Promise<string[]> {
  const lots = await tx.creditGrant.findMany({
    where: { organizationId, allowanceId: id, source: "subscription" },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
    select: { id: true },
  });
  return lots.map((lot) => lot.id);
}
