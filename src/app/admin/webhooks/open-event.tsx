"use client";
// The event that the address names, in its drawer, with what can be done about it.
import { useState } from "react";
import { mayIgnore, mayReplay } from "~/components/billing/event";
import { EventDrawer } from "~/components/billing/event-drawer";
import { Button } from "~/components/ui/button";
import { ConfirmDialog } from "~/components/ui/confirm-dialog";
import { Field } from "~/components/ui/field";
import { Input } from "~/components/ui/input";
import { toastDone } from "~/components/ui/toast";
import { useAlive } from "~/components/ui/use-alive";
import { failureWords, sayFailure } from "../../_trpc/failures";
import { failureOf, trpc } from "../../_trpc/react";

export interface OpenEventProps {
  /** null: none stands open. */
  eventId: string | null;
  onClose: () => void;
}

const LONGEST_REASON = 400;

export function OpenEvent({ eventId, onClose }: OpenEventProps) {
  const alive = useAlive();
  const utils = trpc.useUtils();
  const [reason, setReason] = useState("");
  const { data, error, refetch } = trpc.admin.events.get.useQuery(
    { eventId: eventId ?? "" },
    { enabled: eventId !== null, refetchInterval: 5_000 },
  );
  const onSettled = () => utils.admin.invalidate();
  const replay = trpc.admin.events.replay.useMutation({
    onSuccess: () => toastDone("The event is processed anew"),
    onError: (failed) => sayFailure(failed, "The event could not be replayed"),
    onSettled,
  });
  const ignore = trpc.admin.events.ignore.useMutation({ onSettled });
  const missing = ["NOT_FOUND", "INVALID_INPUT"].includes(failureOf(error)?.code ?? "");
  const event = data && data.id === eventId ? data : undefined;

  return (
    <EventDrawer
      openId={alive ? eventId : null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      event={event}
      error={
        error && !event
          ? missing
            ? { title: "There is no such event", text: "It may never have come, or be kept no longer." }
            : { onRetry: () => void refetch() }
          : null
      }
      actions={
        event ? (
          <>
            {mayReplay(event.status) ? (
              <Button loading={replay.isPending} onClick={() => replay.mutate({ eventId: event.id })}>
                Replay
              </Button>
            ) : null}
            {mayIgnore(event.status) ? (
              <ConfirmDialog
                trigger={<Button>Ignore</Button>}
                title="Put this event aside"
                confirm="Ignore the event"
                cancel="Not now"
                onOpenChange={() => setReason("")}
                onConfirm={async () => {
                  const why = reason.trim();
                  if (why === "") throw new ReasonMissing();
                  await ignore.mutateAsync({ eventId: event.id, reason: why });
                  toastDone("The event is put aside");
                }}
                describeError={(failed) =>
                  failed instanceof ReasonMissing ? "Say why, for whoever asks later." : failureWords(failed)
                }
              >
                <p>Nothing of what it tells will be done, and its alert is closed. It can still be replayed.</p>
                <Field label="Why" className="text-ink">
                  <Input
                    value={reason}
                    maxLength={LONGEST_REASON}
                    onChange={(change) => setReason(change.target.value)}
                  />
                </Field>
              </ConfirmDialog>
            ) : null}
          </>
        ) : null
      }
    />
  );
}

class ReasonMissing extends Error {}
