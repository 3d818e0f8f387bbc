// The forecast of an organization's credits, from what its pages have at hand.

import type { BurnOrder } from "~/domain/credits";
import {
  type DailyUse,
  forecastLapses,
  forecastRunway,
  type Lapse,
  type Pace,
  paceOf,
  type RenewalTerms,
  type Runway,
} from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";
import type { Lot } from "./credits-view";

type Subscription = NonNullable<RouterOutputs["billing"]["summary"]["subscription"]>;

export interface Outlook {
  pace: Pace | null;
  runway: Runway | null;
  /** What will run out unspent, soonest first; without a pace, all that has an expiry. */
  lapses: Lapse[];
  /** Credits that each renewal brings and that are counted in. */
  perRenewal: number;
}

export function outlookOf(state: {
  lots: readonly Lot[];
  burnOrder: BurnOrder;
  subscription: Subscription | null;
  recentUse: readonly DailyUse[];
  now: Date;
}): Outlook {
  const { burnOrder, now } = state;
  const lots = state.lots.filter((lot) => lot.position !== null);
  const renewal = renewalOf(state.subscription);
  const question = { lots, burnOrder, renewal, now };
  const pace = paceOf(state.recentUse, now);
  return {
    pace,
    runway: pace ? forecastRunway(question, pace) : null,
    lapses: forecastLapses(question, pace),
    perRenewal: renewal && renewal.endsAt === null ? renewal.credits : 0,
  };
}

/** What renews by itself; a subscription whose payment fails is not counted on. */
function renewalOf(subscription: Subscription | null): RenewalTerms | null {
  if (!subscription || (subscription.status !== "active" && subscription.status !== "trial")) return null;
  return {
    creditInterval: subscription.creditInterval,
    credits: subscription.credits,
    currentPeriodStart: subscription.currentPeriodStart,
    currentPeriodEnd: subscription.currentPeriodEnd,
    trial: subscription.status === "trial",
    endsAt: subscription.cancelsAt,
  };
}
