// The event bus: one event for each change, with the snapshot that was true then, and a delivery for each endpoint
// that asked for it.
import type { Clock } from "./clock";
import { newId } from "./ids";
import type { Collection, Store } from "./store";
import type { AnyObject, StoredEvent, WebhookEndpoint } from "./types";

export const API_VERSION = "2026-10-28.endive";

/** One event on its way to one endpoint. `nextAt` is real time in ms: deliveries do not follow the sandbox's clock. */
export interface Delivery {
  id: string;
  created: number;
  event: string;
  endpoint: string;
  state: "pending" | "delivered" | "failed";
  attempts: number;
  nextAt: number;
  lastStatus: number | null;
  lastError: string | null;
  lastAttemptAt: number | null;
}

/** The request in hand, as events name it. */
export interface RequestInfo {
  id: string | null;
  idempotency_key: string | null;
}

type View = (object: AnyObject) => Record<string, unknown>;

function previousAttributes(before: Record<string, unknown>, after: Record<string, unknown>): Record<string, unknown> {
  const previous: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[key], after[key]];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    // Stripe names only the keys of metadata (and of other plain objects) that changed.
    previous[key] = isPlain(was) && isPlain(is) && !("object" in was) ? previousAttributes(was, is) : (was ?? null);
  }
  return previous;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export class Events {
  readonly all: Collection<StoredEvent>;
  readonly deliveries: Collection<Delivery>;
  request: RequestInfo | null = null;
  /** Told after each event that someone waits for. */
  onPending: () => void = () => {};

  constructor(
    store: Store,
    private readonly clock: Clock,
    private readonly endpoints: Collection<WebhookEndpoint>,
    private readonly view: View,
  ) {
    this.all = store.collection<StoredEvent>("events");
    this.deliveries = store.collection<Delivery>("deliveries", {
      event: (delivery) => delivery.event,
      endpoint: (delivery) => delivery.endpoint,
      state: (delivery) => delivery.state,
    });
  }

  /** The object as it would be served now: taken before a change, to tell afterwards what changed. */
  snapshot(object: AnyObject): Record<string, unknown> {
    return structuredClone(this.view(object));
  }

  /** Tells of a change. With `before`, what changed is named; nothing changed means no event. */
  emit(type: StoredEvent["type"], object: AnyObject, before?: Record<string, unknown>): void {
    const after = this.snapshot(object);
    const previous = before && previousAttributes(before, after);
    if (previous && Object.keys(previous).length === 0) return;
    const listeners = [...this.endpoints.values()].filter(
      ({ status, enabled_events }) =>
        status === "enabled" && (enabled_events.includes("*") || enabled_events.includes(type)),
    );
    const event = this.all.put({
      id: newId("evt"),
      object: "event",
      api_version: API_VERSION,
      created: this.clock.now(),
      data: { object: after, ...(previous && { previous_attributes: previous }) },
      livemode: false,
      pending_webhooks: listeners.length,
      request: this.request ?? { id: null, idempotency_key: null },
      type,
    });
    for (const { id } of listeners) this.enqueue(event, id);
  }

  /** Puts an event on its way to an endpoint, whether it went there before or not. */
  enqueue(event: StoredEvent, endpoint: string): Delivery {
    const delivery = this.deliveries.put({
      id: newId("whd"),
      created: event.created,
      event: event.id,
      endpoint,
      state: "pending",
      attempts: 0,
      nextAt: Date.now(),
      lastStatus: null,
      lastError: null,
      lastAttemptAt: null,
    });
    this.onPending();
    return delivery;
  }

  /** The number of endpoints that have not yet taken the event. */
  pendingOf(eventId: string): number {
    return this.deliveries.by("event", eventId).filter(({ state }) => state !== "delivered").length;
  }
}
