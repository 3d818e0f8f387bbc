// /v1/webhook_endpoints
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { WebhookEndpoint } from "../types";
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

export const webhookEndpoints: Route[] = [
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
];
