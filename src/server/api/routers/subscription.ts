// subscription: the organization's plan, its checkout, Stripe's portal.
import { z } from "zod";
import { DEFAULT_CURRENCY } from "~/domain/pricing";
import { findSubscription, openPortal, openSubscriptionCheckout } from "~/server/billing/subscription";
import { buyerOf, currency } from "../inputs";
import { organizationProcedure, router } from "../trpc";

export const subscriptionRouter = router({
  get: organizationProcedure("billing:view").query(({ ctx }) => findSubscription(ctx.organizationId)),

  checkout: organizationProcedure("billing:manage")
    .input(
      z.object({ planId: z.uuid(), interval: z.enum(["month", "year"]), currency: currency.default(DEFAULT_CURRENCY) }),
    )
    .mutation(({ ctx, input }) =>
      openSubscriptionCheckout(buyerOf(ctx, ctx.organizationId), {
        planId: input.planId,
        interval: input.interval,
        currency: input.currency,
      }),
    ),

  portal: organizationProcedure("billing:manage").mutation(({ ctx }) => openPortal(ctx.organizationId)),
});
