// A payment and what was taken back of it, in our words.
import type { PaymentTruth } from "~/domain/claims";
import { findAtStripe, idOf, type Stripe, toDate, toDateOrNull } from "./index";
import { listAll, listIfThere } from "./lists";

/** Types of payment methods whose bank says days after it was asked whether it pays. */
export const DEBITS: ReadonlySet<string> = new Set([
  "acss_debit",
  "au_becs_debit",
  "bacs_debit",
  "nz_bank_account",
  "sepa_debit",
  "us_bank_account",
]);

export interface RefundFacts {
  id: string;
  /** Minor units. */
  amount: number;
  status: string;
  reason: string | null;
  createdAt: Date;
}

export interface DisputeFacts {
  id: string;
  /** Minor units; more than what was left of the payment where the bank wants it so. */
  amount: number;
  /** `open`: the money is withdrawn and nothing is decided. `none`: an inquiry, or won: the money is here. */
  standing: "open" | "lost" | "none";
  /** In Stripe's words. */
  status: string;
  reason: string;
  /** Until when evidence is taken. */
  dueBy: Date | null;
  createdAt: Date;
}

export interface PaymentFacts {
  id: string;
  customerId: string | null;
  metadataOrganizationId: string | null;
  currency: string;
  /** Null while nothing is paid. */
  truth: PaymentTruth | null;
  /** Newest first, as the disputes. */
  refunds: RefundFacts[];
  disputes: DisputeFacts[];
}

/** A payment with everything that was taken back of it; null where Stripe does not have it. */
export async function fetchPayment(stripe: Stripe, paymentIntentId: string): Promise<PaymentFacts | null> {
  const intent = await findAtStripe("payment_intent", () =>
    stripe.paymentIntents.retrieve(paymentIntentId, { expand: ["latest_charge"] }),
  );
  if (!intent) return null;
  const charge = typeof intent.latest_charge === "object" ? intent.latest_charge : null;
  const paid = charge?.status === "succeeded" ? charge.amount_captured : 0;
  const refunds: RefundFacts[] = [];
  const disputes: DisputeFacts[] = [];
  if (paid > 0) {
    const about = { payment_intent: intent.id };
    refunds.push(...(await listAll((page) => stripe.refunds.list({ ...about, ...page }))).map(readRefund));
    disputes.push(...(await listAll((page) => stripe.disputes.list({ ...about, ...page }))).map(readDispute));
  }
  return {
    id: intent.id,
    customerId: idOf(intent.customer),
    metadataOrganizationId: intent.metadata.organizationId ?? null,
    currency: intent.currency,
    truth: paid > 0 ? truthOf(paid, refunds, disputes) : null,
    refunds,
    disputes,
  };
}

/** Stripe's id of the invoice that a payment pays, which the payment does not name; null where it pays none. */
export async function findInvoiceOfPayment(stripe: Stripe, paymentIntentId: string): Promise<string | null> {
  const payment = { type: "payment_intent", payment_intent: paymentIntentId } as const;
  const [paid] = await listIfThere((page) => stripe.invoicePayments.list({ payment, ...page }));
  return idOf(paid?.invoice);
}

// Not the charge's own sum: that one may still count a refund that has failed.
function truthOf(amount: number, refunds: RefundFacts[], disputes: DisputeFacts[]): PaymentTruth {
  const sum = (parts: { amount: number }[]) =>
    Math.min(
      amount,
      parts.reduce((total, part) => total + part.amount, 0),
    );
  return {
    amount,
    refunded: sum(refunds.filter(isGiven)),
    disputed: sum(disputes.filter((dispute) => dispute.standing === "open")),
    lost: sum(disputes.filter((dispute) => dispute.standing === "lost")),
  };
}

/** Whether a refund's money is at the customer or on its way there. */
export function isGiven(refund: RefundFacts): boolean {
  return refund.status !== "failed" && refund.status !== "canceled";
}

function readRefund(refund: Stripe.Refund): RefundFacts {
  return {
    id: refund.id,
    amount: refund.amount,
    status: refund.status ?? "pending",
    reason: refund.reason,
    createdAt: toDate(refund.created),
  };
}

function readDispute(dispute: Stripe.Dispute): DisputeFacts {
  return {
    id: dispute.id,
    amount: dispute.amount,
    standing: standingOf(dispute),
    status: dispute.status,
    reason: dispute.reason,
    dueBy: toDateOrNull(dispute.evidence_details.due_by),
    createdAt: toDate(dispute.created),
  };
}

const OPEN_DISPUTES = new Set<string>([
  "needs_response",
  "under_review",
  "appeal_needs_response",
  "appeal_under_review",
]);

function standingOf({ status, balance_transactions }: Stripe.Dispute): DisputeFacts["standing"] {
  if (status === "won" || status.startsWith("warning_")) return "none";
  if (status === "lost") return "lost";
  if (OPEN_DISPUTES.has(status)) return "open";
  // Prevented ones, and what Stripe may name one day: where the money went decides.
  const moved = balance_transactions.reduce((sum, movement) => sum + movement.amount, 0);
  if (moved >= 0) return "none";
  return status === "prevented" ? "lost" : "open";
}
