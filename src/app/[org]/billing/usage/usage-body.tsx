"use client";
// Step by step as a picture, split by event, category, key or project; the same as a table against the time before; and the
// numbers of each step.
import { formatCredits, formatTime, zoneName } from "~/components/billing/format";
import { UsageBars, UsageNumbers } from "~/components/billing/usage-bars";
import { UsageTable } from "~/components/billing/usage-table";
import { useViewer } from "~/components/billing/viewer";
import { Panel, PanelBody, Toolbar } from "~/components/ui/panel";
import { Segmented } from "~/components/ui/segmented";
import type { RouterOutputs } from "~/server/api/root";
import type { Asked, Dimension } from "./choice";
import { barsOf, daysInWords, earlierInFull, earlierInWords, roundForWords, rowsOf, WORDS } from "./view";

export interface UsageBodyProps {
  summary: RouterOutputs["usage"]["summary"];
  series: RouterOutputs["usage"]["series"];
  asked: Asked;
  by: Dimension;
  onBy: (by: Dimension) => void;
  inPeriod: boolean;
  now: Date;
  timeZone: string;
}

const TITLES = { hour: "Hour by hour", day: "Day by day", week: "Week by week" } as const;

export function UsageBody({ summary, series, asked, by, onBy, inPeriod, now, timeZone }: UsageBodyProps) {
  const { locale } = useViewer();
  const viewer = { locale, timeZone };
  const { step } = series;
  const bars = barsOf(series, { by, asked, now, timeZone });
  const rows = rowsOf(summary, by);
  const earlier = earlierInWords(series.daysEarlier, step);
  const lastOf = (end: Date) => new Date(Math.max(end.getTime() - 1, 0));
  const range = daysInWords(summary.period, now, viewer);
  const expected = series.expected
    ? `Forecast: about ${formatCredits(roundForWords(series.expected.about), { locale })} by ${formatTime(lastOf(asked.period.to), viewer, { style: "longDay" })}`
    : undefined;
  const zone = zoneName(now, viewer);

  return (
    <Panel title={TITLES[step]} note={<span suppressHydrationWarning>{`${range}, times in ${zone}`}</span>}>
      <Toolbar>
        <Segmented
          label="Split by"
          options={(Object.keys(WORDS) as Dimension[]).map((value) => ({ value, label: WORDS[value].choice }))}
          value={by}
          onChange={onBy}
        />
      </Toolbar>
      <PanelBody>
        <UsageBars
          series={bars.series}
          days={[...bars.days, ...bars.empty]}
          forecast={inPeriod ? bars.forecast : []}
          today={bars.today}
          step={step}
          previousLabel={earlierInFull(series.daysEarlier, step, asked.period.to > now)}
          forecastLabel={expected}
          label={`${formatCredits(summary.total.credits, { locale })} credits used, ${TITLES[step].toLowerCase()}. The numbers are in the tables below.`}
          height={14}
        />
      </PanelBody>
      <UsageTable
        rows={rows}
        by={WORDS[by].column}
        quantityLabel={by === "event" ? "Quantity" : "Calls"}
        previousLabel="vs before"
        swatches
      />
      <UsageNumbers
        series={bars.series}
        days={bars.days}
        today={bars.today}
        step={step}
        previousLabel={earlier}
        summary={`Numbers of each ${step}`}
      />
    </Panel>
  );
}
