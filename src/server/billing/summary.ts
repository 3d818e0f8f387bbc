// The overview of an organization's billing in one call, and what became of a checkout.
import type { Balance } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization } from "../db";
import { stripeForPages } from "../stripe";
import { answerInTime } from "./actions";
import { listOpenAlerts, type OpenAlert } from "./alerts";
import { getBalance } from "./credits";
import { type Grant, listGrants } from "./grants";
import { findSubscription, type Subscription } from "./subscription";
import type { NextInvoice } from "./subscription-row";
import { syncCheckoutSession } from "./sync";
import { withSyncLock } from "./sync-lock";
import { getUsage, type Usage } from "./usage";

export interface BillingSummary {
  subscription: Subscription | null;
  balance: Balance;
  /** Lots that something is left of, in burn order. */
  lots: Grant[];
  /** Since the period began, or of the last thirty days without a subscription. */
  usage: Usage;
  nextInvoice: NextInvoice | null;
  alerts: OpenAlert[];
  /** Since when nothing can be spent, and why; null where it can. */
  suspension: Suspension | null;
  /** The instant that all of this is about. */
  asOf: Date;
}

export interface Suspension {
  since: Date;
  reason: string | null;
}

export interface Concerns {
  alerts: OpenAlert[];
  suspension: Suspension | null;
}

const DAY_MS = 86_400_000;

/** What a person should know before anything else: open alerts, and whether spending is stopped. */
export async function getConcerns(organizationId: string): Promise<Concerns> {
  const [alerts, account] = await Promise.all([
    listOpenAlerts(organizationId),
    asOrganization(organizationId, (tx) =>
      tx.creditAccount.findUnique({
        where: { organizationId },
        select: { suspendedAt: true, suspendedReason: true },
      }),
    ),
  ]);
  const since = account?.suspendedAt ?? null;
  return { alerts, suspension: since === null ? null : { since, reason: account?.suspendedReason ?? null } };
}

/** @throws BillingError NOT_FOUND */
export async function getBillingSummary(organizationId: string, now: Date): Promise<BillingSummary> {
  const subscription = await findSubscription(organizationId, now);
  const inPeriod =
    subscription !== null && subscription.currentPeriodStart <= now && subscription.currentPeriodEnd > now;
  const from = inPeriod ? subscription.currentPeriodStart : new Date(now.getTime() - 30 * DAY_MS);
  const [balance, lots, usage, concerns] = await Promise.all([
    getBalance(organizationId, now),
    listGrants(organizationId, now, 0),
    getUsage(organizationId, from, now),
    getConcerns(organizationId),
  ]);
  return {
    subscription,
    balance,
    lots,
    usage,
    nextInvoice: subscription?.nextInvoice ?? null,
    ...concerns,
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
    await answerInTime(() =>
      withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, (lock) =>
        syncCheckoutSession(
          { lock, stripe: stripeForPages(), now, cause: `checkout return ${stripeSessionId}` },
          stripeSessionId,
        ),
      ),
    );
  } catch (error) {
    const waits = error instanceof BillingError && (error.code === "STRIPE_UNAVAILABLE" || error.code === "BUSY");
    if (!waits) throw error;
  }
  const row = (await find()) ?? known;
  return { kind: row.kind, status: row.status, credits: row.credits === null ? null : Number(row.credits) };
}
