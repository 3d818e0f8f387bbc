// Adjustments by the platform: credits given or taken back by hand, with a reason and who did it.
import { takeAdjustment } from "~/domain/adjustments";
import { type GrantSource, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { grant } from "~/domain/granting";
import { asPlatform, type Transaction } from "../db";
import { callerKey, newLot } from "./credits";
import { findByKey, lockAccount, saveAccounts } from "./ledger/accounts";
import type { KnownRow } from "./ledger/load";
import { settledAnswer } from "./ledger/settling";

export interface Adjustment {
  transactionId: string;
  /** What was given, or, negative, taken back. */
  amount: number;
  /** What could be spent right after it, and after it has paid what was owed. */
  available: number;
  /** Which lots it touched, and by how much. */
  allocations: { grantId: string; source: GrantSource; amount: number }[];
  replayed: boolean;
}

/**
 * Gives credits (a new lot that never expires), or takes unspent ones back: in burn order, or of one lot.
 * @param request.amount a whole number other than 0; negative takes back
 * @throws BillingError INSUFFICIENT_CREDITS where less is free, NOT_FOUND (organization, or a lot that holds nothing any more),
 *   INVALID_INPUT (a lot is named but credits are given), IDEMPOTENCY_CONFLICT. Nothing is changed then.
 */
export function adjustCredits(request: {
  organizationId: string;
  amount: number;
  grantId: string | null;
  reason: string;
  idempotencyKey: string;
  actor: string;
  apiKeyId: string | null;
  now: Date;
}): Promise<Adjustment> {
  const { organizationId, amount, grantId, reason, actor, apiKeyId, now } = request;
  const key = callerKey(request.idempotencyKey, { operation: "adjust", amount, grantId, reason });
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const known = await findByKey(tx, organizationId, key);
    if (known) return adjustmentOf(tx, organizationId, known, true);
    const cause = { key, actor, apiKeyId, reason };
    if (amount > 0) {
      if (grantId !== null) throw new BillingError("INVALID_INPUT", "Credits are given as a lot of their own.");
      const lot = newLot({ source: "adjustment", amount: toCredits(amount), expiresAt: null, label: reason }, now);
      const row = grant(account, lot, "adjustment", cause, now);
      await saveAccounts(tx, [account]);
      return adjustmentOf(tx, organizationId, row, false);
    }
    const lot = grantId === null ? null : account.findLot(grantId);
    if (lot === undefined) {
      throw new BillingError("NOT_FOUND", "There is no such lot, or nothing is left of it.", { grantId });
    }
    const row = takeAdjustment(account, toCredits(-amount), lot, cause, now);
    await saveAccounts(tx, [account]);
    return adjustmentOf(tx, organizationId, row, false);
  });
}

async function adjustmentOf(
  tx: Transaction,
  organizationId: string,
  row: Pick<KnownRow, "id" | "seq" | "amount" | "entries">,
  replayed: boolean,
): Promise<Adjustment> {
  return { ...(await settledAnswer(tx, organizationId, row, replayed)), amount: row.amount };
}
