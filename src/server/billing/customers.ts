// Which organization a Stripe customer is, and the customer of an organization.
import { BillingError, invariant } from "~/domain/errors";
import { asPlatform, inOneExchange, isUniqueViolation, Prisma, type Transaction } from "../db";
import { enqueue } from "../db/enqueue";
import { callStripe, expectObject, expectPage, findAtStripe, type Stripe, stripeForPages } from "../stripe";
import { isGone } from "../stripe/lists";
import type { SyncLock } from "./sync-lock";

export type Owner =
  /** `isCustomerKnown`: the customer is the organization's; else its rows or its metadata led to it. */
  | { kind: "organization"; organizationId: string; isCustomerKnown: boolean }
  /** Neither the customer nor the metadata leads to an organization. */
  | { kind: "unknown" }
  /** The metadata names one organization, the customer is another's. */
  | { kind: "mismatch"; customerOwner: string | null; named: string };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface OwnerReference {
  customerId: string | null;
  /** What its metadata names. */
  organizationId: string | null;
  /** Stripe's ids of the object and of what it belongs to, as far as it belongs to something. */
  objectIds: readonly (string | null)[];
  /** Asks Stripe for the invoice of a payment, which does not name it itself: only where nothing else leads to an organization. */
  findInvoice?: () => Promise<string | null>;
}

/**
 * Whose a Stripe object is. The customer decides; for a customer that no organization has (any more) the rows that we keep of
 * the object; metadata only where there are none and the organization that is named has no customer.
 * @throws BillingError as `callStripe` does, where there is `findInvoice`
 */
export async function findOwner(reference: OwnerReference): Promise<Owner> {
  const { customerId, organizationId, objectIds, findInvoice } = reference;
  const named = organizationId !== null && UUID.test(organizationId) ? organizationId.toLowerCase() : null;
  const byCustomer = customerId === null ? null : await findByCustomer(customerId);
  if (byCustomer !== null) {
    if (named !== null && named !== byCustomer) return { kind: "mismatch", customerOwner: byCustomer, named };
    return { kind: "organization", organizationId: byCustomer, isCustomerKnown: true };
  }
  const ids = objectIds.filter((id) => id !== null);
  const [[byRow, another], [byName]] = await inOneExchange<[{ id: string }, { customer: string | null }]>(
    // The organizations that have rows of these objects: subscriptions, checkouts, payments and invoices.
    Prisma.sql`
      SELECT organization_id AS id FROM organization_subscriptions WHERE stripe_subscription_id = ANY(${ids})
      UNION SELECT organization_id FROM checkout_sessions WHERE stripe_session_id = ANY(${ids})
      UNION SELECT organization_id FROM stripe_payments WHERE id = ANY(${ids}) OR invoice_id = ANY(${ids})
      UNION SELECT organization_id FROM stripe_invoices WHERE id = ANY(${ids})`,
    Prisma.sql`SELECT stripe_customer_id AS customer FROM organizations WHERE id = ${named}::uuid`,
  );
  if (byRow) {
    if (another || (named !== null && named !== byRow.id)) {
      return { kind: "mismatch", customerOwner: byRow.id, named: named ?? another?.id ?? byRow.id };
    }
    return { kind: "organization", organizationId: byRow.id, isCustomerKnown: false };
  }
  if (named !== null && byName && (byName.customer === null || customerId === null)) {
    return { kind: "organization", organizationId: named, isCustomerKnown: false };
  }
  const invoiceId = (await findInvoice?.()) ?? null;
  if (invoiceId !== null) return findOwner({ customerId, organizationId, objectIds: [invoiceId] });
  return named !== null && byName ? { kind: "mismatch", customerOwner: null, named } : { kind: "unknown" };
}

async function findByCustomer(customerId: string): Promise<string | null> {
  // An answer of another shape is a fault, not a customer whom nobody knows.
  invariant(typeof customerId === "string", "a customer is named by an id");
  const [[organization]] = await inOneExchange<[{ id: string }]>(
    Prisma.sql`SELECT id FROM organizations WHERE stripe_customer_id = ${customerId}`,
  );
  return organization?.id ?? null;
}

/** Remembers the customer of an organization that had none: our own call that made it may not have come that far. */
async function attachCustomer(lock: SyncLock, customerId: string): Promise<void> {
  try {
    await lock.save(async (tx) => {
      const { count } = await tx.organization.updateMany({
        where: { id: lock.organizationId, stripeCustomerId: null },
        data: { stripeCustomerId: customerId },
      });
      // Stripe may have told of the customer before we knew whose it is.
      if (count > 0) await enqueue(tx, "retry-quarantined-events", { customerId }, { key: `quarantine:${customerId}` });
    });
  } catch (error) {
    if (isUniqueViolation(error)) {
      throw new BillingError("FORBIDDEN", "This Stripe customer belongs to another organization.", { customerId });
    }
    throw error;
  }
}

/** The same, unless the customer was deleted at Stripe: events of that one may still come. */
export async function attachIfAlive(lock: SyncLock, stripe: Stripe, customerId: string): Promise<void> {
  const organization = await asPlatform((tx) =>
    tx.organization.findUnique({ where: { id: lock.organizationId }, select: { stripeCustomerId: true } }),
  );
  if (!organization || organization.stripeCustomerId !== null) return;
  const customer = await findAtStripe("customer", () => stripe.customers.retrieve(customerId));
  if (customer && !customer.deleted) await attachCustomer(lock, customerId);
}

// A customer that was deleted within the day has used up the key that made it.
const MAX_DELETED_A_DAY = 20;

/**
 * The organization's Stripe customer, made at the first use and after it was deleted there. Under the sync lock, and with keys
 * made from the organization alone: two clicks, or a crash between Stripe's answer and our commit, end with one customer.
 * @returns Stripe's id
 */
export async function ensureCustomer(
  lock: SyncLock,
  organization: { id: string; name: string; stripeCustomerId: string | null },
  email: string | null,
): Promise<string> {
  if (organization.stripeCustomerId) return organization.stripeCustomerId;
  const stripe = stripeForPages();
  const describe = (id: string) => updateIfAlive(stripe, id, { name: organization.name, ...(email ? { email } : {}) });
  // Idempotency keys are forgotten after a day; a customer that we lost before then is found by its metadata. The search may
  // still know one that was deleted.
  const query = `metadata['organizationId']:'${organization.id}'`;
  const found = await callStripe(async () => expectPage(await stripe.customers.search({ query, limit: 10 })));
  for (const lost of found) {
    if (!("deleted" in lost && lost.deleted) && (await describe(lost.id))) return attached(lock, lost.id);
  }
  for (let deleted = 0; deleted < MAX_DELETED_A_DAY; deleted++) {
    // Nothing in it that can change between two tries: the same key with another body would be refused.
    const id = await callStripe(async () => {
      const idempotencyKey = `billfold:customer:${organization.id}${deleted === 0 ? "" : `:${deleted}`}`;
      const body = { metadata: { organizationId: organization.id } };
      return expectObject("customer", await stripe.customers.create(body, { idempotencyKey })).id;
    });
    if (await describe(id)) return attached(lock, id);
  }
  throw new BillingError("STRIPE_REFUSED", "The payment service did not accept this.", { reason: "customer_deleted" });
}

async function attached(lock: SyncLock, customerId: string): Promise<string> {
  await attachCustomer(lock, customerId);
  return customerId;
}

/** @returns whether the customer was there to be changed */
async function updateIfAlive(stripe: Stripe, id: string, params: Stripe.CustomerUpdateParams): Promise<boolean> {
  try {
    await callStripe(async () => expectObject("customer", await stripe.customers.update(id, params)));
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** Tells Stripe the organization's present name, where it has a customer there. */
export async function renameCustomer(stripe: Stripe, organizationId: string): Promise<void> {
  const organization = await asPlatform((tx) =>
    tx.organization.findFirst({
      where: { id: organizationId, deletedAt: null },
      select: { name: true, stripeCustomerId: true },
    }),
  );
  if (!organization?.stripeCustomerId) return;
  await updateIfAlive(stripe, organization.stripeCustomerId, { name: organization.name });
}

/** Forgets a customer that was deleted at Stripe, and the checkouts that were open for it: the next one makes another. */
export async function unlinkCustomer(tx: Transaction, organizationId: string, customerId: string): Promise<void> {
  const { count } = await tx.organization.updateMany({
    where: { id: organizationId, stripeCustomerId: customerId },
    data: { stripeCustomerId: null },
  });
  if (count === 0) return;
  await tx.checkoutSession.updateMany({ where: { organizationId, status: "open" }, data: { status: "expired" } });
}
