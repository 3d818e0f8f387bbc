// Sends events to webhook endpoints: signed, a few at a time, again and again until they are taken.
import { createHmac } from "node:crypto";
import type { Delivery } from "./events";
import type { World } from "./world";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const TIMEOUT_MS = 10 * SECOND;
const MAX_AT_ONCE = 8;
const MAX_AGE_MS = 3 * 24 * HOUR;
/** Waits between attempts; the last one repeats until three days are over. Short at first: someone is watching. */
const BACKOFF_MS = [SECOND, 3 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR];

/** The `Stripe-Signature` header of a body sent at an instant (unix seconds). */
export function signature(secret: string, body: string, at: number): string {
  return `t=${at},v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}`;
}

export class Deliverer {
  private readonly inFlight = new Map<string, Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  private closed = false;
  private readonly abort = new AbortController();

  constructor(private readonly world: World) {
    // Sent after the unit of work that made the event, never inside it.
    world.events.onPending = () => this.wake(0);
    this.wake(0);
  }

  get paused(): boolean {
    return this.world.settings.get("webhooks.paused")?.value === true;
  }

  /** Holds deliveries back, or lets them go. */
  pause(paused: boolean): void {
    this.world.settings.put({ id: "webhooks.paused", value: paused });
    this.wake(0);
  }

  /** Waits until nothing is being sent; stops sending. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.timer) clearTimeout(this.timer);
    this.abort.abort();
    await Promise.allSettled(this.inFlight.values());
  }

  private wake(afterMs: number): void {
    if (this.closed) return;
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pump(), afterMs);
  }

  private pump(): void {
    if (this.closed || this.paused) return;
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const delivery of this.world.events.deliveries.each("state", "pending")) {
      if (this.inFlight.has(delivery.id)) continue;
      if (delivery.nextAt > now) {
        next = Math.min(next, delivery.nextAt);
        continue;
      }
      // Whoever finishes wakes the pump again.
      if (this.inFlight.size >= MAX_AT_ONCE) return;
      const sending = this.send(delivery).finally(() => {
        this.inFlight.delete(delivery.id);
        this.wake(0);
      });
      this.inFlight.set(delivery.id, sending);
    }
    if (next !== Number.POSITIVE_INFINITY) this.wake(Math.max(10, next - now));
  }

  private async send(delivery: Delivery): Promise<void> {
    const event = this.world.events.all.get(delivery.event);
    const endpoint = this.world.endpoints.get(delivery.endpoint);
    const secret = this.world.endpointSecrets.get(delivery.endpoint)?.secret;
    if (!event || !endpoint || !secret) {
      this.world.events.deliveries.remove(delivery.id);
      return;
    }
    const payload = {
      ...event,
      api_version: endpoint.api_version ?? event.api_version,
      pending_webhooks: this.world.events.pendingOf(event.id),
    };
    const body = JSON.stringify(payload, null, 2);
    let status: number | null = null;
    let failure: string | null = null;
    try {
      const response = await fetch(endpoint.url, {
        method: "POST",
        body,
        redirect: "manual",
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.abort.signal]),
        headers: {
          "content-type": "application/json; charset=utf-8",
          "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
          "stripe-signature": signature(secret, body, Math.floor(Date.now() / 1000)),
        },
      });
      status = response.status;
      await response.body?.cancel();
    } catch (error) {
      failure = error instanceof Error ? describe(error) : String(error);
    }
    // Stopped in the middle: it stays due and is sent again after the restart.
    if (this.closed && status === null) return;
    this.record(delivery.id, status, failure);
  }

  private record(id: string, status: number | null, failure: string | null): void {
    const delivery = this.world.events.deliveries.get(id);
    if (!delivery) return;
    const now = Date.now();
    const delivered = status !== null && status >= 200 && status < 300;
    const attempts = delivery.attempts + 1;
    const wait = BACKOFF_MS[attempts - 1] ?? BACKOFF_MS[BACKOFF_MS.length - 1] ?? HOUR;
    const waited = BACKOFF_MS.slice(0, attempts).reduce((sum, each) => sum + each, 0);
    const beyond = Math.max(0, attempts - BACKOFF_MS.length) * 6 * HOUR;
    const givesUp = !delivered && waited + beyond > MAX_AGE_MS;
    this.world.events.deliveries.patch(id, {
      attempts,
      state: delivered ? "delivered" : givesUp ? "failed" : "pending",
      nextAt: now + wait,
      lastStatus: status,
      lastError: delivered ? null : (failure ?? `HTTP ${status}`),
      lastAttemptAt: now,
    });
  }
}

function describe(error: Error): string {
  if (error.name === "TimeoutError") return "no answer within 10 seconds";
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return cause || error.message;
}
