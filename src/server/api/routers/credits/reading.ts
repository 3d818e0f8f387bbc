// What is left, and what happened: balance, lots, the ledger.
import { z } from "zod";
import { TRANSACTION_TYPES } from "~/domain/account";
import { getBalance } from "~/server/billing/credits";
import { listGrants } from "~/server/billing/grants";
import { getTransaction, listTransactions } from "~/server/billing/transactions";
import { instant, pageLimit, searchText } from "../../inputs";
import { organizationProcedure } from "../../trpc";

const transactionType = z.enum(TRANSACTION_TYPES);

export const readingProcedures = {
  balance: organizationProcedure("billing:view").query(({ ctx }) => getBalance(ctx.organizationId, ctx.now)),

  transactions: organizationProcedure("billing:view")
    .input(
      z.object({
        cursor: z.int().positive().nullish(),
        limit: pageLimit,
        type: transactionType.nullish(),
        /** Part of an event's name or a reason, or a whole idempotency key. */
        search: searchText.nullish(),
        from: instant.nullish(),
        to: instant.nullish(),
      }),
    )
    .query(({ ctx, input }) =>
      listTransactions({
        organizationId: ctx.organizationId,
        cursor: input.cursor ?? null,
        limit: input.limit,
        type: input.type ?? null,
        search: input.search || null,
        from: input.from ?? null,
        to: input.to ?? null,
      }),
    ),

  transaction: organizationProcedure("billing:view")
    .input(z.object({ transactionId: z.uuid() }))
    .query(({ ctx, input }) => getTransaction(ctx.organizationId, input.transactionId)),

  grants: organizationProcedure("billing:view")
    .input(z.object({ closedLimit: z.int().min(0).max(100).default(20) }))
    .query(({ ctx, input }) => listGrants(ctx.organizationId, ctx.now, input.closedLimit)),
};
