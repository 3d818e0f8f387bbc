// One request for many calls, in tRPC's batch format with superjson (https://trpc.io/docs/rpc): how it is written, read and split.
import superjson, { type SuperJSONResult } from "superjson";
import { BillingClientError, type BillingClientFailure, type FailureData, serverFailure, unreachable } from "./errors";
import type { CallInfo } from "./hooks";
import { retryAfterHeaderMs } from "./retry";
import type { Fetch, Signal } from "./runtime";

/** A call as it is sent: its input is written once, and is the same text in each try. */
export interface Item {
  call: CallInfo;
  body: string;
}

export type ItemResult = { ok: true; value: unknown } | { ok: false; failure: BillingClientFailure };

export interface TransportOptions {
  /** `https://billing.example.com/api/trpc` */
  endpoint: string;
  apiKey: string;
  fetch: Fetch;
  headers: (calls: readonly CallInfo[]) => Record<string, string> | Promise<Record<string, string>>;
}

export const writeInput = (input: unknown): string => JSON.stringify(superjson.serialize(input));
export const readInput = (body: string): unknown => superjson.deserialize(JSON.parse(body));

// Refusals of a request for its size: halves of it may pass.
const TOO_LARGE = new Set([413, 414, 431]);

/** Sends calls of one kind as one request. Each has a result of its own. @throws only what `headers` does */
export async function sendBatch(options: TransportOptions, items: Item[], signal: Signal): Promise<ItemResult[]> {
  const { endpoint, apiKey, fetch } = options;
  const paths = items.map(({ call }) => call.procedure).join(",");
  const inputs = `{${items.map(({ body }, index) => `"${index}":${body}`).join(",")}}`;
  const asks = items[0]?.call.kind === "query";
  const query = asks ? `?batch=1&input=${encodeURIComponent(inputs)}` : "?batch=1";
  const headers = {
    ...(asks ? {} : { "content-type": "application/json" }),
    authorization: `Bearer ${apiKey}`,
    ...(await options.headers(items.map(({ call }) => call))),
  };
  let answer: Awaited<ReturnType<Fetch>>;
  let text: string;
  try {
    answer = await fetch(`${endpoint}/${paths}${query}`, {
      method: asks ? "GET" : "POST",
      headers,
      ...(asks ? {} : { body: inputs }),
      signal,
    });
    text = await answer.text();
  } catch (cause) {
    const failure = unreachable(1, `Billfold gave no answer: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
    return items.map(() => ({ ok: false, failure }));
  }
  if (TOO_LARGE.has(answer.status) && items.length > 1) {
    const middle = Math.ceil(items.length / 2);
    const halves = [items.slice(0, middle), items.slice(middle)];
    return (await Promise.all(halves.map((half) => sendBatch(options, half, signal)))).flat();
  }
  const retryAfterMs = answer.status < 400 ? null : retryAfterHeaderMs(answer.headers.get("retry-after"), Date.now());
  const answers = readAnswers(text);
  return items.map((_, index) => {
    // A refusal of the whole request is one answer for all.
    const own = Array.isArray(answers) ? answers[index] : answers;
    return readAnswer(own, answer, retryAfterMs);
  });
}

interface Answer {
  result?: { data?: SuperJSONResult };
  error?: SuperJSONResult;
}

function readAnswers(text: string): Answer | Answer[] | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function readAnswer(
  own: Answer | null | undefined,
  answer: Awaited<ReturnType<Fetch>>,
  retryAfterMs: number | null,
): ItemResult {
  if (own?.result) return { ok: true, value: own.result.data && superjson.deserialize(own.result.data) };
  const said = own?.error && superjson.deserialize<{ message?: string; data?: FailureData } | undefined>(own.error);
  if (said?.data?.billing) {
    return { ok: false, failure: serverFailure(said.message ?? "", said.data, retryAfterMs) };
  }
  return { ok: false, failure: foreignAnswer(answer, retryAfterMs) };
}

/** An answer that is not Billfold's: a proxy that cannot reach it now, half of an answer, or another server. */
function foreignAnswer(answer: Awaited<ReturnType<Fetch>>, retryAfterMs: number | null): BillingClientFailure {
  const { status } = answer;
  const isBrokenOff = status < 300 && (answer.headers.get("content-type") ?? "").includes("json");
  if (status >= 500 || status === 408 || status === 429 || isBrokenOff) {
    return unreachable(1, `Billfold gave no answer: HTTP ${status}`, { httpStatus: status, retryAfterMs });
  }
  const message = `This is not Billfold's answer (HTTP ${status}): is the address right?`;
  return new BillingClientError("UNEXPECTED_ANSWER", message, {}, { httpStatus: status });
}
