// What stands in place of the overview until it comes, with its heights.
import { Columns, Page, PageHead, Stack } from "~/components/ui/page";
import { PanelBody } from "~/components/ui/panel";
import {
  AnswersSkeleton,
  ChartSkeleton,
  FactsSkeleton,
  PanelSkeleton,
  StripSkeleton,
  TableSkeleton,
} from "~/components/ui/skeleton";

export function OverviewSkeleton() {
  return (
    <Page>
      <PageHead title="Overview" />
      <Stack>
        <section className="panel" aria-hidden>
          <AnswersSkeleton />
          <PanelBody>
            <StripSkeleton />
          </PanelBody>
        </section>
        <Columns>
          <PanelSkeleton label="Used this period">
            <PanelBody>
              <ChartSkeleton />
            </PanelBody>
            <TableSkeleton rows={4} />
          </PanelSkeleton>
          <Stack>
            <PanelSkeleton label="Plan">
              <PanelBody>
                <FactsSkeleton rows={5} />
              </PanelBody>
            </PanelSkeleton>
            <PanelSkeleton label="Invoices">
              <TableSkeleton rows={6} columns={3} />
            </PanelSkeleton>
          </Stack>
        </Columns>
      </Stack>
    </Page>
  );
}
