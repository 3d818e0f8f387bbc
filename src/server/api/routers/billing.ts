// billing: the overview, the history, and the way back from a checkout.
import { z } from "zod";
import { doerOf } from "~/server/billing/actions";
import { listHistory } from "~/server/billing/history";
import { payInvoice } from "~/server/billing/invoice-payments";
import { completeCheckout, getBillingSummary, getConcerns } from "~/server/billing/summary";
import { pageLimit } from "../inputs";
import { organizationProcedure, router } from "../trpc";

export const billingRouter = router({
  summary: organizationProcedure("billing:view").query(({ ctx }) => getBillingSummary(ctx.organizationId, ctx.now)),

  /** The part of it that asks for attention, for pages that need no more. */
  concerns: organizationProcedure("billing:view").query(({ ctx }) => getConcerns(ctx.organizationId)),

  history: organizationProcedure("billing:view")
    .input(z.object({ cursor: z.uuid().nullish(), limit: pageLimit }))
    .query(({ ctx, input }) => listHistory(ctx.organizationId, input.cursor ?? null, input.limit)),

  /** Brings what a checkout paid for up to date at once. A mutation, because it writes; it grants nothing unpaid. */
  completeCheckout: organizationProcedure("billing:view")
    .input(z.object({ sessionId: z.string().min(1).max(255) }))
    .mutation(({ ctx, input }) => completeCheckout(ctx.organizationId, input.sessionId, ctx.now)),

  /** Pays an open invoice with the card on file. Twice charges once. */
  payInvoice: organizationProcedure("billing:manage")
    .input(z.object({ invoiceId: z.string().min(1).max(255) }))
    .mutation(({ ctx, input }) => payInvoice(doerOf(ctx, ctx.organizationId), input.invoiceId)),
});
