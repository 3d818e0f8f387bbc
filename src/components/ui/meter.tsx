// How much of a whole is left, in the texture of its kind; or a share, in a tone of the charts with the past as a mark.
import type { CSSProperties } from "react";
import { cn } from "./cn";

export type MeterFill = "purchased" | "subscription" | "other" | "held" | "s1" | "s2" | "s3" | "s4";

export interface MeterProps {
  value: number;
  max: number;
  fill: MeterFill;
  /** The same measure of the past, drawn as a mark. */
  past?: number;
  /** What it says, for those who do not see it: "2,240 of 2,500 left". */
  label: string;
  className?: string;
}

export function Meter({ value, max, fill, past, label, className }: MeterProps) {
  return (
    <span role="img" aria-label={label} title={label} className={cn("meter", className)}>
      {value > 0 ? <i className={fill} style={{ "--w": share(value, max) } as CSSProperties} /> : null}
      {past !== undefined ? <i className="past" style={{ "--w": share(past, max) } as CSSProperties} /> : null}
    </span>
  );
}

function share(value: number, max: number): string {
  if (max <= 0) return "0%";
  return `${Math.min(100, Math.max(0, (value / max) * 100)).toFixed(2)}%`;
}
