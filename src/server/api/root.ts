// All routers, and the types that pages and clients take from them.
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import { alertsRouter } from "./routers/admin/alerts";
import { eventsRouter } from "./routers/admin/events";
import { adminPlansRouter } from "./routers/admin/plans";
import { reconciliationRouter } from "./routers/admin/reconciliation";
import { apiKeysRouter } from "./routers/api-keys";
import { billingRouter } from "./routers/billing";
import { budgetsRouter } from "./routers/budgets";
import { bulkGrantsRouter } from "./routers/bulk-grants";
import { creditEventsRouter } from "./routers/credit-events";
import { creditProductsRouter } from "./routers/credit-products";
import { creditsRouter } from "./routers/credits";
import { giftsRouter } from "./routers/gifts";
import { invitationsRouter } from "./routers/invitations";
import { membersRouter } from "./routers/members";
import { organizationsRouter } from "./routers/organizations";
import { plansRouter } from "./routers/plans";
import { platformApiKeysRouter } from "./routers/platform-api-keys";
import { subscriptionRouter } from "./routers/subscription";
import { usageRouter } from "./routers/usage";
import { createCallerFactory, router } from "./trpc";

export const appRouter = router({
  plans: plansRouter,
  subscription: subscriptionRouter,
  credits: creditsRouter,
  creditProducts: creditProductsRouter,
  creditEvents: creditEventsRouter,
  gifts: giftsRouter,
  budgets: budgetsRouter,
  usage: usageRouter,
  billing: billingRouter,
  organizations: organizationsRouter,
  members: membersRouter,
  invitations: invitationsRouter,
  apiKeys: apiKeysRouter,
  platformApiKeys: platformApiKeysRouter,
  /** For the platform. */
  admin: router({
    alerts: alertsRouter,
    bulkGrants: bulkGrantsRouter,
    events: eventsRouter,
    plans: adminPlansRouter,
    reconciliation: reconciliationRouter,
  }),
});

export type AppRouter = typeof appRouter;
export type RouterInputs = inferRouterInputs<AppRouter>;
export type RouterOutputs = inferRouterOutputs<AppRouter>;

/** Calls procedures without HTTP: for pages that are rendered on the server, and for tests. */
export const createCaller = createCallerFactory(appRouter);
