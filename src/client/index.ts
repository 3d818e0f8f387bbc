// The client that other TypeScript services install: typed from the router, batching, with retries that take once.
import { randomUUID } from "node:crypto";
import { createTRPCClient, httpBatchLink, TRPCClientError, type TRPCLink } from "@trpc/client";
import type { inferRouterInputs } from "@trpc/server";
import { observable } from "@trpc/server/observable";
import superjson from "superjson";
import type { BillingFailure } from "~/server/api/errors";
import type { AppRouter } from "~/server/api/root";

export interface BillingClientOptions {
  /** Where Billfold is, without a path: `https://billing.example.com`. */
  url: string;
  /** A key of one organization, or a platform key that may act for any. */
  apiKey: string;
  /** Milliseconds until a try is given up. Default 10,000. */
  timeoutMs?: number;
  /** Further tries after the first where nobody answered, or with "not now". Default 3. */
  maxRetries?: number;
  /** Most calls that share one request. Default 50. */
  maxBatchSize?: number;
  /** For tests, or to go through a proxy of yours. */
  fetch?: typeof fetch;
}

export type BillingFailureCode = BillingFailure["code"];

/** A call that failed, with what a service branches on. */
export class BillingClientError extends Error {
  override readonly name = "BillingClientError";

  constructor(
    /** Billfold's code, or `UNREACHABLE` when no answer came after all tries. */
    readonly code: BillingFailureCode | "UNREACHABLE",
    message: string,
    readonly details: Record<string, unknown>,
    readonly httpStatus: number | null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Reads any error as what Billfold said; null for one that is not from a call. */
export function billingErrorOf(error: unknown): BillingClientError | null {
  if (error instanceof BillingClientError) return error;
  if (!(error instanceof TRPCClientError)) return null;
  const data = error.data as { billing?: BillingFailure; httpStatus?: number } | null | undefined;
  if (data?.billing) {
    return new BillingClientError(data.billing.code, error.message, data.billing.details, data.httpStatus ?? null, {
      cause: error,
    });
  }
  return new BillingClientError("UNREACHABLE", `Billfold gave no answer: ${error.message}`, {}, null, { cause: error });
}

/** Whether an error is of one code: `if (isBillingError(error, "INSUFFICIENT_CREDITS")) …` */
export function isBillingError(error: unknown, code: BillingClientError["code"]): error is BillingClientError {
  return billingErrorOf(error)?.code === code;
}

type Inputs = inferRouterInputs<AppRouter>;
type WithOptionalKey<T extends { idempotencyKey: string }> = Omit<T, "idempotencyKey"> & { idempotencyKey?: string };

const RETRIED_STATUS = new Set([408, 429, 502, 503, 504]);
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

/**
 * A client for services.
 *
 * `consume` and `grant` carry one idempotency key for the call and all of its tries (yours, or one that is made), so a try
 * whose answer was lost takes nothing again. Calls made in the same turn of the event loop share a request.
 */
export function createBillingClient(options: BillingClientOptions) {
  const { url, apiKey, timeoutMs = 10_000, maxRetries = 3, maxBatchSize = 50 } = options;
  const send = options.fetch ?? fetch;
  const trpc = createTRPCClient<AppRouter>({
    links: [
      retries(maxRetries),
      httpBatchLink({
        url: `${url.replace(/\/$/, "")}/api/trpc`,
        transformer: superjson,
        maxItems: maxBatchSize,
        headers: { authorization: `Bearer ${apiKey}` },
        fetch: (input, init) =>
          send(input as RequestInfo, { ...(init as RequestInit), signal: within(timeoutMs, init?.signal) }),
      }),
    ],
  });
  return {
    /** Every procedure of the contract; failures are `TRPCClientError`s that `billingErrorOf` reads. */
    trpc,
    /**
     * Takes credits for a quantity of an event.
     * @throws BillingClientError INSUFFICIENT_CREDITS with `details: { required, available }`, UNKNOWN_EVENT, …
     */
    consume: (input: WithOptionalKey<Inputs["credits"]["consume"]>) =>
      named(trpc.credits.consume.mutate({ ...input, idempotencyKey: input.idempotencyKey ?? randomUUID() })),
    /** What an organization has. */
    balance: (input: Inputs["credits"]["balance"]) => named(trpc.credits.balance.query(input)),
    /** Gives credits; needs a platform key. */
    grant: (input: WithOptionalKey<Inputs["credits"]["grant"]>) =>
      named(trpc.credits.grant.mutate({ ...input, idempotencyKey: input.idempotencyKey ?? randomUUID() })),
  };
}

export type BillingClient = ReturnType<typeof createBillingClient>;

async function named<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw billingErrorOf(error) ?? error;
  }
}

function within(timeoutMs: number, signal: AbortSignal | null | undefined): AbortSignal {
  const limit = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}

/** Tries again what nobody answered. A query may always be; a mutation only where its key makes the copies one. */
function retries(maxRetries: number): TRPCLink<AppRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) => {
        let attempt = 0;
        let timer: NodeJS.Timeout | undefined;
        let running: { unsubscribe(): void } | undefined;
        const once = () => {
          running = next(op).subscribe({
            next: (value) => observer.next(value),
            complete: () => observer.complete(),
            error: (error) => {
              if (attempt >= maxRetries || !isRepeatable(op) || !isPassing(error)) return observer.error(error);
              // Full jitter: callers that failed together do not come back together.
              const ceiling = Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
              attempt += 1;
              timer = setTimeout(once, Math.random() * ceiling);
            },
          });
        };
        once();
        return () => {
          clearTimeout(timer);
          running?.unsubscribe();
        };
      });
}

function isRepeatable(op: { type: string; input: unknown }): boolean {
  if (op.type === "query") return true;
  return typeof (op.input as { idempotencyKey?: unknown } | null)?.idempotencyKey === "string";
}

function isPassing(error: TRPCClientError<AppRouter>): boolean {
  const status = error.data?.httpStatus ?? (error.meta?.response as Response | undefined)?.status;
  return status === undefined || RETRIED_STATUS.has(status);
}
