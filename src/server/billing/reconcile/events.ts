// Events that never came: an endpoint was down for longer than Stripe tries, or was not there. They are taken as if delivered.
import { asPlatform } from "../../db";
import type { Stripe } from "../../stripe";
import { LISTENED_EVENTS } from "../../stripe/events";
import type { Context, Stage } from "./context";
import { pagesOf } from "./pace";

// As many as Stripe takes in one question.
const TYPES_A_CALL = 20;
const REACH_DAYS = 30;
// Younger ones that Stripe is still delivering are on their way.
const ON_THEIR_WAY_SECONDS = 60;

const TYPES = Object.keys(LISTENED_EVENTS).sort();
const CHUNKS = Array.from({ length: Math.ceil(TYPES.length / TYPES_A_CALL) }, (_, index) =>
  TYPES.slice(index * TYPES_A_CALL, (index + 1) * TYPES_A_CALL),
);

/** Those that Stripe says were not delivered, as far back as it keeps them. */
export const undeliveredEvents: Stage = (context, from) =>
  walk(context, from, { delivery_success: false, created: { gte: reach(context) } });

/** All that we listen to, since the window began: of those for an endpoint that was not there Stripe says nothing. */
export const recentEvents: Stage = (context, from) =>
  walk(context, from, { created: { gte: Math.max(context.createdSince().created.gte, reach(context)) } });

const reach = ({ now }: Context) => Math.floor(now.getTime() / 1000) - REACH_DAYS * 86_400;

async function* walk(
  context: Context,
  from: string | null,
  which: Stripe.EventListParams,
): AsyncGenerator<string | null> {
  const [first, after] = readPlace(from);
  for (const [index, types] of CHUNKS.entries()) {
    if (index < first) continue;
    const list = (page: object) => context.stripe.events.list({ ...page, ...which, types });
    for await (const events of pagesOf(context.pace, index === first ? after : null, list)) {
      await takeMissing(context, events);
      yield `${index} ${events.at(-1)?.id}`;
    }
  }
}

function readPlace(from: string | null): [chunk: number, after: string | null] {
  const [index, after] = from?.split(" ") ?? [];
  return [Number(index ?? 0), after ?? null];
}

async function takeMissing(context: Context, events: readonly Stripe.Event[]): Promise<void> {
  context.count(events.length);
  const ids = events.map(({ id }) => id);
  const known = await asPlatform((tx) => tx.stripeEvent.findMany({ where: { id: { in: ids } }, select: { id: true } }));
  const isKnown = new Set(known.map(({ id }) => id));
  const newest = Math.floor(context.now.getTime() / 1000) - ON_THEIR_WAY_SECONDS;
  // The older first, as they would have come.
  for (const event of [...events].reverse()) {
    if (isKnown.has(event.id) || (event.pending_webhooks > 0 && event.created > newest)) continue;
    if (context.isRepairing) await context.door.take(event, context.now);
    await context.find({
      organizationId: null,
      kind: "event",
      subject: event.id,
      message: `${event.type} of ${new Date(event.created * 1000).toISOString()} was never received`,
      repaired: context.isRepairing,
    });
  }
}
