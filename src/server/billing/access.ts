// Which role a caller has in an organization. The only place that decides it.
import type { ActingRole } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import type { Actor } from "../auth/actor";
import { asOrganization } from "../db";

/**
 * The caller's role in an organization.
 * @throws BillingError NOT_FOUND for a person who is no member (whether or not it exists), and for the platform where there is
 *   no such organization; FORBIDDEN for another organization's key
 */
export async function roleIn(actor: Actor, organizationId: string): Promise<ActingRole> {
  if (actor.kind === "service") {
    if (actor.organizationId === null) return platformRole(organizationId);
    if (actor.organizationId === organizationId) return "service";
    throw new BillingError("FORBIDDEN", "This API key belongs to another organization.");
  }
  const membership = await asOrganization(organizationId, (tx) =>
    tx.membership.findFirst({
      where: { organizationId, userId: actor.userId, organization: { deletedAt: null } },
      select: { role: true },
    }),
  );
  if (membership) return membership.role;
  if (actor.isPlatformAdmin) return platformRole(organizationId);
  throw noSuchOrganization(organizationId);
}

/** The platform may act for any organization, but not for one that does not exist: "no subscription" would be a wrong answer. */
async function platformRole(organizationId: string): Promise<ActingRole> {
  const known = await asOrganization(organizationId, (tx) =>
    tx.organization.count({ where: { id: organizationId, deletedAt: null } }),
  );
  if (known === 0) throw noSuchOrganization(organizationId);
  return "platform";
}

function noSuchOrganization(organizationId: string): BillingError {
  return new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
}
