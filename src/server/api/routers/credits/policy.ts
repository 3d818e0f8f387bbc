// What happens to credits whose payment is taken back after they were spent; stopping and resuming all spending.
import { z } from "zod";
import { SPENT_POLICIES } from "~/domain/account";
import { actorName } from "~/server/auth/actor";
import { resumeCredits, setSpentPolicy, suspendCredits } from "~/server/billing/spent-policy";
import { line } from "../../inputs";
import { organizationInput, platformProcedure } from "../../trpc";

const withReason = organizationInput.extend({ reason: line(200) });

export const policyProcedures = {
  setSpentPolicy: platformProcedure
    .input(organizationInput.extend({ policy: z.enum(SPENT_POLICIES) }))
    .mutation(({ ctx, input }) => setSpentPolicy({ ...input, actor: actorName(ctx.actor), now: ctx.now })),

  suspend: platformProcedure
    .input(withReason)
    .mutation(({ ctx, input }) => suspendCredits({ ...input, actor: actorName(ctx.actor), now: ctx.now })),

  resume: platformProcedure
    .input(withReason)
    .mutation(({ ctx, input }) => resumeCredits({ ...input, actor: actorName(ctx.actor), now: ctx.now })),
};
