// What is to come of a subscription: what its next invoice asks for, and the change that is planned or waits for its payment.
import { BillingError } from "~/domain/errors";
import type { Transaction } from "../../db";
import { enqueue } from "../../db/enqueue";
import { log } from "../../log";
import { callStripe, expectObject, type Stripe, toDate } from "../../stripe";
import { isReplaced, type SubscriptionFacts } from "../../stripe/facts";
import type { CataloguePlan } from "../catalogue";

export interface NextInvoice {
  at: string;
  amount: number;
  tax: number;
  currency: string;
}

/** What the next invoice will ask for; null when there is none; undefined where Stripe could not say. */
export async function previewNextInvoice(
  stripe: Stripe,
  facts: SubscriptionFacts,
): Promise<NextInvoice | null | undefined> {
  const renews = facts.status === "active" || facts.status === "trialing";
  if (!renews || facts.cancelAt !== null || facts.cancelAtPeriodEnd) return null;
  let preview: Stripe.Invoice;
  try {
    preview = await callStripe(async () =>
      expectObject("invoice", await stripe.invoices.createPreview({ subscription: facts.id })),
    );
  } catch (error) {
    // It is for people to look at; what was paid is not held back for it.
    if (!(error instanceof BillingError)) throw error;
    log.warn("the next invoice could not be previewed", { subscription: facts.id, error });
    return undefined;
  }
  const at = preview.next_payment_attempt ?? preview.period_end;
  return {
    at: toDate(at).toISOString(),
    amount: preview.total,
    tax: (preview.total_taxes ?? []).reduce((sum, tax) => sum + tax.amount, 0),
    currency: preview.currency,
  };
}

export interface ScheduledChange {
  priceId: string;
  planId: string;
  at: string;
}

/** The first change of the plan's price that the schedule has in store; null where it has none. */
export function scheduledChangeOf(
  facts: SubscriptionFacts,
  plans: ReadonlyMap<string, CataloguePlan>,
  current: { priceId: string } | null,
): ScheduledChange | null {
  if (isReplaced(facts)) return null;
  for (const { at, stripePriceIds } of facts.schedule?.next ?? []) {
    const plan = planAmong(stripePriceIds, plans);
    if (plan && plan.priceId !== current?.priceId) {
      return { priceId: plan.priceId, planId: plan.planId, at: at.toISOString() };
    }
  }
  return null;
}

/** Asks for the end of a schedule whose place a change has taken, after the commit. */
export function enqueueRelease(tx: Transaction, organizationId: string): Promise<void> {
  return enqueue(tx, "release-schedule", { organizationId }, { key: `release-schedule:${organizationId}` });
}

export interface PendingChange {
  priceId: string;
  planId: string;
  expiresAt: string;
  /** The invoice that it waits for. */
  invoiceId: string | null;
}

/** The change that waits for its payment; null where none does. */
export function pendingChangeOf(
  facts: SubscriptionFacts,
  plans: ReadonlyMap<string, CataloguePlan>,
): PendingChange | null {
  const { pendingUpdate, latestInvoiceId } = facts;
  const plan = pendingUpdate ? planAmong(pendingUpdate.stripePriceIds, plans) : null;
  if (!pendingUpdate || !plan) return null;
  const { priceId, planId } = plan;
  return { priceId, planId, expiresAt: pendingUpdate.expiresAt.toISOString(), invoiceId: latestInvoiceId };
}

function planAmong(stripePriceIds: readonly string[], plans: ReadonlyMap<string, CataloguePlan>): CataloguePlan | null {
  for (const id of stripePriceIds) {
    const plan = plans.get(id);
    if (plan) return plan;
  }
  return null;
}
