// What the customer's bank does when it is told to: controls that refund nothing by themselves, but fail a refund,
// open a dispute or decide one, take or return a debit, whatever the card or account.
import { failDebit, succeedDebit } from "./engine/debits";
import { DISPUTE_REASONS, escalateInquiry, loseDispute, openDispute, winDispute } from "./engine/dispute";
import { acceptRefund, cancelRefund, failRefund, REFUND_FAILURES } from "./engine/refund";
import { invalidRequest, missingResource } from "./errors";
import type { Charge, Dispute, PaymentIntent, Refund } from "./types";
import type { World } from "./world";

const REFUND_ACTIONS = {
  succeed: acceptRefund,
  cancel: cancelRefund,
  fail: (world: World, refund: Refund, reason: unknown) => failRefund(world, refund, failureOf(reason)),
};

const DISPUTE_ACTIONS = { win: winDispute, lose: loseDispute, escalate: escalateInquiry };

const PAYMENT_ACTIONS = { succeed: succeedDebit, fail: failDebit };

export type PaymentAction = keyof typeof PAYMENT_ACTIONS;
export type RefundAction = keyof typeof REFUND_ACTIONS;
export type DisputeAction = keyof typeof DISPUTE_ACTIONS;

export function isRefundAction(word: string): word is RefundAction {
  return Object.hasOwn(REFUND_ACTIONS, word);
}

export function isPaymentAction(word: string): word is PaymentAction {
  return Object.hasOwn(PAYMENT_ACTIONS, word);
}

export function isDisputeAction(word: string): word is DisputeAction {
  return Object.hasOwn(DISPUTE_ACTIONS, word);
}

function failureOf(reason: unknown = "unknown") {
  const found = REFUND_FAILURES.find((word) => word === reason);
  if (!found) throw invalidRequest(`\`reason\` must be one of ${REFUND_FAILURES.join(", ")}`);
  return found;
}

/** Does something to a refund, at the present of its customer's clock. */
export function actOnRefund(world: World, id: string, action: RefundAction, reason?: unknown): Refund {
  const refund = world.refunds.get(id);
  if (!refund) throw missingResource("refund", id);
  return world.store.transaction(() =>
    world.onClockOf(refund.customer, () => REFUND_ACTIONS[action](world, refund, reason)),
  );
}

/** Decides a debit that is on its way, at the present of its customer's clock. */
export function actOnPayment(world: World, id: string, action: PaymentAction, code?: unknown): PaymentIntent {
  const customer = world.paymentIntents.get(id)?.customer ?? null;
  return world.store.transaction(() => world.onClockOf(customer, () => PAYMENT_ACTIONS[action](world, id, code)));
}

/** Decides a dispute, at the present of its customer's clock. */
export function actOnDispute(world: World, id: string, action: DisputeAction): Dispute {
  const dispute = world.disputes.get(id);
  if (!dispute) throw missingResource("dispute", id);
  const customer = world.charges.get(dispute.charge)?.customer ?? null;
  return world.store.transaction(() => world.onClockOf(customer, () => DISPUTE_ACTIONS[action](world, dispute)));
}

function chargeOf(world: World, given: Record<string, unknown>): Charge {
  const { charge, payment_intent: payment } = given;
  if ((typeof charge === "string") === (typeof payment === "string")) {
    throw invalidRequest("Give either `payment_intent` or `charge`");
  }
  const id = typeof payment === "string" ? world.paymentIntents.get(payment)?.latest_charge : charge;
  const found = typeof id === "string" ? world.charges.get(id) : undefined;
  if (found) return found;
  throw typeof payment === "string"
    ? missingResource("payment_intent", payment)
    : missingResource("charge", String(charge));
}

const KNOWN = new Set(["payment_intent", "charge", "amount", "reason", "inquiry"]);

/** Opens a dispute of a payment as its customer's bank would: `{ payment_intent | charge, amount?, reason?, inquiry? }`. */
export function openDisputeOf(world: World, given: Record<string, unknown>): Dispute {
  const unknown = Object.keys(given).find((key) => !KNOWN.has(key));
  if (unknown !== undefined) throw invalidRequest(`There is no \`${unknown}\` here`);
  const { amount, reason = "fraudulent", inquiry = false } = given;
  if (amount !== undefined && !(typeof amount === "number" && Number.isSafeInteger(amount) && amount > 0)) {
    throw invalidRequest("`amount` must be a whole number of minor units");
  }
  if (typeof reason !== "string" || !Object.hasOwn(DISPUTE_REASONS, reason)) {
    throw invalidRequest(`\`reason\` must be one of ${Object.keys(DISPUTE_REASONS).join(", ")}`);
  }
  if (typeof inquiry !== "boolean") throw invalidRequest("`inquiry` must be true or false");
  const charge = chargeOf(world, given);
  return world.store.transaction(() =>
    world.onClockOf(charge.customer, () => openDispute(world, charge, { amount, reason, inquiry })),
  );
}
