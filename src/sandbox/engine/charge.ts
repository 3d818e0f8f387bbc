// A charge as it is made: what was tried, with what, and what came of it at once.
import { newId } from "../ids";
import type { Charge, PaymentIntent, PaymentMethod } from "../types";
import type { World } from "../world";
import { recordMovement } from "./balance";
import type { Failure } from "./cards";

/** What the method was, as a charge remembers it. */
function detailsOf(method: PaymentMethod, amount: number, failed: boolean): Charge["payment_method_details"] {
  const { card, us_bank_account: usBankAccount, sepa_debit: sepaDebit } = method;
  if (usBankAccount) {
    const { account_holder_type, account_type, bank_name, fingerprint, last4, routing_number } = usBankAccount;
    return {
      type: "us_bank_account",
      us_bank_account: {
        account_holder_type,
        account_type,
        bank_name,
        fingerprint,
        last4,
        payment_reference: null,
        routing_number,
      },
    };
  }
  if (sepaDebit) {
    const { bank_code, branch_code, country, fingerprint, last4 } = sepaDebit;
    return { type: "sepa_debit", sepa_debit: { bank_code, branch_code, country, fingerprint, last4, mandate: null } };
  }
  return {
    card: {
      amount_authorized: failed ? null : amount,
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
      overcapture: { maximum_amount_capturable: amount, status: "unavailable" },
      regulated_status: "unregulated",
      three_d_secure: null,
      transaction_link_id: null,
      wallet: null,
    },
    type: "card",
  };
}

/** What a charge says once its money has come, or is known not to come. */
export function decided(
  world: World,
  charge: Pick<Charge, "id" | "amount" | "currency" | "description">,
  failure: Failure | null,
) {
  const { id, amount, currency, description } = charge;
  const movement = failure
    ? null
    : recordMovement(world, { kind: "charge", amount, currency, source: id, description });
  return {
    amount_captured: failure ? 0 : amount,
    balance_transaction: movement?.id ?? null,
    captured: !failure,
    failure_code: failure?.code ?? null,
    failure_message: failure?.message ?? null,
    outcome: {
      advice_code: failure ? ("try_again_later" as const) : null,
      network_advice_code: null,
      network_decline_code: failure ? "05" : null,
      network_status: failure ? "declined_by_network" : "approved_by_network",
      reason: failure?.declineCode ?? null,
      risk_level: "normal" as const,
      risk_score: 12,
      seller_message: failure ? "The bank did not return any further details with this decline." : "Payment complete.",
      type: failure ? "issuer_declined" : "authorized",
    },
    paid: !failure,
    receipt_url: failure ? null : `${world.url}/receipts/${id}`,
    status: failure ? ("failed" as const) : ("succeeded" as const),
  };
}

/** What a charge says while its bank has it. */
function undecided(amount: number) {
  return {
    amount_captured: amount,
    balance_transaction: null,
    captured: true,
    failure_code: null,
    failure_message: null,
    outcome: {
      advice_code: null,
      network_advice_code: null,
      network_decline_code: null,
      network_status: "approved_by_network",
      reason: null,
      risk_level: "not_assessed" as const,
      seller_message: "Payment complete.",
      type: "authorized",
    },
    paid: false,
    receipt_url: null,
    status: "pending" as const,
  };
}

/** Charges a method. `pending`: its bank has not decided yet. */
export function createCharge(
  world: World,
  intent: PaymentIntent,
  method: PaymentMethod,
  failure: Failure | null,
  pending = false,
): Charge {
  const id = newId("ch");
  const { amount, currency, description } = intent;
  const result = pending ? undecided(amount) : decided(world, { id, amount, currency, description }, failure);
  return world.charges.put({
    id,
    object: "charge",
    amount,
    amount_refunded: 0,
    application: null,
    application_fee: null,
    application_fee_amount: null,
    billing_details: method.billing_details,
    calculated_statement_descriptor: "SANDBOX",
    created: world.now(),
    currency,
    customer: intent.customer,
    description,
    disputed: false,
    failure_balance_transaction: null,
    fraud_details: {},
    livemode: false,
    metadata: intent.metadata,
    on_behalf_of: null,
    payment_intent: intent.id,
    payment_method: method.id,
    payment_method_details: detailsOf(method, amount, failure !== null),
    radar_options: {},
    receipt_email: intent.receipt_email,
    receipt_number: null,
    refunded: false,
    review: null,
    shipping: null,
    source: null,
    source_transfer: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    transfer_data: null,
    transfer_group: null,
    ...result,
  } satisfies Charge);
}
