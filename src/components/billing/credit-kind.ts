// The kinds of credit a person tells apart, and the order and words for them.

/** purchased: paid for, never runs out. subscription: runs out with the period. other: given or put right. */
export type CreditKind = "purchased" | "subscription" | "other";

export const creditKinds: readonly CreditKind[] = ["purchased", "subscription", "other"];

export const kindWords: Record<CreditKind, string> = {
  purchased: "Purchased",
  subscription: "Subscription",
  other: "Given",
};

export const kindPhrases: Record<CreditKind, string> = {
  purchased: "purchased",
  subscription: "from the subscription",
  other: "given",
};
