// The rate card: what events cost, for everybody and for one organization.
import { asOrganization, asPlatform } from "../db";

export interface CreditEvent {
  id: string;
  name: string;
  description: string;
  category: string;
  /** Credits for one unit. */
  cost: number;
  active: boolean;
}

/** All events. @param organizationId with its own costs, where it has any */
export async function listCreditEvents(organizationId: string | null): Promise<CreditEvent[]> {
  const rows = await asPlatform((tx) => tx.creditEvent.findMany({ orderBy: [{ category: "asc" }, { name: "asc" }] }));
  const own =
    organizationId === null
      ? []
      : await asOrganization(organizationId, (tx) => tx.creditEventOverride.findMany({ where: { organizationId } }));
  const costs = new Map(own.map((override) => [override.eventId, override.cost]));
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    category: row.category,
    cost: Number(costs.get(row.id) ?? row.cost),
    active: row.active,
  }));
}
