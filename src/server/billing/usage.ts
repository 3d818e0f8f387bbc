// What credits were spent on: by event, category, key, project and time. It is read from what is rolled up
// (`usage-rollups.ts`), from the ledger's rows beyond that, and from those of the quarter hours that a range cuts in two.
import { invariant } from "~/domain/errors";
import { type DayForecast, forecastDays, forecastTotal, type TotalForecast } from "~/domain/forecast";
import {
  addDays,
  boundsEarlier,
  byEvent,
  type ComparedUsage,
  compareUsage,
  dateIn,
  daysToCompare,
  type EventUsage,
  previousPeriod,
  startOfDate,
  stepsOf,
  type UsageAmount,
  type UsageDay,
  type UsagePeriod,
  type UsageStep,
  type UsageTotal,
  wholeSlots,
} from "~/domain/usage";
import { asOrganization, Prisma, type Transaction } from "../db";
import { NO_KEY, weights } from "./usage-rollups";

// ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────

const COLUMNS = ["step", "event_name", "api_key_id", "project"] as const;
type Column = (typeof COLUMNS)[number];

export interface UsageCell extends UsageAmount {
  /** Index of the step; null where it was not asked for, as the others below. */
  step: number | null;
  /** Empty, `NO_KEY`, empty: none was named. */
  eventName: string | null;
  apiKeyId: string | null;
  project: string | null;
}

/**
 * Adds the usage of a period up, by each of several sets of columns. It is one statement, and so sees one state of the
 * ledger and of what is rolled up: no row is counted twice or missed, and all sets have one total.
 * @param steps where the steps begin, in order; the first is the period's beginning
 * @returns the cells of each set, in the order of the sets
 */
export async function sumUsage(
  tx: Transaction,
  organizationId: string,
  period: UsagePeriod,
  sets: readonly (readonly Column[])[],
  steps: readonly Date[] = [period.from],
): Promise<UsageCell[][]> {
  const whole = wholeSlots(period);
  const bounds = steps.map((start) => start.toISOString());
  const named = COLUMNS.filter((column) => sets.some((set) => set.includes(column)));
  const chosen = COLUMNS.map((column) => `${named.includes(column) ? column : "NULL"}::text AS ${column}`).join(", ");
  const setNumber = named.length > 0 ? `GROUPING(${named.join(", ")})` : "0";
  const grouped = sets.map((set) => `(${set.join(", ")})`).join(", ");
  // `part` holds numbers of ledger rows. What is rolled up stands for the rows from the first whole slot on, up to the
  // cursor; where the period ends before that, up to the last whole slot. The rest comes from the ledger: before the first
  // whole slot, and after what is rolled up.
  const rows = await tx.$queryRaw<(StoredCell & { set: number })[]>`
    WITH cut AS MATERIALIZED (
      SELECT coalesce((SELECT c.seq FROM credit_usage_cursors c WHERE c.organization_id = ${organizationId}::uuid), 0) AS rolled,
        ledger_seq_before(${organizationId}::uuid, ${period.from}::timestamptz) AS before,
        ledger_seq_before(${organizationId}::uuid, ${period.to}::timestamptz) AS last,
        ledger_seq_before(${organizationId}::uuid, ${whole.from}::timestamptz) AS whole_from,
        ledger_seq_before(${organizationId}::uuid, ${whole.to}::timestamptz) AS whole_to
    ), part AS MATERIALIZED (
      SELECT before, last, least(whole_from, last) AS head_end,
        greatest(CASE WHEN rolled <= last THEN rolled ELSE whole_to END, whole_from, before) AS tail_start,
        CASE WHEN rolled <= last THEN ${period.to}::timestamptz ELSE ${whole.to}::timestamptz END AS slots_end
      FROM cut
    ), used AS (
      SELECT s.slot AS at, s.event_name, s.api_key_id, s.project, s.credits, s.quantity, s.calls
      FROM credit_usage_slots s
      WHERE s.organization_id = ${organizationId}::uuid AND s.slot >= ${whole.from}::timestamptz
        AND s.slot < (SELECT slots_end FROM part)
      UNION ALL
      SELECT t.created_at, coalesce(t.event_name, ''), coalesce(t.api_key_id, ${NO_KEY}::uuid), coalesce(t.project, ''), -t.amount,
        coalesce(t.quantity, 0) * weight.quantity, weight.calls
      FROM credit_transactions t JOIN ${weights} ON weight.type = t.type::text
      WHERE t.organization_id = ${organizationId}::uuid
        AND t.seq > (SELECT before FROM part) AND t.seq <= (SELECT head_end FROM part)
      UNION ALL
      SELECT t.created_at, coalesce(t.event_name, ''), coalesce(t.api_key_id, ${NO_KEY}::uuid), coalesce(t.project, ''), -t.amount,
        coalesce(t.quantity, 0) * weight.quantity, weight.calls
      FROM credit_transactions t JOIN ${weights} ON weight.type = t.type::text
      WHERE t.organization_id = ${organizationId}::uuid
        AND t.seq > (SELECT tail_start FROM part) AND t.seq <= (SELECT last FROM part)
    ), stepped AS (
      SELECT width_bucket(at, ${bounds}::timestamptz[]) - 1 AS step, event_name, api_key_id, project, credits, quantity, calls FROM used
    )
    SELECT ${Prisma.raw(setNumber)} AS set, ${Prisma.raw(chosen)},
      sum(credits)::bigint AS credits, sum(quantity)::bigint AS quantity, sum(calls)::bigint AS calls
    FROM stepped GROUP BY GROUPING SETS (${Prisma.raw(grouped)})`;
  return sets.map((set) => {
    // GROUPING has a bit for each column, set where the column is not in the row's set.
    const mask = named.reduce((bits, column) => bits * 2 + (set.includes(column) ? 0 : 1), 0);
    // A sum over nothing is null, not a cell.
    return rows.filter((row) => row.set === mask && row.calls !== null).map(toCell);
  });
}

interface StoredCell {
  step: string | null;
  event_name: string | null;
  api_key_id: string | null;
  project: string | null;
  credits: bigint;
  quantity: bigint;
  calls: bigint;
}

function toCell(row: StoredCell): UsageCell {
  return {
    step: row.step === null ? null : Number(row.step),
    eventName: row.event_name,
    apiKeyId: row.api_key_id,
    project: row.project,
    credits: Number(row.credits),
    quantity: Number(row.quantity),
    calls: Number(row.calls),
  };
}

// ── For the overview ───────────────────────────────────────────────────────────────────────────────────────

export interface Usage {
  period: UsagePeriod;
  comparedWith: UsagePeriod;
  total: number;
  previousTotal: number;
  events: EventUsage[];
  days: UsageDay[];
}

/** Usage since `from` by event and by day in UTC, compared with the same length of time before it. */
export function getUsage(organizationId: string, from: Date, now: Date): Promise<Usage> {
  const period = { from, to: now };
  const comparedWith = previousPeriod(from, now);
  return asOrganization(organizationId, async (tx) => {
    const starts = stepsOf(period, "day", "UTC");
    const [cells = []] = await sumUsage(tx, organizationId, period, [["step", "event_name"]], starts);
    const [before = []] = await sumUsage(tx, organizationId, comparedWith, [["event_name"]]);
    const days = cells.map((cell) => toUsageDay(cell, starts)).sort(byDayAndEvent);
    const past = before.map(({ eventName, ...amount }) => ({ ...amount, eventName: eventName ?? "" }));
    return {
      period,
      comparedWith,
      total: creditsOf(days),
      previousTotal: creditsOf(past),
      events: byEvent(days, past),
      days,
    };
  });
}

function toUsageDay({ step, eventName, credits, quantity }: UsageCell, starts: readonly Date[]): UsageDay {
  const start = starts[step ?? 0] ?? new Date(0);
  const day = startOfDate("UTC", dateIn("UTC", start));
  return { day, eventName: eventName ?? "", credits, quantity };
}

function byDayAndEvent(a: UsageDay, b: UsageDay): number {
  return a.day.getTime() - b.day.getTime() || (a.eventName < b.eventName ? -1 : 1);
}

function creditsOf(rows: readonly { credits: number }[]): number {
  return rows.reduce((sum, row) => sum + row.credits, 0);
}

// ── For the usage page ─────────────────────────────────────────────────────────────────────────────────────

export const USAGE_DIMENSIONS = ["event", "category", "key", "project"] as const;
/** What usage is split by. */
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number];

/** More series than this no chart can tell apart; the rest is one. */
const MOST_SERIES = 8;

export interface UsageQuestion {
  organizationId: string;
  /** What lies ahead of `now` has not been used yet, and is left out. */
  period: UsagePeriod;
  /** IANA zone whose days are meant. */
  timeZone: string;
  now: Date;
}

/** A part of the usage. The empty key stands for "none named". */
export interface UsageLine extends ComparedUsage {
  /** What people call it: a key's name, the event or project itself; null where none was named, or it is not there any more. */
  name: string | null;
}

export interface UsageSummary {
  period: UsagePeriod;
  /** The same length of time right before. */
  comparedWith: UsagePeriod;
  total: UsageAmount;
  previousTotal: number;
  /** Each of these adds up to the total. Largest first. */
  events: (UsageLine & { category: string | null })[];
  categories: UsageLine[];
  keys: UsageLine[];
  projects: UsageLine[];
}

/** Usage of a period by event, category, key and project, compared with the same length of time right before. */
export function getUsageSummary(question: UsageQuestion): Promise<UsageSummary> {
  const { organizationId } = question;
  const period = upToNow(question);
  const comparedWith = previousPeriod(period.from, period.to);
  return asOrganization(organizationId, async (tx) => {
    const sets = [["event_name"], ["api_key_id"], ["project"]] as const;
    const [events = [], keys = [], projects = []] = await sumUsage(tx, organizationId, period, sets);
    const [eventsBefore = [], keysBefore = [], projectsBefore = []] = await sumUsage(
      tx,
      organizationId,
      comparedWith,
      sets,
    );
    const names = await namesFor(tx, organizationId);
    const compared = (current: UsageCell[], previous: UsageCell[], dimension: UsageDimension) =>
      compareUsage(keyed(current, dimension, names), keyed(previous, dimension, names)).map((total) => ({
        ...total,
        name: nameOf(total.key, dimension, names),
      }));
    const byEvents = compared(events, eventsBefore, "event");
    return {
      period,
      comparedWith,
      total: byEvents.reduce(add, { credits: 0, quantity: 0, calls: 0 }),
      previousTotal: byEvents.reduce((sum, line) => sum + line.previousCredits, 0),
      events: byEvents.map((line) => ({ ...line, category: names.categories.get(line.key) ?? null })),
      categories: compared(events, eventsBefore, "category"),
      keys: compared(keys, keysBefore, "key"),
      projects: compared(projects, projectsBefore, "project"),
    };
  });
}

export interface UsageSeriesQuestion extends UsageQuestion {
  step: UsageStep;
  by: UsageDimension;
}

export interface UsageSeries {
  period: UsagePeriod;
  step: UsageStep;
  /** The largest, largest first. What the others used is `others` of each step. */
  series: { key: string; name: string | null }[];
  /** How many there are beside them. */
  otherSeries: number;
  steps: {
    start: Date;
    /** Credits of each of the series, in their order. */
    credits: number[];
    others: number;
    total: number;
    /** Credits of the same time `daysEarlier`; null from before the organization's first ledger row. */
    previous: number | null;
  }[];
  daysEarlier: number;
  /** What the rest of the asked period will use, day by day; empty where it is over, or too little was used to tell. */
  forecast: DayForecast[];
  /** What the whole period will have used. */
  expected: TotalForecast | null;
}

/** Usage of a period step by step, each compared with the same weekday weeks earlier, with a forecast to the period's end. */
export function getUsageSeries(question: UsageSeriesQuestion): Promise<UsageSeries> {
  const { organizationId, timeZone, step, by } = question;
  const period = upToNow(question);
  const starts = stepsOf(period, step, timeZone);
  const daysEarlier = daysToCompare(question.period);
  const [from = period.from, ...rest] = boundsEarlier([...starts, period.to], daysEarlier, step, timeZone);
  const earlier = { from, to: rest.at(-1) ?? from };
  return asOrganization(organizationId, async (tx) => {
    const [cells = []] = await sumUsage(tx, organizationId, period, [["step", COLUMN_OF[by]]], starts);
    const earlierStarts = [from, ...rest.slice(0, -1)];
    const [past = []] = await sumUsage(tx, organizationId, earlier, [["step"]], earlierStarts);
    const names = await namesFor(tx, organizationId);
    const firstAt = await firstRowAt(tx, organizationId);
    const totals = compareUsage(keyed(cells, by, names), []);
    const shown = totals.length > MOST_SERIES + 1 ? totals.slice(0, MOST_SERIES) : totals;
    const place = new Map(shown.map(({ key }, index) => [key, index]));
    const steps = starts.map((start, index) => {
      const before = earlierStarts[index] ?? start;
      const previous = firstAt !== null && before >= firstAt ? 0 : null;
      return { start, credits: shown.map(() => 0), others: 0, total: 0, previous: previous as number | null };
    });
    for (const cell of cells) {
      const target = steps[cell.step ?? 0];
      const [line] = keyed([cell], by, names);
      invariant(target && line, "what was used in a period was used in one of its steps");
      const at = place.get(line.key);
      target.total += cell.credits;
      if (at === undefined) target.others += cell.credits;
      else target.credits[at] = (target.credits[at] ?? 0) + cell.credits;
    }
    for (const cell of past) {
      const target = steps[cell.step ?? 0];
      if (target) target.previous = (target.previous ?? 0) + cell.credits;
    }
    const total = creditsOf(cells);
    return {
      period,
      step,
      series: shown.map(({ key }) => ({ key, name: nameOf(key, by, names) })),
      otherSeries: totals.length - shown.length,
      steps,
      daysEarlier,
      ...(await forecast(tx, question, total)),
    };
  });
}

const COLUMN_OF = {
  event: "event_name",
  category: "event_name",
  key: "api_key_id",
  project: "project",
} as const satisfies Record<UsageDimension, Column>;

// Four whole weeks, as the forecast takes them, and today.
const FORECAST_DAYS = 29;

/** Forecasts count in calendar days; here they are those of the zone, written as if it were UTC. */
async function forecast(
  tx: Transaction,
  { organizationId, period, timeZone, now }: UsageQuestion,
  used: number,
): Promise<Pick<UsageSeries, "forecast" | "expected">> {
  if (period.to <= now) return { forecast: [], expected: null };
  const today = dateIn(timeZone, now);
  const recent = { from: startOfDate(timeZone, addDays(today, 1 - FORECAST_DAYS)), to: now };
  const starts = stepsOf(recent, "day", timeZone);
  const [cells = []] = await sumUsage(tx, organizationId, recent, [["step"]], starts);
  const asUtc = (date: string) => new Date(`${date}T00:00:00Z`);
  const use = cells.map(({ step, credits }) => ({
    day: asUtc(dateIn(timeZone, starts[step ?? 0] ?? now)),
    credits,
  }));
  const end = dateIn(timeZone, period.to);
  // The last day counts where the period goes on into it.
  const until = startOfDate(timeZone, end) < period.to ? addDays(end, 1) : end;
  const rest = forecastTotal(use, asUtc(today), asUtc(until));
  return {
    forecast: forecastDays(use, asUtc(today), asUtc(until)),
    expected: rest && { about: used + rest.about, low: used + rest.low, high: used + rest.high },
  };
}

function upToNow({ period, now }: UsageQuestion): UsagePeriod {
  return { from: period.from, to: period.to < now ? period.to : now < period.from ? period.from : now };
}

function add(sum: UsageAmount, { credits, quantity, calls }: UsageAmount): UsageAmount {
  return { credits: sum.credits + credits, quantity: sum.quantity + quantity, calls: sum.calls + calls };
}

interface Names {
  /** By event: what it is filed under. */
  categories: Map<string, string>;
  /** By id: API keys, those that are revoked too. */
  keys: Map<string, string>;
}

async function namesFor(tx: Transaction, organizationId: string): Promise<Names> {
  const events = await tx.creditEvent.findMany({ select: { name: true, category: true } });
  const keys = await tx.apiKey.findMany({ where: { organizationId }, select: { id: true, name: true } });
  return {
    categories: new Map(events.map(({ name, category }) => [name, category])),
    keys: new Map(keys.map(({ id, name }) => [id, name])),
  };
}

function keyed(cells: readonly UsageCell[], dimension: UsageDimension, names: Names): UsageTotal[] {
  return cells.map(({ eventName, apiKeyId, project, credits, quantity, calls }) => {
    const key = {
      event: () => eventName ?? "",
      category: () => names.categories.get(eventName ?? "") ?? "",
      key: () => (apiKeyId === null || apiKeyId === NO_KEY ? "" : apiKeyId),
      project: () => project ?? "",
    }[dimension]();
    return { key, credits, quantity, calls };
  });
}

function nameOf(key: string, dimension: UsageDimension, names: Names): string | null {
  if (dimension === "key") return names.keys.get(key) ?? null;
  return key === "" ? null : key;
}

/** When the organization's ledger began: before, there was nothing to compare with. */
async function firstRowAt(tx: Transaction, organizationId: string): Promise<Date | null> {
  const row = await tx.creditTransaction.findFirst({
    where: { organizationId, seq: 1n },
    select: { createdAt: true },
  });
  return row?.createdAt ?? null;
}
