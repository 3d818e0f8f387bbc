"use client";
// The overview, alive: painted from what the server sent, then asked again every few seconds and on coming back.
import { useMemo } from "react";
import { CreditKeyRow, CreditStrip } from "~/components/billing/credit-strip";
import { LocalTime } from "~/components/billing/local-time";
import { LinkButton } from "~/components/ui/link-button";
import { Columns, Page, PageHead, Stack } from "~/components/ui/page";
import { Panel, PanelBody, PanelFoot } from "~/components/ui/panel";
import type { DailyUse } from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";
import { trpc } from "../../../_trpc/react";
import { amountsOf, freeLots, heldInWords, stripOf } from "../_shared/credits-view";
import type { OrganizationView } from "../_shared/organization-view";
import { outlookOf } from "../_shared/runway";
import { InvoicesPanel } from "./invoices-panel";
import { OverviewAnswers } from "./overview-answers";
import { OverviewAttention } from "./overview-attention";
import { PlanPanel } from "./plan-panel";
import { UsagePanel } from "./usage-panel";
import { Welcome } from "./welcome";

const REFRESH_MS = 15_000;

export interface OverviewProps {
  organization: OrganizationView;
  initialSummary: RouterOutputs["billing"]["summary"];
  /** Absent where it could not be read with the page. */
  initialHistory: RouterOutputs["billing"]["history"] | undefined;
  recentUse: readonly DailyUse[];
  /** Four weeks before today, up to the same time of day. */
  usedByThisTime: DailyUse;
  invoicesShown: number;
}

export function Overview({
  organization,
  initialSummary,
  initialHistory,
  recentUse,
  usedByThisTime,
  invoicesShown,
}: OverviewProps) {
  const { data: summary, isRefetchError } = trpc.billing.summary.useQuery(
    { organizationId: organization.id },
    { initialData: initialSummary, refetchInterval: REFRESH_MS, refetchOnWindowFocus: "always" },
  );
  const { subscription, balance, usage, asOf } = summary;
  const lots = useMemo(() => freeLots(summary.lots), [summary.lots]);
  const outlook = useMemo(
    () =>
      outlookOf({
        lots: summary.lots,
        burnOrder: organization.burnOrder,
        subscription,
        recentUse,
        now: asOf,
      }),
    [summary.lots, organization.burnOrder, subscription, recentUse, asOf],
  );
  const base = `/${organization.slug}/billing`;
  const isNew = !subscription && lots.length === 0 && usage.total === 0 && usage.previousTotal === 0;
  const bought = (initialHistory?.items.length ?? 0) > 0;

  return (
    <Page>
      <PageHead
        title="Overview"
        note={
          <>
            {isRefetchError ? "Not up to date, as of " : null}
            <LocalTime value={asOf} show="full" zone />
          </>
        }
      />
      <OverviewAttention organization={organization} summary={summary} outlook={outlook} />
      {isNew && !bought ? (
        <Welcome organization={organization} />
      ) : (
        <Stack>
          <Panel label="Credits">
            <OverviewAnswers summary={summary} outlook={outlook} />
            <PanelBody>
              <CreditStrip lots={stripOf(lots)} held={balance.held} empty="No credits" />
              <CreditKeyRow {...amountsOf(lots)} held={balance.held} heldLabel={heldInWords(lots)}>
                {organization.mayManage ? (
                  <LinkButton href={`${base}/credits#packs`} variant="primary">
                    Buy credits
                  </LinkButton>
                ) : null}
              </CreditKeyRow>
            </PanelBody>
            {outlook.pace && balance.available > 0 ? (
              <PanelFoot>
                <p>
                  How long it lasts is an estimate: the average of the last {outlook.pace.days} days goes on, renewals
                  come, and what expires is lost. 8 of 10 outcomes lie in the range.
                </p>
              </PanelFoot>
            ) : null}
          </Panel>
          <Columns>
            <UsagePanel
              usage={usage}
              subscription={subscription}
              recentUse={recentUse}
              usedByThisTime={usedByThisTime}
              now={asOf}
              href={`${base}/usage`}
            />
            <Stack>
              <PlanPanel organization={organization} subscription={subscription} now={asOf} />
              <InvoicesPanel organization={organization} initial={initialHistory} shown={invoicesShown} />
            </Stack>
          </Columns>
        </Stack>
      )}
    </Page>
  );
}
