// What a client is made with, and what may be said of one call.
import type { BillingHooks, CallInfo } from "./hooks";
import type { Fetch, Signal } from "./runtime";
import type { SpoolOptions } from "./spool";

export interface BillingClientOptions {
  /** Where Billfold is, without a path: `https://billing.example.com`. */
  url: string;
  /** A key of one organization, or a platform key that may act for any. */
  apiKey: string;
  /** Milliseconds until one try is given up. Default 10,000. */
  timeoutMs?: number;
  /** Milliseconds until a call is given up, with all of its tries and the waits between them. Default 30,000. */
  deadlineMs?: number;
  /** Further tries after the first where nobody answered, or with "not now". Default 3. */
  maxRetries?: number;
  /** Most calls that share one request. Default 50. */
  maxBatchSize?: number;
  /** Sent with each request, such as `traceparent`; asked for once a request, with the calls that are in it. */
  headers?: (calls: readonly CallInfo[]) => Record<string, string> | Promise<Record<string, string>>;
  /** Told of calls, retries and results, for traces and metrics. */
  hooks?: BillingHooks;
  /** To go through a proxy of yours, or for tests. */
  fetch?: Fetch;
  /** What `consume` does when Billfold cannot be reached: it fails closed, so that no work is given away. */
  whenUnreachable?: "fail";
}

/** For services that must go on, and would rather lose some credits than a customer's request. */
export interface FailOpenOptions extends Omit<BillingClientOptions, "whenUnreachable"> {
  /** A consume that nobody answers is kept in `spool`, answered as `{ spooled: true }`, and told to Billfold later, once. */
  whenUnreachable: "allow";
  spool: SpoolOptions;
}

/** What may be said of one call; what is not is as the client was made. */
export interface CallOptions {
  /** Ends the call at once, with the signal's reason. A change may have been made: the same key finds out. */
  signal?: Signal;
  /** Milliseconds until one try is given up. */
  timeoutMs?: number;
  /** Milliseconds until the call is given up, its waits included. */
  deadlineMs?: number;
  /** Further tries after the first. */
  maxRetries?: number;
}
