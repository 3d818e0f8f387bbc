// /v1/webhook_endpoints
import { invalidParameter, invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import { isLoopback } from "../loopback";
import * as p from "../params";
import type { WebhookEndpoint } from "../types";
import { isApiVersion, isEventType } from "../vocabulary";
import { find } from "./find";

/** As many as an account may have in test mode. */
const MAX_ENDPOINTS = 16;

const enabledEvents = p.list(eventName(), { max: 500 });

function eventName(): p.Spec<string> {
  return {
    parse(raw, path) {
      const name = p.string().parse(raw, path);
      if (name === "*" || isEventType(name)) return name;
      throw invalidParameter(`Invalid ${path}: ${name} is not a type of event.`, path);
    },
  };
}

function apiVersion(): p.Spec<string> {
  return {
    parse(raw, path) {
      const version = p.string().parse(raw, path);
      if (isApiVersion(version)) return version;
      throw invalidParameter(`Invalid Stripe API version: ${version}`, path);
    },
  };
}

function address(): p.Spec<string> {
  return {
    parse(raw, path) {
      const url = p.url().parse(raw, path);
      if (new URL(url).protocol === "https:" || isLoopback(url)) return url;
      throw invalidParameter("Invalid URL: URL must be HTTPS, or on this machine.", path, "url_invalid");
    },
  };
}

export const webhookEndpoints: Route[] = [
  route(
    "POST",
    "/v1/webhook_endpoints",
    {
      url: p.required(address()),
      enabled_events: p.required(enabledEvents),
      api_version: apiVersion(),
      connect: p.accepted(),
      description: p.emptyable(p.string()),
      metadata: p.metadata(),
    },
    (world, given) => {
      if (world.endpoints.size >= MAX_ENDPOINTS) {
        throw invalidRequest(`You have reached the maximum of ${MAX_ENDPOINTS} test webhook endpoints.`);
      }
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
      url: address(),
      enabled_events: enabledEvents,
      disabled: p.boolean(),
      description: p.emptyable(p.string()),
      metadata: p.metadata(),
    },
    (world, { disabled, metadata, ...given }, [id]) => {
      const endpoint = find(world.endpoints, "webhook_endpoint", id);
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
