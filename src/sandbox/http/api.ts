// The API as one function from request to answer: key, route, parameters, idempotency, handler, expansion.
import { createHash, timingSafeEqual } from "node:crypto";
import { StripeError } from "../errors";
import { decodeForm, type RawObject } from "../form";
import { newId } from "../ids";
import { parseShape } from "../params";
import { API_VERSION } from "../vocabulary";
import type { World } from "../world";
import { present } from "./expand";
import { findRoute, type Route } from "./route";

export interface ApiRequest {
  method: string;
  path: string;
  query: string;
  body: string;
  headers: Record<string, string | string[] | undefined>;
  /** It fails inside Stripe, and the failure is kept under its idempotency key. */
  breaks?: boolean;
}

export interface ApiAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

interface Found {
  route: Route;
  ids: string[];
}

/** How long an answer is handed out again. */
export const KEY_LIFE_SECONDS = 24 * 60 * 60;

function header(request: ApiRequest, name: string): string {
  const value = request.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? "";
}

function authenticate(request: ApiRequest, secretKey: string): void {
  const authorization = header(request, "authorization");
  const [scheme, credentials = ""] = authorization.split(" ");
  const given =
    scheme?.toLowerCase() === "basic"
      ? (Buffer.from(credentials, "base64").toString().split(":")[0] ?? "")
      : credentials;
  if (!given) {
    throw new StripeError(401, {
      type: "invalid_request_error",
      message:
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
    });
  }
  const digest = (text: string) => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(secretKey))) return;
  const shown =
    given.length > 12 ? `${given.slice(0, 8)}${"*".repeat(Math.min(24, given.length - 12))}${given.slice(-4)}` : "****";
  throw new StripeError(401, { type: "invalid_request_error", message: `Invalid API Key provided: ${shown}` });
}

function unexpected(error: unknown): StripeError {
  if (error instanceof StripeError) return error;
  console.error("sandbox: a request failed", error);
  return new StripeError(500, { type: "api_error", message: "An unknown error occurred in the sandbox." });
}

function run(
  world: World,
  { route, ids }: Found,
  raw: RawObject,
  breaks: boolean | undefined,
): { status: number; body: string } {
  if (breaks) throw new StripeError(500, { type: "api_error", message: "An unknown error occurred." });
  const { expand, ...params } = parseShape(route.shape, raw) as { expand?: string[] };
  const answer = route.handle(world, params as never, ids);
  return { status: 200, body: JSON.stringify(present(world, answer, expand), null, 2) };
}

/** Runs a request once for its idempotency key, or hands out the first answer again. */
function runOnce(world: World, found: Found, raw: RawObject, request: ApiRequest, requestId: string): ApiAnswer {
  const key = request.method === "POST" ? header(request, "idempotency-key") : "";
  if (key.length > 255) {
    throw new StripeError(400, {
      type: "idempotency_error",
      message: "Idempotency keys can be at most 255 characters.",
    });
  }
  const fingerprint = createHash("sha256")
    .update(`${request.method} ${request.path}\n${JSON.stringify(raw)}`)
    .digest("hex");
  const nowSeconds = Math.floor(Date.now() / 1000);
  const kept = key ? world.answers.get(key) : undefined;
  if (kept && kept.created > nowSeconds - KEY_LIFE_SECONDS) {
    if (kept.fingerprint !== fingerprint) {
      throw new StripeError(400, {
        type: "idempotency_error",
        message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`,
      });
    }
    const headers = { "idempotency-key": key, "idempotent-replayed": "true", "original-request": kept.requestId };
    return { status: kept.status, body: kept.body, headers };
  }
  const keep = (answer: { status: number; body: string }): ApiAnswer => {
    if (key) world.answers.put({ id: key, created: nowSeconds, fingerprint, requestId, ...answer });
    const headers: Record<string, string> = key ? { "idempotency-key": key } : {};
    return { ...answer, headers };
  };
  world.events.request = { id: requestId, idempotency_key: key || null };
  try {
    return world.store.transaction(
      // One request happens at one instant, also when a second passes while it runs.
      () => world.clock.at(world.clock.global(), () => keep(run(world, found, raw, request.breaks))),
      (error) => error instanceof StripeError && error.keepsWrites,
    );
  } catch (error) {
    const refusal = unexpected(error);
    if (refusal.beforeExecution) throw refusal;
    return keep({ status: refusal.status, body: JSON.stringify(refusal, null, 2) });
  } finally {
    world.events.request = null;
  }
}

/** Answers one API request. Never throws. */
export function answerApi(world: World, routes: Route[], secretKey: string, request: ApiRequest): ApiAnswer {
  const requestId = newId("req", 14);
  const common = { "request-id": requestId, "stripe-version": header(request, "stripe-version") || API_VERSION };
  try {
    authenticate(request, secretKey);
    const found = findRoute(routes, request.method, request.path);
    if (!found) {
      throw new StripeError(404, {
        type: "invalid_request_error",
        message: `Unrecognized request URL (${request.method}: ${request.path}). The sandbox does not serve it; see its README for what it does.`,
      });
    }
    const raw = decodeForm(request.query);
    if (request.method !== "GET") decodeForm(request.body, raw);
    const answer = runOnce(world, found, raw, request, requestId);
    return { ...answer, headers: { ...common, ...answer.headers } };
  } catch (error) {
    const refusal = unexpected(error);
    return { status: refusal.status, headers: common, body: JSON.stringify(refusal, null, 2) };
  }
}
