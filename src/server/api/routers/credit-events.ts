// creditEvents: the rate card. Public without an organization; with one, its own costs, for whoever may see its billing.
// Edited by the platform.
import { z } from "zod";
import { can } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import { actorName } from "~/server/auth/actor";
import { roleIn } from "~/server/billing/access";
import { listCreditEvents } from "~/server/billing/credit-events";
import {
  createEvent,
  type EventAddress,
  removeOverride,
  setActive,
  setOverride,
  setRate,
} from "~/server/billing/rate-card";
import { id, instant, line, positiveCredits } from "../inputs";
import { actorOf, organizationInput, platformProcedure, publicProcedure, router } from "../trpc";

const MOST_UNITS = 1_000_000_000_000;

const rate = {
  /** Credits for `perUnits` units. */
  cost: positiveCredits,
  perUnits: z.int().positive().max(MOST_UNITS).default(1),
};

const eventInput = z.object({ id: z.uuid().optional(), eventName: line(100).optional() });

/** @throws BillingError INVALID_INPUT unless exactly one of both is said */
function addressOf({ id, eventName }: z.infer<typeof eventInput>): EventAddress {
  if (id !== undefined && eventName === undefined) return { id };
  if (eventName !== undefined && id === undefined) return { eventName };
  throw new BillingError("INVALID_INPUT", "Say either the event's id or its eventName.");
}

export const creditEventsRouter = router({
  list: publicProcedure.input(z.object({ organizationId: id.optional() }).nullish()).query(async ({ ctx, input }) => {
    const organizationId = input?.organizationId ?? null;
    if (organizationId !== null) {
      const role = await roleIn(actorOf(ctx), organizationId);
      if (!can(role, "billing:view")) throw new BillingError("FORBIDDEN", "Your role does not allow this.");
    }
    return listCreditEvents(organizationId, ctx.now);
  }),

  create: platformProcedure
    .input(
      z.object({
        name: line(100),
        description: line(500).or(z.literal("")).default(""),
        category: line(100),
        ...rate,
        activeFrom: instant.nullish(),
      }),
    )
    .mutation(({ ctx, input }) =>
      createEvent({ ...input, activeFrom: input.activeFrom ?? null, actor: actorName(ctx.actor), now: ctx.now }),
    ),

  setRate: platformProcedure
    .input(eventInput.extend({ ...rate, effectiveFrom: instant.nullish() }))
    .mutation(({ ctx, input }) =>
      setRate({
        event: addressOf(input),
        rate: { cost: input.cost, perUnits: input.perUnits },
        effectiveFrom: input.effectiveFrom ?? null,
        actor: actorName(ctx.actor),
        now: ctx.now,
      }),
    ),

  setActive: platformProcedure
    .input(eventInput.extend({ active: z.boolean() }))
    .mutation(({ ctx, input }) =>
      setActive({ event: addressOf(input), active: input.active, actor: actorName(ctx.actor), now: ctx.now }),
    ),

  setOverride: platformProcedure
    .input(
      organizationInput.extend({
        ...eventInput.shape,
        ...rate,
        effectiveFrom: instant.nullish(),
        effectiveUntil: instant.nullish(),
      }),
    )
    .mutation(({ ctx, input }) =>
      setOverride({
        organizationId: input.organizationId,
        event: addressOf(input),
        rate: { cost: input.cost, perUnits: input.perUnits },
        effectiveFrom: input.effectiveFrom ?? null,
        effectiveUntil: input.effectiveUntil ?? null,
        actor: actorName(ctx.actor),
        now: ctx.now,
      }),
    ),

  removeOverride: platformProcedure.input(organizationInput.extend(eventInput.shape)).mutation(({ ctx, input }) =>
    removeOverride({
      organizationId: input.organizationId,
      event: addressOf(input),
      actor: actorName(ctx.actor),
      now: ctx.now,
    }),
  ),
});
