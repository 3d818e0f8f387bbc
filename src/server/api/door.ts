// tRPC over plain Node: reads what clients send by itself, which costs a tenth of a framework, and leaves everything
// unusual to tRPC's own handler. Nothing of ours is decided here.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  type AnyTRPCProcedure,
  type AnyTRPCRouter,
  getTRPCErrorFromUnknown,
  getTRPCErrorShape,
  transformTRPCResponse,
} from "@trpc/server";
import { getHTTPStatusCode } from "@trpc/server/http";
import type { TRPCResponse } from "@trpc/server/rpc";
import type { RequestHeaders } from "../auth/session";
import { log } from "../log";
import { createContext } from "./context";
import { tooLarge } from "./errors";
import { answerRequest, MAX_BODY_BYTES } from "./handler";
import { appRouter } from "./root";
import { type Context, directCallOf } from "./trpc";

/** Answers requests below `/api/trpc/`. Never rejects. */
export type Door = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

type Procedure = AnyTRPCProcedure & ((call: ProcedureCall) => Promise<unknown>);

interface ProcedureCall {
  path: string;
  type: "query" | "mutation";
  ctx: Context;
  getRawInput: () => Promise<unknown>;
  signal: AbortSignal | undefined;
  batchIndex: number;
}

interface Call {
  path: string;
  procedure: Procedure;
  input: unknown;
}

interface Calls {
  type: "query" | "mutation";
  isBatch: boolean;
  list: Call[];
}

// Paths as our procedures are named, nothing encoded; `batch=1` before `input`, as tRPC's clients write them.
const TARGET = /^\/api\/trpc\/([\w.,]+)(?:\?(?:(batch=1)(?:&|$))?(?:input=([^&#]*))?)?$/;

/**
 * A door to a router's procedures.
 * @param headers what every answer carries besides its own
 */
export function createDoor(router: AnyTRPCRouter = appRouter, headers: Record<string, string> = {}): Door {
  const config = router._def._config;
  const procedures = new Map(Object.entries(router._def.procedures as Record<string, Procedure>));
  const answerHeaders = { vary: "trpc-accept, accept", "content-type": "application/json", ...headers };

  return async (request, response) => {
    try {
      const body = request.method === "POST" ? await readText(request, MAX_BODY_BYTES) : "";
      if (body === GONE) return;
      if (body === TOO_LARGE) return await send(response, tooLarge());
      const calls = readCalls(request, body);
      if (calls) await answerCalls(calls, request, response);
      else await leave(request, body, response);
    } catch (error) {
      fail(response, error);
    }
  };

  /** The calls of a request of the usual kind, or null: nothing has happened yet, and tRPC's handler knows what to say. */
  function readCalls(request: IncomingMessage, body: string): Calls | null {
    const { method, headers } = request;
    const type = method === "POST" ? "mutation" : method === "GET" ? "query" : null;
    const [target, paths, batch, query] = TARGET.exec(request.url ?? "") ?? [];
    if (!type || target === undefined || paths === undefined || !isPlainJson(type, headers)) return null;
    const isBatch = batch !== undefined;
    try {
      const inputs = type === "mutation" ? JSON.parse(body) : parseQuery(query);
      const list = isBatch ? readBatch(paths.split(","), inputs) : [readCall(paths, inputs)];
      return list.every(({ procedure }) => procedure?._def.type === type) ? { type, isBatch, list } : null;
    } catch {
      return null;
    }
  }

  function readBatch(paths: string[], inputs: unknown): Call[] {
    if (inputs === undefined) return paths.map((path) => readCall(path, undefined));
    if (typeof inputs !== "object" || inputs === null || Array.isArray(inputs)) throw new TypeError("not a batch");
    return paths.map((path, index) => readCall(path, (inputs as Record<number, unknown>)[index]));
  }

  function readCall(path: string, input: unknown): Call {
    const procedure = procedures.get(path) as Procedure;
    return { path, procedure, input: input === undefined ? undefined : config.transformer.input.deserialize(input) };
  }

  async function answerCalls(calls: Calls, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { type, isBatch, list } = calls;
    const context = createContext(headersOf(request));
    const signal = abandonment(response);
    const results = await Promise.all(
      list.map((call, batchIndex) => answerCall(call, { type, batchIndex, context, signal })),
    );
    const answer = isBatch ? results : (results[0] as TRPCResponse);
    const text = JSON.stringify(transformTRPCResponse(config, answer));
    const length = { "content-length": Buffer.byteLength(text) };
    response.writeHead(getHTTPStatusCode(answer), { ...answerHeaders, ...length }).end(text);
  }

  async function answerCall(
    { path, procedure, input }: Call,
    request: Pick<ProcedureCall, "type" | "batchIndex" | "signal"> & { context: Promise<Context> },
  ): Promise<TRPCResponse> {
    const { type, batchIndex, signal } = request;
    try {
      const ctx = await request.context;
      const call = directCallOf(procedure);
      const data = call
        ? await call({ ctx, input, path })
        : await procedure({ path, type, ctx, getRawInput: async () => input, signal, batchIndex });
      return { result: { data } };
    } catch (cause) {
      const error = getTRPCErrorFromUnknown(cause);
      return { error: getTRPCErrorShape({ config, error, type, path, input, ctx: undefined }) };
    }
  }

  /** Leaves a request to tRPC's own handler. */
  async function leave(request: IncomingMessage, body: string, response: ServerResponse): Promise<void> {
    const { method = "GET" } = request;
    // What Next says for methods that a route does not have.
    if (method === "OPTIONS") return void response.writeHead(204, { ...headers, allow: ALLOWED }).end();
    if (!ALLOWED.split(", ").includes(method)) return void response.writeHead(405, headers).end();
    const init = { method, headers: webHeadersOf(request), signal: abandonment(response) };
    const url = new URL(request.url ?? "", "http://localhost");
    await send(response, await answerRequest(new Request(url, method === "POST" ? { ...init, body } : init), router));
  }

  async function send(response: ServerResponse, answer: Response): Promise<void> {
    response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), ...headers });
    if (!answer.body) return void response.end();
    await pipeline(Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]), response);
  }

  function fail(response: ServerResponse, cause: unknown): void {
    // Who went away in the middle of an answer is not our fault.
    if (response.destroyed) return;
    log.error("a request to tRPC failed", { error: cause });
    if (response.headersSent) return void response.destroy();
    const error = getTRPCErrorFromUnknown(cause);
    const shape = getTRPCErrorShape({
      config,
      error,
      type: "unknown",
      path: undefined,
      input: undefined,
      ctx: undefined,
    });
    response.writeHead(500, answerHeaders).end(JSON.stringify(transformTRPCResponse(config, { error: shape })));
  }
}

const ALLOWED = "GET, HEAD, OPTIONS, POST";

/** Whether a request is in JSON and wants one answer in JSON. */
function isPlainJson(type: Calls["type"], headers: IncomingHttpHeaders): boolean {
  const contentType = headers["content-type"] ?? (type === "query" ? "application/json" : "");
  if (!contentType.startsWith("application/json")) return false;
  return headers["trpc-accept"] === undefined && !headers.accept?.includes("jsonl");
}

/** Aborted when the caller goes away before the answer. */
function abandonment(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => {
    // Each answer closes; aborting then as well would cost a tenth of it.
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

function parseQuery(input: string | undefined): unknown {
  return input ? JSON.parse(decodeURIComponent(input.replaceAll("+", " "))) : undefined;
}

const GONE = Symbol("the caller went away");
const TOO_LARGE = Symbol("beyond the limit");

/** The body as text. What comes after the limit is let through and dropped, so that the caller can read the answer. */
function readText(request: IncomingMessage, maxBytes: number): Promise<string | typeof GONE | typeof TOO_LARGE> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) return void chunks.push(chunk);
      chunks.length = 0;
      resolve(TOO_LARGE);
    });
    request.on("end", () => resolve((chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString()));
    request.on("close", () => resolve(GONE));
    request.on("error", () => resolve(GONE));
  });
}

/** The headers as the context reads them, without making a copy of all of them. */
function headersOf({ headers }: IncomingMessage): RequestHeaders {
  return {
    get(name) {
      const value = headers[name];
      return typeof value === "string" ? value : (value?.join(", ") ?? null);
    },
  };
}

function webHeadersOf({ headers }: IncomingMessage): Headers {
  const copy = new Headers();
  for (const [name, value] of Object.entries(headers)) copy.set(name, [value].flat().join(", "));
  return copy;
}
