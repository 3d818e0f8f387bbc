// A customer whose payments fail: the card that paid the first invoice is replaced by one that its bank declines.
import { asPlatform } from "~/server/db";
import { stripeForJobs } from "~/server/stripe";
import { type Buying, subscribe } from "./buying";

/** Attaches without a complaint, and declines whatever it is charged. */
const DECLINING_CARD = "pm_card_chargeCustomerFail";

/** Subscribes at an instant; each later invoice goes unpaid. What the renewals bring about comes with the clock. */
export async function subscribeThenLoseCard(buying: Buying, planKey: string, at: Date): Promise<void> {
  const { organizationId } = buying;
  await subscribe(buying, planKey, at);
  const { stripeCustomerId, stripeSubscriptionId } = await asPlatform(async (tx) => ({
    ...(await tx.organization.findUniqueOrThrow({ where: { id: organizationId } })),
    ...(await tx.organizationSubscription.findFirstOrThrow({ where: { organizationId } })),
  }));
  if (!stripeCustomerId) throw new Error("whoever has subscribed is a customer");
  const stripe = stripeForJobs();
  const { id } = await stripe.paymentMethods.attach(DECLINING_CARD, { customer: stripeCustomerId });
  await stripe.customers.update(stripeCustomerId, { invoice_settings: { default_payment_method: id } });
  await stripe.subscriptions.update(stripeSubscriptionId, { default_payment_method: id });
}
