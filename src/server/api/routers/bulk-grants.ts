// Bulk grants from a CSV file: looked at before, started, followed, undone. For the platform.
import { z } from "zod";
import { actorName } from "../../auth/actor";
import { getBulkProgress, previewBulkGrant, startBulkGrant, undoBulkGrant } from "../../billing/bulk-grants";
import { line } from "../inputs";
import { platformProcedure, router } from "../trpc";

// What fits into a request beside everything else; `npm run credits:bulk` takes larger files.
const MOST_CHARACTERS = 900_000;

const fileInput = z.object({
  text: z.string().min(1).max(MOST_CHARACTERS),
  source: z.enum(["promotion", "adjustment"]).default("promotion"),
  /** For rows without one of their own. */
  reason: line(200).default("Bulk grant"),
});

const bulkInput = z.object({ bulkId: z.uuid() });

export const bulkGrantsRouter = router({
  preview: platformProcedure.input(fileInput).mutation(({ ctx, input }) => previewBulkGrant(input, ctx.now)),

  start: platformProcedure
    .input(fileInput.extend({ name: line(200) }))
    .mutation(({ ctx, input: { name, ...file } }) =>
      startBulkGrant({ file, name, actor: actorName(ctx.actor), asJob: true, now: ctx.now }),
    ),

  progress: platformProcedure.input(bulkInput).query(({ input }) => getBulkProgress(input.bulkId)),

  undo: platformProcedure
    .input(bulkInput)
    .mutation(({ input }) => undoBulkGrant({ bulkId: input.bulkId, asJob: true })),
});
