// Statements that are sent by hand: with a bound to the wait for their answer, and prepared once where connections are what they
// seem to be.
import pg from "pg";
import { sha256 } from "./keys";

// Behind some poolers a connection is another one each time: it does not know the statement, or has one of that name already.
const LOST = /^(26000|42P05)$/;
// A migration has changed what a prepared statement answers.
const STALE = /cached plan must not change result type/;

// Longer than any lock is waited for. A connection can go silent (its host is gone, a router forgot it) and not be told for many
// minutes; the driver gives it up then.
const ANSWER_TIMEOUT_MS = 15_000;

/** A statement whose answer is not waited for without end. */
export function timed(text: string, values?: unknown[]): pg.QueryConfig {
  const config = { text, query_timeout: ANSWER_TIMEOUT_MS };
  return values ? { ...config, values } : config;
}

let works = true;
const names = new Map<string, string>();

/**
 * A statement to be prepared on the connection that it is sent on; for few texts that are sent often. Its failure must be shown to
 * `isLost`.
 */
export function prepared(text: string, values: unknown[]): pg.QueryConfig {
  return works ? { ...timed(text, values), name: nameOf(text) } : timed(text, values);
}

/** Its text is in its name: another release of the app may have its own on the same connection of a pooler. */
function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `billfold_${sha256(text).slice(0, 16)}`;
  names.set(text, name);
  return name;
}

/** Whether a failure says that the prepared statement was not there: nothing has happened, and none is prepared from now on. */
export function isLost(failure: unknown): boolean {
  const lost = failure instanceof pg.DatabaseError && LOST.test(failure.code ?? "");
  if (lost) works = false;
  return lost;
}

// Connections that are sessions of the server, and nobody's who lends them.
const sessions = new WeakSet<object>();
// What is remembered of each text on each connection takes memory of the server; ours are fewer, but for lists of many lengths.
const MOST_TEXTS = 400;

/**
 * Asks a new connection whether it is a session of the server: then it has the number that it was given at its beginning. A pooler's
 * is none, and what is prepared on it would be gone with the transaction.
 */
export async function askWhetherSession(client: pg.PoolClient): Promise<void> {
  const { processID } = client as pg.PoolClient & { processID?: number };
  const { rows } = await client.query<{ pid: number }>(timed("SELECT pg_backend_pid() AS pid"));
  if (rows[0]?.pid === processID) sessions.add(client);
}

/** The statement as the connection takes it best: parsed once in its life, where it is a session. */
export function parsedOnce(client: pg.PoolClient, config: pg.QueryConfig): pg.QueryConfig {
  const { text, values = [] } = config;
  if (values.length === 0 || !sessions.has(client)) return config;
  if (names.size >= MOST_TEXTS && !names.has(text)) return config;
  return { ...config, name: nameOf(text) };
}

/** Nothing is prepared any more on the connection of a statement that failed because it was; whoever sent it may do so again. */
export function noteFailure(client: pg.PoolClient, failure: unknown): void {
  if (failure instanceof pg.DatabaseError && isOfPreparing(failure.message, failure.code)) sessions.delete(client);
}

/** Whether a failure comes of a statement's being prepared, as the server says it. */
export function isOfPreparing(message: string, code: string | null | undefined): boolean {
  return LOST.test(code ?? "") || STALE.test(message);
}
