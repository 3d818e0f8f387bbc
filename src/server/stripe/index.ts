// The one place that imports the Stripe SDK: the client, its failures in our words, and reading its answers with care.
import Stripe from "stripe";
import { BillingError } from "~/domain/errors";
import { env } from "../env";

export type { Stripe };

/** Pinned: what the types of this SDK version describe, whatever the account's default is. */
export const STRIPE_API_VERSION = "2026-10-28.endive" satisfies typeof Stripe.API_VERSION;

const shared = globalThis as typeof globalThis & { billfoldStripe?: Record<string, Stripe> };

function client(name: string, options: { timeout: number; maxNetworkRetries: number }): Stripe {
  shared.billfoldStripe ??= {};
  const made = shared.billfoldStripe[name];
  if (made) return made;
  const { STRIPE_SECRET_KEY, STRIPE_API_BASE } = env();
  const base = STRIPE_API_BASE ? new URL(STRIPE_API_BASE) : null;
  const fresh = new Stripe(STRIPE_SECRET_KEY, {
    ...options,
    apiVersion: STRIPE_API_VERSION,
    appInfo: { name: "Billfold" },
    telemetry: false,
    ...(base
      ? {
          host: base.hostname,
          port: base.port || (base.protocol === "http:" ? "80" : "443"),
          protocol: base.protocol === "http:" ? ("http" as const) : ("https" as const),
        }
      : {}),
  });
  shared.billfoldStripe[name] = fresh;
  return fresh;
}

/** For a person who waits: one try of under two seconds and one more, so that an outage is said within five, waits included. */
export function stripeForPages(): Stripe {
  return client("pages", { timeout: 1800, maxNetworkRetries: 1 });
}

/** For webhooks and jobs: patient, because nobody waits. */
export function stripeForJobs(): Stripe {
  return client("jobs", { timeout: 15_000, maxNetworkRetries: 2 });
}

/** Whether our key is a live one; events of the other mode are not ours. */
export function isLiveMode(): boolean {
  return /^(sk|rk)_live_/.test(env().STRIPE_SECRET_KEY);
}

/** Whether a failure passes by itself: no connection, a time-out, a rate limit, a lock, Stripe's own fault. */
function isTransient(error: unknown): boolean {
  if (error instanceof Stripe.errors.StripeConnectionError || error instanceof Stripe.errors.StripeRateLimitError)
    return true;
  if (error instanceof Stripe.errors.StripeError) {
    const status = error.statusCode ?? 0;
    // A key that is being rolled is refused until the new one is in place: what is refused meanwhile is only late.
    return (
      status === 401 ||
      status === 403 ||
      // The first request with this key is still under way.
      status === 409 ||
      status === 429 ||
      status >= 500 ||
      error.code === "lock_timeout" ||
      error.type === "StripeAPIError"
    );
  }
  return false;
}

/** For how many seconds Stripe asks not to be asked again, where a failure, or what caused it, says so; else null. */
export function retryAfterSeconds(error: unknown): number | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof Stripe.errors.StripeError)) continue;
    const seconds = Number(cause.headers?.["retry-after"] ?? Number.NaN);
    if (seconds >= 0) return seconds;
  }
  return null;
}

/**
 * Calls Stripe, with its failures in our words.
 * @throws BillingError STRIPE_UNAVAILABLE for what passes by itself, STRIPE_REFUSED for what Stripe will not do
 */
export async function callStripe<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof BillingError) throw error;
    if (isTransient(error)) {
      throw new BillingError(
        "STRIPE_UNAVAILABLE",
        "The payment service does not answer at the moment. Nothing was changed; please try again shortly.",
        { retryable: true },
        { cause: error },
      );
    }
    if (error instanceof Stripe.errors.StripeError) {
      throw new BillingError(
        "STRIPE_REFUSED",
        "The payment service did not accept this.",
        { reason: error.code ?? error.type },
        { cause: error },
      );
    }
    throw error;
  }
}

/** Whether an answer, or a refusal, is one that Stripe gave before to the same key: what it says may be outdated. */
export function isReplayed(answer: unknown): boolean {
  const said = answer instanceof BillingError ? answer.cause : answer;
  const headers =
    said instanceof Stripe.errors.StripeError
      ? said.headers
      : (said as Partial<Stripe.Response<object>> | undefined)?.lastResponse?.headers;
  return headers?.["idempotent-replayed"] === "true";
}

/** Why a payment did not go through, of a failure that `callStripe` has put in our words. */
export interface PaymentFailure {
  kind: "declined" | "needs_action" | "no_method";
  /** The bank's code where there is one, else Stripe's. */
  code: string;
}

/** Null for a failure that is about something else than the payment. */
export function paymentFailureOf(error: unknown): PaymentFailure | null {
  const cause = error instanceof BillingError ? error.cause : error;
  if (!(cause instanceof Stripe.errors.StripeError)) return null;
  const code = cause.code ?? "";
  const declined = cause instanceof Stripe.errors.StripeCardError ? (cause.decline_code ?? code) : null;
  if (NEEDS_ACTION.has(code) || NEEDS_ACTION.has(declined ?? "")) return { kind: "needs_action", code };
  if (declined !== null) return { kind: "declined", code: declined };
  return NO_METHOD.has(code) ? { kind: "no_method", code } : null;
}

/** Whether nothing can be paid now because a bank has been asked already and has not answered. */
export function isUnderWay(error: unknown): boolean {
  const cause = error instanceof BillingError ? error.cause : error;
  return cause instanceof Stripe.errors.StripeError && cause.code === "payment_intent_unexpected_state";
}

const NEEDS_ACTION = new Set([
  "invoice_payment_intent_requires_action",
  "subscription_payment_intent_requires_action",
  "authentication_required",
]);
// An invoice without a default method says `missing`, and one whose customer has none says `resource_missing`.
const NO_METHOD = new Set(["missing", "resource_missing", "invoice_no_payment_method_types"]);

/** The same for reading one object: null where Stripe does not have it (any more). */
export async function findAtStripe<T extends { object: string; id?: string | undefined }>(
  kind: T["object"],
  call: () => Promise<T>,
): Promise<T | null> {
  return callStripe(async () => {
    try {
      return expectObject(kind, await call());
    } catch (error) {
      if (error instanceof Stripe.errors.StripeInvalidRequestError && error.code === "resource_missing") return null;
      throw error;
    }
  });
}

/**
 * Asserts that an answer is the object that was asked for. The SDK takes a 404 or 500 whose JSON has no `error`, as a proxy
 * may send it, for an answer.
 */
export function expectObject<T extends { object: string; id?: string | undefined }>(kind: T["object"], answer: T): T {
  if (answer?.object !== kind || typeof answer.id !== "string" || answer.id.length === 0) {
    throw new BillingError("STRIPE_UNAVAILABLE", "The payment service gave an answer that makes no sense.", {
      expected: kind,
    });
  }
  return answer;
}

/** The same for a list or a search: its page, or a failure of the payment service. */
export function expectPage<T extends { data: readonly unknown[] }>(answer: T): T["data"] {
  if (!Array.isArray(answer?.data)) {
    throw new BillingError("STRIPE_UNAVAILABLE", "The payment service gave an answer that makes no sense.", {
      expected: "list",
    });
  }
  return answer.data;
}

/** The id of a field that Stripe sends as an id or, expanded, as the object. */
export function idOf(reference: string | { id: string } | null | undefined): string | null {
  if (!reference) return null;
  return typeof reference === "string" ? reference : reference.id;
}

/** Stripe's instants are seconds. */
export function toDate(seconds: number): Date {
  return new Date(seconds * 1000);
}

export function toDateOrNull(seconds: number | null | undefined): Date | null {
  return seconds == null ? null : toDate(seconds);
}

/** A signed body, verified against each of the secrets in turn; null where none of them signed it. */
export function verifySignature(body: string, signature: string, secrets: readonly string[]): Stripe.Event | null {
  for (const secret of secrets) {
    try {
      return Stripe.webhooks.constructEvent(body, signature, secret);
    } catch (error) {
      // A thin event or a body that is no JSON fails behind a good signature: no other secret would do better.
      if (!(error instanceof Stripe.errors.StripeSignatureVerificationError)) return null;
    }
  }
  return null;
}

/** An event from its stored body, whose signature was verified when it came. */
export function readStoredEvent(body: string): Stripe.Event {
  return Stripe.webhooks.constructEventWithoutVerification(body);
}
