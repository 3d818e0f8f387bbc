// Until the statement comes.
import { Page, PageHead, Stack } from "~/components/ui/page";
import { PanelSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function StatementSkeleton() {
  return (
    <Page>
      <PageHead title="Statement" />
      <Stack>
        <PanelSkeleton label="Summary">
          <TableSkeleton rows={5} columns={2} />
        </PanelSkeleton>
        <PanelSkeleton label="Entries">
          <TableSkeleton rows={14} columns={4} tight />
        </PanelSkeleton>
      </Stack>
    </Page>
  );
}
