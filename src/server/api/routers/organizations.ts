// Organizations: make one, list one's own, read and change one.
import { z } from "zod";
import { type Capability, capabilitiesOf } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import { removeOrganization } from "../../billing/organization-removal";
import {
  createOrganization,
  getOrganization,
  listOrganizations,
  renameOrganization,
  setBurnOrder,
} from "../../billing/organizations";
import { nameInput } from "../identity-inputs";
import { actorProcedure, organizationProcedure, personProcedure, requireCapability, router } from "../trpc";

export const organizationsRouter = router({
  /** A person becomes the owner of what they make; a platform key makes it for somebody else. */
  create: actorProcedure.input(z.object({ name: nameInput })).mutation(({ ctx, input }) => {
    const { actor, now } = ctx;
    if (actor.kind === "service" && actor.organizationId !== null) {
      throw new BillingError("FORBIDDEN", "An organization's API key cannot make organizations.");
    }
    return createOrganization({ name: input.name, owner: actor.kind === "person" ? actor.userId : null, now });
  }),

  list: personProcedure.query(({ ctx }) => listOrganizations(ctx.actor.userId)),

  get: organizationProcedure("billing:view").query(async ({ ctx }) => ({
    ...(await getOrganization(ctx.organizationId)),
    role: ctx.role,
    capabilities: capabilitiesOf(ctx.role),
  })),

  update: organizationProcedure("billing:view")
    .input(
      z.object({ name: nameInput.optional(), burnOrder: z.enum(["purchased_first", "expiring_first"]).optional() }),
    )
    .mutation(async ({ ctx, input }) => {
      const { organizationId, role } = ctx;
      const { name, burnOrder } = input;
      // All of it is allowed before any of it is done.
      const needed: Capability[] = [];
      if (name !== undefined) needed.push("members:manage");
      if (burnOrder !== undefined) needed.push("credits:configure");
      for (const capability of needed) requireCapability(role, capability);
      if (name !== undefined) await renameOrganization({ organizationId, name });
      if (burnOrder !== undefined) await setBurnOrder({ organizationId, burnOrder });
      return getOrganization(organizationId);
    }),

  /** Deletes it, here at once and at Stripe soon after. Its address must be typed. */
  remove: organizationProcedure("organization:remove")
    .input(z.object({ slug: z.string().max(200) }))
    .mutation(async ({ ctx, input }) => {
      await removeOrganization({ organizationId: ctx.organizationId, slug: input.slug, now: ctx.now });
    }),
});
