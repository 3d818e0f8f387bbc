// The log of events, for people of the platform.
import { BillingError } from "~/domain/errors";
import { asPlatform, Prisma } from "../db";

export const EVENT_STATUSES = [
  "received",
  "processing",
  "done",
  "ignored",
  "refused",
  "quarantined",
  "failed",
  "dead",
] as const;
export type EventStatus = (typeof EVENT_STATUSES)[number];

export interface EventLine {
  id: string;
  type: string;
  status: EventStatus;
  source: "webhook" | "reconciler";
  target: string | null;
  objectId: string | null;
  customerId: string | null;
  organization: { id: string; name: string; slug: string } | null;
  attempts: number;
  /** Attempts that failed by a fault of ours. */
  faults: number;
  deliveries: number;
  /** What the handler said, or the error of the last attempt. */
  outcome: string | null;
  /** At Stripe. */
  createdAt: Date;
  receivedAt: Date;
  processedAt: Date | null;
  nextAttemptAt: Date | null;
  replayedAt: Date | null;
}

export interface EventFilter {
  status?: EventStatus | undefined;
  type?: string | undefined;
  organizationId?: string | undefined;
  /** The event's own id. */
  id?: string | undefined;
}

const LINE = Prisma.sql`
  e.id, e.type, e.status::text AS status, e.source::text AS source, e.target, e.object_id AS "objectId", e.customer_id AS "customerId",
  CASE WHEN o.id IS NOT NULL THEN json_build_object('id', o.id, 'name', o.name, 'slug', o.slug) END AS organization,
  e.attempts, e.faults, e.deliveries, e.outcome, e.created_at AS "createdAt", e.received_at AS "receivedAt",
  e.processed_at AS "processedAt", e.next_attempt_at AS "nextAttemptAt", e.replayed_at AS "replayedAt"`;

/** Events as they came, newest first. @param cursor what the page before answered */
export async function listEvents(
  filter: EventFilter,
  { cursor, limit }: { cursor: string | null; limit: number },
): Promise<{ items: EventLine[]; nextCursor: string | null }> {
  const { status, type, organizationId, id } = filter;
  const after = cursor === null ? null : readCursor(cursor);
  const conditions = [
    Prisma.sql`true`,
    // Each status by itself, not as a parameter of a general plan: the few that are open or for a person have indexes of their own.
    ...(status ? [Prisma.sql`e.status = ${Prisma.raw(`'${status}'`)}`] : []),
    ...(type === undefined ? [] : [Prisma.sql`e.type = ${type}`]),
    ...(organizationId === undefined ? [] : [Prisma.sql`e.organization_id = ${organizationId}::uuid`]),
    ...(id === undefined ? [] : [Prisma.sql`e.id = ${id}`]),
    ...(after ? [Prisma.sql`(e.received_at, e.id) < (${after.at}::timestamptz, ${after.id})`] : []),
  ];
  const rows = await asPlatform(
    (tx) => tx.$queryRaw<EventLine[]>`
      SELECT ${LINE} FROM stripe_events e LEFT JOIN organizations o ON o.id = e.organization_id
      WHERE ${Prisma.join(conditions, " AND ")} ORDER BY e.received_at DESC, e.id DESC LIMIT ${limit + 1}`,
  );
  const items = rows.slice(0, limit);
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, nextCursor: last ? `${last.receivedAt.getTime()}_${last.id}` : null };
}

function readCursor(cursor: string): { at: Date; id: string } {
  const [, ms, id] = /^(\d{1,15})_(.+)$/s.exec(cursor) ?? [];
  if (ms === undefined || id === undefined)
    throw new BillingError("INVALID_INPUT", "This is no cursor of the event log.");
  return { at: new Date(Number(ms)), id };
}

/** One event with its body as it was signed. @throws BillingError NOT_FOUND */
export async function getEvent(eventId: string): Promise<EventLine & { apiVersion: string | null; body: string }> {
  const [row] = await asPlatform(
    (tx) => tx.$queryRaw<(EventLine & { apiVersion: string | null; body: string })[]>`
      SELECT ${LINE}, e.api_version AS "apiVersion", e.body
      FROM stripe_events e LEFT JOIN organizations o ON o.id = e.organization_id WHERE e.id = ${eventId}`,
  );
  if (!row) throw new BillingError("NOT_FOUND", "There is no such event.", { eventId });
  return row;
}
