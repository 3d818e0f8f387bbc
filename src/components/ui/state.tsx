// How something stands, as a word. It has a colour only if someone must act.
import type { ReactNode } from "react";
import { cn } from "./cn";

export type StateTone = "plain" | "quiet" | "warn" | "danger";

const tones: Record<StateTone, string> = {
  plain: "text-ink-2",
  quiet: "text-ink-3",
  warn: "font-medium text-warn",
  danger: "font-medium text-danger",
};

export function State({ tone = "plain", children }: { tone?: StateTone; children: ReactNode }) {
  return <span className={cn("whitespace-nowrap", tones[tone])}>{children}</span>;
}

/** A small framed word: "Current", "2 lots". */
export function Tag({ accent = false, children }: { accent?: boolean; children: ReactNode }) {
  return (
    <span
      className={cn(
        "inline-block whitespace-nowrap rounded-1 border px-1 align-[1px] text-xs leading-[1.125rem] font-normal tracking-normal",
        accent ? "border-accent-line bg-accent-tint text-accent" : "border-line-strong text-ink-2",
      )}
    >
      {children}
    </span>
  );
}
