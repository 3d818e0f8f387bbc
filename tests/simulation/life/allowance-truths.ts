// What must hold of the credits that subscriptions give: each paid period and each proration of Stripe's invoices, computed a second
// time from their lines, against the rows and lots that there are.
import type { Stripe } from "~/server/stripe";
import type { Sql } from "../../setup/billing";
import { isNothingSold } from "../../setup/stripe-sold";
import { idOf, type Theirs } from "./theirs";
import type { Known, Tell } from "./truths";

/** What a plan's price gives, by Stripe's id of it. */
interface Terms {
  /** For each month, or for the whole interval. */
  credits: number;
  perInterval: number;
  unitAmount: number;
}

interface PeriodRow {
  id: string;
  item: string;
  subscription: string;
  start: Date;
  end: Date;
  cause: string;
  invoice: string | null;
  /** Of an upgrade: until when its proration lasts. */
  until: Date | null;
  trial: boolean;
  credits: number;
  slices: number;
  granted: number;
  total: number | null;
  /** What of its granted slices is in lots, by the row itself. */
  due: number;
  amounts: number;
  cuts: number;
  /** Of an upgrade: what it gives only if the time is paid that it gave back. */
  withheld: number;
  stopped: Date | null;
  next: Date | null;
  /** Until when what was paid late lasts. */
  late: Date | null;
  plan: string;
  trialCredits: number;
}

interface Lots {
  allowance: string;
  amount: number;
  count: number;
  ends: Date[];
}

const PERIODS = `
SELECT a.id, stripe_item_id AS item, stripe_subscription_id AS subscription, period_start AS start, period_end AS "end", cause, trial,
  stripe_invoice_id AS invoice, prorated_until AS until,
  a.credits::float8 AS credits, slices, slices_granted AS granted, total::float8 AS total, withheld::float8 AS withheld, stopped_at AS stopped, next_slice_at AS next,
  late_until AS late,
  plan_name AS plan, s.trial_credits::float8 AS "trialCredits",
  (SELECT coalesce(sum(coalesce(amounts[i], a.credits) - coalesce(cuts[i], 0)), 0)::float8 FROM generate_series(1, slices_granted) i) AS due,
  (SELECT coalesce(sum(coalesce(amounts[i], a.credits)), 0)::float8 FROM generate_series(1, slices) i) AS amounts,
  (SELECT coalesce(sum(cut), 0)::float8 FROM unnest(cuts) cut) AS cuts
FROM allowance_periods a JOIN subscription_plans s ON s.id = a.plan_id WHERE organization_id = $1`;

const TERMS = `
SELECT p.stripe_price_id AS price, s.credits::float8 AS credits, p.unit_amount::float8 AS "unitAmount",
  (s.credits * CASE WHEN p.interval = 'year' AND s.credit_interval = 'month' THEN 12 ELSE 1 END)::float8 AS "perInterval"
FROM plan_prices p JOIN subscription_plans s ON s.id = p.plan_id WHERE p.stripe_price_id IS NOT NULL`;

/** The lots that slices were granted as; not what was carried over, or came from others. */
const LOTS = `
SELECT allowance_id AS allowance, sum(amount)::float8 AS amount, count(*)::int AS count, array_agg(expires_at) AS ends FROM credit_grants g
WHERE organization_id = $1 AND allowance_id IS NOT NULL AND origin_grant_id IS NULL AND EXISTS (
  SELECT FROM credit_transactions t WHERE t.organization_id = g.organization_id AND t.grant_id = g.id AND t.idempotency_key LIKE 'allowance:%')
GROUP BY 1`;

export async function allowances(sql: Sql, known: Known, theirs: Theirs, now: Date, breach: Tell): Promise<void> {
  const periods = await sql<PeriodRow>(PERIODS, [known.id]);
  const terms = new Map((await sql<Terms & { price: string }>(TERMS)).map((row) => [row.price, row]));
  const lots = await sql<Lots>(LOTS, [known.id]);
  wholePeriods(known, theirs, periods, terms, breach);
  trials(theirs, periods, breach);
  slices(known, periods, new Map(lots.map((lot) => [lot.allowance, lot])), now, breach);
  await prorations(sql, known, theirs, periods, terms, breach);
  await returns(sql, known, periods, breach);
}

const at = (unix: number): number => unix * 1000;
const key = (item: string, start: number) => `${item}@${start}`;
const named = (row: PeriodRow) => `${row.plan} of ${row.start.toISOString()}`;

/** Whether somebody paid an invoice. */
const isSale = (invoice: Stripe.Invoice): boolean => invoice.status === "paid" && !isNothingSold(invoice);

const priceOf = (line: Stripe.InvoiceLineItem): string => idOf(line.pricing?.price_details?.price) ?? "";

function wholePeriods(
  { gone }: Known,
  { invoices, subscriptions }: Theirs,
  periods: readonly PeriodRow[],
  terms: ReadonlyMap<string, Terms>,
  breach: Tell,
): void {
  const paid = new Map<string, { invoice: string; credits: number[]; subscription: string }>();
  for (const invoice of invoices.filter(isSale)) {
    for (const line of invoice.lines.data) {
      const details = line.parent?.subscription_item_details;
      const plan = terms.get(priceOf(line));
      if (!details?.subscription_item || details.proration || !plan) continue;
      // Nothing is asked for a trial, whatever else is taken off the price of what is sold.
      const isTrial = plan.unitAmount > 0 && line.amount === 0;
      if (isTrial || line.period.end <= line.period.start) continue;
      const place = key(details.subscription_item, at(line.period.start));
      const credits = [...(paid.get(place)?.credits ?? []), plan.credits];
      paid.set(place, { invoice: invoice.id ?? "", credits, subscription: details.subscription ?? "" });
    }
  }
  const whole = periods.filter((period) => period.cause === "" && !period.trial);
  const have = new Set(whole.map((period) => key(period.item, period.start.getTime())));
  const heard = new Set(periods.map((period) => period.subscription));
  for (const [place, { invoice, subscription }] of paid) {
    // What was paid for a subscription beside the live one waits for a person; and nothing is given to who has left.
    if (!have.has(place) && !gone && heard.has(subscription))
      breach("each paid period has its allowance", `${place}, ${invoice}`);
  }
  for (const period of whole) {
    const place = key(period.item, period.start.getTime());
    const told = paid.get(place);
    // An invoice of a customer that was deleted cannot be asked for any more.
    if (!told && subscriptions.some((each) => each.id === period.subscription)) {
      breach("each allowance was paid for", place);
    }
    if (told && !told.credits.includes(period.credits))
      breach("an allowance is what its plan gives", `${named(period)}: ${period.credits} of ${told.credits}`);
  }
}

function trials({ subscriptions }: Theirs, periods: readonly PeriodRow[], breach: Tell): void {
  const given = periods.filter((period) => period.trial);
  if (given.length > 1) breach("one trial for an organization", given.map((period) => period.plan).join(", "));
  const offered = subscriptions.filter(
    (each) => each.trial_start !== null && each.metadata.organizationId && each.status !== "incomplete_expired",
  );
  if (offered.length > 1) breach("one trial for an organization", offered.map((each) => each.id).join(", "));
  for (const period of given) {
    if (period.credits !== period.trialCredits)
      breach("a trial gives a trial's credits", `${named(period)}: ${period.credits} of ${period.trialCredits}`);
  }
}

const WEEK_MS = 7 * 86_400_000;

/** So many months after an instant, on its day, or on the last of a month that has none such. */
function monthsAfter(start: Date, months: number): Date {
  const [year, month, day] = [start.getUTCFullYear(), start.getUTCMonth() + months, start.getUTCDate()];
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return new Date(Date.UTC(year, month, Math.min(day, last)) + (start.getTime() % 86_400_000));
}

function slices(
  { gone }: Known,
  periods: readonly PeriodRow[],
  lots: ReadonlyMap<string, Lots>,
  now: Date,
  breach: Tell,
): void {
  for (const period of periods) {
    const { amount, count, ends } = lots.get(period.id) ?? { amount: 0, count: 0, ends: [] };
    if (count > period.granted) breach("no slice is granted twice", named(period));
    if (amount !== period.due)
      breach("a slice is granted as its row says", `${named(period)}: ${amount} of ${period.due}`);
    if (!gone && period.stopped === null && period.next !== null && period.next <= now) {
      breach("no slice is late", `${named(period)}: ${period.next.toISOString()}`);
    }
    if (period.trial || period.cause !== "") continue;
    const starts = [period.start];
    while (period.slices > 1) {
      const next = monthsAfter(period.start, starts.length);
      if (period.end.getTime() - next.getTime() < WEEK_MS) break;
      starts.push(next);
    }
    const begun = starts.filter((start) => start <= now).length;
    if (!gone && period.stopped === null && period.granted < begun)
      breach("no slice is late", `${named(period)}: ${period.granted} of ${begun}`);
    const months = [...starts.slice(1), period.end].map((end) => end.getTime());
    const wanted = new Set(months.map((end) => Math.max(end, period.late?.getTime() ?? end)));
    const odd = ends.find((end) => !wanted.has(end.getTime()));
    if (odd) breach("a slice ends with its month", `${named(period)}: ${odd.toISOString()}`);
  }
}

interface Group {
  invoice: string;
  subscription: string;
  item: string;
  until: number;
  credits: number;
  /** What it charges less what it gives back, and what its charges give for money: credits for so much of it. */
  net: number;
  charges: { credits: bigint; price: bigint }[];
  /** All of its lines are at their list price. */
  exact: boolean;
}

/** What the prorations of paid invoices come to, by item and period: floor(C·m / (P·q)) given, ceil(C·m / (P·q)) taken back. */
function groupsOf({ invoices, subscriptions }: Theirs, terms: ReadonlyMap<string, Terms>): Group[] {
  const groups: Group[] = [];
  for (const invoice of invoices.filter(isSale)) {
    const subscription = idOf(invoice.parent?.subscription_details?.subscription) ?? "";
    const items = subscriptions.find((each) => each.id === subscription)?.items.data ?? [];
    const planItem = items.find((item) => terms.has(item.price.id))?.id;
    const mine = new Map<string, Group>();
    for (const line of invoice.lines.data) {
      const details = line.parent?.subscription_item_details ?? line.parent?.invoice_item_details;
      const plan = terms.get(priceOf(line));
      const item = line.parent?.subscription_item_details?.subscription_item ?? planItem;
      if (!details?.proration || !plan || !item || line.period.end <= line.period.start) continue;
      const { end } = line.period;
      const place = `${item}@${end}`;
      const group = mine.get(place) ?? {
        invoice: invoice.id ?? "",
        ...{ subscription, item, until: at(end), credits: 0, exact: true },
        ...{ net: 0, charges: [] },
      };
      mine.set(place, group);
      if (line.amount === 0) group.exact = false;
      const money = BigInt(Math.abs(line.amount)) * BigInt(plan.perInterval);
      const whole = BigInt(plan.unitAmount) * BigInt(line.quantity ?? 1);
      group.net += line.amount;
      if (line.amount > 0) group.charges.push({ credits: BigInt(plan.perInterval), price: whole });
      if (whole === 0n) group.exact = false;
      else if (line.amount > 0) group.credits += Number(money / whole);
      else group.credits -= Number((money + whole - 1n) / whole);
    }
    groups.push(...mine.values());
  }
  return groups;
}

async function prorations(
  sql: Sql,
  { id, gone }: Known,
  theirs: Theirs,
  periods: readonly PeriodRow[],
  terms: ReadonlyMap<string, Terms>,
  breach: Tell,
): Promise<void> {
  const returned = await sql<{ invoice: string; subscription: string; item: string; until: Date; credits: number }>(
    `SELECT stripe_invoice_id AS invoice, stripe_subscription_id AS subscription, stripe_item_id AS item, until_at AS until,
       credits::float8 AS credits FROM allowance_returns WHERE organization_id = $1`,
    [id],
  );
  const upgrades = periods.filter(({ cause }) => cause !== "" && !cause.startsWith("whole:"));
  const heard = new Set(periods.map((period) => period.subscription));
  const placed = (invoice: string | null, item: string, until: number | undefined) =>
    `${invoice} ${item} until ${new Date(until ?? 0).toISOString()}`;
  const ours = new Map<string, number>();
  for (const row of upgrades) ours.set(placed(row.invoice, row.item, row.until?.getTime()), row.total ?? 0);
  for (const row of returned) {
    const place = placed(row.invoice, row.item, row.until.getTime());
    if (ours.has(place)) breach("a proration is kept once", place);
    ours.set(place, -row.credits);
  }
  const groups = groupsOf(theirs, terms);
  const told = new Set<string>();
  for (const { invoice, subscription, item, until, credits, exact, net, charges } of groups) {
    const place = placed(invoice, item, until);
    const upgrade = upgrades.find((row) => placed(row.invoice, row.item, row.until?.getTime()) === place);
    const [charge] = charges;
    if (upgrade && exact && charge && charges.length === 1 && net > 0) {
      const sure = credits - upgrade.withheld;
      if (sure > Number((charge.credits * BigInt(net)) / charge.price))
        breach("an upgrade gives what its money buys, whether or not the time before it is paid", `${place}: ${sure}`);
    }
    told.add(place);
    const have = ours.get(place) ?? 0;
    if (exact && !gone && heard.has(subscription) && have !== credits)
      breach("a proration gives and takes what its money buys", `${place}: ${have} of ${credits}`);
  }
  const known = new Set(theirs.subscriptions.map((subscription) => subscription.id));
  for (const row of [...upgrades, ...returned]) {
    const place = placed(row.invoice, row.item, row.until?.getTime());
    if (known.has(row.subscription) && !told.has(place)) breach("each allowance was paid for", place);
  }
}

/** What was given back of a period is taken of its slices and lots, as far as there were any. */
async function returns(sql: Sql, { id, gone }: Known, periods: readonly PeriodRow[], breach: Tell): Promise<void> {
  if (gone) return;
  const given = await sql<{ item: string; from: Date; until: Date; credits: number }>(
    `SELECT stripe_item_id AS item, from_at AS "from", until_at AS until, credits::float8 AS credits
     FROM allowance_returns WHERE organization_id = $1`,
    [id],
  );
  const claims = await sql<{ id: string; lots: number; refunded: boolean }>(
    `SELECT a.id, (SELECT coalesce(sum(g.returned), 0)::float8 FROM credit_grants g WHERE g.organization_id = $1 AND g.allowance_id = a.id) AS lots,
       EXISTS (SELECT FROM stripe_payments p WHERE p.invoice_id = a.stripe_invoice_id AND p.refunded + p.lost + p.disputed > 0) AS refunded
     FROM allowance_periods a WHERE a.organization_id = $1`,
    [id],
  );
  const claimsOf = new Map(claims.map((row) => [row.id, row]));
  const mine = periods.filter((row) => !row.trial);
  const returned = new Map<string, number>();
  for (const { item, from, until, credits } of given) {
    const place = key(item, wholeEnd(mine, item, from, until));
    returned.set(place, (returned.get(place) ?? 0) + credits);
  }
  for (const row of mine.filter(({ withheld }) => withheld > 0)) {
    const changed = wholeEnd(mine, row.item, row.start, row.until ?? row.end);
    const isOfIt = (other: PeriodRow) =>
      other.item === row.item && wholeEnd(mine, other.item, other.start, other.until ?? other.end) === changed;
    const paid = mine.filter((other) => other !== row && isOfIt(other) && other.start <= row.start);
    // In one second only a whole period comes before its change.
    if (paid.some((other) => other.start < row.start || other.cause === "" || other.cause.startsWith("whole:")))
      continue;
    const place = key(row.item, wholeEnd(mine, row.item, row.start, row.end));
    returned.set(place, (returned.get(place) ?? 0) + row.withheld);
  }
  for (const [place, credits] of returned) {
    const rows = mine.filter((row) => key(row.item, wholeEnd(mine, row.item, row.start, row.end)) === place);
    const sum = (of: (row: PeriodRow) => number) => rows.reduce((all, row) => all + of(row), 0);
    const taken = sum((row) => row.cuts + (claimsOf.get(row.id)?.lots ?? 0));
    // What a refund has claimed is not taken a second time as time.
    const isRefunded = rows.some((row) => claimsOf.get(row.id)?.refunded);
    if (
      isRefunded ||
      taken ===
        Math.min(
          credits,
          sum((row) => row.amounts),
        )
    )
      continue;
    breach("what was given back is taken back", `${place}: ${taken} of ${credits}`);
  }
}

/** The end of the whole period that something is of: it ends there, or it lies within, because that was to end early. */
function wholeEnd(periods: readonly PeriodRow[], item: string, from: Date, until: Date): number {
  const whole = periods.filter((row) => row.item === item && (row.cause === "" || row.cause.startsWith("whole:")));
  if (whole.some((row) => row.end.getTime() === until.getTime())) return until.getTime();
  const around = whole.filter((row) => row.start <= from && row.end > until);
  const last = around.sort((a, b) => a.start.getTime() - b.start.getTime()).at(-1);
  return (last?.end ?? until).getTime();
}
