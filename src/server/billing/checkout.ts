// Opening Stripe Checkout: for a plan and for a pack. What both have in common: one customer, one open session.
import type { Credits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization } from "../db";
import { fingerprint, newId } from "../db/keys";
import { publicUrl } from "../env";
import { callStripe, expectObject, findAtStripe, type Stripe, toDate } from "../stripe";
import { type ActingOrganization, type Action, act } from "./actions";
import { ensureCustomer } from "./customers";

// A session that ends within the hour is not handed out again.
const REUSE_MARGIN_MS = 60 * 60_000;

export interface Buyer {
  organizationId: string;
  /** Who clicks; null for a service. */
  userId: string | null;
  email: string | null;
  now: Date;
}

export interface Offer {
  kind: "subscription" | "credits";
  planPriceId?: string;
  productPriceId?: string;
  stripePriceId: string;
  credits?: Credits;
  /** Days of trial that the session offers. */
  trialDays?: number;
  /** Where Stripe sends who gives up, below the organization's pages. */
  cancelPath: string;
  params: Partial<Stripe.Checkout.SessionCreateParams>;
}

/**
 * Opens a checkout, or hands out the one that is open for the same thing. Safe to click twice.
 * @param decide what to offer, from the organization as it stands under the lock and its customer at Stripe, if it has one
 * @returns where to send the person
 * @throws BillingError STRIPE_UNAVAILABLE within seconds when Stripe does not answer; nothing is written then
 */
export function openCheckout(
  buyer: Buyer,
  decide: (action: Action, customer: Stripe.Customer | null) => Promise<Offer> | Offer,
): Promise<{ url: string }> {
  const { organizationId, now, userId } = buyer;
  return act({ organizationId, actor: userId ? `user:${userId}` : "service", now }, async (action) => {
    const known = await readCustomer(action);
    const offer = await decide(action, known);
    const organization = { ...action.organization, stripeCustomerId: known?.id ?? null };
    action.begin();
    const customer = await ensureCustomer(action.lock, organization, buyer.email);
    const open = await findOpen(action, offer);
    if (open) return { url: open };
    if (offer.kind === "subscription") await closeOthers(action);
    return create(action, buyer, organization, customer, offer);
  });
}

/** The organization's customer with its subscriptions; null before the first checkout, and once it was deleted at Stripe. */
async function readCustomer({ organization, stripe, lock }: Action): Promise<Stripe.Customer | null> {
  const id = organization.stripeCustomerId;
  if (id === null) return null;
  const customer = await findAtStripe<Stripe.Customer | Stripe.DeletedCustomer>("customer", () =>
    stripe.customers.retrieve(id, { expand: ["subscriptions"] }),
  );
  if (customer && !customer.deleted) return customer;
  await lock.save((tx) =>
    tx.organization.updateMany({
      where: { id: organization.id, stripeCustomerId: id },
      data: { stripeCustomerId: null },
    }),
  );
  return null;
}

async function findOpen(action: Action, offer: Offer): Promise<string | null> {
  const { organizationId, now, stripe } = action;
  const row = await asOrganization(organizationId, (tx) =>
    tx.checkoutSession.findFirst({
      where: {
        organizationId,
        kind: offer.kind,
        status: "open",
        planPriceId: offer.planPriceId ?? null,
        productPriceId: offer.productPriceId ?? null,
        credits: offer.credits ?? null,
        // One that was opened when a trial was still to be had does not give a second one.
        trialDays: offer.trialDays ?? null,
        expiresAt: { gt: new Date(now.getTime() + REUSE_MARGIN_MS) },
      },
      orderBy: { createdAt: "desc" },
    }),
  );
  if (!row) return null;
  // It may have been paid a moment ago, before its event came: then it is no longer for use.
  const session = await callStripe(async () =>
    expectObject("checkout.session", await stripe.checkout.sessions.retrieve(row.stripeSessionId)),
  );
  if (session.status === "complete") {
    if (offer.kind === "credits") return null;
    throw new BillingError("ALREADY_SUBSCRIBED", "This organization has just subscribed.", {});
  }
  return session.status === "open" ? session.url : null;
}

/** Two open sessions for a subscription could both be paid: the ones for another plan or interval are closed. */
async function closeOthers({ organizationId, now, stripe, lock }: Action): Promise<void> {
  const open = await asOrganization(organizationId, (tx) =>
    tx.checkoutSession.findMany({
      where: { organizationId, kind: "subscription", status: "open", expiresAt: { gt: now } },
    }),
  );
  for (const row of open) {
    const session = await callStripe(async () =>
      expectObject("checkout.session", await stripe.checkout.sessions.retrieve(row.stripeSessionId)),
    );
    if (session.status === "complete") {
      throw new BillingError("ALREADY_SUBSCRIBED", "This organization has just subscribed.", {});
    }
    if (session.status === "open") {
      const options = { idempotencyKey: `billfold:expire:${row.stripeSessionId}` };
      await callStripe(() => stripe.checkout.sessions.expire(row.stripeSessionId, {}, options));
    }
    await lock.save((tx) => tx.checkoutSession.update({ where: { id: row.id }, data: { status: "expired" } }));
  }
}

async function create(
  { stripe }: Action,
  buyer: Buyer,
  organization: ActingOrganization,
  customer: string,
  offer: Offer,
): Promise<{ url: string }> {
  const { organizationId, now } = buyer;
  const sessions = await asOrganization(organizationId, (tx) =>
    tx.checkoutSession.count({ where: { organizationId } }),
  );
  const base = publicUrl(`/${organization.slug}/billing`);
  const body: Stripe.Checkout.SessionCreateParams = {
    customer,
    client_reference_id: organizationId,
    line_items: [{ price: offer.stripePriceId, quantity: 1 }],
    success_url: `${base}/checkout?session={CHECKOUT_SESSION_ID}`,
    cancel_url: `${base}${offer.cancelPath}`,
    metadata: { organizationId, kind: offer.kind },
    ...offer.params,
  };
  // Made from what we have stored and what we ask for: a repeated click after a crash gets the session that the first one
  // made, and one that asks for something else is not refused for using its key.
  const idempotencyKey = `billfold:checkout:${organizationId}:${sessions}:${fingerprint(body).slice(0, 32)}`;
  const session = await callStripe(async () =>
    expectObject("checkout.session", await stripe.checkout.sessions.create(body, { idempotencyKey })),
  );
  if (!session.url)
    throw new BillingError("STRIPE_UNAVAILABLE", "The payment service gave no page to pay on.", { retryable: true });
  const { url } = session;
  await asOrganization(organizationId, (tx) =>
    tx.checkoutSession.upsert({
      where: { stripeSessionId: session.id },
      create: {
        id: newId(now),
        organizationId,
        stripeSessionId: session.id,
        kind: offer.kind,
        status: "open",
        planPriceId: offer.planPriceId ?? null,
        productPriceId: offer.productPriceId ?? null,
        credits: offer.credits ?? null,
        trialDays: offer.trialDays ?? null,
        url,
        createdById: buyer.userId,
        createdAt: now,
        expiresAt: toDate(session.expires_at),
      },
      update: { url },
    }),
  );
  return { url };
}
