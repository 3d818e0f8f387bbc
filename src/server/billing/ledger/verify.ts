// `ledger:verify`: reads every organization's ledger from its first row, in batches, and compares each row, entry, lot, hold
// and account with what the rows before it lead to. It repairs nothing; what must be true is said in `replay`.
import type pg from "pg";
import type { TransactionType } from "~/domain/account";
import { type Credits, type GrantSource, toCredits } from "~/domain/credits";
import {
  type Finding,
  type Head,
  Replay,
  type StoredEntry,
  type StoredHead,
  type StoredLot,
  type StoredRow,
} from "./replay";

export interface VerifyOptions {
  /** Only this organization's. */
  organizationId?: string;
  /** Where chains stood at an earlier time: each must still lead through it. */
  against?: ReadonlyMap<string, Head>;
  /** Told of each chain's end; for heads to compare with later. */
  onHead?: (organizationId: string, head: Head) => void;
  /** Told of each finding as it is made. */
  onFinding?: (finding: Finding) => void;
  /** Told how many rows were read until now. */
  onProgress?: (rows: number) => void;
  /** Connections that read at the same time. */
  connections?: number;
}

export interface Verification {
  organizations: number;
  rows: number;
  /** Sorted by organization; at most a hundred of each, `more` counts the rest. */
  findings: Finding[];
  more: number;
}

// While one connection's batch is replayed the others' are read.
const CONNECTIONS = 3;
const BATCH_ROWS = 4000;
/** Organizations that are read together, so that small ones do not cost a transaction each. */
const RANGE_ORGANIZATIONS = 400;
const RANGE_ROWS = 20_000;
const MOST_FINDINGS_EACH = 100;

/**
 * Checks ledgers; each is read in one snapshot, so it may be written to meanwhile. Memory grows with an organization's lots,
 * not with its rows.
 * @param pool of a role that may become `billfold_platform`
 */
export async function verifyLedger(pool: pg.Pool, options: VerifyOptions = {}): Promise<Verification> {
  const sum = new Summary(options);
  const ranges = rangesOf(pool, options.organizationId);
  const reader = async () => {
    // Asked for one by one: each reader takes the next when it is done with the last.
    for (let next = await ranges.next(); !next.done; next = await ranges.next()) {
      await inSnapshot(pool, (client) => verifyRange(client, next.value as Range, sum));
    }
  };
  await Promise.all(Array.from({ length: options.connections ?? CONNECTIONS }, reader));
  for (const [organizationId, head] of options.against ?? []) {
    const asked = options.organizationId === undefined || options.organizationId === organizationId;
    if (!asked || sum.seen(organizationId)) continue;
    const should = `it had row ${head.seq} when the heads were written`;
    sum.add({ organizationId, where: "ledger", says: "missing", should });
  }
  return sum.result();
}

/** A finding on one line. */
export function findingLine({ organizationId, where, says, should }: Finding): string {
  return `organization ${organizationId} · ${where} · says: ${says} · should be: ${should}`;
}

class Summary {
  private readonly counts = new Map<string, number>();
  private readonly findings: Finding[] = [];
  private readonly unseen: Set<string>;
  private organizations = 0;
  private rows = 0;
  private more = 0;

  constructor(private readonly options: VerifyOptions) {
    this.unseen = new Set(options.against?.keys());
  }

  readonly add = (finding: Finding): void => {
    const count = (this.counts.get(finding.organizationId) ?? 0) + 1;
    this.counts.set(finding.organizationId, count);
    if (count > MOST_FINDINGS_EACH) {
      this.more += 1;
      return;
    }
    this.findings.push(finding);
    this.options.onFinding?.(finding);
  };

  addRows(rows: number): void {
    this.rows += rows;
    this.options.onProgress?.(this.rows);
  }

  headOf(organizationId: string): Head | null {
    return this.options.against?.get(organizationId) ?? null;
  }

  finish(replay: Replay): void {
    replay.finish();
    this.organizations += 1;
    this.unseen.delete(replay.organizationId);
    this.options.onHead?.(replay.organizationId, replay.head);
  }

  seen(organizationId: string): boolean {
    return !this.unseen.has(organizationId);
  }

  result(): Verification {
    const byOrganization = (a: Finding, b: Finding) =>
      a.organizationId < b.organizationId ? -1 : a.organizationId > b.organizationId ? 1 : 0;
    return {
      organizations: this.organizations,
      rows: this.rows,
      findings: this.findings.sort(byOrganization),
      more: this.more,
    };
  }
}

// ── Which to read ──────────────────────────────────────────────────────────────────────────────────────────────

/** Organizations by their ids: those after `after` up to and with `last`; from `after` on where `only` is set. */
interface Range {
  after: string;
  last: string;
  withFirst: boolean;
}

const LEAST_ID = "00000000-0000-0000-0000-000000000000";
const GREATEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** Ranges that leave no id out, so that rows of organizations that nobody knows are met too. */
async function* rangesOf(pool: pg.Pool, only: string | undefined): AsyncGenerator<Range> {
  if (only !== undefined) {
    yield { after: only, last: only, withFirst: true };
    return;
  }
  let after = LEAST_ID;
  let withFirst = true;
  let organizations = 0;
  let rows = 0;
  let from = LEAST_ID;
  for (;;) {
    const page = await inSnapshot(pool, (client) =>
      read(
        client,
        `SELECT organization_id, last_seq FROM credit_accounts WHERE organization_id ${withFirst && from === LEAST_ID ? ">=" : ">"} $1
         ORDER BY organization_id LIMIT 5000`,
        [from],
      ),
    );
    for (const [id, lastSeq] of page as [string, string][]) {
      from = id;
      organizations += 1;
      rows += Number(lastSeq);
      if (organizations < RANGE_ORGANIZATIONS && rows < RANGE_ROWS) continue;
      yield { after, last: id, withFirst };
      after = id;
      withFirst = false;
      organizations = 0;
      rows = 0;
    }
    if (page.length < 5000) break;
  }
  yield { after, last: GREATEST_ID, withFirst };
}

// ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────

type Cells = (string | null)[];

// Text as the database sends it: a driver's own ways of reading are slower, and round what does not fit.
const AS_TEXT = { getTypeParser: () => (value: string) => value };

async function read(client: pg.PoolClient, text: string, values: unknown[]): Promise<Cells[]> {
  const result = await client.query<Cells>({ text, values, rowMode: "array", types: AS_TEXT as never });
  return result.rows;
}

async function inSnapshot<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let failed = true;
  try {
    // Everything is read along primary keys; a plan for a table that has no statistics yet would sort it instead.
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL ROLE billfold_platform; SET LOCAL TimeZone = 'UTC';
       SET LOCAL DateStyle = 'ISO'; SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off`,
    );
    const result = await work(client);
    await client.query("COMMIT");
    failed = false;
    return result;
  } finally {
    client.release(failed);
  }
}

async function verifyRange(client: pg.PoolClient, range: Range, sum: Summary): Promise<void> {
  const accounts = await loadAccounts(client, range);
  const lots = await loadLots(client, range);
  const started = new Set<string>();
  const begin = (id: string) => {
    started.add(id);
    return new Replay(id, accounts.get(id) ?? null, lots.get(id) ?? [], sum.headOf(id), sum.add);
  };
  let replay: Replay | null = null;
  const of = (id: string): Replay => {
    if (replay?.organizationId === id) return replay;
    if (replay) sum.finish(replay);
    replay = begin(id);
    return replay;
  };
  for await (const { rows, entries } of batches(client, range)) {
    replayBatch(rows, entries, of);
    sum.addRows(rows.length);
  }
  if (replay) sum.finish(replay);
  for (const id of new Set([...accounts.keys(), ...lots.keys()])) if (!started.has(id)) sum.finish(begin(id));
  for (const finding of await findHolds(client, range)) sum.add(finding);
}

interface Place {
  organizationId: string;
  seq: string;
}

const LEAST_SEQ = "-9223372036854775808";
const GREATEST_SEQ = "9223372036854775807";

/** The rows of a range with the entries of those that do not name their lot, and entries of rows that are not there, all in order. */
async function* batches(client: pg.PoolClient, range: Range): AsyncGenerator<{ rows: Cells[]; entries: Cells[] }> {
  let from: Place = { organizationId: range.after, seq: range.withFirst ? LEAST_SEQ : GREATEST_SEQ };
  let next: Promise<Cells[]> | null = readRows(client, range, from);
  while (next) {
    const rows: Cells[] = await next;
    const last = rows.at(-1);
    const until: Place =
      last && rows.length === BATCH_ROWS
        ? { organizationId: last[0] as string, seq: last[1] as string }
        : { organizationId: range.last, seq: GREATEST_SEQ };
    const entries = await read(client, ENTRIES, [from.organizationId, from.seq, until.organizationId, until.seq]);
    from = until;
    // Asked for before these are replayed, so that the database works meanwhile.
    next = rows.length === BATCH_ROWS ? readRows(client, range, from) : null;
    // Heard of where it is awaited.
    next?.catch(() => {});
    yield { rows, entries };
  }
}

const ROWS = `
  SELECT organization_id, seq, id, type, amount, held, debt, balance_after, available_after, key_space, idempotency_key, request_hash,
    event_id, event_name, event_version, quantity, unit_cost, per_units, corrects_seq, hold_id, reference, project, member_id,
    reason, actor, api_key_id, metadata, created_at, hash, grant_id, lot_after, starts_run
  FROM credit_transactions WHERE (organization_id, seq) > ($1::uuid, $2::bigint) AND organization_id <= $3::uuid
  ORDER BY organization_id, seq LIMIT ${BATCH_ROWS}`;

const ENTRIES = `
  SELECT organization_id, transaction_seq, position, grant_id, amount, held, lot_after FROM credit_entries
  WHERE (organization_id, transaction_seq) > ($1::uuid, $2::bigint) AND (organization_id, transaction_seq) <= ($3::uuid, $4::bigint)
  ORDER BY organization_id, transaction_seq, position`;

function readRows(client: pg.PoolClient, range: Range, from: Place): Promise<Cells[]> {
  return read(client, ROWS, [from.organizationId, from.seq, range.last]);
}

function replayBatch(rows: readonly Cells[], entries: readonly Cells[], of: (organizationId: string) => Replay): void {
  let next = 0;
  const takeEntries = (organizationId: string, seq: number): StoredEntry[] => {
    const taken: StoredEntry[] = [];
    for (let cells = entries[next]; cells; cells = entries[++next]) {
      if (cells[0] !== organizationId || Number(cells[1]) !== seq) break;
      taken.push(toEntry(cells));
    }
    return taken;
  };
  const takeOrphans = (before: { organizationId: string; seq: number } | null) => {
    for (let cells = entries[next]; cells; cells = entries[next]) {
      const organizationId = cells[0] as string;
      const seq = Number(cells[1]);
      if (
        before &&
        (organizationId > before.organizationId || (organizationId === before.organizationId && seq >= before.seq))
      )
        return;
      of(organizationId).addOrphans(takeEntries(organizationId, seq));
    }
  };
  for (const cells of rows) {
    const organizationId = cells[0] as string;
    const row = toRow(cells);
    takeOrphans({ organizationId, seq: row.seq });
    of(organizationId).add(row, toOwnEntry(cells, row), takeEntries(organizationId, row.seq), cells[31] === "t");
  }
  takeOrphans(null);
}

function toEntry([, seq, position, grantId, amount, held, lotAfter]: Cells): StoredEntry {
  return {
    seq: Number(seq),
    position: Number(position),
    grantId: grantId as string,
    amount: Number(amount),
    held: Number(held),
    lotAfter: Number(lotAfter),
  };
}

/** The entry of a row that names its one lot itself. */
function toOwnEntry(cells: Cells, { seq, amount, held }: StoredRow): StoredEntry | null {
  const [grantId, lotAfter] = [cells[29] ?? null, numberOf(cells[30])];
  if (grantId === null && lotAfter === null) return null;
  // Half of it is missing, which the database refuses: what no lot is called, and what no lot can hold.
  return { seq, position: 1, grantId: grantId ?? "none", amount, held, lotAfter: lotAfter ?? -1 };
}

function numberOf(cell: string | null | undefined): number | null {
  return cell == null ? null : Number(cell);
}

/** `2026-03-10 09:30:00.25+00`; NaN for what is no instant. */
function instant(cell: string | null | undefined): number {
  return cell == null ? Number.NaN : Date.parse(`${cell.slice(0, 10)}T${cell.slice(11).replace("+00", "Z")}`);
}

function hex(cell: string | null | undefined): string | null {
  return cell == null ? null : cell.slice(2);
}

const NO_ENTRIES: StoredRow["entries"] = [];
const NO_LOTS: StoredRow["newLots"] = [];

function toRow(cells: Cells): StoredRow {
  const eventId = cells[12];
  return {
    seq: Number(cells[1]),
    id: cells[2] as string,
    type: cells[3] as TransactionType,
    amount: Number(cells[4]),
    held: Number(cells[5]),
    debt: Number(cells[6]),
    balanceAfter: Number(cells[7]),
    availableAfter: Number(cells[8]),
    key: {
      space: cells[9] as "caller" | "billing",
      key: cells[10] as string,
      requestHash: cells[11] as string,
    },
    event:
      eventId == null
        ? null
        : {
            id: eventId,
            name: cells[13] as string,
            version: numberOf(cells[14]) as number,
            cost: numberOf(cells[16]) as Credits,
            perUnits: numberOf(cells[17]) as number,
          },
    quantity: numberOf(cells[15]),
    correctsSeq: numberOf(cells[18]),
    holdId: cells[19] ?? null,
    reference: cells[20] ?? null,
    project: cells[21] ?? null,
    memberId: cells[22] ?? null,
    reason: cells[23] ?? null,
    actor: cells[24] as string,
    apiKeyId: cells[25] ?? null,
    metadata: cells[26] == null ? null : (JSON.parse(cells[26]) as Record<string, unknown>),
    at: new Date(instant(cells[27])),
    hash: hex(cells[28]),
    entries: NO_ENTRIES,
    newLots: NO_LOTS,
  };
}

/** The condition of a range on a table's organizations; `$1` and `$2` are its ends. */
const within = (range: Range, column: string): string =>
  `${column} ${range.withFirst ? ">=" : ">"} $1::uuid AND ${column} <= $2::uuid`;

async function loadAccounts(client: pg.PoolClient, range: Range): Promise<Map<string, StoredHead>> {
  const rows = await read(
    client,
    `SELECT organization_id, balance, held, debt, last_seq, last_at, last_hash FROM credit_accounts WHERE ${within(range, "organization_id")}`,
    [range.after, range.last],
  );
  return new Map(
    rows.map(([id, balance, held, debt, lastSeq, lastAt, lastHash]) => [
      id as string,
      {
        balance: Number(balance),
        held: Number(held),
        debt: Number(debt),
        lastSeq: Number(lastSeq),
        lastAt: lastAt === null ? null : instant(lastAt),
        lastHash: hex(lastHash),
      },
    ]),
  );
}

async function loadLots(client: pg.PoolClient, range: Range): Promise<Map<string, StoredLot[]>> {
  const rows = await read(
    client,
    `SELECT organization_id, id, source, amount, remaining, held, frozen, transferred, expired, open, transferable, expires_at, created_at,
       plan_id, plan_version, price_id, product_id, stripe_invoice_id, stripe_payment_id, stripe_session_id,
       origin_organization_id, origin_grant_id, origin_source
     FROM credit_grants WHERE ${within(range, "organization_id")}`,
    [range.after, range.last],
  );
  const lots = new Map<string, StoredLot[]>();
  for (const cells of rows) {
    const organizationId = cells[0] as string;
    const known = lots.get(organizationId);
    if (known) known.push(toLot(cells));
    else lots.set(organizationId, [toLot(cells)]);
  }
  return lots;
}

function toLot(cells: Cells): StoredLot {
  return {
    id: cells[1] as string,
    source: cells[2] as GrantSource,
    amount: Number(cells[3]),
    remaining: Number(cells[4]),
    held: Number(cells[5]),
    frozen: Number(cells[6]),
    transferred: Number(cells[7]),
    expired: Number(cells[8]),
    open: cells[9] === "t",
    transferable: cells[10] === "t",
    expiresAt: cells[11] === null ? null : instant(cells[11]),
    createdAt: instant(cells[12]),
    planId: cells[13] ?? null,
    planVersion: numberOf(cells[14]),
    priceId: cells[15] ?? null,
    productId: cells[16] ?? null,
    stripeInvoiceId: cells[17] ?? null,
    stripePaymentId: cells[18] ?? null,
    stripeSessionId: cells[19] ?? null,
    originOrganizationId: cells[20] ?? null,
    originGrantId: cells[21] ?? null,
    originSource: (cells[22] ?? null) as GrantSource | null,
  };
}

// ── Holds ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Holds that are not what their rows say: compared by the database, because there may be as many as rows. */
async function findHolds(client: pg.PoolClient, range: Range): Promise<Finding[]> {
  const wrong = await read(
    client,
    `SELECT coalesce(h.organization_id, m.organization_id), coalesce(h.id, m.hold_id), h.id IS NULL, m.hold_id IS NULL,
       concat_ws(', ', 'amount ' || h.amount, 'captured ' || h.captured, 'remaining ' || h.remaining, 'project ' || h.project, 'member ' || h.member_id, 'key ' || h.api_key_id, 'by ' || h.actor),
       concat_ws(', ', 'amount ' || m.amount, 'captured ' || m.captured, 'remaining ' || m.remaining, 'project ' || m.project, 'member ' || m.member_id, 'key ' || m.api_key_id, 'by ' || m.actor)
     FROM (SELECT * FROM credit_holds WHERE ${within(range, "organization_id")}) h
     FULL JOIN (
       SELECT organization_id, hold_id, coalesce(sum(held) FILTER (WHERE type = 'hold'), 0) AS amount,
         coalesce(-sum(held) FILTER (WHERE type IN ('consume', 'transfer')), 0) AS captured, sum(held) AS remaining,
         min(project) FILTER (WHERE type = 'hold') AS project, min(member_id::text) FILTER (WHERE type = 'hold') AS member_id,
         min(api_key_id::text) FILTER (WHERE type = 'hold') AS api_key_id, min(actor) FILTER (WHERE type = 'hold') AS actor
       FROM credit_transactions WHERE ${within(range, "organization_id")} AND hold_id IS NOT NULL GROUP BY organization_id, hold_id
     ) m ON m.organization_id = h.organization_id AND m.hold_id = h.id
     WHERE h.id IS NULL OR m.hold_id IS NULL OR (h.amount, h.captured, h.remaining) IS DISTINCT FROM (m.amount, m.captured, m.remaining)
       OR (h.project, h.member_id::text, h.api_key_id::text, h.actor) IS DISTINCT FROM (m.project, m.member_id, m.api_key_id, m.actor)
       OR (NOT h.open AND h.remaining <> 0)
     LIMIT 1000`,
    [range.after, range.last],
  );
  const findings = wrong.map(([organizationId, id, noHold, noRows, says, should]): Finding => {
    const of = { organizationId: organizationId as string, where: `hold ${id}` };
    if (noHold === "t") return { ...of, says: "missing", should: `${should} by its rows` };
    if (noRows === "t") return { ...of, says: says as string, should: "no row of the ledger made it" };
    return { ...of, says: says as string, should: `${should} by its rows` };
  });
  const open = await read(
    client,
    `SELECT h.organization_id, h.id, h.lots::text, (
       SELECT json_agg(json_build_array(x.grant_id, x.held))::text FROM (
         SELECT e.grant_id, sum(e.held) AS held FROM credit_transactions t
         JOIN credit_movements e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
         WHERE t.organization_id = h.organization_id AND t.hold_id = h.id GROUP BY e.grant_id HAVING sum(e.held) <> 0) x)
     FROM credit_holds h WHERE h.open AND ${within(range, "h.organization_id")}`,
    [range.after, range.last],
  );
  for (const [organizationId, id, lots, moved] of open) {
    const says = heldInWords(lots ?? null);
    const should = heldInWords(moved ?? null);
    if (says === should) continue;
    findings.push({
      organizationId: organizationId as string,
      where: `hold ${id}`,
      says,
      should: `${should} by its rows`,
    });
  }
  return findings;
}

function heldInWords(lots: string | null): string {
  const parts = (JSON.parse(lots ?? "[]") as [string, number][]).map(
    ([lot, held]) => `${toCredits(held)} of lot ${lot}`,
  );
  return parts.length === 0 ? "nothing of any lot" : parts.sort().join(", ");
}
