// Meters: usage is reported as events, read by the meter of their name, and summed up by customer and time.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Meter } from "../types";
import type { MeterReading, World } from "../world";

const HOUR = 3600;
const DAY = 24 * HOUR;
/** How far back an event may lie, and how far ahead. */
const OLDEST_SECONDS = 35 * DAY;
const NEWEST_SECONDS = 5 * 60;
/** How long an identifier counts as the same event, and how long an event can be canceled. */
const SAME_SECONDS = DAY;

/** The meter that reads events of a name. */
function activeMeter(world: World, eventName: string): Meter {
  const meter = world.meters.by("event_name", eventName).find(({ status }) => status === "active");
  if (meter) return meter;
  throw invalidRequest(
    `No active meter found for event name \`${eventName}\`.`,
    "event_name",
    "billing_meter_event_no_active_meter",
  );
}

function readPayload(world: World, meter: Meter, payload: Record<string, string>): { customer: string; value: number } {
  const customerKey = meter.customer_mapping.event_payload_key;
  const valueKey = meter.value_settings.event_payload_key;
  const customer = payload[customerKey];
  if (!customer || !world.customers.get(customer)) {
    throw invalidRequest(`No such customer: '${customer ?? ""}'`, `payload[${customerKey}]`, "resource_missing");
  }
  if (meter.default_aggregation.formula === "count") return { customer, value: 1 };
  const value = payload[valueKey];
  if (value === undefined || !/^-?\d+(\.\d+)?$/.test(value)) {
    throw invalidRequest(
      `The value under \`${valueKey}\` must be a number.`,
      `payload[${valueKey}]`,
      value === undefined ? "parameter_missing" : undefined,
    );
  }
  return { customer, value: Number(value) };
}

function checkTime(world: World, timestamp: number): void {
  const now = world.now();
  if (timestamp < now - OLDEST_SECONDS) {
    throw invalidRequest(
      "The timestamp must be within the past 35 calendar days.",
      "timestamp",
      "timestamp_too_far_in_past",
    );
  }
  if (timestamp > now + NEWEST_SECONDS) {
    throw invalidRequest(
      "The timestamp must not be more than 5 minutes in the future.",
      "timestamp",
      "timestamp_in_future",
    );
  }
}

/** Takes an event. One whose identifier came within the last day is refused. */
export function recordUsage(
  world: World,
  given: { event_name: string; payload: Record<string, string>; identifier?: string; timestamp?: number },
): MeterReading {
  const meter = activeMeter(world, given.event_name);
  const read = readPayload(world, meter, given.payload);
  return world.onClockOf(read.customer, () => {
    const now = world.now();
    const timestamp = given.timestamp ?? now;
    checkTime(world, timestamp);
    const identifier = given.identifier ?? newId("mtr_event");
    if (findReading(world, given.event_name, identifier)) {
      throw invalidRequest(
        `An event already exists with identifier ${identifier}.`,
        "identifier",
        "resource_already_exists",
      );
    }
    return world.meterReadings.put({
      id: newId("mtrev"),
      created: now,
      event_name: given.event_name,
      identifier,
      payload: given.payload,
      timestamp,
      ...read,
    });
  });
}

/** The event of an identifier, as long as identifiers are remembered. */
function findReading(world: World, eventName: string, identifier: string): MeterReading | undefined {
  return world.meterReadings
    .by("identifier", identifier)
    .find(
      (each) =>
        each.event_name === eventName &&
        world.onClockOf(each.customer, () => each.created > world.now() - SAME_SECONDS),
    );
}

/** Cancels an event, up to a day after it was taken. */
export function cancelUsage(world: World, eventName: string, identifier: string): void {
  activeMeter(world, eventName);
  const reading = findReading(world, eventName, identifier);
  if (!reading) {
    throw invalidRequest(
      `No event with identifier ${identifier} was received within the last 24 hours.`,
      "cancel[identifier]",
      "resource_missing",
    );
  }
  world.meterReadings.remove(reading.id);
}

/** What a meter shows for a customer from an instant on, up to but without another. */
export function usageOf(world: World, meter: Meter, customer: string, from: number, until: number): number {
  const readings = world.meterReadings
    .by("event_name", meter.event_name)
    .filter((each) => each.customer === customer && each.timestamp >= from && each.timestamp < until)
    .sort((a, b) => a.timestamp - b.timestamp);
  if (meter.default_aggregation.formula === "last") return readings.at(-1)?.value ?? 0;
  return readings.reduce((sum, { value }) => sum + value, 0);
}

export interface Window {
  from: number;
  until: number;
}

/** The windows of a span, newest first: hours or days in UTC, or the span as a whole. */
export function windowsOf(from: number, until: number, grouping: "day" | "hour" | undefined): Window[] {
  const step = grouping === "hour" ? HOUR : grouping === "day" ? DAY : until - from;
  const windows: Window[] = [];
  for (let start = from; start < until; start += step) windows.unshift({ from: start, until: start + step });
  return windows;
}
