// What a preview of a plan change promised, for the change to keep: signed, because its date decides what is paid.
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { BillingError } from "~/domain/errors";
import { fingerprint } from "../db/keys";
import { env } from "../env";

// Long enough to think about it; what is paid is as of the preview.
const VALID_FOR_MS = 30 * 60_000;

const promise = z.object({
  subscriptionId: z.string(),
  /** Fingerprint of the subscription's state, and of what was shown. */
  state: z.string(),
  stripePriceId: z.string(),
  /** Seconds, as Stripe counts. */
  prorationDate: z.int(),
  /** Due at once, in minor units, tax included. */
  amount: z.int(),
});

export type ChangePromise = z.infer<typeof promise>;

export function stateText(state: unknown): string {
  return fingerprint(state).slice(0, 32);
}

export function signChange(given: ChangePromise): string {
  const body = Buffer.from(JSON.stringify(given)).toString("base64url");
  return `${body}.${signatureOf(body)}`;
}

/**
 * Reads what was promised. Whether it still holds is for the caller to see, from the state.
 * @throws BillingError INVALID_INPUT for a token that is none of ours
 */
export function readChange(token: string): ChangePromise {
  const [body = "", signature = ""] = token.split(".");
  const given = Buffer.from(signature);
  const right = Buffer.from(signatureOf(body));
  if (given.length !== right.length || !timingSafeEqual(given, right)) throw notOurs();
  const read = promise.safeParse(JSON.parse(Buffer.from(body, "base64url").toString()));
  if (!read.success) throw notOurs();
  return read.data;
}

/** Whether the preview is too old to be charged by. */
export function isOutdated({ prorationDate }: ChangePromise, now: Date): boolean {
  return now.getTime() - prorationDate * 1000 > VALID_FOR_MS;
}

function signatureOf(body: string): string {
  return createHmac("sha256", env().NEXTAUTH_SECRET).update(`plan change:${body}`).digest("base64url");
}

function notOurs(): BillingError {
  return new BillingError("INVALID_INPUT", "This is no preview of ours. Preview the change again.", {});
}
