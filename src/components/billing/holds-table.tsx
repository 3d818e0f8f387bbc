"use client";
// Credits that running work has set aside: who, for what, what of it was taken, until when; and ending a hold by hand.
import { ConfirmDialog } from "../ui/confirm-dialog";
import { TextButton } from "../ui/link-button";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { creditsInWords, formatCredits } from "./format";
import { LocalTime } from "./local-time";
import { useViewer } from "./viewer";

export interface OpenHold {
  id: string;
  /** Key or person: "batch-worker". */
  holder: string;
  /** On whose behalf, and for what: "for Jonas Weber, project atlas". */
  detail?: string | null;
  eventName: string | null;
  amount: number;
  captured: number;
  /** Still set aside. */
  remaining: number;
  createdAt: Date;
  leaseEndsAt: Date;
}

export interface HoldsTableProps {
  holds: readonly OpenHold[];
  /** Absent: this person may look but not release. */
  onRelease?: (id: string) => Promise<void> | void;
  /** Turns what `onRelease` threw into a sentence. */
  describeError?: (error: unknown) => string;
}

export function HoldsTable({ holds, onRelease, describeError }: HoldsTableProps) {
  const { locale } = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale });
  return (
    <Table caption="Open holds, newest first">
      <THead>
        <TH>Held by</TH>
        <TH wide>For</TH>
        <TH wide>Since</TH>
        <TH wide>Ends by itself</TH>
        <TH num wide>
          Taken of it
        </TH>
        <TH num>Held</TH>
        {onRelease ? (
          <TH num>
            <span className="sr-only">Release</span>
          </TH>
        ) : null}
      </THead>
      <TBody>
        {holds.map((hold) => (
          <TR key={hold.id}>
            <TH scope="row">
              <span className="row-link">{hold.holder}</span>
              {hold.detail ? <Sub>{hold.detail}</Sub> : null}
              {hold.eventName ? <Sub narrow>{hold.eventName}</Sub> : null}
              {hold.captured > 0 ? (
                <Sub narrow>
                  {credits(hold.captured)} of {credits(hold.amount)} taken
                </Sub>
              ) : null}
              <Sub narrow>
                until <LocalTime value={hold.leaseEndsAt} show="datetime" />
              </Sub>
            </TH>
            <TD wide>{hold.eventName ?? <span className="text-ink-3">not said</span>}</TD>
            <TD wide>
              <LocalTime value={hold.createdAt} show="datetime" />
            </TD>
            <TD wide>
              <LocalTime value={hold.leaseEndsAt} show="datetime" />
            </TD>
            <TD num wide>
              <span className={hold.captured === 0 ? "text-ink-3" : undefined}>
                {credits(hold.captured)} of {credits(hold.amount)}
              </span>
            </TD>
            <TD num>{credits(hold.remaining)}</TD>
            {onRelease ? (
              <TD num>
                <ConfirmDialog
                  destructive
                  trigger={<TextButton aria-label={`Release the hold of ${hold.holder}`}>Release</TextButton>}
                  title={`Release the hold of ${hold.holder}?`}
                  confirm={`Release ${creditsInWords(hold.remaining, locale)}`}
                  cancel="Keep the hold"
                  onConfirm={() => onRelease(hold.id)}
                  describeError={describeError}
                >
                  <p>
                    {creditsInWords(hold.remaining, locale)} can be spent by others at once.{" "}
                    {hold.captured > 0 ? `The ${credits(hold.captured)} that were taken stay taken. ` : ""}
                    Work that still runs on this hold cannot take any more of it and may fail.
                  </p>
                  <p>
                    Left alone, it ends by itself on <LocalTime value={hold.leaseEndsAt} zone />, unless the work
                    extends it.
                  </p>
                </ConfirmDialog>
              </TD>
            ) : null}
          </TR>
        ))}
      </TBody>
    </Table>
  );
}
