// Runs of the reconciler: asked for, listed, looked into. For the platform.
import { z } from "zod";
import { actorName } from "../../../auth/actor";
import { getReconciliation, listReconciliations } from "../../../billing/reconcile";
import { asPlatform } from "../../../db";
import { enqueue } from "../../../db/enqueue";
import { id, instant, pageLimit } from "../../inputs";
import { platformProcedure, router } from "../../trpc";

export const reconciliationRouter = router({
  /** Asks for a run, which a worker begins at once; one that waits already is this one. */
  run: platformProcedure.input(z.object({ since: instant.nullish() }).nullish()).mutation(async ({ ctx, input }) => {
    const payload = { cause: `asked for by ${actorName(ctx.actor)}`, since: input?.since?.toISOString() ?? null };
    await asPlatform((tx) => enqueue(tx, "reconcile", payload, { key: "reconcile" }));
    return { requested: true };
  }),

  list: platformProcedure
    .input(z.object({ cursor: id.nullish(), limit: pageLimit }).prefault({}))
    .query(({ input }) => listReconciliations({ cursor: input.cursor ?? null, limit: input.limit })),

  get: platformProcedure
    .input(z.object({ reconciliationId: id }))
    .query(({ input }) => getReconciliation(input.reconciliationId)),
});
