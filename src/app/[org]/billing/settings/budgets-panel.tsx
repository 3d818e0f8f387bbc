"use client";
// What keys, members and projects may spend of the organization's credits. Everybody sees it; who manages billing changes it.
import { BudgetsTable, CreateBudgetDialog } from "~/components/billing/budgets-table";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

const REFRESH_MS = 15_000;

export interface BudgetsPanelProps {
  organizationId: string;
  initialBudgets: RouterOutputs["budgets"]["list"];
  /** May make, change and end them. */
  manages: boolean;
}

export function BudgetsPanel({ organizationId, initialBudgets, manages }: BudgetsPanelProps) {
  const utils = trpc.useUtils();
  const { data: budgets } = trpc.budgets.list.useQuery(
    { organizationId },
    { initialData: initialBudgets, refetchInterval: REFRESH_MS, refetchOnWindowFocus: "always" },
  );
  const subjects = trpc.budgets.subjects.useQuery({ organizationId }, { enabled: manages, staleTime: 60_000 });
  const refresh = { onSettled: () => utils.budgets.list.invalidate({ organizationId }) };
  const create = trpc.budgets.create.useMutation(refresh);
  const update = trpc.budgets.update.useMutation(refresh);
  const remove = trpc.budgets.remove.useMutation(refresh);
  const managing = {
    onChange: async (budgetId: string, limit: number) => {
      await update.mutateAsync({ organizationId, budgetId, limit });
      toastDone("The limit is changed", { description: "It counts from the next request on." });
    },
    onEnd: async (budgetId: string) => {
      await remove.mutateAsync({ organizationId, budgetId });
      toastDone("The budget has ended");
    },
  };

  return (
    <Panel
      title="Budgets"
      action={
        manages ? (
          <CreateBudgetDialog
            subjects={subjects.data ?? null}
            onCreate={async (input) => {
              await create.mutateAsync({ organizationId, ...input });
              toastDone("The budget is made", { description: "It counts from the next request on." });
            }}
            describeError={failureWords}
          />
        ) : null
      }
    >
      {budgets.length > 0 ? (
        <BudgetsTable budgets={budgets} {...(manages ? managing : {})} describeError={failureWords} />
      ) : (
        <EmptyState
          title="No budgets"
          text={
            manages
              ? "Every key, member and project may spend all credits of the organization. A budget gives one of them a limit for a day, a month or in all: what goes beyond is refused at once."
              : "Every key, member and project may spend all credits of the organization. An owner, an admin or a billing contact can set limits."
          }
        />
      )}
    </Panel>
  );
}
