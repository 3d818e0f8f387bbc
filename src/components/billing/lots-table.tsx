"use client";
// Lots in the order in which they will be spent: what paid for each, when it expires, what is left of it.
import Link from "next/link";
import { Meter } from "../ui/meter";
import { Numbers } from "../ui/panel";
import { State } from "../ui/state";
import { RowLink, Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import type { CreditKind } from "./credit-kind";
import { daysUntil, formatCredits, formatRelative, formatTime, ordinal } from "./format";
import { LocalDate } from "./local-time";
import { useViewer } from "./viewer";

export interface OpenLot {
  id: string;
  kind: CreditKind;
  /** "Pack of 2,500", "Pro, January" */
  label: string;
  /** "bought 12 Jan by Maya Okafor" */
  origin?: string;
  /** The invoice that paid for it; null: nobody paid. Left out for all, the column is not shown. */
  paidBy?: { number: string; href?: string } | null;
  expiresAt: Date | null;
  granted: number;
  left: number;
  /** Part of `left` that running work and gifts have set aside. */
  held?: number;
  /** Part of `left` that cannot be spent until a dispute is decided. */
  frozen?: number;
  href?: string;
}

export interface LotsTableProps {
  lots: readonly OpenLot[];
  now: Date;
  /** Days before expiry from which the date asks for attention. */
  warnDays?: number;
}

export function LotsTable({ lots, now, warnDays = 14 }: LotsTableProps) {
  const viewer = useViewer();
  const { locale } = viewer;
  const credits = (amount: number) => formatCredits(amount, { locale });
  const free = lots.filter(isFree);
  const payers = lots.some((lot) => lot.paidBy !== undefined);
  return (
    <Table caption="Lots in the order they will be spent">
      <THead>
        <TH>Order</TH>
        <TH>Lot</TH>
        {payers ? <TH wide>Paid by</TH> : null}
        <TH wide>Expires</TH>
        <TH wide className="w-[18%]">
          Left of granted
        </TH>
        <TH num>Left</TH>
      </THead>
      <TBody>
        {lots.map((lot) => {
          const soon = lot.expiresAt !== null && daysUntil(lot.expiresAt, now, viewer) <= warnDays;
          const expiry = lot.expiresAt
            ? `${formatTime(lot.expiresAt, viewer, { style: "day" })}, ${formatRelative(lot.expiresAt, now, viewer)}`
            : "never";
          return (
            <TR key={lot.id} linked={Boolean(lot.href)}>
              <TD className="whitespace-nowrap text-ink-3">
                {isFree(lot) ? ordinal(free.indexOf(lot) + 1) : "set aside"}
              </TD>
              <TD>
                {lot.href ? (
                  <RowLink href={lot.href}>{lot.label}</RowLink>
                ) : (
                  <span className="row-link">{lot.label}</span>
                )}
                {lot.origin ? <Sub>{lot.origin}</Sub> : null}
                <Sub narrow tone={soon ? "warn" : undefined}>
                  {lot.expiresAt ? `expires ${expiry}` : "never expires"}
                </Sub>
              </TD>
              {payers ? (
                <TD wide>
                  <PaidBy paidBy={lot.paidBy} />
                </TD>
              ) : null}
              <TD wide className="whitespace-nowrap">
                {soon ? <State tone="warn">{expiry}</State> : expiry}
              </TD>
              <TD wide>
                <Meter
                  value={lot.left}
                  max={lot.granted}
                  fill={lot.kind}
                  label={`${credits(lot.left)} of ${credits(lot.granted)} left`}
                  className="mt-1"
                />
              </TD>
              <TD num>
                {credits(lot.left)}
                {lot.held ? <Sub>{credits(lot.held)} held</Sub> : null}
                {lot.frozen ? <Sub tone="warn">{credits(lot.frozen)} frozen</Sub> : null}
              </TD>
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

function isFree({ left, held = 0, frozen = 0 }: OpenLot): boolean {
  return left > held + frozen;
}

function PaidBy({ paidBy }: { paidBy: OpenLot["paidBy"] }) {
  if (!paidBy) return <span className="text-ink-3">not paid for</span>;
  return paidBy.href ? <Link href={paidBy.href}>{paidBy.number}</Link> : paidBy.number;
}

export interface EndedLot {
  id: string;
  label: string;
  granted: number;
  spent: number;
  expired: number;
  /** Taken back by a refund, a lost dispute or an adjustment. */
  takenBack?: number;
  /** Given to other organizations. */
  transferred?: number;
  /** What ended it, where that was not spending or its expiry: "refunded". */
  how?: string | null;
  endedAt: Date;
}

/** Lots that are used up or ran out, folded under the open ones. */
export function EndedLots({ lots, summary }: { lots: readonly EndedLot[]; summary: string }) {
  const { locale } = useViewer();
  if (lots.length === 0) return null;
  const takenBack = lots.some((lot) => lot.takenBack);
  const transferred = lots.some((lot) => lot.transferred);
  const amount = (value: number) => (
    <span className={value === 0 ? "text-ink-3" : undefined}>{formatCredits(value, { locale })}</span>
  );
  return (
    <Numbers summary={summary}>
      <Table caption="Lots that have ended">
        <THead>
          <TH>Lot</TH>
          <TH num wide>
            Granted
          </TH>
          <TH num>Spent</TH>
          <TH num>Expired</TH>
          {takenBack ? (
            <TH num snug>
              Taken back
            </TH>
          ) : null}
          {transferred ? (
            <TH num snug>
              Given away
            </TH>
          ) : null}
          <TH num>Ended</TH>
        </THead>
        <TBody tight>
          {lots.map((lot) => (
            <TR key={lot.id}>
              <TH scope="row">
                {lot.label}
                {lot.how ? <Sub>{lot.how}</Sub> : null}
              </TH>
              <TD num wide>
                {amount(lot.granted)}
              </TD>
              <TD num>{amount(lot.spent)}</TD>
              <TD num>{amount(lot.expired)}</TD>
              {takenBack ? (
                <TD num snug>
                  {amount(lot.takenBack ?? 0)}
                </TD>
              ) : null}
              {transferred ? (
                <TD num snug>
                  {amount(lot.transferred ?? 0)}
                </TD>
              ) : null}
              <TD num>
                <LocalDate value={lot.endedAt} show="day" />
              </TD>
            </TR>
          ))}
        </TBody>
      </Table>
    </Numbers>
  );
}
