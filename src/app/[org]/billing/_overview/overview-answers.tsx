"use client";
// The three answers of the overview, from its summary.
import { BalanceAnswers, type NextCharge } from "~/components/billing/balance-answers";
import { formatMoney, formatTime } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import type { RouterOutputs } from "~/server/api/root";
import { cardInWords } from "../_shared/card";
import type { Outlook } from "../_shared/runway";

type Summary = RouterOutputs["billing"]["summary"];

export function OverviewAnswers({ summary, outlook }: { summary: Summary; outlook: Outlook }) {
  const viewer = useViewer();
  const { balance, subscription, nextInvoice } = summary;
  const { pace, runway, perRenewal } = outlook;
  const money = (amount: number, currency: string) => formatMoney({ amount, currency }, { locale: viewer.locale });

  const charge: NextCharge | null =
    subscription && nextInvoice && isGoingOn(subscription)
      ? {
          amount: nextInvoice.amount,
          currency: nextInvoice.currency,
          at: nextInvoice.at,
          why: [
            `${subscription.planName} ${subscription.interval === "month" ? "monthly" : "yearly"} ${money(nextInvoice.amount - nextInvoice.tax, nextInvoice.currency)}`,
            nextInvoice.tax > 0 ? ` + tax ${money(nextInvoice.tax, nextInvoice.currency)}` : "",
            subscription.card ? `, ${cardInWords(subscription.card)}` : "",
          ].join(""),
        }
      : null;

  return (
    <BalanceAnswers
      available={balance.available}
      held={balance.held}
      runway={runway && pace ? { ...runway, perDay: Math.round(pace.perDay), perRenewal } : null}
      nextCharge={charge}
      noChargeWhy={whyNoCharge(summary, (at) => formatTime(at, viewer, { style: "longDay" }))}
    />
  );
}

function isGoingOn({ status, cancelsAt }: NonNullable<Summary["subscription"]>): boolean {
  return cancelsAt === null && (status === "active" || status === "trial" || status === "past_due");
}

function whyNoCharge({ subscription }: Summary, date: (at: Date) => string): string {
  if (!subscription) return "No subscription; packs are paid when they are bought";
  const { planName, status, cancelsAt, currentPeriodEnd } = subscription;
  if (status === "cancelled" || status === "expired") return `${planName} has ended`;
  if (status === "paused") return `${planName} is paused`;
  if (cancelsAt) return `${planName} ends on ${date(cancelsAt)}`;
  return `${planName} renews on ${date(currentPeriodEnd)}; the amount is not known yet`;
}
