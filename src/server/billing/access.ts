// Which role a caller has in an organization. The only place that decides it.
import type { ActingRole } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import type { Actor } from "../auth/actor";
import { asOrganization } from "../db";

/**
 * The caller's role in an organization.
 * @throws BillingError NOT_FOUND for a person who is no member (whether or not it exists); FORBIDDEN for another organization's key
 */
export async function roleIn(actor: Actor, organizationId: string): Promise<ActingRole> {
  if (actor.kind === "service") {
    if (actor.organizationId === null) return "platform";
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
  if (actor.isPlatformAdmin) return "platform";
  throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
}
