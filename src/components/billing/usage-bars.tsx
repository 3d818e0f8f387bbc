"use client";
// Credits used by day (or hour, or week), stacked in one hue; the same days of the past as short marks, the forecast in grey
// with its range. The numbers always stand in a table below.
import type { CSSProperties } from "react";
import { cn } from "../ui/cn";
import { Numbers } from "../ui/panel";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatCompact, formatCredits, formatTime, type Viewer } from "./format";
import {
  amountOf,
  axisOf,
  type ForecastDay,
  type TonedSeries,
  tonesOf,
  totalOf,
  type UsageDay,
  type UsageSeries,
} from "./usage-scale";
import { useViewer } from "./viewer";

export type { ForecastDay, UsageDay, UsageSeries } from "./usage-scale";

/** How long a bar is; days and weeks are calendar days, hours are instants. */
export type Step = "hour" | "day" | "week";

export interface UsageBarsProps {
  series: readonly UsageSeries[];
  days: readonly UsageDay[];
  forecast?: readonly ForecastDay[];
  /** Day that is still running. */
  today?: string;
  step?: Step;
  /** "Same weekday in December" */
  previousLabel?: string;
  /** "Forecast: about 14,500 by 31 January" */
  forecastLabel?: string;
  /** What the picture shows, in a sentence. */
  label?: string;
  /** Height of the plot, in rem. */
  height?: number;
}

const unit = { bar: 20, step: 30, high: 200 };

export function UsageBars({
  series,
  days,
  forecast = [],
  today,
  step = "day",
  previousLabel = "Period before",
  forecastLabel = "Forecast, with the range of 8 in 10",
  label,
  height = 12,
}: UsageBarsProps) {
  const viewer = useViewer();
  const calendar = calendarOf(viewer, step);
  const toned = tonesOf(series, days);
  const highest = Math.max(
    0,
    ...days.map((day) => Math.max(totalOf(day), day.previous ?? 0)),
    ...forecast.map((day) => day.high),
  );
  const axis = axisOf(highest);
  const top = axis[0] ?? 1;
  const count = Math.max(1, days.length + forecast.length);
  const width = count * unit.step;
  // More may be given back on a day than is used; the numbers below say so, the picture ends at its axis.
  const y = (value: number) => Number((unit.high - (Math.max(0, value) / top) * unit.high).toFixed(2));
  const past = days
    .map((day, index) =>
      // What was nothing would be a second axis.
      day.previous === undefined || day.previous === null || day.previous <= 0
        ? ""
        : `M${index * unit.step + 2} ${y(day.previous)}h${unit.step - 4}`,
    )
    .join("");
  const dates = [...days.map((day) => day.date), ...forecast.map((day) => day.date)];

  return (
    <div>
      <div className="chart" style={{ "--ch": `${height}rem` } as CSSProperties}>
        <div className="chart-y" aria-hidden>
          {axis.map((value) => (
            <span key={value}>{formatCompact(value, viewer.locale)}</span>
          ))}
        </div>
        <div
          className="chart-plot"
          role="img"
          aria-label={label ?? "Credits used by day. The numbers are in the table below."}
        >
          <svg viewBox={`0 0 ${width} ${unit.high}`} preserveAspectRatio="none" aria-hidden="true">
            {axis.map((value) => (
              <line
                key={value}
                className={value === 0 ? "axis" : "grid-line"}
                x1={0}
                x2={width}
                y1={y(value)}
                y2={y(value)}
              />
            ))}
            {days.map((day, index) => (
              <Bar
                key={day.date}
                day={day}
                isRunning={day.date === today}
                at={index * unit.step}
                toned={toned}
                y={y}
                step={step}
                viewer={calendar}
              />
            ))}
            {forecast.map((day, index) => {
              const at = (days.length + index) * unit.step;
              return (
                <g key={day.date}>
                  <title>{`${formatDay(day.date, calendar)}: about ${formatCredits(day.about)}, ${formatCredits(day.low)} to ${formatCredits(day.high)}`}</title>
                  <rect
                    className="forecast-bar"
                    x={at + 5}
                    width={unit.bar}
                    y={y(day.about)}
                    height={unit.high - y(day.about)}
                  />
                  <path className="whisker" d={`M${at + 15} ${y(day.high)}V${y(day.low)}`} />
                </g>
              );
            })}
            {past ? <path className="past-halo" d={past} /> : null}
            {past ? <path className="past-line" d={past} /> : null}
          </svg>
        </div>
        <div className="chart-x" aria-hidden>
          <StepLabels dates={dates} today={today} step={step} viewer={calendar} />
        </div>
      </div>
      <ul className="key mt-3">
        {toned.map((one) => (
          <li key={one.key}>
            <i className={cn("swatch tone", one.tone)} />
            {one.label}
          </li>
        ))}
        {past ? (
          <li>
            <i className="swatch past" />
            {previousLabel}
          </li>
        ) : null}
        {forecast.length > 0 ? (
          <li>
            <i className="swatch forecast" />
            {forecastLabel}
          </li>
        ) : null}
      </ul>
    </div>
  );
}

function Bar({
  day,
  isRunning,
  at,
  toned,
  y,
  step,
  viewer,
}: {
  day: UsageDay;
  isRunning: boolean;
  at: number;
  toned: readonly TonedSeries[];
  y: (value: number) => number;
  step: Step;
  viewer: Viewer;
}) {
  let below = 0;
  const credits = (amount: number) => formatCredits(amount, { locale: viewer.locale });
  const known = day.previous !== undefined && day.previous !== null;
  const before = known
    ? `, ${credits(day.previous ?? 0)} earlier${isRunning ? " up to the same time of day" : ""}`
    : "";
  return (
    <g className="bar-day">
      <title>{`${inWords(day.date, step, viewer)}: ${credits(totalOf(day))} credits${before}`}</title>
      <rect className="hit" x={at} width={unit.step} y={0} height={unit.high} />
      {toned.map((series) => {
        const value = amountOf(day, series);
        if (value <= 0) return null;
        const from = y(below);
        below += value;
        const to = y(below);
        // A hair of the ground between two tones, as between notes.
        const gap = below === value ? 0 : Math.min(1.2, (from - to) / 3);
        return (
          <rect
            key={series.key}
            className={series.tone}
            x={at + 5}
            width={unit.bar}
            y={to}
            height={Number(Math.max(0.4, from - to - gap).toFixed(2))}
          />
        );
      })}
    </g>
  );
}

/** About five labels: the first in full, weekly or even steps, "today", the last. */
function StepLabels({
  dates,
  today,
  step,
  viewer,
}: {
  dates: readonly string[];
  today?: string;
  step: Step;
  viewer: Viewer;
}) {
  const count = dates.length;
  const place = (index: number) => `${(((index + 0.5) / count) * 100).toFixed(2)}%`;
  const isMonth = step === "day" && count <= 35;
  const every =
    step === "hour" ? Math.max(1, Math.ceil(count / 8)) : isMonth ? (count <= 10 ? 2 : 7) : Math.ceil(count / 5);
  const todayAt = today ? dates.indexOf(today) : -1;
  // A label with its month is wider than a number.
  const room = isMonth ? 0.1 : 0.14;
  const far = (index: number, other: number) => Math.abs(index - other) / count > room;
  const shown = dates.flatMap((date, index) => {
    const last = index === count - 1;
    const regular = index % every === 0 || last;
    if (index === todayAt && index !== 0) return [{ date, index, words: "today" }];
    if (!regular) return [];
    if (todayAt > 0 && !far(index, todayAt)) return [];
    if (!last && index !== 0 && !far(index, count - 1)) return [];
    if (step === "hour") return [{ date, index, words: formatTime(new Date(date), viewer, { style: "time" }) }];
    const inFull = !isMonth || index === 0 || date.endsWith("-01");
    return [{ date, index, words: inFull ? formatDay(date, viewer) : dayOfMonth(date) }];
  });
  return shown.map(({ date, index, words }) => (
    <span key={date} style={{ left: place(index) }}>
      {words}
    </span>
  ));
}

const dayOfMonth = (date: string) => String(Number(date.slice(8, 10)));

/** Days and weeks come as calendar days, which no zone may move. */
function calendarOf(viewer: Viewer, step: Step): Viewer {
  return step === "hour" ? viewer : { locale: viewer.locale, timeZone: "UTC" };
}

function formatDay(date: string, viewer: Viewer): string {
  return formatTime(new Date(`${date}T00:00:00Z`), viewer, { style: "day" });
}

/** "Jan 22", "Week from Jan 19", "Jan 22, 13:00" */
function inWords(date: string, step: Step, viewer: Viewer): string {
  if (step === "hour") {
    const at = new Date(date);
    return `${formatTime(at, viewer, { style: "day" })}, ${formatTime(at, viewer, { style: "time" })}`;
  }
  return step === "week" ? `Week from ${formatDay(date, viewer)}` : formatDay(date, viewer);
}

const COLUMN = { hour: "Hour", day: "Day", week: "Week" } as const;

export interface UsageNumbersProps {
  series: readonly UsageSeries[];
  days: readonly UsageDay[];
  /** Day that is still running: it is compared up to the same time of day. */
  today?: string;
  step?: Step;
  previousLabel?: string;
  summary?: string;
  open?: boolean;
}

/** The numbers of the bars, folded under them. */
export function UsageNumbers({
  series,
  days,
  today,
  step = "day",
  previousLabel = "Period before",
  summary = "Numbers of each day",
  open,
}: UsageNumbersProps) {
  const viewer = useViewer();
  const calendar = calendarOf(viewer, step);
  const credits = (amount: number) => formatCredits(amount, { locale: viewer.locale });
  const compared = days.some((day) => day.previous !== undefined && day.previous !== null);
  return (
    <Numbers summary={summary} open={open}>
      <Table caption={`Credits by ${step}`}>
        <THead>
          <TH>{COLUMN[step]}</TH>
          {series.map((one) => (
            <TH key={one.key} num>
              {one.count === undefined ? one.label : `${one.count} ${one.label}`}
            </TH>
          ))}
          <TH num>Total</TH>
          {compared ? <TH num>{previousLabel}</TH> : null}
        </THead>
        <TBody tight>
          {days.map((day) => (
            <TR key={day.date}>
              <TH scope="row" className="whitespace-nowrap">
                {inWords(day.date, step, calendar)}
              </TH>
              {series.map((one) => (
                <TD key={one.key} num className={day.values[one.key] ? undefined : "text-ink-3"}>
                  {credits(day.values[one.key] ?? 0)}
                </TD>
              ))}
              <TD num className="font-strong">
                {credits(totalOf(day))}
              </TD>
              {compared ? (
                <TD num className="text-ink-3">
                  {day.previous === undefined || day.previous === null ? "" : credits(day.previous)}
                  {day.date === today && typeof day.previous === "number" ? <Sub>by this time</Sub> : null}
                </TD>
              ) : null}
            </TR>
          ))}
        </TBody>
      </Table>
    </Numbers>
  );
}
