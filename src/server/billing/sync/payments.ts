// Payments: what one was for, and what was taken back of it by refunds and disputes.
import type { PaymentTruth } from "~/domain/claims";
import type { Transaction } from "../../db";
import { callStripe, expectPage, idOf, type Stripe } from "../../stripe";
import type { InvoiceFacts } from "../../stripe/invoice-facts";
import { listIfThere } from "../../stripe/lists";
import { type DisputeFacts, findInvoiceOfPayment, isGiven, type PaymentFacts } from "../../stripe/payment-facts";
import { raiseAlert, resolveAlert } from "../alerts";
import { findPacksByStripePrice } from "../catalogue";
import type { ClaimCauses } from "../claims";
import type { SyncRun } from "./run";

/** What a payment was for, with the other payments for it. */
export interface Purpose {
  kind: "session" | "invoice";
  id: string;
  /** The invoice of either kind; null for a checkout without one. */
  invoiceId: string | null;
  paymentIntentIds: string[];
}

export async function findPurpose(run: SyncRun, paymentIntentId: string): Promise<Purpose | null> {
  const session = await findSessionOfPayment(run, paymentIntentId);
  if (session) return { kind: "session", id: session.id, invoiceId: idOf(session.invoice), paymentIntentIds: [] };
  const invoice = await findInvoiceOfPayment(run.stripe, paymentIntentId);
  if (!invoice) return null;
  const all = await callStripe(async () =>
    expectPage(await run.stripe.invoicePayments.list({ invoice, status: "paid", limit: 100 })),
  );
  const paymentIntentIds = all.map(({ payment }) => idOf(payment.payment_intent)).filter((id) => id !== null);
  return { kind: "invoice", id: invoice, invoiceId: invoice, paymentIntentIds };
}

async function findSessionOfPayment(
  { stripe }: SyncRun,
  paymentIntentId: string,
): Promise<Stripe.Checkout.Session | null> {
  const [session] = await callStripe(async () =>
    expectPage(await stripe.checkout.sessions.list({ payment_intent: paymentIntentId, limit: 1 })),
  );
  return session ?? null;
}

/**
 * The checkout that made an invoice: it makes one for a pack too, and the purchase is told by its session. Where nothing was to
 * be paid no payment leads to it.
 */
export async function findSessionOfInvoice(run: SyncRun, invoice: InvoiceFacts): Promise<string | null> {
  for (const paymentIntentId of invoice.paymentIntentIds) {
    const session = await findSessionOfPayment(run, paymentIntentId);
    if (session) return session.id;
  }
  const { customerId } = invoice;
  const prices = invoice.lines.map(({ stripePriceId }) => stripePriceId).filter((id) => id !== null);
  if (invoice.paymentIntentIds.length > 0 || !customerId || (await findPacksByStripePrice(prices)).size === 0)
    return null;
  const sessions = await listIfThere((page) => run.stripe.checkout.sessions.list({ customer: customerId, ...page }));
  return sessions.find((session) => idOf(session.invoice) === invoice.id)?.id ?? null;
}

type PaidFacts = PaymentFacts & { truth: PaymentTruth };

export const isPaid = (facts: PaymentFacts): facts is PaidFacts => facts.truth !== null;

const NOTHING: PaymentTruth = { amount: 0, refunded: 0, disputed: 0, lost: 0 };

/** Keeps what is known of payments, and opens or closes the alerts of their disputes. @returns why their claims change */
export async function savePayments(
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
      invoiceId: purpose.invoiceId,
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
