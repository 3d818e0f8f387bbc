// Search by metadata and plain fields: `metadata['key']:'value' AND email:'a@b.c'`.
import { invalidRequest } from "../errors";
import type { Collection } from "../store";
import type { AnyObject } from "../types";

const CLAUSE = /^(-?)(?:metadata\[(["'])(.+?)\2\]|(\w+))([:~])(["'])(.*)\6$/;

function matcher(clause: string): (object: Record<string, unknown>) => boolean {
  const [, not, , key, field = "", operator, , wanted = ""] = CLAUSE.exec(clause.trim()) ?? [];
  if (!operator) throw invalidRequest(`Invalid search query: could not parse ${clause.trim()}`, "query");
  return (object) => {
    const value = key ? (object.metadata as Record<string, string> | null)?.[key] : object[field];
    const text = value === null || value === undefined ? "" : String(value);
    const fits = operator === "~" ? text.toLowerCase().includes(wanted.toLowerCase()) : text === wanted;
    return fits !== (not === "-");
  };
}

/** All objects that a query finds, newest first, a page at a time. */
export function search<T extends AnyObject & { created?: number }>(
  collection: Collection<T>,
  url: string,
  given: { query: string; limit?: number; page?: string },
) {
  const joined = given.query.split(/\s+(AND|OR)\s+/i);
  const clauses = joined.filter((_, position) => position % 2 === 0).map(matcher);
  const any = joined.some((word, position) => position % 2 === 1 && word.toUpperCase() === "OR");
  const found = [...collection.values()]
    .reverse()
    .filter((object) => clauses[any ? "some" : "every"]((fits) => fits(object as unknown as Record<string, unknown>)));
  const start = Number(given.page ?? 0) || 0;
  const end = start + (given.limit ?? 10);
  const next = end < found.length ? String(end) : null;
  // A search result pages like a list; only its name and `next_page` differ.
  return { object: "search_result", data: found.slice(start, end), has_more: next !== null, next_page: next, url };
}
