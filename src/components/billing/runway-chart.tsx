"use client";
// How the credits went and will go: measured in full tone, forecast pale, with the range of the day they end as a bar
// on the zero line. The numbers stand in a table below.
import { type CSSProperties, useId } from "react";
import { cn } from "../ui/cn";
import { Numbers } from "../ui/panel";
import { Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatCompact, formatCredits, formatTime, type Viewer } from "./format";
import { axisOf } from "./usage-scale";
import { useViewer } from "./viewer";

export interface RunwayPoint {
  at: Date;
  /** Never expire. */
  purchased: number;
  /** Expire. A jump is two points at one instant. */
  expiring: number;
}

export interface RunwayMark {
  at: Date;
  value: number;
  /** "+10,000", "1 Feb: 6,000 expire, 6,000 arrive" */
  text: string;
  side?: "left" | "right";
}

export interface RunwayChartProps {
  measured: readonly RunwayPoint[];
  forecast: readonly RunwayPoint[];
  now: Date;
  /** When all is used up, and the range of 8 in 10 forecasts. */
  end?: { about: Date; from?: Date | null; to?: Date | null } | null;
  marks?: readonly RunwayMark[];
  /** Low-balance alert, drawn dotted. */
  alertAt?: number | null;
  label: string;
  height?: number;
}

const size = { wide: 1080, high: 180 };

export function RunwayChart({
  measured,
  forecast,
  now,
  end,
  marks = [],
  alertAt,
  label,
  height = 11.25,
}: RunwayChartProps) {
  const viewer = useViewer();
  const ruled = useId();
  const all = [...measured, ...forecast];
  const from = all[0]?.at.getTime() ?? now.getTime();
  const until = Math.max(all.at(-1)?.at.getTime() ?? 0, end?.to?.getTime() ?? 0, from + 1);
  const axis = axisOf(Math.max(1, ...all.map((point) => point.purchased + point.expiring)), 3);
  const top = axis[0] ?? 1;
  const share = (at: Date) => (at.getTime() - from) / (until - from);
  const x = (at: Date) => Number((share(at) * size.wide).toFixed(1));
  const y = (value: number) => Number((size.high - (value / top) * size.high).toFixed(1));
  const left = (at: Date) => `${(share(at) * 100).toFixed(2)}%`;
  const above = (value: number) => `${((1 - value / top) * 100).toFixed(1)}%`;
  const lowest = (points: readonly RunwayPoint[]) =>
    area(points.map((point) => [x(point.at), y(0), y(point.expiring)]));
  const upper = (points: readonly RunwayPoint[]) =>
    area(points.map((point) => [x(point.at), y(point.expiring), y(point.expiring + point.purchased)]));
  const current = measured.at(-1);
  const total = current ? current.purchased + current.expiring : 0;

  return (
    <div className="chart" style={{ "--ch": `${height}rem` } as CSSProperties}>
      <div className="chart-y" aria-hidden>
        {axis.map((value) => (
          <span key={value}>{formatCompact(value, viewer.locale)}</span>
        ))}
      </div>
      <div className="chart-plot" role="img" aria-label={label}>
        <svg viewBox={`0 0 ${size.wide} ${size.high}`} preserveAspectRatio="none" aria-hidden="true">
          <defs>
            <pattern id={ruled} width="6" height="6" patternUnits="userSpaceOnUse">
              <path className="area-rule" d="M.5 0v6" />
            </pattern>
          </defs>
          {axis.map((value) => (
            <line
              key={value}
              className={value === 0 ? "axis" : "grid-line"}
              x1={0}
              x2={size.wide}
              y1={y(value)}
              y2={y(value)}
            />
          ))}
          <path className="area-subscription" d={lowest(measured)} />
          <path className="area-subscription pale" d={lowest(forecast)} />
          <path fill={`url(#${ruled})`} d={lowest(measured)} />
          <path fill={`url(#${ruled})`} d={lowest(forecast)} />
          <path className="area-purchased" d={upper(measured)} />
          <path className="area-purchased pale" d={upper(forecast)} />
          {alertAt ? <line className="alert-line" x1={0} x2={size.wide} y1={y(alertAt)} y2={y(alertAt)} /> : null}
          <line className="now-line" x1={x(now)} x2={x(now)} y1={Math.max(0, y(total) - 16)} y2={size.high} />
          {end?.from && end.to ? (
            <path
              stroke="var(--ink)"
              strokeWidth="2"
              d={`M${x(end.from)} ${size.high}H${x(end.to)}M${x(end.from)} ${size.high - 5}v10M${x(end.to)} ${size.high - 5}v10`}
            />
          ) : null}
        </svg>
        <span className="chart-mark" style={{ left: left(now), top: `calc(${above(total)} - 1rem)` }}>
          <b>now, {formatCredits(total, { locale: viewer.locale })}</b>
        </span>
        {marks.map((mark) => (
          <span
            key={mark.at.getTime() + mark.text}
            className={cn("chart-mark wide", mark.side ?? "right")}
            style={{ left: left(mark.at), top: above(mark.value) }}
          >
            {mark.text}
          </span>
        ))}
        {end ? (
          <>
            <i className="chart-dot" style={{ left: left(end.about) }} />
            <span
              className={cn("chart-mark", share(end.to ?? end.about) > 0.88 ? "left" : "right")}
              style={{ left: left(end.to ?? end.about), top: "calc(100% + 9px)" }}
            >
              <b>{formatTime(end.about, viewer, { style: "day" })}</b>
            </span>
          </>
        ) : null}
      </div>
      <div className="chart-x" aria-hidden>
        <TimeLabels from={from} until={until} viewer={viewer} />
      </div>
    </div>
  );
}

function area(points: readonly (readonly [number, number, number])[]): string {
  if (points.length === 0) return "";
  const up = points.map(([at, , high]) => `${at} ${high}`).join("L");
  const back = [...points]
    .reverse()
    .map(([at, low]) => `${at} ${low}`)
    .join("L");
  return `M${up}L${back}Z`;
}

/** The first and the fifteenth of each month, and the two ends. */
function TimeLabels({ from, until, viewer }: { from: number; until: number; viewer: Viewer }) {
  const start = new Date(from);
  const inside: { at: number; first: boolean }[] = [];
  for (let month = 0; month < 24; month++) {
    for (const dayOfMonth of [1, 15]) {
      // Noon, so that it is the same day in every zone.
      const at = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + month, dayOfMonth, 12);
      const place = (at - from) / (until - from);
      if (place > 0.07 && place < 0.93) inside.push({ at, first: dayOfMonth === 1 });
    }
  }
  const firsts = inside.filter((mark) => mark.first);
  const shown = firsts.length > 4 ? firsts : inside;
  const words = (at: number) => formatTime(new Date(at), viewer, { style: "day" });
  return (
    <>
      <span className="start" style={{ left: 0 }}>
        {words(from)}
      </span>
      {shown.map((mark) => (
        <span
          key={mark.at}
          className={mark.first && firsts.length < 4 ? undefined : "wide"}
          style={{ left: `${(((mark.at - from) / (until - from)) * 100).toFixed(2)}%` }}
        >
          {words(mark.at)}
        </span>
      ))}
      <span className="end" style={{ left: "100%" }}>
        {words(until)}
      </span>
    </>
  );
}

export interface RunwayRow {
  at: Date;
  what: string;
  purchased: number;
  expiring: number;
}

/** The turning points of the forecast as numbers. */
export function RunwayNumbers({
  rows,
  summary = "Numbers of the forecast",
}: {
  rows: readonly RunwayRow[];
  summary?: string;
}) {
  const viewer = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale: viewer.locale });
  return (
    <Numbers summary={summary}>
      <Table caption="Credits left, measured and forecast">
        <THead>
          <TH>Day</TH>
          <TH>What happens</TH>
          <TH num wide>
            Purchased
          </TH>
          <TH num wide>
            Expiring
          </TH>
          <TH num>Left</TH>
        </THead>
        <TBody tight>
          {rows.map((row) => (
            <TR key={row.at.getTime() + row.what}>
              <TH scope="row" className="whitespace-nowrap">
                {formatTime(row.at, viewer, { style: "day" })}
              </TH>
              <TD>{row.what}</TD>
              <TD num wide>
                {credits(row.purchased)}
              </TD>
              <TD num wide>
                {credits(row.expiring)}
              </TD>
              <TD num>{credits(row.purchased + row.expiring)}</TD>
            </TR>
          ))}
        </TBody>
      </Table>
    </Numbers>
  );
}
