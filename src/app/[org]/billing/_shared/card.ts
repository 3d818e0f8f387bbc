// The card that pays, in words.

export interface Card {
  brand: string;
  last4: string;
  expMonth: number;
  expYear: number;
}

const BRANDS: Record<string, string> = {
  visa: "Visa",
  mastercard: "Mastercard",
  amex: "American Express",
  discover: "Discover",
  diners: "Diners Club",
  jcb: "JCB",
  unionpay: "UnionPay",
};

/** "Visa ending 4242" */
export function cardInWords(card: Card): string {
  return `${BRANDS[card.brand] ?? "Card"} ending ${card.last4}`;
}

/** The first instant at which the card is no longer good: the month after the one that stands on it, in UTC. */
export function cardEnds(card: Card): Date {
  return new Date(Date.UTC(card.expYear, card.expMonth, 1));
}

/** The last day on which it is good; for words. */
export function lastDayOf(card: Card): Date {
  return new Date(cardEnds(card).getTime() - 12 * 3_600_000);
}
