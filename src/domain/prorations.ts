// Credits follow money: what a change in the middle of a period gives and takes back, at the plans' list prices, so that no
// sequence of changes yields more credits for the money than the list prices do. No IO, no clock.
import { addMonths, type Interval, type PaidLine } from "./allowance";
import { invariant } from "./errors";

/** What a plan gives for its price. */
export interface PlanTerms {
  interval: Interval;
  /** List price of one interval, in the currency's minor unit. */
  unitAmount: number;
  /** ISO 4217, lower case. */
  currency: string;
  /** For each `creditInterval`. */
  credits: number;
  creditInterval: Interval;
}

/** From an instant on, until before another. */
export interface Period {
  start: Date;
  end: Date;
}

/**
 * The whole period of an item that a part of it is of: the one that ends with it, or else the innermost that it lies in, which was cut
 * short at Stripe since it was paid, because the subscription is to end within it.
 */
export function periodAround<P extends Period>(wholes: readonly P[], part: Period): P | undefined {
  const exact = wholes.find(({ end }) => end.getTime() === part.end.getTime());
  if (exact) return exact;
  const around = wholes.filter(({ start, end }) => start <= part.start && part.end < end);
  return around.sort((a, b) => b.start.getTime() - a.start.getTime())[0];
}

const MONTHS_OF_A_YEAR = 12;

/** The slices that a whole interval of a plan is granted in. */
export function slicesOfInterval(plan: Pick<PlanTerms, "interval" | "creditInterval">): number {
  return plan.interval === "year" && plan.creditInterval === "month" ? MONTHS_OF_A_YEAR : 1;
}

/** All credits of one interval of a plan, in however many slices they come. */
export function creditsOfInterval(plan: Pick<PlanTerms, "interval" | "creditInterval" | "credits">): number {
  return plan.credits * slicesOfInterval(plan);
}

/** Whether a proration gives time back rather than charging for it. */
export function isGivingBack(line: Pick<PaidLine, "amount" | "givesBack">): boolean {
  return line.amount < 0 || (line.amount === 0 && line.givesBack === true);
}

/** A part of something, as a fraction. */
interface Share {
  part: bigint;
  of: bigint;
}

/**
 * Credits of a proration: of a charge of m at a plan's list price P and quantity q, `floor(C·m / (P·q))` of its C credits; of what
 * is given back `-ceil(C·m / (P·q))`. What was not sold at its list price (discounted, another currency, free) counts by its time.
 * @param whole the item's period that the line falls in; null where it is not known
 */
export function creditsOfLine(line: PaidLine, plan: PlanTerms, whole: Period | null): number {
  if (line.quantity <= 0) return 0;
  const givesBack = isGivingBack(line);
  // Time that has a price and moves for nothing, in a trial or where all of the price is taken off, moves no credits.
  if (line.free && plan.unitAmount > 0) return 0;
  const time = timeOf(line, plan, whole);
  const money = { part: BigInt(Math.abs(line.amount)), of: BigInt(plan.unitAmount) * BigInt(line.quantity) };
  const isListed = !line.discounted && line.currency === plan.currency && money.of > 0n;
  // A discount may be inside the amount itself: it is then less than the time costs. A first period that is cut short says nothing.
  const isWhole = whole !== null && isFull(whole, plan.interval);
  const isShort = isWhole && money.of * time.part - money.part * time.of > time.of;
  const { part, of } = isListed && !isShort ? money : time;
  const exact = BigInt(creditsOfInterval(plan)) * part;
  return givesBack ? 0 - Number((exact + of - 1n) / of) : Number(exact / of);
}

function timeOf(line: PaidLine, plan: PlanTerms, whole: Period | null): Share {
  const part = lengthOf({ start: line.periodStart, end: line.periodEnd });
  const length = whole ? lengthOf(whole) : LONGEST_MS[plan.interval];
  invariant(length > 0n, "a period ends after it starts");
  const of = length < SHORTEST_MS[plan.interval] ? SHORTEST_MS[plan.interval] : length;
  return { part: part < of ? part : of, of };
}

/** Whether a period has the length of an interval; the first one may be cut short, and so may one in which the subscription is to end. */
export function isFull(period: Period, interval: Interval): boolean {
  return lengthOf(period) >= SHORTEST_MS[interval];
}

/** What a period would be that ends at an instant, were it not cut short at its beginning. */
export function fullBefore(end: Date, interval: Interval): Period {
  return { start: addMonths(end, interval === "year" ? 0 - MONTHS_OF_A_YEAR : -1), end };
}

const lengthOf = ({ start, end }: Period): bigint => BigInt(end.getTime() - start.getTime());

const DAY_MS = 86_400_000n;
const SHORTEST_MS: Record<Interval, bigint> = { month: 28n * DAY_MS, year: 365n * DAY_MS };
const LONGEST_MS: Record<Interval, bigint> = { month: 31n * DAY_MS, year: 366n * DAY_MS };

/** What the prorations of one invoice come to, for one item and one of its periods. */
export interface Proration {
  stripeItemId: string;
  /** The price that is charged from then on; where none is, the one that was given back. */
  stripePriceId: string;
  /** The time that is changed: until the end of the item's period. */
  from: Date;
  until: Date;
  /** Positive: an upgrade. Negative: given back. */
  credits: number;
  /** By how much each whole slice changes. */
  perSlice: number;
  /** Of an upgrade's credits, those that are nobody's for as long as the time is unpaid that it gives back. */
  withheld: number;
}

/** What is known about a line: its plan, as it was when it was paid; undefined for what is no plan's. And the period that it falls in. */
export interface LineContext {
  planOf(line: PaidLine): PlanTerms | undefined;
  /** The period of the line's item; null where it is not known. */
  periodOf(line: PaidLine): Period | null;
}

/** What the prorations of a paid invoice come to. Prices that are no plan's are left out. */
export function prorationsOf(lines: readonly PaidLine[], context: LineContext): Proration[] {
  const groups = new Map<string, PaidLine[]>();
  for (const line of lines) {
    if (!line.proration || line.stripeItemId === null || line.periodEnd <= line.periodStart) continue;
    if (!context.planOf(line)) continue;
    const key = `${line.stripeItemId}@${line.periodEnd.getTime()}`;
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  return [...groups.values()].map((group) => prorationOf(group, context));
}

function prorationOf(lines: readonly PaidLine[], context: LineContext): Proration {
  const inTime = [...lines].sort((a, b) => a.periodStart.getTime() - b.periodStart.getTime());
  const planOf = (line: PaidLine) => {
    const plan = context.planOf(line);
    invariant(plan, "the plan of a proration is known");
    return plan;
  };
  const creditsOf = (line: PaidLine) => creditsOfLine(line, planOf(line), context.periodOf(line));
  const credits = inTime.reduce((sum, line) => sum + creditsOf(line), 0);
  const before = inTime.find(isGivingBack);
  const after = inTime.findLast((line) => !isGivingBack(line));
  const [first] = inTime;
  invariant(first, "a proration has a line");
  const sliceOf = (line: PaidLine | undefined) => (line ? planOf(line).credits : 0);
  return {
    stripeItemId: first.stripeItemId ?? "",
    stripePriceId: (after ?? first).stripePriceId ?? "",
    from: first.periodStart,
    until: first.periodEnd,
    credits,
    perSlice: sliceOf(after) - sliceOf(before),
    withheld: withheldOf(inTime, credits, creditsOf),
  };
}

/**
 * By how much an upgrade gives less where nobody has paid for the time that it gives back: that is then a discount on what it charges,
 * for one plan's credits may cost more than another's, and only the difference is paid. What was charged before on the same invoice
 * was sold there.
 */
function withheldOf(inTime: readonly PaidLine[], credits: number, creditsOf: (line: PaidLine) => number): number {
  const charge = inTime.findLast((line) => !isGivingBack(line));
  if (credits <= 0 || !charge || charge.amount <= 0) return 0;
  const isSoldHere = ({ stripePriceId, periodStart }: PaidLine) =>
    inTime.some(
      (line) => !isGivingBack(line) && line.stripePriceId === stripePriceId && line.periodStart < periodStart,
    );
  const unpaid = inTime.filter((line) => isGivingBack(line) && !isSoldHere(line));
  const discount = unpaid.reduce((sum, { amount }) => sum - amount, 0);
  const charged = creditsOf(charge);
  const discounted = Number((BigInt(charged) * BigInt(Math.max(0, charge.amount - discount))) / BigInt(charge.amount));
  const others = unpaid.reduce((sum, line) => sum - creditsOf(line), credits - charged);
  return Math.max(0, credits - Math.max(0, others + discounted));
}

/**
 * An upgrade's credits over the slices that are left: whole slices get the difference of the plans, what is left over goes to
 * the first one, which has begun, and what they are short of is missing at the end.
 */
export function spreadOver(credits: number, perSlice: number, slices: number): number[] {
  invariant(slices > 0 && credits >= 0, "credits are spread over slices");
  const each = Math.max(0, perSlice);
  const first = each === 0 ? credits : Math.max(0, credits - each * (slices - 1));
  const amounts = [first];
  let left = credits - first;
  while (amounts.length < slices) {
    const amount = Math.min(each, left);
    amounts.push(amount);
    left -= amount;
  }
  return amounts;
}

/** Something that credits of a period can be taken back of: a lot, or a slice that is not granted yet. */
export interface Returnable {
  kind: "slice" | "lot";
  /** Its own credits. */
  amount: number;
  /** What was taken back of it until now. */
  returned: number;
  /** What of it nobody has spent. */
  unspent: number;
  /** Slices of one end are of one month. */
  end: number;
  /** It is over, so nothing more can be taken of it. */
  closed?: boolean;
  /** The invoice that paid for it. */
  invoice: string;
  /** What refunds and lost disputes leave of all that this invoice paid for: so much of it can be taken back in all. */
  unclaimed: number;
}

/** Time that was given back of a period. */
export interface Return {
  credits: number;
  /** What each whole slice becomes smaller by. */
  perSlice: number;
}

/**
 * By how much the slices that are still to come become smaller, by their end, where time was given back before or after they were
 * paid for: as if each return had found them there, one after the other.
 * @param returns in the order in which they came to be
 * @returns what is still to be taken of them
 */
export function budgetsOf(parts: readonly Returnable[], returns: readonly Return[]): Map<number, number> {
  const open = parts.filter((part) => part.kind === "slice" && !part.closed);
  const room = new Map<number, number>();
  const taken = new Map<number, number>();
  for (const { end, amount, returned } of open) {
    room.set(end, (room.get(end) ?? 0) + amount);
    taken.set(end, (taken.get(end) ?? 0) + returned);
  }
  const wanted = new Map<number, number>();
  for (const { credits, perSlice } of returns) {
    let left = credits;
    for (const end of [...room.keys()].sort((a, b) => b - a)) {
      const before = wanted.get(end) ?? 0;
      const amount = Math.max(0, Math.min(left, perSlice, (room.get(end) ?? 0) - before));
      wanted.set(end, before + amount);
      left -= amount;
    }
  }
  return new Map([...wanted].map(([end, amount]) => [end, Math.max(0, amount - (taken.get(end) ?? 0))]));
}

/**
 * Of which slices and lots credits are taken back, in their order: of slices to come each by the difference of the plans, then of
 * lots what is unspent, then of slices whatever is needed; last what was spent, which becomes a debt. What was taken back of one
 * before stays there, as far as it is still to be taken back, and refunds and disputes have left so much of its invoice: a refund never
 * hides behind it.
 * @param parts slices from the end, then lots newest first
 * @param credits to be taken back in all
 * @param perSlice what each whole slice becomes smaller by now; or that by its end
 * @returns what is taken back of each, in all
 */
export function assignReturns(
  parts: readonly Returnable[],
  credits: number,
  perSlice: number | ReadonlyMap<number, number>,
): number[] {
  const unclaimed = new Map(parts.map(({ invoice, unclaimed }) => [invoice, unclaimed]));
  const result = parts.map(() => 0);
  let left = credits;
  const put = (part: Returnable, index: number, most: number): number => {
    const before = result[index] ?? 0;
    const room = unclaimed.get(part.invoice) ?? 0;
    const amount = Math.max(0, Math.min(most, part.amount - before, room));
    result[index] = before + amount;
    unclaimed.set(part.invoice, room - amount);
    left -= amount;
    return amount;
  };
  // What was never granted stays so; it comes first, for it cannot be put elsewhere.
  for (const closed of [true, false]) {
    for (const [index, part] of parts.entries()) {
      if ((part.closed ?? false) === closed) put(part, index, closed ? part.returned : Math.min(part.returned, left));
    }
  }
  const take = (kind: Returnable["kind"], most: (part: Returnable, index: number) => number) => {
    for (const [index, part] of parts.entries()) {
      if (left <= 0) return;
      if (part.kind === kind && !part.closed) put(part, index, Math.min(left, most(part, index)));
    }
  };
  const budgets = new Map<number, number>();
  for (const [index, part] of parts.entries()) {
    if (left <= 0) break;
    if (part.kind !== "slice" || part.closed) continue;
    const wanted = typeof perSlice === "number" ? perSlice : (perSlice.get(part.end) ?? 0);
    const budget = budgets.get(part.end) ?? Math.max(0, wanted);
    budgets.set(part.end, budget - put(part, index, Math.min(left, budget)));
  }
  take("lot", (part) => part.unspent);
  take("slice", () => Number.POSITIVE_INFINITY);
  take("lot", () => Number.POSITIVE_INFINITY);
  return result;
}
