// Until the plans come.
import { Columns, Page, PageHead } from "~/components/ui/page";
import { PanelBody } from "~/components/ui/panel";
import { FactsSkeleton, Loading, PanelSkeleton, PlanGridSkeleton } from "~/components/ui/skeleton";

export function PlansSkeleton() {
  return (
    <Page>
      <PageHead title="Plans" />
      <Columns>
        <section className="panel" aria-label="Plans">
          <Loading label="Plans: loading">
            <PlanGridSkeleton />
          </Loading>
        </section>
        <PanelSkeleton label="What it costs">
          <PanelBody>
            <FactsSkeleton rows={6} />
          </PanelBody>
        </PanelSkeleton>
      </Columns>
    </Page>
  );
}
