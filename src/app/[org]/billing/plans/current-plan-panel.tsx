"use client";
// The plan an organization has, how it goes on, and what can be done about it by whoever may.
import type { ReactNode } from "react";
import { creditsInWords, formatMoney, formatTime } from "~/components/billing/format";
import { SubscriptionState } from "~/components/billing/subscription-panel";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { Fact, Facts } from "~/components/ui/facts";
import { keepFocus } from "~/components/ui/keep-focus";
import { Panel, PanelBody } from "~/components/ui/panel";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { sayFailure } from "../../../_trpc/failures";
import { usePortal } from "../../_shell/use-portal";
import { cardEnds, cardInWords, lastDayOf } from "../_shared/card";
import { PaymentProblemText } from "../_shared/payment-problem";
import type { PayInvoice } from "../_shared/use-pay-invoice";
import type { SubscriptionActions } from "../_shared/use-subscription";
import { CancelPlan } from "./cancel-plan";
import { PausePlan } from "./pause-plan";

export interface CurrentPlanPanelProps {
  organizationId: string;
  organizationName: string;
  subscription: NonNullable<RouterOutputs["subscription"]["get"]>;
  canManage: boolean;
  actions: SubscriptionActions;
  payment: PayInvoice;
  now: Date;
}

export function CurrentPlanPanel(props: CurrentPlanPanelProps) {
  const { subscription, canManage, organizationName, now } = props;
  const viewer = useViewer();
  const { locale } = viewer;
  const { planName, interval, unitAmount, currency, credits, creditInterval, card } = subscription;
  return (
    <Panel id="your-plan" title="Your plan" note={<SubscriptionState status={subscription.status} />} live="polite">
      <PanelBody>
        <Facts>
          <Fact label={`${planName}, ${interval === "year" ? "yearly" : "monthly"}`} labelNote="before tax">
            {formatMoney({ amount: unitAmount, currency }, { locale })} a {interval}
          </Fact>
          <Fact label="Credits">
            {creditsInWords(credits, locale)} a {creditInterval}
          </Fact>
          <NextDates subscription={subscription} />
          {card ? (
            <Fact
              label="Paid with"
              note={`expires ${formatTime(lastDayOf(card), { locale, timeZone: "UTC" }, { style: "date" })}`}
              noteTone={cardEnds(card) <= now ? "danger" : undefined}
            >
              {cardInWords(card)}
            </Fact>
          ) : null}
        </Facts>
      </PanelBody>
      {canManage ? (
        <PlanActions {...props} />
      ) : (
        <PanelBody>
          <p className="text-sm text-ink-2">
            An owner, an admin or a billing contact of {organizationName} can change the plan. Ask one of them.
          </p>
        </PanelBody>
      )}
    </Panel>
  );
}

function PlanActions({ organizationId, subscription, actions, payment, now }: CurrentPlanPanelProps) {
  const portal = usePortal(organizationId);
  const { planName, status, cancelsAt, scheduledChange, pendingChange, openInvoice, card } = subscription;
  const renews = status === "active" && cancelsAt === null;
  const waitsFor = pendingChange?.invoiceId ?? (status === "past_due" ? openInvoice?.id : null) ?? null;

  /** A press that needs no question before it. */
  function act(action: () => Promise<unknown>, done: string, fallback: string) {
    action().then(
      () => {
        toastDone(done);
        keepFocus();
      },
      (error) => sayFailure(error, fallback),
    );
  }

  const first: ReactNode[] = [];
  if (waitsFor) {
    first.push(
      <Button key="pay" variant="primary" loading={payment.payingId === waitsFor} onClick={() => payment.pay(waitsFor)}>
        {pendingChange ? `Pay and change to ${pendingChange.planName}` : "Pay now"}
      </Button>,
    );
  }
  if (scheduledChange || pendingChange) {
    first.push(
      <Button
        key="undo"
        loading={actions.undoChange.isPending}
        onClick={() =>
          act(
            () => actions.undoChange.mutateAsync({ organizationId, change: pendingChange ? "pending" : "scheduled" }),
            `${planName} stays`,
            "The change could not be taken back",
          )
        }
      >
        Keep {planName}
      </Button>,
    );
  }
  if (cancelsAt) {
    first.push(
      <Button
        key="uncancel"
        loading={actions.undoCancel.isPending}
        onClick={() =>
          act(
            () => actions.undoCancel.mutateAsync({ organizationId }),
            `${planName} goes on`,
            "The cancellation could not be taken back",
          )
        }
      >
        Keep {planName}
      </Button>,
    );
  } else if (status === "paused") {
    first.push(
      <Button
        key="resume"
        loading={actions.resume.isPending}
        onClick={() =>
          act(
            () => actions.resume.mutateAsync({ organizationId }),
            `${planName} goes on`,
            "The plan could not be resumed",
          )
        }
      >
        Resume {planName}
      </Button>,
    );
  }

  return (
    <PanelBody>
      {payment.problem ? <PaymentProblemText problem={payment.problem} className="mb-3" /> : null}
      <div className="flex flex-wrap gap-2">
        {first}
        <Button loading={portal.opening} onClick={() => portal.openTo("update_card")}>
          {card ? "Update card" : "Add a card"}
        </Button>
        {renews && !pendingChange ? <PausePlan {...{ organizationId, subscription, actions, now }} /> : null}
        {cancelsAt ? null : <CancelPlan {...{ organizationId, subscription, actions }} />}
        <Button variant="link" loading={portal.opening} onClick={portal.open}>
          Stripe’s portal
        </Button>
      </div>
    </PanelBody>
  );
}

/** What happens next with the subscription, and when. */
function NextDates({ subscription }: Pick<CurrentPlanPanelProps, "subscription">) {
  const viewer = useViewer();
  const { status, cancelsAt, trialEnd, currentPeriodEnd, pastDueSince, graceUntil, blocked, openInvoice, resumesAt } =
    subscription;
  const { scheduledChange, pendingChange } = subscription;
  const date = (at: Date) => formatTime(at, viewer, { style: "date" });
  const money = openInvoice ? formatMoney(openInvoice, { locale: viewer.locale }) : null;
  const facts: ReactNode[] = [];
  if (status === "past_due") {
    const stops = graceUntil
      ? `spending ${blocked ? "stopped" : "stops"} on ${date(graceUntil)}`
      : "tried again by Stripe";
    facts.push(
      <Fact key="overdue" label="Last payment" note={stops} noteTone="danger">
        {money ? `${money} failed` : "failed"}
        {pastDueSince ? ` on ${date(pastDueSince)}` : ""}
      </Fact>,
    );
  }
  if (pendingChange) {
    facts.push(
      <Fact key="pending" label="Waits for payment" note={`until ${date(pendingChange.expiresAt)}`} noteTone="warn">
        {pendingChange.planName}
        {money ? `, ${money}` : ""}
      </Fact>,
    );
  }
  if (cancelsAt) {
    facts.push(
      <Fact key="ends" label="Ends" note="not renewed" noteTone="warn">
        {date(cancelsAt)}
      </Fact>,
    );
  } else if (status === "paused") {
    facts.push(
      <Fact key="paused" label="Paused" note="no charges and no new credits meanwhile">
        {resumesAt ? `until ${date(resumesAt)}` : "until it is resumed"}
      </Fact>,
    );
  } else if (status === "trial" && trialEnd) {
    facts.push(
      <Fact key="trial" label="Trial ends" note="then the first payment">
        {date(trialEnd)}
      </Fact>,
    );
  } else if (status === "active") {
    facts.push(
      <Fact key="renews" label="Renews">
        {date(currentPeriodEnd)}
      </Fact>,
    );
  }
  if (scheduledChange) {
    facts.push(
      <Fact key="then" label="Then" note={`from ${date(scheduledChange.at)} on`}>
        {scheduledChange.planName}, {scheduledChange.interval === "year" ? "yearly" : "monthly"}
      </Fact>,
    );
  }
  return facts;
}
