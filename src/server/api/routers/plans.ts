// plans: what is for sale, public.
import { z } from "zod";
import { listPlans } from "~/server/billing/plans";
import { currency } from "../inputs";
import { publicProcedure, router } from "../trpc";

export const plansRouter = router({
  list: publicProcedure
    .input(z.object({ currency: currency.optional() }).nullish())
    .query(({ input }) => listPlans(input?.currency ?? null)),
});
