// Who belongs to an organization, and with which role. An organization always keeps an owner.
import { type ActingRole, canAssignRole, type OrganizationRole } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import { asOrganization, type Transaction } from "../db";

const MAX_LISTED = 1000;

export interface Member {
  userId: string;
  name: string | null;
  email: string;
  image: string | null;
  role: OrganizationRole;
  joinedAt: Date;
}

/** The members of an organization: owners first, then by the time they joined. */
export async function listMembers(organizationId: string): Promise<Member[]> {
  const rows = await asOrganization(organizationId, (tx) =>
    tx.membership.findMany({
      where: { organizationId },
      select: { role: true, createdAt: true, user: { select: { id: true, name: true, email: true, image: true } } },
      orderBy: [{ role: "asc" }, { createdAt: "asc" }, { userId: "asc" }],
      take: MAX_LISTED,
    }),
  );
  return rows.map(({ role, createdAt, user }) => ({
    userId: user.id,
    name: user.name,
    email: user.email,
    image: user.image,
    role,
    joinedAt: createdAt,
  }));
}

/**
 * Gives a member another role. The same role again changes nothing.
 * @throws BillingError NOT_FOUND (no such member), FORBIDDEN (only an owner makes or unmakes owners), LAST_OWNER
 */
export async function changeMemberRole(request: {
  organizationId: string;
  userId: string;
  role: OrganizationRole;
  /** What the caller is in the organization. */
  actingRole: ActingRole;
}): Promise<{ userId: string; role: OrganizationRole }> {
  const { organizationId, userId, role, actingRole } = request;
  return asOrganization(organizationId, async (tx) => {
    await lockMembers(tx, organizationId);
    const current = await getRole(tx, organizationId, userId);
    requireMayAssign(actingRole, current, role);
    if (current === "owner" && role !== "owner") await requireAnotherOwner(tx, organizationId, userId);
    await tx.membership.update({ where: { organizationId_userId: { organizationId, userId } }, data: { role } });
    return { userId, role };
  });
}

/**
 * Ends somebody's membership. API keys that they made belong to the organization and go on.
 * @throws BillingError NOT_FOUND (no such member), FORBIDDEN (only an owner removes an owner), LAST_OWNER
 */
export async function removeMember(request: {
  organizationId: string;
  userId: string;
  actingRole: ActingRole;
}): Promise<void> {
  const { organizationId, userId, actingRole } = request;
  await endMembership(organizationId, userId, (role) => requireMayAssign(actingRole, role, "member"));
}

/** Ends one's own membership, which every role may. @throws BillingError NOT_FOUND, LAST_OWNER */
export async function leaveOrganization(request: { organizationId: string; userId: string }): Promise<void> {
  await endMembership(request.organizationId, request.userId);
}

async function endMembership(
  organizationId: string,
  userId: string,
  requireAllowed: (role: OrganizationRole) => void = () => {},
): Promise<void> {
  await asOrganization(organizationId, async (tx) => {
    await lockMembers(tx, organizationId);
    const role = await getRole(tx, organizationId, userId);
    requireAllowed(role);
    if (role === "owner") await requireAnotherOwner(tx, organizationId, userId);
    await tx.membership.delete({ where: { organizationId_userId: { organizationId, userId } } });
  });
}

/**
 * Lets one change of an organization's members or invitations happen at a time: whether an owner is the last one can
 * only be said while nobody else can leave. Foreign keys to the organization are not held up by it.
 * @throws BillingError NOT_FOUND where there is no such organization
 */
export async function lockMembers(tx: Transaction, organizationId: string): Promise<void> {
  const rows = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM organizations WHERE id = ${organizationId}::uuid AND deleted_at IS NULL FOR NO KEY UPDATE`;
  if (rows.length === 0) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
}

/** What people are called, by their ids; those whom the transaction may not see are left out. */
export async function displayNames(
  tx: Transaction,
  userIds: (string | null)[],
): Promise<Pick<ReadonlyMap<string | null, string>, "get">> {
  const ids = userIds.filter((id) => id !== null);
  const users = await tx.user.findMany({ where: { id: { in: ids } }, select: { id: true, name: true, email: true } });
  return new Map<string | null, string>(users.map(({ id, name, email }) => [id, name ?? email]));
}

/** Asserts that a caller may turn one role into another; null for somebody who is no member yet. @throws BillingError FORBIDDEN */
export function requireMayAssign(
  actingRole: ActingRole,
  current: OrganizationRole | null,
  next: OrganizationRole,
): void {
  if (canAssignRole(actingRole, current, next)) return;
  const concernsOwner = current === "owner" || next === "owner";
  throw new BillingError(
    "FORBIDDEN",
    concernsOwner ? "Only an owner decides who the owners are." : "Your role does not allow this.",
    { role: actingRole, current, next },
  );
}

async function getRole(tx: Transaction, organizationId: string, userId: string): Promise<OrganizationRole> {
  const membership = await tx.membership.findUnique({
    where: { organizationId_userId: { organizationId, userId } },
    select: { role: true },
  });
  if (!membership) throw new BillingError("NOT_FOUND", "There is no such member.", { userId });
  return membership.role;
}

async function requireAnotherOwner(tx: Transaction, organizationId: string, userId: string): Promise<void> {
  const others = await tx.membership.count({ where: { organizationId, role: "owner", userId: { not: userId } } });
  if (others === 0) {
    throw new BillingError("LAST_OWNER", "An organization needs an owner. Make somebody else an owner first.", {
      userId,
    });
  }
}
