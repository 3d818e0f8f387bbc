// Gives money back: whole or in part, never more than was paid. What the customer's bank makes of it comes later.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import { formatMoney } from "../money";
import type { Charge, Metadata, Refund, StoredEvent } from "../types";
import type { World } from "../world";
import { recordMovement } from "./balance";
import { cardBehind } from "./cards";

/** How long the customer's bank takes to answer. */
export const BANK_SECONDS = 5;

/** Why a refund may fail, in Stripe's words. */
export const REFUND_FAILURES = [
  "charge_for_pending_refund_disputed",
  "declined",
  "expired_or_canceled_card",
  "insufficient_funds",
  "lost_or_stolen_card",
  "merchant_request",
  "unknown",
] as const;
export type RefundFailure = (typeof REFUND_FAILURES)[number];

/** Neither failed nor canceled: the money is at the customer or on its way. */
export function isGiven({ status }: Refund): boolean {
  return status !== "failed" && status !== "canceled";
}

/** What has been given back of a charge: its refunds that did not fail, in minor units. */
function refundedOf(world: World, chargeId: string): number {
  return world.refunds
    .by("charge", chargeId)
    .filter(isGiven)
    .reduce((sum, refund) => sum + refund.amount, 0);
}

/** The sum on the charge is always the sum of its refunds. */
function countRefunds(world: World, charge: Charge): Partial<Charge> {
  const amount_refunded = refundedOf(world, charge.id);
  return { amount_refunded, refunded: amount_refunded === charge.amount_captured };
}

function refuseUnlessRefundable(world: World, charge: Charge, amount: number, left: number): void {
  const { id, currency } = charge;
  if (charge.status !== "succeeded") {
    throw invalidRequest(
      `Charge ${id} cannot be refunded because it did not succeed.`,
      undefined,
      "charge_not_refundable",
    );
  }
  if (world.disputes.by("charge", id).some((dispute) => !dispute.is_charge_refundable)) {
    throw invalidRequest(`Charge ${id} has been charged back; cannot issue a refund.`, undefined, "charge_disputed");
  }
  if (left === 0) {
    throw invalidRequest(`Charge ${id} has already been refunded.`, undefined, "charge_already_refunded");
  }
  if (amount > left) {
    const limit = charge.amount_refunded === 0 ? "charge amount" : "unrefunded amount on charge";
    throw invalidRequest(
      `Refund amount (${formatMoney(amount, currency)}) is greater than ${limit} (${formatMoney(left, currency)})`,
      "amount",
    );
  }
}

/** Where the money goes: back to what it came from. */
function destinationOf({ payment_method_details: details }: Charge): Refund["destination_details"] {
  const bank = { reference: null, reference_status: "pending" };
  if (details?.us_bank_account) return { type: "us_bank_transfer", us_bank_transfer: bank };
  if (details?.sepa_debit) return { type: "eu_bank_transfer", eu_bank_transfer: bank };
  return {
    card: { reference_status: "pending", reference_type: "acquirer_reference_number", type: "refund" },
    type: "card",
  };
}

/** Refunds a charge; without an amount (minor units), what is left of it. */
export function refundCharge(
  world: World,
  charge: Charge,
  given: { amount?: number; reason?: Refund["reason"]; metadata?: Metadata },
): Refund {
  const left = charge.amount_captured - charge.amount_refunded;
  const amount = given.amount ?? left;
  refuseUnlessRefundable(world, charge, amount, left);
  const { currency } = charge;
  const id = newId("re");
  const pending = charge.payment_method !== null && cardBehind(world, charge.payment_method).refunds === "pending";
  const movement = { kind: "refund", amount: -amount, currency, source: id, description: "REFUND FOR CHARGE" } as const;
  const refund = world.refunds.put({
    id,
    object: "refund",
    amount,
    balance_transaction: recordMovement(world, movement).id,
    charge: charge.id,
    created: world.now(),
    currency,
    customer: charge.customer,
    customer_account: null,
    destination_details: destinationOf(charge),
    metadata: given.metadata ?? {},
    payment_intent: charge.payment_intent,
    payment_method: charge.payment_method,
    ...(pending && { pending_reason: "processing" as const }),
    reason: given.reason ?? null,
    receipt_number: null,
    source_transfer_reversal: null,
    status: pending ? "pending" : "succeeded",
    transfer_reversal: null,
  } satisfies Refund);
  world.events.emit("refund.created", refund);
  world.change(world.charges, charge.id, countRefunds(world, charge), "charge.refunded");
  world.scheduler.plan("refund.settle", id, world.bankTime(charge.customer) + BANK_SECONDS, null);
  return refund;
}

/** Changes a refund and tells of it under every name that Stripe has for that. */
export function changeRefund(
  world: World,
  refund: Refund,
  changes: Partial<Refund>,
  also: StoredEvent["type"][] = [],
): Refund {
  const before = world.events.snapshot(refund);
  const after = world.refunds.patch(refund.id, changes);
  for (const type of ["refund.updated", "charge.refund.updated", ...also] as const) {
    world.events.emit(type, after, before);
  }
  return after;
}

/** The customer's bank answers: it takes the refund and gives it a reference, or returns it. */
export function settleRefund(world: World, id: string): void {
  const refund = world.refunds.get(id);
  if (!refund || !isGiven(refund)) return;
  world.onClockOf(refund.customer, () => {
    const card = refund.payment_method === null ? null : cardBehind(world, refund.payment_method);
    if (card?.refunds === "failing") failRefund(world, refund, "expired_or_canceled_card");
    else acceptRefund(world, refund);
  });
}

/** The bank has taken the refund. A second time nothing happens. */
export function acceptRefund(world: World, refund: Refund): Refund {
  if (!isGiven(refund)) throw invalidRequest(`Refund ${refund.id} is ${refund.status}.`);
  world.scheduler.forget(refund.id);
  const { destination_details: details } = refund;
  const bank = details?.us_bank_transfer ? "us_bank_transfer" : details?.eu_bank_transfer ? "eu_bank_transfer" : null;
  const reference = refund.id.replaceAll(/\D/g, "").padStart(12, "7").slice(0, 12);
  return changeRefund(world, refund, {
    status: "succeeded",
    pending_reason: undefined,
    destination_details: bank
      ? {
          ...details,
          type: bank,
          [bank]: { reference: details?.[bank]?.reference ?? reference, reference_status: "available" },
        }
      : details?.card && {
          ...details,
          card: { ...details.card, reference: details.card.reference ?? reference, reference_status: "available" },
        },
  });
}

function takeBack(world: World, refund: Refund, status: "canceled" | "failed", reason: RefundFailure): Refund {
  world.scheduler.forget(refund.id);
  const { id, amount, currency } = refund;
  const description = "REFUND FAILURE";
  const movement = recordMovement(world, { kind: "refund_failure", amount, currency, source: id, description });
  const changes = {
    status,
    failure_reason: reason,
    failure_balance_transaction: movement.id,
    pending_reason: undefined,
  };
  const after = changeRefund(world, refund, changes, status === "failed" ? ["refund.failed"] : []);
  const charge = refund.charge === null ? undefined : world.charges.get(refund.charge);
  // Stripe has no event of the charge for this: whoever keeps its sum must listen to the refund.
  if (charge) world.charges.patch(charge.id, countRefunds(world, charge));
  return after;
}

/** The money comes back: the refund has failed, also one that had succeeded before. */
export function failRefund(world: World, refund: Refund, reason: RefundFailure): Refund {
  if (!isGiven(refund)) throw invalidRequest(`Refund ${refund.id} is ${refund.status} already.`);
  return takeBack(world, refund, "failed", reason);
}

/** The merchant takes a pending refund back, as on Stripe's dashboard. */
export function cancelRefund(world: World, refund: Refund): Refund {
  if (refund.status !== "pending") throw invalidRequest("Canceling this refund is unsupported.");
  return takeBack(world, refund, "canceled", "merchant_request");
}
