// Statements that are sent by hand: with a bound to the wait for their answer, and prepared once where connections are what they
// seem to be.
import pg from "pg";
import { sha256 } from "./keys";

// Behind some poolers a connection is another one each time: it does not know the statement, or has one of that name already.
const LOST = /^(26000|42P05)$/;

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
