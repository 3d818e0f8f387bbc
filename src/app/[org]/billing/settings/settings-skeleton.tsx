// Until the settings come.
import { Page, PageHead, Stack } from "~/components/ui/page";
import { PanelBody } from "~/components/ui/panel";
import { FactsSkeleton, PanelSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function SettingsSkeleton() {
  return (
    <Page>
      <PageHead title="Settings" />
      <Stack>
        <PanelSkeleton label="Organization">
          <PanelBody>
            <FactsSkeleton rows={2} />
          </PanelBody>
        </PanelSkeleton>
        <PanelSkeleton label="Members">
          <TableSkeleton rows={4} columns={3} />
        </PanelSkeleton>
        <PanelSkeleton label="API keys">
          <TableSkeleton rows={3} columns={4} />
        </PanelSkeleton>
        <PanelSkeleton label="Budgets">
          <TableSkeleton rows={2} columns={4} />
        </PanelSkeleton>
      </Stack>
    </Page>
  );
}
