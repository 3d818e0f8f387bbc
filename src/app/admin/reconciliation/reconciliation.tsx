"use client";
// The reconciler's runs, alive: the last one's drift as a number, one that runs with how far it is, findings, open alerts.
import { useState } from "react";
import { formatCredits } from "~/components/billing/format";
import { LocalTime, ZoneNote } from "~/components/billing/local-time";
import { AlertsTable, FindingsTable, RunsTable } from "~/components/billing/reconciliation-tables";
import { useViewer } from "~/components/billing/viewer";
import { Answers } from "~/components/ui/answers";
import { Button } from "~/components/ui/button";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Page, PageHead, Stack } from "~/components/ui/page";
import { Panel, PanelFoot } from "~/components/ui/panel";
import { ShowOlder } from "~/components/ui/show-older";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { sayFailure } from "../../_trpc/failures";
import { trpc } from "../../_trpc/react";

type Runs = RouterOutputs["admin"]["reconciliation"]["list"];
type Run = Runs["items"][number];
type Alerts = RouterOutputs["admin"]["alerts"]["list"];

const RUNNING_MS = 1_500;
const IDLE_MS = 30_000;

export interface ReconciliationProps {
  initialRuns: Runs;
  runsShown: number;
  initialAlerts: Alerts;
  alertsShown: number;
  now: Date;
}

export function Reconciliation({ initialRuns, runsShown, initialAlerts, alertsShown, now }: ReconciliationProps) {
  const utils = trpc.useUtils();
  /** The newest run when another was asked for: until there is a newer one, it waits. */
  const [askedAfter, setAskedAfter] = useState<string | null>(null);
  const [chosenId, setChosenId] = useState<string | null>(null);
  const runs = trpc.admin.reconciliation.list.useInfiniteQuery(
    { limit: runsShown },
    {
      initialData: { pages: [initialRuns], pageParams: [null] },
      getNextPageParam: (page) => page.nextCursor,
      refetchInterval: (query) => {
        const newest = query.state.data?.pages[0]?.items[0];
        const moves = newest?.status === "running" || (askedAfter !== null && askedAfter === (newest?.id ?? ""));
        return moves ? RUNNING_MS : IDLE_MS;
      },
    },
  );
  const alerts = trpc.admin.alerts.list.useInfiniteQuery(
    { limit: alertsShown },
    {
      initialData: { pages: [initialAlerts], pageParams: [null] },
      getNextPageParam: (page) => page.nextCursor,
      refetchInterval: IDLE_MS,
    },
  );
  const items = runs.data.pages.flatMap((page) => page.items);
  const open = alerts.data.pages.flatMap((page) => page.items);
  const newest = items[0];
  const waits = askedAfter !== null && askedAfter === (newest?.id ?? "") && newest?.status !== "running";
  const running = newest?.status === "running" ? newest : null;
  const last = items.find(({ status }) => status === "done");
  const shownId = chosenId ?? last?.id ?? null;

  const ask = trpc.admin.reconciliation.run.useMutation({
    onMutate: () => setAskedAfter(newest?.id ?? ""),
    onSuccess: () => toastDone("A run is asked for", { description: "A worker begins with it at once." }),
    onError: (error) => {
      setAskedAfter(null);
      sayFailure(error, "The run could not be asked for");
    },
    onSettled: () => utils.admin.reconciliation.list.invalidate(),
  });

  return (
    <Page>
      <PageHead
        title="Reconciliation"
        actions={
          <Button variant="primary" loading={ask.isPending || waits || running !== null} onClick={() => ask.mutate({})}>
            Run now
          </Button>
        }
      />
      <Stack>
        <Panel label="Do Stripe and our rows agree">
          <LastRun run={last} open={open.length} more={alerts.hasNextPage} />
          {running || waits ? (
            <PanelFoot>
              <p role="status">
                {running
                  ? `Running: ${running.stage ?? "coming to its end"}, ${running.checked} compared so far, ${running.drift} different.`
                  : "Asked for; a worker takes it up."}
              </p>
              <span
                role="progressbar"
                aria-label="The run"
                className="h-0.5 w-40 overflow-hidden bg-line max-sm:w-full"
              >
                <span className="skeleton block h-full !bg-accent" />
              </span>
            </PanelFoot>
          ) : null}
        </Panel>
        <Panel title="Open alerts" note="newest first">
          {open.length > 0 ? (
            <>
              <AlertsTable alerts={open} hrefOf={(eventId) => `/admin/webhooks?event=${encodeURIComponent(eventId)}`} />
              {alerts.hasNextPage ? (
                <ShowOlder
                  shown={`The newest ${open.length}`}
                  onShowOlder={() => alerts.fetchNextPage()}
                  loading={alerts.isFetchingNextPage}
                />
              ) : null}
            </>
          ) : (
            <EmptyState title="Nothing waits for a person" text="What cannot take care of itself will stand here." />
          )}
        </Panel>
        <Panel
          title="Runs"
          note={
            <>
              every hour and on request, <ZoneNote at={now} />
            </>
          }
        >
          {items.length > 0 ? (
            <>
              <RunsTable runs={items} selectedId={shownId} onOpen={setChosenId} />
              {runs.hasNextPage ? (
                <ShowOlder
                  shown={`The newest ${items.length}`}
                  onShowOlder={() => runs.fetchNextPage()}
                  loading={runs.isFetchingNextPage}
                />
              ) : null}
            </>
          ) : (
            <EmptyState
              title="No run yet"
              text="Every hour a worker compares what is at Stripe with our rows. You can also ask for it now."
            />
          )}
        </Panel>
        {shownId ? <Findings key={shownId} runId={shownId} /> : null}
      </Stack>
    </Page>
  );
}

function LastRun({ run, open, more }: { run: Run | undefined; open: number; more: boolean }) {
  const { locale } = useViewer();
  const count = (value: number) => formatCredits(value, { locale });
  return (
    <Answers
      items={[
        {
          label: "Drift of the last run",
          value: run ? count(run.drift) : "—",
          why: run ? (
            <>
              of {count(run.checked)} compared, begun <LocalTime value={run.startedAt} show="datetime" />
            </>
          ) : (
            "No run has come to its end yet"
          ),
        },
        {
          label: "Made good by itself",
          value: run ? count(run.repaired) : "—",
          why: "by the same functions that events use",
        },
        {
          label: "Waiting for a person",
          value: more ? `${count(open)}+` : count(open),
          why: run ? `${count(run.queued)} of them new in the last run` : "open alerts",
        },
      ]}
    />
  );
}

function Findings({ runId }: { runId: string }) {
  const run = trpc.admin.reconciliation.get.useQuery(
    { reconciliationId: runId },
    { refetchInterval: (query) => (query.state.data?.status === "running" ? RUNNING_MS : false) },
  );
  const findings = run.data?.findings;
  return (
    <Panel
      title="What the run found"
      note={run.data ? <LocalTime value={run.data.startedAt} show="datetime" /> : undefined}
      live="polite"
    >
      {run.data?.error ? <EmptyState title="It was cut off" text={run.data.error} /> : null}
      {findings && findings.length > 0 ? (
        <FindingsTable findings={findings} />
      ) : findings ? (
        <EmptyState title="Nothing was different" text="What is at Stripe and what is in our rows is the same." />
      ) : run.isError ? (
        <ErrorState onRetry={() => run.refetch()} retrying={run.isFetching} />
      ) : (
        <Loading label="Loading findings">
          <TableSkeleton rows={3} columns={4} />
        </Loading>
      )}
    </Panel>
  );
}
