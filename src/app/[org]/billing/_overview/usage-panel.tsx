"use client";
// What the period used so far: by day with what is to be expected, and by event against the period before.
import Link from "next/link";
import { formatCredits, formatDayRange, formatTime } from "~/components/billing/format";
import { UsageBars, UsageNumbers } from "~/components/billing/usage-bars";
import { comparedUpToNow } from "~/components/billing/usage-scale";
import { UsageTable } from "~/components/billing/usage-table";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel, PanelBody } from "~/components/ui/panel";
import type { DailyUse } from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";
import { usageView } from "./usage-view";

type Summary = RouterOutputs["billing"]["summary"];

export interface UsagePanelProps {
  usage: Summary["usage"];
  subscription: Summary["subscription"];
  recentUse: readonly DailyUse[];
  /** Four weeks before today, up to the same time of day. */
  usedByThisTime: DailyUse;
  now: Date;
  /** Where all of it is told. */
  href: string;
}

export function UsagePanel({ usage, subscription, recentUse, usedByThisTime, now, href }: UsagePanelProps) {
  const { locale } = useViewer();
  // Days are counted in UTC, as the ledger is added up; the words over them say the same days.
  const calendar = { locale, timeZone: "UTC" };
  const { period, comparedWith } = usage;
  const lastOf = (end: Date) => new Date(end.getTime() - 1);
  const inPeriod = subscription !== null && period.from.getTime() === subscription.currentPeriodStart.getTime();
  const title = inPeriod ? "Used this period" : "Used in the last 30 days";
  const against = formatDayRange(comparedWith.from, lastOf(comparedWith.to), calendar);
  const note = `${formatDayRange(period.from, period.to, calendar)}, against ${against}`;

  if (usage.total === 0 && usage.previousTotal === 0) {
    return (
      <Panel title={title}>
        <EmptyState
          title="No credits were used yet"
          text="When a service spends credits, each day and each event stands here, with what it is compared with."
        />
      </Panel>
    );
  }

  const until = inPeriod ? subscription.currentPeriodEnd : null;
  const view = usageView({ usage, recentUse, usedByThisTime, now, until });
  const ends = until ? formatTime(lastOf(until), calendar, { style: "longDay" }) : "";
  return (
    <Panel title={title} note={note} action={<Link href={href}>All usage</Link>}>
      <PanelBody>
        <UsageBars
          series={view.series}
          days={[...view.days, ...view.empty]}
          forecast={view.forecast}
          today={view.today}
          previousLabel={comparedUpToNow("Same weekday four weeks earlier")}
          forecastLabel={`Forecast: about ${formatCredits(view.expected, { locale })} by ${ends}`}
          label={`${formatCredits(usage.total, { locale })} credits used, by day. The numbers are in the tables below.`}
        />
      </PanelBody>
      <UsageTable rows={view.rows} previousLabel="vs before" swatches />
      <UsageNumbers
        series={view.series}
        days={view.days}
        today={view.today}
        previousLabel="4 weeks earlier"
        summary="Numbers of each day, in UTC"
      />
    </Panel>
  );
}
