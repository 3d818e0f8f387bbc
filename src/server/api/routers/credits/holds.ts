// Credits set aside for work of unknown cost: hold, capture part by part, extend, release.
import { z } from "zod";
import { captureHold, extendHold, getHold, holdCredits, listHolds, releaseHold } from "~/server/billing/holds";
import { id, idempotencyKey, line, metadata, pageLimit, positiveCredits, spenderOf, tags } from "../../inputs";
import { organizationInput, organizationProcedure, spendingMutation } from "../../trpc";

const LONGEST_LEASE_SECONDS = 24 * 60 * 60;

const leaseSeconds = z.int().min(1).max(LONGEST_LEASE_SECONDS);
const eventName = line(100);
const holdInput = organizationInput.extend({ holdId: id });

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

const newHoldInput = organizationInput.extend({
  amount: positiveCredits,
  leaseSeconds: leaseSeconds.default(300),
  eventName: eventName.optional(),
  idempotencyKey,
  metadata: metadata.optional(),
  ...tags,
});

export const holdProcedures = {
  hold: spendingMutation("credits:consume", newHoldInput, ({ actor, now }, input) =>
    holdCredits({
      organizationId: input.organizationId,
      amount: input.amount,
      leaseSeconds: input.leaseSeconds,
      eventName: input.eventName ?? null,
      idempotencyKey: input.idempotencyKey,
      metadata: input.metadata,
      ...spenderOf(actor, input),
      now,
    }),
  ),

  capture: spendingMutation("credits:consume", captureInput, ({ actor, now }, input) => {
    const { amount, quantity = 0, eventName = null } = input;
    return captureHold({
      organizationId: input.organizationId,
      holdId: input.holdId,
      used: amount === undefined ? { quantity, eventName } : { amount },
      idempotencyKey: input.idempotencyKey,
      metadata: input.metadata,
      release: input.release,
      ...spenderOf(actor, {}),
      now,
    });
  }),

  extendHold: spendingMutation("credits:consume", holdInput.extend({ leaseSeconds }), ({ actor, now }, input) =>
    extendHold({
      organizationId: input.organizationId,
      holdId: input.holdId,
      leaseSeconds: input.leaseSeconds,
      ...spenderOf(actor, {}),
      now,
    }),
  ),

  releaseHold: spendingMutation("credits:release", holdInput, ({ actor, now }, input) =>
    releaseHold({
      organizationId: input.organizationId,
      holdId: input.holdId,
      ...spenderOf(actor, {}),
      now,
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
