"use client";
// The plan on the overview, with the ways to change it for whoever may.
import Link from "next/link";
import { formatTime } from "~/components/billing/format";
import { SubscriptionPanel } from "~/components/billing/subscription-panel";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { LinkButton } from "~/components/ui/link-button";
import type { RouterOutputs } from "~/server/api/root";
import { usePortal } from "../../_shell/use-portal";
import { cardEnds, cardInWords, lastDayOf } from "../_shared/card";
import type { OrganizationView } from "../_shared/organization-view";

export interface PlanPanelProps {
  organization: OrganizationView;
  subscription: RouterOutputs["billing"]["summary"]["subscription"];
  now: Date;
}

export function PlanPanel({ organization, subscription, now }: PlanPanelProps) {
  const { locale } = useViewer();
  const portal = usePortal(organization.id);
  const plansHref = `/${organization.slug}/billing/plans`;
  const { mayManage } = organization;
  if (!subscription) {
    return (
      <SubscriptionPanel
        subscription={null}
        empty="A plan brings credits each period. Credits that were bought can be spent without one."
      >
        <LinkButton href={plansHref}>{mayManage ? "Choose a plan" : "See the plans"}</LinkButton>
      </SubscriptionPanel>
    );
  }
  const { card, status, unitAmount, currency } = subscription;
  const ended = status === "cancelled" || status === "expired";
  const expires = card ? formatTime(lastDayOf(card), { locale, timeZone: "UTC" }, { style: "date" }) : "";
  const nextCharge = subscription.nextInvoice?.at ?? subscription.currentPeriodEnd;
  return (
    <SubscriptionPanel
      subscription={{
        ...subscription,
        // "Payment failed since July" would be read as the failure's date.
        since: status === "active" || status === "trial" ? subscription.startedAt : null,
        price: { amount: unitAmount, currency },
        paymentMethod: card
          ? {
              label: cardInWords(card),
              note: cardEnds(card) <= now ? `expired ${expires}` : `expires ${expires}`,
              noteTone: cardEnds(card) <= nextCharge && !ended ? "warn" : undefined,
            }
          : null,
      }}
      action={mayManage && !ended ? <Link href={plansHref}>Change plan</Link> : null}
    >
      {mayManage ? (
        <>
          {ended ? <LinkButton href={plansHref}>Choose a plan</LinkButton> : null}
          <Button onClick={portal.open} loading={portal.opening}>
            Manage billing
          </Button>
        </>
      ) : null}
    </SubscriptionPanel>
  );
}
