// Bank accounts that debits are tried with: which exist, what becomes of a debit of each, and the payment methods they
// make. Stripe's test numbers and ready-made names. A debit is told of at once and decided days later.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Metadata, PaymentMethod } from "../types";
import type { World } from "../world";
import type { Failure, TestMethod } from "./cards";

const DAY = 86_400;

export type DebitType = "us_bank_account" | "sepa_debit";

interface Scheme {
  currency: string;
  /** How long its banks take to decide, in seconds. */
  takesSeconds: number;
  /** The account that a person types who has not looked further. */
  usual: string;
  label: string;
}

export const DEBITS: Record<DebitType, Scheme> = {
  us_bank_account: { currency: "usd", takesSeconds: 4 * DAY, usual: "000123456789", label: "US bank account" },
  sepa_debit: { currency: "eur", takesSeconds: 5 * DAY, usual: "DE89370400440532013000", label: "SEPA Direct Debit" },
};

export function isDebitType(word: string): word is DebitType {
  return Object.hasOwn(DEBITS, word);
}

const failing = (code: Failure["code"], message: string) => ({ code, message });

const CLOSED = failing("account_closed", "The customer's bank account has been closed.");
const NO_ACCOUNT = failing("no_account", "The customer's bank account could not be located.");
const NO_FUNDS = failing("insufficient_funds", "The customer's account has insufficient funds to cover this payment.");
const NOT_AUTHORIZED = failing(
  "debit_not_authorized",
  "The customer has notified their bank that this payment was unauthorized.",
);
const WRONG_CURRENCY = failing("invalid_currency", "The customer's account does not take this currency.");
const OVER_LIMIT = failing(
  "charge_exceeds_source_limit",
  "This payment exceeds the account's weekly payment volume limit.",
);
const OVER_COUNT = failing(
  "charge_exceeds_weekly_limit",
  "This payment exceeds the account's weekly transaction volume limit.",
);
const NOT_PROCESSED = failing("generic_could_not_process", "The customer's bank could not process the payment.");

interface TestAccount extends TestMethod {
  debit: NonNullable<TestMethod["debit"]>;
}

function account(type: DebitType, note: string, rest: { failure?: Failure; stays?: boolean } = {}): TestAccount {
  return { note, debit: { type, ...rest } };
}

const disputed = { disputes: { reason: "debit_not_authorized", inquiry: false } };

/** All accounts that work here: numbers with the routing number 110000000, and IBANs. */
export const BANK_ACCOUNTS: Record<string, TestAccount> = {
  "000123456789": account("us_bank_account", "succeeds"),
  "000111111113": account("us_bank_account", "fails: closed", { failure: CLOSED }),
  "000111111116": account("us_bank_account", "fails: no such account", { failure: NO_ACCOUNT }),
  "000222222227": account("us_bank_account", "fails: insufficient funds", { failure: NO_FUNDS }),
  "000333333335": account("us_bank_account", "fails: not authorized", { failure: NOT_AUTHORIZED }),
  "000444444440": account("us_bank_account", "fails: another currency", { failure: WRONG_CURRENCY }),
  "000777777771": account("us_bank_account", "fails: exceeds its weekly limit", { failure: OVER_LIMIT }),
  "000555555559": { ...account("us_bank_account", "succeeds, then is disputed"), ...disputed },
  "000000000009": account("us_bank_account", "is processed for ever", { stays: true }),
  DE89370400440532013000: account("sepa_debit", "succeeds"),
  DE62370400440532013001: account("sepa_debit", "fails", { failure: NOT_PROCESSED }),
  DE35370400440532013002: { ...account("sepa_debit", "succeeds, then is disputed"), ...disputed },
  DE65370400440000343434: account("sepa_debit", "fails: exceeds its weekly limit", { failure: OVER_LIMIT }),
  DE27370400440000121212: account("sepa_debit", "fails: too many a week", { failure: OVER_COUNT }),
  DE65370400440002222227: account("sepa_debit", "fails: insufficient funds", { failure: NO_FUNDS }),
  NL39RABO0300065264: account("sepa_debit", "succeeds"),
  NL91ABNA0417164300: account("sepa_debit", "fails", { failure: NOT_PROCESSED }),
};

/** Stripe's ready-made payment methods, by the account behind them. */
export const READY_MADE_ACCOUNTS: Record<string, string> = {
  pm_usBankAccount_success: "000123456789",
  pm_usBankAccount_accountClosed: "000111111113",
  pm_usBankAccount_noAccount: "000111111116",
  pm_usBankAccount_insufficientFunds: "000222222227",
  pm_usBankAccount_debitNotAuthorized: "000333333335",
  pm_usBankAccount_invalidCurrency: "000444444440",
  pm_usBankAccount_weeklyLimitExceeded: "000777777771",
  pm_usBankAccount_dispute: "000555555559",
  pm_usBankAccount_processing: "000000000009",
  pm_success_de: "DE89370400440532013000",
  pm_failed_de: "DE62370400440532013001",
  pm_disputed_de: "DE35370400440532013002",
  pm_exceedsWeeklyVolumeLimit_de: "DE65370400440000343434",
  pm_exceedsWeeklyTransactionLimit_de: "DE27370400440000121212",
  pm_insufficientFunds_de: "DE65370400440002222227",
  pm_success_nl: "NL39RABO0300065264",
  pm_failed_nl: "NL91ABNA0417164300",
};

/** An account's number without spaces; refuses what is no test account of the type. */
export function readAccount(type: DebitType, typed: string): string {
  const number = typed.replaceAll(/[\s-]/g, "").toUpperCase();
  if (BANK_ACCOUNTS[number]?.debit.type === type) return number;
  const example = DEBITS[type].usual;
  throw type === "sepa_debit"
    ? invalidRequest(
        `The IBAN you provided is invalid. Try ${example}.`,
        "sepa_debit[iban]",
        "invalid_bank_account_iban",
      )
    : invalidRequest(
        `You must use a test bank account number in test mode. Try ${example} or see more options at https://stripe.com/docs/connect/testing#account-numbers.`,
        "us_bank_account[account_number]",
        "account_number_invalid",
      );
}

/** What a debit can be asked in. Cards take every currency. */
export function refuseOtherCurrency(type: DebitType, currency: string): void {
  const only = DEBITS[type].currency;
  if (currency === only) return;
  throw invalidRequest(
    `The currency provided (${currency}) is invalid. Payments with ${type} support the following currencies: ${only}.`,
    "currency",
  );
}

/** The types of payment methods that a session offers: cards and its currency's debit, as far as its maker lets them be. */
export function offeredTypes(session: { currency: string | null; allowed?: string[]; excluded?: string[] }): string[] {
  const debits = Object.entries(DEBITS).filter(([, { currency }]) => currency === session.currency);
  const offered = ["card", ...debits.map(([type]) => type)].filter(
    (type) => (session.allowed?.includes(type) ?? true) && !session.excluded?.includes(type),
  );
  if (offered.length > 0) return offered;
  throw invalidRequest(
    "No valid payment method types for this Checkout Session. Please ensure that you have activated payment methods compatible with your chosen currency in your dashboard.",
  );
}

/** A bank account as a payment method that belongs to nobody yet. */
export function newBankMethod(
  world: World,
  number: string,
  owner: { name?: string | null; email?: string | null; metadata?: Metadata } = {},
): PaymentMethod {
  const id = newId("pm");
  const type = BANK_ACCOUNTS[number]?.debit.type ?? "us_bank_account";
  const [fingerprint, last4] = [`sandbox${number.slice(-8)}`, number.slice(-4)];
  world.cards.put({ id, number, authenticated: true });
  return world.paymentMethods.put({
    id,
    object: "payment_method",
    allow_redisplay: "unspecified",
    billing_details: {
      address: { city: null, country: null, line1: null, line2: null, postal_code: null, state: null },
      email: owner.email ?? null,
      name: owner.name ?? null,
      phone: null,
      tax_id: null,
    },
    created: world.now(),
    customer: null,
    customer_account: null,
    livemode: false,
    metadata: owner.metadata ?? {},
    type,
    ...(type === "sepa_debit"
      ? {
          sepa_debit: {
            bank_code: number.slice(4, 12),
            branch_code: "",
            country: number.slice(0, 2),
            fingerprint,
            generated_from: { charge: null, setup_attempt: null },
            last4,
          },
        }
      : {
          us_bank_account: {
            account_holder_type: "individual" as const,
            account_type: "checking" as const,
            bank_name: "STRIPE TEST BANK",
            financial_connections_account: null,
            fingerprint,
            last4,
            networks: { preferred: "ach", supported: ["ach" as const] },
            routing_number: "110000000",
            status_details: null,
          },
        }),
  } satisfies PaymentMethod);
}
