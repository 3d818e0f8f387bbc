// Which role a caller has in an organization. The only place that decides it.
import type { ActingRole } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import type { Actor } from "../auth/actor";
import { asOrganization, asPlatform, inOneExchange, Prisma } from "../db";

/**
 * The caller's role in an organization.
 * @throws BillingError NOT_FOUND for a person who is no member (whether or not it exists), and for the platform where there is
 *   no such organization; FORBIDDEN for another organization's key
 */
export async function roleIn(actor: Actor, organizationId: string): Promise<ActingRole> {
  if (actor.kind === "service") {
    if (actor.organizationId === null) return platformRole(organizationId);
    if (actor.organizationId === organizationId) return "service";
    throw foreignKey();
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

/** The caller's role in each of several organizations, or why there is none: what `roleIn` would say, in one question. */
export async function rolesIn(
  actor: Actor,
  organizationIds: readonly string[],
): Promise<Map<string, ActingRole | BillingError>> {
  const ids = [...new Set(organizationIds)];
  if (actor.kind === "service" && actor.organizationId !== null) {
    return new Map(ids.map((id) => [id, id === actor.organizationId ? "service" : foreignKey()]));
  }
  const userId = actor.kind === "person" ? actor.userId : null;
  const isPlatform = actor.kind === "service" || actor.isPlatformAdmin;
  const organizations = await asPlatform((tx) =>
    tx.organization.findMany({
      where: { id: { in: ids }, deletedAt: null },
      select: { id: true, ...(userId === null ? {} : { memberships: { where: { userId }, select: { role: true } } }) },
    }),
  );
  const found = new Map<string, ActingRole | null>(
    organizations.map(({ id, memberships }) => [id, memberships?.[0]?.role ?? (isPlatform ? "platform" : null)]),
  );
  return new Map(ids.map((id) => [id, found.get(id) ?? noSuchOrganization(id)]));
}

function foreignKey(): BillingError {
  return new BillingError("FORBIDDEN", "This API key belongs to another organization.");
}

/** The same for what only the ledger does, which tells itself where there is no such organization. @throws BillingError as `roleIn` */
export async function spendingRoleIn(actor: Actor, organizationId: string): Promise<ActingRole> {
  return actor.kind === "service" && actor.organizationId === null ? "platform" : roleIn(actor, organizationId);
}

/** The platform may act for any organization, but not for one that does not exist: "no subscription" would be a wrong answer. */
async function platformRole(organizationId: string): Promise<ActingRole> {
  const [known] = await inOneExchange<[object]>(
    Prisma.sql`SELECT FROM organizations WHERE id = ${organizationId}::uuid AND deleted_at IS NULL`,
  );
  if (known.length === 0) throw noSuchOrganization(organizationId);
  return "platform";
}

function noSuchOrganization(organizationId: string): BillingError {
  return new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
}
