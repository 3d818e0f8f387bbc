// What payments that were taken back, and time that was given back, claim of the credits they paid for. The truth of a payment is
// written by `sync`; how much is claimed, and how, is decided in `domain/claims.ts`.
import type { Account } from "~/domain/account";
import type { ClaimCause } from "~/domain/claims";
import type { Transaction } from "../db";
import { findPaid, isLive, isStale, type Paid, type PaidBy, planClaims } from "./claimed-lots";
import { type ClaimCauses, changeClaims, lockSettled } from "./claims";
import { carryGivenBack } from "./rollover";

/**
 * Makes what is claimed of a payment's lots equal to what is known of it, in every organization that has some of them; lots
 * that are spent, expired or closed included. Copies find nothing left to do.
 * @returns what it did, in words; null where there was nothing to do
 * @throws BillingError BUSY where credits of the payment are being moved at this moment
 */
export async function claimPaidLots(
  tx: Transaction,
  paidBy: PaidBy,
  causes: ClaimCauses,
  now: Date,
): Promise<string | null> {
  const paid = await findPaid(tx, paidBy);
  if (!paid) return null;
  const { lots } = await planClaims(tx, paid);
  if (!lots.some(isStale)) return null;
  const accounts = await lockSettled(tx, [...new Set(lots.filter(isLive).map((lot) => lot.organizationId))], now);
  const changed = await changeClaims(tx, paid, accounts, causes, now);
  for (const account of changed) await carryGivenBack(tx, account, now);
  return wordsOf(changed);
}

/**
 * Makes what is taken of an invoice's lots as time that was given back equal to what was decided, beside what is claimed of its
 * payments. The accounts of all these lots are locked by the caller, and saved.
 * @param returned by lot, what is taken of it in all; as it was for others
 * @returns what it did, in words; null where there was nothing to do
 */
export async function claimReturned(
  tx: Transaction,
  organizationIds: readonly string[],
  stripeInvoiceId: string,
  returned: ReadonlyMap<string, number>,
  cause: ClaimCause,
  now: Date,
): Promise<string | null> {
  const nothing: Paid = { ids: [], invoiceId: stripeInvoiceId, amount: 0, refunded: 0, disputed: 0, lost: 0 };
  const paid = (await findPaid(tx, { stripeInvoiceId })) ?? nothing;
  const accounts = await lockSettled(tx, organizationIds, now);
  const causes: ClaimCauses = { taking: cause, freezing: { ...cause, type: "dispute" } };
  const wanted = (lot: { id: string; returned: number }) => returned.get(lot.id) ?? lot.returned;
  const changed = await changeClaims(tx, paid, accounts, causes, now, isLive, wanted);
  for (const account of changed) await carryGivenBack(tx, account, now);
  return wordsOf(changed);
}

/** What rows of refunds and disputes did, for the event log. */
function wordsOf(accounts: readonly Account[]): string | null {
  let taken = 0;
  let frozen = 0;
  let owed = 0;
  for (const { rows } of accounts) {
    for (const row of rows) {
      if (row.type !== "refund" && row.type !== "dispute") continue;
      taken -= row.amount;
      frozen += row.held;
      owed += row.debt;
    }
  }
  const words = [
    taken > 0 ? `took back ${taken} credits` : taken < 0 ? `gave back ${-taken} credits` : null,
    frozen > 0 ? `froze ${frozen}` : frozen < 0 ? `freed or took ${-frozen} that were frozen` : null,
    owed > 0 ? `${owed} that were spent are owed` : owed < 0 ? `${-owed} are not owed any more` : null,
  ].filter((word) => word !== null);
  return words.length > 0 ? words.join(", ") : null;
}
