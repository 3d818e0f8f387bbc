// How long credits last and what the coming days will use, from what the last days used. No IO, no clock.
// An estimate, said as one: the pace of the last four weeks goes on, and its scatter gives the range.
import { addMonths, type Interval } from "./allowance";
import { type BurnOrder, burnQueue, type Lot, toCredits } from "./credits";

const DAY_MS = 86_400_000;
/** Four whole weeks, so that every weekday counts the same. */
const WINDOW_DAYS = 28;
/** With fewer whole days than this a pace would be a guess. */
const LEAST_DAYS = 3;
/** Nobody plans credits further than this, and no pace holds that long. */
const HORIZON_DAYS = 365;
/** 8 of 10 outcomes lie within this many standard deviations of the middle. */
const Z_OF_80_PERCENT = 1.28;

export interface DailyUse {
  /** Midnight UTC of the day. */
  day: Date;
  credits: number;
}

export interface Pace {
  /** Credits a day, on average. */
  perDay: number;
  /** Standard deviation of a day, in credits. */
  spread: number;
  /** Whole days that it is made of. */
  days: number;
}

/** The average of the last whole days, four weeks at most; null where nothing, or too little, was used. */
export function paceOf(use: readonly DailyUse[], now: Date): Pace | null {
  const values = lastWholeDays(use, now);
  if (values.length < LEAST_DAYS) return null;
  const perDay = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (perDay <= 0) return null;
  const variance = values.reduce((sum, value) => sum + (value - perDay) ** 2, 0) / (values.length - 1);
  return { perDay, spread: Math.sqrt(variance), days: values.length };
}

/** Credits of each whole day before today, oldest first, from the first use on; today is not over yet. */
function lastWholeDays(use: readonly DailyUse[], now: Date): number[] {
  const today = startOfDay(now);
  const totals = totalsByDay(use);
  const first = Math.min(...[...totals].filter(([, credits]) => credits > 0).map(([day]) => day));
  const from = Math.max(today - WINDOW_DAYS * DAY_MS, first);
  const values: number[] = [];
  for (let day = from; day < today; day += DAY_MS) values.push(totals.get(day) ?? 0);
  return values;
}

export interface RenewalTerms {
  creditInterval: Interval;
  /** Credits of each `creditInterval`. */
  credits: number;
  currentPeriodStart: Date;
  currentPeriodEnd: Date;
  /** A trial ends with the current period; the paid rhythm starts there. */
  trial: boolean;
  /** When the subscription ends by itself; nothing comes from then on. */
  endsAt: Date | null;
}

export interface RunwayQuestion {
  lots: readonly Lot[];
  burnOrder: BurnOrder;
  /** null: nothing more comes by itself. */
  renewal: RenewalTerms | null;
  now: Date;
}

export interface Lapse {
  at: Date;
  /** Credits that nobody will have spent by then. */
  amount: number;
}

export interface Runway {
  /** When all is used up; null: not within a year. */
  until: Date | null;
  /** The range of 8 in 10: early and late end; null beyond a year. */
  from: Date | null;
  to: Date | null;
  /** When the credits that never expire are used up; null: not within a year, or there are none. */
  permanentUntil: Date | null;
  /** What of today's lots runs out unspent, soonest first. */
  lapses: Lapse[];
}

/** How long the credits last at a pace, with renewals counted in and expiries taken off. */
export function forecastRunway(question: RunwayQuestion, pace: Pace): Runway {
  const middle = simulate(question, (days) => pace.perDay * days);
  return {
    until: middle.until,
    from: simulate(question, quantile(pace, Z_OF_80_PERCENT)).until,
    to: simulate(question, quantile(pace, -Z_OF_80_PERCENT)).until,
    permanentUntil: middle.permanentUntil,
    lapses: middle.lapses,
  };
}

/** What of today's lots runs out unspent at a pace; without a pace, all that has an expiry. */
export function forecastLapses(question: RunwayQuestion, pace: Pace | null): Lapse[] {
  return simulate(question, (days) => (pace?.perDay ?? 0) * days).lapses;
}

/** Credits used after so many days, `z` deviations off the middle. */
function quantile(pace: Pace, z: number): (days: number) => number {
  return (days) => Math.max(0, pace.perDay * days + z * scatter(pace, days));
}

/** Standard deviation of what so many days use: the days scatter, and the average itself is uncertain. */
function scatter(pace: Pace, days: number): number {
  return pace.spread * Math.sqrt(days + days ** 2 / pace.days);
}

interface Course {
  until: Date | null;
  permanentUntil: Date | null;
  lapses: Lapse[];
}

/** Lives through a year in steps of a day. @param usedAfter credits used after so many days */
function simulate(question: RunwayQuestion, usedAfter: (days: number) => number): Course {
  const { burnOrder, now } = question;
  const own = new Set(question.lots.map((lot) => lot.id));
  const hadPermanent = question.lots.some((lot) => lot.expiresAt === null && lot.remaining > lot.held);
  const renewals = question.renewal ? renewalLots(question.renewal, now) : [];
  // What is held is spoken for: it neither pays for what comes nor runs out.
  let lots = question.lots
    .filter((lot) => lot.remaining > lot.held)
    .map((lot) => ({ ...lot, left: lot.remaining - lot.held }));
  const course: Course = { until: null, permanentUntil: null, lapses: [] };
  const lapsed = new Map<number, number>();
  let used = 0;

  for (let day = 0; day < HORIZON_DAYS; day++) {
    const at = now.getTime() + day * DAY_MS;
    for (const lot of lots) {
      if (lot.expiresAt && lot.expiresAt.getTime() <= at && own.has(lot.id) && lot.left >= 1) {
        const when = lot.expiresAt.getTime();
        lapsed.set(when, (lapsed.get(when) ?? 0) + Math.round(lot.left));
      }
    }
    lots = lots.filter((lot) => !lot.expiresAt || lot.expiresAt.getTime() > at);
    const due = renewals.filter((lot) => lot.createdAt.getTime() <= at && !lots.some((one) => one.id === lot.id));
    const fresh = due.filter((lot) => lot.expiresAt !== null && lot.expiresAt.getTime() > at);
    lots.push(...fresh.map((lot) => ({ ...lot, left: lot.remaining as number })));

    // A slow quantile may dip: what was used does not come back.
    const goal = Math.max(used, usedAfter(day + 1));
    const wanted = goal - used;
    let open = wanted;
    for (const lot of burnQueue(lots, burnOrder, new Date(at))) {
      const taken = Math.min(open, lot.left);
      lot.left -= taken;
      open -= taken;
    }
    if (course.until === null && open > 0.5) {
      course.until = new Date(at + Math.round(((wanted - open) / wanted) * DAY_MS));
    }
    const permanent = lots.reduce((sum, lot) => sum + (lot.expiresAt === null ? lot.left : 0), 0);
    if (hadPermanent && course.permanentUntil === null && permanent < 0.5)
      course.permanentUntil = new Date(at + DAY_MS);
    used = goal;
  }
  course.lapses = [...lapsed].sort(([a], [b]) => a - b).map(([at, amount]) => ({ at: new Date(at), amount }));
  return course;
}

/** The lots that renewals will bring within the time looked at, each until the next one. */
function renewalLots(terms: RenewalTerms, now: Date): Lot[] {
  if (terms.credits <= 0) return [];
  const anchor = terms.trial ? terms.currentPeriodEnd : terms.currentPeriodStart;
  const months = terms.creditInterval === "month" ? 1 : 12;
  const end = now.getTime() + HORIZON_DAYS * DAY_MS;
  const lots: Lot[] = [];
  for (let count = 0; ; count++) {
    const at = addMonths(anchor, count * months);
    if (at.getTime() > end || (terms.endsAt !== null && at >= terms.endsAt)) return lots;
    if (at <= now) continue;
    lots.push({
      id: `renewal-${count}`,
      source: "subscription",
      remaining: toCredits(terms.credits),
      held: toCredits(0),
      expiresAt: addMonths(anchor, (count + 1) * months),
      createdAt: at,
    });
  }
}

export interface DayForecast {
  /** Midnight UTC of the day. */
  day: Date;
  about: number;
  low: number;
  high: number;
}

/**
 * What each day after today will use, up to an instant: the average of the same weekday in the last four weeks, and the
 * least and most of them. Empty where too little was used to tell.
 */
export function forecastDays(use: readonly DailyUse[], now: Date, until: Date): DayForecast[] {
  const pace = paceOf(use, now);
  if (!pace) return [];
  const totals = totalsByDay(use);
  const today = startOfDay(now);
  const days: DayForecast[] = [];
  for (let day = today + DAY_MS; day < until.getTime(); day += DAY_MS) {
    const same: number[] = [];
    for (let back = day - 7 * DAY_MS; back >= today - pace.days * DAY_MS; back -= 7 * DAY_MS) {
      if (back < today) same.push(totals.get(back) ?? 0);
    }
    const about = same.length > 1 ? same.reduce((sum, value) => sum + value, 0) / same.length : pace.perDay;
    const reach = Z_OF_80_PERCENT * pace.spread;
    days.push({
      day: new Date(day),
      about: Math.round(about),
      low: Math.round(same.length > 1 ? Math.min(...same) : Math.max(0, pace.perDay - reach)),
      high: Math.round(same.length > 1 ? Math.max(...same) : pace.perDay + reach),
    });
  }
  return days;
}

export interface TotalForecast {
  about: number;
  low: number;
  high: number;
}

/** What all days after today will use, up to an instant, with the range of 8 in 10; null where too little was used to tell. */
export function forecastTotal(use: readonly DailyUse[], now: Date, until: Date): TotalForecast | null {
  const pace = paceOf(use, now);
  if (!pace) return null;
  const days = forecastDays(use, now, until);
  const about = days.reduce((sum, day) => sum + day.about, 0);
  const reach = Z_OF_80_PERCENT * scatter(pace, days.length);
  return { about, low: Math.round(Math.max(0, about - reach)), high: Math.round(about + reach) };
}

function totalsByDay(use: readonly DailyUse[]): Map<number, number> {
  const totals = new Map<number, number>();
  for (const { day, credits } of use) {
    const at = startOfDay(day);
    totals.set(at, (totals.get(at) ?? 0) + credits);
  }
  return totals;
}

function startOfDay(at: Date): number {
  return Math.floor(at.getTime() / DAY_MS) * DAY_MS;
}
