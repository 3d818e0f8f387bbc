// A hairline, a title line, content. Never a panel in a panel.
import { type ReactNode, useId } from "react";
import { cn } from "./cn";

export interface PanelProps {
  /** Shown in the head, and the name of the region. */
  title?: ReactNode;
  /** Names the region when there is no title line. */
  label?: string;
  /** Quiet words at the right of the head: "times in PST". */
  note?: ReactNode;
  /** A link or button at the right of the head. */
  action?: ReactNode;
  id?: string;
  className?: string;
  live?: "polite" | "off";
  children: ReactNode;
}

export function Panel({ title, label, note, action, id, className, live, children }: PanelProps) {
  const headingId = useId();
  return (
    <section
      id={id}
      aria-labelledby={title ? headingId : undefined}
      aria-label={title ? undefined : label}
      aria-live={live}
      className={cn("panel", className)}
    >
      {title ? (
        <PanelHead>
          <h2 id={headingId}>{title}</h2>
          {note ? <p className="text-sm text-ink-3">{note}</p> : null}
          {action ? <div className="text-sm">{action}</div> : null}
        </PanelHead>
      ) : null}
      {children}
    </section>
  );
}

export function PanelHead({ children, className }: { children: ReactNode; className?: string }) {
  return (
    <div
      className={cn(
        "panel-head flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1 border-b border-line px-(--pad) py-3",
        className,
      )}
    >
      {children}
    </div>
  );
}

export function PanelBody({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn("panel-body p-(--pad)", className)}>{children}</div>;
}

export function PanelFoot({ children, className }: { children: ReactNode; className?: string }) {
  return (
    <div
      className={cn(
        "panel-foot flex flex-wrap items-center justify-between gap-x-4 gap-y-1 px-(--pad) py-3 text-sm text-ink-3 [&>p]:max-w-[80ch]",
        className,
      )}
    >
      {children}
    </div>
  );
}

/** Search, filters and export above a table; search takes what is left of the line. */
export function Toolbar({ children }: { children: ReactNode }) {
  return (
    <div className="toolbar flex flex-wrap gap-2 border-b border-line px-(--pad) py-3 max-sm:[&>*]:flex-auto">
      {children}
    </div>
  );
}

/** The numbers of a chart, folded under it. */
export function Numbers({ summary, open, children }: { summary: ReactNode; open?: boolean; children: ReactNode }) {
  return (
    <details className="numbers" open={open}>
      <summary>{summary}</summary>
      {children}
    </details>
  );
}
