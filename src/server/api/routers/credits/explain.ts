// Answers to "why": a row or a balance explained, and statements of a range.
import { z } from "zod";
import { BillingError } from "~/domain/errors";
import { explainBalance, explainTransaction } from "~/server/billing/explain";
import { getStatement, statementCsv } from "~/server/billing/statements";
import { instant, pageLimit } from "../../inputs";
import { organizationProcedure } from "../../trpc";

// About 300 kB a page.
const CSV_ROWS = 1000;

const range = {
  from: instant,
  to: instant,
  cursor: z.int().nonnegative().nullish(),
};

export const explainProcedures = {
  /** Of a transaction: what it was, why, by which rate. Of an instant (now, where nothing is said): what the balance was made of. */
  explain: organizationProcedure("billing:view")
    .input(z.object({ transactionId: z.uuid().optional(), at: instant.optional() }))
    .query(async ({ ctx, input }) => {
      if (input.transactionId === undefined) return explainBalance(ctx.organizationId, input.at ?? ctx.now);
      if (input.at === undefined) return explainTransaction(ctx.organizationId, input.transactionId);
      throw new BillingError("INVALID_INPUT", "Say either a transactionId or an instant.");
    }),

  statement: organizationProcedure("billing:view")
    .input(z.object({ ...range, limit: pageLimit }))
    .query(({ ctx, input }) =>
      getStatement({
        organizationId: ctx.organizationId,
        from: input.from,
        to: input.to,
        cursor: input.cursor ?? null,
        limit: input.limit,
      }),
    ),

  /** The rows of a statement as lines of CSV, a thousand at a time; with the names of the columns where no cursor is given. */
  statementCsv: organizationProcedure("billing:view")
    .input(z.object(range))
    .query(({ ctx, input }) =>
      statementCsv({
        organizationId: ctx.organizationId,
        from: input.from,
        to: input.to,
        cursor: input.cursor ?? null,
        limit: CSV_ROWS,
      }),
    ),
};
