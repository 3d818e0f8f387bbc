// Makes our rows equal to Stripe's truth: the only writer of what mirrors Stripe. Each function refetches, under the
// organization's lock, then saves in one transaction; it can be called at any time, in any order, any number of times.
import { paidPeriods } from "~/domain/allowance";
import type { PaymentTruth } from "~/domain/claims";
import { toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import {
  cancelsAt,
  isEnded,
  isExpectedTransition,
  isLive,
  LIVE_STATUSES,
  type SubscriptionStatus,
  statusFromStripe,
} from "~/domain/subscription";
import { asPlatform, Prisma, type Transaction } from "../db";
import { newId } from "../db/keys";
import { log } from "../log";
import { callStripe, expectObject, expectPage, findAtStripe, idOf, type Stripe, toDate } from "../stripe";
import {
  type DisputeFacts,
  fetchPayment,
  INVOICE_EXPAND,
  type InvoiceFacts,
  isGiven,
  type PaymentFacts,
  readInvoice,
  readSession,
  readSubscription,
  SESSION_EXPAND,
  type SessionFacts,
  SUBSCRIPTION_EXPAND,
  type SubscriptionFacts,
} from "../stripe/facts";
import { raiseAlert, resolveAlert } from "./alerts";
import { type AllowanceState, entitle, settleAllowances, stopAllowances } from "./allowances";
import { type CataloguePlan, findPackByStripePrice, findPlansByStripePrice } from "./catalogue";
import { grantOnce } from "./credits";
import { attachCustomer, findOwner } from "./customers";
import { type ClaimCauses, claimPaidLots } from "./payments";
import type { SyncLock } from "./sync-lock";

export interface SyncRun {
  lock: SyncLock;
  /** The patient client of jobs, or the one for a person who waits. */
  stripe: Stripe;
  now: Date;
  /** Why we look: an event's type and id, `checkout return`. Kept with each change. */
  cause: string;
}

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

/** What a payment was for, with the other payments for it. */
interface Purpose {
  kind: "session" | "invoice";
  id: string;
  paymentIntentIds: string[];
}

async function findPurpose(run: SyncRun, paymentIntentId: string): Promise<Purpose | null> {
  const session = await findSessionOfPayment(run, paymentIntentId);
  if (session) return { kind: "session", id: session, paymentIntentIds: [] };
  const [payment] = await callStripe(async () =>
    expectPage(
      await run.stripe.invoicePayments.list({
        payment: { type: "payment_intent", payment_intent: paymentIntentId },
        limit: 1,
      }),
    ),
  );
  const invoice = idOf(payment?.invoice);
  if (!invoice) return null;
  const all = await callStripe(async () =>
    expectPage(await run.stripe.invoicePayments.list({ invoice, status: "paid", limit: 100 })),
  );
  const paymentIntentIds = all.map(({ payment }) => idOf(payment.payment_intent)).filter((id) => id !== null);
  return { kind: "invoice", id: invoice, paymentIntentIds };
}

async function findSessionOfPayment(run: SyncRun, paymentIntentId: string): Promise<string | null> {
  const [session] = await callStripe(async () =>
    expectPage(await run.stripe.checkout.sessions.list({ payment_intent: paymentIntentId, limit: 1 })),
  );
  return session?.id ?? null;
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

type SessionOutcome = "open" | "processing" | "paid" | "failed" | "expired";

function sessionOutcome(facts: SessionFacts): SessionOutcome {
  if (facts.status === "expired") return "expired";
  if (facts.status !== "complete") return "open";
  if (facts.paymentStatus === "paid" || facts.paymentStatus === "no_payment_required") return "paid";
  // Completed but unpaid: a bank debit under way, until its payment intent falls back to asking for another method.
  const failed = facts.paymentIntentStatus === "requires_payment_method" || facts.paymentIntentStatus === "canceled";
  return failed ? "failed" : "processing";
}

async function saveSession(tx: Transaction, run: SyncRun, facts: SessionFacts, outcome: SessionOutcome): Promise<void> {
  await tx.checkoutSession.updateMany({
    where: { organizationId: run.lock.organizationId, stripeSessionId: facts.id, NOT: { status: outcome } },
    data: { status: outcome, completedAt: outcome === "open" ? null : run.now },
  });
}

const NUMBER = new Intl.NumberFormat("en");

async function savePurchase(
  tx: Transaction,
  run: SyncRun,
  facts: SessionFacts,
  outcome: SessionOutcome,
  pack: Awaited<ReturnType<typeof findPackByStripePrice>>,
): Promise<string> {
  const { organizationId } = run.lock;
  const offered = await tx.checkoutSession.findFirst({ where: { organizationId, stripeSessionId: facts.id } });
  await saveSession(tx, run, facts, outcome);
  if (outcome === "open" || outcome === "expired") return `purchase is ${outcome}`;
  if (!pack) {
    await raiseAlert(
      tx,
      {
        organizationId,
        kind: "unknown_price",
        subject: facts.id,
        message: "A payment was made for a price that is not in the catalogue. No credits were granted.",
        details: { prices: facts.stripePriceIds, session: facts.id },
      },
      run.now,
    );
    return "paid for a price that we do not know; an alert is open";
  }
  // What was offered when the session was opened, whatever the catalogue says by now.
  const credits = toCredits(offered?.credits ?? pack.credits);
  const label = `Pack of ${NUMBER.format(credits)}`;
  await saveHistory(tx, run, {
    kind: "credit_purchase",
    stripeId: facts.id,
    status: await shownStatus(tx, outcome, facts.paymentIntentId ? [facts.paymentIntentId] : []),
    description: `${NUMBER.format(credits)} credits`,
    amount: facts.total,
    tax: facts.tax,
    currency: facts.currency,
    number: facts.invoice?.number ?? null,
    invoiceUrl: facts.invoice?.hostedUrl ?? null,
    pdfUrl: facts.invoice?.pdfUrl ?? null,
    occurredAt: run.now,
  });
  if (outcome !== "paid") return `purchase is ${outcome}`;
  const fresh = await grantOnce(tx, {
    organizationId,
    businessKey: `checkout:${facts.id}`,
    type: "purchase",
    lot: {
      source: "purchase",
      amount: credits,
      expiresAt: null,
      label,
      productId: pack.productId,
      priceId: pack.priceId,
      stripePaymentId: facts.paymentIntentId,
      stripeSessionId: facts.id,
    },
    reason: label,
    now: run.now,
  });
  return fresh ? `granted ${credits} purchased credits` : "purchase was granted before";
}

// ── Subscription ─────────────────────────────────────────────────────────────────────────────────────────────

interface NextInvoice {
  at: string;
  amount: number;
  tax: number;
  currency: string;
}

/** What the next invoice will ask for; null when there is none; undefined where Stripe could not say. */
async function previewNextInvoice(stripe: Stripe, facts: SubscriptionFacts): Promise<NextInvoice | null | undefined> {
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

/** Another subscription of the organization that we hold to be live. */
function findRival(tx: Transaction, run: SyncRun, subscriptionId: string) {
  return tx.organizationSubscription.findFirst({
    where: {
      organizationId: run.lock.organizationId,
      status: { in: [...LIVE_STATUSES] },
      stripeSubscriptionId: { not: subscriptionId },
    },
    select: { stripeSubscriptionId: true },
  });
}

async function saveSubscription(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Map<string, CataloguePlan>,
  nextInvoice: NextInvoice | null | undefined,
): Promise<{ accepted: true; sentence: string; allowances: AllowanceState } | { accepted: false; sentence: string }> {
  const { organizationId } = run.lock;
  const item = facts.items.find((candidate) => plans.has(candidate.stripePriceId));
  const plan = item ? plans.get(item.stripePriceId) : undefined;
  if (!item || !plan) {
    const alert = {
      organizationId,
      kind: "unknown_price" as const,
      subject: facts.id,
      message: "A subscription has no item that is a plan of the catalogue. It gives no access and no credits.",
      details: { prices: facts.items.map((candidate) => candidate.stripePriceId), subscription: facts.id },
    };
    await raiseAlert(tx, alert, run.now);
    return { accepted: false, sentence: "no item is a plan that we know; an alert is open" };
  }
  const before = await tx.organizationSubscription.findUnique({ where: { stripeSubscriptionId: facts.id } });
  const told = statusFromStripe(facts);
  if (told === null) {
    const alert = {
      organizationId,
      kind: "unknown_status" as const,
      subject: facts.id,
      message: `Stripe says that the subscription is "${facts.status}", which we do not know. Access is unchanged.`,
    };
    await raiseAlert(tx, alert, run.now);
    if (!before) return { accepted: false, sentence: `status ${facts.status} is not known; an alert is open` };
  }
  const status: SubscriptionStatus = told ?? before?.status ?? "pending";
  if (isLive(status)) {
    const rival = await findRival(tx, run, facts.id);
    if (rival) {
      const alert = {
        organizationId,
        kind: "second_subscription" as const,
        subject: facts.id,
        message:
          "The organization has a second live subscription at Stripe. It is not used here; cancel and refund one of them.",
        details: { live: rival.stripeSubscriptionId, second: facts.id },
      };
      await raiseAlert(tx, alert, run.now);
      return { accepted: false, sentence: "a second live subscription; an alert is open" };
    }
  }
  if (before && !isExpectedTransition(before.status, status)) {
    const alert = {
      organizationId,
      kind: "unexpected_transition" as const,
      subject: `${facts.id}:${before.status}:${status}`,
      message: `The subscription went from ${before.status} to ${status}, which is not expected.`,
    };
    await raiseAlert(tx, alert, run.now);
  }
  const row = {
    planId: plan.planId,
    priceId: plan.priceId,
    status,
    interval: plan.interval,
    stripeItemId: item.id,
    stripeStatus: facts.status,
    currentPeriodStart: item.periodStart,
    currentPeriodEnd: item.periodEnd,
    trialEnd: facts.trialEnd,
    cancelsAt: isEnded(status) ? null : cancelsAt({ ...facts, currentPeriodEnd: item.periodEnd }),
    endedAt: facts.endedAt,
    paymentMethod: facts.card ? { ...facts.card } : Prisma.DbNull,
    ...(nextInvoice === undefined ? {} : { nextInvoice: nextInvoice ? { ...nextInvoice } : Prisma.DbNull }),
    startedAt: facts.startedAt,
    syncedAt: run.now,
  };
  const saved = await tx.organizationSubscription.upsert({
    where: { stripeSubscriptionId: facts.id },
    create: { id: newId(run.now), organizationId, stripeSubscriptionId: facts.id, ...row },
    update: row,
  });
  if (!before || before.status !== status || before.priceId !== plan.priceId) {
    await recordChange(tx, run, saved.id, before, { status, priceId: plan.priceId });
  }
  if (facts.trialStart) {
    await tx.organization.updateMany({
      where: { id: organizationId, trialUsedAt: null },
      data: { trialUsedAt: facts.trialStart },
    });
  }
  if (status === "past_due") {
    const message = "The last payment for the subscription failed. Update the card to keep access.";
    await raiseAlert(tx, { organizationId, kind: "payment_failed", subject: facts.id, message }, run.now);
  } else {
    await resolveAlert(tx, organizationId, "payment_failed", facts.id, run.now);
  }
  const allowances: AllowanceState = {
    stripeSubscriptionId: facts.id,
    ended: isEnded(status),
    current: { stripeItemId: item.id, periodStart: item.periodStart, plan },
  };
  return { accepted: true, sentence: `${plan.planName} is ${status}`, allowances };
}

interface Standing {
  status: SubscriptionStatus;
  priceId: string;
}

/** Keeps a change with its time and cause: churn and conversion are computed from these. */
async function recordChange(
  tx: Transaction,
  run: SyncRun,
  subscriptionId: string,
  from: Standing | null,
  to: Standing,
): Promise<void> {
  await tx.subscriptionChange.create({
    data: {
      id: newId(run.now),
      organizationId: run.lock.organizationId,
      subscriptionId,
      fromStatus: from?.status ?? null,
      toStatus: to.status,
      fromPriceId: from?.priceId ?? null,
      toPriceId: to.priceId,
      cause: run.cause,
      at: run.now,
    },
  });
}

/** Stripe does not have the subscription any more: what we hold to be live has ended. */
function endVanished(run: SyncRun, subscriptionId: string): Promise<string> {
  const { organizationId } = run.lock;
  return run.lock.save(async (tx) => {
    const row = await tx.organizationSubscription.findFirst({
      where: { organizationId, stripeSubscriptionId: subscriptionId },
    });
    if (!row || isEnded(row.status)) return `subscription ${subscriptionId} is gone at Stripe`;
    await tx.organizationSubscription.update({
      where: { id: row.id },
      data: { status: "cancelled", endedAt: run.now, cancelsAt: null, nextInvoice: Prisma.DbNull, syncedAt: run.now },
    });
    await recordChange(tx, run, row.id, row, { status: "cancelled", priceId: row.priceId });
    await stopAllowances(tx, organizationId, subscriptionId, run.now);
    return "the subscription is gone at Stripe and ended here";
  });
}

async function saveTrial(
  tx: Transaction,
  run: SyncRun,
  facts: SubscriptionFacts,
  plans: Map<string, CataloguePlan>,
): Promise<string | null> {
  if (facts.status !== "trialing" || !facts.trialEnd) return null;
  for (const item of facts.items) {
    const plan = plans.get(item.stripePriceId);
    if (!plan) continue;
    const period = {
      stripePriceId: item.stripePriceId,
      stripeItemId: item.id,
      periodStart: item.periodStart,
      periodEnd: item.periodEnd,
      trial: true,
    };
    const granted = await entitle(tx, run.lock.organizationId, facts.id, plan, period, null, run.now);
    if (granted > 0) return `granted ${granted} credits of the trial`;
  }
  return null;
}

// ── Invoices and history ─────────────────────────────────────────────────────────────────────────────────────

async function saveInvoice(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  plans: Map<string, CataloguePlan>,
  subscription: SubscriptionFacts | null,
): Promise<string | null> {
  if (invoice.status === "draft") return null;
  const trial =
    subscription?.trialStart && subscription.trialEnd
      ? { start: subscription.trialStart, end: subscription.trialEnd }
      : null;
  const periods = paidPeriods(invoice.lines, (price) => plans.has(price), trial);
  // The invoice that opens a trial asks for nothing and is no receipt.
  const opensTrial = invoice.total === 0 && periods.length > 0 && periods.every((period) => period.trial);
  const plan = invoice.lines.map((line) => plans.get(line.stripePriceId ?? "")).find((known) => known !== undefined);
  if (!opensTrial) {
    await saveHistory(tx, run, {
      kind: "invoice",
      stripeId: invoice.id,
      status:
        invoice.status === "open" && invoice.attempted
          ? "failed"
          : await shownStatus(tx, invoice.status, invoice.paymentIntentIds),
      description: plan ? `${plan.planName}, ${plan.interval === "year" ? "yearly" : "monthly"}` : "Invoice",
      amount: invoice.total,
      tax: invoice.tax,
      currency: invoice.currency,
      number: invoice.number,
      invoiceUrl: invoice.hostedUrl,
      pdfUrl: invoice.pdfUrl,
      occurredAt: invoice.paidAt ?? invoice.createdAt,
    });
  }
  if (invoice.status !== "paid") return `invoice is ${invoice.status}`;
  let granted = 0;
  for (const period of periods) {
    const known = plans.get(period.stripePriceId);
    if (!known || !subscription) continue;
    granted += await entitle(tx, run.lock.organizationId, subscription.id, known, period, invoice.id, run.now);
  }
  return granted > 0 ? `granted ${granted} credits for the paid period` : "its allowance was granted before";
}

interface HistoryLine {
  kind: "invoice" | "credit_purchase" | "refund";
  stripeId: string;
  status: string;
  description: string;
  amount: number;
  tax: number;
  currency: string;
  number: string | null;
  invoiceUrl: string | null;
  pdfUrl: string | null;
  occurredAt: Date;
}

async function saveHistory(tx: Transaction, run: SyncRun, line: HistoryLine): Promise<void> {
  const { organizationId } = run.lock;
  const { kind, stripeId, occurredAt, ...rest } = line;
  const amounts = { ...rest, amount: BigInt(line.amount), tax: BigInt(line.tax), syncedAt: run.now };
  await tx.billingHistory.upsert({
    where: { organizationId_kind_stripeId: { organizationId, kind, stripeId } },
    create: { id: newId(run.now), organizationId, kind, stripeId, occurredAt, ...amounts },
    // A purchase keeps the instant at which we first saw it; an invoice moves to the one at which it was paid.
    update: kind === "invoice" ? { ...amounts, occurredAt } : amounts,
  });
}

/** What is paid may be disputed: its line says so. */
async function shownStatus(tx: Transaction, status: string, paymentIntentIds: string[]): Promise<string> {
  if (status !== "paid" || paymentIntentIds.length === 0) return status;
  const payments = await tx.stripePayment.findMany({ where: { id: { in: paymentIntentIds } } });
  if (payments.some((payment) => payment.disputed > 0n)) return "disputed";
  return payments.some((payment) => payment.lost > 0n) ? "dispute_lost" : status;
}

// ── Payments that were taken back ────────────────────────────────────────────────────────────────────────────

type PaidFacts = PaymentFacts & { truth: PaymentTruth };

const isPaid = (facts: PaymentFacts): facts is PaidFacts => facts.truth !== null;

const NOTHING: PaymentTruth = { amount: 0, refunded: 0, disputed: 0, lost: 0 };

/** Keeps what is known of payments, and opens or closes the alerts of their disputes. @returns why their claims change */
async function savePayments(
  tx: Transaction,
  run: SyncRun,
  payments: readonly PaidFacts[],
  purpose: Purpose,
): Promise<ClaimCauses> {
  const { organizationId } = run.lock;
  const before = { ...NOTHING };
  const after = { ...NOTHING };
  for (const { id, truth, currency, disputes } of payments) {
    const known = await tx.stripePayment.findUnique({ where: { id } });
    const row = {
      organizationId,
      invoiceId: purpose.kind === "invoice" ? purpose.id : null,
      amount: BigInt(truth.amount),
      currency,
      refunded: BigInt(truth.refunded),
      disputed: BigInt(truth.disputed),
      lost: BigInt(truth.lost),
      syncedAt: run.now,
    };
    await tx.stripePayment.upsert({ where: { id }, create: { id, ...row }, update: row });
    for (const part of ["amount", "refunded", "disputed", "lost"] as const) {
      before[part] += Number(known?.[part] ?? 0n);
      after[part] += truth[part];
    }
    const grew = {
      open: truth.disputed > Number(known?.disputed ?? 0n),
      lost: truth.lost > Number(known?.lost ?? 0n),
    };
    for (const dispute of disputes) await tellOfDispute(tx, run, dispute, currency, grew);
  }
  return causesOf(before, after, payments);
}

async function tellOfDispute(
  tx: Transaction,
  run: SyncRun,
  dispute: DisputeFacts,
  currency: string,
  grew: { open: boolean; lost: boolean },
): Promise<void> {
  const { organizationId } = run.lock;
  const details = {
    dispute: dispute.id,
    amount: dispute.amount,
    currency,
    reason: dispute.reason,
    dueBy: dispute.dueBy?.toISOString() ?? null,
  };
  if (dispute.standing !== "open") await resolveAlert(tx, organizationId, "payment_disputed", dispute.id, run.now);
  if (dispute.standing === "open" && grew.open) {
    const until = dispute.dueBy ? ` Evidence is taken until ${DAY.format(dispute.dueBy)}.` : "";
    const message = `A payment is disputed (${dispute.reason.replaceAll("_", " ")}). Its credits are frozen until that is decided.${until}`;
    const kind = "payment_disputed";
    await raiseAlert(tx, { organizationId, kind, subject: dispute.id, message, details }, run.now);
  }
  if (dispute.standing === "lost" && grew.lost) {
    const message = "A disputed payment was lost. The credits that it paid for are taken back.";
    await raiseAlert(tx, { organizationId, kind: "dispute_lost", subject: dispute.id, message, details }, run.now);
  }
}

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** Why claims change, by what has changed of the payments; where nothing has, by how they stand. */
function causesOf(known: PaymentTruth, truth: PaymentTruth, payments: readonly PaidFacts[]): ClaimCauses {
  const same = (["refunded", "disputed", "lost"] as const).every((part) => known[part] === truth[part]);
  const before = same ? NOTHING : known;
  const refunds = payments.flatMap((payment) => payment.refunds);
  const disputes = payments.flatMap((payment) => payment.disputes);
  const newest = (standing: DisputeFacts["standing"]) => disputes.find((dispute) => dispute.standing === standing)?.id;
  const reference = payments[0]?.id ?? "";
  const taking = ((): ClaimCauses["taking"] => {
    if (truth.lost > before.lost) {
      return { type: "dispute", reference: newest("lost") ?? reference, reason: "A dispute of the payment was lost" };
    }
    if (truth.refunded > before.refunded) {
      const reason = truth.refunded < truth.amount ? "A part of the payment was refunded" : "The payment was refunded";
      return { type: "refund", reference: refunds.find(isGiven)?.id ?? reference, reason };
    }
    if (truth.refunded < before.refunded) {
      const failed = refunds.find((refund) => !isGiven(refund));
      return { type: "refund", reference: failed?.id ?? reference, reason: "A refund of the payment failed" };
    }
    return { type: "dispute", reference: disputes[0]?.id ?? reference, reason: "A dispute of the payment was decided" };
  })();
  const opened = truth.disputed > before.disputed;
  const freezing: ClaimCauses["freezing"] = {
    type: "dispute",
    reference: newest(opened ? "open" : truth.lost > before.lost ? "lost" : "none") ?? disputes[0]?.id ?? reference,
    reason: opened ? "The payment is disputed" : "A dispute of the payment was decided",
  };
  return { taking, freezing };
}

/** A line of history for each refund, with its share of the tax. */
async function saveRefunds(
  tx: Transaction,
  run: SyncRun,
  payments: readonly PaidFacts[],
  purpose: Purpose,
): Promise<void> {
  const { organizationId } = run.lock;
  const paidLine = await tx.billingHistory.findFirst({
    where: { organizationId, stripeId: purpose.id, kind: purpose.kind === "session" ? "credit_purchase" : "invoice" },
  });
  const total = Number(paidLine?.amount ?? 0n);
  const tax = Number(paidLine?.tax ?? 0n);
  for (const { refunds, currency } of payments) {
    for (const refund of refunds) {
      await saveHistory(tx, run, {
        kind: "refund",
        stripeId: refund.id,
        status: refund.status,
        description: paidLine ? `Refund of ${paidLine.description}` : "Refund",
        amount: -refund.amount,
        tax: total > 0 && tax > 0 ? -Math.round((tax * refund.amount) / total) : 0,
        currency,
        number: null,
        invoiceUrl: paidLine?.invoiceUrl ?? null,
        pdfUrl: null,
        occurredAt: refund.createdAt,
      });
    }
  }
}

/**
 * Refuses what is not this organization's, and remembers its customer where we had none.
 * @returns the sentence of the refusal, or null
 */
async function refuseForeign(
  run: SyncRun,
  subject: string,
  customerId: string | null,
  metadataOrganizationId: string | null,
): Promise<string | null> {
  const { organizationId } = run.lock;
  const owner = await findOwner({ customerId, organizationId: metadataOrganizationId });
  if (owner.kind === "organization" && owner.organizationId === organizationId) {
    if (customerId) await attachCustomer(run.lock, customerId);
    return null;
  }
  if (owner.kind === "organization") {
    throw new BillingError("BUSY", "The object belongs to another organization than its event said.", { subject });
  }
  await run.lock.save((tx) =>
    raiseAlert(
      tx,
      {
        organizationId: null,
        kind: owner.kind === "mismatch" ? "customer_mismatch" : "unknown_customer",
        subject,
        message:
          owner.kind === "mismatch"
            ? "An object names one organization in its metadata while its customer is another's. Nothing was changed."
            : "An object belongs to a customer that no organization has. Nothing was changed.",
        details: { customerId, metadataOrganizationId },
      },
      run.now,
    ),
  );
  return owner.kind === "mismatch"
    ? "refused: its metadata names another organization"
    : "refused: its customer is unknown";
}
