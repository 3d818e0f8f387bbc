// Label and value on one line; a receipt when it ends in a total.
import type { ReactNode } from "react";
import { cn } from "./cn";

export function Facts({ children, className }: { children: ReactNode; className?: string }) {
  return <dl className={cn("facts", className)}>{children}</dl>;
}

export interface FactProps {
  label: ReactNode;
  /** Stands small under the label. */
  labelNote?: ReactNode;
  /** Stands small under the value. */
  note?: ReactNode;
  noteTone?: "warn" | "danger";
  total?: boolean;
  /** The value. */
  children: ReactNode;
}

export function Fact({ label, labelNote, note, noteTone, total, children }: FactProps) {
  return (
    <div className={cn(total && "total")}>
      <dt>
        {label}
        {labelNote ? <span className="sub">{labelNote}</span> : null}
      </dt>
      <dd>
        {children}
        {note ? <span className={cn("sub", noteTone)}>{note}</span> : null}
      </dd>
    </div>
  );
}
