// What a first subscription costs and brings, line by line. Nothing here is charged: Stripe's page asks for the payment.
import { formatCredits, formatTime, type Viewer } from "~/components/billing/format";
import type { Interval, PlanPrice } from "~/components/billing/plan";
import type { PlanReceipt } from "~/components/billing/plan-receipt";
import { addMonths } from "~/domain/allowance";
import type { RouterOutputs } from "~/server/api/root";
import { ownCredits, ownCreditsOf } from "./own-credits";

type Plan = RouterOutputs["plans"]["list"][number];
type Balance = RouterOutputs["credits"]["balance"];

export interface ReceiptRequest {
  plan: Plan;
  price: PlanPrice;
  /** The organization has had no trial, and the plan has one. */
  trial: boolean;
  /** Credits before it. */
  balance: Balance;
  now: Date;
  viewer: Viewer;
}

const DAY_MS = 86_400_000;

/** The receipt of subscribing at `now`. Days are those of the viewer, as Stripe counts from the moment of payment. */
export function receiptOf({ plan, price, trial, balance, now, viewer }: ReceiptRequest): PlanReceipt {
  const { interval, currency } = price;
  const months = interval === "year" ? 12 : 1;
  const trialEnd = new Date(now.getTime() + plan.trialDays * DAY_MS);
  const periodEnd = trial ? trialEnd : addMonths(now, months);
  const creditsEnd = trial || plan.creditInterval === "year" ? periodEnd : addMonths(now, 1);
  const granted = trial ? plan.trialCredits : plan.credits;
  const date = (at: Date) => formatTime(at, viewer, { style: interval === "year" ? "date" : "longDay" });
  const owned = ownCredits(balance) - balance.debt;
  const credits = (amount: number) => formatCredits(amount, { locale: viewer.locale });

  return {
    title: `${plan.name}, ${interval === "year" ? "yearly" : "monthly"}`,
    when: trial ? `begins with ${plan.trialDays} days of trial` : "takes effect at once",
    today: {
      lines: [
        {
          label: trial ? `${plan.name}, ${plan.trialDays} days of trial` : `${plan.name}, one ${interval}`,
          note: `until ${date(periodEnd)}`,
          amount: trial ? 0 : price.unitAmount,
          currency,
        },
      ],
      totalLabel: trial ? "Today" : "Today, before tax",
      total: { amount: trial ? 0 : price.unitAmount, currency },
    },
    onwards: {
      label: `Each ${interval}, first on ${date(periodEnd)}`,
      note: trial ? "before tax, unless you cancel until then" : "before tax",
      amount: { amount: price.unitAmount, currency },
    },
    credits: {
      lines: [
        ...ownCreditsOf(balance, viewer.locale, "left of an earlier plan"),
        {
          kind: "subscription" as const,
          label: trial ? `${plan.name}, trial` : `${plan.name}, first ${firstPeriod(plan.creditInterval, interval)}`,
          note: `expire on ${date(creditsEnd)}`,
          amount: granted,
          change: true,
        },
      ],
      total: owned + granted,
      now: owned,
      note: `On ${date(creditsEnd)}, ${credits(plan.credits)} new credits arrive, and what is left of ${
        trial ? "the trial’s" : "these"
      } expires.`,
    },
  };
}

/** Credits that come by the month come so in a year's plan too; credits of a year come with each payment. */
function firstPeriod(creditInterval: Interval, interval: Interval): Interval {
  return creditInterval === "month" ? "month" : interval;
}
