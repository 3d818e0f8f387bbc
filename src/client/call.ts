// A call from beginning to end: its tries, the waits between them, its deadline, and those who watch.
import type { TryOptions } from "./batch";
import { type BillingClientFailure, billingErrorOf, unreachable } from "./errors";
import type { BillingHooks, CallInfo, ResultInfo } from "./hooks";
import type { CallOptions } from "./options";
import { delayMs, isRepeatable } from "./retry";
import type { Signal } from "./runtime";
import { type Item, writeInput } from "./transport";

export type CallPolicy = Required<Omit<CallOptions, "signal">>;

export type Caller = (
  kind: "query" | "mutation",
  procedure: string,
  input: unknown,
  options?: CallOptions,
) => Promise<unknown>;

/** @returns a function that makes a call. @throws BillingClientError, or the reason of the caller's signal */
export function calling(
  tryOnce: (item: Item, options: TryOptions) => Promise<unknown>,
  policy: CallPolicy,
  hooks: Required<BillingHooks>,
): Caller {
  return async (kind, procedure, input, options = {}) => {
    const { timeoutMs, deadlineMs, maxRetries } = { ...policy, ...defined(options) };
    const call: CallInfo = { procedure, kind, idempotencyKey: keyOf(input) };
    const item: Item = { call, body: writeInput(input) };
    const started = performance.now();
    const left = () => deadlineMs - (performance.now() - started);
    let attempt = 0;
    const end = (code: ResultInfo["code"], replayed: boolean | null = null) =>
      hooks.onResult({ call, attempts: attempt, durationMs: performance.now() - started, code, replayed });

    hooks.onCall(call);
    for (;;) {
      attempt += 1;
      try {
        const value = await tryOnce(item, {
          timeoutMs: Math.max(0, Math.min(timeoutMs, left())),
          signal: options.signal,
        });
        end("OK", replayedIn(value));
        return value;
      } catch (error) {
        const failure = failureIn(error, attempt);
        if (failure) {
          const delay = delayMs(attempt, failure.retryAfterMs, Math.random());
          const isLast =
            !failure.retryable || attempt > maxRetries || !isRepeatable(kind, procedure, input) || delay >= left();
          if (isLast) {
            end(failure.code);
            throw failure;
          }
          hooks.onRetry({ call, attempt, code: failure.code, delayMs: delay });
          if (await waited(delay, options.signal)) continue;
        }
        if (!options.signal?.aborted) {
          end("ERROR");
          throw error;
        }
        end("ABORTED");
        throw options.signal.reason;
      }
    }
  };
}

/** null for what is no failure of Billfold's: the caller ended it, or one of its own functions threw. */
function failureIn(error: unknown, attempts: number): BillingClientFailure | null {
  const failure = billingErrorOf(error);
  if (!failure) return null;
  if (failure.code !== "UNREACHABLE") return failure;
  const { message, httpStatus, retryAfterMs, cause } = failure;
  return unreachable(attempts, message, { httpStatus, retryAfterMs, cause });
}

/** @returns whether the time passed; false where the signal came first */
function waited(ms: number, signal: Signal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(false);
    const end = (passed: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(passed);
    };
    const onAbort = () => end(false);
    const timer = setTimeout(() => end(true), ms);
    signal?.addEventListener("abort", onAbort);
  });
}

function keyOf(input: unknown): string | null {
  const key = (input as { idempotencyKey?: unknown } | null | undefined)?.idempotencyKey;
  return typeof key === "string" ? key : null;
}

function replayedIn(value: unknown): boolean | null {
  const replayed = (value as { replayed?: unknown } | null | undefined)?.replayed;
  return typeof replayed === "boolean" ? replayed : null;
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
