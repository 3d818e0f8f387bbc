"use client";
// Pausing the plan that there is.
import { dayKey, formatTime } from "~/components/billing/format";
import { PausePlanDialog } from "~/components/billing/pause-plan-dialog";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import type { SubscriptionActions } from "../_shared/use-subscription";

const DAY_MS = 86_400_000;
// The server takes 366; whoever chooses today's date of next year is within it wherever they are.
const LONGEST_DAYS = 364;

export interface PausePlanProps {
  organizationId: string;
  subscription: NonNullable<RouterOutputs["subscription"]["get"]>;
  actions: SubscriptionActions;
  now: Date;
}

export function PausePlan({ organizationId, subscription, actions, now }: PausePlanProps) {
  const viewer = useViewer();
  const { planName } = subscription;
  const dayIn = (days: number) => dayKey(new Date(now.getTime() + days * DAY_MS), viewer);
  return (
    <PausePlanDialog
      planName={planName}
      firstDay={dayIn(1)}
      lastDay={dayIn(LONGEST_DAYS)}
      onPause={async (day) => {
        // The beginning of the day in the browser, which is where it was chosen.
        const until = day === null ? null : new Date(`${day}T00:00:00`);
        const { resumesAt } = await actions.pause.mutateAsync({ organizationId, until });
        const words = resumesAt ? `until ${formatTime(resumesAt, viewer, { style: "date" })}` : "until you resume it";
        toastDone(`${planName} is paused ${words}`);
      }}
      describeError={failureWords}
      trigger={<Button>Pause</Button>}
    />
  );
}
