// Invitations: mailed to an address, accepted by the person who signs in with it.
import { randomBytes } from "node:crypto";
import type { ActingRole, OrganizationRole } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import type { Person } from "../auth/actor";
import { asOrganization, asPlatform, type Transaction } from "../db";
import { enqueue } from "../db/enqueue";
import { newId, sha256 } from "../db/keys";
import { publicUrl } from "../env";
import { invitationMail } from "./mails";
import { displayNames, lockMembers, requireMayAssign } from "./members";

const VALID_DAYS = 7;
const DAY_MS = 24 * 60 * 60 * 1000;
const TOKEN_BYTES = 32;
/** Beyond it somebody is sending mail through us rather than building a team. */
const MAX_OPEN = 200;

export type InvitationState = "open" | "accepted" | "revoked" | "expired";

export interface Invitation {
  id: string;
  email: string;
  role: OrganizationRole;
  /** `open` or `expired`. */
  state: InvitationState;
  createdAt: Date;
  expiresAt: Date;
  /** Name or address of who invited, while they are a member. */
  invitedBy: string | null;
}

/**
 * Invites an address into an organization by mail. Inviting it again renews the invitation: a new link is mailed, the
 * older one stops working.
 * @param request.email lower case
 * @throws BillingError ALREADY_MEMBER, FORBIDDEN (only an owner invites an owner), INVALID_INPUT (too many open), NOT_FOUND
 */
export async function inviteMember(request: {
  organizationId: string;
  email: string;
  role: OrganizationRole;
  /** null where a service invites. */
  invitedBy: { userId: string; name: string } | null;
  actingRole: ActingRole;
  now: Date;
}): Promise<{ id: string; email: string; role: OrganizationRole; expiresAt: Date }> {
  const { organizationId, email, role, invitedBy, actingRole, now } = request;
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const written = {
    role,
    tokenHash: sha256(token),
    invitedById: invitedBy?.userId ?? null,
    expiresAt: new Date(now.getTime() + VALID_DAYS * DAY_MS),
  };
  return asOrganization(organizationId, async (tx) => {
    await lockMembers(tx, organizationId);
    await requireNoMember(tx, organizationId, email);
    const open = await findOpen(tx, organizationId, email);
    requireMayAssign(actingRole, open?.role ?? null, role);
    const id = open?.id ?? newId(now);
    if (open) {
      await tx.invitation.update({ where: { id }, data: written });
    } else {
      await requireRoomForInvitation(tx, organizationId);
      await tx.invitation.create({ data: { id, organizationId, email, createdAt: now, ...written } });
    }
    const { name } = await tx.organization.findUniqueOrThrow({ where: { id: organizationId }, select: { name: true } });
    const mail = invitationMail({
      to: email,
      organizationName: name,
      role,
      invitedBy: invitedBy?.name ?? null,
      url: publicUrl(`/invitations/${token}`),
      validDays: VALID_DAYS,
    });
    // One key for an invitation: where an older mail has not gone out yet, only the link that works is sent.
    await enqueue(tx, "send-mail", mail, { key: `invitation:${id}` });
    return { id, email, role, expiresAt: written.expiresAt };
  });
}

async function requireNoMember(tx: Transaction, organizationId: string, email: string): Promise<void> {
  const member = await tx.user.findFirst({
    where: { email, memberships: { some: { organizationId } } },
    select: { id: true },
  });
  if (member) throw new BillingError("ALREADY_MEMBER", `${email} is a member already.`, { email, userId: member.id });
}

function findOpen(
  tx: Transaction,
  organizationId: string,
  email: string,
): Promise<{ id: string; role: OrganizationRole } | null> {
  return tx.invitation.findFirst({
    where: { organizationId, email, acceptedAt: null, revokedAt: null },
    select: { id: true, role: true },
  });
}

async function requireRoomForInvitation(tx: Transaction, organizationId: string): Promise<void> {
  const open = await tx.invitation.count({ where: { organizationId, acceptedAt: null, revokedAt: null } });
  if (open >= MAX_OPEN) {
    throw new BillingError("INVALID_INPUT", `There are ${MAX_OPEN} open invitations already. Revoke some first.`);
  }
}

/** The invitations that nobody has accepted yet, newest first. */
export async function listInvitations(organizationId: string, now: Date): Promise<Invitation[]> {
  return asOrganization(organizationId, async (tx) => {
    const rows = await tx.invitation.findMany({
      where: { organizationId, acceptedAt: null, revokedAt: null },
      orderBy: [{ createdAt: "desc" }, { id: "desc" }],
      take: MAX_OPEN,
    });
    const names = await displayNames(
      tx,
      rows.map(({ invitedById }) => invitedById),
    );
    return rows.map((row) => ({
      id: row.id,
      email: row.email,
      role: row.role,
      state: stateOf(row, now),
      createdAt: row.createdAt,
      expiresAt: row.expiresAt,
      invitedBy: names.get(row.invitedById) ?? null,
    }));
  });
}

/**
 * Takes an invitation back: its link stops working. Revoking it again changes nothing.
 * @throws BillingError NOT_FOUND, FORBIDDEN (only an owner takes back what makes an owner), INVITATION_NOT_VALID (accepted already)
 */
export async function revokeInvitation(request: {
  organizationId: string;
  invitationId: string;
  actingRole: ActingRole;
  now: Date;
}): Promise<void> {
  const { organizationId, invitationId, actingRole, now } = request;
  await asOrganization(organizationId, async (tx) => {
    await lockMembers(tx, organizationId);
    const invitation = await tx.invitation.findFirst({ where: { id: invitationId, organizationId } });
    if (!invitation) throw new BillingError("NOT_FOUND", "There is no such invitation.", { invitationId });
    requireMayAssign(actingRole, invitation.role, "member");
    if (invitation.acceptedAt) {
      throw notValid("accepted", "This invitation was accepted already. Remove the member instead.");
    }
    if (!invitation.revokedAt) await tx.invitation.update({ where: { id: invitationId }, data: { revokedAt: now } });
  });
}

/**
 * What a link offers, for whoever holds it.
 * @throws BillingError INVITATION_NOT_VALID for a link that leads nowhere: mistyped, or replaced by a newer one
 */
export async function previewInvitation(
  token: string,
  now: Date,
): Promise<{ organizationName: string; email: string; role: OrganizationRole; state: InvitationState }> {
  const invitation = await asPlatform((tx) => findByToken(tx, token));
  if (!invitation) throw leadsNowhere();
  const { email, role, organization } = invitation;
  return { organizationName: organization.name, email, role, state: stateOf(invitation, now) };
}

/**
 * Makes the person a member with the role they were invited for. Accepting again changes nothing.
 * @throws BillingError INVITATION_NOT_VALID, with why, for a link that leads nowhere, was revoked, is too old, was used, or is
 *   for somebody else; ALREADY_MEMBER where the person belongs to the organization by another way
 */
export async function acceptInvitation(request: {
  token: string;
  person: Person;
  now: Date;
}): Promise<{ organizationId: string; slug: string; role: OrganizationRole }> {
  const { token, person, now } = request;
  return asPlatform(async (tx) => {
    const found = await findByToken(tx, token);
    if (!found) throw leadsNowhere();
    const { organizationId } = found;
    await lockMembers(tx, organizationId);
    // Again, now that nobody else can revoke, renew or accept it.
    const invitation = await findByToken(tx, token);
    if (!invitation) throw leadsNowhere();
    requireAddressee(invitation.email, person);
    const { slug } = invitation.organization;
    const membership = await tx.membership.findUnique({
      where: { organizationId_userId: { organizationId, userId: person.userId } },
      select: { role: true },
    });
    if (invitation.acceptedAt && membership) return { organizationId, slug, role: membership.role };
    requireOpen(stateOf(invitation, now));
    if (membership) {
      throw new BillingError("ALREADY_MEMBER", "You are a member already.", { organizationId, slug });
    }
    await tx.membership.create({
      data: { organizationId, userId: person.userId, role: invitation.role, createdAt: now },
    });
    await tx.invitation.update({ where: { id: invitation.id }, data: { acceptedAt: now } });
    return { organizationId, slug, role: invitation.role };
  });
}

function findByToken(tx: Transaction, token: string) {
  return tx.invitation.findFirst({
    where: { tokenHash: sha256(token), organization: { deletedAt: null } },
    include: { organization: { select: { name: true, slug: true } } },
  });
}

function requireAddressee(email: string, person: Person): void {
  if (email === person.email) return;
  throw new BillingError(
    "INVITATION_NOT_VALID",
    `This invitation is for ${email}, and you are signed in as ${person.email}. Sign in as ${email} to accept it.`,
    { reason: "other_address", email },
  );
}

const WHY_NOT: Record<Exclude<InvitationState, "open">, string> = {
  // By somebody who has been removed since: a link lets nobody in twice.
  accepted: "This invitation was used already. Ask for a new one.",
  revoked: "This invitation was taken back. Ask for a new one.",
  expired: `This invitation is older than ${VALID_DAYS} days. Ask for a new one.`,
};

function requireOpen(state: InvitationState): void {
  if (state !== "open") throw notValid(state, WHY_NOT[state]);
}

function leadsNowhere(): BillingError {
  return notValid("unknown", "This link leads nowhere. If you were invited more than once, use the newest mail.");
}

function notValid(reason: InvitationState | "unknown", message: string): BillingError {
  return new BillingError("INVITATION_NOT_VALID", message, { reason });
}

function stateOf(
  invitation: { acceptedAt: Date | null; revokedAt: Date | null; expiresAt: Date },
  now: Date,
): InvitationState {
  if (invitation.acceptedAt) return "accepted";
  if (invitation.revokedAt) return "revoked";
  return invitation.expiresAt <= now ? "expired" : "open";
}
