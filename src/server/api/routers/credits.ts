// credits: spend, see what is left and why, give.
import { z } from "zod";
import { actorName } from "~/server/auth/actor";
import { consumeCredits, getBalance, grantCredits } from "~/server/billing/credits";
import { listGrants } from "~/server/billing/grants";
import { getTransaction, listTransactions } from "~/server/billing/transactions";
import { idempotencyKey, instant, line, metadata, pageLimit, positiveCredits, searchText } from "../inputs";
import { organizationInput, organizationProcedure, platformProcedure, router } from "../trpc";

const transactionType = z.enum([
  "grant",
  "purchase",
  "promotion",
  "adjustment",
  "consume",
  "reversal",
  "expiry",
  "refund",
  "dispute",
  "transfer",
]);

export const creditsRouter = router({
  balance: organizationProcedure("billing:view").query(({ ctx }) => getBalance(ctx.organizationId, ctx.now)),

  consume: organizationProcedure("credits:consume")
    .input(
      z.object({
        eventName: line(100),
        quantity: z.int().positive(),
        idempotencyKey,
        metadata: metadata.optional(),
      }),
    )
    .mutation(({ ctx, input }) =>
      consumeCredits({
        organizationId: ctx.organizationId,
        eventName: input.eventName,
        quantity: input.quantity,
        idempotencyKey: input.idempotencyKey,
        metadata: input.metadata,
        actor: actorName(ctx.actor),
        apiKeyId: ctx.actor.kind === "service" ? ctx.actor.apiKeyId : null,
        now: ctx.now,
      }),
    ),

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

  grant: platformProcedure
    .input(
      organizationInput.extend({
        amount: positiveCredits,
        source: z.enum(["promotion", "adjustment"]),
        expiresAt: instant.nullish(),
        reason: line(200),
        idempotencyKey,
      }),
    )
    .mutation(({ ctx, input }) =>
      grantCredits({
        organizationId: input.organizationId,
        amount: input.amount,
        source: input.source,
        expiresAt: input.expiresAt ?? null,
        reason: input.reason,
        idempotencyKey: input.idempotencyKey,
        actor: actorName(ctx.actor),
        apiKeyId: ctx.actor.kind === "service" ? ctx.actor.apiKeyId : null,
        now: ctx.now,
      }),
    ),
});
