// What happens to credits that were spent before their payment was taken back, and stopping all spending by hand. Every
// change is kept with who made it and why.
import type { SpentPolicy } from "~/domain/account";
import { asPlatform, type Transaction } from "../db";
import { raiseAlert, recordAction, resolveAlerts } from "./alerts";
import { SUSPENDED_BY_HAND } from "./claims";
import { lockAccount, saveAccounts } from "./ledger/accounts";

export interface PolicyChange {
  organizationId: string;
  policy: SpentPolicy;
  actor: string;
  now: Date;
}

/**
 * Chooses what becomes of credits that were spent before their payment was refunded or lost: nothing more (`clamp`), a debt that
 * other credits and the next grants pay (`debt`), or a stop to all spending (`suspend`). It counts for what is taken back from
 * now on; what is owed stays owed.
 * @throws BillingError NOT_FOUND
 */
export function setSpentPolicy(change: PolicyChange): Promise<{ organizationId: string; policy: SpentPolicy }> {
  const { organizationId, policy, actor, now } = change;
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    await saveAccounts(tx, [account]);
    const before = account.state.spentPolicy;
    if (before !== policy) {
      await tx.organization.update({ where: { id: organizationId }, data: { spentPolicy: policy } });
      const message = `Credits that were spent before their payment was taken back: ${before} became ${policy}.`;
      const details = { actor, before, after: policy };
      const kind = "spent_policy_changed";
      await recordAction(tx, { organizationId, kind, subject: organizationId, message, details }, now);
    }
    return { organizationId, policy };
  });
}

export interface SuspensionChange {
  organizationId: string;
  reason: string;
  actor: string;
  now: Date;
}

export interface Suspension {
  organizationId: string;
  suspended: boolean;
  /** Since when and why; null while it is not suspended. */
  suspendedAt: Date | null;
  reason: string | null;
}

/**
 * Stops all spending of an organization until it is resumed; what holds have set aside stays good. One that is suspended already
 * keeps its instant and reason, and from now on waits to be resumed by hand.
 * @throws BillingError NOT_FOUND
 */
export function suspendCredits(change: SuspensionChange): Promise<Suspension> {
  const { organizationId, reason, actor, now } = change;
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    if (!account.state.suspended) {
      account.state.suspended = true;
      account.suspension = { at: now, reason };
    }
    await saveAccounts(tx, [account]);
    const message = `Spending is suspended: ${reason}`;
    const details = { actor, reason };
    const kind = "account_suspended";
    await raiseAlert(tx, { organizationId, kind, subject: SUSPENDED_BY_HAND, message, details }, now);
    return readSuspension(tx, organizationId);
  });
}

/** Lets an organization spend again, whatever it was suspended for. @throws BillingError NOT_FOUND */
export function resumeCredits(change: SuspensionChange): Promise<Suspension> {
  const { organizationId, reason, actor, now } = change;
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const wasSuspended = account.state.suspended;
    if (wasSuspended) {
      account.state.suspended = false;
      account.suspension = { at: null, reason: null };
    }
    await saveAccounts(tx, [account]);
    await resolveAlerts(tx, organizationId, "account_suspended", now);
    if (wasSuspended) {
      const message = `Spending was resumed: ${reason}`;
      const kind = "account_resumed";
      const details = { actor, reason };
      await recordAction(tx, { organizationId, kind, subject: organizationId, message, details }, now);
    }
    return readSuspension(tx, organizationId);
  });
}

async function readSuspension(tx: Transaction, organizationId: string): Promise<Suspension> {
  const { suspendedAt, suspendedReason } = await tx.creditAccount.findUniqueOrThrow({ where: { organizationId } });
  return { organizationId, suspended: suspendedAt !== null, suspendedAt, reason: suspendedReason };
}
