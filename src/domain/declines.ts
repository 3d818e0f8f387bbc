// Why a bank did not pay, in words that help whoever reads them. No IO.

/** By the bank's code, as Stripe passes it on. */
const REASONS: Record<string, string> = {
  insufficient_funds: "There is not enough money on the card.",
  card_velocity_exceeded: "The card has reached its limit.",
  withdrawal_count_limit_exceeded: "The card has reached its limit.",
  expired_card: "The card has expired.",
  incorrect_cvc: "The card's security code is wrong.",
  invalid_cvc: "The card's security code is wrong.",
  incorrect_number: "The card's number is wrong.",
  invalid_number: "The card's number is wrong.",
  invalid_expiry_month: "The card's expiry date is wrong.",
  invalid_expiry_year: "The card's expiry date is wrong.",
  incorrect_zip: "The postal code does not belong to the card.",
  card_not_supported: "The card cannot be used for this kind of payment.",
  currency_not_supported: "The card cannot be used in this currency.",
  invalid_account: "The card's account is not valid.",
  new_account_information_available: "The card's account is not valid.",
  try_again_later: "The bank could not be reached.",
  issuer_not_available: "The bank could not be reached.",
  reenter_transaction: "The bank could not take the payment.",
  processing_error: "The bank could not take the payment.",
};

const TRY_AGAIN = new Set(["try_again_later", "issuer_not_available", "reenter_transaction", "processing_error"]);

/**
 * The reason and what to do about it. What a bank keeps to itself (a stolen card, a suspicion) is not told either: its holder
 * is told by the bank.
 */
export function declineMessage(code: string): string {
  const reason = REASONS[code] ?? "The bank declined the payment without saying why.";
  const advice = TRY_AGAIN.has(code) ? "Try again in a moment." : "Use another card, or ask your bank.";
  return `${reason} ${advice}`;
}
