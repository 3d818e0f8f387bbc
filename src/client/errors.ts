// How a call fails, with what a service branches on: a code, and the details of that code.
import type { ServerFailureCode } from "./contract";

/** What each failure says beside its code. A code that is not listed has details that only explain. */
export interface FailureDetails {
  /** Credits that the work costs, and that could be spent. Nothing was taken. */
  INSUFFICIENT_CREDITS: { required: number; available: number };
  /** A budget inside the organization refuses: what it allows and has given, what was wanted, and when it begins anew. */
  BUDGET_EXCEEDED: {
    budgetId: string;
    scope: "api_key" | "member" | "project";
    subject: string;
    window: "day" | "month" | "total";
    limit: number;
    used: number;
    required: number;
    resetsAt: Date | null;
  };
  /** Spending stopped because a payment was taken back. */
  ACCOUNT_SUSPENDED: { organizationId: string };
  /** Spending stopped at that instant, because a payment of the subscription is overdue; it goes on once that is paid. */
  PAYMENT_OVERDUE: { organizationId: string; since: Date };
  /** The hold was released, or its lease is over: nothing was taken now; credits that were taken of it, and that became free. */
  HOLD_ENDED: { holdId: string; reason: "released" | "lease_ended"; endedAt: Date; captured: number; released: number };
  UNKNOWN_EVENT: { eventName: string };
  INACTIVE_EVENT: { eventName: string; activeFrom?: Date };
  /** The key stands for other work already: the transaction that it made. */
  IDEMPOTENCY_CONFLICT: { idempotencyKey: string; transactionId: string };
  INVALID_INPUT: { issues?: { path: string; message: string }[] };
  /** More work than Billfold takes on at once: nothing was taken; milliseconds until it is worth trying again. */
  OVERLOADED: { retryAfterMs: number };
  /** Nobody answered, after so many tries. Whether it was done is not known: the same key finds out. */
  UNREACHABLE: { attempts: number };
  /** Somebody answered who is not Billfold: an address that is wrong, or a proxy's own page. */
  UNEXPECTED_ANSWER: Record<string, never>;
}

/** Every code that a call may fail with: Billfold's own, and two for when it was not Billfold that answered. */
export type BillingFailureCode = ServerFailureCode | keyof FailureDetails;

export type DetailsOf<Code extends BillingFailureCode> = Code extends keyof FailureDetails
  ? FailureDetails[Code]
  : Record<string, unknown>;

interface FailureFacts {
  httpStatus?: number | null;
  retryable?: boolean;
  retryAfterMs?: number | null;
  cause?: unknown;
}

/** A call that failed. `isBillingError(error, code)` and `billingErrorOf(error)` know the details of each code. */
export class BillingClientError<Code extends BillingFailureCode = BillingFailureCode> extends Error {
  override readonly name: string = "BillingClientError";
  readonly code: Code;
  readonly details: DetailsOf<Code>;
  /** Of the answer; null where there was none. */
  readonly httpStatus: number | null;
  /** Whether the same call, with the same key, may do better later. */
  readonly retryable: boolean;
  /** Milliseconds that the server asked for before another try; null where it did not. */
  readonly retryAfterMs: number | null;

  constructor(code: Code, message: string, details: DetailsOf<Code>, facts: FailureFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.details = details;
    this.httpStatus = facts.httpStatus ?? null;
    this.retryable = facts.retryable ?? false;
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }
}

/** Any failure, such that `failure.code === "…"` tells TypeScript the details. */
export type BillingClientFailure = { [Code in BillingFailureCode]: BillingClientError<Code> }[BillingFailureCode];

/** Reads any error as what Billfold said; null for one that is not from a call. Understands tRPC's own client's errors too. */
export function billingErrorOf(error: unknown): BillingClientFailure | null {
  if (error instanceof BillingClientError) return error as BillingClientFailure;
  if (!(error instanceof Error) || error.name !== "TRPCClientError") return null;
  const { data } = error as { data?: FailureData | null };
  return data?.billing
    ? serverFailure(error.message, data, null, error)
    : unreachable(1, `Billfold gave no answer: ${error.message}`, { cause: error });
}

/** Whether an error is of one code: `if (isBillingError(error, "INSUFFICIENT_CREDITS")) error.details.required` */
export function isBillingError<Code extends BillingFailureCode>(
  error: unknown,
  code: Code,
): error is BillingClientError<Code> {
  return error instanceof BillingClientError && error.code === code;
}

/** `error.data` of an answer of Billfold's. */
export interface FailureData {
  httpStatus?: number;
  billing?: { code: string; details: Record<string, unknown> };
}

const STATUS_OF_NOT_NOW = new Set([408, 429, 502, 503, 504]);

/** What Billfold said. */
export function serverFailure(
  message: string,
  data: FailureData,
  retryAfterMs: number | null,
  cause?: unknown,
): BillingClientFailure {
  const { code, details } = data.billing ?? { code: "INTERNAL", details: {} };
  const asked = typeof details.retryAfterMs === "number" ? details.retryAfterMs : retryAfterMs;
  return new BillingClientError(code as BillingFailureCode, message, details as never, {
    httpStatus: data.httpStatus ?? null,
    retryable: STATUS_OF_NOT_NOW.has(data.httpStatus ?? 0),
    retryAfterMs: asked,
    cause,
  }) as BillingClientFailure;
}

/** Nobody answered, or a proxy did that could not reach Billfold. */
export function unreachable(attempts: number, message: string, facts: FailureFacts = {}): BillingClientFailure {
  return new BillingClientError("UNREACHABLE", message, { attempts }, { ...facts, retryable: true });
}
