"use client";
// The event log, alive: what is stuck on top, then every event, narrowed by state, type and id.
import { keepPreviousData } from "@tanstack/react-query";
import { useSearchParams } from "next/navigation";
import { useCallback, useState } from "react";
import { EVENT_WORDS } from "~/components/billing/event";
import { EventsTable } from "~/components/billing/events-table";
import { ZoneNote } from "~/components/billing/local-time";
import { Attention, type AttentionItem } from "~/components/ui/attention";
import { Button } from "~/components/ui/button";
import { ConfirmDialog } from "~/components/ui/confirm-dialog";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Input } from "~/components/ui/input";
import { TextButton } from "~/components/ui/link-button";
import { Page, PageHead } from "~/components/ui/page";
import { Panel, Toolbar } from "~/components/ui/panel";
import { Select } from "~/components/ui/select";
import { ShowOlder } from "~/components/ui/show-older";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords, sayFailure } from "../../_trpc/failures";
import { trpc } from "../../_trpc/react";
import { addressOf, EVENT_STATUSES, EVENTS_SHOWN, type EventFilter, queryOf, statusOf } from "./filter";
import { OpenEvent } from "./open-event";

type Events = RouterOutputs["admin"]["events"]["list"];

const REFRESH_MS = 10_000;

export interface WebhooksProps {
  initialFilter: EventFilter;
  /** The first page of what it narrows to. */
  initial: Events;
  initialDead: Events;
  initialQuarantined: Events;
  /** That we listen to. */
  types: readonly string[];
  now: Date;
}

export function Webhooks({ initialFilter, initial, initialDead, initialQuarantined, types, now }: WebhooksProps) {
  const utils = trpc.useUtils();
  const openId = useSearchParams().get("event");
  const [filter, setFilter] = useState(initialFilter);
  const stuck = { refetchInterval: REFRESH_MS };
  const { data: dead } = trpc.admin.events.list.useQuery(
    { status: "dead", limit: 100 },
    { ...stuck, initialData: initialDead },
  );
  const { data: quarantined } = trpc.admin.events.list.useQuery(
    { status: "quarantined", limit: 100 },
    { ...stuck, initialData: initialQuarantined },
  );
  const list = trpc.admin.events.list.useInfiniteQuery(
    { limit: EVENTS_SHOWN, ...queryOf(filter) },
    {
      initialData: filter === initialFilter ? { pages: [initial], pageParams: [null] } : undefined,
      getNextPageParam: (page) => page.nextCursor,
      placeholderData: keepPreviousData,
      refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= 1 ? REFRESH_MS : false),
    },
  );
  const refresh = () => utils.admin.invalidate();
  const replay = trpc.admin.events.replay.useMutation({
    onSuccess: () => toastDone("The event is processed anew"),
    onError: (error) => sayFailure(error, "The event could not be replayed"),
    onSettled: refresh,
  });
  const replayMany = trpc.admin.events.replayMany.useMutation({ onSettled: refresh });
  const items = list.data?.pages.flatMap((page) => page.items);
  const narrowed = addressOf(filter, null) !== "";

  const hrefOf = useCallback((id: string) => `/admin/webhooks${addressOf(filter, id)}`, [filter]);

  function narrow(next: Partial<EventFilter>) {
    const changed = { ...filter, ...next };
    setFilter(changed);
    window.history.replaceState(null, "", `/admin/webhooks${addressOf(changed, openId)}`);
  }

  async function replayDead() {
    const { replayed, hasMore } = await replayMany.mutateAsync({ statuses: ["dead"] });
    toastDone(
      `${replayed === 1 ? "One event is" : `${replayed} events are`} processed anew`,
      hasMore ? { description: "There are more: replay again." } : {},
    );
  }

  return (
    <Page>
      <PageHead title="Webhooks" note={<ZoneNote at={now} />} />
      <Attention items={attention()} />
      <Panel title="Event log" note="newest first">
        <Toolbar>
          <Input
            type="search"
            aria-label="Event id"
            placeholder="Event id, whole"
            value={filter.id}
            onChange={(event) => narrow({ id: event.target.value })}
            className="flex-[1_1_14rem]"
          />
          <Select
            aria-label="State"
            value={filter.status}
            onChange={(event) => narrow({ status: statusOf(event.target.value) })}
          >
            <option value="">All states</option>
            {EVENT_STATUSES.map((status) => (
              <option key={status} value={status}>
                {EVENT_WORDS[status].word}
              </option>
            ))}
          </Select>
          <Select
            aria-label="Type"
            value={filter.type}
            onChange={(event) => narrow({ type: event.target.value })}
            className="sm:max-w-64"
          >
            <option value="">All types</option>
            {[...new Set([...types, ...(filter.type ? [filter.type] : [])])].map((type) => (
              <option key={type}>{type}</option>
            ))}
          </Select>
        </Toolbar>
        {items && items.length > 0 ? (
          <EventsTable
            items={items}
            selectedId={openId}
            hrefOf={hrefOf}
            onReplay={(eventId) => replay.mutate({ eventId })}
            replayingId={replay.isPending ? replay.variables.eventId : null}
          />
        ) : items ? (
          <EmptyState
            title={narrowed ? "No such events" : "No events yet"}
            text={
              narrowed
                ? "Nothing in the log is like that. Events that are done are kept for a while, not for ever."
                : "Whatever Stripe tells stands here from the first event on."
            }
            action={
              narrowed ? <Button onClick={() => narrow({ status: "", type: "", id: "" })}>Show all</Button> : undefined
            }
          />
        ) : list.isError ? (
          <ErrorState onRetry={() => list.refetch()} retrying={list.isFetching} />
        ) : (
          <Loading label="Loading events">
            <TableSkeleton rows={12} columns={6} tight />
          </Loading>
        )}
        <ShowOlder
          shown="A replay reads the object at Stripe again and makes our rows equal to it. It can be done any number of times."
          onShowOlder={list.hasNextPage ? () => list.fetchNextPage() : undefined}
          loading={list.isFetchingNextPage}
        />
      </Panel>
      <OpenEvent
        eventId={openId}
        onClose={() => window.history.replaceState(null, "", `/admin/webhooks${addressOf(filter, null)}`)}
      />
    </Page>
  );

  function attention(): AttentionItem[] {
    const found: AttentionItem[] = [];
    if (dead.items.length > 0) {
      found.push({
        id: "dead",
        level: "danger",
        title: `${countOf(dead)} dead.`,
        text: `The last: ${dead.items[0]?.outcome ?? dead.items[0]?.type}.`,
        action: (
          <span className="flex flex-wrap gap-x-4">
            <TextButton onClick={() => narrow({ status: "dead", type: "", id: "" })}>Look</TextButton>
            <ConfirmDialog
              trigger={<TextButton>Replay all dead</TextButton>}
              title="Replay all dead events"
              confirm="Replay all dead"
              cancel="Not now"
              onConfirm={replayDead}
              describeError={failureWords}
            >
              <p>
                {countOf(dead)} processed anew, oldest first. What fails again is tried as often as before, and then is
                dead again.
              </p>
            </ConfirmDialog>
          </span>
        ),
      });
    }
    if (quarantined.items.length > 0) {
      found.push({
        id: "quarantined",
        level: "warn",
        title: `${countOf(quarantined)} quarantined.`,
        text: `What is lacking has to become known first; then it goes on by itself. The last: ${quarantined.items[0]?.outcome ?? quarantined.items[0]?.type}.`,
        action: <TextButton onClick={() => narrow({ status: "quarantined", type: "", id: "" })}>Look</TextButton>,
      });
    }
    return found;
  }
}

/** "2 events are", "100 events or more are" */
function countOf({ items, nextCursor }: Events): string {
  if (nextCursor) return `${items.length} events or more are`;
  return items.length === 1 ? "One event is" : `${items.length} events are`;
}
