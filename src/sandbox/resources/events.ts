// /v1/events: what happened in the last thirty days.
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { StoredEvent } from "../types";
import type { World } from "../world";
import { find } from "./find";

function served(world: World, event: StoredEvent): StoredEvent {
  return { ...event, pending_webhooks: world.events.pendingOf(event.id) };
}

/** `customer.*` and exact names. A wildcard stands at the end, for a whole group. */
function matches(type: string, wanted: string): boolean {
  return wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

export const events: Route[] = [
  route("GET", "/v1/events/:id", {}, (world, _, [id]) => {
    const event = find(world.events.all, "event", id);
    // Stripe knows an older one no longer: the same answer as for an id that never was.
    if (!world.events.isInReach(event)) throw missingResource("event", id);
    return served(world, event);
  }),
  route(
    "GET",
    "/v1/events",
    {
      ...p.pagination,
      created: p.range(),
      delivery_success: p.boolean(),
      type: p.string(),
      types: p.list(p.string(), { max: 20 }),
    },
    (world, given) => {
      if (given.type && given.types) {
        throw invalidRequest(
          "You may only specify one of these parameters: type, types.",
          "type",
          "parameters_exclusive",
        );
      }
      const { type, types, created, delivery_success: success } = given;
      const cursor = given.starting_after ?? given.ending_before;
      const found = [...world.events.all.values()].filter((event) => {
        if (!world.events.isInReach(event)) return false;
        // A cursor may point at an event that the other conditions leave out: it is never on the page itself.
        if (event.id === cursor) return true;
        if (created && !p.inRange(event.created, created)) return false;
        if (type && !matches(event.type, type)) return false;
        if (types && !types.includes(event.type)) return false;
        return success === undefined || success === (world.events.pendingOf(event.id) === 0);
      });
      const listed = page(found, "/v1/events", "event", given);
      return { ...listed, data: listed.data.map((event) => served(world, event)) };
    },
  ),
];
