// Gives money back: whole or in part, never more than was paid.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import { formatMoney } from "../money";
import type { Charge, Metadata, Refund } from "../types";
import type { World } from "../world";

/** Refunds a charge; without an amount, what is left of it. */
export function refundCharge(
  world: World,
  charge: Charge,
  given: { amount?: number; reason?: Refund["reason"]; metadata?: Metadata },
): Refund {
  const left = charge.amount_captured - charge.amount_refunded;
  const { currency } = charge;
  if (charge.status !== "succeeded") {
    throw invalidRequest(
      `Charge ${charge.id} cannot be refunded because it did not succeed.`,
      undefined,
      "charge_not_refundable",
    );
  }
  if (left === 0) {
    throw invalidRequest(`Charge ${charge.id} has already been refunded.`, undefined, "charge_already_refunded");
  }
  const amount = given.amount ?? left;
  if (amount > left) {
    throw invalidRequest(
      `Refund amount (${formatMoney(amount, currency)}) is greater than unrefunded amount on charge (${formatMoney(left, currency)})`,
      "amount",
    );
  }
  const refund = world.refunds.put({
    id: newId("re"),
    object: "refund",
    amount,
    balance_transaction: newId("txn"),
    charge: charge.id,
    created: world.now(),
    currency,
    customer: charge.customer,
    customer_account: null,
    destination_details: {
      card: { reference_status: "pending", reference_type: "acquirer_reference_number", type: "refund" },
      type: "card",
    },
    metadata: given.metadata ?? {},
    payment_intent: charge.payment_intent,
    payment_method: charge.payment_method,
    reason: given.reason ?? null,
    receipt_number: null,
    source_transfer_reversal: null,
    status: "succeeded",
    transfer_reversal: null,
  } satisfies Refund);
  const refunded = charge.amount_refunded + amount;
  world.events.emit("refund.created", refund);
  world.change(
    world.charges,
    charge.id,
    { amount_refunded: refunded, refunded: refunded === charge.amount_captured },
    "charge.refunded",
  );
  world.events.emit("refund.updated", refund, { ...world.events.snapshot(refund), balance_transaction: null });
  return refund;
}
