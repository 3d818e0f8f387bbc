// /v1/webhook_endpoints and /v1/events
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { StoredEvent, WebhookEndpoint } from "../types";
import type { World } from "../world";
import { find } from "./find";

const enabledEvents = p.list(p.string(), { max: 500 });

function checkEvents(events: string[]): void {
  for (const [position, event] of events.entries()) {
    if (event === "*" || /^[a-z0-9_]+(\.[a-z0-9_]+)+$/.test(event)) continue;
    throw invalidRequest(
      `Invalid enabled_events[${position}]: ${event} is not an event.`,
      `enabled_events[${position}]`,
    );
  }
}

function served(world: World, event: StoredEvent): StoredEvent {
  return { ...event, pending_webhooks: world.events.pendingOf(event.id) };
}

/** `customer.*` and exact names. */
function matches(type: string, wanted: string): boolean {
  return wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

export const webhooks: Route[] = [
  route(
    "POST",
    "/v1/webhook_endpoints",
    {
      url: p.required(p.url()),
      enabled_events: p.required(enabledEvents),
      api_version: p.string(),
      connect: p.accepted(),
      description: p.emptyable(p.string()),
      metadata: p.metadata(),
    },
    (world, given) => {
      checkEvents(given.enabled_events);
      const endpoint = world.endpoints.put({
        id: newId("we"),
        object: "webhook_endpoint",
        api_version: given.api_version ?? null,
        application: null,
        created: world.now(),
        description: given.description ?? null,
        enabled_events: given.enabled_events,
        livemode: false,
        metadata: p.mergeMetadata(null, given.metadata),
        status: "enabled",
        url: given.url,
      } satisfies WebhookEndpoint);
      const secret = newId("whsec", 32);
      world.endpointSecrets.put({ id: endpoint.id, secret });
      // Shown here and never again.
      return { ...endpoint, secret };
    },
  ),
  route("GET", "/v1/webhook_endpoints/:id", {}, (world, _, [id]) => find(world.endpoints, "webhook_endpoint", id)),
  route(
    "POST",
    "/v1/webhook_endpoints/:id",
    {
      url: p.url(),
      enabled_events: enabledEvents,
      disabled: p.boolean(),
      description: p.emptyable(p.string()),
      metadata: p.metadata(),
    },
    (world, { disabled, metadata, ...given }, [id]) => {
      const endpoint = find(world.endpoints, "webhook_endpoint", id);
      checkEvents(given.enabled_events ?? []);
      return world.endpoints.patch(id, {
        ...given,
        ...(disabled !== undefined && { status: disabled ? "disabled" : "enabled" }),
        metadata: p.mergeMetadata(endpoint.metadata, metadata),
      });
    },
  ),
  route("DELETE", "/v1/webhook_endpoints/:id", {}, (world, _, [id]) => {
    find(world.endpoints, "webhook_endpoint", id);
    for (const delivery of world.events.deliveries.by("endpoint", id)) {
      if (delivery.state === "pending") world.events.deliveries.remove(delivery.id);
    }
    world.endpoints.remove(id);
    world.endpointSecrets.remove(id);
    return { id, object: "webhook_endpoint", deleted: true as const };
  }),
  route("GET", "/v1/webhook_endpoints", p.pagination, (world, given) =>
    page(world.endpoints.values(), "/v1/webhook_endpoints", "webhook_endpoint", given),
  ),
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
