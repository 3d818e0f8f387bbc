// What a service may watch: each call, each further try and each result. Made for tracing and metrics, tied to no library.
import type { BillingFailureCode } from "./errors";

/** A call, the same object in all of its hooks: a key for a `WeakMap` of spans. */
export interface CallInfo {
  /** `credits.consume` */
  readonly procedure: string;
  readonly kind: "query" | "mutation";
  readonly idempotencyKey: string | null;
}

export interface RetryInfo {
  readonly call: CallInfo;
  /** Number of the try that failed, from 1. */
  readonly attempt: number;
  readonly code: BillingFailureCode;
  /** Milliseconds until the next try. */
  readonly delayMs: number;
}

export interface ResultInfo {
  readonly call: CallInfo;
  /** Tries that were made. */
  readonly attempts: number;
  /** Milliseconds from the call to its end, waits included. */
  readonly durationMs: number;
  /** `OK`, `ABORTED` by the caller, `ERROR` thrown by one of the caller's own functions, or why Billfold did not do it. */
  readonly code: "OK" | "ABORTED" | "ERROR" | BillingFailureCode;
  /** Whether the answer is that of an earlier call with the same key; null where that is not said. */
  readonly replayed: boolean | null;
}

/** Called at once and not waited for; what they throw is ignored: watching must not change what is billed. */
export interface BillingHooks {
  onCall?(call: CallInfo): void;
  onRetry?(retry: RetryInfo): void;
  onResult?(result: ResultInfo): void;
}

/** The hooks, made safe to call. */
export function quiet(hooks: BillingHooks): Required<BillingHooks> {
  return {
    onCall: (call) => ignoringErrors(() => hooks.onCall?.(call)),
    onRetry: (retry) => ignoringErrors(() => hooks.onRetry?.(retry)),
    onResult: (result) => ignoringErrors(() => hooks.onResult?.(result)),
  };
}

/** Runs what a caller gave us to run, so that its failure stays its own. */
export function ignoringErrors(run: () => unknown): void {
  try {
    const result = run();
    if (result instanceof Promise) result.catch(() => {});
  } catch {
    // Theirs.
  }
}
