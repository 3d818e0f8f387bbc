// Rollover: what is left of a period when the next one is paid goes on as a lot of that one. And a trial's credits, when it is
// extended: a lot's end never moves, because the row that made it has said it.
import type { Account, AccountLot, NewLot } from "~/domain/account";
import type { Slice } from "~/domain/allowance";
import { NO_DEBTS } from "~/domain/claims";
import { toCredits } from "~/domain/credits";
import { invariant } from "~/domain/errors";
import { grantAll } from "~/domain/granting";
import { type CarriedPart, carryOver } from "~/domain/rollover";
import type { Transaction } from "../db";
import { type AllowanceRow, isNeverMeant, isWhole, monthOf, slicesOfRow } from "./allowance-rows";
import { claimNewLots, loadClaimDebts, resolvePaidDebts } from "./claims";
import { billingKey, newLot } from "./credits";
import { findByKey, loadLots, lockAccount, saveAccounts } from "./ledger/accounts";

/**
 * Carries into a slice what was left, when it began, of the subscription's credits: at most the cap of the plan that was paid.
 * Stripe's clock may be ahead of ours: what is paid has begun, and what was before it is over.
 */
export async function carryInto(tx: Transaction, row: AllowanceRow, slice: Slice, now: Date): Promise<void> {
  const cap = await capOf(tx, row);
  if (cap === 0) return;
  const lots = await listEnding(tx, row, slice.start);
  if (lots.length === 0) return;
  const businessKey = `rollover:${row.stripeItemId}:${slice.start.toISOString()}`;
  const grantIds = lots.map((lot) => lot.id);
  await carry(tx, { ...intoSlice(row, slice, slice.start), businessKey, grantIds, cap, now });
}

async function capOf(tx: Transaction, { planId }: AllowanceRow): Promise<number> {
  const plan = await tx.subscriptionPlan.findUnique({ where: { id: planId }, select: { rolloverCap: true } });
  return Number(plan?.rolloverCap ?? 0n);
}

interface EndingLot {
  id: string;
  rolledOver: number;
}

/** A subscription's lots that end at an instant, the newest first. */
function listEnding(
  tx: Transaction,
  { organizationId, stripeSubscriptionId }: Pick<AllowanceRow, "organizationId" | "stripeSubscriptionId">,
  end: Date,
): Promise<EndingLot[]> {
  return tx.$queryRaw<EndingLot[]>`
    SELECT g.id, g.rolled_over::float8 AS "rolledOver" FROM credit_grants g JOIN allowance_periods p ON p.id = g.allowance_id
    WHERE g.organization_id = ${organizationId}::uuid AND g.source = 'subscription' AND g.expires_at = ${end}::timestamptz
      AND p.organization_id = g.organization_id AND p.stripe_subscription_id = ${stripeSubscriptionId} AND NOT p.trial
    ORDER BY g.created_at DESC, g.id DESC`;
}

/** How what ended at an instant goes on in a slice. */
function intoSlice(row: AllowanceRow, slice: Slice, ended: Date): Pick<Carrying, "organizationId" | "why" | "lot"> {
  // The last instant of what they were for: on the first of a month that is the month before.
  const month = monthOf(new Date(ended.getTime() - 1)).split(" ")[0];
  return {
    organizationId: row.organizationId,
    why: "expired",
    lot: {
      label: `${row.planName}, carried over from ${month}`,
      expiresAt: slice.end,
      transferable: true,
      planId: row.planId,
      planVersion: row.planVersion,
      priceId: row.priceId,
    },
  };
}

/**
 * Carries on what a decision has given back to lots whose period was followed by another one before: what a refund that failed, or
 * debt that is none any more, had kept from going on. It goes where it would be by now, as far as the caps on the way have room.
 * @param account as it was written, with the rows of the decision
 */
export async function carryGivenBack(tx: Transaction, account: Account, now: Date): Promise<void> {
  const { organizationId, lastSeq } = account.state;
  const gains = gainsOf(account);
  if (gains.size === 0) return;
  const lots = await tx.creditGrant.findMany({
    where: { organizationId, id: { in: [...gains.keys()] }, source: "subscription", expiresAt: { not: null } },
    select: { id: true, allowanceId: true, expiresAt: true },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
  });
  if (lots.length === 0) return;
  const rows = await tx.allowancePeriod.findMany({ where: { organizationId, trial: false, slicesGranted: { gt: 0 } } });
  const ends = new Map<string, { row: AllowanceRow; end: Date; grantIds: string[] }>();
  for (const { id, allowanceId, expiresAt: end } of lots) {
    const row = rows.find((each) => each.id === allowanceId);
    if (!row || !end || isNeverMeant(row, end)) continue;
    const key = `${row.stripeSubscriptionId} ${end.toISOString()}`;
    const known = ends.get(key) ?? { row, end, grantIds: [] };
    ends.set(key, { ...known, grantIds: [...known.grantIds, id] });
  }
  // The newest first: what has gone on from there takes room from what goes through it.
  for (const { row, end, grantIds } of [...ends.values()].sort((a, b) => b.end.getTime() - a.end.getTime())) {
    const room = await roomAfter(tx, rows, row, end);
    if (!room) continue;
    const cap = Math.min(
      room.credits,
      grantIds.reduce((sum, id) => sum + (gains.get(id) ?? 0), 0),
    );
    if (cap <= 0) continue;
    const businessKey = `rollover:${row.stripeItemId}:${end.toISOString()}:${lastSeq}`;
    await carry(tx, { ...intoSlice(room.row, room.slice, end), businessKey, grantIds, cap, now });
  }
}

/** What the rows of a decision have brought to lots, by lot. */
function gainsOf({ rows }: Account): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { grantId, amount } of rows.flatMap((row) => row.entries)) {
    sums.set(grantId, (sums.get(grantId) ?? 0) + amount);
  }
  return new Map([...sums].filter(([, amount]) => amount > 0));
}

interface Room {
  row: AllowanceRow;
  slice: Slice;
  credits: number;
}

/**
 * The newest slice that a subscription's periods have led to from an instant without a gap, and how much more can be carried there.
 * @returns null where nothing has followed yet: what is left goes on when something does
 */
async function roomAfter(
  tx: Transaction,
  rows: readonly AllowanceRow[],
  { organizationId, stripeSubscriptionId }: AllowanceRow,
  end: Date,
): Promise<Room | null> {
  let newest: Omit<Room, "credits"> | null = null;
  let credits = Number.POSITIVE_INFINITY;
  const nextFrom = (at: Date) => sliceFrom(rows, stripeSubscriptionId, at);
  for (let next = nextFrom(end); next; next = nextFrom(next.slice.end)) {
    newest = next;
    const gone = await listEnding(tx, { organizationId, stripeSubscriptionId }, next.slice.start);
    const left = (await capOf(tx, next.row)) - gone.reduce((sum, { rolledOver }) => sum + rolledOver, 0);
    credits = Math.min(credits, left);
  }
  return newest && { ...newest, credits };
}

/** The slice of a whole period that begins at an instant and was granted. */
function sliceFrom(
  rows: readonly AllowanceRow[],
  stripeSubscriptionId: string,
  start: Date,
): Omit<Room, "credits"> | null {
  for (const row of rows) {
    if (row.stripeSubscriptionId !== stripeSubscriptionId || !isWhole(row)) continue;
    const slice = slicesOfRow(row).find((each) => each.start.getTime() === start.getTime());
    if (slice && slice.index < row.slicesGranted) return { row, slice };
  }
  return null;
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
