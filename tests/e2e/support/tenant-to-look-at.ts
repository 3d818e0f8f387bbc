// An organization with something on every page, made through the use-cases in a few seconds; and one that has nothing yet.
import { toCredits } from "~/domain/credits";
import { createApiKey } from "~/server/billing/api-keys";
import { createBudget } from "~/server/billing/budgets";
import { listCreditProducts, openPackCheckout } from "~/server/billing/credit-products";
import { consumeCredits, grantCredits } from "~/server/billing/credits";
import { cancelGift, claimGift, createGift } from "~/server/billing/gifts";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { inviteMember } from "~/server/billing/invitations";
import { createOrganization } from "~/server/billing/organizations";
import { setSpentPolicy, suspendCredits } from "~/server/billing/spent-policy";
import { runReconciliation } from "~/server/jobs/tasks/reconcile";
import { type Buying, buyPack, type ServiceKeys, subscribe } from "../../../prisma/seed/buying";
import { live } from "../../../prisma/seed/history";
import { subscribeThenLoseCard } from "../../../prisma/seed/overdue";
import { receiveEvents, setClock } from "../../../prisma/seed/sandbox";
import { sessionOf } from "../../setup/billing";
import { createMember, createPerson } from "../../setup/tenancy";
import type { World } from "./world";

const DAY_MS = 86_400_000;

export interface TenantToLookAt {
  ownerId: string;
  slug: string;
  emptySlug: string;
  /** One that owes credits, has a payment disputed, and may not spend. */
  troubledSlug: string;
  /** One whose renewal was not paid. */
  overdueSlug: string;
  /** Of the platform. */
  adminId: string;
  /** A checkout whose payment takes days. */
  awaitedSession: string;
  /** An event that nobody knows the customer of. */
  quarantinedEvent: string;
  /** A transaction that several lots paid for. */
  transactionId: string;
  paidSession: string;
  expiredSession: string;
  /** An address with an open invitation. */
  invited: string;
  /** The path of a gift that the owner may claim for either organization. */
  giftPath: string;
}

/**
 * @param earlier where Stripe's clock stands: more than a month ago, for a renewal that was not paid
 * @param began when it subscribed; the clock is set free
 */
export async function makeTenantToLookAt(world: World, earlier: Date, began: Date): Promise<TenantToLookAt> {
  const today = new Date();
  const owner = await createPerson({ email: "maya@northwind.example", name: "Maya Okafor" });
  const admin = await createPerson({ email: "sam@billfold.example", name: "Sam Okafor", isPlatformAdmin: true });
  const overdue = await createOrganization({ name: "Tern & Tide", owner: owner.userId, now: earlier });
  await subscribeThenLoseCard({ organizationId: overdue.id, userId: owner.userId, email: owner.email }, "pro", earlier);
  const tenant = await createOrganization({ name: "Northwind Robotics", owner: owner.userId, now: began });
  const empty = await createOrganization({ name: "Halden Analytics", owner: owner.userId, now: today });
  await createMember(tenant.id, "member");

  const key = (name: string) =>
    createApiKey({ organizationId: tenant.id, name, createdById: owner.userId, now: began }).then(({ id }) => id);
  const keys = {
    production: await key("production"),
    staging: await key("staging"),
    "batch-worker": await key("batch-worker"),
  };
  const buying = { organizationId: tenant.id, userId: owner.userId, email: owner.email };
  await subscribe(buying, "pro", began);
  await live(buying, keys, new Date(began.getTime() + DAY_MS), today);
  await setClock(null);

  // A checkout that nobody paid, and that is over.
  const [pack] = await listCreditProducts("usd");
  const { url } = await openPackCheckout({ ...buying, now: today }, { productId: pack?.id ?? "", currency: "usd" });
  await world.stripe.checkout.sessions.expire(sessionOf(url));
  await receiveEvents();

  const invited = "lena@northwind.example";
  await inviteMember({
    organizationId: tenant.id,
    email: invited,
    role: "billing",
    invitedBy: { userId: owner.userId, name: "Maya Okafor" },
    actingRole: "owner",
    now: today,
  });

  await makeHoldsAndBudgets({ organizationId: tenant.id, by: owner.userId, keys, now: today });
  const troubledSlug = await makeTroubled(world, { ...buying, now: today });
  const awaitedSession = await makeAwaited(world, { ...buying, now: today });
  const quarantinedEvent = await makeQuarantined(world);
  await runReconciliation({ cause: "hourly", since: null, now: new Date() });
  const giftPath = await makeGifts({ organizationId: tenant.id, by: owner.userId, now: today });

  const [row] = await world.sql<{ transaction: string; session: string }>(
    `SELECT (SELECT id FROM credit_transactions t WHERE organization_id = $1 AND type = 'consume' ORDER BY
              (SELECT count(*) FROM credit_movements e WHERE e.organization_id = $1 AND e.transaction_seq = t.seq) DESC, seq DESC
             LIMIT 1) AS transaction,
            (SELECT stripe_session_id FROM checkout_sessions WHERE organization_id = $1 AND status = 'paid' LIMIT 1) AS session`,
    [tenant.id],
  );
  return {
    ownerId: owner.userId,
    slug: tenant.slug,
    emptySlug: empty.slug,
    troubledSlug,
    overdueSlug: overdue.slug,
    adminId: admin.userId,
    awaitedSession,
    quarantinedEvent,
    transactionId: row?.transaction ?? "",
    paidSession: row?.session ?? "",
    expiredSession: sessionOf(url),
    invited,
    giftPath,
  };
}

/** Work of two keys, one with a part of its hold taken; a budget that is used up, one that is nearly, and one with room. */
async function makeHoldsAndBudgets(of: {
  organizationId: string;
  by: string;
  keys: ServiceKeys;
  now: Date;
}): Promise<void> {
  const { organizationId, by, keys, now } = of;
  const budget = { organizationId, actor: `user:${by}`, now };
  await createBudget({ ...budget, scope: "api_key", subject: keys.staging, window: "day", limit: 40 });
  await createBudget({ ...budget, scope: "project", subject: "atlas", window: "month", limit: 90 });
  await createBudget({ ...budget, scope: "member", subject: by, window: "total", limit: 5_000 });
  const as = (key: keyof ServiceKeys) => ({ organizationId, actor: `key:${keys[key]}`, apiKeyId: keys[key], now });
  const hold = { leaseSeconds: 86_400, eventName: "api_call_premium" };
  const batch = { ...as("batch-worker"), amount: toCredits(80), project: "atlas", memberId: by };
  const { holdId } = await holdCredits({ ...batch, ...hold, idempotencyKey: "hold 1" });
  const used = { amount: toCredits(30) };
  await captureHold({ ...as("batch-worker"), holdId, used, idempotencyKey: "capture 1", release: false });
  await holdCredits({ ...as("staging"), ...hold, amount: toCredits(40), idempotencyKey: "hold 2" });
}

/** A pack that is paid from a bank account. @returns its session */
async function makeAwaited(world: World, buying: Buying & { now: Date }): Promise<string> {
  const [pack] = await listCreditProducts("usd");
  const { url } = await openPackCheckout(buying, { productId: pack?.id ?? "", currency: "usd" });
  const answer = await fetch(`${world.sandbox.url}/_sandbox/checkout/${sessionOf(url)}/complete`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ method: "us_bank_account" }),
  });
  if (!answer.ok) throw new Error(`no bank debit: ${await answer.text()}`);
  await receiveEvents();
  return sessionOf(url);
}

/** Somebody bills a customer of theirs by hand in Stripe's dashboard. @returns the event that tells of it */
async function makeQuarantined(world: World): Promise<string> {
  const { id: customer } = await world.stripe.customers.create({ email: "somebody@elsewhere.example" });
  await world.stripe.invoiceItems.create({ customer, amount: 12_000, currency: "usd", description: "Consulting" });
  const { id } = await world.stripe.invoices.create({
    customer,
    collection_method: "send_invoice",
    days_until_due: 14,
    pending_invoice_items_behavior: "include",
  });
  await world.stripe.invoices.finalizeInvoice(id);
  await receiveEvents();
  const [event] = await world.sql<{ id: string }>("SELECT id FROM stripe_events WHERE status = 'quarantined' LIMIT 1");
  return event?.id ?? "";
}

/** Two packs: one is disputed; of the other a part was spent before its payment was refunded. @returns its slug */
async function makeTroubled(world: World, buying: Buying & { now: Date }): Promise<string> {
  const { userId, email, now } = buying;
  const { id: organizationId, slug } = await createOrganization({ name: "Harbor Robotics", owner: userId, now });
  await setSpentPolicy({ organizationId, policy: "debt", actor: "test", now });
  // Stripe's clock runs since, and is not turned back.
  await buyPack({ organizationId, userId, email }, 2_500, new Date());
  const use = { organizationId, eventName: "api_call_premium", quantity: 300, actor: "test", now: new Date() };
  await consumeCredits({ ...use, idempotencyKey: "use" });
  const payments = async () =>
    world.sql<{ id: string }>(
      "SELECT stripe_payment_id AS id FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id",
      [organizationId],
    );
  const spent = (await payments())[0]?.id ?? "";
  await buyPack({ organizationId, userId, email }, 10_000, new Date());
  const disputed = (await payments()).find(({ id }) => id !== spent)?.id ?? "";
  const answer = await fetch(`${world.sandbox.url}/_sandbox/disputes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ payment_intent: disputed }),
  });
  if (!answer.ok) throw new Error(`no dispute: ${await answer.text()}`);
  await world.stripe.refunds.create({ payment_intent: spent });
  await setClock(null);
  await receiveEvents();
  await suspendCredits({ organizationId, reason: "A disputed payment", actor: "test", now: new Date() });
  return slug;
}

/** Some from the organization, open and not any more; and one for it. @returns the path of the one for it */
async function makeGifts(of: { organizationId: string; by: string; now: Date }): Promise<string> {
  const { organizationId, by, now } = of;
  const stranger = await createPerson({ email: "aino@aalto.example", name: "Aino Saari" });
  const giver = await createOrganization({ name: "Aalto Interactive", owner: stranger.userId, now });
  const said = { reason: "For the outage", idempotencyKey: "gifts", actor: "test", now };
  for (const id of [organizationId, giver.id]) {
    const amount = toCredits(5000);
    await grantCredits({ ...said, organizationId: id, amount, source: "adjustment", expiresAt: null });
  }
  const make = async (from: string, amount: number, message: string | null) => {
    const gift = { organizationId: from, amount: toCredits(amount), message, expiresAt: null, apiKeyId: null };
    const { id, link } = await createGift({ ...gift, idempotencyKey: `${amount}`, actor: `user:${by}`, now });
    return { id, token: link?.split("/").at(-1) ?? "" };
  };
  await make(organizationId, 250, null);
  const cancelled = await make(organizationId, 1000, "For the hackathon");
  await cancelGift({ organizationId, giftId: cancelled.id, actor: `user:${by}`, apiKeyId: null, now });
  const claimed = await make(organizationId, 100, "Thank you");
  await claimGift({ token: claimed.token, organizationId: giver.id, actor: `user:${by}`, now });
  const { token } = await make(giver.id, 2500, "Thank you for the beta");
  return `/gifts/${token}`;
}
