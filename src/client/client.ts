// The client itself: the calls that services make most, and every other procedure by its name.
import { batching } from "./batch";
import { type Caller, calling } from "./call";
import type { Contract } from "./contract";
import { failingOpen } from "./fail-open";
import { quiet } from "./hooks";
import type { BillingClientOptions, CallOptions, FailOpenOptions } from "./options";
import type { Fetch } from "./runtime";
import type { Spool, Spooled, SpooledConsume } from "./spool";

type Credits = Contract["credits"];

/** The same without the key's being needed: one is made then, for the call and all of its tries. */
type KeyOptional<Input extends { idempotencyKey: string }> = Omit<Input, "idempotencyKey"> & {
  idempotencyKey?: string;
};

export type ConsumeInput = KeyOptional<Credits["consume"]["input"]>;
export type Consumption = Credits["consume"]["output"];
export type Balance = Credits["balance"]["output"];
export type GrantInput = KeyOptional<Credits["grant"]["input"]>;
export type Granted = Credits["grant"]["output"];

type CallOf<Procedure> = Procedure extends { kind: infer Kind; input: infer Input; output: infer Output }
  ? {
      [Verb in Kind extends "query" ? "query" : "mutate"]: (
        ...rest: undefined extends Input
          ? [input?: Input, options?: CallOptions]
          : [input: Input, options?: CallOptions]
      ) => Promise<Output>;
    }
  : { [Name in keyof Procedure]: CallOf<Procedure[Name]> };

/** Every procedure, called as with tRPC's own client: `.query(input)` or `.mutate(input)`. */
export type Procedures = { [Router in keyof Contract]: CallOf<Contract[Router]> };

export interface BillingClient<Answer = Consumption> {
  /** Every procedure of the contract by its name: `trpc.credits.transactions.query({ organizationId })`. */
  readonly trpc: Procedures;
  /**
   * Takes credits for a quantity of an event, in whole or not at all.
   * @throws BillingClientError INSUFFICIENT_CREDITS with `details: { required, available }`, UNKNOWN_EVENT, INACTIVE_EVENT,
   *   IDEMPOTENCY_CONFLICT, …; UNREACHABLE and OVERLOADED unless the client fails open
   */
  consume(input: ConsumeInput, options?: CallOptions): Promise<Answer>;
  /** What an organization has. */
  balance(input: Credits["balance"]["input"], options?: CallOptions): Promise<Balance>;
  /** Gives credits; needs a platform key. */
  grant(input: GrantInput, options?: CallOptions): Promise<Granted>;
  /** What waits for Billfold, where the client fails open; null where it does not. */
  readonly spool: Spool | null;
  /** Ends what runs in the background; what is spooled waits for the next start. */
  close(): Promise<void>;
}

/**
 * A client for services. Calls made in the same turn of the event loop share a request; a call that got no answer is made
 * again under the same key, so that it takes once.
 */
export function createBillingClient(
  options: FailOpenOptions,
): BillingClient<(Consumption & { spooled?: false }) | Spooled>;
export function createBillingClient(options: BillingClientOptions): BillingClient;
export function createBillingClient(options: BillingClientOptions | FailOpenOptions): BillingClient<unknown> {
  const { url, apiKey, timeoutMs = 10_000, deadlineMs = 30_000, maxRetries = 3, maxBatchSize = 50 } = options;
  const transport = {
    endpoint: `${url.replace(/\/+$/, "")}/api/trpc`,
    apiKey,
    // Looked up at each call: instrumentation replaces it after a client was made.
    fetch: options.fetch ?? (((input, init) => globalThis.fetch(input, init)) as Fetch),
    headers: options.headers ?? (() => ({})),
  };
  const tryOnce = batching(transport, { maxItems: maxBatchSize, maxLength: MAX_BATCH_LENGTH });
  const call = calling(tryOnce, { timeoutMs, deadlineMs, maxRetries }, quiet(options.hooks ?? {}));
  const trpc = proceduresOf(call);

  const open = options.whenUnreachable === "allow" ? failingOpen(trpc.credits.consume.mutate, options.spool) : null;
  const consume: (input: SpooledConsume, options?: CallOptions) => Promise<unknown> = open
    ? open.consume
    : trpc.credits.consume.mutate;

  return {
    trpc,
    consume: (input, callOptions) => consume(keyed(input), callOptions),
    balance: (input, callOptions) => trpc.credits.balance.query(input, callOptions),
    grant: (input, callOptions) => trpc.credits.grant.mutate(keyed(input), callOptions),
    spool: open?.spool ?? null,
    close: async () => open?.close(),
  };
}

// Half of what the server reads: what is sent is a little longer than its parts.
const MAX_BATCH_LENGTH = 512 * 1024;

function keyed<Input extends { idempotencyKey?: string }>(input: Input): Input & { idempotencyKey: string } {
  return { ...input, idempotencyKey: input.idempotencyKey ?? globalThis.crypto.randomUUID() };
}

/** Procedures by name: `path.to.procedure.query(input)`. Which there are is known to the types alone. */
function proceduresOf(call: Caller): Procedures {
  const at = (path: string[]): unknown =>
    new Proxy(() => {}, {
      // A promise is told by its `then`: without this the proxy could not be returned from an async function.
      get: (_, name) => (typeof name === "symbol" || name === "then" ? undefined : at([...path, name])),
      apply: (_, __, [input, options]: [unknown, CallOptions | undefined]) =>
        call(path.at(-1) === "query" ? "query" : "mutation", path.slice(0, -1).join("."), input, options),
    });
  return at([]) as Procedures;
}
