// The HTTP server: reads a bounded body, and hands the request to the API, the controls or the pages.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { answerControl } from "../control";
import type { Deliverer } from "../delivery";
import { StripeError } from "../errors";
import { drawingFrom } from "../ids";
import { answerPage } from "../pages/index";
import { message as pageMessage } from "../pages/layout";
import { routes } from "../resources/index";
import type { World } from "../world";
import { type ApiAnswer, answerApi } from "./api";
import { sendFaulty } from "./faulty";

const MAX_BODY_BYTES = 1024 * 1024;

class TooLarge extends Error {}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new TooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string | Buffer): void {
  response.writeHead(status, { "cache-control": "no-store", ...headers, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

const JSON_TYPE = { "content-type": "application/json" };

function parseJson(text: string): Record<string, unknown> | null {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** What the engine refuses is told in the manner of whoever asked. */
function refusable<C, A>(work: (context: C, method: string, path: string) => A, refused: (error: StripeError) => A) {
  return (context: C, method: string, path: string): A => {
    try {
      return work(context, method, path);
    } catch (error) {
      if (error instanceof StripeError) return refused(error);
      throw error;
    }
  };
}

const control = refusable(answerControl, ({ status, message }) => ({ status, body: { error: message } }));
const showPage = refusable(answerPage, ({ status, message }) => pageMessage("This did not work", message, status));

/** The path of a page of ours that a request came from; `/` when it is not known. */
function pathOf(referer: string | undefined): string {
  const path = referer && URL.canParse(referer) ? new URL(referer).pathname : "/";
  // Never `//elsewhere`, which would lead to another site.
  return /^\/(?!\/)/.test(path) ? path : "/";
}

interface Parts {
  world: World;
  deliverer: Deliverer;
  secretKey: string;
}

async function answer(
  { world, deliverer, secretKey }: Parts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? "GET";
  const [path = "/", query = ""] = (request.url ?? "/").split(/\?(.*)/s);
  const body = await readBody(request);
  if (method !== "GET" && request.headers["sec-fetch-site"] === "cross-site") {
    // A web page that happens to be open in the same browser has no business here.
    send(response, 403, JSON_TYPE, JSON.stringify({ error: "Requests from other sites are refused." }));
    return;
  }
  drawingFrom(world.random, () =>
    respond({ world, deliverer, secretKey }, request, response, { method, path, query, body }),
  );
}

function respond(
  { world, deliverer, secretKey }: Parts,
  request: IncomingMessage,
  response: ServerResponse,
  { method, path, query, body }: { method: string; path: string; query: string; body: string },
): void {
  // What fell due at this very instant is done before the next request, however soon that comes.
  const runDue = () => method !== "GET" && world.scheduler.runDue(null, world.clock.global());
  if (path.startsWith("/_sandbox/")) {
    const json = parseJson(body);
    const answered = json
      ? control({ world, deliverer, query: new URLSearchParams(query), body: json }, method, path)
      : { status: 400, body: { error: "The body must be a JSON object." } };
    send(response, answered.status, JSON_TYPE, JSON.stringify(answered.body, null, 2));
  } else if (/^\/v\d+\//.test(path)) {
    const fault = world.faults.ofRequest(method, path);
    const asked = { method, path, query, body, headers: request.headers, breaks: fault?.kept };
    // Drawn and settled where it happens: a slow fault works later than this.
    const work = () =>
      drawingFrom(world.random, () => {
        const answered = answerApi(world, routes, secretKey, asked);
        runDue();
        return answered;
      });
    const sendAnswer = (answered: ApiAnswer) =>
      send(response, answered.status, { ...JSON_TYPE, ...answered.headers }, answered.body);
    if (fault && !fault.kept) sendFaulty(response, fault, work, sendAnswer);
    else sendAnswer(work());
  } else {
    const form = new URLSearchParams(body);
    const page = showPage(
      { world, deliverer, query: new URLSearchParams(query), form, from: pathOf(request.headers.referer) },
      method,
      path,
    );
    send(response, page.status, page.headers, page.body);
  }
  runDue();
}

/** What answers requests. */
export function listenerOf(parts: Parts): RequestListener {
  return (request, response) => {
    answer(parts, request, response).catch((error: unknown) => {
      if (response.headersSent) return response.destroy();
      const large = error instanceof TooLarge;
      if (!large && !request.destroyed) console.error("sandbox: a request failed", error);
      const message = large ? "Request body too large." : "An unknown error occurred in the sandbox.";
      const body = { error: { type: large ? "invalid_request_error" : "api_error", message } };
      // The rest of an oversized body is not read, so the connection cannot be used again.
      send(response, large ? 413 : 500, { ...JSON_TYPE, connection: "close" }, JSON.stringify(body));
    });
  };
}
