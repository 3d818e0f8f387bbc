// Giving credits that nobody paid for, and taking them back.
import { z } from "zod";
import { actorName } from "~/server/auth/actor";
import { adjustCredits } from "~/server/billing/adjustments";
import { grantCredits } from "~/server/billing/credits";
import { id, idempotencyKey, instant, line, positiveCredits, signedCredits } from "../../inputs";
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

  /** A negative amount takes unspent credits back, in burn order or of one lot. */
  adjust: platformProcedure
    .input(
      organizationInput.extend({
        amount: signedCredits,
        grantId: id.nullish(),
        reason: line(200),
        idempotencyKey,
      }),
    )
    .mutation(({ ctx, input }) =>
      adjustCredits({
        organizationId: input.organizationId,
        amount: input.amount,
        grantId: input.grantId ?? null,
        reason: input.reason,
        idempotencyKey: input.idempotencyKey,
        actor: actorName(ctx.actor),
        apiKeyId: ctx.actor.kind === "service" ? ctx.actor.apiKeyId : null,
        now: ctx.now,
      }),
    ),
};
