// Statements that a connection prepares once, where connections are what they seem to be.
import pg from "pg";
import { sha256 } from "./keys";

// Behind some poolers a connection is another one each time: it does not know the statement, or has one of that name already.
const LOST = /^(26000|42P05)$/;

let works = true;
const names = new Map<string, string>();

/**
 * A statement to be prepared on the connection that it is sent on; for few texts that are sent often. Its failure must be shown to
 * `isLost`.
 */
export function prepared(text: string, values: unknown[]): pg.QueryConfig {
  return works ? { name: nameOf(text), text, values } : { text, values };
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
