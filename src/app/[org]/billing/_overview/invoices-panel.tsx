"use client";
// The latest invoices, packs and refunds on the overview; all of them stand in the history.
import Link from "next/link";
import { formatMoney } from "~/components/billing/format";
import { PaymentState } from "~/components/billing/history-table";
import { LocalDate } from "~/components/billing/local-time";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import { Sub, Table, TBody, TD, TH, THead, TR } from "~/components/ui/table";
import type { RouterOutputs } from "~/server/api/root";
import { trpc } from "../../../_trpc/react";
import type { OrganizationView } from "../_shared/organization-view";

type HistoryItem = RouterOutputs["billing"]["history"]["items"][number];

export interface InvoicesPanelProps {
  organization: OrganizationView;
  initial: RouterOutputs["billing"]["history"] | undefined;
  shown: number;
}

export function InvoicesPanel({ organization, initial, shown }: InvoicesPanelProps) {
  const history = trpc.billing.history.useQuery(
    { organizationId: organization.id, limit: shown },
    { initialData: initial, refetchInterval: 60_000 },
  );
  const items = history.data?.items;
  return (
    <Panel title="Invoices" action={<Link href={`/${organization.slug}/billing/history`}>All history</Link>}>
      {items ? (
        items.length > 0 ? (
          <Invoices items={items} />
        ) : (
          <EmptyState
            title="Nothing was charged yet"
            text="Invoices, packs and refunds stand here from the first on."
          />
        )
      ) : history.isError ? (
        <ErrorState onRetry={() => history.refetch()} retrying={history.isFetching} />
      ) : (
        <Loading label="Loading invoices">
          <TableSkeleton rows={shown} columns={3} />
        </Loading>
      )}
    </Panel>
  );
}

/** Paid is the rule and needs no word. */
const SILENT = new Set(["paid", "succeeded", "complete"]);

function Invoices({ items }: { items: readonly HistoryItem[] }) {
  const { locale } = useViewer();
  return (
    <Table caption="Latest invoices, packs and refunds, newest first">
      <THead>
        <TH>Date</TH>
        <TH>For</TH>
        <TH num>Amount</TH>
      </THead>
      <TBody>
        {items.map((item) => (
          <TR key={item.id}>
            <TD className="whitespace-nowrap">
              <LocalDate value={item.occurredAt} show="day" />
            </TD>
            <TH scope="row">
              {item.invoiceUrl ? (
                <a href={item.invoiceUrl} target="_blank" rel="noreferrer" className="row-link">
                  {item.description}
                  <span className="sr-only">, opens in a new tab</span>
                </a>
              ) : (
                <span className="row-link">{item.description}</span>
              )}
              {SILENT.has(item.status) ? null : (
                <Sub>
                  <PaymentState status={item.status} kind={item.kind} />
                </Sub>
              )}
            </TH>
            <TD num>{formatMoney(item, { locale })}</TD>
          </TR>
        ))}
      </TBody>
    </Table>
  );
}
