// The platform's own keys, which may act for any organization. Only people who administer the platform handle them.
import { z } from "zod";
import { BillingError } from "~/domain/errors";
import { createApiKey, listApiKeys, revokeApiKey } from "../../billing/api-keys";
import { nameInput } from "../identity-inputs";
import { personProcedure, router } from "../trpc";

// A key that could make keys would outlive its own revocation.
const adminProcedure = personProcedure.use(({ ctx, next }) => {
  if (!ctx.actor.isPlatformAdmin)
    throw new BillingError("FORBIDDEN", "This is for people who administer the platform.");
  return next();
});

export const platformApiKeysRouter = router({
  list: adminProcedure.query(() => listApiKeys(null)),

  create: adminProcedure
    .input(z.object({ name: nameInput }))
    .mutation(({ ctx, input }) =>
      createApiKey({ organizationId: null, name: input.name, createdById: ctx.actor.userId, now: ctx.now }),
    ),

  revoke: adminProcedure
    .input(z.object({ apiKeyId: z.uuid() }))
    .mutation(({ ctx, input }) => revokeApiKey({ organizationId: null, apiKeyId: input.apiKeyId, now: ctx.now })),
});
