// Invitations into an organization: sent and taken back by who manages members, accepted by the one who was invited.
import { z } from "zod";
import { emailAddress } from "../../auth/email-address";
import {
  acceptInvitation,
  inviteMember,
  listInvitations,
  previewInvitation,
  revokeInvitation,
} from "../../billing/invitations";
import { roleInput, tokenInput } from "../identity-inputs";
import { organizationProcedure, personProcedure, publicProcedure, router } from "../trpc";

export const invitationsRouter = router({
  list: organizationProcedure("members:manage").query(({ ctx }) => listInvitations(ctx.organizationId, ctx.now)),

  create: organizationProcedure("members:manage")
    .input(z.object({ email: emailAddress, role: roleInput }))
    .mutation(({ ctx, input }) => {
      const { actor, organizationId, role, now } = ctx;
      const invitedBy = actor.kind === "person" ? { userId: actor.userId, name: actor.name ?? actor.email } : null;
      return inviteMember({
        organizationId,
        email: input.email,
        role: input.role,
        invitedBy,
        actingRole: role,
        now,
      });
    }),

  revoke: organizationProcedure("members:manage")
    .input(z.object({ invitationId: z.uuid() }))
    .mutation(({ ctx, input }) =>
      revokeInvitation({
        organizationId: ctx.organizationId,
        invitationId: input.invitationId,
        actingRole: ctx.role,
        now: ctx.now,
      }),
    ),

  /** For whoever holds the link, before they sign in. */
  preview: publicProcedure
    .input(z.object({ token: tokenInput }))
    .query(({ ctx, input }) => previewInvitation(input.token, ctx.now)),

  accept: personProcedure
    .input(z.object({ token: tokenInput }))
    .mutation(({ ctx, input }) => acceptInvitation({ token: input.token, person: ctx.actor, now: ctx.now })),
});
