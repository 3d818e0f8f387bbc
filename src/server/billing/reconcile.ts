// The reconciler: compares Stripe with our rows, all of what could have been missed, and makes good what it can by the same
// functions that events use. It is the second way by which Stripe's truth comes here, for when the first one failed.
import { BillingError } from "~/domain/errors";
import { asPlatform } from "../db";
import { log } from "../log";
import { type Stripe, stripeForJobs } from "../stripe";
import { ourCheckouts, recentCheckouts } from "./reconcile/checkouts";
import { Context, type EventDoor, type Stage } from "./reconcile/context";
import { ourCustomers } from "./reconcile/customers";
import { recentEvents, undeliveredEvents } from "./reconcile/events";
import { recentGrants } from "./reconcile/grants";
import { recentInvoices } from "./reconcile/invoices";
import { ourRows } from "./reconcile/own";
import { GENTLE, type Pace, passes } from "./reconcile/pace";
import { recentCreditNotes, recentDisputes, recentRefunds, staleClaims } from "./reconcile/payments";
import { DryLog, type Finding, type Log, RunLog, windowOf } from "./reconcile/run";
import { liveSubscriptions, ourSubscriptions, recentSubscriptions } from "./reconcile/subscriptions";

export type { EventDoor, Finding };

// Events first: what they make good is not told twice. A run that is taken up again goes by position, so new ones go to the end.
const STAGES: readonly { name: string; stage: Stage }[] = [
  { name: "undelivered events", stage: undeliveredEvents },
  { name: "events of the window", stage: recentEvents },
  { name: "live subscriptions", stage: liveSubscriptions },
  { name: "subscriptions of the window", stage: recentSubscriptions },
  { name: "our live subscriptions", stage: ourSubscriptions },
  { name: "invoices", stage: recentInvoices },
  { name: "checkouts", stage: recentCheckouts },
  { name: "credits that were paid for", stage: recentGrants },
  { name: "refunds", stage: recentRefunds },
  { name: "disputes", stage: recentDisputes },
  { name: "credit notes", stage: recentCreditNotes },
  { name: "claims on credits", stage: staleClaims },
  { name: "our open checkouts", stage: ourCheckouts },
  { name: "our customers", stage: ourCustomers },
  { name: "our own rows", stage: ourRows },
];

export interface ReconcileOptions {
  /** `hourly`, `manual`, and who asked. */
  cause: string;
  /** Null: since the last run that came to its end. */
  since: Date | null;
  now: Date;
  /** Only looks: nothing is written, and nothing of it is kept. */
  dryRun?: boolean;
  stripe?: Stripe;
  pace?: Partial<Pace>;
  /** Told of each stage as it begins. */
  onStage?: (name: string) => void;
}

export interface ReconciliationReport {
  /** Null for a run that only looked. */
  id: string | null;
  since: Date;
  /** Whether it went on with a run that had been cut off. */
  resumed: boolean;
  /** Objects that were compared. */
  checked: number;
  /** Findings in all: 0 where everything was as it should be. Those that wait for a person are counted once. */
  drift: number;
  repaired: number;
  queued: number;
  /** Those that this process made. */
  findings: readonly Finding[];
}

/**
 * One run, or the rest of one that was cut off. One runs at a time.
 * @param door takes events that never came, as the webhook would
 * @throws BillingError BUSY where one is running; STRIPE_UNAVAILABLE where Stripe stays away: the next run goes on from there
 */
export async function reconcile(options: ReconcileOptions, door: EventDoor): Promise<ReconciliationReport> {
  const { now } = options;
  const begun = performance.now();
  // A run takes minutes, and `now` is its beginning.
  const atLast = () => new Date(now.getTime() + performance.now() - begun);
  if (options.dryRun) {
    const dry = new DryLog(await windowOf(options));
    await walk(options, door, dry);
    return { ...reportOf(dry), resumed: false };
  }
  const run = await RunLog.open(options);
  try {
    await walk(options, door, run);
    await run.finish(atLast());
  } catch (error) {
    await run
      .leave(error, !passes(error), atLast())
      .catch((lost) => log.warn("a reconciliation was lost", { error: lost }));
    throw error;
  }
  log.info("reconciled with Stripe", { id: run.id, ...run.counts });
  return { ...reportOf(run), resumed: run.isResumed };
}

async function walk(options: ReconcileOptions, door: EventDoor, log: Log): Promise<void> {
  const { stripe = stripeForJobs(), now, onStage } = options;
  const context = new Context(stripe, door, log, { ...GENTLE, ...options.pace }, now, !options.dryRun);
  for (const [index, { name, stage }] of STAGES.entries()) {
    if (index < log.start.stage) continue;
    onStage?.(name);
    const from = index === log.start.stage ? log.start.place : null;
    for await (const place of stage(context, from)) await log.moveTo(index, place);
    await log.moveTo(index + 1, null);
  }
}

function reportOf({ id, since, counts, findings }: Log): Omit<ReconciliationReport, "resumed"> {
  return { id, since, ...counts, findings };
}

// ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────

export interface ReconciliationLine {
  id: string;
  status: "running" | "done" | "failed";
  cause: string;
  /** The stage that it is in; null once it has ended. */
  stage: string | null;
  checked: number;
  drift: number;
  repaired: number;
  queued: number;
  error: string | null;
  startedAt: Date;
  finishedAt: Date | null;
}

type Row = NonNullable<Awaited<ReturnType<typeof findRow>>>;

const findRow = (id: string) => asPlatform((tx) => tx.reconciliation.findUnique({ where: { id } }));

function lineOf(row: Row): ReconciliationLine {
  const { cursor, leaseUntil: _, ...line } = row;
  const { stage } = cursor as { stage: number };
  return { ...line, stage: row.status === "running" ? (STAGES[stage]?.name ?? null) : null };
}

/** Newest first. @param options.cursor the id after which the page begins */
export async function listReconciliations(options: {
  cursor: string | null;
  limit: number;
}): Promise<{ items: ReconciliationLine[]; nextCursor: string | null }> {
  const { cursor, limit } = options;
  const rows = await asPlatform((tx) =>
    tx.reconciliation.findMany({
      where: cursor === null ? {} : { id: { lt: cursor } },
      orderBy: { id: "desc" },
      take: limit + 1,
    }),
  );
  const items = rows.slice(0, limit).map(lineOf);
  return { items, nextCursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
}

const MOST_FINDINGS = 500;

/** A run with what it found, oldest first, at most 500. @throws BillingError NOT_FOUND */
export async function getReconciliation(
  id: string,
): Promise<ReconciliationLine & { findings: (Finding & { id: string; at: Date })[] }> {
  const row = await findRow(id);
  if (!row) throw new BillingError("NOT_FOUND", "There is no such reconciliation.", { reconciliationId: id });
  const findings = await asPlatform((tx) =>
    tx.reconciliationFinding.findMany({ where: { reconciliationId: id }, orderBy: { id: "asc" }, take: MOST_FINDINGS }),
  );
  return { ...lineOf(row), findings: findings.map(({ reconciliationId: _, ...finding }) => finding) };
}
