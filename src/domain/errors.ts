// The two kinds of failure: a `BillingError` is expected and told to the caller; a broken invariant is our own fault.

/** Every expected failure, by the code that a caller branches on. What each is over HTTP is said in `server/api/errors.ts`. */
export const BILLING_ERROR_CODES = [
  "INVALID_INPUT",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "NOT_FOUND",
  "INSUFFICIENT_CREDITS",
  "BUDGET_EXCEEDED",
  "ACCOUNT_SUSPENDED",
  "PAYMENT_OVERDUE",
  "HOLD_ENDED",
  "UNKNOWN_EVENT",
  "INACTIVE_EVENT",
  "IDEMPOTENCY_CONFLICT",
  "ALREADY_SUBSCRIBED",
  "NO_SUBSCRIPTION",
  "WRONG_STATE",
  "CHANGE_EXPIRED",
  "WRONG_CURRENCY",
  "PLAN_NOT_AVAILABLE",
  "PRODUCT_NOT_AVAILABLE",
  "NO_BILLING_ACCOUNT",
  "ALREADY_MEMBER",
  "INVITATION_NOT_VALID",
  "GIFT_NOT_VALID",
  "LAST_OWNER",
  "BUSY",
  "OVERLOADED",
  "STRIPE_UNAVAILABLE",
  "STRIPE_REFUSED",
  "PAYLOAD_TOO_LARGE",
  "INTERNAL",
] as const;

export type BillingErrorCode = (typeof BILLING_ERROR_CODES)[number];

export type BillingErrorDetails = Record<string, unknown>;

// A process may hold this module twice, a bundler's copy and Node's, and what both share hands errors from one to the other.
const MARK = Symbol.for("billfold.BillingError");

/** An expected failure: a code to branch on, a sentence for people, and the facts that explain it. */
export class BillingError extends Error {
  override readonly name = "BillingError";
  readonly [MARK] = true;

  /** Whichever copy of this module made it. */
  static override [Symbol.hasInstance](value: unknown): value is BillingError {
    return typeof value === "object" && value !== null && MARK in value;
  }

  constructor(
    readonly code: BillingErrorCode,
    message: string,
    readonly details: BillingErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Something that cannot be, is: a bug of ours, never a caller's mistake. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Asserts what must hold. @throws InvariantError with the message. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
