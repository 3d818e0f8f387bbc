"use client";
// The three questions of the overview: what is left, until when, what is charged next.
import { type Answer, Answers } from "../ui/answers";
import { formatCredits, formatMoney, formatTime, type Money } from "./format";
import { useViewer } from "./viewer";

export interface Runway {
  /** When all is used up at the present pace; null: not within the time looked at. */
  until: Date | null;
  /** The range of 8 in 10 forecasts; an end of null lies beyond the time looked at. */
  from?: Date | null;
  to?: Date | null;
  /** Credits a day, of the last weeks. */
  perDay: number;
  /** Credits that come with each renewal and are counted in. */
  perRenewal?: number;
}

export interface NextCharge extends Money {
  at: Date;
  /** "Pro monthly $49.00 + tax $5.07, Visa 4242" */
  why?: string;
}

export interface BalanceAnswersProps {
  available: number;
  held: number;
  /** Owed for credits that were spent before their payment was taken back; never part of `available` or `held`. */
  owed?: number;
  /** null: too little was used to go by a pace; the question is then left out. */
  runway: Runway | null;
  /** null: nothing will be charged. */
  nextCharge: NextCharge | null;
  /** Said when nothing will be charged: "No subscription", "Pro ends on 1 February". */
  noChargeWhy?: string;
}

export function BalanceAnswers({ available, held, owed = 0, runway, nextCharge, noChargeWhy }: BalanceAnswersProps) {
  const viewer = useViewer();
  const { locale } = viewer;
  const credits = (amount: number) => formatCredits(amount, { locale });
  const date = (at: Date) => formatTime(at, viewer, { style: "day" });

  const left: Answer = {
    label: "Credits left",
    value: credits(available + held),
    why: [
      held > 0
        ? `${credits(available)} to spend now, ${credits(held)} held`
        : available > 0
          ? "all to spend now"
          : "nothing to spend",
      owed > 0 ? `, ${credits(owed)} owed` : "",
    ].join(""),
  };

  const lasts: Answer | null = runway
    ? {
        label: runway.until ? "Lasts until about" : "Lasts",
        value: runway.until ? formatTime(runway.until, viewer, { style: "longDay" }) : "beyond a year",
        why: [
          runway.from && runway.to ? `${date(runway.from)} to ${date(runway.to)}, at ` : "At ",
          `${credits(runway.perDay)} a day.`,
          runway.perRenewal ? ` Counts the ${credits(runway.perRenewal)} that come with each renewal.` : "",
        ].join(""),
      }
    : null;

  const charge: Answer = nextCharge
    ? { label: `Next charge, ${date(nextCharge.at)}`, value: formatMoney(nextCharge, { locale }), why: nextCharge.why }
    : { label: "Next charge", value: "none", why: noChargeWhy };

  return <Answers items={lasts ? [left, lasts, charge] : [left, charge]} />;
}
