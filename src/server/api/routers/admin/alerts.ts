// What somebody should look at, wherever it is. For the platform.
import { z } from "zod";
import { listAlertsOfAll } from "../../../billing/alerts";
import { id, pageLimit } from "../../inputs";
import { platformProcedure, router } from "../../trpc";

export const alertsRouter = router({
  list: platformProcedure
    .input(z.object({ cursor: id.nullish(), limit: pageLimit }).prefault({}))
    .query(({ input }) => listAlertsOfAll({ cursor: input.cursor ?? null, limit: input.limit })),
});
