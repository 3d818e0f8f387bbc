"use client";
// Credits as notes laid edge to edge, in the order in which they will be spent; what is held stands apart.
import type { CSSProperties, ReactNode } from "react";
import { cn } from "../ui/cn";
import { type CreditKind, creditKinds, kindWords } from "./credit-kind";
import { formatCredits, formatTime, type Viewer } from "./format";
import {
  describeStrip,
  notesOf,
  RULER_START,
  rulerLabels,
  rulerOf,
  type StripLot,
  type StripNote,
} from "./strip-scale";
import { useViewer } from "./viewer";

export type { StripLot } from "./strip-scale";

export interface CreditStripProps {
  /** In burn order, with what is free to spend of each. */
  lots: readonly StripLot[];
  held?: number;
  /** Lower and without words, for above a table of the lots. */
  slim?: boolean;
  /** Stands where the notes would be when there are none. */
  empty?: ReactNode;
}

const weight = (n: number) => ({ "--n": n }) as CSSProperties;
/** A label is there from this width of the ruler on: what is held may leave it any room, on any screen. */
const needs = (rem: number) => ({ "--needs": `${rem.toFixed(2)}rem` }) as CSSProperties;

export function CreditStrip({ lots, held = 0, slim = false, empty = "No credits yet" }: CreditStripProps) {
  const viewer = useViewer();
  const notes = notesOf(lots);
  const total = notes.reduce((sum, note) => sum + note.amount, 0);
  const { locale } = viewer;

  return (
    <div className="strip" data-slim={slim ? "" : undefined} role="img" aria-label={describeStrip(lots, held, locale)}>
      <div className="strip-row">
        {notes.length > 0 || held === 0 ? (
          <div className="strip-spend" style={weight(Math.max(total, 1))}>
            <div className="notes">
              {notes.length > 0 ? (
                notes.map((note) => <Note key={note.id} note={note} viewer={viewer} />)
              ) : (
                <div className="grid flex-1 place-items-center rounded-1 border border-dashed border-line-control text-sm text-ink-3">
                  {empty}
                </div>
              )}
            </div>
            <RulerMarks total={total} locale={locale} />
          </div>
        ) : null}
        {held > 0 ? (
          <div className="strip-held" style={weight(held)}>
            <div className="notes">
              <div className="note held" style={weight(1)} title={`${formatCredits(held, { locale })} held`} />
            </div>
            <div className="ruler" aria-hidden>
              held
            </div>
          </div>
        ) : null}
      </div>
    </div>
  );
}

function Note({ note, viewer }: { note: StripNote; viewer: Viewer }) {
  const first = note.lots[0];
  const several = note.lots.length > 1;
  const label = several ? `${note.lots.length} lots` : first?.label;
  const expiry = several || !first ? null : expiryWords(first, viewer);
  const amount = formatCredits(note.amount, { locale: viewer.locale });
  return (
    <div
      className={cn("note", note.kind)}
      style={weight(note.amount)}
      title={[label, expiry, amount].filter(Boolean).join(", ")}
    >
      <span className="note-words label">
        <span>{label}</span>
        {expiry ? <span>{`, ${expiry}`}</span> : null}
      </span>
      <span className="note-words amount">
        <span>{amount}</span>
      </span>
    </div>
  );
}

function expiryWords(lot: StripLot, viewer: Viewer): string {
  return lot.expiresAt ? `expires ${formatTime(lot.expiresAt, viewer, { style: "day" })}` : "never expires";
}

function RulerMarks({ total, locale }: { total: number; locale: string }) {
  if (total === 0) return null;
  const { minor, major } = rulerOf(total);
  const { start, marks, end } = rulerLabels(total, locale);
  const place = (at: number) => `${((at / total) * 100).toFixed(2)}%`;
  return (
    <div className="ruler" aria-hidden>
      <svg viewBox={`0 0 ${total} 8`} preserveAspectRatio="none" stroke="currentColor" aria-hidden="true">
        <path vectorEffect="non-scaling-stroke" d={minor.map((at) => `M${at} 0v4`).join("")} />
        <path vectorEffect="non-scaling-stroke" d={[0, ...major, total].map((at) => `M${at} 0v8`).join("")} />
      </svg>
      <span className="start" style={needs(start.from)}>
        {RULER_START.short}
        <span style={needs(start.fullFrom)}>{RULER_START.rest}</span>
      </span>
      {marks.map(({ at, text, from }) => (
        <span key={at} style={{ ...needs(from), left: place(at) }}>
          {text}
        </span>
      ))}
      <span className="end" style={needs(end.from)}>
        {end.text}
      </span>
    </div>
  );
}

export interface CreditKeyProps {
  purchased: number;
  subscription: number;
  other?: number;
  held?: number;
  /** "Held by 3 running requests" */
  heldLabel?: string;
}

/** The key of the strip: it always has the numbers. */
export function CreditKey({ purchased, subscription, other = 0, held = 0, heldLabel = "Held" }: CreditKeyProps) {
  const { locale } = useViewer();
  const amounts: Record<CreditKind, number> = { purchased, subscription, other };
  return (
    <ul className="key key-amounts">
      {creditKinds
        .filter((kind) => kind !== "other" || other > 0)
        .map((kind) => (
          <li key={kind}>
            <i className={cn("swatch", kind)} />
            {kindWords[kind]} <b>{formatCredits(amounts[kind], { locale })}</b>
          </li>
        ))}
      {held > 0 ? (
        <li>
          <i className="swatch held" />
          {heldLabel} <b>{formatCredits(held, { locale })}</b>
        </li>
      ) : null}
    </ul>
  );
}

/** The key at the left and what one can do about it at the right. */
export function CreditKeyRow({ children, ...key }: CreditKeyProps & { children?: ReactNode }) {
  return (
    <div className="mt-3 flex flex-wrap items-center justify-between gap-x-6 gap-y-3 max-sm:grid max-sm:grid-cols-[minmax(0,1fr)]">
      <CreditKey {...key} />
      {children ? <div className="flex flex-wrap gap-2 max-sm:[&>*]:flex-1">{children}</div> : null}
    </div>
  );
}
