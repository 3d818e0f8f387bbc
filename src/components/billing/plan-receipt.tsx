"use client";
// What a change of plan would charge today, what from then on, and what becomes of the credits: before anything is done.
import type { ReactNode } from "react";
import { Button } from "../ui/button";
import { cn } from "../ui/cn";
import { Fact, Facts } from "../ui/facts";
import { Panel, PanelBody } from "../ui/panel";
import { FactsSkeleton, Loading, SkeletonLine } from "../ui/skeleton";
import type { CreditKind } from "./credit-kind";
import { formatCredits, formatMoney, type Money } from "./format";
import { useViewer } from "./viewer";

export interface ReceiptLine extends Money {
  label: string;
  note?: string;
}

export interface PlanReceipt {
  /** "Pro to Scale" */
  title: string;
  /** "takes effect now", "takes effect on 1 February" */
  when: string;
  today: {
    lines: readonly ReceiptLine[];
    /** "Today, Visa ending 4242" */
    totalLabel: string;
    total: Money;
  };
  onwards: {
    /** "Each month, first on 1 February" */
    label: string;
    note?: string;
    amount: Money;
    /** What it is now. */
    now?: Money | null;
  } | null;
  credits?: {
    lines: readonly { kind: CreditKind; label: string; note?: string; amount: number; change?: boolean }[];
    /** "Right after the change", unless told otherwise. */
    totalLabel?: string;
    total: number;
    /** Before it, where that is something else. */
    now?: number;
    /** "On 1 February 25,000 arrive instead of 6,000." */
    note?: string;
  } | null;
}

export interface PlanReceiptPanelProps {
  /** Undefined while it is being computed. */
  receipt?: PlanReceipt;
  /** What it is of, while there is no receipt: "Pro to Scale". */
  title?: string;
  /** Stands in place of it: "Choose another plan to see what it would cost." */
  message?: ReactNode;
  /** Under the message: what can be done about it. */
  actions?: ReactNode;
  /** What the button does: "Change to Scale and pay $33.47". Absent: this person may look but not do it. */
  confirm?: string;
  onConfirm?: () => void;
  confirming?: boolean;
  error?: ReactNode;
  /** Under the button, or in its place: how long the price holds, how to go back, who may do it. */
  terms?: ReactNode;
}

/** About as much as will stand there. */
const WAITING = [
  { heading: "Charged today", rows: 3 },
  { heading: "From then on", rows: 1 },
  { heading: "Your credits", rows: 4 },
];

export function PlanReceiptPanel({
  receipt,
  title = "What changes",
  message,
  actions,
  confirm,
  onConfirm,
  confirming,
  error,
  terms,
}: PlanReceiptPanelProps) {
  const { locale } = useViewer();
  const money = (value: Money) => formatMoney(value, { locale });
  const credits = (amount: number, sign: "auto" | "always" = "auto") => formatCredits(amount, { locale, sign });

  if (message) {
    return (
      <Panel title={title} live="polite">
        <PanelBody>
          <div className="grid gap-2 text-sm text-ink-2">{message}</div>
          {actions ? <div className="mt-4 flex flex-wrap items-center gap-2">{actions}</div> : null}
        </PanelBody>
      </Panel>
    );
  }
  if (!receipt) {
    return (
      <Panel title={title} note="being computed" live="polite">
        <Loading label="Computing what the change would cost">
          {WAITING.map(({ heading, rows }) => (
            <PanelBody key={heading}>
              <h3 className="mb-3">{heading}</h3>
              <FactsSkeleton rows={rows} noted />
            </PanelBody>
          ))}
          <PanelBody>
            <span aria-hidden className="skeleton block h-(--control) w-full max-sm:h-11" />
            <SkeletonLine width="90%" className="mt-3" />
          </PanelBody>
        </Loading>
      </Panel>
    );
  }

  return (
    <Panel title={receipt.title} note={receipt.when} live="polite">
      <PanelBody>
        <h3 className="mb-3">Charged today</h3>
        <Facts>
          {receipt.today.lines.map((line, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: two lines may say the same
            <Fact key={index} label={line.label} labelNote={line.note}>
              {money(line)}
            </Fact>
          ))}
          <Fact label={receipt.today.totalLabel} total>
            {money(receipt.today.total)}
          </Fact>
        </Facts>
      </PanelBody>
      {receipt.onwards ? (
        <PanelBody>
          <h3 className="mb-3">From then on</h3>
          <Facts>
            <Fact
              label={receipt.onwards.label}
              labelNote={receipt.onwards.note}
              note={receipt.onwards.now ? `now ${money(receipt.onwards.now)}` : undefined}
            >
              <b>{money(receipt.onwards.amount)}</b>
            </Fact>
          </Facts>
        </PanelBody>
      ) : null}
      {receipt.credits ? (
        <PanelBody>
          <h3 className="mb-3">Your credits</h3>
          <Facts>
            {receipt.credits.lines.map((line) => (
              <Fact
                key={line.label}
                label={
                  <>
                    <i className={cn("swatch", line.kind)} /> {line.label}
                  </>
                }
                labelNote={line.note}
              >
                {credits(line.amount, line.change ? "always" : "auto")}
              </Fact>
            ))}
            <Fact
              label={receipt.credits.totalLabel ?? "Right after the change"}
              note={receipt.credits.now === undefined ? undefined : `now ${credits(receipt.credits.now)}`}
              total
            >
              {credits(receipt.credits.total)}
            </Fact>
          </Facts>
          {receipt.credits.note ? <p className="mt-3 text-sm text-ink-2">{receipt.credits.note}</p> : null}
        </PanelBody>
      ) : null}
      {confirm || terms ? (
        <PanelBody>
          {error ? (
            <p role="alert" className="mb-3 text-sm font-medium text-danger">
              {error}
            </p>
          ) : null}
          {confirm ? (
            <Button variant="primary" wide loading={confirming} onClick={onConfirm} className="whitespace-normal">
              {confirm}
            </Button>
          ) : null}
          {terms ? <p className={cn(confirm ? "mt-3 text-xs text-ink-3" : "text-sm text-ink-2")}>{terms}</p> : null}
        </PanelBody>
      ) : null}
    </Panel>
  );
}
