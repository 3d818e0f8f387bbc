// Organizations with a subscription, and what their people and their banks do with it, for tests of what follows.
import type Stripe from "stripe";
import { asPlatform } from "~/server/db";
import { type Billing, callAs } from "./billing";
import { createTenant, NOW } from "./tenancy";

export type Tenant = Awaited<ReturnType<typeof createTenant>>;

export interface Subscriber extends Tenant {
  customer: string;
  /** Stripe's id. */
  subscription: string;
}

export type PlanKey = "starter" | "pro" | "scale" | "enterprise";

/** Ids of the catalogue's plans, by key. */
export async function planIds(): Promise<Record<PlanKey, string>> {
  const plans = await asPlatform((tx) => tx.subscriptionPlan.findMany());
  return Object.fromEntries(plans.map(({ key, id }) => [key, id])) as Record<PlanKey, string>;
}

/** An organization that has bought a plan, its events processed. Of starter the trial begins. */
export async function createSubscriber(
  billing: Billing,
  choice: { plan?: PlanKey; interval?: "month" | "year"; currency?: string; trial?: boolean; now?: Date } = {},
): Promise<Subscriber> {
  const { plan = "pro", interval = "month", currency, trial = true, now = NOW } = choice;
  const tenant = await createTenant();
  if (!trial) await billing.sql("UPDATE organizations SET trial_used_at = $2 WHERE id = $1", [tenant.id, NOW]);
  const ids = await planIds();
  const { url } = await callAs(tenant.owner, now).subscription.checkout({
    organizationId: tenant.id,
    planId: ids[plan],
    interval,
    ...(currency ? { currency } : {}),
  });
  await billing.pay(url);
  await billing.settle();
  const [row] = await billing.sql<{ customer: string; subscription: string }>(
    `SELECT o.stripe_customer_id AS customer, s.stripe_subscription_id AS subscription
     FROM organizations o JOIN organization_subscriptions s ON s.organization_id = o.id WHERE o.id = $1`,
    [tenant.id],
  );
  if (!row) throw new Error("a checkout that was paid has a subscription");
  return { ...tenant, ...row };
}

/** Puts another card in the place of the one that pays. */
export async function replaceCard(billing: Billing, subscriber: Subscriber, method: string): Promise<void> {
  const { customer, subscription } = subscriber;
  const { id } = await billing.stripe.paymentMethods.attach(method, { customer });
  await billing.stripe.customers.update(customer, { invoice_settings: { default_payment_method: id } });
  await billing.stripe.subscriptions.update(subscription, { default_payment_method: id });
}

/** The subscription's invoices at Stripe, newest first. */
export async function invoicesOf(billing: Billing, { subscription }: Subscriber): Promise<Stripe.Invoice[]> {
  return (await billing.stripe.invoices.list({ subscription, limit: 100 })).data;
}

/** What succeeded of the customer's charges at Stripe, in order. */
export async function chargedAmounts(billing: Billing, { customer }: Subscriber): Promise<number[]> {
  const { data } = await billing.stripe.charges.list({ customer, limit: 100 });
  return data
    .filter(({ status }) => status === "succeeded")
    .map(({ amount }) => amount)
    .reverse();
}
