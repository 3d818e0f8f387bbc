"use client";
// An instant in the viewer's zone. The server writes it in UTC (or the remembered zone), the browser in its own.
import { cn } from "../ui/cn";
import { formatRelative, formatTime, type TimeStyle, zoneName } from "./format";
import { useViewer } from "./viewer";

export interface LocalTimeProps {
  value: Date;
  show?: TimeStyle;
  /** Says the zone: "14:20 PST". */
  zone?: boolean;
  className?: string;
}

export function LocalTime({ value, show = "datetime", zone, className }: LocalTimeProps) {
  const viewer = useViewer();
  const hasClock = show === "time" || show === "seconds" || show === "datetime" || show === "full" || show === "exact";
  return (
    <time
      dateTime={value.toISOString()}
      title={hasClock ? formatTime(value, viewer, { style: "exact", zone: true }) : undefined}
      suppressHydrationWarning
      className={cn("whitespace-nowrap", className)}
    >
      {formatTime(value, viewer, { style: show, zone })}
    </time>
  );
}

/** A day without a clock. */
export function LocalDate({ value, show = "date", className }: Omit<LocalTimeProps, "zone">) {
  return <LocalTime value={value} show={show} className={className} />;
}

/** "in 10 days", against the given now. */
export function RelativeTime({ value, now }: { value: Date; now: Date }) {
  const viewer = useViewer();
  return (
    <time
      dateTime={value.toISOString()}
      title={formatTime(value, viewer, { style: "exact", zone: true })}
      suppressHydrationWarning
    >
      {formatRelative(value, now, viewer)}
    </time>
  );
}

/** "times in PST" */
export function ZoneNote({ at }: { at: Date }) {
  return <span suppressHydrationWarning>times in {zoneName(at, useViewer())}</span>;
}
