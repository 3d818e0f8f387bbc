"use client";
// Gifts behind links: made and cancelled here. For those who may give the organization's credits away.
import { GiftDialog, GiftsTable } from "~/components/billing/gifts-table";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface GiftsPanelProps {
  organizationId: string;
  /** Absent where they could not be read with the page. */
  initial: RouterOutputs["gifts"]["list"] | undefined;
  now: Date;
}

export function GiftsPanel({ organizationId, initial, now }: GiftsPanelProps) {
  const utils = trpc.useUtils();
  const list = trpc.gifts.list.useQuery({ organizationId }, { initialData: initial, refetchOnWindowFocus: "always" });
  const refresh = async () => {
    await utils.gifts.list.invalidate({ organizationId });
    await utils.credits.invalidate();
  };
  const create = trpc.gifts.create.useMutation({ onSettled: refresh });
  const cancel = trpc.gifts.cancel.useMutation({ onSettled: refresh });
  const { data } = list;

  return (
    <Panel
      title="Gifts"
      action={
        data && data.transferable > 0 ? (
          <GiftDialog
            transferable={data.transferable}
            onGive={(input) => create.mutateAsync({ organizationId, ...input })}
            describeError={failureWords}
          />
        ) : null
      }
    >
      {data ? (
        data.gifts.length > 0 ? (
          <GiftsTable
            gifts={data.gifts}
            now={now}
            onCancel={async (giftId) => {
              await cancel.mutateAsync({ organizationId, giftId });
              toastDone("The gift is cancelled", { description: "Its credits can be spent here again." });
            }}
            describeError={failureWords}
          />
        ) : (
          <EmptyState
            title="No gifts"
            text={
              data.transferable > 0
                ? "Give credits to another organization with a link. Until somebody claims them, they stand here."
                : "There are no credits that can be given to others: promotional and trial credits stay here."
            }
          />
        )
      ) : list.isError ? (
        <ErrorState onRetry={() => list.refetch()} retrying={list.isFetching} />
      ) : (
        <Loading label="Loading gifts">
          <TableSkeleton rows={2} columns={3} />
        </Loading>
      )}
    </Panel>
  );
}
