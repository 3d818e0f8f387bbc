// The people of an organization.
import { z } from "zod";
import { BillingError } from "~/domain/errors";
import { changeMemberRole, leaveOrganization, listMembers, removeMember } from "../../billing/members";
import { roleInput } from "../identity-inputs";
import { organizationProcedure, router } from "../trpc";

const memberInput = z.object({ userId: z.uuid() });

export const membersRouter = router({
  list: organizationProcedure("members:view").query(({ ctx }) => listMembers(ctx.organizationId)),

  changeRole: organizationProcedure("members:manage")
    .input(memberInput.extend({ role: roleInput }))
    .mutation(({ ctx, input }) =>
      changeMemberRole({
        organizationId: ctx.organizationId,
        userId: input.userId,
        role: input.role,
        actingRole: ctx.role,
      }),
    ),

  remove: organizationProcedure("members:manage")
    .input(memberInput)
    .mutation(({ ctx, input }) =>
      removeMember({ organizationId: ctx.organizationId, userId: input.userId, actingRole: ctx.role }),
    ),

  /** For every member: nobody needs a right to go. */
  leave: organizationProcedure("members:view").mutation(({ ctx }) => {
    if (ctx.actor.kind !== "person") throw new BillingError("FORBIDDEN", "This is for people, not for services.");
    return leaveOrganization({ organizationId: ctx.organizationId, userId: ctx.actor.userId });
  }),
});
