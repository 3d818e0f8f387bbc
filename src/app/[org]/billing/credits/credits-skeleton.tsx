// What stands in place of the credits page until it comes, with its heights.
import { Columns, Page, PageHead, Stack } from "~/components/ui/page";
import { PanelBody } from "~/components/ui/panel";
import { FactsSkeleton, PanelSkeleton, StripSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function CreditsSkeleton() {
  return (
    <Page>
      <PageHead title="Credits" />
      <Stack>
        <PanelSkeleton label="Lots">
          <PanelBody>
            <StripSkeleton slim />
          </PanelBody>
          <TableSkeleton rows={3} columns={5} />
        </PanelSkeleton>
        <Columns split="6-6">
          <PanelSkeleton label="Buy credits">
            <TableSkeleton rows={3} columns={3} />
          </PanelSkeleton>
          <PanelSkeleton label="Order of spending">
            <PanelBody>
              <FactsSkeleton rows={3} />
            </PanelBody>
          </PanelSkeleton>
        </Columns>
        <PanelSkeleton label="Transactions">
          <TableSkeleton rows={14} columns={5} tight />
        </PanelSkeleton>
      </Stack>
    </Page>
  );
}
