// Pages of a list: newest first, with cursors, as all of Stripe's lists are.
import { missingResource } from "../errors";
import type { AnyObject } from "../types";

export interface PageParams {
  limit?: number;
  starting_after?: string;
  ending_before?: string;
}

export interface Page<T> {
  object: "list";
  data: T[];
  has_more: boolean;
  url: string;
}

function position(items: AnyObject[], cursor: string, noun: string, param: string): number {
  const found = items.findIndex(({ id }) => id === cursor);
  if (found < 0) throw missingResource(noun, cursor, param);
  return found;
}

/** One page of things that are already in the order in which they are served. */
export function pageInOrder<T extends AnyObject>(items: T[], url: string, noun: string, params: PageParams): Page<T> {
  const limit = params.limit ?? 10;
  if (params.ending_before) {
    const end = position(items, params.ending_before, noun, "ending_before");
    const start = Math.max(0, end - limit);
    return { object: "list", data: items.slice(start, end), has_more: start > 0, url };
  }
  const start = params.starting_after ? position(items, params.starting_after, noun, "starting_after") + 1 : 0;
  return { object: "list", data: items.slice(start, start + limit), has_more: start + limit < items.length, url };
}

/** One page of things that are kept oldest first. */
export function page<T extends AnyObject>(oldestFirst: Iterable<T>, url: string, noun: string, params: PageParams) {
  return pageInOrder([...oldestFirst].reverse(), url, noun, params);
}
