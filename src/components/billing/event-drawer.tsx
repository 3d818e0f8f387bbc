"use client";
// One event of Stripe's: what became of it, how often it came and was tried, and its body as it was signed.
import type { ReactNode } from "react";
import { CopyButton } from "../ui/copy-field";
import { Drawer, DrawerSection } from "../ui/drawer";
import { ErrorState } from "../ui/empty-state";
import { Fact, Facts } from "../ui/facts";
import { FactsSkeleton, Loading } from "../ui/skeleton";
import { type EventRow, EventState } from "./events-table";
import { LocalTime } from "./local-time";

export interface EventDetail extends EventRow {
  source: "webhook" | "reconciler";
  objectId: string | null;
  customerId: string | null;
  faults: number;
  deliveries: number;
  createdAt: Date;
  nextAttemptAt: Date | null;
  replayedAt: Date | null;
  apiVersion: string | null;
  body: string;
}

export interface EventDrawerProps {
  /** null: closed. */
  openId: string | null;
  onOpenChange: (open: boolean) => void;
  /** Undefined while it is on its way. */
  event?: EventDetail;
  error?: { title?: string; text?: string; onRetry?: () => void } | null;
  /** Replay, ignore. */
  actions?: ReactNode;
}

export function EventDrawer({ openId, onOpenChange, event, error, actions }: EventDrawerProps) {
  return (
    <Drawer open={openId !== null} onOpenChange={onOpenChange} title={openId ?? "Event"}>
      {error ? (
        <ErrorState title={error.title} text={error.text} onRetry={error.onRetry} />
      ) : event ? (
        <Detail event={event} actions={actions} />
      ) : (
        <Loading label="Loading the event">
          <DrawerSection>
            <FactsSkeleton rows={4} />
          </DrawerSection>
          <DrawerSection>
            <FactsSkeleton rows={8} />
          </DrawerSection>
        </Loading>
      )}
    </Drawer>
  );
}

function Detail({ event, actions }: { event: EventDetail; actions: ReactNode }) {
  return (
    <>
      <DrawerSection>
        <h2 className="[overflow-wrap:anywhere]">{event.type}</h2>
        <p className="mt-1 text-sm">
          <EventState item={event} />
        </p>
        {event.outcome ? (
          <p className="mt-2 border-l-2 border-accent bg-accent-tint px-4 py-3 text-sm [overflow-wrap:anywhere]">
            {event.outcome}
          </p>
        ) : null}
        {actions ? <div className="mt-4 flex flex-wrap gap-2">{actions}</div> : null}
      </DrawerSection>
      <DrawerSection title="What became of it">
        <Facts>
          <Fact label="Happened at Stripe">
            <LocalTime value={event.createdAt} show="exact" zone />
          </Fact>
          <Fact label="Received" note={event.source === "reconciler" ? "found by the reconciler" : undefined}>
            <LocalTime value={event.receivedAt} show="exact" zone />
          </Fact>
          <Fact label="Delivered">{timesInWords(event.deliveries)}</Fact>
          <Fact label="Tried" note={event.faults > 0 ? `${event.faults} failed by a fault of ours` : undefined}>
            {timesInWords(event.attempts)}
          </Fact>
          <Instant label="Finished" at={event.processedAt} />
          <Instant label="Next try" at={event.nextAttemptAt} />
          <Instant label="Replayed" at={event.replayedAt} />
        </Facts>
      </DrawerSection>
      <DrawerSection title="What it is about">
        <Facts>
          <Fact label="Organization">{event.organization?.name ?? "unknown"}</Fact>
          <Fact label="Object">{event.objectId ?? "none"}</Fact>
          <Fact label="Customer">{event.customerId ?? "none"}</Fact>
          <Fact label="API version">{event.apiVersion ?? "not said"}</Fact>
        </Facts>
      </DrawerSection>
      <DrawerSection title="Body">
        {/* Scrolls by itself, so that the keyboard has to reach it. */}
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
        <pre tabIndex={0} className="max-h-96 overflow-auto rounded-2 border border-line bg-sunken p-3 text-xs">
          {pretty(event.body)}
        </pre>
        <div className="mt-3">
          <CopyButton text={event.body} label="Copy body" />
        </div>
      </DrawerSection>
    </>
  );
}

function Instant({ label, at }: { label: string; at: Date | null }) {
  return at ? (
    <Fact label={label}>
      <LocalTime value={at} show="exact" zone />
    </Fact>
  ) : null;
}

function timesInWords(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    // Kept as it came, whatever it is.
    return body;
  }
}
