// The part of the bench that is about Stripe's events: two databases, of which one has long kept very many of them, and a process
// with a Stripe of its own for each.
import type pg from "pg";
import type { Load, LoadResult } from "./callers";
import type { Cell, EventsCell } from "./cells";
import { HelperProcess } from "./helper-process";
import type { EventsPlan } from "./plan";

export const EVENTS_DATABASES = ["eventsEmpty", "eventsMany"] as const;
export type EventsDatabase = (typeof EVENTS_DATABASES)[number];

const CALLERS = 8;

export function eventsCells({ stored }: EventsPlan): EventsCell[] {
  const one = (way: EventsCell["way"], database: EventsDatabase): EventsCell => ({
    key: `${way}${database === "eventsMany" ? "Many" : "Empty"}`,
    title: `${way === "eventsStored" ? "delivered and stored" : "delivered, stored and processed"}, ${database === "eventsMany" ? stored.toLocaleString("en") : "no"} events kept`,
    section: "Stripe's events, in process",
    callers: CALLERS,
    where: "events",
    way,
    database,
  });
  return (["eventsStored", "eventsProcessed"] as const).flatMap((way) =>
    EVENTS_DATABASES.map((database) => one(way, database)),
  );
}

export const isEventsCell = (cell: Cell): cell is EventsCell => cell.where === "events";

/** Three months of events as they are kept: nearly all done, of many customers, with indexes as they grow by themselves. */
export async function seedEvents(client: pg.ClientBase, count: number): Promise<void> {
  await client.query(
    `INSERT INTO stripe_events (id, type, api_version, livemode, body, target, object_id, customer_id, subscription_id, status, attempts,
       outcome, created_at, received_at, processed_at)
     SELECT 'evt_' || md5(n::text), kinds.type[n % 6 + 1], '2026-10-28.endive', false,
       json_build_object('id', 'evt_' || md5(n::text), 'object', 'event', 'type', kinds.type[n % 6 + 1],
         'data', json_build_object('object', json_build_object('id', 'in_' || n, 'padding', repeat(md5(n::text), 12)))),
       kinds.target[n % 6 + 1], 'in_' || n, 'cus_' || n % 50000, 'sub_' || n % 50000,
       CASE WHEN n % 1000 = 0 THEN 'dead' WHEN n % 1000 = 1 THEN 'quarantined' WHEN n % 50 = 2 THEN 'ignored' ELSE 'done' END::stripe_event_status,
       1, 'Pro is active; its allowance was granted before', at, at, at
     FROM generate_series(1, $1::int) n,
       LATERAL (SELECT now() - interval '89 days' * (1 - n::float8 / $1::int)) times (at),
       (SELECT ARRAY['invoice.paid', 'invoice.payment_succeeded', 'customer.subscription.updated', 'payment_intent.succeeded',
          'checkout.session.completed', 'charge.refunded'],
          ARRAY['invoice', 'invoice', 'subscription', 'payment_intent', 'checkout_session', 'payment_intent']) kinds (type, target)`,
    [count],
  );
  await client.query("VACUUM (ANALYZE) stripe_events");
}

/** The processes that do the work. */
export class EventsLoad {
  private readonly helpers = new Map<EventsDatabase, HelperProcess>();

  async start(
    env: (database: EventsDatabase) => NodeJS.Dict<string>,
    subscribers: number,
    onStart: (helper: HelperProcess) => void,
  ): Promise<void> {
    for (const database of EVENTS_DATABASES) {
      const helper = await HelperProcess.start(database, "eventsLoad", env(database));
      onStart(helper);
      this.helpers.set(database, helper);
      await helper.do({ kind: "openEvents", subscribers });
    }
  }

  do({ database, way }: EventsCell, load: Load): Promise<LoadResult> {
    const helper = this.helpers.get(database);
    if (!helper) throw new Error(`there is no process for ${database}`);
    return helper.do({ kind: "events", way, load });
  }
}
