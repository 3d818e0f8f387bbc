// Failures on request: what of the API's answers is lost, refused or bent, and what happens to webhooks on their way.
// A seed decides every case, so the same requests meet the same failures again. Nothing of it survives a restart.
import { createHash } from "node:crypto";
import { invalidRequest } from "./errors";

export const API_FAULTS = [
  "429",
  "lock_timeout",
  "500",
  "404_without_error",
  "500_without_error",
  "html",
  "truncated",
  "reset",
  "timeout",
  "slow",
] as const;
export type ApiFaultKind = (typeof API_FAULTS)[number];

export interface ApiFault {
  /** `POST /v1/subscriptions*`; without a method, any. A `*` stands for any text. */
  match: string;
  kind: ApiFaultKind;
  /** The share of the matching requests that it meets, 0 to 1. */
  share: number;
  /** At most so many times; null: without end. */
  count: number | null;
  /** How long `slow` waits, and after how long a `timeout` is cut off. */
  ms: number;
  /** `after`: the work is done, and then its answer is lost. */
  when: "before" | "after";
  /** The 500 is kept under the request's idempotency key, as Stripe keeps those of its own. */
  kept: boolean;
  matched: number;
  met: number;
}

export interface WebhookFaults {
  /** Share of the deliveries that are made twice. */
  copies: number;
  /** Share of the attempts that never arrive. */
  loss: number;
  /** Share of the attempts that arrive, and whose answer never comes back. */
  unanswered: number;
  /** Share of the deliveries that wait for a second, so that later ones overtake them. */
  reorder: number;
  /** How long each delivery waits, from and to. */
  delayMs: [number, number];
}

const NO_WEBHOOK_FAULTS: WebhookFaults = { copies: 0, loss: 0, unanswered: 0, reorder: 0, delayMs: [0, 0] };
const OVERTAKEN_AFTER_MS = 1000;
const DEFAULT_MS = { slow: 3000, timeout: 120_000 };

type Given = Record<string, unknown>;

function refuseUnknown(given: Given, known: string[], where: string): void {
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalidRequest(`There is no \`${unknown}\` in ${where}`);
}

function numberOf(given: Given, key: string, fallback: number, max: number): number {
  const value = given[key] ?? fallback;
  if (typeof value === "number" && value >= 0 && value <= max) return value;
  throw invalidRequest(`\`${key}\` must be a number from 0 to ${max}`);
}

function isGiven(value: unknown): value is Given {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readApiFault(given: unknown): ApiFault {
  if (!isGiven(given)) throw invalidRequest("`api` must be a list of objects");
  refuseUnknown(given, ["match", "kind", "share", "count", "ms", "when", "kept"], "`api`");
  const kind = API_FAULTS.find((word) => word === given.kind);
  if (!kind) throw invalidRequest(`\`kind\` must be one of ${API_FAULTS.join(", ")}`);
  const { match = "*", count = null, when, kept = false } = given;
  if (typeof match !== "string" || match === "") throw invalidRequest("`match` must be text such as POST /v1/refunds*");
  if (count !== null && !(Number.isSafeInteger(count) && Number(count) > 0)) {
    throw invalidRequest("`count` must be a whole number above 0");
  }
  if (when !== undefined && when !== "before" && when !== "after") {
    throw invalidRequest("`when` must be before or after");
  }
  if (typeof kept !== "boolean" || (kept && (kind !== "500" || when === "after"))) {
    throw invalidRequest("`kept` is true or false, and only a 500 before the work can be kept");
  }
  return {
    match,
    kind,
    share: numberOf(given, "share", 1, 1),
    count: count === null ? null : Number(count),
    ms: numberOf(given, "ms", kind === "timeout" ? DEFAULT_MS.timeout : DEFAULT_MS.slow, 600_000),
    // Without the work there is nothing to be late with, or to break off.
    when: when ?? (kind === "slow" || kind === "truncated" ? "after" : "before"),
    kept,
    matched: 0,
    met: 0,
  };
}

function readWebhookFaults(given: unknown): WebhookFaults {
  if (!isGiven(given)) throw invalidRequest("`webhooks` must be an object");
  refuseUnknown(given, Object.keys(NO_WEBHOOK_FAULTS), "`webhooks`");
  const { delayMs = [0, 0] } = given;
  const [from, to] = Array.isArray(delayMs) ? (delayMs as unknown[]) : [];
  if (typeof from !== "number" || typeof to !== "number" || from < 0 || to < from) {
    throw invalidRequest("`delayMs` must be [from, to] in milliseconds");
  }
  return {
    copies: numberOf(given, "copies", 0, 1),
    loss: numberOf(given, "loss", 0, 1),
    unanswered: numberOf(given, "unanswered", 0, 1),
    reorder: numberOf(given, "reorder", 0, 1),
    delayMs: [from, to],
  };
}

function matches(pattern: string, method: string, path: string): boolean {
  const [first = "", second] = pattern.trim().split(/\s+/);
  if (second !== undefined && first !== "*" && first.toUpperCase() !== method) return false;
  const parts = (second ?? first).split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(path);
}

export class Faults {
  private api: ApiFault[] = [];
  private webhooks = NO_WEBHOOK_FAULTS;
  private met = { copies: 0, loss: 0, unanswered: 0, reorder: 0, delayed: 0 };
  private seed: string;

  constructor(private readonly defaultSeed: string) {
    this.seed = defaultSeed;
  }

  /** Replaces all faults; `{}` takes them away. `{ seed?, api?, webhooks? }`. */
  set(given: Given): void {
    refuseUnknown(given, ["seed", "api", "webhooks"], "the faults");
    const { seed = this.defaultSeed, api = [], webhooks = {} } = given;
    if (typeof seed !== "string" && typeof seed !== "number") throw invalidRequest("`seed` must be text or a number");
    if (!Array.isArray(api)) throw invalidRequest("`api` must be a list of objects");
    const [rules, changes] = [api.map(readApiFault), readWebhookFaults(webhooks)];
    this.seed = String(seed);
    this.api = rules;
    this.webhooks = changes;
    this.met = { copies: 0, loss: 0, unanswered: 0, reorder: 0, delayed: 0 };
  }

  /** What is set, and how often it has met something. */
  show() {
    return { seed: this.seed, api: this.api, webhooks: { ...this.webhooks, met: this.met } };
  }

  /** Whether anything is set. */
  get any(): boolean {
    return this.api.length > 0 || JSON.stringify(this.webhooks) !== JSON.stringify(NO_WEBHOOK_FAULTS);
  }

  /** What happens to a request: the first fault that fits and whose turn it is. */
  ofRequest(method: string, path: string): ApiFault | null {
    for (const [position, fault] of this.api.entries()) {
      if (!matches(fault.match, method, path)) continue;
      fault.matched += 1;
      if (fault.count !== null && fault.met >= fault.count) continue;
      if (this.share("api", position, fault.matched) >= fault.share) continue;
      fault.met += 1;
      return fault;
    }
    return null;
  }

  /** How long each delivery of an event to an endpoint waits, in ms: one entry, or two when it is made twice. */
  delaysOf(event: string, endpoint: string): number[] {
    const { copies, reorder, delayMs } = this.webhooks;
    const [from, to] = delayMs;
    const wait = (copy: number) => {
      const delayed = Math.round(from + (to - from) * this.share("delay", event, endpoint, copy));
      if (delayed > 0) this.met.delayed += 1;
      const overtaken = this.share("reorder", event, endpoint, copy) < reorder;
      if (overtaken) this.met.reorder += 1;
      return delayed + (overtaken ? OVERTAKEN_AFTER_MS : 0);
    };
    if (this.share("copies", event, endpoint) >= copies) return [wait(0)];
    this.met.copies += 1;
    return [wait(0), wait(1)];
  }

  /** What happens to an attempt to deliver. The id of an event decides, not the order in which events are sent. */
  ofAttempt(event: string, endpoint: string, attempt: number): "loss" | "unanswered" | null {
    for (const kind of ["loss", "unanswered"] as const) {
      if (this.share(kind, event, endpoint, attempt) >= this.webhooks[kind]) continue;
      this.met[kind] += 1;
      return kind;
    }
    return null;
  }

  private share(...words: Array<string | number>): number {
    const digest = createHash("sha256")
      .update([this.seed, ...words].join("\n"))
      .digest();
    return digest.readUInt32BE(0) / 2 ** 32;
  }
}
