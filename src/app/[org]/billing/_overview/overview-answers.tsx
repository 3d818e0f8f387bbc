"use client";
// The three answers of the overview, from its summary.
import { BalanceAnswers, type NextCharge } from "~/components/billing/balance-answers";
import { formatMoney, formatTime } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import type { RouterOutputs } from "~/server/api/root";
import { cardInWords } from "../_shared/card";
import type { Outlook } from "../_shared/runway";

type Summary = RouterOutputs["billing"]["summary"];
type Subscription = NonNullable<Summary["subscription"]>;

export function OverviewAnswers({ summary, outlook }: { summary: Summary; outlook: Outlook }) {
  const viewer = useViewer();
  const { balance, subscription, nextInvoice } = summary;
  const { pace, runway, perRenewal } = outlook;
  const money = (amount: number, currency: string) => formatMoney({ amount, currency }, { locale: viewer.locale });

  const charge = subscription && isGoingOn(subscription) ? chargeOf(subscription, nextInvoice, money) : null;

  return (
    <BalanceAnswers
      available={balance.available}
      held={balance.held}
      owed={balance.debt}
      runway={
        runway && pace && balance.available > 0 ? { ...runway, perDay: Math.round(pace.perDay), perRenewal } : null
      }
      nextCharge={charge}
      noChargeWhy={whyNoCharge(summary, (at) => formatTime(at, viewer, { style: "longDay" }))}
    />
  );
}

/** A trial without a card may just end; nothing is known to be charged then. */
function isGoingOn({ status, cancelsAt, card }: Subscription): boolean {
  if (cancelsAt !== null) return false;
  return status === "active" || status === "past_due" || (status === "trial" && card !== null);
}

/** What Stripe said it will ask for; before it said so, the price itself. */
function chargeOf(
  subscription: Subscription,
  next: Summary["nextInvoice"],
  money: (amount: number, currency: string) => string,
): NextCharge {
  const { planName, interval, card, unitAmount, currency, currentPeriodEnd } = subscription;
  const plan = `${planName} ${interval === "month" ? "monthly" : "yearly"}`;
  const payer = card ? `, ${cardInWords(card)}` : "";
  if (!next) return { amount: unitAmount, currency, at: currentPeriodEnd, why: `${plan}, before tax${payer}` };
  const net = money(next.amount - next.tax, next.currency);
  const tax = next.tax > 0 ? ` + tax ${money(next.tax, next.currency)}` : "";
  return { amount: next.amount, currency: next.currency, at: next.at, why: `${plan} ${net}${tax}${payer}` };
}

function whyNoCharge({ subscription }: Summary, date: (at: Date) => string): string {
  if (!subscription) return "No subscription; packs are paid when they are bought";
  const { planName, status, cancelsAt, trialEnd } = subscription;
  if (status === "cancelled" || status === "expired") return `${planName} has ended`;
  if (status === "paused") return `${planName} is paused`;
  if (cancelsAt) return `${planName} ends on ${date(cancelsAt)}`;
  if (status === "trial" && trialEnd) return `Your trial ends on ${date(trialEnd)}, and no card is on file`;
  return `${planName} waits for its first payment`;
}
