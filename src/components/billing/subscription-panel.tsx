"use client";
// The plan an organization has: how it stands, its period, what it includes, what pays for it.
import type { ReactNode } from "react";
import { Fact, Facts } from "../ui/facts";
import { Panel, PanelBody } from "../ui/panel";
import { State, type StateTone } from "../ui/state";
import { creditsInWords, formatDayRange, formatMoney, formatTime, type Money } from "./format";
import type { Interval } from "./plan";
import { useViewer } from "./viewer";

export type SubscriptionStatus =
  | "trial"
  | "active"
  | "past_due"
  | "cancelled"
  | "expired"
  | "pending"
  | "paused"
  | (string & {});

const statusWords: Record<string, { word: string; tone: StateTone }> = {
  trial: { word: "Trial", tone: "plain" },
  active: { word: "Active", tone: "plain" },
  past_due: { word: "Payment failed", tone: "danger" },
  cancelled: { word: "Cancelled", tone: "quiet" },
  expired: { word: "Expired", tone: "quiet" },
  pending: { word: "Waiting for the first payment", tone: "warn" },
  paused: { word: "Paused", tone: "quiet" },
};

/** How a subscription stands, as a word. */
export function SubscriptionState({ status }: { status: SubscriptionStatus }) {
  const known = statusWords[status] ?? { word: status.replaceAll("_", " "), tone: "plain" as const };
  return <State tone={known.tone}>{known.word}</State>;
}

/** Another plan that is to come. */
export interface PlanAhead {
  planName: string;
  interval: Interval;
  at: Date;
}

export interface SubscriptionFacts {
  planName: string;
  status: SubscriptionStatus;
  interval: Interval;
  since?: Date | null;
  currentPeriodStart: Date;
  /** The instant at which the next period begins. */
  currentPeriodEnd: Date;
  trialEnd?: Date | null;
  cancelsAt?: Date | null;
  credits?: number;
  creditInterval?: Interval;
  price?: Money | null;
  /** A change that waits for the end of the period. */
  scheduledChange?: PlanAhead | null;
  /** A change that waits for its payment. */
  pendingChange?: Omit<PlanAhead, "at"> | null;
  /** When a pause ends by itself. */
  resumesAt?: Date | null;
  paymentMethod?: { label: string; note?: string; noteTone?: "warn" | "danger" } | null;
}

export interface SubscriptionPanelProps {
  subscription: SubscriptionFacts | null;
  /** At the right of the head: "Change plan". */
  action?: ReactNode;
  /** Under the facts: cancel, resume, portal. */
  children?: ReactNode;
  /** Said when there is none. */
  empty?: ReactNode;
}

export function SubscriptionPanel({ subscription, action, children, empty }: SubscriptionPanelProps) {
  const viewer = useViewer();
  if (!subscription) {
    return (
      <Panel title="No plan" action={action}>
        <PanelBody>
          <p className="text-sm text-ink-2">{empty ?? "Credits that were bought can be spent without a plan."}</p>
          {children ? <div className="mt-4 flex flex-wrap gap-2">{children}</div> : null}
        </PanelBody>
      </Panel>
    );
  }
  const { locale } = viewer;
  const date = (at: Date) => formatTime(at, viewer, { style: "date" });
  const lastDay = new Date(subscription.currentPeriodEnd.getTime() - 1);
  const ends = subscription.cancelsAt;
  const { scheduledChange, pendingChange } = subscription;
  const paused = subscription.status === "paused";
  const over = subscription.status === "cancelled" || subscription.status === "expired";
  return (
    <Panel title={`${subscription.planName}, ${intervalWord(subscription.interval)}`} action={action}>
      <PanelBody>
        <Facts>
          <Fact label="Status" note={subscription.since ? `since ${date(subscription.since)}` : undefined}>
            <SubscriptionState status={subscription.status} />
          </Fact>
          {subscription.trialEnd && subscription.status === "trial" ? (
            <Fact label="Trial ends">{date(subscription.trialEnd)}</Fact>
          ) : null}
          <Fact
            label={over ? "Last period" : "This period"}
            note={
              ends
                ? `ends on ${date(ends)}, not renewed`
                : over || paused
                  ? undefined
                  : `renews on ${date(subscription.currentPeriodEnd)}`
            }
            noteTone={ends ? "warn" : undefined}
          >
            {formatDayRange(subscription.currentPeriodStart, lastDay, viewer)}
          </Fact>
          {paused ? (
            <Fact label="Paused" note="no charges and no new credits meanwhile">
              {subscription.resumesAt ? `until ${date(subscription.resumesAt)}` : "until it is resumed"}
            </Fact>
          ) : null}
          {scheduledChange ? (
            <Fact label="Then" note={`from ${date(scheduledChange.at)} on`}>
              {scheduledChange.planName}, {intervalWord(scheduledChange.interval)}
            </Fact>
          ) : null}
          {pendingChange ? (
            <Fact label="Changes to" note="once it is paid" noteTone="warn">
              {pendingChange.planName}, {intervalWord(pendingChange.interval)}
            </Fact>
          ) : null}
          {subscription.credits !== undefined ? (
            <Fact label="Included">
              {creditsInWords(subscription.credits, locale)} a {subscription.creditInterval ?? subscription.interval}
            </Fact>
          ) : null}
          {subscription.price ? (
            <Fact label="Price">
              {formatMoney(subscription.price, { locale })} a {subscription.interval}
            </Fact>
          ) : null}
          {subscription.paymentMethod ? (
            <Fact
              label="Paid with"
              note={subscription.paymentMethod.note}
              noteTone={subscription.paymentMethod.noteTone}
            >
              {subscription.paymentMethod.label}
            </Fact>
          ) : null}
        </Facts>
        {children ? <div className="mt-4 flex flex-wrap gap-2">{children}</div> : null}
      </PanelBody>
    </Panel>
  );
}

function intervalWord(interval: Interval): string {
  return interval === "month" ? "monthly" : "yearly";
}
