// Rollover: what is left of a period when the next one is paid goes on as a lot of that one. And a trial's credits, when it is
// extended: a lot's end never moves, because the row that made it has said it.
import type { AccountLot, NewLot } from "~/domain/account";
import type { Slice } from "~/domain/allowance";
import { NO_DEBTS } from "~/domain/claims";
import { toCredits } from "~/domain/credits";
import { invariant } from "~/domain/errors";
import { grantAll } from "~/domain/granting";
import { type CarriedPart, carryOver } from "~/domain/rollover";
import type { Transaction } from "../db";
import { type AllowanceRow, monthOf } from "./allowance-rows";
import { billingKey, newLot } from "./credits";
import { findByKey, loadLots, lockAccount, saveAccounts } from "./ledger/accounts";
import { claimNewLots, loadClaimDebts, resolvePaidDebts } from "./payments";

/**
 * Carries into a slice what was left, when it began, of the subscription's credits: at most the cap of the plan that was paid.
 * Stripe's clock may be ahead of ours: what is paid has begun, and what was before it is over.
 */
export async function carryInto(tx: Transaction, row: AllowanceRow, slice: Slice, now: Date): Promise<void> {
  const plan = await tx.subscriptionPlan.findUnique({ where: { id: row.planId }, select: { rolloverCap: true } });
  const cap = Number(plan?.rolloverCap ?? 0n);
  if (cap === 0) return;
  const lots = await tx.$queryRaw<{ id: string }[]>`
    SELECT g.id FROM credit_grants g JOIN allowance_periods p ON p.id = g.allowance_id
    WHERE g.organization_id = ${row.organizationId}::uuid AND g.source = 'subscription' AND g.expires_at = ${slice.start}::timestamptz
      AND p.organization_id = g.organization_id AND p.stripe_subscription_id = ${row.stripeSubscriptionId} AND NOT p.trial
    ORDER BY g.created_at DESC, g.id DESC`;
  if (lots.length === 0) return;
  // The last instant of what they were for: on the first of a month that is the month before.
  const month = monthOf(new Date(slice.start.getTime() - 1)).split(" ")[0];
  await carry(tx, {
    organizationId: row.organizationId,
    businessKey: `rollover:${row.stripeItemId}:${slice.start.toISOString()}`,
    grantIds: lots.map((lot) => lot.id),
    cap,
    why: "expired",
    lot: {
      label: `${row.planName}, carried over from ${month}`,
      expiresAt: slice.end,
      transferable: true,
      planId: row.planId,
      planVersion: row.planVersion,
      priceId: row.priceId,
    },
    now,
  });
}

interface Carrying {
  organizationId: string;
  /** What makes it once. */
  businessKey: string;
  /** The lots, the newest first. */
  grantIds: readonly string[];
  cap: number | null;
  why: string;
  lot: Pick<NewLot, "label" | "expiresAt" | "transferable" | "planId" | "planVersion" | "priceId">;
  now: Date;
}

/** Ends lots and lets what is left of them go on: one lot for each invoice that had paid for them, so that a refund finds it. */
export async function carry(tx: Transaction, carrying: Carrying): Promise<void> {
  const { organizationId, grantIds, now } = carrying;
  const account = await lockAccount(tx, organizationId, now);
  const key = billingKey(carrying.businessKey);
  if (await findByKey(tx, organizationId, key)) return;
  await loadLots(tx, account, grantIds);
  const lots = grantIds.map((id): AccountLot => account.requireLot(id));
  const claimed = lots.filter((lot) => lot.toTake > lot.returned).map((lot) => lot.id);
  const debts = claimed.length > 0 ? await loadClaimDebts(tx, account, claimed) : NO_DEBTS;
  const parts = carryOver(account, lots, { cap: carrying.cap, debts }, carrying.why, now);
  const stored = await tx.creditGrant.findMany({
    where: { organizationId, id: { in: [...grantIds] } },
    select: { id: true, allowanceId: true, stripeInvoiceId: true },
  });
  const groups = groupByPeriod(stored, parts);
  const { label } = carrying.lot;
  const made = groups.map(({ amount, allowanceId, stripeInvoiceId }) => ({
    allowanceId,
    lot: newLot({ ...carrying.lot, source: "subscription", amount: toCredits(amount), stripeInvoiceId }, now),
  }));
  const newLots = made.map(({ lot }) => lot);
  if (newLots.length > 0) grantAll(account, newLots, "grant", { key, actor: "billfold", reason: label }, now);
  await saveAccounts(tx, [account]);
  for (const { lot, amount } of parts) {
    await tx.creditGrant.update({
      where: { organizationId_id: { organizationId, id: lot.id } },
      data: { rolledOver: { increment: BigInt(amount) } },
    });
  }
  for (const { lot, allowanceId } of made) {
    await tx.creditGrant.update({
      where: { organizationId_id: { organizationId, id: lot.id } },
      data: { allowanceId },
    });
  }
  await resolvePaidDebts(tx, account, now);
  // Also where nothing went on: what is claimed of what has ended is another.
  for (const stripeInvoiceId of new Set(stored.map((row) => row.stripeInvoiceId))) {
    await claimNewLots(tx, [organizationId], { stripeInvoiceId }, now);
  }
}

interface Origin {
  allowanceId: string | null;
  stripeInvoiceId: string | null;
}

/** What goes on of each period, with the invoice that paid for it. */
function groupByPeriod(
  stored: readonly (Origin & { id: string })[],
  parts: readonly CarriedPart[],
): (Origin & { amount: number })[] {
  const groups = new Map<string, Origin & { amount: number }>();
  for (const { lot, amount } of parts) {
    const from = stored.find((row) => row.id === lot.id);
    invariant(from, "a lot that goes on is stored");
    const key = from.allowanceId ?? "";
    const group = groups.get(key) ?? { ...from, amount: 0 };
    groups.set(key, { ...group, amount: group.amount + amount });
  }
  return [...groups.values()];
}
