// The organization of an address as its layout needs it: without sending anybody away, which is for the pages to do.
import "server-only";
import { cache } from "react";
import { currentPerson } from "~/server/auth/current-person";
import { getOrganizationBySlug } from "~/server/billing/organizations";
import { expectedFailure } from "../../_trpc/server";

/** Who looks and where, or null where nobody is signed in or the organization is not theirs to see. */
export const findMembership = cache(async (slug: string) => {
  const person = await currentPerson();
  if (!person) return null;
  try {
    return { person, organization: await getOrganizationBySlug(slug, person) };
  } catch (error) {
    if (expectedFailure(error) === "NOT_FOUND") return null;
    throw error;
  }
});
