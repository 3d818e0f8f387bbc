// How an answer goes wrong when a fault was asked for.
import type { ServerResponse } from "node:http";
import { StripeError, type StripeErrorFields } from "../errors";
import type { ApiFault, ApiFaultKind } from "../faults";
import type { ApiAnswer } from "./api";

type Send = (answer: ApiAnswer) => void;

function refusal(status: number, fields: StripeErrorFields, headers: Record<string, string> = {}): ApiAnswer {
  return { status, headers, body: JSON.stringify(new StripeError(status, fields), null, 2) };
}

/** Answers that are whole, but not what the work would have answered. */
const ANSWERS: Partial<Record<ApiFaultKind, ApiAnswer>> = {
  "429": refusal(
    429,
    {
      type: "invalid_request_error",
      code: "rate_limit",
      message: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
    },
    { "retry-after": "1", "stripe-rate-limited-reason": "global-rate" },
  ),
  lock_timeout: refusal(429, {
    type: "invalid_request_error",
    code: "lock_timeout",
    message:
      "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.",
  }),
  "500": refusal(500, { type: "api_error", message: "An unknown error occurred." }),
  "404_without_error": { status: 404, headers: {}, body: JSON.stringify({ message: "Not Found" }) },
  "500_without_error": { status: 500, headers: {}, body: JSON.stringify({ message: "Internal Server Error" }) },
  html: {
    status: 502,
    headers: { "content-type": "text/html" },
    body: "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n",
  },
};

function cutOff(response: ServerResponse, answer: ApiAnswer): void {
  const bytes = Buffer.from(answer.body);
  response.writeHead(answer.status, {
    ...answer.headers,
    "content-type": "application/json",
    "content-length": bytes.length,
  });
  response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
}

/**
 * Answers a request as a fault has it. `work` does what was asked for; it is called once, or not at all.
 * A slow request before the work is not done when its caller has gone meanwhile.
 */
export function sendFaulty(response: ServerResponse, fault: ApiFault, work: () => ApiAnswer, send: Send): void {
  const later = (then: () => void) => setTimeout(() => !response.destroyed && then(), fault.ms).unref();
  if (fault.kind === "slow" && fault.when === "before") {
    later(() => send(work()));
    return;
  }
  const answer = fault.when === "after" ? work() : null;
  const other = ANSWERS[fault.kind];
  if (other) send({ ...other, headers: { ...answer?.headers, ...other.headers } });
  else if (fault.kind === "slow") later(() => answer && send(answer));
  else if (fault.kind === "timeout") later(() => response.destroy());
  else if (fault.kind === "reset") response.socket?.resetAndDestroy();
  else cutOff(response, answer ?? { status: 200, headers: {}, body: '{\n  "object": "event"\n}' });
}
