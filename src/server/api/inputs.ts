// Parts of inputs that several routers share, each with its limits.
import { z } from "zod";
import { toCredits } from "~/domain/credits";
import type { Actor } from "../auth/actor";
import type { Buyer } from "../billing/checkout";

const CONTROL = /\p{Cc}/u;
const noControl = (text: string) => !CONTROL.test(text);

/** A line of text as people and services name things: no control characters, no blank ends. */
export function line(maxLength: number) {
  return z.string().trim().min(1).max(maxLength).refine(noControl, "must not contain control characters");
}

/** A caller's key for one unit of work. */
export const idempotencyKey = z.string().min(1).max(255).refine(noControl, "must not contain control characters");

/** A positive whole number that JavaScript counts exactly. */
export const positiveCredits = z.int().positive().transform(toCredits);

export const currency = z
  .string()
  .regex(/^[a-zA-Z]{3}$/, "must be a currency of three letters")
  .transform((code) => code.toLowerCase());

export const pageLimit = z.int().min(1).max(100).default(25);

const METADATA_KEYS = 50;
const METADATA_BYTES = 8192;

/** Facts that a service keeps with a transaction: a flat object, at most 50 keys and 8 kB. */
export const metadata = z
  .record(z.string().min(1).max(100), z.union([z.string().max(2000), z.number(), z.boolean(), z.null()]))
  .refine((value) => Object.keys(value).length <= METADATA_KEYS, `must not have more than ${METADATA_KEYS} keys`)
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= METADATA_BYTES, "must not be larger than 8 kB")
  // Postgres stores no NUL in text; said here rather than failed there.
  .refine((value) => !JSON.stringify(value).includes("\\u0000"), "must not contain NUL");

/** Who buys, for the checkouts. */
export function buyerOf(ctx: { actor: Actor; now: Date }, organizationId: string): Buyer {
  const { actor, now } = ctx;
  const person = actor.kind === "person" ? actor : null;
  return { organizationId, userId: person?.userId ?? null, email: person?.email ?? null, now };
}
