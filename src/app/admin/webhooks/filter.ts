// What the event log is narrowed to, as the address keeps it.
import { EVENT_WORDS } from "~/components/billing/event";
import type { RouterInputs } from "~/server/api/root";

export type SearchParams = Promise<Record<string, string | string[] | undefined>>;

export type EventStatus = NonNullable<RouterInputs["admin"]["events"]["list"]["status"]>;

export interface EventFilter {
  /** "" for all. */
  status: EventStatus | "";
  type: string;
  id: string;
}

export const EVENT_STATUSES = Object.keys(EVENT_WORDS) as EventStatus[];

/** On a page of the log. */
export const EVENTS_SHOWN = 50;

const LONGEST = 255;

export function statusOf(text: string): EventStatus | "" {
  return EVENT_STATUSES.find((status) => status === text) ?? "";
}

export function readEventFilter(params: Record<string, string | string[] | undefined>): EventFilter {
  const one = (name: string) => {
    const value = params[name];
    return typeof value === "string" ? value.slice(0, LONGEST) : "";
  };
  return { status: statusOf(one("status")), type: one("type"), id: one("id") };
}

/** What is asked of the log. */
export function queryOf({ status, type, id }: EventFilter) {
  const given = id.trim();
  return { ...(status ? { status } : {}), ...(type ? { type } : {}), ...(given ? { id: given } : {}) };
}

/** The address's query: "?status=dead", or "" for all. @param open the event whose drawer stands open */
export function addressOf(filter: EventFilter, open: string | null): string {
  const query = new URLSearchParams({ ...queryOf(filter), ...(open ? { event: open } : {}) });
  return query.size > 0 ? `?${query}` : "";
}
