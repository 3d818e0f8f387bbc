// Errors in Stripe's own shape, with Stripe's own words.
import type Stripe from "stripe";

export interface StripeErrorFields {
  type: "invalid_request_error" | "card_error" | "idempotency_error" | "api_error";
  message: string;
  code?: string;
  param?: string;
  decline_code?: string;
  advice_code?: string;
  charge?: string;
  payment_intent?: unknown;
  setup_intent?: unknown;
  payment_method?: unknown;
  doc_url?: string;
  request_log_url?: string;
}

/** A refusal that is answered to the caller as `{ error: … }`. */
export class StripeError extends Error {
  constructor(
    readonly status: number,
    readonly fields: StripeErrorFields,
    /** A declined payment is an answer, not an accident: what was written before it stays. */
    readonly keepsWrites = false,
    /** Refused before the endpoint began its work: such answers are not kept under the idempotency key. */
    readonly beforeExecution = false,
  ) {
    super(fields.message);
  }

  toJSON(): { error: StripeErrorFields } {
    const { code } = this.fields;
    return {
      error: {
        ...this.fields,
        ...(code && { doc_url: `https://stripe.com/docs/error-codes/${code.replaceAll("_", "-")}` }),
      },
    };
  }
}

/** 400 invalid_request_error. */
export function invalidRequest(message: string, param?: string, code?: string): StripeError {
  return new StripeError(400, {
    type: "invalid_request_error",
    message,
    ...(code && { code }),
    ...(param && { param }),
  });
}

/** The same, found while reading the parameters: the endpoint has not begun. */
export function invalidParameter(message: string, param: string, code?: string): StripeError {
  const { status, fields } = invalidRequest(message, param, code);
  return new StripeError(status, fields, false, true);
}

/** 404 for an id in the path; 400 for one inside the parameters, as Stripe does. */
export function missingResource(noun: string, id: string, param = "id"): StripeError {
  return new StripeError(param === "id" ? 404 : 400, {
    type: "invalid_request_error",
    code: "resource_missing",
    message: `No such ${noun}: '${id}'`,
    param,
  });
}

/** 402 card_error; what the attempt wrote is kept. */
export function cardError(
  failure: { code: string; declineCode?: string; message: string },
  extra: Partial<StripeErrorFields> = {},
): StripeError {
  return new StripeError(
    402,
    {
      type: "card_error",
      code: failure.code,
      message: failure.message,
      ...(failure.declineCode && { decline_code: failure.declineCode }),
      ...extra,
    },
    true,
  );
}

export type PaymentErrorCode = Stripe.PaymentIntent.LastPaymentError["code"];
