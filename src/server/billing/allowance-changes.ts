// Changes within a period: what the prorations of a paid invoice come to, decided once and kept, and upgrades as rows of allowances.
// The rule is `domain/prorations.ts`; taking back what was given back is `allowance-returns.ts`.
import { type Interval, lateUntil, type PaidLine, type PaidPeriod, slicesOf, type Trial } from "~/domain/allowance";
import { invariant } from "~/domain/errors";
import { type CreditsOfChange, creditsOfChange } from "~/domain/plan-change";
import {
  fullBefore,
  isFull,
  type LineContext,
  type Period,
  type Proration,
  periodAround,
  prorationsOf,
  spreadOver,
} from "~/domain/prorations";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import type { SubscriptionFacts } from "../stripe/facts";
import type { InvoiceFacts } from "../stripe/invoice-facts";
import { grantDue, lockFirst } from "./allowance-grants";
import { readReturnable } from "./allowance-returns";
import { type AllowanceRow, isUpgrade, rowOf } from "./allowance-rows";
import { type CataloguePlan, planItemOf } from "./catalogue";
import { endOf } from "./returned-periods";

/** What an allowance depends on of a subscription. */
export type AllowanceSubscription = Pick<
  SubscriptionFacts,
  "id" | "status" | "trialStart" | "trialEnd" | "endedAt" | "items"
>;

/** What it depends on of an invoice. */
export type AllowanceInvoice = Pick<InvoiceFacts, "id" | "status" | "paidAt"> & { lines: readonly PaidLine[] };

export interface PaidInvoice {
  organizationId: string;
  subscription: AllowanceSubscription;
  invoice: AllowanceInvoice;
  /** By Stripe price: those of the invoice's lines that are plans. */
  plans: ReadonlyMap<string, CataloguePlan>;
}

export const trialOf = ({
  trialStart,
  trialEnd,
}: Pick<AllowanceSubscription, "trialStart" | "trialEnd">): Trial | null =>
  trialStart && trialEnd ? { start: trialStart, end: trialEnd } : null;

// ── What they come to ────────────────────────────────────────────────────────────────────────────────────────

/** What an invoice's prorations come to for one item and one of its periods. */
export interface Change extends Proration {
  /** The upgrade that it was kept as; null for what was given back, and for what is not kept yet. */
  upgrade: AllowanceRow | null;
  isKept: boolean;
}

export interface Changes {
  changes: Change[];
  /** Stripe prices that are no plan's, of items whose other prorations are: nothing is guessed of these. */
  unknownPrices: string[];
}

type ItemLine = PaidLine & { stripeItemId: string };

/** What the prorations of an invoice come to: as it was kept, or else by the terms under which the periods that they change were paid. */
export async function readChanges(tx: Transaction, paid: PaidInvoice): Promise<Changes> {
  const { organizationId, subscription, invoice, plans } = paid;
  const isPlan = ({ stripePriceId }: PaidLine) => plans.has(stripePriceId ?? "");
  const lines = invoice.lines.flatMap((line): ItemLine[] => {
    const stripeItemId = itemOf(line, paid);
    return stripeItemId === null || line.quantity <= 0 || line.periodEnd <= line.periodStart
      ? []
      : [{ ...line, stripeItemId }];
  });
  const prorations = lines.filter((line) => line.proration && isPlan(line));
  if (prorations.length === 0) return { changes: [], unknownPrices: [] };
  const items = new Set(prorations.map((line) => line.stripeItemId));
  const kept = await readKept(tx, paid);
  const context = await contextOf(tx, {
    organizationId,
    subscription,
    plans,
    items: [...items],
    invoiceId: invoice.id,
  });
  const changes = prorationsOf(prorations, context).map((proration): Change => {
    const known = kept.find((each) => isOf(each, proration));
    return known ? { ...proration, ...known } : { ...proration, upgrade: null, isKept: false };
  });
  const unknown = lines.filter((line) => items.has(line.stripeItemId) && !isPlan(line));
  const isHalf = ({ isKept, stripeItemId }: Change) =>
    !isKept && unknown.some((line) => line.stripeItemId === stripeItemId);
  const half = new Set(changes.filter(isHalf).map(({ stripeItemId }) => stripeItemId));
  return {
    changes: changes.filter((change) => !isHalf(change)),
    unknownPrices: [
      ...new Set(unknown.filter((line) => half.has(line.stripeItemId)).map((line) => line.stripePriceId ?? "none")),
    ],
  };
}

/**
 * The item that a line is for. A proration that waited as an invoice item may not say it: it was the plan's, unless another item
 * has its price.
 */
function itemOf(line: PaidLine, { subscription, plans }: PaidInvoice): string | null {
  if (line.stripeItemId !== null || !line.proration) return line.stripeItemId;
  const planItem = planItemOf(subscription.items, plans);
  const own = subscription.items.find(({ stripePriceId }) => stripePriceId === line.stripePriceId);
  return (plans.has(line.stripePriceId ?? "") ? planItem : (own ?? planItem))?.id ?? null;
}

type Kept = Omit<Change, "stripePriceId">;

const isOf = (kept: Kept, { stripeItemId, until, from }: Proration) =>
  kept.stripeItemId === stripeItemId &&
  (kept.until.getTime() === until.getTime() || (kept.upgrade?.proratedUntil === null && +kept.from === +from));

/** What was kept of an invoice's prorations when they were first looked at: the catalogue may say something else by now. */
async function readKept(tx: Transaction, { organizationId, invoice }: PaidInvoice): Promise<Kept[]> {
  const [rows, returns] = [
    await tx.allowancePeriod.findMany({ where: { organizationId, stripeInvoiceId: invoice.id, cause: { not: "" } } }),
    await tx.allowanceReturn.findMany({ where: { organizationId, stripeInvoiceId: invoice.id } }),
  ];
  return [
    ...rows.filter(isUpgrade).map((row) => ({
      ...{ stripeItemId: row.stripeItemId, from: row.periodStart, until: row.proratedUntil ?? row.periodEnd },
      ...{ credits: Number(row.total ?? 0n), perSlice: 0, withheld: Number(row.withheld), upgrade: row, isKept: true },
    })),
    ...returns.map((row) => ({
      ...{ stripeItemId: row.stripeItemId, from: row.fromAt, until: row.untilAt },
      ...{ credits: 0 - Number(row.credits), perSlice: Number(row.perSlice), withheld: 0, upgrade: null, isKept: true },
    })),
  ];
}

interface Terms {
  organizationId: string;
  subscription: Pick<AllowanceSubscription, "items">;
  plans: ReadonlyMap<string, CataloguePlan>;
  items: string[];
  /** Of the lines; null for a preview. */
  invoiceId: string | null;
}

/** What is known about the lines of items: their plans, as they were when the periods were paid that they fall in, and those periods. */
async function contextOf(tx: Transaction, terms: Terms): Promise<LineContext> {
  const { organizationId, subscription, plans, items, invoiceId } = terms;
  const rows = await tx.allowancePeriod.findMany({
    where: { organizationId, stripeItemId: { in: items }, trial: false },
    orderBy: { createdAt: "desc" },
  });
  const around = (line: PaidLine) => {
    const mine = rows.filter((row) => row.stripeItemId === line.stripeItemId);
    const end = endOf(mine, { start: line.periodStart, end: line.periodEnd }, invoiceId);
    const endOfRow = (row: AllowanceRow) =>
      endOf(mine, { start: row.periodStart, end: row.periodEnd }, row.stripeInvoiceId);
    return mine.filter((row) => endOfRow(row).getTime() === end.getTime());
  };
  return {
    planOf(line) {
      const plan = plans.get(line.stripePriceId ?? "");
      const paidUnder = around(line).find((row) => row.priceId === plan?.priceId);
      if (!plan || !paidUnder) return plan;
      return { ...plan, credits: Number(paidUnder.credits), creditInterval: paidUnder.creditInterval };
    },
    periodOf(line) {
      // The money of one that was cut short says nothing of a discount; a known discount counts by the time of the whole.
      const isIn = (row: AllowanceRow) => line.discounted || row.periodEnd.getTime() === line.periodEnd.getTime();
      const whole = around(line).find((row) => row.cause === "" && row.periodStart <= line.periodStart && isIn(row));
      return whole ? { start: whole.periodStart, end: whole.periodEnd } : currentPeriodOf(subscription, line);
    },
  };
}

/** The period that a line's item has now, where the line falls in it. */
function currentPeriodOf(
  subscription: Pick<AllowanceSubscription, "items">,
  line: Pick<PaidLine, "stripeItemId" | "periodStart" | "periodEnd">,
): Period | null {
  const item = subscription.items.find(({ id }) => id === line.stripeItemId);
  const isIn = item && item.periodEnd.getTime() === line.periodEnd.getTime() && item.periodStart <= line.periodStart;
  return isIn ? { start: item.periodStart, end: item.periodEnd } : null;
}

/** What the lines of an invoice that Stripe has previewed would give and take back; the rule is that of `settlePaidInvoice`. */
export function previewCredits(
  organizationId: string,
  subscription: AllowanceSubscription,
  stripeItemId: string,
  lines: readonly PaidLine[],
  plans: ReadonlyMap<string, CataloguePlan>,
): Promise<CreditsOfChange> {
  return asPlatform(async (tx) => {
    const item = subscription.items.find(({ id }) => id === stripeItemId);
    const { start, end } = { start: item?.periodStart ?? new Date(0), end: item?.periodEnd ?? new Date(1) };
    const period = { organizationId, stripeItemId, from: start, until: end };
    const interval = plans.get(item?.stripePriceId ?? "")?.interval ?? "month";
    const anchor = await anchorOf(tx, { organizationId, subscription }, period, interval);
    const current = { stripeItemId, start, end, anchor };
    const { parts, returned } = await readReturnable(tx, period);
    const terms = { organizationId, subscription, plans, items: [stripeItemId], invoiceId: null };
    const { planOf } = await contextOf(tx, terms);
    return creditsOfChange({ lines, plans, planOf, current, trial: trialOf(subscription), parts, returned });
  });
}

// ── What is kept of them ─────────────────────────────────────────────────────────────────────────────────────

/**
 * Keeps what an invoice's prorations come to for one item and one of its periods, and grants what of an upgrade is due.
 * @returns credits granted now
 */
export async function keepChange(
  tx: Transaction,
  paid: PaidInvoice,
  change: Change,
  periods: readonly PaidPeriod[],
  now: Date,
): Promise<number> {
  if (change.isKept && change.upgrade === null) return 0;
  if (change.credits <= 0) {
    await keepReturn(tx, paid, change, now);
    return 0;
  }
  await lockFirst(tx, paid.organizationId, now);
  const row = change.upgrade ?? (await keepUpgrade(tx, paid, change, periods, now));
  return grantDue(tx, row, now, paid.subscription.endedAt);
}

async function keepUpgrade(
  tx: Transaction,
  paid: PaidInvoice,
  proration: Proration,
  periods: readonly PaidPeriod[],
  now: Date,
): Promise<AllowanceRow> {
  const { organizationId, subscription, invoice, plans } = paid;
  const { stripeItemId, from, credits, perSlice } = proration;
  const plan = plans.get(proration.stripePriceId);
  invariant(plan, "the plan of a proration is known");
  const later = laterEnd(paid, proration, periods, now);
  const until = later ?? proration.until;
  const anchor = later ? from : await anchorOf(tx, paid, proration, plan.interval);
  const slices = later
    ? [{ end: later }]
    : slicesOf(anchor, until, plan.creditInterval).filter(({ end }) => end > from);
  const beside = { organizationId, stripeItemId, periodStart: from, cause: invoice.id };
  // Of what was changed in the same second, each period that it was changed in.
  const isOther = (await tx.allowancePeriod.count({ where: beside })) > 0;
  return tx.allowancePeriod.create({
    data: {
      ...rowOf(plan),
      ...beside,
      ...(isOther ? { cause: `${invoice.id}:${proration.until.toISOString()}` } : {}),
      id: newId(now),
      stripeSubscriptionId: subscription.id,
      periodEnd: until,
      proratedUntil: proration.until,
      anchor,
      total: BigInt(credits),
      withheld: BigInt(proration.withheld),
      amounts: spreadOver(credits, perSlice, slices.length).map(BigInt),
      cuts: [],
      creditInterval: plan.creditInterval,
      slices: slices.length,
      nextSliceAt: from,
      lateUntil: lateUntil(slices, [], invoice.paidAt ?? now),
      stripeInvoiceId: invoice.id,
      createdAt: now,
    },
  });
}

/** Until when credits last whose own time is over when they are paid for: to the end of what is paid with them, or runs now. */
function laterEnd(paid: PaidInvoice, proration: Proration, periods: readonly PaidPeriod[], now: Date): Date | null {
  const { until, stripeItemId } = proration;
  const renewed = periods.find((period) => !period.trial && period.periodStart >= until);
  if (renewed) return renewed.periodEnd;
  if ((paid.invoice.paidAt ?? now) < until) return null;
  const { items } = paid.subscription;
  const item = items.find(({ id }) => id === stripeItemId) ?? planItemOf(items, paid.plans);
  return item && item.periodStart >= until ? item.periodEnd : null;
}

/**
 * Where the months are counted from of the period that a part falls in: from its start, or back from its end where it is cut short at
 * its beginning. Never from where the subscription happens to be when we look: told later, it would be elsewhere.
 */
async function anchorOf(
  tx: Transaction,
  { organizationId, subscription }: Pick<PaidInvoice, "organizationId" | "subscription">,
  { stripeItemId, from, until }: Pick<Proration, "stripeItemId" | "from" | "until">,
  interval: Interval,
): Promise<Date> {
  const rows = await tx.allowancePeriod.findMany({
    where: {
      organizationId,
      stripeItemId,
      periodEnd: { gte: until },
      periodStart: { lte: from },
      cause: "",
      trial: false,
    },
  });
  const wholes = rows.map((row): Period => ({ start: row.periodStart, end: row.periodEnd }));
  const around = periodAround(wholes, { start: from, end: until });
  if (around?.end.getTime() === until.getTime()) return around.start;
  const current = currentPeriodOf(subscription, { stripeItemId, periodStart: from, periodEnd: until });
  if (current && isFull(current, interval)) return current.start;
  if (around) return around.start;
  const { start } = fullBefore(until, interval);
  return start < from ? start : from;
}

/** Also where nothing is left to give back: what it came to does not depend on later looks. */
async function keepReturn(tx: Transaction, paid: PaidInvoice, proration: Proration, now: Date): Promise<void> {
  await tx.allowanceReturn.createMany({
    data: [
      {
        organizationId: paid.organizationId,
        stripeInvoiceId: paid.invoice.id,
        stripeItemId: proration.stripeItemId,
        stripeSubscriptionId: paid.subscription.id,
        fromAt: proration.from,
        untilAt: proration.until,
        credits: BigInt(-proration.credits),
        perSlice: BigInt(proration.perSlice),
        createdAt: now,
      },
    ],
    skipDuplicates: true,
  });
}
