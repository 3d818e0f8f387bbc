// Whose the stored ids are: those of one Stripe account and mode are never used in another.
import { BillingError } from "~/domain/errors";
import { asPlatform } from "../../db";
import { idsOf, type Ours } from "./ours";
import type { Theirs } from "./theirs";

const modeOf = (livemode: boolean) => (livemode ? "live" : "test");

/**
 * Refuses ids of another account or mode.
 * @throws BillingError INVALID_INPUT with what can be done about it
 */
export function requireSameAccount(ours: Ours, theirs: Theirs, livemode: boolean): void {
  const { account } = ours;
  const here = `account ${theirs.accountId} in ${modeOf(livemode)} mode`;
  const advice =
    "Use the key of that one, or adopt this one (--adopt), which forgets the stored ids and finds or makes everything anew.";
  if (account && (account.accountId !== theirs.accountId || account.livemode !== livemode)) {
    const there = `account ${account.accountId} in ${modeOf(account.livemode)} mode`;
    throw new BillingError(
      "INVALID_INPUT",
      `The stored ids belong to ${there}, and STRIPE_SECRET_KEY is for ${here}. ${advice}`,
      { stored: account.accountId, found: theirs.accountId },
    );
  }
  if (account) return;
  const stored = idsOf({ ...ours, meters: [] });
  const known = new Set([...theirs.products, ...theirs.prices].map(({ id }) => id));
  if (stored.length > 0 && !stored.some((id) => known.has(id))) {
    throw new BillingError(
      "INVALID_INPUT",
      `None of the stored ids is in ${here}: they are another account's. ${advice}`,
      { found: theirs.accountId },
    );
  }
}

export interface LeftBehind {
  customers: number;
  subscriptions: number;
}

/** What of an account that is left behind is stored: the next reconciliation does not find it, and ends it here. */
export function countLeftBehind(): Promise<LeftBehind> {
  return asPlatform(async (tx) => ({
    customers: await tx.organization.count({ where: { stripeCustomerId: { not: null } } }),
    subscriptions: await tx.organizationSubscription.count({ where: { endedAt: null } }),
  }));
}
