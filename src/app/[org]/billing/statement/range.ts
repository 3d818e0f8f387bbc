// The days that a statement is about, as the address of its page keeps them: whole days of UTC, both ends belonging to it.
// What it does not name is the present month.

const DAY = /^\d{4}-\d\d-\d\d$/;
const DAY_MS = 86_400_000;

export interface StatementDays {
  /** `2026-03-01` */
  from: string;
  to: string;
}

/** Reads an address; a day that there is none of, or an end before the beginning, is as good as not said. */
export function daysOf(address: Record<string, string | string[] | undefined>, now: Date): StatementDays {
  const month = monthOf(now);
  const from = dayOf(address.from) ?? month.from;
  const to = dayOf(address.to) ?? month.to;
  return from <= to ? { from, to } : month;
}

/** The month of an instant, up to its last day. */
export function monthOf(at: Date, back = 0): StatementDays {
  const first = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - back, 1));
  const last = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() - back + 1, 0));
  return { from: text(first), to: text(last) };
}

/** The range's instants: from the first one of its first day to before the first one after its last. */
export function instantsOf({ from, to }: StatementDays): { from: Date; to: Date } {
  return { from: new Date(from), to: new Date(Date.parse(to) + DAY_MS) };
}

function dayOf(value: string | string[] | undefined): string | null {
  if (typeof value !== "string" || !DAY.test(value)) return null;
  const at = new Date(value);
  if (Number.isNaN(at.getTime()) || text(at) !== value) return null;
  return at.getUTCFullYear() >= 1970 ? value : null;
}

function text(at: Date): string {
  return at.toISOString().slice(0, 10);
}
