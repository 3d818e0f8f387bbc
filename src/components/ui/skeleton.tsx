// What stands in a place until its content comes, at the very height of that content.
import type { CSSProperties, ReactNode } from "react";
import { cn } from "./cn";

/** One line of words; the box is a full line high, the bar inside as high as small letters. */
export function SkeletonLine({ width = "60%", className }: { width?: string; className?: string }) {
  return (
    <span aria-hidden className={cn("flex h-5 items-center", className)}>
      <span className="skeleton h-2.5" style={{ width }} />
    </span>
  );
}

/** Says once that something is on its way. */
export function Loading({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div role="status" aria-busy="true">
      <span className="sr-only">{label}</span>
      {children}
    </div>
  );
}

export function AnswersSkeleton({ count = 3 }: { count?: 1 | 2 | 3 }) {
  return (
    <div className="answers" data-count={count} aria-hidden>
      {places(count).map((place) => (
        <div key={place}>
          <SkeletonLine width="6rem" />
          <span className="flex h-10 items-center">
            <span className="skeleton h-6 w-32" />
          </span>
          <SkeletonLine width="12rem" />
        </div>
      ))}
    </div>
  );
}

export function StripSkeleton({ slim = false }: { slim?: boolean }) {
  return (
    <div aria-hidden>
      <span className="skeleton" style={{ height: slim ? "2.75rem" : "4.5rem" }} />
      <span className="block h-7" />
      <SkeletonLine width="24rem" className="mt-3 max-w-full" />
    </div>
  );
}

export function TableSkeleton({
  rows = 6,
  columns = 4,
  tight = false,
}: {
  rows?: number;
  columns?: number;
  tight?: boolean;
}) {
  const cells: CSSProperties = { gridTemplateColumns: `2fr repeat(${columns - 1}, 1fr)` };
  return (
    <div aria-hidden className="divide-y divide-line">
      <div className="grid h-8 items-center gap-6 px-(--pad)" style={cells}>
        {places(columns).map((place) => (
          <span key={place} className="skeleton h-2 w-12 opacity-60" />
        ))}
      </div>
      {places(rows).map((row) => (
        <div
          key={row}
          className={cn(
            "grid items-center gap-6 px-(--pad)",
            tight ? "h-[calc(var(--row-tight)+1px)]" : "h-[calc(var(--row)+1px)]",
          )}
          style={cells}
        >
          {places(columns).map((place) => (
            <span
              key={place}
              className={cn("skeleton h-2.5", place > 0 && "justify-self-end")}
              style={{ width: place === 0 ? `${45 + ((row * 17) % 35)}%` : "3.5rem" }}
            />
          ))}
        </div>
      ))}
    </div>
  );
}

/** `noted`: each with a line under its label. */
export function FactsSkeleton({ rows = 4, noted = false }: { rows?: number; noted?: boolean }) {
  return (
    <div aria-hidden className="facts">
      {places(rows).map((row) => (
        <div key={row}>
          <span>
            <SkeletonLine width="7rem" className="w-28" />
            {noted ? <SkeletonLine width="5rem" className="h-4.5 w-28 opacity-60" /> : null}
          </span>
          <SkeletonLine width={noted ? "4rem" : "9rem"} className={noted ? "w-16" : "w-36"} />
        </div>
      ))}
    </div>
  );
}

export function ChartSkeleton({ height = "12rem" }: { height?: string }) {
  return (
    <div aria-hidden>
      <div className="grid content-between" style={{ height }}>
        {places(5).map((place) => (
          <span key={place} className="block h-px bg-line" />
        ))}
      </div>
      <span className="block h-6" />
    </div>
  );
}

export function PlanGridSkeleton({ plans = 3 }: { plans?: number }) {
  return (
    <div aria-hidden className="plan-grid" style={{ "--plans": plans } as CSSProperties}>
      {places(plans).map((place) => (
        <div key={place} className="plan">
          <SkeletonLine width="5rem" />
          <span className="mt-2 flex h-10 items-center">
            <span className="skeleton h-6 w-20" />
          </span>
          <SkeletonLine width="8rem" />
          <div className="mt-4 grid gap-2">
            {places(5).map((line) => (
              <SkeletonLine key={line} width="80%" />
            ))}
          </div>
        </div>
      ))}
    </div>
  );
}

export function PanelSkeleton({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section className="panel" aria-label={label}>
      <div aria-hidden className="panel-head border-b border-line px-(--pad) py-3">
        <span className="flex h-[1.375rem] items-center">
          <span className="skeleton h-2.5 w-28" />
        </span>
      </div>
      <Loading label={`${label}: loading`}>{children}</Loading>
    </section>
  );
}

function places(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
