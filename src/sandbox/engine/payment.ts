// Money moves (it does not): payment intents, their charges, and what a card answers.
import { newId, randomText } from "../ids";
import type { Charge, Metadata, PaymentIntent, PaymentMethod, Stored } from "../types";
import type { World } from "../world";
import { recordMovement } from "./balance";
import { AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, cardBehind, type Failure } from "./cards";

export type Outcome =
  | { kind: "succeeded"; charge: Charge }
  | { kind: "failed"; failure: Failure; charge: Charge | null }
  | { kind: "requires_action" };

export interface NewIntent {
  amount: number;
  currency: string;
  customer: string | null;
  description?: string | null;
  metadata?: Metadata;
  setupFutureUsage?: "off_session" | "on_session" | null;
  receiptEmail?: string | null;
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
    payment_method_types: ["card"],
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

function createCharge(world: World, intent: PaymentIntent, method: PaymentMethod, failure: Failure | null): Charge {
  const id = newId("ch");
  const { card } = method;
  const movement = failure
    ? null
    : recordMovement(world, {
        kind: "charge",
        amount: intent.amount,
        currency: intent.currency,
        source: id,
        description: intent.description,
      });
  return world.charges.put({
    id,
    object: "charge",
    amount: intent.amount,
    amount_captured: failure ? 0 : intent.amount,
    amount_refunded: 0,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    balance_transaction: movement?.id ?? null,
    billing_details: method.billing_details,
    calculated_statement_descriptor: "SANDBOX",
    captured: !failure,
    created: world.now(),
    currency: intent.currency,
    customer: intent.customer,
    description: intent.description,
    disputed: false,
    failure_balance_transaction: null,
    failure_code: failure?.code ?? null,
    failure_message: failure?.message ?? null,
    fraud_details: {},
    livemode: false,
    metadata: intent.metadata,
    on_behalf_of: null,
    outcome: {
      advice_code: failure ? "try_again_later" : null,
      network_advice_code: null,
      network_decline_code: failure ? "05" : null,
      network_status: failure ? "declined_by_network" : "approved_by_network",
      reason: failure?.declineCode ?? null,
      risk_level: "normal",
      risk_score: 12,
      seller_message: failure ? "The bank did not return any further details with this decline." : "Payment complete.",
      type: failure ? "issuer_declined" : "authorized",
    },
    paid: !failure,
    payment_intent: intent.id,
    payment_method: method.id,
    payment_method_details: {
      card: {
        amount_authorized: failure ? null : intent.amount,
        authorization_code: null,
        brand: card?.brand ?? "visa",
        checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" },
        country: "US",
        electronic_commerce_indicator: null,
        exp_month: card?.exp_month ?? 12,
        exp_year: card?.exp_year ?? 2030,
        extended_authorization: { status: "disabled" },
        fingerprint: card?.fingerprint ?? null,
        funding: card?.funding ?? "credit",
        incremental_authorization: { status: "unavailable" },
        installments: null,
        last4: card?.last4 ?? null,
        mandate: null,
        multicapture: { status: "unavailable" },
        network: card?.brand ?? "visa",
        network_token: { used: false },
        network_transaction_id: null,
        overcapture: { maximum_amount_capturable: intent.amount, status: "unavailable" },
        regulated_status: "unregulated",
        three_d_secure: null,
        transaction_link_id: null,
        wallet: null,
      },
      type: "card",
    },
    radar_options: {},
    receipt_email: intent.receipt_email,
    receipt_number: null,
    receipt_url: failure ? null : `${world.url}/receipts/${id}`,
    refunded: false,
    review: null,
    shipping: null,
    source: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: failure ? "failed" : "succeeded",
    transfer_data: null,
    transfer_group: null,
  } satisfies Charge);
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
  const charge = charged ? createCharge(world, intent, method, failure) : null;
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
  const charge = createCharge(world, intent, method, null);
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

/** Charges a card. `offSession`: the owner is not there to authenticate. */
export function confirmIntent(world: World, id: string, method: PaymentMethod, { offSession = false } = {}): Outcome {
  const intent = world.paymentIntents.get(id);
  if (!intent) throw new Error(`payment intent ${id} is gone`);
  const card = cardBehind(world, method.id);
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
  const canceled = world.paymentIntents.patch(id, {
    status: "canceled",
    canceled_at: world.now(),
    cancellation_reason: reason,
    next_action: null,
  });
  world.events.emit("payment_intent.canceled", canceled);
  return canceled;
}
