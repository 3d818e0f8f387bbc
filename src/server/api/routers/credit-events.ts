// creditEvents: the rate card. Public without an organization; with one, its own costs, for whoever may see its billing.
import { z } from "zod";
import { can } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import { roleIn } from "~/server/billing/access";
import { listCreditEvents } from "~/server/billing/credit-events";
import { publicProcedure, router } from "../trpc";

export const creditEventsRouter = router({
  list: publicProcedure
    .input(z.object({ organizationId: z.uuid().optional() }).nullish())
    .query(async ({ ctx, input }) => {
      const organizationId = input?.organizationId ?? null;
      if (organizationId !== null) {
        if (!ctx.actor) throw new BillingError("UNAUTHENTICATED", "Sign in, or send an API key.");
        const role = await roleIn(ctx.actor, organizationId);
        if (!can(role, "billing:view")) throw new BillingError("FORBIDDEN", "Your role does not allow this.");
      }
      return listCreditEvents(organizationId);
    }),
});
