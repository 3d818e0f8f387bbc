// Credits set aside for work of unknown cost: hold, capture part by part, extend, release.
import { z } from "zod";
import { captureHold, extendHold, getHold, holdCredits, listHolds, releaseHold } from "~/server/billing/holds";
import { id, idempotencyKey, line, metadata, pageLimit, positiveCredits, spenderOf, tags } from "../../inputs";
import { organizationProcedure, spendingProcedure } from "../../trpc";

const LONGEST_LEASE_SECONDS = 24 * 60 * 60;

const leaseSeconds = z.int().min(1).max(LONGEST_LEASE_SECONDS);
const eventName = line(100);
const holdInput = z.object({ holdId: id });

const captureInput = holdInput
  .extend({
    /** Either credits … */
    amount: positiveCredits.optional(),
    /** … or units of an event, the hold's own where none is named. */
    quantity: z.int().positive().optional(),
    eventName: eventName.optional(),
    idempotencyKey,
    metadata: metadata.optional(),
    /** Whether this is the last part: what is left is freed at once. */
    release: z.boolean().default(false),
  })
  .refine((input) => (input.amount === undefined) !== (input.quantity === undefined), {
    path: ["amount"],
    message: "either an amount or a quantity",
  })
  .refine((input) => input.amount === undefined || input.eventName === undefined, {
    path: ["eventName"],
    message: "an event goes with a quantity",
  });

export const holdProcedures = {
  hold: spendingProcedure("credits:consume")
    .input(
      z.object({
        amount: positiveCredits,
        leaseSeconds: leaseSeconds.default(300),
        eventName: eventName.optional(),
        idempotencyKey,
        metadata: metadata.optional(),
        ...tags,
      }),
    )
    .mutation(({ ctx, input }) =>
      holdCredits({
        organizationId: ctx.organizationId,
        amount: input.amount,
        leaseSeconds: input.leaseSeconds,
        eventName: input.eventName ?? null,
        idempotencyKey: input.idempotencyKey,
        metadata: input.metadata,
        ...spenderOf(ctx.actor, input),
        now: ctx.now,
      }),
    ),

  capture: spendingProcedure("credits:consume")
    .input(captureInput)
    .mutation(({ ctx, input }) => {
      const { amount, quantity = 0, eventName = null } = input;
      return captureHold({
        organizationId: ctx.organizationId,
        holdId: input.holdId,
        used: amount === undefined ? { quantity, eventName } : { amount },
        idempotencyKey: input.idempotencyKey,
        metadata: input.metadata,
        release: input.release,
        ...spenderOf(ctx.actor, {}),
        now: ctx.now,
      });
    }),

  extendHold: spendingProcedure("credits:consume")
    .input(holdInput.extend({ leaseSeconds }))
    .mutation(({ ctx, input }) =>
      extendHold({
        organizationId: ctx.organizationId,
        holdId: input.holdId,
        leaseSeconds: input.leaseSeconds,
        ...spenderOf(ctx.actor, {}),
        now: ctx.now,
      }),
    ),

  releaseHold: spendingProcedure("credits:release")
    .input(holdInput)
    .mutation(({ ctx, input }) =>
      releaseHold({
        organizationId: ctx.organizationId,
        holdId: input.holdId,
        ...spenderOf(ctx.actor, {}),
        now: ctx.now,
      }),
    ),

  /** The open holds; or with an id that one, open or ended. */
  holds: organizationProcedure("billing:view")
    .input(z.object({ holdId: id.optional(), cursor: id.nullish(), limit: pageLimit }))
    .query(async ({ ctx, input }) => {
      const { organizationId, now } = ctx;
      if (input.holdId !== undefined) {
        return { items: [await getHold(organizationId, input.holdId, now)], nextCursor: null };
      }
      return listHolds({ organizationId, cursor: input.cursor ?? null, limit: input.limit, now });
    }),
};
