// creditProducts: packs of credits, public; buying one.
import { z } from "zod";
import { DEFAULT_CURRENCY } from "~/domain/pricing";
import { listCreditProducts, openPackCheckout } from "~/server/billing/credit-products";
import { buyerOf, currency } from "../inputs";
import { organizationProcedure, publicProcedure, router } from "../trpc";

export const creditProductsRouter = router({
  list: publicProcedure
    .input(z.object({ currency: currency.optional() }).nullish())
    .query(({ input }) => listCreditProducts(input?.currency ?? null)),

  checkout: organizationProcedure("billing:manage")
    .input(z.object({ productId: z.uuid(), currency: currency.default(DEFAULT_CURRENCY) }))
    .mutation(({ ctx, input }) =>
      openPackCheckout(buyerOf(ctx, ctx.organizationId), { productId: input.productId, currency: input.currency }),
    ),
});
