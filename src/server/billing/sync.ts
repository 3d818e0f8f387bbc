// Makes our rows equal to Stripe's truth: the only writer of what mirrors Stripe, with `sync/*`, a file for each noun. Each
// function refetches, under the organization's lock, then saves in one transaction; it can be called at any time, in any
// order, any number of times.
import { isLive, LIVE_STATUSES, type SubscriptionStatus } from "~/domain/subscription";
import { asPlatform, inOneExchange, Prisma } from "../db";
import { findAtStripe } from "../stripe";
import {
  isReplaced,
  readSession,
  readSubscription,
  SESSION_EXPAND,
  SUBSCRIPTION_EXPAND,
  type SubscriptionFacts,
} from "../stripe/facts";
import {
  INVOICE_EXPAND,
  type InvoiceFacts,
  listCreditNotes,
  listInvoices,
  readCreditNote,
  readInvoice,
} from "../stripe/invoice-facts";
import { fetchPayment, type PaymentFacts } from "../stripe/payment-facts";
import { settleAllowances } from "./allowances";
import { type CataloguePlan, findPacksByStripePrice, findPlansByStripePrice, planItemOf } from "./catalogue";
import { unlinkCustomer } from "./customers";
import { claimPaidLots } from "./payments";
import { tellOfFirstPayment } from "./sync/first-payment";
import { saveRefunds } from "./sync/history";
import { saveInvoice, settleInvoice } from "./sync/invoices";
import { describeOpen, findOverdueSince, type KnownDebt, listOpenInvoices } from "./sync/overdue";
import { findPurpose, findSessionOfInvoice, isPaid, savePayments } from "./sync/payments";
import { savePurchase, settleInvoicedPacks } from "./sync/purchases";
import { enqueueClosing, findRemoval, tellOfLateInvoice } from "./sync/removed";
import { byAge, findCustomer, isLiveAtStripe, listLiveAtStripe } from "./sync/rivals";
import { refuseForeign, type SyncResult, type SyncRun, together, told } from "./sync/run";
import { saveSession, sessionOutcome } from "./sync/sessions";
import { claimSold, saveSold, saveSoldAtCheckout } from "./sync/sold";
import { endHere, saveSubscription, saveTrial } from "./sync/subscriptions";
import { enqueueRelease, previewNextInvoice } from "./sync/upcoming";

export type { SyncResult, SyncRun };

/**
 * A subscription, its invoices of the current period, what of it is owed and to come, and the allowances that its paid invoices
 * entitle to. A renewal takes three calls.
 * @param invoiceIds older invoices to take along, where they are the reason to look
 */
export function syncSubscription(
  run: SyncRun,
  subscriptionId: string,
  invoiceIds: readonly string[] = [],
): Promise<SyncResult> {
  return lookAtSubscription(run, subscriptionId, { invoices: [], invoiceIds, underway: new Set() });
}

interface Look {
  /** Invoices to take along: fetched just now, or still to be fetched. */
  invoices: readonly InvoiceFacts[];
  invoiceIds: readonly string[];
  /** A credit note of this invoice is the reason to look: its notes are listed though none may count any more. */
  withNotesOf?: string;
  /** Subscriptions that are being looked at: two that look at each other come to an end. */
  underway: Set<string>;
}

async function lookAtSubscription(run: SyncRun, subscriptionId: string, look: Look): Promise<SyncResult> {
  const { stripe } = run;
  const { organizationId } = run.lock;
  look.underway.add(subscriptionId);
  const answer = await findAtStripe("subscription", () =>
    stripe.subscriptions.retrieve(subscriptionId, { expand: SUBSCRIPTION_EXPAND }),
  );
  if (!answer) return endVanished(run, subscriptionId, look);
  const facts = readSubscription(answer);
  const { customerId, metadataOrganizationId } = facts;
  const belonging = { customerId, metadataOrganizationId, objectIds: [facts.id] };
  const refused = await refuseForeign(run, subscriptionId, belonging);
  if (refused) return refused;

  const { known, rival } = await readRows(organizationId, subscriptionId);
  const itemPrices = facts.items.map(({ stripePriceId }) => stripePriceId);
  const itemPlans = await findPlansByStripePrice(itemPrices);
  const current = await listInvoices(stripe, facts.id, { since: periodStartOf(facts, itemPlans, known) });
  const open = await listOpenInvoices(stripe, facts, current, known);
  const invoices = await takeAlong(run, facts.id, [...current, ...open], look);
  const notes = await Promise.all(
    invoices.map(({ id, credited }) =>
      credited > 0 || id === look.withNotesOf ? listCreditNotes(stripe, id) : Promise.resolve([]),
    ),
  );
  const sold = pricesOf(invoices);
  const prices = [
    ...sold,
    ...(facts.schedule?.next ?? []).flatMap(({ stripePriceIds }) => stripePriceIds),
    ...(facts.pendingUpdate?.stripePriceIds ?? []),
  ];
  const plans = await withOthers(itemPlans, itemPrices, prices);
  const packs = await findPacksByStripePrice(sold.filter((stripePriceId) => !plans.has(stripePriceId)));
  const circumstances = {
    nextInvoice: await previewNextInvoice(stripe, facts),
    openInvoice: describeOpen(open),
    pastDueSince: await findOverdueSince(stripe, facts, open, known, run.now),
    isWaived: ["void", "uncollectible"].includes(invoices.at(-1)?.status ?? ""),
  };
  await lookAtElders(run, facts, rival, known?.isLive ?? false, look);

  const planItem = planItemOf(facts.items, plans)?.id ?? null;
  const saved = await run.lock.save(async (tx) => {
    const state = await saveSubscription(tx, run, facts, plans, circumstances);
    await tellOfFirstPayment(tx, run, facts, invoices);
    const removedAt = await findRemoval(tx, organizationId);
    const entitles = state.entitles && removedAt === null;
    const results: (SyncResult | null)[] = [];
    const sentences: (string | null)[] = [];
    const resold: number[] = [];
    for (const [index, invoice] of invoices.entries()) {
      if (await saveSold(tx, run, invoice, notes[index] ?? [], planItem)) resold.push(index);
      await saveInvoice(tx, run, invoice, notes[index] ?? [], plans, facts);
      if (entitles) results.push(await settleInvoice(tx, run, invoice, plans, facts));
      sentences.push(await settleInvoicedPacks(tx, run, invoice, packs));
      if (removedAt !== null) await tellOfLateInvoice(tx, run, invoice, removedAt);
    }
    if (entitles) sentences.push(await saveTrial(tx, run, facts, plans));
    // After the invoices: one that comes only now must not bring slices that the end has stopped.
    if (entitles && state.allowances) await settleAllowances(tx, organizationId, state.allowances, run.now);
    for (const index of resold) {
      sentences.push(await claimSold(tx, run, { stripeInvoiceId: invoices[index]?.id }, notes[index] ?? []));
    }
    if (removedAt !== null && isLiveAtStripe(facts.status)) await enqueueClosing(tx, organizationId);
    if (isReplaced(facts)) await enqueueRelease(tx, organizationId);
    const rest = sentences.filter((sentence) => sentence !== null).map(told);
    return { ...state, result: together([state.result, ...results, ...rest]) };
  });
  if (!saved.hasEnded) return saved.result;
  return together([saved.result, ...(await lookAtOthers(run, customerId, look))]);
}

function pricesOf(invoices: readonly InvoiceFacts[]): string[] {
  return invoices.flatMap(({ lines }) => lines.map(({ stripePriceId }) => stripePriceId)).filter((id) => id !== null);
}

interface Known extends KnownDebt {
  isLive: boolean;
  currentPeriodStart: Date;
}

interface Rows {
  /** What our row of the subscription says so far; null where there is none. */
  known: Known | null;
  /** Another subscription of the organization that we hold to be live. */
  rival: string | null;
}

/** What our rows say. Under the organization's lock nobody else writes them. */
async function readRows(organizationId: string, stripeSubscriptionId: string): Promise<Rows> {
  type Row = KnownDebt & { status: SubscriptionStatus; currentPeriodStart: Date };
  const [[row], [rival]] = await inOneExchange<[Row, { id: string }]>(
    Prisma.sql`
      SELECT open_invoice AS "openInvoice", past_due_since AS "pastDueSince", status, current_period_start AS "currentPeriodStart"
      FROM organization_subscriptions WHERE stripe_subscription_id = ${stripeSubscriptionId}`,
    Prisma.sql`
      SELECT stripe_subscription_id AS id FROM organization_subscriptions
      WHERE organization_id = ${organizationId}::uuid AND status::text = ANY(${[...LIVE_STATUSES]})
        AND stripe_subscription_id <> ${stripeSubscriptionId} LIMIT 1`,
  );
  return { known: row ? { ...row, isLive: isLive(row.status) } : null, rival: rival?.id ?? null };
}

/** The plans behind prices, those that are known already included. */
async function withOthers(
  plans: Map<string, CataloguePlan>,
  asked: readonly string[],
  prices: readonly string[],
): Promise<Map<string, CataloguePlan>> {
  const others = prices.filter((stripePriceId) => !asked.includes(stripePriceId));
  return others.length === 0 ? plans : new Map([...plans, ...(await findPlansByStripePrice(others))]);
}

/**
 * The start of the current period of the plan's item (of the item whose period began first where none is a plan), or of the period
 * that we know of where that is older: what happened between the two was not told. Of one that we do not know, nothing was.
 */
function periodStartOf(facts: SubscriptionFacts, plans: ReadonlyMap<string, CataloguePlan>, known: Known | null): Date {
  if (known === null) return facts.createdAt;
  const starts = facts.items.map(({ periodStart }) => periodStart).sort((a, b) => a.getTime() - b.getTime());
  const start = planItemOf(facts.items, plans)?.periodStart ?? starts[0] ?? facts.startedAt;
  return new Date(Math.min(known.currentPeriodStart.getTime(), start.getTime()));
}

/** The invoices and those that are the reason to look, each once, oldest first. */
async function takeAlong(
  run: SyncRun,
  subscriptionId: string,
  listed: readonly InvoiceFacts[],
  look: Look,
): Promise<InvoiceFacts[]> {
  const invoices = new Map(look.invoices.map((invoice) => [invoice.id, invoice]));
  for (const invoice of listed) invoices.set(invoice.id, invoice);
  for (const id of look.invoiceIds) {
    const invoice = invoices.has(id) ? null : await fetchInvoice(run, id);
    // An event's body may be wrong about what an invoice belongs to.
    if (invoice?.subscriptionId === subscriptionId) invoices.set(id, invoice);
  }
  return [...invoices.values()]
    .filter(({ status }) => status !== "draft")
    .sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
}

async function fetchInvoice(run: SyncRun, invoiceId: string): Promise<InvoiceFacts | null> {
  const invoice = await findAtStripe("invoice", () =>
    run.stripe.invoices.retrieve(invoiceId, { expand: INVOICE_EXPAND }),
  );
  return invoice && readInvoice(run.stripe, invoice);
}

/**
 * Looks at the subscriptions that come before this one: the one that we hold to be live, which may have ended meanwhile, and,
 * where this one becomes live, any older one at Stripe that we have not heard of yet.
 */
async function lookAtElders(
  run: SyncRun,
  facts: SubscriptionFacts,
  rival: string | null,
  wasLive: boolean,
  look: Look,
): Promise<void> {
  const elders = rival ? [rival] : [];
  if (!rival && !wasLive && isLiveAtStripe(facts.status)) {
    const alive = await listLiveAtStripe(run.stripe, facts.customerId);
    elders.push(...alive.filter((other) => byAge(other, facts) < 0).map(({ id }) => id));
  }
  for (const id of elders) await lookAtAnother(run, id, look);
}

/** After the live subscription has ended: another one that was paid takes its place at once. */
async function lookAtOthers(run: SyncRun, customerId: string, look: Look): Promise<SyncResult[]> {
  const results: SyncResult[] = [];
  for (const { id } of await listLiveAtStripe(run.stripe, customerId)) {
    const result = await lookAtAnother(run, id, look);
    if (result) results.push(result);
  }
  return results;
}

async function lookAtAnother(run: SyncRun, subscriptionId: string, { underway }: Look): Promise<SyncResult | null> {
  if (underway.has(subscriptionId)) return null;
  return lookAtSubscription(run, subscriptionId, { invoices: [], invoiceIds: [], underway });
}

/** Stripe does not have the subscription any more: what we hold to be live has ended. */
async function endVanished(run: SyncRun, subscriptionId: string, look: Look): Promise<SyncResult> {
  const ended = await endHere(run, subscriptionId);
  if (!ended) return told(`subscription ${subscriptionId} is gone at Stripe`);
  const result = told("the subscription is gone at Stripe and ended here");
  const customerId = ended.wasLive ? await findCustomer(run.lock.organizationId) : null;
  return customerId ? together([result, ...(await lookAtOthers(run, customerId, look))]) : result;
}

/** An invoice, and what it pays for. */
export function syncInvoice(run: SyncRun, invoiceId: string): Promise<SyncResult> {
  return lookAtInvoice(run, invoiceId, false);
}

/** @param withNotes a credit note is the reason to look */
async function lookAtInvoice(run: SyncRun, invoiceId: string, withNotes: boolean): Promise<SyncResult> {
  const facts = await fetchInvoice(run, invoiceId);
  if (!facts) return told(`invoice ${invoiceId} is gone at Stripe`);
  if (facts.subscriptionId) {
    const look = { invoices: [facts], invoiceIds: [], underway: new Set<string>() };
    return lookAtSubscription(run, facts.subscriptionId, withNotes ? { ...look, withNotesOf: invoiceId } : look);
  }
  const session = await findSessionOfInvoice(run, facts);
  if (session) return lookAtSession(run, session, withNotes);
  const { customerId, metadataOrganizationId, paymentIntentIds } = facts;
  const belonging = { customerId, metadataOrganizationId, objectIds: [facts.id, ...paymentIntentIds] };
  const refused = await refuseForeign(run, invoiceId, belonging);
  if (refused) return refused;
  const notes = withNotes || facts.credited > 0 ? await listCreditNotes(run.stripe, invoiceId) : [];
  const packs = await findPacksByStripePrice(pricesOf([facts]));
  const granted = await run.lock.save(async (tx) => {
    const isResold = await saveSold(tx, run, facts, notes, null);
    await saveInvoice(tx, run, facts, notes, new Map(), null);
    const said = await settleInvoicedPacks(tx, run, facts, packs);
    if (isResold) await claimSold(tx, run, { stripeInvoiceId: facts.id }, notes);
    return said;
  });
  return told(granted ?? (facts.status === "draft" ? "draft, kept out of history" : `invoice is ${facts.status}`));
}

/** A credit note: its invoice, and the refunds that belong to it. */
export async function syncCreditNote(run: SyncRun, creditNoteId: string): Promise<SyncResult> {
  const answer = await findAtStripe("credit_note", () => run.stripe.creditNotes.retrieve(creditNoteId));
  if (!answer) return told(`credit note ${creditNoteId} is gone at Stripe`);
  const { invoiceId, refunds, givenBack } = readCreditNote(answer);
  const result = await lookAtInvoice(run, invoiceId, true);
  if (result.quarantined || (refunds.length === 0 && givenBack === 0)) return result;
  const invoice = await fetchInvoice(run, invoiceId);
  const results = [result];
  for (const id of invoice?.paymentIntentIds ?? []) results.push(await syncPaymentIntent(run, id));
  return together(results);
}

/**
 * Whatever a payment was for, and what was taken back of it: refunds and disputes claim the credits that it paid for. What it
 * paid for is synchronized on the way, so that a refund that is told before the payment is as good as one that is told after.
 */
export async function syncPaymentIntent(run: SyncRun, paymentIntentId: string): Promise<SyncResult> {
  const purpose = await findPurpose(run, paymentIntentId);
  if (!purpose) return told(`payment ${paymentIntentId} belongs to nothing that we sell`);
  const payments: PaymentFacts[] = [];
  for (const id of new Set([paymentIntentId, ...purpose.paymentIntentIds])) {
    const facts = await fetchPayment(run.stripe, id);
    if (!facts) continue;
    const { customerId, metadataOrganizationId } = facts;
    const objectIds = [id, purpose.id, purpose.invoiceId];
    const refused = await refuseForeign(run, id, { customerId, metadataOrganizationId, objectIds });
    if (refused) return refused;
    payments.push(facts);
  }
  const paid = payments.filter(isPaid);
  // First what is known of the payment: what it pays for is granted, stopped and shown by it.
  const causes = await run.lock.save((tx) => savePayments(tx, run, paid, purpose));
  const result = await (purpose.kind === "session" ? syncCheckoutSession : syncInvoice)(run, purpose.id);
  if (paid.length === 0) return result;
  const { invoiceId } = purpose;
  const isRefunded = paid.some(({ refunds }) => refunds.length > 0);
  const notes = invoiceId && isRefunded ? await listCreditNotes(run.stripe, invoiceId) : [];
  const claimed = await run.lock.save(async (tx) => {
    const kind = purpose.kind === "session" ? "credit_purchase" : "invoice";
    await saveRefunds(tx, run, paid, notes, { kind, stripeId: purpose.id });
    return claimPaidLots(tx, { stripePaymentId: paymentIntentId, stripeInvoiceId: invoiceId }, causes, run.now);
  });
  return together([result, claimed ? told(claimed) : null]);
}

/** A checkout session: the subscription that came of it, or the packs that it paid for. */
export function syncCheckoutSession(run: SyncRun, sessionId: string): Promise<SyncResult> {
  return lookAtSession(run, sessionId, false);
}

async function lookAtSession(run: SyncRun, sessionId: string, withNotes: boolean): Promise<SyncResult> {
  const answer = await findAtStripe("checkout.session", () =>
    run.stripe.checkout.sessions.retrieve(sessionId, { expand: SESSION_EXPAND }),
  );
  if (!answer) return told(`checkout session ${sessionId} is gone at Stripe`);
  const facts = await readSession(run.stripe, answer);
  const { customerId, metadataOrganizationId, subscriptionId, paymentIntentId, invoice } = facts;
  const objectIds = [facts.id, subscriptionId, paymentIntentId];
  const refused = await refuseForeign(run, sessionId, { customerId, metadataOrganizationId, objectIds });
  if (refused) return refused;

  const outcome = sessionOutcome(facts);
  if (facts.mode !== "payment") {
    const result = subscriptionId ? await syncSubscription(run, subscriptionId) : null;
    await run.lock.save((tx) => saveSession(tx, run, facts, outcome));
    return result ?? told(`checkout is ${outcome}`);
  }
  const packs = await findPacksByStripePrice(
    facts.lines.map(({ stripePriceId }) => stripePriceId).filter((id) => id !== null),
  );
  const notes = invoice && (withNotes || invoice.credited > 0) ? await listCreditNotes(run.stripe, invoice.id) : [];
  return run.lock.save(async (tx) => {
    const result = await savePurchase(tx, run, facts, outcome, packs, notes);
    if (!invoice) return result;
    const sold = { id: invoice.id, currency: facts.currency };
    if (!(await saveSoldAtCheckout(tx, run, sold, facts.total, notes))) return result;
    const paidBy = { stripePaymentId: paymentIntentId, stripeInvoiceId: invoice.id };
    const claimed = await claimSold(tx, run, paidBy, notes);
    return together([result, claimed ? told(claimed) : null]);
  });
}

/** A customer: the card that its live subscription shows, or, where it was deleted, the end of what it had. */
export async function syncCustomer(run: SyncRun, customerId: string): Promise<SyncResult> {
  const { organizationId } = run.lock;
  if ((await findCustomer(organizationId)) !== customerId)
    return told("the customer is not the organization's any more");
  const answer = await findAtStripe("customer", () => run.stripe.customers.retrieve(customerId));
  const isGone = !answer || answer.deleted === true;
  const rows = await asPlatform((tx) =>
    tx.organizationSubscription.findMany({
      where: { organizationId, status: { notIn: ["cancelled", "expired"] } },
      select: { stripeSubscriptionId: true },
      orderBy: { startedAt: "asc" },
    }),
  );
  const results: SyncResult[] = [];
  for (const { stripeSubscriptionId: id } of rows) {
    results.push(await syncSubscription(run, id));
    // Stripe cancels what a customer has with it; whatever it says of one later, there is nobody who pays for it.
    if (isGone) await endHere(run, id);
  }
  if (!isGone) return rows.length > 0 ? together(results) : told("nothing of the customer is shown");
  await run.lock.save((tx) => unlinkCustomer(tx, organizationId, customerId));
  return together([...results, told("the customer was deleted and is unlinked")]);
}
