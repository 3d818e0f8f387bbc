// Which of their organizations somebody is led to when they ask for none in particular.
import { can } from "~/domain/capabilities";
import type { RouterOutputs } from "~/server/api/root";

type Organization = RouterOutputs["organizations"]["list"][number];

/** One where they manage billing before one where they only look; among equals the oldest. null without any. */
export function homeOrganization(organizations: readonly Organization[]): Organization | null {
  const rank = ({ role }: Organization) => (can(role, "billing:manage") ? 0 : 1);
  // Ids are made from the time, so their order is that of age.
  const [first] = organizations.toSorted((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
  return first ?? null;
}
