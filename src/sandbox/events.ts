// The event bus: one event for each change, with the snapshot that was true then, and a delivery for each endpoint
// that asked for it.
import { previousAttributes } from "./changes";
import type { Clock } from "./clock";
import { newId } from "./ids";
import type { Collection, Store } from "./store";
import type { AnyObject, StoredEvent, WebhookEndpoint } from "./types";
import { API_VERSION } from "./vocabulary";

/** How far back Stripe tells of what happened. */
const REACH_SECONDS = 30 * 86_400;

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
  /** The latest attempts, oldest first. */
  log: DeliveryAttempt[];
}

/** One attempt to hand an event over, and what came back. `at` is real time in ms. */
export interface DeliveryAttempt {
  at: number;
  /** Null: there was no answer. */
  status: number | null;
  /** The beginning of the answer, or why there was none. */
  answer: string;
  tookMs: number;
}

/** The request in hand, as events name it. */
export interface RequestInfo {
  id: string | null;
  idempotency_key: string | null;
}

type View = (object: AnyObject) => Record<string, unknown>;

export class Events {
  readonly all: Collection<StoredEvent>;
  readonly deliveries: Collection<Delivery>;
  /** Events that happened on a clock which lags behind, by the instant at which the account learned of them. */
  private readonly arrivals: Collection<{ id: string; at: number }>;
  request: RequestInfo | null = null;
  /** How long each delivery of an event waits, in ms; more than one entry: it is made more than once. */
  delaysOf: (event: string, endpoint: string) => number[] = () => [0];
  /** Told after each event that someone waits for. */
  onPending: () => void = () => {};

  constructor(
    store: Store,
    private readonly clock: Clock,
    private readonly endpoints: Collection<WebhookEndpoint>,
    private readonly view: View,
  ) {
    this.all = store.collection<StoredEvent>("events");
    this.arrivals = store.collection("event_arrivals");
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
    const arrived = this.clock.global();
    if (arrived > event.created) this.arrivals.put({ id: event.id, at: arrived });
    for (const { id } of listeners) {
      for (const delay of this.delaysOf(event.id, id)) this.enqueue(event, id, delay);
    }
  }

  /** Puts an event on its way to an endpoint, whether it went there before or not. */
  enqueue(event: StoredEvent, endpoint: string, delayMs = 0): Delivery {
    const delivery = this.deliveries.put({
      id: newId("whd"),
      created: event.created,
      event: event.id,
      endpoint,
      state: "pending",
      attempts: 0,
      nextAt: Date.now() + delayMs,
      lastStatus: null,
      lastError: null,
      lastAttemptAt: null,
      log: [],
    });
    this.onPending();
    return delivery;
  }

  /** Whether Stripe would still tell of it: it is no older than thirty days. */
  isInReach(event: StoredEvent): boolean {
    const at = this.arrivals.get(event.id)?.at ?? event.created;
    return at >= this.clock.global() - REACH_SECONDS;
  }

  /** The number of endpoints that have not yet taken the event. */
  pendingOf(eventId: string): number {
    const endpoints = new Map<string, boolean>();
    for (const { endpoint, state } of this.deliveries.each("event", eventId)) {
      endpoints.set(endpoint, endpoints.get(endpoint) || state === "delivered");
    }
    return [...endpoints.values()].filter((taken) => !taken).length;
  }
}
