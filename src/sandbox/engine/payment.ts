// Money moves (it does not): payment intents, and what a card or a bank answers.
import { invalidRequest } from "../errors";
import { newId, randomText } from "../ids";
import type { Charge, Metadata, PaymentIntent, PaymentMethod, Stored } from "../types";
import type { World } from "../world";
import { DEBITS, refuseOtherCurrency } from "./bank-accounts";
import { AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, cardBehind, type Failure, type TestMethod } from "./cards";
import { createCharge, decided } from "./charge";

export type Outcome =
  | { kind: "succeeded"; charge: Charge }
  | { kind: "failed"; failure: Failure; charge: Charge | null }
  | { kind: "requires_action" }
  /** A bank was asked, and will answer in some days. */
  | { kind: "processing"; charge: Charge };

export interface NewIntent {
  amount: number;
  currency: string;
  customer: string | null;
  description?: string | null;
  metadata?: Metadata;
  setupFutureUsage?: "off_session" | "on_session" | null;
  receiptEmail?: string | null;
  /** Left out: cards. */
  types?: string[];
}

/** A payment that waits for a payment method. */
export function createIntent(world: World, given: NewIntent): PaymentIntent {
  const id = newId("pi");
  const intent = world.paymentIntents.put({
    id,
    object: "payment_intent",
    allowed_payment_method_types: null,
    amount: given.amount,
    amount_capturable: 0,
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: null,
    cancellation_reason: null,
    capture_method: "automatic",
    client_secret: `${id}_secret_${randomText(24)}`,
    confirmation_method: "automatic",
    created: world.now(),
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    description: given.description ?? null,
    excluded_payment_method_types: null,
    last_payment_error: null,
    latest_charge: null,
    livemode: false,
    managed_payments: null,
    metadata: given.metadata ?? {},
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: {
      card: { installments: null, mandate_options: null, network: null, request_three_d_secure: "automatic" },
    },
    payment_method_types: given.types ?? ["card"],
    payment_record: null,
    processing: null,
    receipt_email: given.receiptEmail ?? null,
    review: null,
    setup_future_usage: given.setupFutureUsage ?? null,
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: "requires_payment_method",
    transfer_data: null,
    transfer_group: null,
  } satisfies PaymentIntent);
  world.events.emit("payment_intent.created", intent);
  return intent;
}

function lastError(
  failure: Failure,
  charge: Charge | null,
  method: PaymentMethod,
): Stored<PaymentIntent["last_payment_error"]> {
  return {
    type: "card_error",
    code: failure.code,
    ...(failure.declineCode && { decline_code: failure.declineCode }),
    doc_url: `https://stripe.com/docs/error-codes/${failure.code.replaceAll("_", "-")}`,
    message: failure.message,
    ...(charge && { charge: charge.id }),
    payment_method: method as never,
  };
}

function fail(world: World, intent: PaymentIntent, method: PaymentMethod, failure: Failure, charged: boolean): Outcome {
  return markFailed(world, intent, method, failure, charged ? createCharge(world, intent, method, failure) : null);
}

function markFailed(
  world: World,
  intent: PaymentIntent,
  method: PaymentMethod,
  failure: Failure,
  charge: Charge | null,
): Outcome {
  if (charge) world.events.emit("charge.failed", charge);
  const failed = world.paymentIntents.patch(intent.id, {
    status: "requires_payment_method",
    payment_method: null,
    next_action: null,
    latest_charge: charge?.id ?? intent.latest_charge,
    last_payment_error: lastError(failure, charge, method),
  });
  world.events.emit("payment_intent.payment_failed", failed);
  return { kind: "failed", failure, charge };
}

function succeed(world: World, intent: PaymentIntent, method: PaymentMethod): Outcome {
  return markSucceeded(world, intent, method, createCharge(world, intent, method, null));
}

function markSucceeded(world: World, intent: PaymentIntent, method: PaymentMethod, charge: Charge): Outcome {
  const paid = world.paymentIntents.patch(intent.id, {
    status: "succeeded",
    payment_method: method.id,
    next_action: null,
    last_payment_error: null,
    latest_charge: charge.id,
    amount_received: intent.amount,
  });
  world.events.emit("charge.succeeded", charge);
  world.events.emit("payment_intent.succeeded", paid);
  if (cardBehind(world, method.id).disputes) {
    world.scheduler.plan("dispute.open", charge.id, world.bankTime(charge.customer), null);
  }
  return { kind: "succeeded", charge };
}

/** Asks a bank for the money. What it says comes days later, on the customer's clock. */
function beginDebit(
  world: World,
  intent: PaymentIntent,
  method: PaymentMethod,
  { type, stays }: NonNullable<TestMethod["debit"]>,
): Outcome {
  refuseOtherCurrency(type, intent.currency);
  const charge = createCharge(world, intent, method, null, true);
  const waiting = world.paymentIntents.patch(intent.id, {
    status: "processing",
    payment_method: method.id,
    payment_method_types: [...new Set([...intent.payment_method_types, type])],
    next_action: null,
    last_payment_error: null,
    latest_charge: charge.id,
  });
  world.events.emit("charge.pending", charge);
  world.events.emit("payment_intent.processing", waiting);
  const at = stays ? null : world.now() + DEBITS[type].takesSeconds;
  world.scheduler.plan("payment.decide", intent.id, at, world.clockOf(intent.customer));
  return { kind: "processing", charge };
}

/** The bank has answered: the pending charge succeeds or fails, and its payment with it. */
export function decideDebit(world: World, intent: PaymentIntent, failure: Failure | null): Outcome {
  const pending = intent.latest_charge ? world.charges.get(intent.latest_charge) : undefined;
  const method = intent.payment_method ? world.paymentMethods.get(intent.payment_method) : undefined;
  if (!pending || !method) throw new Error(`payment intent ${intent.id} has no charge that waits`);
  const charge = world.charges.patch(pending.id, decided(world, pending, failure));
  return failure ? markFailed(world, intent, method, failure, charge) : markSucceeded(world, intent, method, charge);
}

/** Charges a card or asks a bank. `offSession`: the owner is not there to authenticate. */
export function confirmIntent(world: World, id: string, method: PaymentMethod, { offSession = false } = {}): Outcome {
  const intent = world.paymentIntents.get(id);
  if (!intent) throw new Error(`payment intent ${id} is gone`);
  if (intent.status === "processing") {
    throw invalidRequest(
      "This PaymentIntent's status is processing, so it cannot be confirmed.",
      undefined,
      "payment_intent_unexpected_state",
    );
  }
  const card = cardBehind(world, method.id);
  if (card.debit) return beginDebit(world, intent, method, card.debit);
  const failure = card.declines ?? card.declinesLater;
  if (failure) return fail(world, intent, method, failure, true);
  const authenticated = card.authentication === "once" && world.cards.get(method.id)?.authenticated;
  if (!card.authentication || authenticated) return succeed(world, intent, method);
  if (offSession) return fail(world, intent, method, AUTHENTICATION_REQUIRED, true);
  const waiting = world.paymentIntents.patch(id, {
    status: "requires_action",
    payment_method: method.id,
    last_payment_error: null,
    next_action: {
      type: "redirect_to_url",
      redirect_to_url: { return_url: null, url: `${world.url}/authenticate/${id}` },
    },
  });
  world.events.emit("payment_intent.requires_action", waiting);
  return { kind: "requires_action" };
}

/** The owner has authenticated a waiting payment, or has refused to. */
export function authenticateIntent(world: World, id: string, success: boolean): Outcome {
  const intent = world.paymentIntents.get(id);
  const method = intent?.payment_method ? world.paymentMethods.get(intent.payment_method) : undefined;
  if (!intent || !method || intent.status !== "requires_action") throw new Error(`payment intent ${id} does not wait`);
  if (!success) return fail(world, intent, method, AUTHENTICATION_FAILED, false);
  const secret = world.cards.get(method.id);
  if (secret) world.cards.put({ ...secret, authenticated: true });
  return succeed(world, intent, method);
}

/** Gives a payment up, e.g. because its invoice was voided. */
export function cancelIntent(
  world: World,
  id: string,
  reason: PaymentIntent["cancellation_reason"],
): PaymentIntent | null {
  const intent = world.paymentIntents.get(id);
  if (!intent || intent.status === "succeeded" || intent.status === "canceled") return null;
  if (intent.status === "processing") recall(world, intent);
  const canceled = world.paymentIntents.patch(id, {
    status: "canceled",
    canceled_at: world.now(),
    cancellation_reason: reason,
    next_action: null,
  });
  world.events.emit("payment_intent.canceled", canceled);
  return canceled;
}

/** The bank is told to forget the debit. */
function recall(world: World, intent: PaymentIntent): void {
  world.scheduler.plan("payment.decide", intent.id, null, null);
  const pending = intent.latest_charge ? world.charges.get(intent.latest_charge) : undefined;
  if (pending?.status !== "pending") return;
  const failure: Failure = { code: "processing_error", message: "The payment was canceled." };
  world.events.emit("charge.failed", world.charges.patch(pending.id, decided(world, pending, failure)));
}
