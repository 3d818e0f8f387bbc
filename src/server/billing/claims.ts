// Doing what payments that were taken back, and time that was given back, claim of the credits they paid for, wherever those are by
// now. How much is claimed, and how, is decided in `domain/claims.ts`; when, in `payments.ts`.
import type { Account } from "~/domain/account";
import {
  type Claim,
  type ClaimCause,
  type ClaimDebts,
  claim,
  type DebtPayer,
  NO_DEBTS,
  shortOf,
} from "~/domain/claims";
import { BillingError, invariant } from "~/domain/errors";
import type { Transaction } from "../db";
import { raiseAlert, resolveAlert, resolveAlerts } from "./alerts";
import {
  asItWas,
  findPaid,
  isLive,
  isStale,
  type Paid,
  type PaidBy,
  type PlannedLot,
  planClaims,
  type Returned,
} from "./claimed-lots";
import { loadLots, lockAccounts, saveAccounts } from "./ledger/accounts";
import { sumMoved } from "./ledger/movements";

/** Why something is taken or given back, and why something is frozen or no longer. */
export interface ClaimCauses {
  taking: ClaimCause;
  freezing: ClaimCause;
}

/**
 * Makes what is claimed of lots that were made just now equal to what is known of their payment, in accounts that this transaction
 * has locked and saved: whatever comes of a payment later, or goes to somebody else, is claimed as soon as it is there.
 */
export async function claimNewLots(
  tx: Transaction,
  organizationIds: readonly string[],
  paidBy: PaidBy,
  now: Date,
): Promise<void> {
  if (!paidBy.stripePaymentId && !paidBy.stripeInvoiceId) return;
  const paid = await findPaid(tx, paidBy);
  if (!paid || paid.refunded + paid.disputed + paid.lost === 0) return;
  const mine = (lot: PlannedLot) => organizationIds.includes(lot.organizationId);
  if (!(await planClaims(tx, paid)).lots.some((lot) => mine(lot) && isStale(lot))) return;
  const reference = paid.ids[0] ?? "";
  const causes: ClaimCauses = {
    taking: {
      type: paid.lost > 0 ? "dispute" : "refund",
      reference,
      reason: "Its payment was taken back before it was granted",
    },
    freezing: { type: "dispute", reference, reason: "Its payment is disputed" },
  };
  const accounts = await lockSettled(tx, organizationIds, now);
  await changeClaims(tx, paid, accounts, causes, now, mine);
}

// ── What is done ───────────────────────────────────────────────────────────────────────────────────────────

/** Locks accounts, with what the lock itself has decided (holds that ended) written: the ledger is asked below. */
export async function lockSettled(tx: Transaction, organizationIds: readonly string[], now: Date): Promise<Account[]> {
  const accounts = await lockAccounts(tx, organizationIds, now);
  if (!accounts.some((account) => account.isChanged)) return accounts;
  await saveAccounts(tx, accounts);
  return lockAccounts(tx, organizationIds, now);
}

/**
 * Changes what is claimed of a payment's lots, where it is another than what it was, and writes it.
 * @param accounts locked and saved
 * @param isAsked of which lots
 * @returns the accounts that it changed, as they were written
 * @throws BillingError BUSY where a lot is in an account that is not locked
 */
export async function changeClaims(
  tx: Transaction,
  paid: Paid,
  accounts: readonly Account[],
  causes: ClaimCauses,
  now: Date,
  isAsked: (lot: PlannedLot) => boolean = isLive,
  returned: Returned = asItWas,
): Promise<Account[]> {
  const byId = new Map(accounts.map((account) => [account.state.organizationId, account]));
  // Again, now that they stand still: what was read before the lock may have moved on.
  const lots = (await planClaims(tx, paid, returned)).lots.filter(isAsked);
  const changed: Account[] = [];
  const stale = lots.filter(isStale);
  for (const organizationId of new Set(stale.map((lot) => lot.organizationId))) {
    const planned = stale.filter((lot) => lot.organizationId === organizationId);
    const account = byId.get(organizationId);
    if (!account) {
      throw new BillingError("BUSY", "Credits of this payment are being moved. Please try again in a moment.", {
        retryable: true,
      });
    }
    await changeAccount(tx, paid, account, planned, causes, now);
    changed.push(account);
  }
  await saveAccounts(tx, changed);
  return changed;
}

async function changeAccount(
  tx: Transaction,
  paid: Paid,
  account: Account,
  planned: readonly PlannedLot[],
  causes: ClaimCauses,
  now: Date,
): Promise<void> {
  const ids = planned.map((lot) => lot.id);
  await loadLots(tx, account, ids);
  const shrinks = planned.some((lot) => (account.findLot(lot.id)?.taken ?? 0) > lot.target.toTake);
  const { covered, payers } = shrinks ? await loadClaimDebts(tx, account, ids) : NO_DEBTS;
  const claims = planned.map(({ id, target }): Claim => {
    const lot = account.findLot(id);
    invariant(lot, "a lot that is claimed is loaded");
    return { lot, target, returned: target.returned, ...causes, covered: covered.get(id) ?? 0 };
  });
  for (const { id, known, target } of planned) {
    if (known.returned === target.returned) continue;
    const where = { organizationId_id: { organizationId: account.state.organizationId, id } };
    await tx.creditGrant.update({ where, data: { returned: BigInt(target.returned) } });
  }
  claim(account, claims, payers, now);
  const short = claims.reduce((sum, { lot }) => sum + shortOf(lot), 0);
  const isTime = planned.some(({ known, target }) => known.returned !== target.returned);
  await tellOfSpent(tx, paid, account, short, isTime ? "time" : "payment", now);
}

/** What claims on lots met spent; who paid debts only where there is such. */
export async function loadClaimDebts(
  tx: Transaction,
  account: Account,
  grantIds: readonly string[],
): Promise<ClaimDebts> {
  const covered = await coveredOf(tx, account, grantIds);
  const isAny = [...covered.values()].some((amount) => amount > 0);
  return { covered, payers: isAny ? await loadDebtPayers(tx, account) : [] };
}

/** By lot: what of `taken` its rows did not take, because it was not there. */
async function coveredOf(tx: Transaction, account: Account, grantIds: readonly string[]): Promise<Map<string, number>> {
  const { organizationId } = account.state;
  const lots = await tx.creditGrant.findMany({
    where: { organizationId, id: { in: [...grantIds] } },
    select: { id: true, taken: true },
  });
  const moved = await sumMoved(tx, organizationId, ["refund", "dispute"]);
  return new Map(lots.map(({ id, taken }) => [id, Number(taken + (moved.get(id) ?? 0n))]));
}

async function loadDebtPayers(tx: Transaction, account: Account): Promise<DebtPayer[]> {
  const moved = await sumMoved(tx, account.state.organizationId, ["debt"]);
  const paid = new Map([...moved].filter(([, amount]) => amount < 0n).map(([id, amount]) => [id, -Number(amount)]));
  await loadLots(tx, account, [...paid.keys()]);
  return [...account.state.lots].reverse().flatMap((lot) => {
    const amount = paid.get(lot.id);
    return amount === undefined ? [] : [{ lot, amount }];
  });
}

const NUMBER = new Intl.NumberFormat("en");

/** Whether a claim met credits that were spent: an alert, and the end of it once that is not so any more. */
async function tellOfSpent(
  tx: Transaction,
  paid: Paid,
  account: Account,
  short: number,
  reason: "payment" | "time",
  now: Date,
): Promise<void> {
  const { organizationId, spentPolicy, debt } = account.state;
  const subject = paid.ids[0] ?? paid.invoiceId ?? "";
  const grew = account.rows.reduce((sum, row) => sum + Math.max(0, row.debt), 0);
  if (grew > 0 && debt > 0) {
    const what = reason === "time" ? "Time of the subscription was given back" : "A payment was taken back";
    const message = `${what} after ${NUMBER.format(grew)} of its credits had been spent. ${NUMBER.format(debt)} credits are owed; the next ones pay for them.`;
    const details = { payments: paid.ids, owed: debt };
    await raiseAlert(tx, { organizationId, kind: "credits_owed", subject, message, details }, now);
  }
  await resolvePaidDebts(tx, account, now);
  if (spentPolicy === "suspend" && short > 0 && account.suspension?.at) {
    const message = `Spending is suspended: a payment was taken back after ${NUMBER.format(short)} of its credits had been spent.`;
    const details = { payments: paid.ids, spent: short };
    await raiseAlert(tx, { organizationId, kind: "account_suspended", subject, message, details }, now);
  }
  if (short > 0) return;
  await resolveAlert(tx, organizationId, "account_suspended", subject, now);
  if (account.state.suspended && (await isSuspensionOver(tx, account))) {
    account.state.suspended = false;
    account.suspension = { at: null, reason: null };
    await resolveAlerts(tx, organizationId, "account_suspended", now);
  }
}

/** Whether nothing is left of what a suspension was for: no claim on spent credits, and nobody ordered it by hand. */
async function isSuspensionOver(tx: Transaction, account: Account): Promise<boolean> {
  const { organizationId } = account.state;
  const here = account.state.lots.map((lot) => lot.id);
  const [found] = await tx.$queryRaw<{ exists: boolean }[]>`
    SELECT EXISTS (
      SELECT FROM credit_grants g WHERE g.organization_id = ${organizationId}::uuid AND NOT g.id = ANY (${here}::uuid[])
        AND g.to_take > g.taken + g.expired - g.rolled_over + g.remaining
    ) OR EXISTS (
      SELECT FROM billing_alerts b WHERE b.organization_id = ${organizationId}::uuid AND b.kind = 'account_suspended'
        AND b.subject = ${SUSPENDED_BY_HAND} AND b.resolved_at IS NULL
    ) AS exists`;
  return !found?.exists && account.state.lots.every((lot) => shortOf(lot) === 0);
}

/** The subject of the alert of a suspension that somebody ordered. */
export const SUSPENDED_BY_HAND = "by hand";

/** Closes the alerts of an organization's debts once it owes nothing. */
export async function resolvePaidDebts(tx: Transaction, account: Account, now: Date): Promise<void> {
  if (account.state.debt > 0 || !account.rows.some((row) => row.debt < 0)) return;
  await resolveAlerts(tx, account.state.organizationId, "credits_owed", now);
}
