// What keys, members and projects may spend. Everybody sees the budgets; people who manage billing change them, services never.
import { z } from "zod";
import { BUDGET_SCOPES, BUDGET_WINDOWS } from "~/domain/budgets";
import { actorName } from "../../auth/actor";
import { createBudget, listBudgetSubjects, listBudgets, removeBudget, updateBudget } from "../../billing/budgets";
import { id, line, MOST_CREDITS } from "../inputs";
import { organizationProcedure, router } from "../trpc";

const limit = z.int().min(0).max(MOST_CREDITS);
const budgetInput = z.object({ budgetId: id });

const subjectInput = z
  .object({
    scope: z.enum(BUDGET_SCOPES),
    /** Id of an API key or of a member, or a project's tag. */
    subject: line(100),
    window: z.enum(BUDGET_WINDOWS),
    limit,
  })
  .refine(({ scope, subject }) => scope === "project" || id.safeParse(subject).success, {
    path: ["subject"],
    message: "must be the id of a key or a member",
  });

export const budgetsRouter = router({
  list: organizationProcedure("billing:view").query(({ ctx }) => listBudgets(ctx.organizationId, ctx.now)),

  /** The keys, members and projects that a budget can be made for. */
  subjects: organizationProcedure("budgets:manage").query(({ ctx }) => listBudgetSubjects(ctx.organizationId, ctx.now)),

  create: organizationProcedure("budgets:manage")
    .input(subjectInput)
    .mutation(({ ctx, input }) =>
      createBudget({
        organizationId: ctx.organizationId,
        scope: input.scope,
        subject: input.subject,
        window: input.window,
        limit: input.limit,
        actor: actorName(ctx.actor),
        now: ctx.now,
      }),
    ),

  update: organizationProcedure("budgets:manage")
    .input(budgetInput.extend({ limit }))
    .mutation(({ ctx, input }) =>
      updateBudget({
        organizationId: ctx.organizationId,
        budgetId: input.budgetId,
        limit: input.limit,
        now: ctx.now,
      }),
    ),

  remove: organizationProcedure("budgets:manage")
    .input(budgetInput)
    .mutation(({ ctx, input }) =>
      removeBudget({ organizationId: ctx.organizationId, budgetId: input.budgetId, now: ctx.now }),
    ),
});
