// Taking credits for what was used.
import { z } from "zod";
import { consumeCredits } from "~/server/billing/credits";
import { idempotencyKey, line, metadata, spenderOf, tags } from "../../inputs";
import { organizationProcedure } from "../../trpc";

export const spendingProcedures = {
  consume: organizationProcedure("credits:consume")
    .input(
      z.object({
        eventName: line(100),
        quantity: z.int().positive(),
        idempotencyKey,
        metadata: metadata.optional(),
        ...tags,
      }),
    )
    .mutation(({ ctx, input }) =>
      consumeCredits({
        organizationId: ctx.organizationId,
        eventName: input.eventName,
        quantity: input.quantity,
        idempotencyKey: input.idempotencyKey,
        metadata: input.metadata,
        ...spenderOf(ctx.actor, input),
        now: ctx.now,
      }),
    ),
};
