// tRPC on the server: the same procedures, called directly, for the first paint of a page.
import "server-only";
import { TRPCError } from "@trpc/server";
import { notFound, redirect } from "next/navigation";
import { cache } from "react";
import { BillingError } from "~/domain/errors";
import { createCaller } from "~/server/api/root";
import { currentPerson } from "~/server/auth/current-person";
import { getOrganizationBySlug } from "~/server/billing/organizations";
import { now } from "~/server/clock";

/** Procedures as whoever looks at the page. */
export const caller = cache(async () => createCaller({ actor: await currentPerson(), now: now() }));

/** The person who is signed in; anybody else is sent to sign in and comes back to `path`. */
export async function requirePerson(path: string) {
  const person = await currentPerson();
  if (!person) redirect(`/signin?callbackUrl=${encodeURIComponent(path)}`);
  return person;
}

/** The organization of a page's address, for its members; for everybody else there is no such page. */
export const requireOrganization = cache(async (slug: string, path: string) => {
  const person = await requirePerson(path);
  try {
    const organization = await getOrganizationBySlug(slug, person);
    return { person, organization };
  } catch (error) {
    if (error instanceof BillingError && error.code === "NOT_FOUND") notFound();
    throw error;
  }
});

/** Somebody who administers the platform; for everybody else there is no such page. */
export async function requirePlatformAdmin(path: string) {
  const person = await requirePerson(path);
  if (!person.isPlatformAdmin) notFound();
  return person;
}

/** The code of an expected failure, for pages that show something else then; null for anything else. */
export function expectedFailure(error: unknown): string | null {
  if (error instanceof BillingError) return error.code;
  if (error instanceof TRPCError && error.cause instanceof BillingError) return error.cause.code;
  return null;
}
