"use client";
// One ledger entry: what it was, which lots paid for it and why those, and the request that caused it.
import Link from "next/link";
import type { ReactNode } from "react";
import { cn } from "../ui/cn";
import { CopyButton } from "../ui/copy-field";
import { Drawer, DrawerSection } from "../ui/drawer";
import { ErrorState } from "../ui/empty-state";
import { Fact, Facts } from "../ui/facts";
import { FactsSkeleton, Loading, SkeletonLine } from "../ui/skeleton";
import { formatCredits, formatTime } from "./format";
import { LocalTime } from "./local-time";
import {
  type BurnOrder,
  explainPayment,
  type Named,
  nameOf,
  payersInWords,
  type QueuedLot,
  typeInWords,
} from "./transaction";
import { useViewer } from "./viewer";

export interface TransactionDetail extends Named {
  id: string;
  amount: number;
  balanceBefore: number;
  balanceAfter: number;
  createdAt: Date;
  /** Every lot that could have paid, in burn order. */
  queue?: readonly QueuedLot[];
  burnOrder?: BurnOrder;
  /** Replaces the words made from the queue, where lots were touched but nothing was paid: an expiry, a refund. */
  queueTitle?: string;
  why?: string;
  eventCategory?: string | null;
  /** Credits for `perUnits` units. */
  unitCost?: number | null;
  perUnits?: number | null;
  /** Since when that cost holds, and whether it is the organization's own. */
  rateSince?: Date | null;
  isOwnRate?: boolean;
  /** Where the credits of its lots came from. */
  origins?: readonly LotOrigin[];
  /** The hold that it set aside, took from or ended. */
  hold?: { amount: number; captured: number; remaining: number } | null;
  project?: string | null;
  apiKey?: { name: string; hint?: string } | null;
  /** A person or job, where no key was used. */
  actor?: string | null;
  reason?: string | null;
  idempotencyKey?: string | null;
  metadata?: Record<string, unknown> | null;
  /** Place in the ledger of this organization. */
  ledgerNumber?: number | null;
  /** The entry this one corrects, and those that correct this one. */
  corrects?: EntryLink | null;
  correctedBy?: readonly EntryLink[];
}

export interface EntryLink {
  number: number;
  href: string;
}

/** A lot, and in words what brought its credits. */
export interface LotOrigin {
  id: string;
  label: string;
  words: string;
  /** The invoice or payment, at Stripe. */
  link: { label: string; href: string } | null;
}

export interface TransactionDrawerProps {
  /** The id named by the address; null: closed. */
  openId: string | null;
  onOpenChange: (open: boolean) => void;
  /** Undefined while it is on its way. */
  transaction?: TransactionDetail | null;
  /** Why there is none to show; without `onRetry` another try would not help. */
  error?: { title?: string; text?: string; onRetry?: () => void } | null;
  /** Address of this entry, to pass on. */
  shareUrl?: string;
  /** Buttons beside "Copy link". */
  actions?: ReactNode;
  /** Stands under the queue: a link to the setting of the burn order. */
  orderAction?: ReactNode;
}

export function TransactionDrawer({
  openId,
  onOpenChange,
  transaction,
  error,
  shareUrl,
  actions,
  orderAction,
}: TransactionDrawerProps) {
  return (
    <Drawer open={openId !== null} onOpenChange={onOpenChange} title={openId ? `Transaction ${openId}` : "Transaction"}>
      {error ? (
        <ErrorState title={error.title} text={error.text} onRetry={error.onRetry} />
      ) : transaction ? (
        <>
          <Summary transaction={transaction} />
          <Payment transaction={transaction} orderAction={orderAction} />
          <Origins transaction={transaction} />
          <Request transaction={transaction} />
          <DrawerSection>
            <div className="flex flex-wrap gap-2">
              {shareUrl ? <CopyButton text={shareUrl} label="Copy link" /> : null}
              {actions}
            </div>
            <p className="mt-3 text-xs text-ink-3">
              Entries are never changed. A correction is a new entry that names this one.
            </p>
          </DrawerSection>
        </>
      ) : (
        <Waiting />
      )}
    </Drawer>
  );
}

function Summary({ transaction }: { transaction: TransactionDetail }) {
  const { locale } = useViewer();
  return (
    <DrawerSection>
      <h2 className="font-normal text-ink-2">{nameOf(transaction, locale)}</h2>
      <p className="text-xl font-strong tracking-tight">
        {formatCredits(transaction.amount, { locale, sign: "always" })} <span className="sr-only">credits</span>
      </p>
      <p className="text-ink-2">
        <LocalTime value={transaction.createdAt} show="exact" zone />
        <br />
        Balance {formatCredits(transaction.balanceBefore, { locale })}, then{" "}
        {formatCredits(transaction.balanceAfter, { locale })}
      </p>
    </DrawerSection>
  );
}

function Payment({ transaction, orderAction }: { transaction: TransactionDetail; orderAction?: ReactNode }) {
  const viewer = useViewer();
  const { locale } = viewer;
  const { queue } = transaction;
  if (!queue || queue.length === 0) return null;
  const credits = (amount: number) => formatCredits(amount, { locale });
  return (
    <DrawerSection title={transaction.queueTitle ?? payersInWords(queue)}>
      <p className="border-l-2 border-accent bg-accent-tint px-4 py-3 text-sm leading-[1.375rem]">
        {transaction.why ?? explainPayment(queue, transaction.burnOrder ?? "never_expiring_first", locale)}
      </p>
      <ol className="queue mt-3">
        {queue.map((lot) => {
          const took = lot.took > 0;
          const after = lot.before - lot.took;
          const stock = took
            ? `had ${credits(lot.before)}, ${after === 0 ? "now empty" : `now ${credits(after)}`}`
            : `has ${credits(lot.before)}`;
          const expiry = lot.expiresAt
            ? `expires ${formatTime(lot.expiresAt, viewer, { style: "date" })}`
            : "never expires";
          return (
            <li key={lot.id} className={took ? "took" : "not"}>
              <div>
                {lot.label}
                <small className="sub" suppressHydrationWarning>
                  {expiry} · {stock}
                </small>
              </div>
              <div className={cn("text-right", took && "font-strong")}>
                {took ? formatCredits(-lot.took, { locale }) : "not reached"}
              </div>
            </li>
          );
        })}
      </ol>
      {orderAction ? <p className="mt-2 text-sm">{orderAction}</p> : null}
    </DrawerSection>
  );
}

function Origins({ transaction }: { transaction: TransactionDetail }) {
  const { origins = [] } = transaction;
  if (origins.length === 0) return null;
  return (
    <DrawerSection title="Where the credits came from">
      <Facts>
        {origins.map(({ id, label, words, link }) => (
          <Fact key={id} label={label} note={link ? <a href={link.href}>{link.label}</a> : null}>
            {words}
          </Fact>
        ))}
      </Facts>
    </DrawerSection>
  );
}

function Request({ transaction }: { transaction: TransactionDetail }) {
  const { locale } = useViewer();
  const { eventName, apiKey, actor, corrects, correctedBy = [], hold, metadata } = transaction;
  const credits = (amount: number) => formatCredits(amount, { locale });
  const unitCost =
    transaction.unitCost === null || transaction.unitCost === undefined ? null : (
      <>
        {rateInWords(transaction.unitCost, transaction.perUnits ?? 1, locale)}
        {transaction.isOwnRate ? ", your own rate" : ""}
        {transaction.rateSince ? (
          <>
            , since <LocalTime value={transaction.rateSince} show="date" />
          </>
        ) : null}
      </>
    );
  const entries = Object.entries(metadata ?? {});
  return (
    <DrawerSection title={eventName ? "Request" : "Entry"}>
      <Facts>
        {eventName ? (
          <Fact label="Event" note={unitCost}>
            {[eventName, transaction.eventCategory].filter(Boolean).join(", ")}
          </Fact>
        ) : (
          <Fact label="Type">{typeInWords(transaction.type)}</Fact>
        )}
        {apiKey ? (
          <Fact label="API key">
            {apiKey.name} {apiKey.hint ? <span className="text-ink-3">{apiKey.hint}</span> : null}
          </Fact>
        ) : null}
        {actor ? <Fact label="By">{actor}</Fact> : null}
        {transaction.reason ? <Fact label="Reason">{transaction.reason}</Fact> : null}
        {transaction.project ? <Fact label="Project">{transaction.project}</Fact> : null}
        {hold ? (
          <Fact label="Hold">
            {credits(hold.amount)} set aside, {credits(hold.captured)} taken, {credits(hold.remaining)} left
          </Fact>
        ) : null}
        {corrects ? (
          <Fact label="Corrects">
            <EntryLinks entries={[corrects]} />
          </Fact>
        ) : null}
        {correctedBy.length > 0 ? (
          <Fact label="Corrected by">
            <EntryLinks entries={correctedBy} />
          </Fact>
        ) : null}
        {transaction.idempotencyKey ? <Fact label="Idempotency key">{transaction.idempotencyKey}</Fact> : null}
        {entries.length > 0 ? (
          <Fact label="Metadata">
            {entries.map(([key, value]) => (
              <span key={key} className="block">
                <span className="text-ink-3">{key}</span> {typeof value === "string" ? value : JSON.stringify(value)}
              </span>
            ))}
          </Fact>
        ) : null}
        {transaction.ledgerNumber ? (
          <Fact label="Ledger entry">No. {formatCredits(transaction.ledgerNumber, { locale })}</Fact>
        ) : null}
      </Facts>
    </DrawerSection>
  );
}

function EntryLinks({ entries }: { entries: readonly EntryLink[] }) {
  const { locale } = useViewer();
  return entries.map(({ number, href }) => (
    <Link key={number} href={href} scroll={false} className="block">
      No. {formatCredits(number, { locale })}
    </Link>
  ));
}

/** "5 credits each", "3 credits per 1,000". */
function rateInWords(cost: number, perUnits: number, locale: string): string {
  const credits = `${formatCredits(cost, { locale })} ${cost === 1 ? "credit" : "credits"}`;
  return perUnits === 1 ? `${credits} each` : `${credits} per ${formatCredits(perUnits, { locale })}`;
}

function Waiting() {
  return (
    <Loading label="Loading the transaction">
      <DrawerSection>
        <SkeletonLine width="8rem" />
        <span className="flex h-10 items-center">
          <span className="skeleton h-6 w-24" />
        </span>
        <SkeletonLine width="14rem" />
        <SkeletonLine width="12rem" />
      </DrawerSection>
      <DrawerSection>
        <FactsSkeleton rows={5} />
      </DrawerSection>
    </Loading>
  );
}
