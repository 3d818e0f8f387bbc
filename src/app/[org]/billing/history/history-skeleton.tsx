// Until the history comes.
import { Page, PageHead } from "~/components/ui/page";
import { PanelSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function HistorySkeleton() {
  return (
    <Page>
      <PageHead title="History" />
      <PanelSkeleton label="Invoices and payments">
        <TableSkeleton rows={10} columns={5} />
      </PanelSkeleton>
    </Page>
  );
}
