// Links into Stripe's portal: its home page, or straight to what somebody wants to do there.
import { BillingError } from "~/domain/errors";
import { LIVE_STATUSES } from "~/domain/subscription";
import { asOrganization, asPlatform } from "../db";
import { publicUrl } from "../env";
import { callStripe, expectObject, type Stripe, stripeForPages } from "../stripe";
import { answerInTime, findOrganization } from "./actions";

export const PORTAL_FLOWS = ["update_card", "cancel", "change_plan", "invoices"] as const;
export type PortalFlow = (typeof PORTAL_FLOWS)[number];

/**
 * A link into Stripe's portal. Each call makes one of its own: they are short-lived, and change nothing.
 * @param options.flow straight to it, and back to our page when it is done; Stripe has no flow of invoices, they are on its home
 * @param options.returnPath from the root of the app, among the organization's pages; null for its overview
 * @throws BillingError NO_BILLING_ACCOUNT before the first checkout, NO_SUBSCRIPTION for a flow that needs one,
 *   INVALID_INPUT for a path elsewhere, STRIPE_UNAVAILABLE
 */
export function openPortal(
  organizationId: string,
  options: { flow: PortalFlow | null; returnPath: string | null },
): Promise<{ url: string }> {
  return answerInTime(async () => {
    const [{ organization, subscriptionId }, account] = await Promise.all([
      asOrganization(organizationId, async (tx) => {
        const live = await tx.organizationSubscription.findFirst({
          where: { organizationId, status: { in: [...LIVE_STATUSES] } },
          select: { stripeSubscriptionId: true },
        });
        return {
          organization: await findOrganization(tx, organizationId),
          subscriptionId: live?.stripeSubscriptionId ?? null,
        };
      }),
      asPlatform((tx) => tx.stripeAccount.findFirst({ select: { portalConfigurationId: true } })),
    ]);
    if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const returnUrl = ownPage(organization.slug, options.returnPath);
    const customer = organization.stripeCustomerId;
    if (!customer) {
      const message = "There is nothing to manage yet: subscribe or buy credits first.";
      throw new BillingError("NO_BILLING_ACCOUNT", message, {});
    }
    const flow = flowData(options.flow, subscriptionId, returnUrl);
    const session = await callStripe(async () =>
      expectObject(
        "billing_portal.session",
        await stripeForPages().billingPortal.sessions.create({
          customer,
          return_url: returnUrl,
          ...(account?.portalConfigurationId ? { configuration: account.portalConfigurationId } : {}),
          ...(flow ? { flow_data: flow } : {}),
        }),
      ),
    );
    return { url: session.url };
  });
}

function flowData(
  flow: PortalFlow | null,
  subscription: string | null,
  returnUrl: string,
): Stripe.BillingPortal.SessionCreateParams.FlowData | null {
  if (flow === null || flow === "invoices") return null;
  const after = { after_completion: { type: "redirect" as const, redirect: { return_url: returnUrl } } };
  if (flow === "update_card") return { type: "payment_method_update", ...after };
  if (subscription === null) {
    throw new BillingError("NO_SUBSCRIPTION", "This organization has no subscription. Choose a plan first.", {});
  }
  return flow === "cancel"
    ? { type: "subscription_cancel", subscription_cancel: { subscription }, ...after }
    : { type: "subscription_update", subscription_update: { subscription }, ...after };
}

/** The address of a page of the organization's own: nobody is sent elsewhere by a link that they were given. */
function ownPage(slug: string, path: string | null): string {
  const home = publicUrl(`/${slug}/billing`);
  if (path === null) return home;
  const base = new URL(home);
  const url = URL.canParse(path, base) ? new URL(path, base) : null;
  const isOwn = url !== null && url.origin === base.origin && `${url.pathname}/`.startsWith(`/${slug}/`);
  if (!path.startsWith("/") || !isOwn) {
    throw new BillingError("INVALID_INPUT", "The way back must be a page of the organization.", { returnPath: path });
  }
  return url.toString();
}
