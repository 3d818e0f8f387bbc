// The only doors to the database: a transaction runs either as one organization, or as the platform. Not one inside another.
import pg from "pg";
import { BillingError } from "~/domain/errors";
import { Prisma, PrismaClient } from "./generated/client";
import { beginningWith, lateBeginning } from "./late-begin";
import { database, endDatabase, holding, requireNoneHeld } from "./pool";
import { isOfPreparing, noteFailure, parsedOnce, timed } from "./statements";

export { Prisma };

/** A transaction that has taken a role. Its rows are those of the role's tenant. */
export type Transaction = Prisma.TransactionClient;

// One client a process, also where the bundler loads this module twice.
const shared = globalThis as typeof globalThis & { billfoldPrisma?: PrismaClient };

function client(): PrismaClient {
  shared.billfoldPrisma ??= new PrismaClient({
    adapter: lateBeginning(database()),
    // Otherwise each query takes down where it was called from, in case that it fails.
    errorFormat: "minimal",
  });
  return shared.billfoldPrisma;
}

// A burst of calls on one organization queues for its account's lock and for connections; both are waited for longer
// than Prisma's default of two and five seconds, which would fail calls that only had to be patient.
const LIMITS = { maxWait: 15_000, timeout: 20_000 };

// A process that froze, or whose host died, keeps its locks no longer than it may be idle; and nobody waits for a lock for longer
// than a person would. Said in each transaction, since a pooler in between gives no sessions.
export const LOCK_TIMEOUT_MS = "10000";
const IDLE_TIMEOUT_MS = "30000";

/** What a transaction begins with. @param role with what else it takes to be somebody */
const beginAs = (role: string, lockTimeoutMs: string): string =>
  `BEGIN; SET LOCAL ROLE ${role}; SET LOCAL lock_timeout = ${lockTimeoutMs}; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_TIMEOUT_MS}`;

/** What one of the platform begins with, for whoever sends it by hand. */
export const beginAsPlatform = (lockTimeoutMs = LOCK_TIMEOUT_MS): string => beginAs("billfold_platform", lockTimeoutMs);

const TRANSACTION_TIMED_OUT = "P2028";

/**
 * Runs `work` in a transaction as one organization: row-level security leaves only its rows, for reading and writing.
 * @param organizationId uuid of the tenant
 */
export function asOrganization<T>(organizationId: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const role = `billfold_app; SET LOCAL app.organization_id = ${pg.escapeLiteral(organizationId)}`;
  return transaction(beginAs(role, LOCK_TIMEOUT_MS), work);
}

/** Runs `work` in a transaction as the platform, which sees every organization: webhooks, jobs, sign-in, admin. */
export function asPlatform<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
  return transaction(beginAsPlatform(), work);
}

async function transaction<T>(beginning: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  requireNoneHeld();
  try {
    return await beginningWith(beginning, () => client().$transaction((tx) => holding(() => work(tx)), LIMITS));
  } catch (error) {
    // It could not begin, or was rolled back, because the database is behind: nothing was written, and it may be tried again.
    const timedOut = error instanceof Prisma.PrismaClientKnownRequestError && error.code === TRANSACTION_TIMED_OUT;
    throw timedOut ? busy(error) : asBusy(error);
  }
}

/** What a caller is told who may do the same again: with the same key, whatever became of this try. */
export function busy(cause?: unknown): BillingError {
  const details = { retryable: true };
  return new BillingError("BUSY", "There is too much to do at the moment. Please try again shortly.", details, {
    cause,
  });
}

/** The same, where an error of the database is one that passes; any other as it is. */
export function asBusy(error: unknown): unknown {
  return isPassing(error) ? busy(error) : error;
}

/** Asks a function of the database that takes its role itself, in one exchange. @throws BillingError BUSY */
export async function ask<Row extends object>(text: string, values: unknown[]): Promise<Row[]> {
  try {
    return (await database().query<Row>(timed(text, values))).rows;
  } catch (error) {
    throw asBusy(error);
  }
}

/**
 * Runs statements in a transaction as the platform, in one exchange with the database however many they are: for what is asked often,
 * and needs nothing of one statement for the next. Values and rows are as the driver has them: `bigint` and `numeric` come as text.
 * @returns the rows of each statement
 * @throws BillingError BUSY
 */
export async function inOneExchange<Rows extends object[]>(
  ...statements: { [Place in keyof Rows]: Prisma.Sql }
): Promise<{ [Place in keyof Rows]: Rows[Place][] }> {
  const client = await connection();
  // Unheard, a connection that breaks would end the process; the statements tell of it.
  client.on("error", ignore);
  const sent = [
    client.query(timed(beginAsPlatform())),
    ...statements.map(({ text, values }) => client.query(parsedOnce(client, timed(text, values)))),
    // After a failure it rolls back.
    client.query(timed("COMMIT")),
  ];
  const answers = await Promise.allSettled(sent);
  const failure = answers.find((answer) => answer.status === "rejected");
  if (failure) noteFailure(client, failure.reason);
  client.removeListener("error", ignore);
  // A connection whose transaction has not ended is not used again.
  client.release(answers.at(-1)?.status === "rejected");
  if (failure) throw asBusy(failure.reason);
  const rows = answers.slice(1, -1).map((answer) => (answer as PromiseFulfilledResult<pg.QueryResult>).value.rows);
  return rows as { [Place in keyof Rows]: Rows[Place][] };
}

const ignore = () => {};

async function connection(): Promise<pg.PoolClient> {
  try {
    return await database().connect();
  } catch (error) {
    throw asBusy(error);
  }
}

/** Ends the process's connections; for commands and tests that must end by themselves. */
export async function disconnect(): Promise<void> {
  await shared.billfoldPrisma?.$disconnect();
  delete shared.billfoldPrisma;
  await endDatabase();
}

/** Whether an error is the database refusing a second row under one unique key. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  return error.code === "P2002" || sqlState(error) === "23505";
}

// Deadlock, serialization, a lock that was not to be had, connection lost or refused, the server restarting or short of something, or
// the one that takes writes no more after a failover.
const PASSING_SQLSTATES = /^(40001|40P01|55P03|25P03|25006|08\w{3}|57P0\w|53\w{3})$/;
const PASSING_PRISMA_CODES = new Set(["P1001", "P1002", "P1008", "P1017", "P2024", "P2034"]);

// What the driver says of a connection that broke or could not be made; it gives only some of them a code.
const PASSING_SOCKET_CODES = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT"]);
const PASSING_DRIVER_MESSAGE =
  /^Connection terminated|^terminating connection|is not queryable$|^timeout exceeded when trying to connect|^Query read timeout/;

/** Whether somebody else held a lock for longer than was waited. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "55P03";
}

/** Whether an error of the database passes by itself: the same work, done again, may well succeed. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Error && isOfPreparing(error.message, sqlState(error))) return true;
  if (error instanceof pg.DatabaseError) return PASSING_SQLSTATES.test(error.code ?? "");
  if (error instanceof Prisma.PrismaClientInitializationError) return true;
  if (error instanceof Error && !(error instanceof Prisma.PrismaClientKnownRequestError)) {
    const { code } = error as { code?: string };
    return PASSING_SOCKET_CODES.has(code ?? "") || PASSING_DRIVER_MESSAGE.test(error.message);
  }
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  return PASSING_PRISMA_CODES.has(error.code) || PASSING_SQLSTATES.test(sqlState(error) ?? "");
}

function sqlState(error: Error & { meta?: unknown }): string | null {
  if (error instanceof pg.DatabaseError) return error.code ?? null;
  const meta = error.meta as { code?: string; driverAdapterError?: { cause?: { originalCode?: string } } } | undefined;
  return meta?.code ?? meta?.driverAdapterError?.cause?.originalCode ?? null;
}
