// Sends events to webhook endpoints: signed, a few at a time, again and again until they are taken.
import { createHmac } from "node:crypto";
import type { Delivery, DeliveryAttempt } from "./events";
import { isLoopback } from "./loopback";
import { eventOfVersion } from "./versions";
import type { EndpointSecret, World } from "./world";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const TIMEOUT_MS = 10 * SECOND;
const MAX_AT_ONCE = 8;
const MAX_AGE_MS = 3 * 24 * HOUR;
/** Waits between attempts; the last one repeats until three days are over. Short at first: someone is watching. */
const BACKOFF_MS = [SECOND, 3 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR];

/** How many attempts of a delivery are remembered, and how much of each answer. */
const MAX_LOG = 20;
const MAX_ANSWER = 2000;

/** The `Stripe-Signature` header of a body sent at an instant (unix seconds): a `v1` for each secret that still signs. */
export function signature(secrets: string[], body: string, at: number): string {
  const each = secrets.map((secret) => `v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}`);
  return [`t=${at}`, ...each].join(",");
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

  /** Holds back what goes to one endpoint, or lets it go. */
  pauseEndpoint(id: string, paused: boolean): void {
    this.world.endpointSecrets.patch(id, { paused });
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
      if (this.inFlight.has(delivery.id) || this.world.endpointSecrets.get(delivery.endpoint)?.paused) continue;
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
    const { world } = this;
    const event = world.events.all.get(delivery.event);
    const endpoint = world.endpoints.get(delivery.endpoint);
    const kept = world.endpointSecrets.get(delivery.endpoint);
    if (!event || !endpoint || !kept) {
      world.events.deliveries.remove(delivery.id);
      return;
    }
    const at = Date.now();
    const end = (status: number | null, answer: string, last = false) =>
      this.record(delivery.id, { at, status, answer, tookMs: Date.now() - at }, last);
    if (endpoint.status !== "enabled") return end(null, "the endpoint is disabled", true);
    if (!isLoopback(endpoint.url)) return end(null, "the sandbox sends nothing beyond this machine", true);
    const fault = world.faults.ofAttempt(event.id, endpoint.id, delivery.attempts);
    if (fault === "loss") return end(null, "lost on its way (a fault that was asked for)");
    const payload = {
      ...eventOfVersion(world, event, endpoint.api_version ?? event.api_version),
      pending_webhooks: world.events.pendingOf(event.id),
    };
    const answered = await this.post(endpoint.url, JSON.stringify(payload, null, 2), secretsOf(kept, at));
    // Stopped in the middle: it stays due and is sent again after the restart.
    if (this.closed && answered.status === null) return;
    if (fault === "unanswered") return end(null, "the answer was lost (a fault that was asked for)");
    end(answered.status, answered.answer);
  }

  private async post(url: string, body: string, secrets: string[]): Promise<{ status: number | null; answer: string }> {
    try {
      const response = await fetch(url, {
        method: "POST",
        body,
        redirect: "manual",
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), this.abort.signal]),
        headers: {
          "content-type": "application/json; charset=utf-8",
          "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
          "stripe-signature": signature(secrets, body, Math.floor(Date.now() / 1000)),
        },
      });
      return { status: response.status, answer: await beginningOf(response) };
    } catch (error) {
      return { status: null, answer: error instanceof Error ? describe(error) : String(error) };
    }
  }

  /** Writes an attempt down and plans the next. `last`: there is no use in another. */
  private record(id: string, attempt: DeliveryAttempt, last: boolean): void {
    const delivery = this.world.events.deliveries.get(id);
    if (!delivery) return;
    const { status } = attempt;
    const delivered = status !== null && status >= 200 && status < 300;
    const attempts = delivery.attempts + 1;
    const wait = BACKOFF_MS[attempts - 1] ?? BACKOFF_MS[BACKOFF_MS.length - 1] ?? HOUR;
    const waited = BACKOFF_MS.slice(0, attempts).reduce((sum, each) => sum + each, 0);
    const beyond = Math.max(0, attempts - BACKOFF_MS.length) * 6 * HOUR;
    const givesUp = !delivered && (last || waited + beyond > MAX_AGE_MS);
    const now = Date.now();
    this.world.events.deliveries.patch(id, {
      attempts,
      state: delivered ? "delivered" : givesUp ? "failed" : "pending",
      nextAt: now + wait,
      lastStatus: status,
      lastError: delivered ? null : status === null ? attempt.answer : `HTTP ${status}`,
      lastAttemptAt: now,
      log: [...(delivery.log ?? []), attempt].slice(-MAX_LOG),
    });
  }
}

/** The secrets that sign at an instant (ms), the newest first. */
function secretsOf({ secret, old = [] }: EndpointSecret, at: number): string[] {
  return [secret, ...old.filter(({ until }) => until > at).map((each) => each.secret)];
}

async function beginningOf(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER) break;
  }
  return text.slice(0, MAX_ANSWER);
}

function describe(error: Error): string {
  if (error.name === "TimeoutError") return "no answer within 10 seconds";
  const cause = error.cause instanceof Error ? error.cause.message : "";
  return cause || error.message;
}
