// The credits that an organization has, as lines of a receipt.
import type { CreditKind } from "~/components/billing/credit-kind";
import { formatCredits } from "~/components/billing/format";
import type { RouterOutputs } from "~/server/api/root";

type Balance = RouterOutputs["credits"]["balance"];

export interface CreditLine {
  kind: CreditKind;
  label: string;
  note?: string;
  amount: number;
  /** It comes or goes with what the receipt is for. */
  change?: boolean;
}

/** Held credits are set aside for work that runs, not gone. */
export function ownCredits({ purchased, subscription, other }: Balance): number {
  return purchased + subscription + other;
}

/** @param ofSubscription what there is to say of credits that a plan gave */
export function ownCreditsOf(balance: Balance, locale: string, ofSubscription: string): CreditLine[] {
  const { purchased, subscription, other, held, debt } = balance;
  const words = (amount: number) => formatCredits(amount, { locale });
  const untouched = "untouched, never expire";
  const lines: CreditLine[] = [
    {
      kind: "purchased",
      label: "Purchased",
      note: held > 0 ? `${untouched}; ${words(held)} are held` : untouched,
      amount: purchased,
    },
    { kind: "subscription", label: "Subscription", note: ofSubscription, amount: subscription },
    { kind: "other", label: "Given", amount: other },
    { kind: "other", label: "Owed", note: "paid for by the next credits", amount: -debt },
  ];
  return lines.filter(({ amount }) => amount !== 0);
}
