"use client";
// Invoices, packs and refunds, one line each; older ones on demand.
import { HistoryTable } from "~/components/billing/history-table";
import { EmptyState } from "~/components/ui/empty-state";
import { LinkButton } from "~/components/ui/link-button";
import { Panel, PanelBody } from "~/components/ui/panel";
import { ShowOlder } from "~/components/ui/show-older";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import { PaymentProblemText } from "../_shared/payment-problem";
import { usePayInvoice } from "../_shared/use-pay-invoice";
import { HISTORY_PAGE_SIZE } from "./page-size";

export interface HistoryPanelProps {
  organizationId: string;
  slug: string;
  firstPage: RouterOutputs["billing"]["history"];
  canManage: boolean;
}

export function HistoryPanel({ organizationId, slug, firstPage, canManage }: HistoryPanelProps) {
  const history = trpc.billing.history.useInfiniteQuery(
    { organizationId, limit: HISTORY_PAGE_SIZE },
    {
      initialData: { pages: [firstPage], pageParams: [null] },
      getNextPageParam: (page) => page.nextCursor,
    },
  );
  const payment = usePayInvoice(organizationId);
  const items = history.data.pages.flatMap((page) => page.items);

  if (items.length === 0) {
    return (
      <Panel title="Invoices and payments">
        <EmptyState
          title="Nothing was charged yet"
          text="Invoices of the plan, packs of credits and refunds will stand here, each with its PDF."
          action={
            canManage ? (
              <>
                <LinkButton href={`/${slug}/billing/plans`}>See the plans</LinkButton>
                <LinkButton href={`/${slug}/billing/credits`}>Buy credits</LinkButton>
              </>
            ) : undefined
          }
        />
      </Panel>
    );
  }
  const all = !history.hasNextPage;
  return (
    <Panel title="Invoices and payments" note="amounts with tax">
      {payment.problem ? (
        <PanelBody>
          <PaymentProblemText problem={payment.problem} />
        </PanelBody>
      ) : null}
      <HistoryTable items={items} onPay={canManage ? payment.pay : undefined} payingId={payment.payingId} />
      {history.isFetchNextPageError ? (
        <PanelBody>
          <p role="alert" className="text-sm font-medium text-danger">
            Older lines could not be loaded. {failureWords(history.error)}
          </p>
        </PanelBody>
      ) : null}
      <ShowOlder
        shown={all ? `${items.length === 1 ? "One line" : `All ${items.length} lines`}` : `The newest ${items.length}`}
        onShowOlder={all ? undefined : () => history.fetchNextPage()}
        loading={history.isFetchingNextPage}
        label={history.isFetchNextPageError ? "Try again" : "Show older"}
      />
    </Panel>
  );
}
