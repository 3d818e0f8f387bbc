// Tables: tight, hairlines between rows, numbers right, nothing centred. Columns of second rank are `wide`; where there
// is no room for them the same words stand in a line under the name (`Sub narrow`).
import Link from "next/link";
import type { ComponentProps, ReactNode } from "react";
import { cn } from "./cn";

export interface TableProps extends ComponentProps<"table"> {
  /** Read out before the table; says what it lists and in what order. */
  caption: ReactNode;
}

export function Table({ caption, className, children, ...rest }: TableProps) {
  return (
    <div className="table-wrap">
      <table className={cn("table", className)} {...rest}>
        <caption className="sr-only">{caption}</caption>
        {children}
      </table>
    </div>
  );
}

export function THead({ children }: { children: ReactNode }) {
  return (
    <thead>
      <tr>{children}</tr>
    </thead>
  );
}

/** `tight` makes the 36-px rows of a log. */
export function TBody({ tight, className, ...rest }: ComponentProps<"tbody"> & { tight?: boolean }) {
  return <tbody className={cn(tight && "tight", className)} {...rest} />;
}

export interface TRProps extends ComponentProps<"tr"> {
  /** The whole row leads where its RowLink leads. */
  linked?: boolean;
  selected?: boolean;
}

export function TR({ linked, selected, className, ...rest }: TRProps) {
  return <tr data-selected={selected ? "" : undefined} className={cn(linked && "linked", className)} {...rest} />;
}

interface CellLook {
  /** A number: right, never broken. */
  num?: boolean;
  /** Only where the panel has a little room (26 rem). */
  snug?: boolean;
  /** Only where the panel has room (36 rem). */
  wide?: boolean;
  /** Only where the panel has a lot of room (52 rem). */
  roomy?: boolean;
}

export function TH({ num, snug, wide, roomy, className, scope = "col", ...rest }: ComponentProps<"th"> & CellLook) {
  return (
    <th
      scope={scope}
      className={cn(num && "num", snug && "snug", wide && "wide", roomy && "roomy", className)}
      {...rest}
    />
  );
}

export function TD({ num, snug, wide, roomy, className, ...rest }: ComponentProps<"td"> & CellLook) {
  return <td className={cn(num && "num", snug && "snug", wide && "wide", roomy && "roomy", className)} {...rest} />;
}

/** A line across the table that begins a day. */
export function DayRow({ span, children }: { span: number; children: ReactNode }) {
  return (
    <tr className="day">
      <th scope="rowgroup" colSpan={span}>
        {children}
      </th>
    </tr>
  );
}

export type RowLinkProps = { children: ReactNode; className?: string; current?: boolean } & (
  | { href: string; onOpen?: undefined; scroll?: boolean }
  | { href?: undefined; onOpen: () => void; scroll?: undefined }
);

/** The first column's name. In a `linked` row its target is the whole row. */
export function RowLink({ children, className, current, href, onOpen, scroll }: RowLinkProps) {
  if (href !== undefined) {
    return (
      <Link
        href={href}
        scroll={scroll}
        aria-current={current ? "true" : undefined}
        className={cn("row-link", className)}
      >
        {children}
      </Link>
    );
  }
  return (
    <button type="button" onClick={onOpen} aria-pressed={current} className={cn("row-link hover:underline", className)}>
      {children}
    </button>
  );
}

export interface SubProps {
  /** Shown only where the wide columns have left. */
  narrow?: boolean;
  tone?: "warn" | "danger";
  children: ReactNode;
}

/** A quiet line under the name or number. */
export function Sub({ narrow, tone, children }: SubProps) {
  return <span className={cn("sub", narrow && "narrow-only", tone)}>{children}</span>;
}
