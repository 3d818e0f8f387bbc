// Test cards: which numbers exist and what each does when it is saved, charged or used while its owner is away.
import type Stripe from "stripe";
import { newId } from "../ids";
import type { Customer, Metadata, PaymentMethod } from "../types";
import type { World } from "../world";
import { BANK_ACCOUNTS, type DebitType, newBankMethod, READY_MADE_ACCOUNTS } from "./bank-accounts";

export interface Failure {
  code: NonNullable<Stripe.PaymentIntent.LastPaymentError["code"]>;
  declineCode?: string;
  message: string;
}

/** What a payment method of a test number does. */
export interface TestMethod {
  /** Fails when it is saved or charged. */
  declines?: Failure;
  /** Can be saved; every charge fails. */
  declinesLater?: Failure;
  /** Asks its owner: once, to be saved, or at every payment. */
  authentication?: "once" | "always";
  /** What its bank does with a refund; any other takes it at once. */
  refunds?: "pending" | "failing";
  /** Its owner disputes every payment, right after it. */
  disputes?: { reason: string; inquiry: boolean };
  /** It is a bank account: its bank decides days later, with this failure or none. `stays`: it never decides. */
  debit?: { type: DebitType; failure?: Failure; stays?: boolean };
  note: string;
}

export interface TestCard extends TestMethod {
  brand: string;
}

const DECLINED = "Your card was declined.";
const decline = (declineCode: string, message = DECLINED): Failure => ({ code: "card_declined", declineCode, message });

export const AUTHENTICATION_REQUIRED: Failure = decline(
  "authentication_required",
  "Your card was declined. This transaction requires authentication.",
);

export const AUTHENTICATION_FAILED: Failure = {
  code: "payment_intent_authentication_failure",
  message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
};

/** All numbers that work here. Any other is refused as a real card in test mode. */
export const TEST_CARDS: Record<string, TestCard> = {
  "4242424242424242": { brand: "visa", note: "succeeds" },
  "4000056655665556": { brand: "visa", note: "succeeds (debit)" },
  "5555555555554444": { brand: "mastercard", note: "succeeds" },
  "2223003122003222": { brand: "mastercard", note: "succeeds" },
  "378282246310005": { brand: "amex", note: "succeeds" },
  "6011111111111117": { brand: "discover", note: "succeeds" },
  "4000000000000002": { brand: "visa", declines: decline("generic_decline"), note: "is declined" },
  "4000000000009995": {
    brand: "visa",
    declines: decline("insufficient_funds", "Your card has insufficient funds."),
    note: "has insufficient funds",
  },
  "4000000000009987": { brand: "visa", declines: decline("lost_card"), note: "was lost" },
  "4000000000009979": { brand: "visa", declines: decline("stolen_card"), note: "was stolen" },
  "4000000000006975": {
    brand: "visa",
    declines: decline(
      "card_velocity_exceeded",
      "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    note: "exceeds its limit",
  },
  "4000000000000069": {
    brand: "visa",
    declines: { code: "expired_card", declineCode: "expired_card", message: "Your card has expired." },
    note: "has expired",
  },
  "4000000000000127": {
    brand: "visa",
    declines: {
      code: "incorrect_cvc",
      declineCode: "incorrect_cvc",
      message: "Your card's security code is incorrect.",
    },
    note: "has another CVC",
  },
  "4000000000000119": {
    brand: "visa",
    declines: {
      code: "processing_error",
      declineCode: "processing_error",
      message: "An error occurred while processing your card. Try again in a little bit.",
    },
    note: "meets a processing error",
  },
  "4000002500003155": { brand: "visa", authentication: "once", note: "asks for authentication unless saved with it" },
  "4000002760003184": { brand: "visa", authentication: "always", note: "asks for authentication every time" },
  "4000000000000341": {
    brand: "visa",
    declinesLater: decline("generic_decline"),
    note: "can be saved, later charges fail",
  },
  "4000000000007726": { brand: "visa", refunds: "pending", note: "succeeds; refunds are pending, then succeed" },
  "4000000000005126": { brand: "visa", refunds: "failing", note: "succeeds; refunds succeed, then fail" },
  "4000000000000259": {
    brand: "visa",
    disputes: { reason: "fraudulent", inquiry: false },
    note: "succeeds, then is disputed as fraudulent",
  },
  "4000000000002685": {
    brand: "visa",
    disputes: { reason: "product_not_received", inquiry: false },
    note: "succeeds, then is disputed: product not received",
  },
  "4000000000001976": {
    brand: "visa",
    disputes: { reason: "fraudulent", inquiry: true },
    note: "succeeds, then its bank inquires",
  },
};

/** Stripe's ready-made payment methods, by the card behind them. */
const READY_MADE: Record<string, string> = {
  pm_card_visa: "4242424242424242",
  pm_card_visa_debit: "4000056655665556",
  pm_card_mastercard: "5555555555554444",
  pm_card_amex: "378282246310005",
  pm_card_discover: "6011111111111117",
  pm_card_chargeDeclined: "4000000000000002",
  pm_card_visa_chargeDeclined: "4000000000000002",
  pm_card_chargeDeclinedInsufficientFunds: "4000000000009995",
  pm_card_visa_chargeDeclinedInsufficientFunds: "4000000000009995",
  pm_card_chargeDeclinedLostCard: "4000000000009987",
  pm_card_chargeDeclinedStolenCard: "4000000000009979",
  pm_card_chargeDeclinedExpiredCard: "4000000000000069",
  pm_card_chargeDeclinedIncorrectCvc: "4000000000000127",
  pm_card_chargeDeclinedProcessingError: "4000000000000119",
  pm_card_authenticationRequired: "4000002760003184",
  pm_card_authenticationRequiredOnSetup: "4000002500003155",
  pm_card_chargeCustomerFail: "4000000000000341",
  pm_card_pendingRefund: "4000000000007726",
  pm_card_refundFail: "4000000000005126",
  pm_card_createDispute: "4000000000000259",
  pm_card_createDisputeProductNotReceived: "4000000000002685",
  pm_card_createDisputeInquiry: "4000000000001976",
};

const NOT_A_TEST_CARD: TestCard = {
  brand: "visa",
  declines: decline(
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test card.",
  ),
  note: "is not a test card",
};

export function cardOf(number: string): TestCard {
  return TEST_CARDS[number] ?? NOT_A_TEST_CARD;
}

/** The card or bank account behind a saved payment method. */
export function cardBehind(world: World, paymentMethodId: string): TestMethod {
  const number = world.cards.get(paymentMethodId)?.number ?? "";
  return BANK_ACCOUNTS[number] ?? cardOf(number);
}

/** The usual check digit of card numbers. */
export function passesLuhn(number: string): boolean {
  let sum = 0;
  for (const [position, digit] of [...number].reverse().entries()) {
    const value = Number(digit) * (position % 2 === 1 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return /^\d{12,19}$/.test(number) && sum % 10 === 0;
}

/** A payment method that belongs to nobody yet. */
export function newPaymentMethod(
  world: World,
  card: { number: string; expMonth?: number; expYear?: number },
  owner: { name?: string | null; email?: string | null; metadata?: Metadata } = {},
): PaymentMethod {
  const { brand } = cardOf(card.number);
  const id = newId("pm");
  world.cards.put({ id, number: card.number, authenticated: false });
  return world.paymentMethods.put({
    id,
    object: "payment_method",
    allow_redisplay: "unspecified",
    billing_details: {
      address: { city: null, country: "US", line1: null, line2: null, postal_code: null, state: null },
      email: owner.email ?? null,
      name: owner.name ?? null,
      phone: null,
      tax_id: null,
    },
    card: {
      brand,
      checks: { address_line1_check: null, address_postal_code_check: null, cvc_check: "pass" },
      country: "US",
      display_brand: brand,
      exp_month: card.expMonth ?? 12,
      exp_year: card.expYear ?? new Date(world.now() * 1000).getUTCFullYear() + 5,
      fingerprint: `sandbox${card.number.slice(-8)}`,
      funding: card.number === "4000056655665556" ? "debit" : "credit",
      generated_from: null,
      last4: card.number.slice(-4),
      networks: { available: [brand], preferred: null },
      regulated_status: "unregulated",
      three_d_secure_usage: { supported: true },
      wallet: null,
    },
    created: world.now(),
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: owner.metadata ?? {},
    type: "card",
  } satisfies PaymentMethod);
}

/** A payment method by id; Stripe's ready-made names make a new one each time. */
export function findPaymentMethod(world: World, id: string): PaymentMethod | null {
  const account = READY_MADE_ACCOUNTS[id];
  if (account) return newBankMethod(world, account);
  const number = READY_MADE[id];
  return number ? newPaymentMethod(world, { number }) : (world.paymentMethods.get(id) ?? null);
}

/** Gives a payment method to a customer. */
export function attach(world: World, id: string, customer: Customer, authenticated = false): PaymentMethod {
  const secret = world.cards.get(id);
  if (secret && authenticated) world.cards.put({ ...secret, authenticated });
  const attached = world.paymentMethods.patch(id, { customer: customer.id });
  world.events.emit("payment_method.attached", attached);
  return attached;
}
