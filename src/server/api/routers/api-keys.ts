// The keys of an organization's services. A key itself is in one answer only: that of `create`.
import { z } from "zod";
import { createApiKey, listApiKeys, revokeApiKey } from "../../billing/api-keys";
import { nameInput } from "../identity-inputs";
import { organizationProcedure, router } from "../trpc";

export const apiKeysRouter = router({
  list: organizationProcedure("api-keys:manage").query(({ ctx }) => listApiKeys(ctx.organizationId)),

  create: organizationProcedure("api-keys:manage")
    .input(z.object({ name: nameInput }))
    .mutation(({ ctx, input }) =>
      createApiKey({
        organizationId: ctx.organizationId,
        name: input.name,
        createdById: ctx.actor.kind === "person" ? ctx.actor.userId : null,
        now: ctx.now,
      }),
    ),

  revoke: organizationProcedure("api-keys:manage")
    .input(z.object({ apiKeyId: z.uuid() }))
    .mutation(({ ctx, input }) =>
      revokeApiKey({ organizationId: ctx.organizationId, apiKeyId: input.apiKeyId, now: ctx.now }),
    ),
});
