// The overview of an organization's billing in one call, and what became of a checkout.
import type { Balance } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization } from "../db";
import { stripeForPages } from "../stripe";
import { listOpenAlerts, type OpenAlert } from "./alerts";
import { getBalance } from "./credits";
import { type Grant, listGrants } from "./grants";
import { findSubscription, type NextInvoice, type Subscription } from "./subscription";
import { syncCheckoutSession } from "./sync";
import { withSyncLock } from "./sync-lock";
import { getUsage, type Usage } from "./usage";

export interface BillingSummary {
  subscription: Subscription | null;
  balance: Balance;
  /** Lots that can be spent, in burn order. */
  lots: Grant[];
  /** Since the period began, or of the last thirty days without a subscription. */
  usage: Usage;
  nextInvoice: NextInvoice | null;
  alerts: OpenAlert[];
  /** The instant that all of this is about. */
  asOf: Date;
}

const DAY_MS = 86_400_000;

/** @throws BillingError NOT_FOUND */
export async function getBillingSummary(organizationId: string, now: Date): Promise<BillingSummary> {
  const subscription = await findSubscription(organizationId);
  const inPeriod =
    subscription !== null && subscription.currentPeriodStart <= now && subscription.currentPeriodEnd > now;
  const from = inPeriod ? subscription.currentPeriodStart : new Date(now.getTime() - 30 * DAY_MS);
  const [balance, grants, usage, alerts] = await Promise.all([
    getBalance(organizationId, now),
    listGrants(organizationId, now, 0),
    getUsage(organizationId, from, now),
    listOpenAlerts(organizationId),
  ]);
  return {
    subscription,
    balance,
    lots: grants.filter((grant) => grant.position !== null),
    usage,
    nextInvoice: subscription?.nextInvoice ?? null,
    alerts,
    asOf: now,
  };
}

export interface CheckoutOutcome {
  kind: "subscription" | "credits";
  status: "open" | "processing" | "paid" | "failed" | "expired";
  credits: number | null;
}

// A person waits on the page that Stripe sent them back to.
const LOCK_WAIT_MS = 4_000;

/**
 * What became of a checkout, synchronized on the spot so that whoever comes back sees the truth. It grants only what
 * Stripe says is paid, as the event does, and once with it. When Stripe does not answer, the last that we know is said.
 * @throws BillingError NOT_FOUND for a session that is not this organization's
 */
export async function completeCheckout(
  organizationId: string,
  stripeSessionId: string,
  now: Date,
): Promise<CheckoutOutcome> {
  const find = () =>
    asOrganization(organizationId, (tx) =>
      tx.checkoutSession.findFirst({ where: { organizationId, stripeSessionId } }),
    );
  const known = await find();
  if (!known) throw new BillingError("NOT_FOUND", "There is no such checkout.", {});
  try {
    await withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, (lock) =>
      syncCheckoutSession(
        { lock, stripe: stripeForPages(), now, cause: `checkout return ${stripeSessionId}` },
        stripeSessionId,
      ),
    );
  } catch (error) {
    const waits = error instanceof BillingError && (error.code === "STRIPE_UNAVAILABLE" || error.code === "BUSY");
    if (!waits) throw error;
  }
  const row = (await find()) ?? known;
  return { kind: row.kind, status: row.status, credits: row.credits === null ? null : Number(row.credits) };
}
