// Who works on which events: claims, their leases, and what waits. Events of one customer are done one after the other, and those
// of one object, or of one subscription, in one go. Where the body names no customer, an object has its own turn.
import { inOneExchange, Prisma } from "../db";

// A claim is renewed while its worker lives; after it the events are another worker's.
const LEASE_SECONDS = 30;
const RENEW_EVERY_MS = 10_000;
// As many bodies are read at once; the rest of an object's events are done in the next go.
const MOST_TOGETHER = 200;

/** Whose turn an event `e` waits for, as the index `events_in_turn` has it. */
export const TURN = Prisma.sql`coalesce(e.customer_id, e.object_id, e.id)`;
/** What it is done together with. */
const SUBJECT = Prisma.sql`coalesce(e.subscription_id, e.object_id, e.id)`;
const IS_OPEN = Prisma.sql`e.status IN ('received', 'processing', 'failed')`;

/** Never begun, due again, or left behind by a process that died. A lease is a matter of the database's clock, not of `now`. */
const isWaiting = (now: Date) => Prisma.sql`${IS_OPEN} AND (
  e.status = 'received'
  OR (e.status = 'failed' AND e.next_attempt_at <= greatest(${now}::timestamptz, clock_timestamp()))
  OR (e.status = 'processing' AND e.lease_until < clock_timestamp()))`;

export interface ClaimedEvent {
  id: string;
  body: string;
  attempts: number;
  faults: number;
  receivedAt: Date;
  /** When it was last asked for again. */
  replayedAt: Date | null;
}

export interface Claim {
  turn: string;
  /** The one that was asked for, then what is done with it, oldest first. */
  events: [ClaimedEvent, ...ClaimedEvent[]];
}

/**
 * Claims an event with all that wait for the same object, in one statement: whatever they tell of has happened by now, so one look
 * at Stripe from now on serves them all. What is received later waits for its own.
 * @param except events that wait for somebody else
 * @returns null where it is done, not due, or where it is another worker's turn for its customer; that worker takes it next
 */
export async function claimEvents(eventId: string, now: Date, except: readonly string[] = []): Promise<Claim | null> {
  const [[asked], claimed] = await inOneExchange<[{ turn: string }, ClaimedEvent]>(
    // One claim at a time for each turn: two workers that both see nobody at work would both begin.
    Prisma.sql`
      SELECT asked.turn FROM (SELECT ${TURN} AS turn FROM stripe_events e WHERE e.id = ${eventId} AND ${isWaiting(now)} OFFSET 0) asked,
        LATERAL (SELECT pg_advisory_xact_lock(hashtextextended('stripe_events:' || asked.turn, 0))) locked`,
    // A statement of its own, which sees what whoever held the lock has written. Where the event is not waiting (any more), there is
    // nothing to claim.
    Prisma.sql`
      WITH asked AS (
        SELECT ${TURN} AS turn, ${SUBJECT} AS subject FROM stripe_events e WHERE e.id = ${eventId} AND ${isWaiting(now)}
      ), wanted AS (
        SELECT e.id FROM stripe_events e
        WHERE ${isWaiting(now)} AND ${TURN} = (SELECT turn FROM asked) AND ${SUBJECT} = (SELECT subject FROM asked)
          AND e.id <> ALL(${[...except]}::text[])
          AND NOT EXISTS (
            SELECT FROM stripe_events e
            WHERE ${IS_OPEN} AND ${TURN} = (SELECT turn FROM asked) AND e.status = 'processing' AND e.lease_until >= clock_timestamp())
        ORDER BY (e.id = ${eventId}) DESC, e.received_at, e.id LIMIT ${MOST_TOGETHER}
        -- A copy that is being counted asks for its processing itself.
        FOR UPDATE SKIP LOCKED)
      UPDATE stripe_events e SET status = 'processing', attempts = e.attempts + 1,
        lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
      FROM wanted WHERE e.id = wanted.id
      RETURNING e.id, e.body, e.attempts, e.faults, e.received_at AS "receivedAt", e.replayed_at AS "replayedAt"`,
  );
  claimed.sort(
    (a, b) =>
      Number(b.id === eventId) - Number(a.id === eventId) ||
      a.receivedAt.getTime() - b.receivedAt.getTime() ||
      (a.id < b.id ? -1 : 1),
  );
  const [first, ...others] = claimed;
  return asked && first ? { turn: asked.turn, events: [first, ...others] } : null;
}

/** Keeps a claim while `work` goes on. */
export async function holdingClaim<T>(
  { events }: Claim,
  work: () => Promise<T>,
  onError: (error: unknown) => void,
): Promise<T> {
  const ids = events.map(({ id }) => id);
  const renewal = setInterval(() => renew(ids).catch(onError), RENEW_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
  }
}

async function renew(eventIds: string[]): Promise<void> {
  await inOneExchange(Prisma.sql`
    UPDATE stripe_events SET lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
    WHERE id = ANY(${eventIds}) AND status = 'processing'`);
}

/** The oldest event that waits for a turn, if there is one, other than those that were tried just now. */
export async function findNextInTurn(turn: string, tried: readonly string[], now: Date): Promise<string | null> {
  const [[next]] = await inOneExchange<[{ id: string }]>(Prisma.sql`
    SELECT e.id FROM stripe_events e WHERE ${isWaiting(now)} AND ${TURN} = ${turn} AND e.id <> ALL(${[...tried]}::text[])
    ORDER BY e.received_at, e.id LIMIT 1`);
  return next?.id ?? null;
}

/** Lets everything that waits for a turn wait until an instant, with a sentence that says why. */
export async function postponeTurn(turn: string, until: Date, sentence: string, now: Date): Promise<void> {
  await inOneExchange(Prisma.sql`
    UPDATE stripe_events e SET status = 'failed', next_attempt_at = ${until}::timestamptz, outcome = ${sentence}
    WHERE ${TURN} = ${turn} AND ${isWaiting(now)} AND e.status <> 'processing'`);
}

// How many waiting events are looked at for the oldest of each customer.
const LOOKED_AT = 5000;

/**
 * Events that wait: never begun, due again, or left behind by a process that died; the oldest one for each turn, since whoever does
 * it goes on with the others.
 * @returns ids, oldest first
 */
export async function listEventsToProcess(now: Date, limit: number): Promise<string[]> {
  const [waiting] = await inOneExchange<[{ id: string }]>(Prisma.sql`
    SELECT id FROM (
      SELECT DISTINCT ON (turn) id, received_at FROM (
        SELECT e.id, ${TURN} AS turn, e.received_at FROM stripe_events e WHERE ${isWaiting(now)} ORDER BY e.received_at LIMIT ${LOOKED_AT}
      ) waiting ORDER BY turn, received_at, id
    ) heads ORDER BY received_at, id LIMIT ${limit}`);
  return waiting.map(({ id }) => id);
}
