// A pure model of Stripe's money (prorations by the second, each line rounded to minor units) and of an organization that lives
// with it: what it pays, what is given back, and which credits the rules of `src/domain` make of that.
import type { AccountLot, SpentPolicy } from "~/domain/account";
import { addMonths, type Interval, type PaidLine, paidPeriods, slicesOf } from "~/domain/allowance";
import { claim, claimedInAll, claimsOn, lapsedOf, ownCredits, paidInAll, type Ungranted } from "~/domain/claims";
import { toCredits } from "~/domain/credits";
import { grant } from "~/domain/granting";
import {
  assignReturns,
  creditsOfInterval,
  isGivingBack,
  type PlanTerms,
  type Proration,
  prorationsOf,
  type Returnable,
  spreadOver,
} from "~/domain/prorations";
import { truthOfInvoice } from "~/domain/sold";
import { consume, expire } from "~/domain/spending";
import { causeOf, EVENT, emptyAccount, NOW } from "./accounts";

export type Plan = PlanTerms & { price: string };

const plan = (name: string, interval: Interval, unitAmount: number, credits: number, yearly = false): Plan => ({
  price: `${name}_${interval}`,
  interval,
  unitAmount,
  currency: "usd",
  credits,
  creditInterval: yearly ? "year" : "month",
});

/** Prices whose rates differ and do not divide; one year is granted at once. */
export const PLANS: readonly Plan[] = [
  plan("starter", "month", 1500, 1500),
  plan("pro", "month", 4900, 6000),
  plan("scale", "month", 14_900, 25_000),
  plan("starter", "year", 15_000, 1500),
  plan("pro", "year", 49_000, 6000),
  plan("scale", "year", 149_000, 25_000),
  plan("bulk", "year", 99_700, 200_003, true),
];
const BY_PRICE = new Map(PLANS.map((each) => [each.price, each]));

export type Step =
  | { do: "wait"; seconds: number }
  | { do: "subscribe"; plan: number; quantity: number; trial: boolean }
  | { do: "change"; plan: number; quantity: number; waits: boolean }
  | { do: "cancel"; prorates: boolean }
  | { do: "refund"; which: number; share: number }
  | { do: "spend"; share: number };

/** How prorations become credits: the rule, or one that is tempting and wrong. */
export type Reading = (lines: readonly PaidLine[], context: Parameters<typeof prorationsOf>[1]) => Proration[];

export const byMoney: Reading = prorationsOf;

/** A change to a plan gives its allowance, and nothing is taken back. */
export const secondAllowance: Reading = (lines, context) =>
  prorationsOf(lines, context).map((each) => {
    const charged = lines.findLast((line) => line.proration && !isGivingBack(line));
    const terms = charged && context.planOf(charged);
    return { ...each, credits: terms ? creditsOfInterval(terms) : 0 };
  });

/** Each line by its share of the time, rounded up. */
export const byTimeRoundedUp: Reading = (lines, context) =>
  prorationsOf(lines, context).map((each) => {
    let credits = 0;
    for (const line of lines) {
      const terms = context.planOf(line);
      const whole = context.periodOf(line);
      if (!line.proration || !terms || !whole || line.periodEnd.getTime() !== each.until.getTime()) continue;
      const share = (+line.periodEnd - +line.periodStart) / (+whole.end - +whole.start);
      credits += Math.ceil(creditsOfInterval(terms) * (isGivingBack(line) ? -share : share));
    }
    return { ...each, credits };
  });

interface Period {
  start: Date;
  end: Date;
}

/** A paid period or an upgrade, as `allowance_periods` keeps it. */
interface Row extends Period {
  /** What of its invoice it was paid by. */
  key: string;
  invoice: Invoice;
  amounts: number[];
  cuts: number[];
  ends: Date[];
  starts: Date[];
  granted: number;
  stopped: boolean;
}

interface Invoice {
  id: string;
  /** What was asked for; what is given back makes it smaller, or negative. And what it sold, however that was paid. */
  total: number;
  sold: number;
  refunded: number;
  rows: Row[];
  /** How much money had come and gone when it was paid. */
  since: number;
}

interface Subscription extends Period {
  plan: Plan;
  quantity: number;
  trial: boolean;
  waiting: PaidLine[];
}

interface Fraction {
  part: bigint;
  of: bigint;
}

const NOTHING: Fraction = { part: 0n, of: 1n };
const plus = (a: Fraction, b: Fraction): Fraction => ({ part: a.part * b.of + b.part * a.of, of: a.of * b.of });

/** What the whole credits that a refund of an invoice claims have cost. */
function refundedOf({ rows, sold, refunded }: Invoice): Fraction {
  const all = rows.reduce((sum, { amounts }) => sum + amounts.reduce((a, b) => a + b, 0), 0);
  if (refunded === 0 || all === 0) return NOTHING;
  return { part: ((BigInt(all) * BigInt(refunded)) / BigInt(sold)) * BigInt(sold), of: BigInt(all) };
}

/** What an invoice has sold that is no lot, as `ungrantedOf` reads it. */
function ungrantedOf({ rows }: Invoice): Ungranted {
  const sum = { toCome: 0, neverCome: 0, cut: 0 };
  for (const { amounts, cuts, granted, stopped } of rows) {
    for (const [index, amount] of amounts.entries()) {
      const cut = cuts[index] ?? 0;
      sum.cut += cut;
      if (index >= granted) sum[stopped ? "neverCome" : "toCome"] += amount - cut;
    }
  }
  return sum;
}

const keyOf = (price: string, quantity: number, end: Date) => `${price}×${quantity}@${end.getTime()}`;
const later = (at: Date, seconds: number) => new Date(at.getTime() + seconds * 1000);
const floor = (at: Date) => new Date(Math.floor(at.getTime() / 1000) * 1000);

/** Money that came or went; `place` is its order, in which a refund follows upon what it refunds. */
type Flow = Fraction & { key: string; end: number; quantity: number; place: number };

export class Life {
  readonly account;
  now = floor(NOW);
  private subscription: Subscription | null = null;
  private readonly invoices: Invoice[] = [];
  private readonly rows: Row[] = [];
  private readonly lots = new Map<string, { row: Row; lot: AccountLot }>();
  private readonly returns = new Map<number, number>();
  /** Money, by price, quantity and end of the period that it is for, as it came and went. */
  private readonly flows: Flow[] = [];
  private readonly trialLots = new Set<string>();
  private hadTrial = false;
  private made = 0;

  constructor(
    policy: SpentPolicy,
    private readonly reading: Reading,
  ) {
    this.account = emptyAccount({ spentPolicy: policy });
  }

  do(step: Step): void {
    if (step.do === "wait") this.wait(step.seconds);
    else if (step.do === "subscribe") this.subscribe(step.plan, step.quantity, step.trial);
    else if (step.do === "change") this.change(step.plan, step.quantity, step.waits);
    else if (step.do === "cancel") this.cancel(step.prorates);
    else if (step.do === "refund") this.refund(step.which, step.share);
    else this.spend(step.share);
  }

  /** Credits that were ever usable, trials left out: spent, and there to be spent, less what is owed. */
  get usable(): number {
    const { state, rows } = this.account;
    let spent = 0;
    for (const row of rows) {
      for (const entry of row.entries) {
        const isTrial = this.trialLots.has(entry.grantId);
        if (row.type === "consume" && !isTrial) spent -= entry.amount;
        // A trial's credits have paid for what was owed of others.
        if (row.type === "debt" && isTrial) spent += entry.amount;
      }
    }
    const here = state.lots.filter((lot) => !this.trialLots.has(lot.id) && (lot.expiresAt ?? this.now) > this.now);
    return spent + here.reduce((sum, lot) => sum + lot.remaining, 0) - state.debt;
  }

  /**
   * Money paid less money given back, as a fraction. A refund counts with what the whole credits that it claims have cost, because
   * claims round down; and what is given back for a plan and quantity beyond what was paid for it (its unused time was credited, and
   * then its payment refunded as well) counts for nothing: its credits are gone, and more cannot be taken. What is bought of the same
   * time after that is another matter, so a refund counts where its invoice was paid.
   */
  get money(): Fraction {
    const periods = new Map<string, Fraction>();
    for (const { key, ...flow } of [...this.flows].sort((a, b) => a.place - b.place)) {
      const after = plus(periods.get(key) ?? NOTHING, flow);
      periods.set(key, after.part > 0n ? after : NOTHING);
    }
    return [...periods.values()].reduce(plus, NOTHING);
  }

  // ── Stripe ───────────────────────────────────────────────────────────────────────────────────────────────

  private wait(seconds: number): void {
    const until = later(this.now, seconds);
    for (let current = this.subscription; current && current.end <= until; current = this.subscription) {
      this.liveUntil(current.end);
      const start = current.end;
      this.subscription = { ...current, trial: false, waiting: [], start, end: this.endOf(current.plan, start) };
      this.pay([...current.waiting, this.wholeLine(this.subscription)]);
    }
    this.liveUntil(until);
  }

  private subscribe(index: number, quantity: number, trial: boolean): void {
    if (this.subscription) return;
    const terms = PLANS[index % PLANS.length] as Plan;
    const isTrial = trial && !this.hadTrial;
    const end = isTrial ? later(this.now, 14 * 86_400) : this.endOf(terms, this.now);
    this.subscription = { plan: terms, quantity, trial: isTrial, start: this.now, end, waiting: [] };
    if (isTrial) {
      this.hadTrial = true;
      this.trialLots.add(this.give(300, end));
    } else {
      this.pay([this.wholeLine(this.subscription)]);
    }
  }

  private change(index: number, quantity: number, waits: boolean): void {
    const before = this.subscription;
    const terms = PLANS[index % PLANS.length] as Plan;
    if (!before || (before.plan === terms && before.quantity === quantity)) return;
    const after = { ...before, plan: terms, quantity };
    this.subscription = after;
    if (before.trial) return;
    const back = this.prorationLine(before, -1);
    if (before.plan.interval === terms.interval) {
      const lines = [...before.waiting, ...back, ...this.prorationLine(after, 1)];
      after.waiting = waits ? lines : [];
      if (!waits) this.pay(lines);
      return;
    }
    this.subscription = { ...after, waiting: [], start: this.now, end: this.endOf(terms, this.now) };
    this.pay([...before.waiting, ...back, this.wholeLine(this.subscription)]);
    this.leave();
  }

  private cancel(prorates: boolean): void {
    const before = this.subscription;
    if (!before) return;
    this.subscription = null;
    this.leave(true);
    if (prorates && !before.trial) this.pay([...before.waiting, ...this.prorationLine(before, -1)]);
  }

  private refund(which: number, share: number): void {
    // One that paid for two periods is left out: what of it is refunded for which is nobody's rule.
    const paid = this.invoices.filter(
      (invoice) =>
        invoice.total > 0 &&
        new Set(invoice.rows.map((row) => row.key)).size === 1 &&
        !this.wereSeatsGivenBack(invoice),
    );
    const invoice = paid[which % Math.max(1, paid.length)];
    if (!invoice) return;
    const before = refundedOf(invoice);
    invoice.refunded = Math.max(invoice.refunded, Math.floor(invoice.total * share));
    const more = plus(refundedOf(invoice), { part: -before.part, of: before.of });
    const [first] = invoice.rows;
    const time = { key: first?.key ?? "", end: Number(first?.end), quantity: 0, place: invoice.since - 0.5 };
    this.flows.push({ ...time, part: -more.part, of: more.of });
    for (const end of new Set(invoice.rows.map((row) => row.end.getTime()))) this.settleReturns(end, 0);
    this.claimAll(invoice);
  }

  /**
   * Seats buy no credits, so what was given back for them took none. Who refunds the invoice that sold them after that gives the same
   * money back twice, and that is a present: no share of an invoice can see it.
   */
  private wereSeatsGivenBack({ rows, since }: Invoice): boolean {
    const isSame = ({ end }: { end: number }) => end === Number(rows[0]?.end);
    const waiting = (this.subscription?.waiting ?? []).map((line) => ({
      end: +line.periodEnd,
      part: BigInt(line.amount),
    }));
    const hadSeats = this.flows.some((flow) => isSame(flow) && flow.quantity > 1);
    const lines = this.flows.slice(since).filter(({ quantity }) => quantity > 0);
    return hadSeats && [...lines, ...waiting].some((line) => isSame(line) && line.part < 0n);
  }

  private spend(share: number): void {
    const cost = toCredits(Math.ceil(this.account.available(this.now) * share));
    if (cost > 0) consume(this.account, { cost, event: EVENT, quantity: cost, cause: causeOf(), at: this.now });
  }

  private endOf(terms: Plan, start: Date): Date {
    return addMonths(start, terms.interval === "year" ? 12 : 1);
  }

  private wholeLine({ plan: terms, quantity, start, end }: Subscription): PaidLine {
    return this.line(terms, quantity, { start, end }, terms.unitAmount * quantity, false);
  }

  /** What is left of the period, rounded to the minor unit as each line is. */
  private prorationLine({ plan: terms, quantity, start, end }: Subscription, sign: 1 | -1): PaidLine[] {
    const left = end.getTime() - this.now.getTime();
    // Stripe would credit at full price what was refunded already; who refunds within a period changes without prorations then.
    const isRefunded = this.rows.some((row) => +row.end === +end && row.invoice.refunded > 0);
    if (left <= 0 || isRefunded) return [];
    const amount = Math.round((terms.unitAmount * quantity * left) / (end.getTime() - start.getTime()));
    return [this.line(terms, quantity, { start: this.now, end }, sign * amount, true)];
  }

  private line(terms: Plan, quantity: number, time: Period, amount: number, proration: boolean): PaidLine {
    const { start: periodStart, end: periodEnd } = time;
    const rest = { stripeItemId: "si", proration, periodStart, periodEnd, currency: "usd", discounted: false };
    return { ...rest, stripePriceId: terms.price, amount: amount + 0, quantity, givesBack: amount < 0 };
  }

  // ── Billfold ─────────────────────────────────────────────────────────────────────────────────────────────

  /** An invoice is paid at once: what `settlePaidInvoice` does, in its order. */
  private pay(lines: PaidLine[]): void {
    const money = { lines: lines.map((line) => ({ ...line, tax: 0 })), due: 0, creditedBefore: 0 };
    const { sold } = truthOfInvoice(money, 0, null);
    const since = this.flows.length + lines.length;
    const invoice: Invoice = { id: `in-${++this.made}`, total: 0, sold, refunded: 0, rows: [], since };
    for (const line of lines) {
      const key = keyOf(line.stripePriceId ?? "", line.quantity, line.periodEnd);
      invoice.total += line.amount;
      const time = { key, end: line.periodEnd.getTime(), quantity: line.quantity, place: this.flows.length };
      this.flows.push({ ...time, part: BigInt(line.amount), of: 1n });
    }
    this.invoices.push(invoice);
    const periods = paidPeriods(lines, BY_PRICE, null);
    const context = {
      planOf: (line: PaidLine) => BY_PRICE.get(line.stripePriceId ?? ""),
      periodOf: (line: PaidLine) =>
        this.rows.find((row) => +row.end === +line.periodEnd && row.start <= line.periodStart) ?? null,
    };
    for (const proration of this.reading(lines, context)) {
      const { from, until, credits, perSlice } = proration;
      const charged = lines.findLast((line) => line.proration && !line.givesBack && +line.periodEnd === +until);
      const renewed = periods.find((period) => period.periodStart >= until)?.periodEnd;
      if (credits > 0) this.upgrade(invoice, proration, charged?.quantity ?? 1, renewed);
      if (credits < 0) this.returns.set(+until, (this.returns.get(+until) ?? 0) - credits);
      if (from < until) this.settleReturns(+until, -perSlice);
    }
    for (const period of periods) {
      const terms = BY_PRICE.get(period.stripePriceId) as Plan;
      const slices = slicesOf(period.periodStart, period.periodEnd, terms.creditInterval);
      const amounts = slices.map(() => terms.credits);
      const bought = lines.find((line) => !line.proration && line.periodEnd === period.periodEnd);
      const key = keyOf(terms.price, bought?.quantity ?? 1, period.periodEnd);
      this.addRow(invoice, key, { start: period.periodStart, end: period.periodEnd }, slices, amounts);
      this.settleReturns(+period.periodEnd, 0);
    }
  }

  private upgrade(
    invoice: Invoice,
    { stripePriceId, from, until, credits, perSlice }: Proration,
    quantity: number,
    renewed?: Date,
  ): void {
    const terms = BY_PRICE.get(stripePriceId) as Plan;
    const key = keyOf(stripePriceId, quantity, until);
    if (renewed) {
      this.addRow(invoice, key, { start: from, end: renewed }, [{ start: from, end: renewed }], [credits]);
      return;
    }
    const start = this.rows.find((row) => row.end.getTime() === until.getTime() && row.start <= from)?.start ?? from;
    const slices = slicesOf(start, until, terms.creditInterval).filter(({ end }) => end > from);
    this.addRow(invoice, key, { start: from, end: until }, slices, spreadOver(credits, perSlice, slices.length));
  }

  private addRow(invoice: Invoice, key: string, time: Period, slices: readonly Period[], amounts: number[]): void {
    const starts = slices.map(({ start }) => start);
    const ends = slices.map(({ end }) => end);
    const row: Row = {
      ...time,
      key,
      invoice,
      amounts,
      cuts: amounts.map(() => 0),
      starts,
      ends,
      granted: 0,
      stopped: false,
    };
    this.rows.push(row);
    invoice.rows.push(row);
    this.grantDue(row);
  }

  private grantDue(row: Row): void {
    while (!row.stopped && row.granted < row.amounts.length) {
      const index = row.granted;
      if (index > 0 && (row.starts[index] as Date) > this.now) return;
      row.granted++;
      const amount = (row.amounts[index] ?? 0) - (row.cuts[index] ?? 0);
      if (amount <= 0) continue;
      const id = this.give(amount, row.ends[index] as Date);
      this.lots.set(id, { row, lot: this.account.requireLot(id) });
      this.claimAll(row.invoice);
    }
  }

  private give(amount: number, expiresAt: Date): string {
    const id = `lot-${String(++this.made).padStart(5, "0")}`;
    const rest = { source: "subscription" as const, expiresAt, label: id, transferable: true, createdAt: this.now };
    grant(this.account, { id, amount: toCredits(amount), ...rest }, "grant", causeOf(), this.now);
    return id;
  }

  private liveUntil(at: Date): void {
    for (const start of [...new Set(this.rows.flatMap((row) => row.starts.slice(row.granted).map(Number)))].sort()) {
      if (start > at.getTime()) break;
      if (start > this.now.getTime()) this.now = new Date(start);
      expire(this.account, this.now);
      for (const row of this.rows) {
        if (row.granted === row.amounts.length) continue;
        this.grantDue(row);
        if (row.cuts.some((cut) => cut > 0)) this.settleReturns(row.end.getTime(), 0);
      }
    }
    this.now = at;
    expire(this.account, at);
  }

  /** Slices of periods that were left are not granted any more. */
  private leave(all = false): void {
    const start = this.subscription?.start ?? this.now;
    for (const row of this.rows) if (row.end > start && (all || row.start < start)) row.stopped = true;
    for (const invoice of this.invoices) if (invoice.refunded > 0) this.claimAll(invoice);
  }

  private lotsOf(invoice: Invoice): AccountLot[] {
    return [...this.lots.values()].filter(({ row }) => row.invoice === invoice).map(({ lot }) => lot);
  }

  private claimsOf(invoice: Invoice, returned: (lot: AccountLot) => number) {
    const lots = this.lotsOf(invoice);
    const wanted = lots.map((lot) => ({ ...lot, returned: returned(lot) }));
    const truth = { amount: invoice.sold, refunded: invoice.refunded, disputed: 0, lost: 0 };
    const ungranted = ungrantedOf(invoice);
    const targets = claimsOn(wanted, truth, ungranted);
    return {
      claims: lots.map((lot, index) => ({ lot, target: targets[index] ?? { toTake: 0, toFreeze: 0 } })),
      unclaimed: paidInAll(wanted, ungranted) - claimedInAll(wanted, truth, ungranted),
    };
  }

  private claimAll(invoice: Invoice, returned: ReadonlyMap<string, number> = new Map()): void {
    const wanted = (lot: AccountLot) => returned.get(lot.id) ?? lot.returned;
    const said = { reference: invoice.id, reason: "told" };
    const claims = this.claimsOf(invoice, wanted).claims.map(({ lot, target }) => ({
      ...{ lot, target, returned: wanted(lot), covered: 0 },
      ...{ taking: { type: "refund" as const, ...said }, freezing: { type: "dispute" as const, ...said } },
    }));
    claim(this.account, claims, [], this.now);
  }

  private settleReturns(end: number, perSlice: number): void {
    const credits = this.returns.get(end) ?? 0;
    if (credits === 0) return;
    const rows = this.rows.filter((row) => row.end.getTime() === end).reverse();
    const unclaimedOf = ({ invoice }: Row) => this.claimsOf(invoice, (lot) => lot.returned).unclaimed;
    const slices = rows.flatMap((row) =>
      row.amounts.flatMap((amount, index) => {
        const cut = row.cuts[index] ?? 0;
        const closed = index < row.granted;
        if (closed && cut === 0) return [];
        const whole = closed ? cut : amount;
        const part: Returnable = {
          ...{ kind: "slice", amount: whole, returned: cut, unspent: whole, closed },
          ...{ end: (row.ends[index] as Date).getTime(), invoice: row.invoice.id, unclaimed: unclaimedOf(row) },
        };
        return [{ part, row, index, lot: null }];
      }),
    );
    slices.sort((a, b) => b.part.end - a.part.end);
    const lots = [...this.lots.values()]
      .filter(({ row }) => rows.includes(row))
      .reverse()
      .map(({ row, lot }) => {
        const waiting = Math.max(0, lot.toTake - lot.taken);
        const part: Returnable = {
          ...{ kind: "lot", amount: ownCredits(lot), returned: lot.returned, end: 0 },
          ...{ unspent: Math.max(0, lot.remaining + lapsedOf(lot) - waiting) },
          ...{ invoice: row.invoice.id, unclaimed: unclaimedOf(row) },
        };
        return { part, row, index: 0, lot };
      });
    const parts = [...slices, ...lots];
    const returned = assignReturns(
      parts.map(({ part }) => part),
      credits,
      perSlice,
    );
    const byInvoice = new Map<Invoice, Map<string, number>>();
    for (const [at, { row, index, lot, part }] of parts.entries()) {
      const amount = returned[at] ?? 0;
      if (amount === part.returned) continue;
      const lotsOf = byInvoice.get(row.invoice) ?? new Map<string, number>();
      byInvoice.set(row.invoice, lot ? lotsOf.set(lot.id, amount) : lotsOf);
      if (!lot && !part.closed) row.cuts[index] = amount;
    }
    for (const [invoice, wanted] of byInvoice) this.claimAll(invoice, wanted);
  }
}
