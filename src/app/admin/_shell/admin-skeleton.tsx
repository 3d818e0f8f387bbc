// Until a page of the platform comes.
import { Page, PageHead, Stack } from "~/components/ui/page";
import { PanelSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function AdminSkeleton({ title, panels }: { title: string; panels: readonly string[] }) {
  return (
    <Page>
      <PageHead title={title} />
      <Stack>
        {panels.map((label) => (
          <PanelSkeleton key={label} label={label}>
            <TableSkeleton rows={8} columns={6} tight />
          </PanelSkeleton>
        ))}
      </Stack>
    </Page>
  );
}
