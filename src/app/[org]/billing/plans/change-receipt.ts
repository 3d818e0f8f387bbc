// What a change of plan costs and brings, line by line, as the server has previewed it.
import { formatCredits, formatMoney, formatTime, type Viewer } from "~/components/billing/format";
import type { Interval } from "~/components/billing/plan";
import type { PlanReceipt, ReceiptLine } from "~/components/billing/plan-receipt";
import type { RouterOutputs } from "~/server/api/root";
import { cardInWords } from "../_shared/card";
import { ownCredits, ownCreditsOf } from "./own-credits";

type Preview = RouterOutputs["subscription"]["previewChange"];
type Subscription = NonNullable<RouterOutputs["subscription"]["get"]>;
type Balance = RouterOutputs["credits"]["balance"];

export interface ChangeRequest {
  preview: Preview;
  subscription: Pick<
    Subscription,
    | "planName"
    | "status"
    | "interval"
    | "credits"
    | "creditInterval"
    | "unitAmount"
    | "currency"
    | "card"
    | "nextInvoice"
  >;
  target: { name: string; interval: Interval };
  /** Credits before it. */
  balance: Balance;
  viewer: Viewer;
}

export interface ShownChange {
  receipt: PlanReceipt;
  /** What the button does. */
  confirm: string;
  terms: string;
}

export function changeReceiptOf(request: ChangeRequest): ShownChange {
  const { preview, viewer } = request;
  const { effective, at, dueNow } = preview;
  const { from, to } = namesOf(request);
  const money = (amount: number, currency: string) => formatMoney({ amount, currency }, { locale: viewer.locale });
  const atOnce = effective === "now";
  const day = formatTime(at, viewer, { style: "longDay" });
  return {
    receipt: {
      title: `${from} to ${to}`,
      when: atOnce ? "takes effect now" : `takes effect on ${day}`,
      today: todayOf(request, money),
      onwards: onwardsOf(request, money),
      credits: creditsOf(request),
    },
    confirm: atOnce
      ? `Change to ${to}${dueNow.amount > 0 ? ` and pay ${money(dueNow.amount, dueNow.currency)}` : " now"}`
      : `Change to ${to} on ${day}`,
    terms: termsOf(request, day),
  };
}

function termsOf({ preview, subscription }: ChangeRequest, day: string): string {
  if (preview.effective === "period_end") {
    return `Nothing is charged today. Until ${day} everything stays as it is, and you can take it back.`;
  }
  if (subscription.status === "trial") return "The trial goes on, and nothing is charged before it ends.";
  const paid = preview.dueNow.amount > 0 ? " Nothing changes before it is paid." : "";
  return `The price is kept for half an hour.${paid} You can go back to ${subscription.planName} at any time; that takes effect at the end of a period.`;
}

/** A plan that stays is told apart by how it is paid. */
function namesOf({ subscription, target }: ChangeRequest): { from: string; to: string } {
  if (subscription.interval === target.interval) return { from: subscription.planName, to: target.name };
  const word = (interval: Interval) => (interval === "year" ? "yearly" : "monthly");
  return {
    from: `${subscription.planName} ${word(subscription.interval)}`,
    to: `${target.name} ${word(target.interval)}`,
  };
}

type MoneyWords = (amount: number, currency: string) => string;

function todayOf({ preview, subscription }: ChangeRequest, money: MoneyWords): PlanReceipt["today"] {
  const { amount, tax, currency } = preview.dueNow;
  const lines: ReceiptLine[] = preview.dueNow.lines.map(({ description, amount: part }) => ({
    label: description,
    amount: part,
    currency,
  }));
  const rest = amount - lines.reduce((sum, line) => sum + line.amount, 0);
  // Prices may hold the tax already.
  const included = tax > 0 && rest === 0;
  if (tax > 0 && !included) lines.push({ label: "Tax", amount: tax, currency });
  const other = included ? 0 : rest - tax;
  if (other !== 0) {
    const label = other < 0 ? "Discounts and what the account has" : "Kept on the account for later invoices";
    lines.push({ label, amount: other, currency });
  }
  const payer = subscription.card && amount > 0 ? `, ${cardInWords(subscription.card)}` : "";
  return {
    lines,
    totalLabel: `Today${payer}${included ? `, with ${money(tax, currency)} of tax` : ""}`,
    total: { amount, currency },
  };
}

function onwardsOf({ preview, subscription, viewer }: ChangeRequest, money: MoneyWords): PlanReceipt["onwards"] {
  const { amount, tax, currency, interval, from } = preview.recurring;
  const style = interval === "year" ? "date" : "longDay";
  return {
    label: `Each ${interval}, first on ${formatTime(from, viewer, { style })}`,
    ...(tax > 0 ? { note: `${money(amount - tax, currency)} + tax ${money(tax, currency)}` } : {}),
    amount: { amount, currency },
    now: nowOf(),
  };

  /** Said only where it can be compared. */
  function nowOf() {
    if (interval !== subscription.interval) return null;
    if (tax === 0) return { amount: subscription.unitAmount, currency: subscription.currency };
    return subscription.nextInvoice;
  }
}

function creditsOf({ preview, subscription, target, balance, viewer }: ChangeRequest): PlanReceipt["credits"] {
  const { now, takenBack, owed } = preview.credits;
  const words = (amount: number) => formatCredits(amount, { locale: viewer.locale });
  const before = ownCredits(balance) - balance.debt;
  const lines = ownCreditsOf(balance, viewer.locale, `of ${subscription.planName}, until they expire`);
  if (takenBack > 0) {
    lines.push({
      kind: "subscription",
      label: `${subscription.planName}, given back`,
      note:
        owed > 0 ? `${words(owed)} are spent already: the new ones pay for them` : "for the time that is given back",
      amount: -takenBack,
      change: true,
    });
  }
  if (now > 0) {
    lines.push({
      kind: "subscription",
      label: `${target.name}, ${subscription.interval === target.interval ? "rest of this period" : "first period"}`,
      note: "there as soon as it is paid",
      amount: now,
      change: true,
    });
  }
  const moves = now !== 0 || takenBack !== 0;
  return {
    lines,
    total: before + now - takenBack,
    ...(moves ? { now: before } : { totalLabel: "Unchanged for now" }),
    note: arrivalsOf(),
  };

  function arrivalsOf(): string {
    const { perInterval, creditInterval, from } = preview.credits;
    const old = subscription.creditInterval === creditInterval ? subscription.credits : null;
    const instead = old !== null && old !== perInterval ? ` instead of ${words(old)}` : "";
    // Credits of the month come within a year, too, by the days that began with it.
    if (creditInterval === "month" && target.interval === "year" && preview.effective === "now") {
      return `From now on, ${words(perInterval)} credits arrive each month${instead}.`;
    }
    const style = target.interval === "year" ? "date" : "longDay";
    return `On ${formatTime(from, viewer, { style })}, ${words(perInterval)} credits arrive${instead}.`;
  }
}
