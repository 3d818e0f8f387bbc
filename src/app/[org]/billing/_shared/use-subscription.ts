"use client";
// What is done to a subscription, each with all that it changes read anew before it counts as done.
import { trpc } from "../../../_trpc/react";

export function useSubscriptionActions() {
  const utils = trpc.useUtils();
  const onSettled = async () => {
    await Promise.all([utils.subscription.get.invalidate(), utils.billing.invalidate(), utils.credits.invalidate()]);
    // Not before it is known which plan there is now: a preview of that very plan would be refused.
    void utils.subscription.previewChange.invalidate();
  };
  return {
    change: trpc.subscription.change.useMutation({ onSettled }),
    undoChange: trpc.subscription.undoChange.useMutation({ onSettled }),
    cancel: trpc.subscription.cancel.useMutation({ onSettled }),
    undoCancel: trpc.subscription.undoCancel.useMutation({ onSettled }),
    pause: trpc.subscription.pause.useMutation({ onSettled }),
    resume: trpc.subscription.resume.useMutation({ onSettled }),
  };
}

export type SubscriptionActions = ReturnType<typeof useSubscriptionActions>;
