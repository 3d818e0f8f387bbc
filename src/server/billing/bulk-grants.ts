// Bulk grants: many grants from one file, each once, in steps that each commit. Whatever ends a run, the next one goes on
// where it was; an undo takes back what is unspent. The file itself is read in `bulk-grant-file.ts`.
import { undoGrant } from "~/domain/adjustments";
import { type GrantSource, toCredits } from "~/domain/credits";
import { BillingError, invariant } from "~/domain/errors";
import { grant } from "~/domain/granting";
import { asPlatform, type Transaction } from "../db";
import { enqueue } from "../db/enqueue";
import { fingerprint, newId } from "../db/keys";
import { type FileRow, type Problem, readBulkFile } from "./bulk-grant-file";
import { billingKey, newLot } from "./credits";
import { lockAccounts, saveAccounts } from "./ledger/accounts";
import { type KnownRow, readKnown, type StoredKnown } from "./ledger/load";

export type BulkStatus = "running" | "done" | "undoing" | "undone";

/** A file and what its rows are granted as. The same file with the same settings is the same bulk grant. */
export interface BulkFile {
  text: string;
  source: "promotion" | "adjustment";
  /** For the rows that have none of their own. */
  reason: string;
}

export interface BulkPreview {
  rows: number;
  /** Credits of all rows. */
  credits: number;
  /** How many organizations get some. */
  organizations: number;
  /** What is wrong, by line; the first 200 of `problemCount`. Nothing is granted while there is any. */
  problems: Problem[];
  problemCount: number;
  /** The same file was given before. */
  before: { id: string; status: BulkStatus } | null;
}

const MOST_PROBLEMS = 200;
// About where a larger step is not quicker any more; it commits several times a second.
const STEP = 500;

interface CheckedRow extends FileRow {
  organizationId: string;
}

/** What a file would grant, and everything that is wrong with it. Changes nothing. */
export function previewBulkGrant(file: BulkFile, now: Date): Promise<BulkPreview> {
  return asPlatform(async (tx) => {
    const { rows, problems } = await check(tx, file.text, now);
    const before = await findByFile(tx, hashOf(file));
    return {
      rows: rows.length,
      credits: rows.reduce((sum, row) => sum + row.amount, 0),
      organizations: new Set(rows.map((row) => row.organizationId)).size,
      problems: problems.slice(0, MOST_PROBLEMS),
      problemCount: problems.length,
      before,
    };
  });
}

async function check(tx: Transaction, text: string, now: Date): Promise<{ rows: CheckedRow[]; problems: Problem[] }> {
  const { rows, problems } = readBulkFile(text, now);
  const known = await findOrganizations(tx, [...new Set(rows.map((row) => row.organization))]);
  const checked: CheckedRow[] = [];
  for (const row of rows) {
    const organizationId = known.get(row.organization);
    if (organizationId) checked.push({ ...row, organizationId });
    else problems.push({ line: row.line, message: `There is no organization "${row.organization.slice(0, 60)}".` });
  }
  return { rows: checked, problems: problems.sort((a, b) => a.line - b.line) };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Ids by what a file calls them: an id, or a slug. */
async function findOrganizations(tx: Transaction, names: string[]): Promise<Map<string, string>> {
  const ids = names.filter((name) => UUID.test(name));
  const slugs = names.filter((name) => !UUID.test(name));
  const rows = await tx.$queryRaw<{ id: string; slug: string }[]>`
    SELECT o.id, o.slug FROM organizations o JOIN credit_accounts a ON a.organization_id = o.id
    WHERE o.deleted_at IS NULL AND (o.id = ANY (${ids}::uuid[]) OR o.slug = ANY (${slugs}))`;
  const byId = new Map(rows.map((row) => [row.id, row.id]));
  const bySlug = new Map(rows.map((row) => [row.slug, row.id]));
  const found = new Map<string, string>();
  for (const name of names) {
    const id = UUID.test(name) ? byId.get(name.toLowerCase()) : bySlug.get(name);
    if (id) found.set(name, id);
  }
  return found;
}

function hashOf({ text, source, reason }: BulkFile): string {
  return fingerprint({ text, source, reason });
}

function findByFile(tx: Transaction, fileHash: string): Promise<{ id: string; status: BulkStatus } | null> {
  return tx.bulkGrant.findUnique({ where: { fileHash }, select: { id: true, status: true } });
}

/**
 * Takes a file in. It is granted by `continueBulkGrant`, step by step. A file that was taken in before is the same bulk grant:
 * nothing of it is granted a second time.
 * @param request.asJob whether a worker is to carry it on
 * @throws BillingError INVALID_INPUT `{ problems, problemCount }` where anything is wrong, or where it has been undone
 */
export function startBulkGrant(request: {
  file: BulkFile;
  /** What people know it by. */
  name: string;
  actor: string;
  asJob: boolean;
  now: Date;
}): Promise<{ id: string; status: BulkStatus; continued: boolean }> {
  const { file, name, actor, asJob, now } = request;
  const fileHash = hashOf(file);
  return asPlatform(async (tx) => {
    const before = await findByFile(tx, fileHash);
    if (before) return continued(tx, before, asJob);
    const { rows, problems } = await check(tx, file.text, now);
    if (problems.length > 0) throw wrongFile(problems);
    const id = newId(now);
    const data = { id, fileHash, name, reason: file.reason, status: "running" as const, rows: rows.length };
    const { count } = await tx.bulkGrant.createMany({
      data: [{ ...data, createdBy: actor, createdAt: now }],
      skipDuplicates: true,
    });
    if (count === 0) {
      // Somebody gave the same file in the same moment.
      const first = await findByFile(tx, fileHash);
      invariant(first, "the same file was taken in");
      return continued(tx, first, asJob);
    }
    await insertRows(tx, id, file.source, rows);
    if (asJob) await carryOn(tx, id);
    return { id, status: "running", continued: false };
  });
}

async function continued(tx: Transaction, bulk: { id: string; status: BulkStatus }, asJob: boolean) {
  if (bulk.status === "undone" || bulk.status === "undoing") {
    throw new BillingError("INVALID_INPUT", "This file was granted and undone; change it to grant it again.", {
      bulkId: bulk.id,
    });
  }
  if (asJob && bulk.status === "running") await carryOn(tx, bulk.id);
  return { ...bulk, continued: true };
}

function carryOn(tx: Transaction, bulkId: string): Promise<void> {
  return enqueue(tx, "bulk-grant", { bulkId }, { key: `bulk-grant:${bulkId}` });
}

function wrongFile(problems: Problem[]): BillingError {
  const [first] = problems;
  const more = problems.length > 1 ? ` And ${problems.length - 1} more.` : "";
  return new BillingError("INVALID_INPUT", `Line ${first?.line}: ${first?.message}${more} Nothing was granted.`, {
    problems: problems.slice(0, MOST_PROBLEMS),
    problemCount: problems.length,
  });
}

async function insertRows(tx: Transaction, bulkId: string, source: GrantSource, rows: CheckedRow[]): Promise<void> {
  const text = JSON.stringify(
    rows.map((row) => ({
      line: row.line,
      organization_id: row.organizationId,
      amount: row.amount,
      expires_at: row.expiresAt,
      reason: row.reason,
    })),
  );
  await tx.$executeRaw`
    INSERT INTO bulk_grant_rows (bulk_id, line, organization_id, amount, source, expires_at, reason, status)
    SELECT ${bulkId}::uuid, r.line, r.organization_id, r.amount, ${source}::grant_source, r.expires_at, r.reason, 'pending'
    FROM jsonb_to_recordset(${text}::jsonb) AS r (line int, organization_id uuid, amount bigint, expires_at timestamptz, reason text)`;
}

/**
 * Takes back what is unspent of everything that a bulk grant granted; what it has not granted yet, it never will. Carried on by
 * `continueBulkGrant`. Undoing again changes nothing.
 * @throws BillingError NOT_FOUND
 */
export function undoBulkGrant(request: {
  bulkId: string;
  asJob: boolean;
}): Promise<{ id: string; status: BulkStatus }> {
  const { bulkId, asJob } = request;
  return asPlatform(async (tx) => {
    const bulk = await lockBulk(tx, bulkId);
    if (bulk.status === "undone") return { id: bulkId, status: bulk.status };
    await tx.bulkGrant.update({ where: { id: bulkId }, data: { status: "undoing", finishedAt: null } });
    if (asJob) await carryOn(tx, bulkId);
    return { id: bulkId, status: "undoing" };
  });
}

interface StoredBulk {
  id: string;
  status: BulkStatus;
  reason: string;
  created_by: string;
}

/** One step at a time for a bulk grant, however many carry it on. */
async function lockBulk(tx: Transaction, bulkId: string): Promise<StoredBulk> {
  const [bulk] = await tx.$queryRaw<StoredBulk[]>`
    SELECT id, status::text AS status, reason, created_by FROM bulk_grants WHERE id = ${bulkId}::uuid FOR UPDATE`;
  if (!bulk) throw new BillingError("NOT_FOUND", "There is no such bulk grant.", { bulkId });
  return bulk;
}

/**
 * Does the next rows of a bulk grant, or of its undo, in one transaction.
 * @returns whether there may be more to do
 * @throws BillingError NOT_FOUND
 */
export async function continueBulkGrant(bulkId: string, now: Date): Promise<boolean> {
  try {
    return await takeStep(bulkId, now);
  } catch (error) {
    // An organization was deleted between the look at it and its lock: the next look will see that.
    if (error instanceof BillingError && error.details.organizationId !== undefined) return true;
    throw error;
  }
}

function takeStep(bulkId: string, now: Date): Promise<boolean> {
  return asPlatform(async (tx) => {
    const bulk = await lockBulk(tx, bulkId);
    if (bulk.status !== "running" && bulk.status !== "undoing") return false;
    const granting = bulk.status === "running";
    const rows = await nextRows(tx, bulkId, granting ? "pending" : "granted");
    if (rows.length === 0) {
      const status = granting ? "done" : "undone";
      await tx.bulkGrant.update({ where: { id: bulkId }, data: { status, finishedAt: now } });
      return false;
    }
    const done = granting ? await grantRows(tx, bulk, rows, now) : await undoRows(tx, bulk, rows, now);
    await writeRows(tx, bulkId, done);
    return true;
  });
}

interface StoredRow {
  line: number;
  organization_id: string;
  amount: bigint;
  source: "promotion" | "adjustment";
  expires_at: Date | null;
  reason: string | null;
  grant_id: string | null;
  /** Whether its organization still is there. */
  live: boolean;
}

interface DoneRow {
  line: number;
  status: "granted" | "failed" | "undone";
  grant_id: string | null;
  taken_back: number | null;
  error: string | null;
}

function nextRows(tx: Transaction, bulkId: string, status: "pending" | "granted"): Promise<StoredRow[]> {
  return tx.$queryRaw<StoredRow[]>`
    SELECT r.line, r.organization_id, r.amount, r.source::text AS source, r.expires_at, r.reason, r.grant_id,
      o.deleted_at IS NULL AS live
    FROM bulk_grant_rows r JOIN organizations o ON o.id = r.organization_id
    WHERE r.bulk_id = ${bulkId}::uuid AND r.status = ${status}::bulk_grant_row_status
    ORDER BY r.line LIMIT ${STEP}`;
}

async function lockOrganizations(tx: Transaction, rows: StoredRow[], now: Date) {
  const ids = [...new Set(rows.filter((row) => row.live).map((row) => row.organization_id))];
  const accounts = await lockAccounts(tx, ids, now);
  return { accounts, byId: new Map(accounts.map((account) => [account.state.organizationId, account])) };
}

async function grantRows(tx: Transaction, bulk: StoredBulk, rows: StoredRow[], now: Date): Promise<DoneRow[]> {
  const { accounts, byId } = await lockOrganizations(tx, rows, now);
  const known = await findRows(tx, bulk.id, rows);
  const done = rows.map((row): DoneRow => {
    const account = byId.get(row.organization_id);
    if (!account) return failed(row, "The organization was deleted before its turn.");
    const before = known.get(row.line);
    if (before) return granted(row, before.entries[0]?.grantId ?? null);
    if (row.expires_at !== null && row.expires_at <= now) return failed(row, "It expired before its turn.");
    const reason = row.reason ?? bulk.reason;
    const { source, expires_at: expiresAt } = row;
    const lot = newLot({ source, amount: toCredits(row.amount), expiresAt, label: reason }, now);
    const cause = { key: billingKey(keyOf(bulk.id, row)), actor: bulk.created_by, reason, reference: bulk.id };
    try {
      grant(account, lot, source, cause, now);
    } catch (error) {
      // Said of its row, and the others get theirs.
      if (error instanceof BillingError) return failed(row, error.message);
      throw error;
    }
    return granted(row, lot.id);
  });
  await saveAccounts(tx, accounts);
  return done;
}

async function undoRows(tx: Transaction, bulk: StoredBulk, rows: StoredRow[], now: Date): Promise<DoneRow[]> {
  const { accounts, byId } = await lockOrganizations(tx, rows, now);
  const known = await findRows(tx, bulk.id, rows);
  const done = rows.map((row): DoneRow => {
    const granting = known.get(row.line);
    invariant(granting, "what was granted is in the ledger");
    // A lot that is not loaded holds nothing any more.
    const account = byId.get(row.organization_id);
    const lot = account?.findLot(row.grant_id ?? "");
    const cause = {
      key: billingKey(`${keyOf(bulk.id, row)}:undo`),
      actor: bulk.created_by,
      reason: `Undone: ${row.reason ?? bulk.reason}`,
      reference: bulk.id,
    };
    const taken = account && lot ? undoGrant(account, lot, granting.seq, cause, now) : null;
    const { line, grant_id } = row;
    return { line, grant_id, status: "undone", taken_back: taken === null ? 0 : -taken.amount, error: null };
  });
  await saveAccounts(tx, accounts);
  return done;
}

/** The key that makes a row once, whatever became of the run that granted it. */
function keyOf(bulkId: string, { line }: StoredRow): string {
  return `bulk:${bulkId}:${line}`;
}

/** The ledger's rows for rows of a bulk grant, by line. */
async function findRows(tx: Transaction, bulkId: string, rows: StoredRow[]): Promise<Map<number, KnownRow>> {
  const organizations = rows.map((row) => row.organization_id);
  const keys = rows.map((row) => keyOf(bulkId, row));
  const found = await tx.$queryRaw<{ known: StoredKnown }[]>`
    SELECT to_json(k) AS known
    FROM ledger_known(${organizations}::uuid[], array_fill('billing'::key_space, ARRAY[${rows.length}::int]), ${keys}::text[]) k`;
  const lines = new Map(rows.map((row) => [keyOf(bulkId, row), row.line]));
  return new Map(found.map(({ known }) => [lines.get(known.idempotency_key) ?? 0, readKnown(known)]));
}

function granted({ line }: StoredRow, grantId: string | null): DoneRow {
  return { line, status: "granted", grant_id: grantId, taken_back: null, error: null };
}

function failed({ line }: StoredRow, error: string): DoneRow {
  return { line, status: "failed", grant_id: null, taken_back: null, error };
}

async function writeRows(tx: Transaction, bulkId: string, rows: DoneRow[]): Promise<void> {
  await tx.$executeRaw`
    UPDATE bulk_grant_rows r SET status = d.status, grant_id = d.grant_id, taken_back = d.taken_back, error = d.error
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS d (line int, status bulk_grant_row_status, grant_id uuid, taken_back bigint, error text)
    WHERE r.bulk_id = ${bulkId}::uuid AND r.line = d.line`;
}

export interface BulkProgress {
  id: string;
  name: string;
  reason: string;
  status: BulkStatus;
  rows: number;
  /** Rows by what became of them; after an undo those that had been granted are `undone`. */
  pending: number;
  granted: number;
  failed: number;
  undone: number;
  /** Credits granted, undone ones included, and what an undo has taken back of them. */
  credits: number;
  takenBack: number;
  /** The first 100 rows that could not be granted. */
  failures: { line: number; error: string }[];
  createdAt: Date;
  finishedAt: Date | null;
}

/** How far a bulk grant, or its undo, has come. @throws BillingError NOT_FOUND */
export function getBulkProgress(bulkId: string): Promise<BulkProgress> {
  return asPlatform(async (tx) => {
    const bulk = await tx.bulkGrant.findUnique({ where: { id: bulkId } });
    if (!bulk) throw new BillingError("NOT_FOUND", "There is no such bulk grant.", { bulkId });
    const counts = await tx.bulkGrantRow.groupBy({
      by: ["status"],
      where: { bulkId },
      _count: true,
      _sum: { amount: true, takenBack: true },
    });
    const of = (status: string) => counts.find((one) => one.status === status);
    const failures = await tx.bulkGrantRow.findMany({
      where: { bulkId, status: "failed" },
      orderBy: { line: "asc" },
      take: 100,
      select: { line: true, error: true },
    });
    return {
      id: bulk.id,
      name: bulk.name,
      reason: bulk.reason,
      status: bulk.status,
      rows: bulk.rows,
      pending: of("pending")?._count ?? 0,
      granted: of("granted")?._count ?? 0,
      failed: of("failed")?._count ?? 0,
      undone: of("undone")?._count ?? 0,
      credits: Number((of("granted")?._sum.amount ?? 0n) + (of("undone")?._sum.amount ?? 0n)),
      takenBack: Number(of("undone")?._sum.takenBack ?? 0n),
      failures: failures.map(({ line, error }) => ({ line, error: error ?? "" })),
      createdAt: bulk.createdAt,
      finishedAt: bulk.finishedAt,
    };
  });
}
