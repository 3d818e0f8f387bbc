// /v1/billing/meters, with the events that they read.
import { cancelUsage, recordUsage, usageOf, windowsOf } from "../engine/meters";
import { invalidRequest } from "../errors";
import { page, pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { Meter } from "../types";
import type { World } from "../world";
import { find } from "./find";

const MINUTE = 60;
const WINDOW_SECONDS = { hour: 3600, day: 86_400 };
const key = p.string({ max: 100 });

function createMeter(
  world: World,
  given: {
    default_aggregation: { formula: "count" | "last" | "sum" };
    display_name: string;
    event_name: string;
    customer_mapping?: { event_payload_key: string; type: "by_id" };
    event_time_window?: "day" | "hour";
    value_settings?: { event_payload_key: string };
  },
): Meter {
  checkEventName(world, given.event_name);
  const now = world.now();
  const meter = world.meters.put({
    id: newId("mtr_test"),
    object: "billing.meter",
    created: now,
    customer_mapping: given.customer_mapping ?? { event_payload_key: "stripe_customer_id", type: "by_id" },
    default_aggregation: given.default_aggregation,
    display_name: given.display_name,
    event_name: given.event_name,
    event_time_window: given.event_time_window ?? null,
    livemode: false,
    status: "active",
    status_transitions: { deactivated_at: null },
    updated: now,
    value_settings: given.value_settings ?? { event_payload_key: "value" },
  } satisfies Meter);
  world.events.emit("billing.meter.created", meter);
  return meter;
}

function checkEventName(world: World, eventName: string): void {
  if (!world.meters.by("event_name", eventName).some(({ status }) => status === "active")) return;
  throw invalidRequest(
    `A meter with event name \`${eventName}\` already exists.`,
    "event_name",
    "resource_already_exists",
  );
}

/** Turns a meter off or on again. */
function switchMeter(world: World, id: string, status: "active" | "inactive"): Meter {
  const meter = find(world.meters, "billing meter", id);
  if (meter.status === status) throw invalidRequest(`This meter is already ${status}.`);
  if (status === "active") checkEventName(world, meter.event_name);
  const now = world.now();
  return world.change(
    world.meters,
    id,
    { status, updated: now, status_transitions: { deactivated_at: status === "inactive" ? now : null } },
    status === "inactive" ? "billing.meter.deactivated" : "billing.meter.reactivated",
  );
}

function checkSpan(from: number, until: number, grouping: "day" | "hour" | undefined): void {
  if (until <= from) throw invalidRequest("`end_time` must be after `start_time`.", "end_time");
  const unit = grouping ? WINDOW_SECONDS[grouping] : MINUTE;
  for (const [param, at] of Object.entries({ start_time: from, end_time: until })) {
    if (at % unit === 0) continue;
    throw invalidRequest(`\`${param}\` must align with ${grouping ? `${grouping}` : "minute"} boundaries.`, param);
  }
}

export const meters: Route[] = [
  route(
    "POST",
    "/v1/billing/meters",
    {
      customer_mapping: p.object({ event_payload_key: p.required(key), type: p.required(p.oneOf("by_id")) }),
      default_aggregation: p.required(p.object({ formula: p.required(p.oneOf("count", "last", "sum")) })),
      display_name: p.required(p.string({ max: 250 })),
      event_name: p.required(p.string({ max: 100 })),
      event_time_window: p.oneOf("day", "hour"),
      value_settings: p.object({ event_payload_key: p.required(key) }),
    },
    createMeter,
  ),
  route("GET", "/v1/billing/meters/:id", {}, (world, _, [id]) => find(world.meters, "billing meter", id)),
  route("POST", "/v1/billing/meters/:id", { display_name: p.string({ max: 250 }) }, (world, given, [id]) => {
    find(world.meters, "billing meter", id);
    if (!given.display_name) return find(world.meters, "billing meter", id);
    const changes = { display_name: given.display_name, updated: world.now() };
    return world.change(world.meters, id, changes, "billing.meter.updated");
  }),
  route("POST", "/v1/billing/meters/:id/deactivate", {}, (world, _, [id]) => switchMeter(world, id, "inactive")),
  route("POST", "/v1/billing/meters/:id/reactivate", {}, (world, _, [id]) => switchMeter(world, id, "active")),
  route("GET", "/v1/billing/meters", { ...p.pagination, status: p.oneOf("active", "inactive") }, (world, given) => {
    const found = [...world.meters.values()].filter(({ status }) => !given.status || status === given.status);
    return page(found, "/v1/billing/meters", "billing meter", given);
  }),
  route(
    "GET",
    "/v1/billing/meters/:id/event_summaries",
    {
      ...p.pagination,
      customer: p.required(p.string()),
      end_time: p.required(p.integer()),
      start_time: p.required(p.integer()),
      value_grouping_window: p.oneOf("day", "hour"),
    },
    (world, given, [id]) => {
      const meter = find(world.meters, "billing meter", id);
      find(world.customers, "customer", given.customer, "customer");
      const { start_time: from, end_time: until, value_grouping_window: grouping } = given;
      checkSpan(from, until, grouping);
      const summaries = windowsOf(from, until, grouping).map((window) => ({
        id: `mtrusg_test_${meter.id.slice(-8)}${given.customer.slice(-8)}${window.from}${window.until}`,
        object: "billing.meter_event_summary" as const,
        aggregated_value: usageOf(world, meter, given.customer, window.from, window.until),
        end_time: window.until,
        livemode: false,
        meter: meter.id,
        start_time: window.from,
      }));
      return pageInOrder(summaries, `/v1/billing/meters/${id}/event_summaries`, "meter event summary", given);
    },
  ),
  route(
    "POST",
    "/v1/billing/meter_events",
    {
      event_name: p.required(p.string({ max: 100 })),
      identifier: p.string({ max: 100 }),
      payload: p.required(p.dictionary(p.string({ max: 100 }))),
      timestamp: p.integer(),
    },
    (world, given) => {
      const { id: _, customer: __, value: ___, ...event } = recordUsage(world, given);
      return { object: "billing.meter_event", livemode: false, ...event };
    },
  ),
  route(
    "POST",
    "/v1/billing/meter_event_adjustments",
    {
      cancel: p.required(p.object({ identifier: p.required(p.string({ max: 100 })) })),
      event_name: p.required(p.string({ max: 100 })),
      type: p.required(p.oneOf("cancel")),
    },
    (world, { cancel, event_name, type }) => {
      cancelUsage(world, event_name, cancel.identifier);
      return {
        object: "billing.meter_event_adjustment",
        cancel: { identifier: cancel.identifier },
        event_name,
        livemode: false,
        status: "complete",
        type,
      };
    },
  ),
];
