// Giving an organization's credits to another.
import { z } from "zod";
import { actorName } from "~/server/auth/actor";
import { roleIn } from "~/server/billing/access";
import { transferCredits } from "~/server/billing/transfers";
import { id, idempotencyKey, line, positiveCredits } from "../../inputs";
import { organizationProcedure } from "../../trpc";

export const transferProcedures = {
  /** For the platform, and for who may give in the one organization and belongs to the other. */
  transfer: organizationProcedure("credits:transfer")
    .input(z.object({ toOrganizationId: id, amount: positiveCredits, reason: line(200), idempotencyKey }))
    .mutation(async ({ ctx, input }) => {
      const { actor, organizationId, role, now } = ctx;
      // A stranger's organization is as unknown as one that does not exist.
      if (role !== "platform") await roleIn(actor, input.toOrganizationId);
      return transferCredits({
        organizationId,
        toOrganizationId: input.toOrganizationId,
        amount: input.amount,
        reason: input.reason,
        idempotencyKey: input.idempotencyKey,
        actor: actorName(actor),
        apiKeyId: actor.kind === "service" ? actor.apiKeyId : null,
        now,
      });
    }),
};
