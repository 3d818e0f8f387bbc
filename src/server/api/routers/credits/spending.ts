// Taking credits for what was used, asking before, and giving a take back.
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { BillingError, type BillingErrorCode, type BillingErrorDetails } from "~/domain/errors";
import type { Actor } from "~/server/auth/actor";
import { rolesIn } from "~/server/billing/access";
import { type Consumption, consumeCredits } from "~/server/billing/credits";
import { checkConsumption, estimateConsumption } from "~/server/billing/estimates";
import { reverseConsumption } from "~/server/billing/reversals";
import { failureOf, toTRPCError } from "../../errors";
import { id, idempotencyKey, line, metadata, positiveCredits, spenderOf, tags } from "../../inputs";
import {
  actorProcedure,
  organizationInput,
  organizationProcedure,
  requireCapability,
  type Spending,
  spendingMutation,
} from "../../trpc";

// What a body of the largest size holds of ordinary items, and what one flush or two take.
const MOST_ITEMS = 500;

const usage = { eventName: line(100), quantity: z.int().positive() };
const unit = z.object({ ...usage, idempotencyKey, metadata: metadata.optional(), ...tags });
const itemInput = unit.extend({ organizationId: id.optional() });
const questionInput = z.object({ ...usage, ...tags });

type Item = z.output<typeof itemInput>;

/** One item's answer among many: what `consume` would have answered by itself. */
export type ConsumeResult =
  | ({ ok: true } & Consumption)
  | { ok: false; error: { code: BillingErrorCode; message: string; details: BillingErrorDetails } };

export const spendingProcedures = {
  consume: spendingMutation("credits:consume", organizationInput.extend(unit.shape), (spending, input) =>
    consume(spending, input.organizationId, input),
  ),

  /** For collectors: each item has its own result, in the order of the items, and fails by itself. */
  consumeMany: actorProcedure
    .input(
      z.object({
        /** For the items that name none. */
        organizationId: id.optional(),
        // Read one by one below, so that one that is wrong is told by itself.
        items: z.array(z.custom<z.input<typeof itemInput>>()).min(1).max(MOST_ITEMS),
      }),
    )
    .mutation(async ({ ctx, input }) => {
      const items = input.items.map((item) => readItem(item, input.organizationId));
      const roles = await rolesIn(
        ctx.actor,
        items.flatMap((item) => (item instanceof Error ? [] : [item.organizationId])),
      );
      return Promise.all(
        items.map(async (item): Promise<ConsumeResult> => {
          try {
            if (item instanceof Error) throw item;
            const role = roles.get(item.organizationId);
            if (role === undefined || role instanceof BillingError) throw role;
            requireCapability(role, "credits:consume");
            return { ok: true, ...(await consume(ctx, item.organizationId, item)) };
          } catch (error) {
            return { ok: false, error: errorOf(error) };
          }
        }),
      );
    }),

  reverse: organizationProcedure("credits:reverse")
    .input(
      z.object({
        transactionId: id,
        /** Everything that is left of the take where it is left out. */
        amount: positiveCredits.optional(),
        reason: line(200),
        idempotencyKey,
      }),
    )
    .mutation(({ ctx, input }) =>
      reverseConsumption({
        organizationId: ctx.organizationId,
        transactionId: input.transactionId,
        amount: input.amount ?? null,
        reason: input.reason,
        idempotencyKey: input.idempotencyKey,
        actor: spenderOf(ctx.actor, {}).actor,
        now: ctx.now,
      }),
    ),

  /** What a take would cost, which lots would pay, what would be left. */
  estimate: organizationProcedure("billing:view")
    .input(questionInput)
    .query(({ ctx, input }) => estimateConsumption(questionOf(ctx, input))),

  /** Whether a take would be allowed, without taking. */
  check: organizationProcedure("billing:view")
    .input(questionInput)
    .query(({ ctx, input }) => checkConsumption(questionOf(ctx, input))),
};

function consume({ actor, now }: Spending, organizationId: string, input: z.output<typeof unit>): Promise<Consumption> {
  return consumeCredits({
    organizationId,
    eventName: input.eventName,
    quantity: input.quantity,
    idempotencyKey: input.idempotencyKey,
    metadata: input.metadata,
    ...spenderOf(actor, input),
    now,
  });
}

function questionOf(
  { actor, organizationId, now }: { actor: Actor; organizationId: string; now: Date },
  input: z.output<typeof questionInput>,
) {
  const { eventName, quantity } = input;
  return { organizationId, eventName, quantity, ...spenderOf(actor, input), now };
}

function readItem(item: unknown, organizationId: string | undefined): (Item & { organizationId: string }) | Error {
  const { data, error } = itemInput.safeParse(item);
  if (error) return new TRPCError({ code: "BAD_REQUEST", cause: error });
  const named = data.organizationId ?? organizationId;
  if (named === undefined) return new BillingError("INVALID_INPUT", "Name the organization, of each item or of all.");
  return { ...data, organizationId: named };
}

function errorOf(cause: unknown): Extract<ConsumeResult, { ok: false }>["error"] {
  const error = cause instanceof TRPCError ? cause : new TRPCError({ code: "INTERNAL_SERVER_ERROR", cause });
  const { failure, message } = failureOf(toTRPCError(error, "credits.consumeMany"));
  return { ...failure, message };
}
