// The client itself: the calls that services make most, and every other procedure by its name.
import { batching } from "./batch";
import { type Caller, calling } from "./call";
import type { Contract } from "./contract";
import { failingOpen } from "./fail-open";
import { type HeldWork, type HoldSteps, holding } from "./hold";
import { quiet } from "./hooks";
import { type ItemResult, manyTaking } from "./many";
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
export type Check = Credits["check"]["output"];
export type Estimate = Credits["estimate"]["output"];
export type HoldInput = KeyOptional<Credits["hold"]["input"]>;
export type Held = Credits["hold"]["output"];
export type CaptureInput = KeyOptional<Credits["capture"]["input"]>;
export type Captured = Credits["capture"]["output"];
export type Released = Credits["releaseHold"]["output"];

/** A part of what held work used: either `amount`, credits, or `quantity`, units of the hold's event or of `eventName`. */
export type PartInput = Omit<CaptureInput, "organizationId" | "holdId" | "release">;

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
  /**
   * Takes for many at once, as collectors do: any number of items, in requests of their own size. Each has its own result in
   * the order of the items, also where nobody answered; one that fails leaves the others alone. Only `signal` makes it throw.
   */
  consumeMany(items: readonly ConsumeInput[], options?: CallOptions): Promise<ItemResult<Answer>[]>;
  /** Whether a take would be allowed, and why not; nothing is taken. Somebody may be quicker: only the take itself decides. */
  check(input: Credits["check"]["input"], options?: CallOptions): Promise<Check>;
  /** What a take would cost, which lots would pay, and what would be left. */
  estimate(input: Credits["estimate"]["input"], options?: CallOptions): Promise<Estimate>;
  /** Sets credits aside for work of unknown cost, until they are captured or released, or the lease ends. */
  hold(input: HoldInput, options?: CallOptions): Promise<Held>;
  /** Takes what held work used so far. @throws BillingClientError HOLD_ENDED, INSUFFICIENT_CREDITS for what goes beyond the hold */
  capture(input: CaptureInput, options?: CallOptions): Promise<Captured>;
  /** Keeps a hold for so many seconds from now. @throws BillingClientError HOLD_ENDED */
  extend(input: Credits["extendHold"]["input"], options?: CallOptions): Promise<Credits["extendHold"]["output"]>;
  /** Frees what is left of a hold; of one that has ended it says what became of it. */
  release(input: Credits["releaseHold"]["input"], options?: CallOptions): Promise<Released>;
  /**
   * Holds, lets the work say part by part what it used, and releases the rest whatever happens. While the work runs its lease
   * is extended, so that `leaseSeconds` is only how long credits stay set aside after a crash. Default 60.
   */
  withHold<Result>(
    input: HoldInput,
    work: (held: HeldWork<Held, PartInput, Captured>) => Promise<Result> | Result,
  ): Promise<Result>;
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

  const { credits } = trpc;
  const many = manyTaking(credits.consumeMany.mutate);
  const open = options.whenUnreachable === "allow" ? failingOpen(credits.consume.mutate, many, options.spool) : null;
  const consume: (input: SpooledConsume, options?: CallOptions) => Promise<unknown> =
    open?.consume ?? credits.consume.mutate;
  const consumeMany: (items: SpooledConsume[], options?: CallOptions) => Promise<ItemResult<unknown>[]> =
    open?.consumeMany ?? many;

  const client: BillingClient<unknown> = {
    trpc,
    consume: (input, callOptions) => consume(keyed(input), callOptions),
    consumeMany: (items, callOptions) => consumeMany(items.map(keyed), callOptions),
    check: (input, callOptions) => credits.check.query(input, callOptions),
    estimate: (input, callOptions) => credits.estimate.query(input, callOptions),
    hold: (input, callOptions) => credits.hold.mutate(keyed(input), callOptions),
    capture: (input, callOptions) => credits.capture.mutate(keyed(input), callOptions),
    extend: (input, callOptions) => credits.extendHold.mutate(input, callOptions),
    release: (input, callOptions) => credits.releaseHold.mutate(input, callOptions),
    withHold(input, work) {
      const { organizationId, leaseSeconds = DEFAULT_LEASE_SECONDS } = input;
      const steps: HoldSteps<Held, PartInput, Captured> = {
        hold: () => client.hold({ ...input, leaseSeconds }),
        capture: ({ holdId }, part) => client.capture({ ...part, organizationId, holdId }),
        extend: ({ holdId }) => client.extend({ organizationId, holdId, leaseSeconds }),
        release: ({ holdId }) => client.release({ organizationId, holdId }),
      };
      return holding(steps, leaseSeconds * 1000, work);
    },
    balance: (input, callOptions) => credits.balance.query(input, callOptions),
    grant: (input, callOptions) => credits.grant.mutate(keyed(input), callOptions),
    spool: open?.spool ?? null,
    close: async () => open?.close(),
  };
  return client;
}

// Short: the lease is kept while the work runs, and after a crash the credits should soon be free.
const DEFAULT_LEASE_SECONDS = 60;

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
