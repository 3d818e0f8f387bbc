// What the mails of organizations say.
import type { OrganizationRole } from "~/domain/capabilities";
import { composeMail, type Mail } from "../mail";

const ROLE_PHRASES: Record<OrganizationRole, string> = {
  owner: "an owner, who decides everything",
  admin: "an admin, who manages plans, members and API keys",
  billing: "a billing contact, who manages plans and payments",
  member: "a member, who sees balance and usage",
};

/** The mail that invites somebody into an organization. */
export function invitationMail(invitation: {
  to: string;
  organizationName: string;
  role: OrganizationRole;
  /** null where a service invites. */
  invitedBy: string | null;
  url: string;
  validDays: number;
}): Mail {
  const { to, organizationName, role, invitedBy, url, validDays } = invitation;
  const opening = invitedBy
    ? `${invitedBy} invites you to join ${organizationName} on Billfold.`
    : `You are invited to join ${organizationName} on Billfold.`;
  return composeMail({
    to,
    subject: `Join ${organizationName} on Billfold`,
    paragraphs: [opening, `You will be ${ROLE_PHRASES[role]}. To accept, sign in as ${to}.`],
    action: { label: "See the invitation", url },
    footnotes: [
      `The link works for ${validDays} days, and only for ${to}.`,
      "You do not know this organization? Then ignore this mail; nobody joins anything without accepting.",
    ],
  });
}
