// The one table and the one middleware that turn failures into answers.
import { TRPCError } from "@trpc/server";
import { getHTTPStatusCodeFromError } from "@trpc/server/http";
import { TRPC_ERROR_CODES_BY_KEY } from "@trpc/server/rpc";
import { ZodError, z } from "zod";
import { BillingError, type BillingErrorCode, type BillingErrorDetails } from "~/domain/errors";
import { log } from "../log";

type TransportCode = TRPCError["code"];

/** What each of our codes is over HTTP. */
export const TRANSPORT_CODES = {
  INVALID_INPUT: "BAD_REQUEST",
  UNAUTHENTICATED: "UNAUTHORIZED",
  FORBIDDEN: "FORBIDDEN",
  NOT_FOUND: "NOT_FOUND",
  INSUFFICIENT_CREDITS: "PAYMENT_REQUIRED",
  BUDGET_EXCEEDED: "PAYMENT_REQUIRED",
  ACCOUNT_SUSPENDED: "FORBIDDEN",
  PAYMENT_OVERDUE: "PAYMENT_REQUIRED",
  HOLD_ENDED: "CONFLICT",
  UNKNOWN_EVENT: "NOT_FOUND",
  INACTIVE_EVENT: "UNPROCESSABLE_CONTENT",
  IDEMPOTENCY_CONFLICT: "CONFLICT",
  ALREADY_SUBSCRIBED: "CONFLICT",
  NO_SUBSCRIPTION: "PRECONDITION_FAILED",
  WRONG_STATE: "CONFLICT",
  CHANGE_EXPIRED: "CONFLICT",
  WRONG_CURRENCY: "CONFLICT",
  PLAN_NOT_AVAILABLE: "UNPROCESSABLE_CONTENT",
  PRODUCT_NOT_AVAILABLE: "UNPROCESSABLE_CONTENT",
  NO_BILLING_ACCOUNT: "PRECONDITION_FAILED",
  ALREADY_MEMBER: "CONFLICT",
  INVITATION_NOT_VALID: "UNPROCESSABLE_CONTENT",
  GIFT_NOT_VALID: "UNPROCESSABLE_CONTENT",
  LAST_OWNER: "UNPROCESSABLE_CONTENT",
  BUSY: "SERVICE_UNAVAILABLE",
  OVERLOADED: "SERVICE_UNAVAILABLE",
  STRIPE_UNAVAILABLE: "SERVICE_UNAVAILABLE",
  STRIPE_REFUSED: "UNPROCESSABLE_CONTENT",
  PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
  INTERNAL: "INTERNAL_SERVER_ERROR",
} as const satisfies Record<BillingErrorCode, TransportCode>;

/** What rides beside tRPC's own code in each failure: `error.data.billing`. */
export interface BillingFailure {
  code: BillingErrorCode;
  details: BillingErrorDetails;
}

const CODES_FROM_TRANSPORT: Partial<Record<TransportCode, BillingErrorCode>> = {
  BAD_REQUEST: "INVALID_INPUT",
  PARSE_ERROR: "INVALID_INPUT",
  UNAUTHORIZED: "UNAUTHENTICATED",
  FORBIDDEN: "FORBIDDEN",
  NOT_FOUND: "NOT_FOUND",
  METHOD_NOT_SUPPORTED: "INVALID_INPUT",
  UNSUPPORTED_MEDIA_TYPE: "INVALID_INPUT",
  PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
};

/** What a caller may know of a failure. Our own faults say nothing: no stack, SQL or secret leaves the server. */
export function failureOf(error: TRPCError): { failure: BillingFailure; message: string } {
  const { cause } = error;
  if (cause instanceof BillingError)
    return { failure: { code: cause.code, details: cause.details }, message: cause.message };
  if (cause instanceof ZodError) {
    const issues = cause.issues.slice(0, 20).map(issueOf);
    return { failure: { code: "INVALID_INPUT", details: { issues } }, message: z.prettifyError(cause).slice(0, 1000) };
  }
  const code = CODES_FROM_TRANSPORT[error.code] ?? "INTERNAL";
  if (code === "INTERNAL") return { failure: { code, details: {} }, message: "Something went wrong on our side." };
  return { failure: { code, details: {} }, message: cause ? "The request could not be read." : error.message };
}

// A name that a caller made up may be as long as a request.
const LONGEST_ECHO = 200;

function issueOf({ path, message }: z.core.$ZodIssue): { path: string; message: string } {
  return { path: path.join(".").slice(0, LONGEST_ECHO), message: message.slice(0, LONGEST_ECHO) };
}

/** Turns an expected failure of a use-case into its answer, and logs what is our own fault. */
export function toTRPCError(error: TRPCError, path: string): TRPCError {
  const { cause } = error;
  if (cause instanceof BillingError) {
    return new TRPCError({ code: TRANSPORT_CODES[cause.code], message: cause.message, cause });
  }
  if (error.code === "INTERNAL_SERVER_ERROR") log.error("a procedure failed", { path, error: cause ?? error });
  return error;
}

/** The answer to a body beyond the limit, in the form of every other failure: it never reaches a procedure. */
export function tooLarge(): Response {
  return refusal("PAYLOAD_TOO_LARGE", "The request is too large.");
}

/** The answer to an address that is not encoded as addresses are: it names no procedure. */
export function unreadable(): Response {
  return refusal("INVALID_INPUT", "The request could not be read.");
}

function refusal(code: "PAYLOAD_TOO_LARGE" | "INVALID_INPUT", message: string): Response {
  const transport = TRANSPORT_CODES[code];
  const status = getHTTPStatusCodeFromError(new TRPCError({ code: transport }));
  const failure: BillingFailure = { code, details: {} };
  const data = { code: transport, httpStatus: status, billing: failure };
  return Response.json({ error: { json: { message, code: TRPC_ERROR_CODES_BY_KEY[transport], data } } }, { status });
}
