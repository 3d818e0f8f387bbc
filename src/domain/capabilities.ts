// Who may do what in an organization: one table, asked by every procedure and by the pages that hide what is not allowed.

export const ORGANIZATION_ROLES = ["owner", "admin", "billing", "member"] as const;
export type OrganizationRole = (typeof ORGANIZATION_ROLES)[number];

/** A role of a person, or `service` for an API key of the organization, or `platform` for who may act for any. */
export type ActingRole = OrganizationRole | "service" | "platform";

/** Each capability with the roles that have it. The platform has all of them. */
const CAPABILITIES = {
  /** See plan, balance, usage and history. */
  "billing:view": ["owner", "admin", "billing", "member", "service"],
  /** Subscribe, buy credits, open Stripe's portal. */
  "billing:manage": ["owner", "admin", "billing", "service"],
  /** Spend credits. */
  "credits:consume": ["owner", "admin", "member", "service"],
  /** End a hold before its work or its lease does. */
  "credits:release": ["owner", "admin", "billing", "member", "service"],
  /** Give back what a take has taken, to the lots that paid. */
  "credits:reverse": ["service"],
  /** Choose the order in which credits are spent. */
  "credits:configure": ["owner", "admin", "billing"],
  /** Limit what keys, members and projects may spend. */
  "budgets:manage": ["owner", "admin", "billing"],
  /** See who belongs to the organization. */
  "members:view": ["owner", "admin", "billing", "member"],
  /** Invite, change roles, remove. */
  "members:manage": ["owner", "admin"],
  /** Create and revoke the organization's API keys. */
  "api-keys:manage": ["owner", "admin"],
  /** Give the organization's credits to others: transfers and gifts. */
  "credits:transfer": ["owner"],
  /** Delete the organization. */
  "organization:remove": ["owner"],
  /** Give credits without payment. */
  "credits:grant": [],
} as const satisfies Record<string, readonly ActingRole[]>;

export type Capability = keyof typeof CAPABILITIES;

/** Whether a role has a capability. */
export function can(role: ActingRole, capability: Capability): boolean {
  if (role === "platform") return true;
  return (CAPABILITIES[capability] as readonly ActingRole[]).includes(role);
}

/** Everything a role may do, for pages to offer just that. */
export function capabilitiesOf(role: ActingRole): Capability[] {
  return (Object.keys(CAPABILITIES) as Capability[]).filter((capability) => can(role, capability));
}

/** Only an owner makes or unmakes an owner; an admin manages everybody else. */
export function canAssignRole(actor: ActingRole, current: OrganizationRole | null, next: OrganizationRole): boolean {
  if (!can(actor, "members:manage")) return false;
  if (actor === "owner" || actor === "platform") return true;
  return current !== "owner" && next !== "owner";
}
