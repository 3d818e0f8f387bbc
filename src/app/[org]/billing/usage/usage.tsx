"use client";
// The usage page, alive: what is chosen stands in the address; what is shown is asked again every few seconds.
import { keepPreviousData } from "@tanstack/react-query";
import { usePathname } from "next/navigation";
import { useEffect, useMemo, useState } from "react";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Page, PageHead, Stack } from "~/components/ui/page";
import { Panel } from "~/components/ui/panel";
import { AnswersSkeleton, Loading } from "~/components/ui/skeleton";
import type { UsagePeriod } from "~/domain/usage";
import type { RouterOutputs } from "~/server/api/root";
import { trpc } from "../../../_trpc/react";
import { addressOf, askedBy, billingPeriodOf, type Choice, type Dimension } from "./choice";
import { RangePicker } from "./range-picker";
import { UsageAnswers } from "./usage-answers";
import { UsageBody } from "./usage-body";
import { UsageBodySkeleton } from "./usage-skeleton";

const REFRESH_MS = 15_000;
const MINUTE_MS = 60_000;

export interface UsageProps {
  organizationId: string;
  subscription: RouterOutputs["subscription"]["get"];
  initialChoice: Choice;
  /** What the server read for the first paint, and for which question. */
  initial: {
    period: UsagePeriod;
    timeZone: string;
    by: Dimension;
    summary: RouterOutputs["usage"]["summary"] | undefined;
    series: RouterOutputs["usage"]["series"] | undefined;
  };
  now: Date;
}

export function Usage({ organizationId, subscription, initialChoice, initial, now: first }: UsageProps) {
  const { timeZone } = useViewer();
  const now = useMinutes(first);
  const [choice, setChoice] = useChoice(initialChoice);
  const billingPeriod = useMemo(() => billingPeriodOf(subscription, now), [subscription, now]);
  const asked = useMemo(() => askedBy(choice, billingPeriod, now, timeZone), [choice, billingPeriod, now, timeZone]);

  const question = { organizationId, ...asked.period, timeZone };
  const isInitial =
    timeZone === initial.timeZone &&
    asked.period.from.getTime() === initial.period.from.getTime() &&
    asked.period.to.getTime() === initial.period.to.getTime();
  // A time that is over does not change.
  const live = {
    refetchInterval: asked.period.to > now ? REFRESH_MS : false,
    placeholderData: keepPreviousData,
  } as const;
  const summary = trpc.usage.summary.useQuery(question, {
    ...live,
    initialData: isInitial ? initial.summary : undefined,
  });
  const series = trpc.usage.series.useQuery(
    { ...question, step: asked.step, by: choice.by },
    { ...live, initialData: isInitial && choice.by === initial.by ? initial.series : undefined },
  );

  const isStale = summary.isPlaceholderData || series.isPlaceholderData;
  const failed = [summary, series].filter((query) => query.isError && !query.data);
  const read = summary.data && series.data ? { summary: summary.data, series: series.data } : null;
  const isUnused = read !== null && read.summary.events.length === 0;
  const inPeriod = choice.range === "period" && billingPeriod !== null;

  return (
    <Page>
      <PageHead
        title="Usage"
        actions={
          <RangePicker
            choice={choice}
            hasPeriod={billingPeriod !== null}
            now={now}
            timeZone={timeZone}
            onChange={setChoice}
          />
        }
      />
      <Stack>
        {failed.length > 0 ? (
          <Panel title="Usage">
            <ErrorState
              onRetry={() => failed.forEach((query) => void query.refetch())}
              retrying={failed.some((query) => query.isFetching)}
            />
          </Panel>
        ) : read === null ? (
          <>
            <Panel label="In short">
              <Loading label="Loading usage">
                <AnswersSkeleton count={3} />
              </Loading>
            </Panel>
            <Panel label="Over time">
              <UsageBodySkeleton />
            </Panel>
          </>
        ) : isUnused ? (
          <Panel title="Nothing used">
            <EmptyState
              title="No credits were used in this time, nor in the time before"
              text="When a service spends credits, each day stands here with its events, keys and projects."
            />
          </Panel>
        ) : (
          <div className={isStale ? "opacity-60 transition-opacity" : "transition-opacity"} aria-busy={isStale}>
            <Stack>
              <Panel label="In short">
                <UsageAnswers {...read} asked={asked} inPeriod={inPeriod} now={now} timeZone={timeZone} />
              </Panel>
              <UsageBody
                {...read}
                asked={asked}
                by={choice.by}
                onBy={(by) => setChoice({ ...choice, by })}
                inPeriod={inPeriod}
                now={now}
                timeZone={timeZone}
              />
            </Stack>
          </div>
        )}
      </Stack>
    </Page>
  );
}

/** What is chosen, kept in the address without asking the server for the page again. */
function useChoice(initial: Choice): [Choice, (choice: Choice) => void] {
  const path = usePathname();
  const [choice, setChoice] = useState(initial);
  return [
    choice,
    (next) => {
      setChoice(next);
      const address = addressOf(next);
      window.history.replaceState(null, "", address ? `${path}?${address}` : path);
    },
  ];
}

/** The time, to the minute: a page that stays open over midnight goes on with the new day. */
function useMinutes(first: Date): Date {
  const [now, setNow] = useState(first);
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
