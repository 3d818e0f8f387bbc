// subscription: the organization's plan, and everything that is done to it. Each action says STRIPE_UNAVAILABLE within five
// seconds where Stripe does not answer, and may be repeated.
import { z } from "zod";
import { CANCEL_REASONS } from "~/domain/subscription";
import { doerOf } from "~/server/billing/actions";
import { cancelSubscription, pauseSubscription, resumeSubscription, undoCancel } from "~/server/billing/cancellation";
import { changePlan, previewChange, undoChange } from "~/server/billing/plan-changes";
import { openPortal, PORTAL_FLOWS } from "~/server/billing/portal";
import { findSubscription, openSubscriptionCheckout } from "~/server/billing/subscription";
import { buyerOf, currency, id, instant, line } from "../inputs";
import { organizationProcedure, router } from "../trpc";

const choice = z.object({ planId: id, interval: z.enum(["month", "year"]) });

const LONGEST_TOKEN = 2_000;
const LONGEST_COMMENT = 1_000;
const LONGEST_PATH = 500;

const manage = organizationProcedure("billing:manage");

export const subscriptionRouter = router({
  get: organizationProcedure("billing:view").query(({ ctx }) => findSubscription(ctx.organizationId, ctx.now)),

  checkout: manage.input(choice.extend({ currency: currency.optional() })).mutation(({ ctx, input }) =>
    openSubscriptionCheckout(buyerOf(ctx, ctx.organizationId), {
      planId: input.planId,
      interval: input.interval,
      currency: input.currency ?? null,
    }),
  ),

  /** What a change would cost and give, with the token that does just that. */
  previewChange: manage.input(choice).query(({ ctx, input }) => previewChange(doerOf(ctx, ctx.organizationId), input)),

  change: manage
    .input(choice.extend({ token: z.string().min(1).max(LONGEST_TOKEN) }))
    .mutation(({ ctx, input }) => changePlan(doerOf(ctx, ctx.organizationId), input, input.token)),

  undoChange: manage
    .input(z.object({ change: z.enum(["pending", "scheduled"]).nullish() }))
    .mutation(({ ctx, input }) => undoChange(doerOf(ctx, ctx.organizationId), input.change ?? null)),

  cancel: manage
    .input(
      z.object({
        at: z.enum(["period_end", "now"]),
        reason: z.enum(CANCEL_REASONS).nullish(),
        comment: line(LONGEST_COMMENT).nullish(),
      }),
    )
    .mutation(({ ctx, input }) =>
      cancelSubscription(doerOf(ctx, ctx.organizationId), {
        at: input.at,
        reason: input.reason ?? null,
        comment: input.comment ?? null,
      }),
    ),

  undoCancel: manage.mutation(({ ctx }) => undoCancel(doerOf(ctx, ctx.organizationId))),

  pause: manage
    .input(z.object({ until: instant.nullish() }))
    .mutation(({ ctx, input }) => pauseSubscription(doerOf(ctx, ctx.organizationId), input.until ?? null)),

  resume: manage.mutation(({ ctx }) => resumeSubscription(doerOf(ctx, ctx.organizationId))),

  portal: manage
    .input(z.object({ flow: z.enum(PORTAL_FLOWS).nullish(), returnPath: line(LONGEST_PATH).nullish() }))
    .mutation(({ ctx, input }) =>
      openPortal(ctx.organizationId, { flow: input.flow ?? null, returnPath: input.returnPath ?? null }),
    ),
});
