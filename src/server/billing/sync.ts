// Makes our rows equal to Stripe's truth: the only writer of what mirrors Stripe, with `sync/*`, a file for each noun. Each
// function refetches, under the organization's lock, then saves in one transaction; it can be called at any time, in any
// order, any number of times.
import { asPlatform } from "../db";
import { findAtStripe } from "../stripe";
import {
  fetchPayment,
  INVOICE_EXPAND,
  type InvoiceFacts,
  type PaymentFacts,
  readInvoice,
  readSession,
  readSubscription,
  SESSION_EXPAND,
  SUBSCRIPTION_EXPAND,
} from "../stripe/facts";
import { settleAllowances } from "./allowances";
import { findPackByStripePrice, findPlansByStripePrice } from "./catalogue";
import { claimPaidLots } from "./payments";
import { saveInvoice } from "./sync/invoices";
import { findPurpose, findSessionOfPayment, isPaid, savePayments, saveRefunds } from "./sync/payments";
import { refuseForeign, type SyncRun } from "./sync/run";
import { savePurchase, saveSession, sessionOutcome } from "./sync/sessions";
import { endVanished, findRival, previewNextInvoice, saveSubscription, saveTrial } from "./sync/subscriptions";

export type { SyncRun };

/**
 * A subscription, its latest invoice, and the allowances that its paid invoices entitle to.
 * @param invoiceId another invoice to take along, where one is the reason to look
 * @returns a sentence for the event log
 */
export async function syncSubscription(run: SyncRun, subscriptionId: string, invoiceId?: string): Promise<string> {
  const { stripe } = run;
  const answer = await findAtStripe("subscription", () =>
    stripe.subscriptions.retrieve(subscriptionId, { expand: SUBSCRIPTION_EXPAND }),
  );
  if (!answer) return endVanished(run, subscriptionId);
  const facts = readSubscription(answer);
  const refused = await refuseForeign(run, subscriptionId, facts.customerId, facts.metadataOrganizationId);
  if (refused) return refused;

  const invoiceIds = [...new Set([facts.latestInvoiceId, invoiceId].filter((id) => id != null))];
  const invoices: InvoiceFacts[] = [];
  for (const id of invoiceIds) {
    const invoice = await findAtStripe("invoice", () => stripe.invoices.retrieve(id, { expand: INVOICE_EXPAND }));
    if (invoice && invoice.status !== "draft") invoices.push(await readInvoice(run.stripe, invoice));
  }
  const priceIds = [
    ...facts.items.map((item) => item.stripePriceId),
    ...invoices.flatMap((invoice) => invoice.lines.map((line) => line.stripePriceId)).filter((id) => id !== null),
  ];
  const plans = await findPlansByStripePrice(priceIds);
  // It is looked at first, for it may have ended meanwhile.
  const rival = await asPlatform((tx) => findRival(tx, run, facts.id));
  if (rival) await syncSubscription(run, rival.stripeSubscriptionId);
  const nextInvoice = await previewNextInvoice(stripe, facts);

  return run.lock.save(async (tx) => {
    const sentences: string[] = [];
    const state = await saveSubscription(tx, run, facts, plans, nextInvoice);
    sentences.push(state.sentence);
    if (!state.accepted) return sentences.join("; ");
    for (const invoice of invoices) {
      const sentence = await saveInvoice(tx, run, invoice, plans, facts);
      if (sentence) sentences.push(sentence);
    }
    const begun = await saveTrial(tx, run, facts, plans);
    if (begun) sentences.push(begun);
    // After the invoices: one that comes only now must not bring slices that the end has stopped.
    await settleAllowances(tx, run.lock.organizationId, state.allowances, run.now);
    return sentences.join("; ");
  });
}

/** An invoice, and what it pays for. @returns a sentence for the event log */
export async function syncInvoice(run: SyncRun, invoiceId: string): Promise<string> {
  const invoice = await findAtStripe("invoice", () =>
    run.stripe.invoices.retrieve(invoiceId, { expand: INVOICE_EXPAND }),
  );
  if (!invoice) return `invoice ${invoiceId} is gone at Stripe`;
  const facts = await readInvoice(run.stripe, invoice);
  if (facts.subscriptionId) return syncSubscription(run, facts.subscriptionId, invoiceId);
  // Checkout makes an invoice for a pack too; the purchase is told by its session.
  for (const paymentIntentId of facts.paymentIntentIds) {
    const session = await findSessionOfPayment(run, paymentIntentId);
    if (session) return syncCheckoutSession(run, session);
  }
  const refused = await refuseForeign(run, invoiceId, facts.customerId, facts.metadataOrganizationId);
  if (refused) return refused;
  return run.lock.save(
    async (tx) => (await saveInvoice(tx, run, facts, new Map(), null)) ?? "draft, kept out of history",
  );
}

/**
 * Whatever a payment was for, and what was taken back of it: refunds and disputes claim the credits that it paid for. What it
 * paid for is synchronized on the way, so that a refund that is told before the payment is as good as one that is told after.
 * @returns a sentence for the event log
 */
export async function syncPaymentIntent(run: SyncRun, paymentIntentId: string): Promise<string> {
  const purpose = await findPurpose(run, paymentIntentId);
  if (!purpose) return `payment ${paymentIntentId} belongs to nothing that we sell`;
  const payments: PaymentFacts[] = [];
  for (const id of new Set([paymentIntentId, ...purpose.paymentIntentIds])) {
    const facts = await fetchPayment(run.stripe, id);
    if (!facts) continue;
    const refused = await refuseForeign(run, id, facts.customerId, facts.metadataOrganizationId);
    if (refused) return refused;
    payments.push(facts);
  }
  const paid = payments.filter(isPaid);
  // First what is known of the payment: what it pays for is granted, stopped and shown by it.
  const causes = await run.lock.save((tx) => savePayments(tx, run, paid, purpose));
  const sentence = await (purpose.kind === "session" ? syncCheckoutSession : syncInvoice)(run, purpose.id);
  if (paid.length === 0) return sentence;
  const claimed = await run.lock.save(async (tx) => {
    await saveRefunds(tx, run, paid, purpose);
    const paidBy = {
      stripePaymentId: paymentIntentId,
      stripeInvoiceId: purpose.kind === "invoice" ? purpose.id : null,
    };
    return claimPaidLots(tx, paidBy, causes, run.now);
  });
  return claimed ? `${sentence}; ${claimed}` : sentence;
}

/** A checkout session: the subscription that came of it, or the pack that it paid for. @returns a sentence for the event log */
export async function syncCheckoutSession(run: SyncRun, sessionId: string): Promise<string> {
  const answer = await findAtStripe("checkout.session", () =>
    run.stripe.checkout.sessions.retrieve(sessionId, { expand: SESSION_EXPAND }),
  );
  if (!answer) return `checkout session ${sessionId} is gone at Stripe`;
  const facts = readSession(answer);
  const refused = await refuseForeign(run, sessionId, facts.customerId, facts.metadataOrganizationId);
  if (refused) return refused;

  const outcome = sessionOutcome(facts);
  if (facts.mode === "subscription") {
    const sentence = facts.subscriptionId ? await syncSubscription(run, facts.subscriptionId) : null;
    await run.lock.save((tx) => saveSession(tx, run, facts, outcome));
    return sentence ?? `checkout is ${outcome}`;
  }
  const pack = await findPackByStripePrice(facts.stripePriceIds);
  return run.lock.save((tx) => savePurchase(tx, run, facts, outcome, pack));
}
