// The row of a run: one runs at a time, whatever the number of processes; it says how far it has come, so that after a crash
// another process goes on there; and what it found is written down as it is found.
import { randomUUID } from "node:crypto";
import { BillingError } from "~/domain/errors";
import { asPlatform, inOneExchange, Prisma, type Transaction } from "../../db";
import { newId } from "../../db/keys";
import { log } from "../../log";
import { type AlertKind, raiseAlert } from "../alerts";

// Renewed while the holder lives; after it, the next run goes on where this one was.
const LEASE_SECONDS = 60;
const RENEW_EVERY_MS = 15_000;

export interface Finding {
  organizationId: string | null;
  kind: string;
  /** Stripe's object. */
  subject: string;
  message: string;
  repaired: boolean;
}

export interface Counts {
  checked: number;
  drift: number;
  repaired: number;
  queued: number;
}

/** Where a run is: the stage, and the place in it that the stage itself understands. */
export interface Cursor {
  since: string;
  stage: number;
  place: string | null;
}

type StoredCursor = Cursor & { holder: string };

/** Where a run writes what it finds and how far it has come. */
export interface Log {
  readonly id: string | null;
  readonly since: Date;
  readonly start: Cursor;
  readonly counts: Counts;
  readonly findings: readonly Finding[];
  find(finding: Finding): Promise<void>;
  /**
   * What a person has to decide: told once, as long as its alert is open.
   * @param alias another subject under which it may have been told
   */
  queue(finding: Omit<Finding, "repaired">, kind: AlertKind, alias?: string): Promise<void>;
  moveTo(stage: number, place: string | null): Promise<void>;
}

/** A log that keeps everything to itself: for a run that only looks. */
export class DryLog implements Log {
  readonly id = null;
  readonly counts: Counts = { checked: 0, drift: 0, repaired: 0, queued: 0 };
  readonly findings: Finding[] = [];
  readonly start: Cursor;

  constructor(readonly since: Date) {
    this.start = { since: since.toISOString(), stage: 0, place: null };
  }

  async find(finding: Finding): Promise<void> {
    this.findings.push(finding);
    this.counts.drift += 1;
  }

  async queue(finding: Omit<Finding, "repaired">, kind: AlertKind, alias?: string): Promise<void> {
    if (await asPlatform((tx) => isKnown(tx, kind, finding.subject, alias))) return;
    await this.find({ ...finding, repaired: false });
  }

  async moveTo(): Promise<void> {}
}

interface Begin {
  cause: string;
  /** Null: since the last run that came to its end, or as far back as Stripe's events reach. */
  since: Date | null;
  now: Date;
}

// What happened while the last run ran, and what Stripe told late.
const OVERLAP_MS = 3_600_000;
const REACH_MS = 30 * 86_400_000;

/** From when on things are looked at. */
export async function windowOf({ since, now }: Pick<Begin, "since" | "now">): Promise<Date> {
  if (since) return since;
  const last = await asPlatform((tx) =>
    tx.reconciliation.findFirst({ where: { status: "done" }, orderBy: { startedAt: "desc" } }),
  );
  return new Date(last ? last.startedAt.getTime() - OVERLAP_MS : now.getTime() - REACH_MS);
}

export class RunLog implements Log {
  readonly findings: Finding[] = [];
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    readonly id: string,
    private readonly holder: string,
    readonly start: Cursor,
    readonly counts: Counts,
    private readonly now: Date,
    readonly isResumed: boolean,
  ) {}

  get since(): Date {
    return new Date(this.start.since);
  }

  /** Begins a run, or goes on with one whose process has died. @throws BillingError BUSY where one is running */
  static async open(begin: Begin): Promise<RunLog> {
    const holder = randomUUID();
    const since = (await windowOf(begin)).toISOString();
    const cursor: StoredCursor = { since, stage: 0, place: null, holder };
    const taken = await asPlatform(async (tx) => (await insert(tx, begin, cursor)) ?? (await takeOver(tx, holder)));
    if (!taken) {
      throw new BillingError("BUSY", "A reconciliation is running already.", { retryable: true });
    }
    const { id, checked, drift, repaired, queued } = taken;
    const counts = { checked, drift, repaired, queued };
    const { holder: _, ...start } = taken.cursor;
    const log = new RunLog(id, holder, start, counts, begin.now, taken.resumed);
    log.timer = setInterval(() => log.renew(), RENEW_EVERY_MS);
    return log;
  }

  private renew(): void {
    const { id, holder } = this;
    asPlatform(
      (tx) => tx.$executeRaw`
        UPDATE reconciliations SET lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
        WHERE id = ${id}::uuid AND status = 'running' AND cursor ->> 'holder' = ${holder}`,
    ).catch((error) => log.warn("the lease of a reconciliation was not renewed", { id, error }));
  }

  async find(finding: Finding): Promise<void> {
    await asPlatform((tx) => this.write(tx, finding));
    this.count(finding);
  }

  async queue(finding: Omit<Finding, "repaired">, kind: AlertKind, alias?: string): Promise<void> {
    const { organizationId, subject, message } = finding;
    const whole = { ...finding, repaired: false };
    const isNew = await asPlatform(async (tx) => {
      if (await isKnown(tx, kind, subject, alias)) return false;
      await raiseAlert(tx, { organizationId, kind, subject, message }, this.now);
      await this.write(tx, whole);
      return true;
    });
    if (isNew) this.count(whole);
  }

  async moveTo(stage: number, place: string | null): Promise<void> {
    const cursor: StoredCursor = { since: this.start.since, stage, place, holder: this.holder };
    const { checked } = this.counts;
    await this.update(Prisma.sql`cursor = ${JSON.stringify(cursor)}::jsonb, checked = ${checked}::int`);
  }

  async finish(now: Date): Promise<void> {
    clearInterval(this.timer);
    const { checked } = this.counts;
    await this.update(
      Prisma.sql`status = 'done', finished_at = ${now}::timestamptz, lease_until = NULL, error = NULL, checked = ${checked}::int`,
    );
  }

  /** Leaves the run to the next one: it goes on where this one was (`passes`), or it is given up. */
  async leave(error: unknown, isOver: boolean, now: Date): Promise<void> {
    clearInterval(this.timer);
    const words = error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 2000) : String(error);
    const end = isOver ? Prisma.sql`, status = 'failed', finished_at = ${now}::timestamptz` : Prisma.empty;
    await this.update(Prisma.sql`error = ${words}, lease_until = NULL${end}`);
  }

  private count({ repaired }: Finding): void {
    this.counts.drift += 1;
    if (repaired) this.counts.repaired += 1;
    else this.counts.queued += 1;
  }

  private async write(tx: Transaction, finding: Finding): Promise<void> {
    const { message, ...rest } = finding;
    const row = { ...rest, message: message.slice(0, 2000), id: newId(this.now), at: this.now };
    await tx.reconciliationFinding.create({ data: { reconciliationId: this.id, ...row } });
    const counter = finding.repaired ? Prisma.sql`repaired = repaired + 1` : Prisma.sql`queued = queued + 1`;
    await this.updateIn(tx, Prisma.sql`drift = drift + 1, ${counter}`);
    this.findings.push(finding);
  }

  private async update(set: Prisma.Sql): Promise<void> {
    const [updated] = await inOneExchange<[object]>(this.updating(set));
    requireOurs(updated.length);
  }

  private async updateIn(tx: Transaction, set: Prisma.Sql): Promise<void> {
    requireOurs(await tx.$executeRaw(this.updating(set)));
  }

  private updating(set: Prisma.Sql): Prisma.Sql {
    return Prisma.sql`
      UPDATE reconciliations SET ${set} WHERE id = ${this.id}::uuid AND status = 'running' AND cursor ->> 'holder' = ${this.holder}
      RETURNING id`;
  }
}

/** Fails where another process has taken the run over: what this one still wants to say is not written. */
function requireOurs(updated: number): void {
  if (updated > 0) return;
  throw new BillingError("BUSY", "Another process has taken this reconciliation over.", { retryable: true });
}

interface Taken extends Counts {
  id: string;
  cursor: StoredCursor;
  resumed: boolean;
}

async function insert(tx: Transaction, { cause, now }: Begin, cursor: StoredCursor): Promise<Taken | null> {
  const id = newId(now);
  const made = await tx.$executeRaw`
    INSERT INTO reconciliations (id, status, cause, cursor, lease_until, started_at)
    VALUES (${id}::uuid, 'running', ${cause}, ${JSON.stringify(cursor)}::jsonb,
      clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int), ${now}::timestamptz)
    ON CONFLICT ((true)) WHERE status = 'running' DO NOTHING`;
  return made === 0 ? null : { id, cursor, resumed: false, checked: 0, drift: 0, repaired: 0, queued: 0 };
}

async function takeOver(tx: Transaction, holder: string): Promise<Taken | null> {
  const [row] = await tx.$queryRaw<Omit<Taken, "resumed">[]>`
    UPDATE reconciliations SET cursor = cursor || jsonb_build_object('holder', ${holder}::text),
      lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
    WHERE status = 'running' AND (lease_until IS NULL OR lease_until < clock_timestamp())
    RETURNING id, cursor, checked, drift, repaired, queued`;
  return row ? { ...row, resumed: true } : null;
}

/** Whether a person has been told, and has not said that it is settled. */
async function isKnown(tx: Transaction, kind: AlertKind, subject: string, alias?: string): Promise<boolean> {
  const subjects = alias === undefined ? [subject] : [subject, alias];
  const open = await tx.billingAlert.findFirst({
    where: { kind, subject: { in: subjects }, resolvedAt: null },
    select: { id: true },
  });
  return open !== null;
}
