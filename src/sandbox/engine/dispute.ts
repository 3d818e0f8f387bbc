// Disputes: the customer's bank takes a payment back, or inquires first; evidence, deadlines and how it ends.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import { formatMoney } from "../money";
import type { Charge, Dispute, Metadata } from "../types";
import type { World } from "../world";
import { recordMovement } from "./balance";
import { cardBehind } from "./cards";
import { BANK_SECONDS, failRefund, isGiven } from "./refund";
import { onPaymentDisputed } from "./subscription-state";

const DAY = 86_400;
/** Days to answer; the last one counts to its end. */
const RESPONSE_DAYS = 8;
/** An inquiry that its bank has not turned into a chargeback by then never will be. */
const INQUIRY_DAYS = 120;
/** What the network charges for a chargeback, in minor units of any currency. It stays lost when the dispute is won. */
const DISPUTE_FEE = 1500;

/** Why payments are disputed, and what Visa and Mastercard call it. */
export const DISPUTE_REASONS: Record<string, { visa: string; mastercard: string } | null> = {
  bank_cannot_process: null,
  check_returned: null,
  credit_not_processed: { visa: "13.6", mastercard: "4860" },
  customer_initiated: null,
  debit_not_authorized: null,
  duplicate: { visa: "12.6", mastercard: "4834" },
  fraudulent: { visa: "10.4", mastercard: "4837" },
  general: null,
  incorrect_account_details: null,
  insufficient_funds: null,
  noncompliant: null,
  product_not_received: { visa: "13.1", mastercard: "4855" },
  product_unacceptable: { visa: "13.3", mastercard: "4853" },
  subscription_canceled: { visa: "13.2", mastercard: "4841" },
  unrecognized: { visa: "10.4", mastercard: "4837" },
};

/** What evidence makes of a dispute here, as in Stripe's test mode. */
const VERDICTS: Record<string, "win" | "lose" | "escalate"> = {
  winning_evidence: "win",
  losing_evidence: "lose",
  escalate_inquiry_evidence: "escalate",
};

const CLOSED = new Set<Dispute["status"]>(["won", "lost", "warning_closed"]);

export function isClosed({ status }: Dispute): boolean {
  return CLOSED.has(status);
}

export function isInquiry({ status }: Dispute): boolean {
  return status.startsWith("warning_");
}

function noEvidence(charge: Charge): Dispute["evidence"] {
  return {
    access_activity_log: null,
    billing_address: null,
    cancellation_policy: null,
    cancellation_policy_disclosure: null,
    cancellation_rebuttal: null,
    customer_communication: null,
    customer_email_address: charge.billing_details.email,
    customer_name: charge.billing_details.name,
    customer_purchase_ip: null,
    customer_signature: null,
    duplicate_charge_documentation: null,
    duplicate_charge_explanation: null,
    duplicate_charge_id: null,
    enhanced_evidence: {},
    product_description: null,
    receipt: null,
    refund_policy: null,
    refund_policy_disclosure: null,
    refund_refusal_explanation: null,
    service_date: null,
    service_documentation: null,
    shipping_address: null,
    shipping_carrier: null,
    shipping_date: null,
    shipping_documentation: null,
    shipping_tracking_number: null,
    uncategorized_file: null,
    uncategorized_text: null,
  } satisfies Dispute["evidence"];
}

/** What the card network says. Stripe tells nothing of the kind about a bank account. */
function cardDetails(charge: Charge, reason: string, inquiry: boolean): Dispute["payment_method_details"] {
  if (charge.payment_method_details?.type !== "card") return undefined;
  const brand = charge.payment_method_details?.card?.brand ?? "visa";
  const codes = DISPUTE_REASONS[reason];
  const code = brand === "visa" ? codes?.visa : brand === "mastercard" ? codes?.mastercard : undefined;
  return {
    type: "card",
    card: {
      brand,
      case_type: inquiry ? "inquiry" : "chargeback",
      network: brand,
      // The category alone: an inquiry has no code of its own yet.
      network_reason_code: (inquiry ? code?.split(".")[0] : code) ?? null,
    },
  };
}

/** What no other dispute holds or has taken, in minor units. */
function undisputed(world: World, charge: Charge): number {
  const taken = world.disputes
    .by("charge", charge.id)
    .filter(({ status }) => status !== "won" && status !== "warning_closed")
    .reduce((sum, dispute) => sum + dispute.amount, 0);
  return charge.amount_captured - taken;
}

/** What a dispute of a charge takes when nobody says how much: what has neither been given back nor been disputed. */
export function disputableOf(world: World, charge: Charge): number {
  return Math.min(undisputed(world, charge), charge.amount_captured - charge.amount_refunded);
}

function withdraw(world: World, dispute: Dispute): Dispute["balance_transactions"][number] {
  return recordMovement(world, {
    kind: "dispute",
    amount: -dispute.amount,
    currency: dispute.currency,
    source: dispute.id,
    description: `Chargeback withdrawal for ${dispute.charge}`,
    fee: { amount: DISPUTE_FEE, description: "Dispute fee" },
  });
}

/** The last second of the last day on which evidence is taken. */
function dueBy(now: number): number {
  return (Math.floor(now / DAY) + RESPONSE_DAYS + 1) * DAY - 1;
}

/**
 * The customer's bank disputes a payment. Without an amount (minor units): what has not been given back of it.
 * A larger amount, up to the whole payment, is possible after partial refunds too: banks do that.
 */
export function openDispute(
  world: World,
  charge: Charge,
  given: { amount?: number; reason?: string; inquiry?: boolean },
): Dispute {
  const { reason = "fraudulent", inquiry = false } = given;
  if (charge.status !== "succeeded") throw invalidRequest(`Charge ${charge.id} did not succeed: nothing to dispute.`);
  // A refund that is still on its way does not reach a customer whose bank takes the money.
  for (const refund of inquiry ? [] : world.refunds.by("charge", charge.id)) {
    if (refund.status === "pending") failRefund(world, refund, "charge_for_pending_refund_disputed");
  }
  const limit = undisputed(world, charge);
  const amount = given.amount ?? disputableOf(world, world.charges.get(charge.id) ?? charge);
  if (amount < 1 || amount > limit) {
    throw invalidRequest(
      amount < 1
        ? `Nothing is left of charge ${charge.id} to dispute.`
        : `At most ${formatMoney(limit, charge.currency)} of charge ${charge.id} can be disputed.`,
      "amount",
    );
  }
  const now = world.now();
  const draft = {
    id: newId("du"),
    object: "dispute",
    amount,
    balance_transactions: [],
    charge: charge.id,
    created: now,
    currency: charge.currency,
    enhanced_eligibility_types: [],
    evidence: noEvidence(charge),
    evidence_details: {
      due_by: dueBy(now),
      enhanced_eligibility: {},
      has_evidence: false,
      past_due: false,
      submission_count: 0,
      submission_method: "not_submitted",
    },
    intended_submission_method: null,
    is_charge_refundable: inquiry,
    livemode: false,
    metadata: {},
    payment_intent: charge.payment_intent,
    payment_method_details: cardDetails(charge, reason, inquiry),
    reason,
    status: inquiry ? "warning_needs_response" : "needs_response",
  } satisfies Dispute;
  const dispute = world.disputes.put({ ...draft, balance_transactions: inquiry ? [] : [withdraw(world, draft)] });
  if (inquiry) {
    const refundsBefore = world.refunds.by("charge", charge.id).map(({ id }) => id);
    world.inquirySecrets.put({ id: dispute.id, refundsBefore });
  }
  world.charges.patch(charge.id, { disputed: true });
  world.events.emit("charge.dispute.created", dispute);
  if (!inquiry) onPaymentDisputed(world, charge.payment_intent);
  if (!inquiry) world.events.emit("charge.dispute.funds_withdrawn", dispute);
  const deadline = inquiry ? now + INQUIRY_DAYS * DAY : dueBy(now);
  world.scheduler.plan("dispute.deadline", dispute.id, deadline, world.clockOf(charge.customer));
  return dispute;
}

/** The owner of a test card disputes what was paid with it. */
export function openDisputeOfCard(world: World, chargeId: string): void {
  const charge = world.charges.get(chargeId);
  const wanted = charge?.payment_method ? cardBehind(world, charge.payment_method).disputes : undefined;
  if (!charge || !wanted || charge.refunded) return;
  world.onClockOf(charge.customer, () => openDispute(world, charge, wanted));
}

/** Keeps evidence; unless it is only staged, the bank begins to weigh it. Null takes a piece of evidence away. */
export function updateDispute(
  world: World,
  dispute: Dispute,
  given: {
    evidence?: Partial<Dispute["evidence"]>;
    metadata: Metadata;
    submit?: boolean;
    method?: Dispute["intended_submission_method"];
  },
): Dispute {
  refuseIfClosed(dispute);
  const evidence = { ...dispute.evidence, ...given.evidence };
  const brought = Object.values(given.evidence ?? {}).some((piece) => piece !== null);
  const has_evidence = dispute.evidence_details.has_evidence || brought;
  const submits = given.submit ?? given.evidence !== undefined;
  if (submits && !has_evidence) throw invalidRequest("There is no evidence to submit.", "submit");
  const { evidence_details: details } = dispute;
  const after = world.change(
    world.disputes,
    dispute.id,
    {
      evidence,
      metadata: given.metadata,
      intended_submission_method: given.method ?? dispute.intended_submission_method,
      evidence_details: {
        ...details,
        has_evidence,
        submission_count: details.submission_count + (submits ? 1 : 0),
        submission_method: submits ? "manual" : details.submission_method,
      },
      ...(submits && { status: isInquiry(dispute) ? "warning_under_review" : "under_review" }),
    },
    "charge.dispute.updated",
  );
  if (submits) {
    const customer = world.charges.get(dispute.charge)?.customer ?? null;
    world.scheduler.plan("dispute.decide", dispute.id, world.bankTime(customer) + BANK_SECONDS, null);
  }
  return after;
}

/** The bank has weighed the evidence. Other words than the test ones leave it thinking. */
export function decideDispute(world: World, id: string): void {
  const dispute = world.disputes.get(id);
  if (!dispute || isClosed(dispute)) return;
  const verdict = VERDICTS[dispute.evidence.uncategorized_text?.trim() ?? ""];
  world.onClockOf(world.charges.get(dispute.charge)?.customer ?? null, () => {
    if (verdict === "escalate" && isInquiry(dispute)) escalateInquiry(world, dispute);
    else if (verdict === "win") winDispute(world, dispute);
    else if (verdict === "lose") loseDispute(world, dispute);
  });
}

/** Time is up: an unanswered chargeback is lost, an inquiry has come to nothing. */
export function passDeadline(world: World, id: string): void {
  const dispute = world.disputes.get(id);
  if (dispute?.status === "needs_response") end(world, dispute, "lost");
  else if (dispute && isInquiry(dispute) && !isClosed(dispute)) end(world, dispute, "warning_closed");
}

function refuseIfClosed(dispute: Dispute): void {
  if (isClosed(dispute)) throw invalidRequest("This dispute is already closed");
}

function end(world: World, dispute: Dispute, status: "lost" | "warning_closed"): Dispute {
  refuseIfClosed(dispute);
  world.scheduler.forget(dispute.id);
  return world.change(world.disputes, dispute.id, { status }, "charge.dispute.closed");
}

/** The bank sides with the merchant: what it took comes back, without the fee. An inquiry is closed. */
export function winDispute(world: World, dispute: Dispute): Dispute {
  if (isInquiry(dispute)) return end(world, dispute, "warning_closed");
  refuseIfClosed(dispute);
  world.scheduler.forget(dispute.id);
  const reversal = recordMovement(world, {
    kind: "dispute_reversal",
    amount: dispute.amount,
    currency: dispute.currency,
    source: dispute.id,
    description: `Chargeback reversal for ${dispute.charge}`,
  });
  const before = world.events.snapshot(dispute);
  const won = world.disputes.patch(dispute.id, {
    status: "won",
    is_charge_refundable: true,
    balance_transactions: [...dispute.balance_transactions, reversal],
  });
  world.events.emit("charge.dispute.funds_reinstated", won, before);
  world.events.emit("charge.dispute.closed", won, before);
  return won;
}

/** The bank sides with its customer; what it took stays taken. An inquiry is closed without a chargeback. */
export function loseDispute(world: World, dispute: Dispute): Dispute {
  return end(world, dispute, isInquiry(dispute) ? "warning_closed" : "lost");
}

/** The merchant accepts the dispute. */
export function acceptDispute(world: World, dispute: Dispute): Dispute {
  refuseIfClosed(dispute);
  if (isInquiry(dispute)) throw invalidRequest("An inquiry cannot be accepted; refund the payment instead.");
  return end(world, dispute, "lost");
}

/**
 * An inquiry becomes a chargeback: the money is taken now, and refunds that were made meanwhile fail.
 * Of a payment that was wholly refunded nothing more is taken, so the inquiry is closed.
 */
export function escalateInquiry(world: World, dispute: Dispute): Dispute {
  refuseIfClosed(dispute);
  const charge = world.charges.get(dispute.charge);
  if (!charge || !isInquiry(dispute)) throw invalidRequest("This dispute is not an inquiry.");
  if (charge.refunded) return end(world, dispute, "warning_closed");
  const before = new Set(world.inquirySecrets.get(dispute.id)?.refundsBefore);
  for (const refund of world.refunds.by("charge", charge.id)) {
    if (isGiven(refund) && !before.has(refund.id)) failRefund(world, refund, "charge_for_pending_refund_disputed");
  }
  const { evidence_details: details } = dispute;
  const now = world.now();
  const snapshot = world.events.snapshot(dispute);
  const escalated = world.disputes.patch(dispute.id, {
    status: "needs_response",
    is_charge_refundable: false,
    balance_transactions: [withdraw(world, dispute)],
    payment_method_details: cardDetails(charge, dispute.reason, false),
    evidence_details: { ...details, due_by: dueBy(now) },
  });
  world.events.emit("charge.dispute.updated", escalated, snapshot);
  world.events.emit("charge.dispute.funds_withdrawn", escalated, snapshot);
  world.scheduler.forget(dispute.id);
  world.scheduler.plan("dispute.deadline", dispute.id, dueBy(now), world.clockOf(charge.customer));
  return escalated;
}
