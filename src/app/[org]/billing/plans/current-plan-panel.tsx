"use client";
// The plan an organization has, beside the sheet of plans; and against another one that is looked at.
import { creditsInWords, formatMoney, formatTime } from "~/components/billing/format";
import type { PlanOption, PlanPrice } from "~/components/billing/plan";
import { SubscriptionState } from "~/components/billing/subscription-panel";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { Fact, Facts } from "~/components/ui/facts";
import { Panel, PanelBody } from "~/components/ui/panel";
import type { RouterOutputs } from "~/server/api/root";

export interface CurrentPlanPanelProps {
  subscription: NonNullable<RouterOutputs["subscription"]["get"]>;
  /** What is looked at in the sheet; may be the very plan that the organization has. */
  chosen: { plan: PlanOption; price: PlanPrice } | null;
  canManage: boolean;
  organizationName: string;
  onPortal: () => void;
  /** The way to the portal is being opened. */
  opening: boolean;
}

export function CurrentPlanPanel({
  subscription,
  chosen,
  canManage,
  organizationName,
  onPortal,
  opening,
}: CurrentPlanPanelProps) {
  const viewer = useViewer();
  const { locale } = viewer;
  const { planName, interval, unitAmount, currency, credits, creditInterval } = subscription;
  const another =
    chosen && (chosen.plan.id !== subscription.planId || chosen.price.interval !== interval) ? chosen : null;
  return (
    <Panel title="Your plan" note={<SubscriptionState status={subscription.status} />} live="polite">
      <PanelBody>
        <h3 className="mb-3">What you have</h3>
        <Facts>
          <Fact label={`${planName}, ${interval === "year" ? "yearly" : "monthly"}`} labelNote="before tax">
            {formatMoney({ amount: unitAmount, currency }, { locale })} a {interval}
          </Fact>
          <Fact label="Credits">
            {creditsInWords(credits, locale)} a {creditInterval}
          </Fact>
          <NextDate subscription={subscription} />
        </Facts>
      </PanelBody>
      {another ? (
        <PanelBody>
          <h3 className="mb-3">
            {another.plan.id === subscription.planId
              ? `Paid by the ${another.price.interval} instead`
              : `${another.plan.name} instead`}
          </h3>
          <Facts>
            <Fact
              label={`${another.plan.name}, ${another.price.interval === "year" ? "yearly" : "monthly"}`}
              labelNote="before tax"
            >
              {formatMoney({ amount: another.price.unitAmount, currency: another.price.currency }, { locale })} a{" "}
              {another.price.interval}
            </Fact>
            <Fact label="Credits">
              {creditsInWords(another.plan.credits, locale)} a {another.plan.creditInterval}
            </Fact>
          </Facts>
        </PanelBody>
      ) : null}
      <PanelBody>
        {canManage ? (
          <>
            <Button variant="primary" wide loading={opening} onClick={onPortal}>
              Manage in Stripe’s portal
            </Button>
            <p className="mt-3 text-xs text-ink-3">
              There you change the card, see invoices and end the subscription. To move to another plan, let this one
              end and subscribe to the other.
            </p>
          </>
        ) : (
          <p className="text-sm text-ink-2">
            An owner, an admin or a billing contact of {organizationName} can change the plan. Ask one of them.
          </p>
        )}
      </PanelBody>
    </Panel>
  );
}

/** What happens next with the subscription, and when. */
function NextDate({ subscription }: Pick<CurrentPlanPanelProps, "subscription">) {
  const viewer = useViewer();
  const { status, cancelsAt, trialEnd, currentPeriodEnd } = subscription;
  const date = (at: Date) => formatTime(at, viewer, { style: "date" });
  if (status === "past_due") {
    return (
      <Fact label="Last payment" note="Stripe tries again; put a working card in the portal" noteTone="danger">
        failed
      </Fact>
    );
  }
  if (cancelsAt) {
    return (
      <Fact label="Ends" note="not renewed" noteTone="warn">
        {date(cancelsAt)}
      </Fact>
    );
  }
  if (status === "paused") return <Fact label="Renewal">paused</Fact>;
  if (status === "trial" && trialEnd) {
    return (
      <Fact label="Trial ends" note="then the first payment">
        {date(trialEnd)}
      </Fact>
    );
  }
  return <Fact label="Renews">{date(currentPeriodEnd)}</Fact>;
}
