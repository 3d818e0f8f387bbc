// Editing the plans that are for sale. What is edited is put into Stripe at once, where Stripe answers. For the platform.
import { z } from "zod";
import { BillingError } from "~/domain/errors";
import { actorName } from "../../../auth/actor";
import { changePlanPrice, setPlanActive } from "../../../billing/plans";
import { pushCatalogue } from "../../../billing/stripe-catalogue";
import { log } from "../../../log";
import { currency, id } from "../../inputs";
import { platformProcedure, router } from "../../trpc";

// What Stripe takes at most for a price.
const MOST_MINOR_UNITS = 99_999_999;

export const adminPlansRouter = router({
  /** `pushed` is false where Stripe has not got it yet: until the next push, the new price cannot be bought. */
  changePrice: platformProcedure
    .input(
      z.object({
        planId: id,
        interval: z.enum(["month", "year"]),
        currency,
        unitAmount: z.int().min(0).max(MOST_MINOR_UNITS),
      }),
    )
    .mutation(async ({ ctx, input }) => {
      const edited = await changePlanPrice({ ...input, actor: actorName(ctx.actor), now: ctx.now });
      return { ...edited, pushed: await push() };
    }),

  setActive: platformProcedure.input(z.object({ planId: id, active: z.boolean() })).mutation(async ({ ctx, input }) => {
    const edited = await setPlanActive({ ...input, actor: actorName(ctx.actor), now: ctx.now });
    return { ...edited, pushed: await push() };
  }),
});

/** The edit stands without it: `stripe:sync`, or the next edit, makes it good. */
async function push(): Promise<boolean> {
  try {
    await pushCatalogue();
    return true;
  } catch (error) {
    if (!(error instanceof BillingError)) throw error;
    log.warn("an edited plan is not in Stripe yet", { error });
    return false;
  }
}
