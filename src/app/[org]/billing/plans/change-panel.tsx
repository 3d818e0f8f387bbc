"use client";
// Another plan than the one there is: what changing to it costs and brings, and doing it; or why that is not possible now.
import { useState } from "react";
import { formatTime } from "~/components/billing/format";
import type { Interval } from "~/components/billing/plan";
import { PlanReceiptPanel } from "~/components/billing/plan-receipt";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { failureOf, trpc } from "../../../_trpc/react";
import { InvoicePageLink } from "../_shared/payment-problem";
import type { SubscriptionActions } from "../_shared/use-subscription";
import { changeReceiptOf } from "./change-receipt";

type Subscription = NonNullable<RouterOutputs["subscription"]["get"]>;

export interface ChangePanelProps {
  organizationId: string;
  subscription: Subscription;
  target: { planId: string; name: string; interval: Interval };
  balance: RouterOutputs["credits"]["balance"];
  actions: SubscriptionActions;
  /** Once the organization has the plan. */
  onChanged: () => void;
}

// What a preview promises holds for half an hour.
const PREVIEW_AGE_MS = 20 * 60_000;

const EXPIRED =
  "Something has changed since this was shown, so nothing was done. This is what it costs and brings now.";

export function ChangePanel({ organizationId, subscription, target, balance, actions, onChanged }: ChangePanelProps) {
  const viewer = useViewer();
  const utils = trpc.useUtils();
  const choice = { organizationId, planId: target.planId, interval: target.interval };
  const [expired, setExpired] = useState(false);
  const obstacle = obstacleTo(subscription);
  const preview = trpc.subscription.previewChange.useQuery(choice, {
    enabled: obstacle === null,
    staleTime: PREVIEW_AGE_MS,
    refetchInterval: PREVIEW_AGE_MS,
    // The price on the button does not move under somebody's hand.
    refetchOnWindowFocus: false,
  });
  const title = `${subscription.planName} to ${target.name}`;

  if (obstacle) return <PlanReceiptPanel title={title} message={obstacle} />;
  if (preview.error && !preview.data) {
    return (
      <PlanReceiptPanel
        title={title}
        message={<p role="alert">{failureWords(preview.error)}</p>}
        actions={
          <Button onClick={() => preview.refetch()} loading={preview.isFetching}>
            Try again
          </Button>
        }
      />
    );
  }
  if (!preview.data || (expired && preview.isFetching)) return <PlanReceiptPanel title={title} />;

  const { token } = preview.data;
  const shown = changeReceiptOf({ preview: preview.data, subscription, target, balance, viewer });

  async function change() {
    setExpired(false);
    try {
      const outcome = await actions.change.mutateAsync({ ...choice, token });
      if (outcome.status === "payment_required") return;
      if (outcome.status === "changed") toastDone(`${target.name} is there, with its credits`);
      else toastDone(`The change to ${target.name} is scheduled`, { description: "You can take it back until then." });
      onChanged();
    } catch (error) {
      if (failureOf(error)?.code !== "CHANGE_EXPIRED") return;
      setExpired(true);
      await utils.subscription.previewChange.invalidate(choice);
    }
  }

  const failed = actions.change.error && failureOf(actions.change.error)?.code !== "CHANGE_EXPIRED";
  return (
    <PlanReceiptPanel
      receipt={shown.receipt}
      confirm={shown.confirm}
      onConfirm={change}
      confirming={actions.change.isPending}
      error={expired ? EXPIRED : failed ? failureWords(actions.change.error) : null}
      terms={shown.terms}
    />
  );

  /** What has to be done first; null where nothing has. */
  function obstacleTo({ planName, status, cancelsAt, pendingChange, scheduledChange, pastDueSince }: Subscription) {
    const day = (at: Date) => formatTime(at, viewer, { style: "longDay" });
    if (status === "past_due" || pastDueSince) {
      return "The last payment failed. Pay the open invoice first; then the plan can be changed.";
    }
    if (cancelsAt) return `${planName} ends on ${day(cancelsAt)}. Keep it first; then it can be changed.`;
    if (status === "paused") return `${planName} is paused. Resume it first; then it can be changed.`;
    const isChosen = (change: { planId: string; interval: Interval } | null) =>
      change?.planId === target.planId && change.interval === target.interval;
    if (pendingChange && isChosen(pendingChange)) {
      return (
        <WaitsForPayment subscription={subscription} until={day(pendingChange.expiresAt)} said={actions.change.data} />
      );
    }
    if (scheduledChange && isChosen(scheduledChange)) {
      return `${target.name} follows on ${day(scheduledChange.at)}. Until then everything stays as it is.`;
    }
    return null;
  }
}

/** @param said what came of the change, where it was made just now */
function WaitsForPayment(of: {
  subscription: Subscription;
  until: string;
  said: SubscriptionActions["change"]["data"];
}) {
  const { subscription, until, said } = of;
  const refused = said?.status === "payment_required" ? said : null;
  const url = refused?.paymentUrl ?? subscription.openInvoice?.url ?? null;
  return (
    <>
      {refused ? (
        <p role="alert" className="font-medium text-danger">
          {refused.message}
        </p>
      ) : null}
      <p>
        Nothing has changed and nothing was charged. {subscription.pendingChange?.planName} is there as soon as its
        invoice is paid, until {until} at the latest.
      </p>
      {url ? (
        <p>
          <InvoicePageLink url={url}>Confirm or pay on the invoice’s page</InvoicePageLink>
        </p>
      ) : null}
    </>
  );
}
