// The column of a page and its head: title on the left, the deed or the date on the right.
import type { ReactNode } from "react";
import { cn } from "./cn";

/** Main landmark. Parts inside fold by the room they have, so the drawer may stand beside them. */
export function Page({ children, className }: { children: ReactNode; className?: string }) {
  return (
    <main id="main" tabIndex={-1} className={cn("wrap pt-8 pb-16 outline-none max-sm:pt-5 max-sm:pb-8", className)}>
      <div className="page">{children}</div>
    </main>
  );
}

export interface PageHeadProps {
  title: ReactNode;
  /** Quiet words at the right: a date, a scope. */
  note?: ReactNode;
  /** Buttons and selects at the right; on phones they take the whole width. */
  actions?: ReactNode;
}

export function PageHead({ title, note, actions }: PageHeadProps) {
  return (
    <div className="mb-5 flex min-h-8 flex-wrap items-center justify-between gap-x-4 gap-y-2">
      <h1>{title}</h1>
      {note ? <p className="text-sm text-ink-3">{note}</p> : null}
      {actions ? <Actions className="max-sm:w-full max-sm:[&>*]:flex-auto">{actions}</Actions> : null}
    </div>
  );
}

/** Buttons in a row. */
export function Actions({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn("flex flex-wrap items-center gap-2", className)}>{children}</div>;
}

/** Panels under each other. */
export function Stack({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn("stack", className)}>{children}</div>;
}

/** Panels beside each other where there is room: evidence left and wide, facts right. */
export function Columns({ split = "7-5", children }: { split?: "7-5" | "6-6"; children: ReactNode }) {
  return <div className={cn("cols", split === "7-5" ? "cols-7-5" : "cols-6-6")}>{children}</div>;
}

/** First thing the keyboard reaches: past the header, to the content. */
export function SkipLink() {
  return (
    <a
      href="#main"
      className="absolute -top-16 left-4 z-60 rounded-2 border border-line-strong bg-surface px-3 py-2 focus:top-2"
    >
      Skip to content
    </a>
  );
}
