// /v1/events
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { StoredEvent } from "../types";
import type { World } from "../world";
import { find } from "./find";

function served(world: World, event: StoredEvent): StoredEvent {
  return { ...event, pending_webhooks: world.events.pendingOf(event.id) };
}

/** `customer.*` and exact names. */
function matches(type: string, wanted: string): boolean {
  return wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

export const events: Route[] = [
  route("GET", "/v1/events/:id", {}, (world, _, [id]) => served(world, find(world.events.all, "event", id))),
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
      const wanted = given.type ? [given.type] : given.types;
      const found = [...world.events.all.values()].filter(
        (event) =>
          (!given.created || p.inRange(event.created, given.created)) &&
          (!wanted || wanted.some((name) => matches(event.type, name))) &&
          (given.delivery_success === undefined || given.delivery_success === (world.events.pendingOf(event.id) === 0)),
      );
      const listed = page(found, "/v1/events", "event", given);
      return { ...listed, data: listed.data.map((event) => served(world, event)) };
    },
  ),
];
