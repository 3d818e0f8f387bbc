// The log of Stripe's events: looked at, processed anew, put aside. For the platform.
import { z } from "zod";
import { actorName } from "../../../auth/actor";
import { EVENT_STATUSES, getEvent, listEvents } from "../../../webhooks/log";
import { ignoreEvent, REPLAYABLE, replayEvent, replayEvents } from "../../../webhooks/replay";
import { id, instant, line, pageLimit } from "../../inputs";
import { platformProcedure, router } from "../../trpc";

const eventInput = z.object({ eventId: line(255) });

export const eventsRouter = router({
  list: platformProcedure
    .input(
      z.object({
        status: z.enum(EVENT_STATUSES).optional(),
        type: line(255).optional(),
        organizationId: id.optional(),
        id: line(255).optional(),
        cursor: line(300).nullish(),
        limit: pageLimit,
      }),
    )
    .query(({ input: { cursor, limit, ...filter } }) => listEvents(filter, { cursor: cursor ?? null, limit })),

  get: platformProcedure.input(eventInput).query(({ input }) => getEvent(input.eventId)),

  replay: platformProcedure.input(eventInput).mutation(({ ctx, input }) => replayEvent(input.eventId, ctx.now)),

  replayMany: platformProcedure
    .input(
      z.object({
        statuses: z.array(z.enum(REPLAYABLE)).min(1).default(["dead"]),
        from: instant.optional(),
        until: instant.optional(),
        type: line(255).optional(),
      }),
    )
    .mutation(({ ctx, input }) => replayEvents(input, ctx.now)),

  ignore: platformProcedure
    .input(eventInput.extend({ reason: line(500) }))
    .mutation(({ ctx, input }) => ignoreEvent(input.eventId, actorName(ctx.actor), input.reason, ctx.now)),
});
