"use client";
// Cancelling the plan that there is.
import { CancelPlanDialog } from "~/components/billing/cancel-plan-dialog";
import { formatTime } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { toastDone } from "~/components/ui/toast";
import type { RouterInputs, RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import type { SubscriptionActions } from "../_shared/use-subscription";

type Reason = NonNullable<RouterInputs["subscription"]["cancel"]["reason"]>;

const REASON_WORDS: Record<Reason, string> = {
  too_expensive: "It costs too much",
  missing_features: "It lacks something we need",
  switched_service: "We go on with another service",
  unused: "We do not use it enough",
  customer_service: "The support was not good enough",
  too_complex: "It is too complicated",
  low_quality: "It does not work well enough",
  other: "Another reason",
};

const REASONS = (Object.entries(REASON_WORDS) as [Reason, string][]).map(([value, label]) => ({ value, label }));

export interface CancelPlanProps {
  organizationId: string;
  subscription: NonNullable<RouterOutputs["subscription"]["get"]>;
  actions: SubscriptionActions;
}

export function CancelPlan({ organizationId, subscription, actions }: CancelPlanProps) {
  const viewer = useViewer();
  const { planName, status, currentPeriodEnd, trialEnd, interval, creditInterval } = subscription;
  const trial = status === "trial" && trialEnd !== null;
  const day = (at: Date) => formatTime(at, viewer, { style: interval === "year" ? "date" : "longDay" });
  const later = interval === "year" && creditInterval === "month" ? " and come each month until then" : "";
  return (
    <CancelPlanDialog
      planName={planName}
      endsOn={day(trial ? trialEnd : currentPeriodEnd)}
      trial={trial}
      credits={{
        period_end: `The plan’s credits stay until they expire${later}; purchased ones stay for good.`,
        now: "Credits that are there stay until they expire, and no more of the plan come; purchased ones stay for good.",
      }}
      reasons={REASONS}
      onCancel={async (request) => {
        const { endsAt } = await actions.cancel.mutateAsync({ organizationId, ...request });
        if (request.at === "now") toastDone(`${planName} has ended`);
        else toastDone(`${planName} ends on ${day(endsAt)}`, { description: "You can take it back until then." });
      }}
      describeError={failureWords}
      trigger={<Button>Cancel plan</Button>}
    />
  );
}
