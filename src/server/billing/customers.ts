// Which organization a Stripe customer is, and the customer of an organization.
import { BillingError } from "~/domain/errors";
import { asPlatform, isUniqueViolation } from "../db";
import { callStripe, expectObject, expectPage, stripeForPages } from "../stripe";
import type { SyncLock } from "./sync-lock";

export type Owner =
  | { kind: "organization"; organizationId: string }
  /** Neither the customer nor the metadata leads to an organization. */
  | { kind: "unknown" }
  /** The metadata names one organization, the customer is another's. */
  | { kind: "mismatch"; customerOwner: string | null; named: string };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Whose a Stripe object is. The customer decides; metadata only where no organization has that customer yet and the
 * organization that is named has none.
 */
export function findOwner(reference: { customerId: string | null; organizationId: string | null }): Promise<Owner> {
  const named =
    reference.organizationId !== null && UUID.test(reference.organizationId) ? reference.organizationId : null;
  return asPlatform(async (tx) => {
    const byCustomer = reference.customerId
      ? await tx.organization.findUnique({ where: { stripeCustomerId: reference.customerId }, select: { id: true } })
      : null;
    if (byCustomer) {
      if (named !== null && named !== byCustomer.id) return { kind: "mismatch", customerOwner: byCustomer.id, named };
      return { kind: "organization", organizationId: byCustomer.id };
    }
    if (named === null) return { kind: "unknown" };
    const byName = await tx.organization.findUnique({ where: { id: named }, select: { stripeCustomerId: true } });
    if (!byName) return { kind: "unknown" };
    if (
      byName.stripeCustomerId !== null &&
      reference.customerId !== null &&
      byName.stripeCustomerId !== reference.customerId
    ) {
      return { kind: "mismatch", customerOwner: null, named };
    }
    return { kind: "organization", organizationId: named };
  });
}

/** Remembers the customer of an organization that had none: our own call that made it may not have come that far. */
export async function attachCustomer(lock: SyncLock, customerId: string): Promise<void> {
  try {
    await lock.save((tx) =>
      tx.organization.updateMany({
        where: { id: lock.organizationId, stripeCustomerId: null },
        data: { stripeCustomerId: customerId },
      }),
    );
  } catch (error) {
    if (isUniqueViolation(error)) {
      throw new BillingError("FORBIDDEN", "This Stripe customer belongs to another organization.", { customerId });
    }
    throw error;
  }
}

/**
 * The organization's Stripe customer, made at the first use. Under the sync lock, and with one idempotency key for the
 * organization: two clicks, or a crash between Stripe's answer and our commit, end with one customer.
 * @returns Stripe's id
 */
export async function ensureCustomer(
  lock: SyncLock,
  organization: { id: string; name: string; stripeCustomerId: string | null },
  email: string | null,
): Promise<string> {
  if (organization.stripeCustomerId) return organization.stripeCustomerId;
  const stripe = stripeForPages();
  const id = await callStripe(async () => {
    // Idempotency keys are forgotten after a day; a customer that we lost before then is found by its metadata.
    const query = `metadata['organizationId']:'${organization.id}'`;
    const [lost] = expectPage(await stripe.customers.search({ query, limit: 1 }));
    if (lost) return lost.id;
    // Nothing in it that can change between two tries: the same key with another body would be refused.
    const created = await stripe.customers.create(
      { metadata: { organizationId: organization.id } },
      { idempotencyKey: `billfold:customer:${organization.id}` },
    );
    return expectObject("customer", created).id;
  });
  await callStripe(() => stripe.customers.update(id, { name: organization.name, ...(email ? { email } : {}) }));
  await attachCustomer(lock, id);
  return id;
}
