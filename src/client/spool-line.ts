// A line of the spool: what it says, and how it is known to be whole.
import { createHash } from "node:crypto";

/** A consume with its id, or the mark that the line of an id is done. */
export interface Line {
  id?: string;
  consume?: string;
  done?: string;
}

/** A short name of a text. */
export const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** As it is written: with a digest of itself in front. */
export function seal(line: Line): string {
  const json = JSON.stringify(line);
  return `${digest(json)} ${json}`;
}

/** null for a line that is not as it was written. */
export function unseal(text: string): Line | null {
  const json = text.slice(17);
  return text[16] === " " && digest(json) === text.slice(0, 16) ? (JSON.parse(json) as Line) : null;
}
