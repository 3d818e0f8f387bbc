// What Stripe's dashboard does with endpoints and deliveries: roll a secret, hold back, send again.
import type { Deliverer } from "./delivery";
import { invalidRequest, missingResource } from "./errors";
import { newId } from "./ids";
import type { World } from "./world";

const DAY_SECONDS = 86_400;

/** How long Stripe lets an old secret sign at most, and here when nobody says otherwise. */
const MAX_OVERLAP_SECONDS = DAY_SECONDS;

export const ENDPOINT_ACTIONS = ["pause", "resume", "roll"] as const;
export type EndpointAction = (typeof ENDPOINT_ACTIONS)[number];

export function isEndpointAction(word: string): word is EndpointAction {
  return ENDPOINT_ACTIONS.some((action) => action === word);
}

/** A new secret for an endpoint. The old ones sign along for so many seconds of real time. */
export function rollSecret(world: World, id: string, overlapSeconds: unknown = MAX_OVERLAP_SECONDS) {
  const kept = world.endpointSecrets.get(id);
  if (!kept) throw missingResource("webhook_endpoint", id);
  if (typeof overlapSeconds !== "number" || overlapSeconds < 0 || overlapSeconds > MAX_OVERLAP_SECONDS) {
    throw invalidRequest(`\`expires_in\` must be seconds, from 0 to ${MAX_OVERLAP_SECONDS}`);
  }
  const now = Date.now();
  const until = now + overlapSeconds * 1000;
  const old = [{ secret: kept.secret, until }, ...(kept.old ?? [])].filter((each) => each.until > now);
  const secret = newId("whsec", 32);
  world.endpointSecrets.put({ ...kept, secret, old });
  return { id, secret, old_secret_expires_at: Math.ceil(until / 1000) };
}

/** Rolls an endpoint's secret, holds back what goes to it or lets that go. */
export function actOnEndpoint(
  { world, deliverer }: { world: World; deliverer: Deliverer },
  id: string,
  action: EndpointAction,
  given: Record<string, unknown> = {},
) {
  if (!world.endpoints.get(id)) throw missingResource("webhook_endpoint", id);
  if (action === "roll") return rollSecret(world, id, given.expires_in);
  deliverer.pauseEndpoint(id, action === "pause");
  return { id, paused: action === "pause" };
}

/** Sends an event again, to one endpoint or to all, at once and whatever faults are set. */
export function sendAgain(world: World, eventId: string, endpoint: string | null = null): string[] {
  const event = world.events.all.get(eventId);
  if (!event) throw missingResource("event", eventId);
  const endpoints = [...world.endpoints.values()].filter(({ id }) => endpoint === null || id === endpoint);
  if (endpoint !== null && endpoints.length === 0) throw missingResource("webhook_endpoint", endpoint);
  return endpoints.map(({ id }) => world.events.enqueue(event, id).id);
}
