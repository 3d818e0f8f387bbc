// Giving credits that nobody paid for.
import { z } from "zod";
import { actorName } from "~/server/auth/actor";
import { grantCredits } from "~/server/billing/credits";
import { idempotencyKey, instant, line, positiveCredits } from "../../inputs";
import { organizationInput, platformProcedure } from "../../trpc";

export const grantingProcedures = {
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
};
