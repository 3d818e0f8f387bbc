// Granting the slices of allowances whose time has come, and ending what was granted of what is over.
import { type Credits, toCredits } from "~/domain/credits";
import { invariant } from "~/domain/errors";
import { writeOff } from "~/domain/spending";
import type { Transaction } from "../db";
import { type AllowanceRow, type AllowanceSlice, isWhole, labelOf, slicesOfRow } from "./allowance-rows";
import { grantOnce } from "./credits";
import { loadLots, lockAccount, saveAccounts } from "./ledger/accounts";
import { carryInto } from "./rollover";

/** The account first, here and in jobs: whoever takes two locks takes them in one order. What the lock itself decides is written. */
export async function lockFirst(tx: Transaction, organizationId: string, now: Date): Promise<void> {
  await saveAccounts(tx, [await lockAccount(tx, organizationId, now)]);
}

/**
 * Grants the slices of a row whose time has come. The account is locked.
 * @param endedAt when its subscription ended, where it has: slices that begin then or later are not given
 * @returns credits granted now
 */
export async function grantDue(
  tx: Transaction,
  row: AllowanceRow,
  now: Date,
  endedAt: Date | null = null,
): Promise<Credits> {
  const slices = slicesOfRow(row);
  invariant(slices.length === row.slices, "a row has the slices that it was made with");
  let granted = 0;
  for (const slice of slices.slice(row.slicesGranted)) {
    // What is paid has begun by Stripe's clock, which may be ahead of ours; only later slices wait for their time.
    const isOver = endedAt !== null && slice.start >= endedAt;
    if ((slice.index > 0 && (slice.start > now || isOver)) || row.stoppedAt !== null) break;
    // An upgrade adds to a period into which everything has been carried.
    if (isWhole(row)) await carryInto(tx, row, slice, now);
    // First, so that a claim on the new lot does not count its slice as one that is still to come.
    await tx.allowancePeriod.update({
      where: { id: row.id },
      data: { slicesGranted: slice.index + 1, nextSliceAt: slices[slice.index + 1]?.start ?? null },
    });
    granted += await grantSlice(tx, row, slice, now);
  }
  if (row.nextSliceAt !== null && row.slicesGranted === slices.length) {
    await tx.allowancePeriod.update({ where: { id: row.id }, data: { nextSliceAt: null } });
  }
  return toCredits(granted);
}

async function grantSlice(tx: Transaction, row: AllowanceRow, slice: AllowanceSlice, now: Date): Promise<number> {
  const { organizationId, stripeInvoiceId } = row;
  const amount = toCredits(slice.amount - slice.cut);
  if (amount === 0) return 0;
  const label = labelOf(row, slice);
  const cause = row.cause === "" ? "" : `:${row.cause}`;
  const grantId = await grantOnce(tx, {
    organizationId,
    businessKey: `allowance:${row.stripeItemId}:${row.periodStart.toISOString()}:${slice.index}${cause}`,
    type: "grant",
    lot: {
      source: "subscription",
      amount,
      expiresAt: slice.end,
      // A trial's credits are nobody's money: moved on, they would be a way to collect them.
      transferable: !row.trial,
      label,
      planId: row.planId,
      planVersion: row.planVersion,
      priceId: row.priceId,
      stripeInvoiceId,
    },
    allowanceId: row.id,
    reason: label,
    now,
  });
  return grantId === null ? 0 : amount;
}

/** Ends lots of an organization: what nobody has spent of them is gone, but for what holds have set aside. @returns how much is gone */
export async function writeOffLots(
  tx: Transaction,
  organizationId: string,
  grantIds: readonly string[],
  why: string,
  now: Date,
): Promise<number> {
  if (grantIds.length === 0) return 0;
  const account = await lockAccount(tx, organizationId, now);
  await loadLots(tx, account, grantIds);
  const before = account.state.balance;
  for (const id of grantIds) writeOff(account, account.requireLot(id), why, now);
  await saveAccounts(tx, [account]);
  return before - account.state.balance;
}
