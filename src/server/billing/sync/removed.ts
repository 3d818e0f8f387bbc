// What Stripe still has of an organization that was deleted here.
import type { Transaction } from "../../db";
import { enqueue } from "../../db/enqueue";

/** Asks for the end of an organization's subscriptions and checkouts at Stripe, after the commit. */
export function enqueueClosing(tx: Transaction, organizationId: string): Promise<void> {
  return enqueue(tx, "close-organization", { organizationId }, { key: `close-organization:${organizationId}` });
}

/** The same where the organization was deleted: something of it has come to life after that. */
export async function closeIfRemoved(tx: Transaction, organizationId: string): Promise<void> {
  const removed = await tx.organization.count({ where: { id: organizationId, deletedAt: { not: null } } });
  if (removed > 0) await enqueueClosing(tx, organizationId);
}
