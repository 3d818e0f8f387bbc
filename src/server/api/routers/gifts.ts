// Gifts: made and taken back by who may give an organization's credits, claimed by whoever has the link.
import { z } from "zod";
import { actorName } from "../../auth/actor";
import { roleIn } from "../../billing/access";
import { cancelGift, claimGift, createGift, listGifts, lookAtGift } from "../../billing/gifts";
import { tokenInput } from "../identity-inputs";
import { id, idempotencyKey, instant, line, positiveCredits } from "../inputs";
import { organizationProcedure, personProcedure, publicProcedure, requireCapability, router } from "../trpc";

export const giftsRouter = router({
  list: organizationProcedure("credits:transfer").query(({ ctx }) => listGifts(ctx.organizationId, ctx.now)),

  create: organizationProcedure("credits:transfer")
    .input(
      z.object({
        amount: positiveCredits,
        message: line(200).nullish(),
        /** Until when it can be claimed; 30 days when it is left out, 90 at most. */
        expiresAt: instant.nullish(),
        idempotencyKey,
      }),
    )
    .mutation(({ ctx, input }) =>
      createGift({
        organizationId: ctx.organizationId,
        amount: input.amount,
        message: input.message ?? null,
        expiresAt: input.expiresAt ?? null,
        idempotencyKey: input.idempotencyKey,
        actor: actorName(ctx.actor),
        apiKeyId: ctx.actor.kind === "service" ? ctx.actor.apiKeyId : null,
        now: ctx.now,
      }),
    ),

  cancel: organizationProcedure("credits:transfer")
    .input(z.object({ giftId: z.uuid() }))
    .mutation(({ ctx, input }) =>
      cancelGift({
        organizationId: ctx.organizationId,
        giftId: input.giftId,
        actor: actorName(ctx.actor),
        apiKeyId: ctx.actor.kind === "service" ? ctx.actor.apiKeyId : null,
        now: ctx.now,
      }),
    ),

  /** For whoever holds the link, before they sign in. */
  look: publicProcedure
    .input(z.object({ token: tokenInput }))
    .query(({ ctx, input }) => lookAtGift(input.token, ctx.actor, ctx.now)),

  claim: personProcedure.input(z.object({ token: tokenInput, organizationId: id })).mutation(async ({ ctx, input }) => {
    const { actor, now } = ctx;
    requireCapability(await roleIn(actor, input.organizationId), "billing:manage");
    return claimGift({ token: input.token, organizationId: input.organizationId, actor: actorName(actor), now });
  }),
});
