// What stands in place of the usage page until it comes, with its heights.
import { Page, PageHead, Stack } from "~/components/ui/page";
import { PanelBody } from "~/components/ui/panel";
import { AnswersSkeleton, ChartSkeleton, Loading, PanelSkeleton, TableSkeleton } from "~/components/ui/skeleton";

export function UsageSkeleton() {
  return (
    <Page>
      <PageHead title="Usage" />
      <Stack>
        <section className="panel" aria-label="In short">
          <AnswersSkeleton count={3} />
        </section>
        <PanelSkeleton label="Day by day">
          <UsageBodySkeleton />
        </PanelSkeleton>
      </Stack>
    </Page>
  );
}

/** Chart and table, while they are read. */
export function UsageBodySkeleton() {
  return (
    <Loading label="Loading usage">
      <PanelBody>
        <ChartSkeleton height="14rem" />
      </PanelBody>
      <TableSkeleton rows={5} columns={5} />
    </Loading>
  );
}
