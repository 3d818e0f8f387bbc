// Parts of inputs that several routers share, each with its limits.
import { z } from "zod";
import { toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { isReadable } from "~/domain/text";
import { type Actor, actorName } from "../auth/actor";
import type { Buyer } from "../billing/checkout";
import type { Spender } from "../billing/credits";
import { isFieldName } from "./transformer";

/** A line of text as people and services name things: no control characters, no blank ends. */
export function line(maxLength: number) {
  return z.string().trim().min(1).max(maxLength).refine(isReadable, "must not contain control characters");
}

/** A caller's key for one unit of work. */
export const idempotencyKey = z.string().min(1).max(255).refine(isReadable, "must not contain control characters");

/** An id, written as the database writes it: another spelling of it would slip past what is compared in memory. */
export const id = z.uuid().toLowerCase();

// Far above what anybody is given, and far below where a balance would leave the safe integers.
export const MOST_CREDITS = 1_000_000_000_000;

/** An amount to give: a positive whole number. */
export const positiveCredits = z.int().positive().max(MOST_CREDITS).transform(toCredits);

/** An amount to give or, negative, to take back: a whole number other than 0. */
export const signedCredits = z
  .int()
  .min(-MOST_CREDITS)
  .max(MOST_CREDITS)
  .refine((amount) => amount !== 0, "must not be 0");

/** An instant that the database and JavaScript read alike. */
export const instant = z.date().min(new Date("1970-01-01T00:00:00Z")).max(new Date("9999-12-31T00:00:00Z"));

/** What somebody looks for. */
export const searchText = z.string().trim().max(255).refine(isReadable, "must not contain control characters");

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
  // What Postgres cannot store is said here rather than failed there.
  .refine((value) => Object.entries(value).flat().every(isStorable), "must not contain NUL or halves of characters")
  // It would be kept, and then never be shown.
  .refine((value) => Object.keys(value).every(isFieldName), "must not have a key that all objects have");

function isStorable(part: unknown): boolean {
  return typeof part !== "string" || !(part.includes("\0") || /\p{Cs}/u.test(part));
}

/** Who buys, for the checkouts. */
export function buyerOf(ctx: { actor: Actor; now: Date }, organizationId: string): Buyer {
  const { actor, now } = ctx;
  const person = actor.kind === "person" ? actor : null;
  return { organizationId, userId: person?.userId ?? null, email: person?.email ?? null, now };
}

/** On whose account inside the organization something is spent, for budgets and usage. */
export const tags = {
  /** A tag of the organization's own. */
  project: line(100).optional(),
  /** The member on whose behalf a service spends. */
  memberId: id.optional(),
};

/**
 * Who spends, for the ledger and the budgets. A person spends on their own account, whatever budgets it has.
 * @throws BillingError FORBIDDEN where a person names another member
 */
export function spenderOf(
  actor: Actor,
  given: { project?: string | undefined; memberId?: string | undefined },
): Spender {
  const service = actor.kind === "service" ? actor : null;
  return {
    actor: actorName(actor),
    apiKeyId: service?.apiKeyId ?? null,
    project: given.project ?? null,
    memberId: memberOf(actor, given.memberId ?? null),
  };
}

function memberOf(actor: Actor, given: string | null): string | null {
  if (actor.kind === "service" || (actor.isPlatformAdmin && given !== null)) return given;
  if (given === null || given === actor.userId) return actor.userId;
  throw new BillingError("FORBIDDEN", "Only services spend on behalf of others.", { memberId: given });
}
