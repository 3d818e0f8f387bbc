"use client";
// The ledger: newest first, filtered by type and search, page after page; a row opens its entry beside it.
import { keepPreviousData } from "@tanstack/react-query";
import Link from "next/link";
import { type MouseEvent, useDeferredValue, useEffect, useState } from "react";
import { formatCredits } from "~/components/billing/format";
import { ZoneNote } from "~/components/billing/local-time";
import { typeInWords } from "~/components/billing/transaction";
import { TransactionsTable, TransactionsToolbar } from "~/components/billing/transactions-table";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { cn } from "~/components/ui/cn";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { ShowOlder } from "~/components/ui/show-older";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import type { RouterOutputs } from "~/server/api/root";
import { trpc } from "../../../_trpc/react";
import type { OrganizationView } from "../_shared/organization-view";
import { type Filter, PAGE_SIZE, queryOf, searchOf, typeOf, typeOptions } from "./filter";
import { OpenTransaction } from "./open-transaction";
import { useAddress } from "./use-address";

type Transactions = RouterOutputs["credits"]["transactions"];

const TYPING_PAUSE_MS = 250;
const REFRESH_MS = 15_000;

export interface TransactionsPanelProps {
  organization: OrganizationView;
  initial: Transactions | undefined;
  initialFilter: Filter;
  now: Date;
}

export function TransactionsPanel({ organization, initial, initialFilter, now }: TransactionsPanelProps) {
  const { locale } = useViewer();
  const address = useAddress();
  const [filter, setFilter] = useState(initialFilter);
  const asked = useSettled(filter, TYPING_PAUSE_MS);
  const isInitial = asked.type === initialFilter.type && asked.search.trim() === initialFilter.search.trim();
  const { keepFilter } = address;
  useEffect(() => keepFilter(asked), [keepFilter, asked]);

  const list = trpc.credits.transactions.useInfiniteQuery(
    { organizationId: organization.id, limit: PAGE_SIZE, ...queryOf(asked) },
    {
      initialData: isInitial && initial ? { pages: [initial], pageParams: [null] } : undefined,
      getNextPageParam: (page) => page.nextCursor,
      placeholderData: keepPreviousData,
      // Once older pages are open, asking for all of them again and again would be waste.
      refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) <= 1 ? REFRESH_MS : false),
    },
  );
  const items = useDeferredValue(list.data?.pages.flatMap((page) => page.items));
  const filtered = asked.type !== "" || asked.search.trim() !== "";
  const count = formatCredits(items?.length ?? 0, { locale });

  /** Rows are links, for a new tab; a plain click opens the entry without loading the page again. */
  function openRow(event: MouseEvent<HTMLDivElement>) {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link = event.target instanceof Element ? event.target.closest("a[href*='transaction=']") : null;
    const id = link ? new URL((link as HTMLAnchorElement).href).searchParams.get("transaction") : null;
    if (!plain || !id) return;
    event.preventDefault();
    address.openTransaction(id);
  }

  return (
    <>
      <Panel
        title="Transactions"
        note={
          <>
            <ZoneNote at={now} />
            <Link href={`/${organization.slug}/billing/statement`} className="ml-4">
              Statement
            </Link>
          </>
        }
      >
        <TransactionsToolbar
          search={filter.search}
          onSearch={(search) => setFilter((before) => ({ ...before, search: searchOf(search) }))}
          searchHint="Event, reason or idempotency key"
          type={filter.type}
          onType={(type) => setFilter((before) => ({ ...before, type: typeOf(type) }))}
          types={typeOptions}
        />
        {items && items.length > 0 ? (
          <div onClickCapture={openRow} className={cn("transition-opacity", list.isPlaceholderData && "opacity-60")}>
            <TransactionsTable
              items={items.map((item) => ({
                ...item,
                label: labelOf(item),
                href: address.hrefOf(item.id),
              }))}
              now={now}
              selectedId={address.transactionId}
            />
            <ShowOlder
              shown={list.hasNextPage ? `The latest ${count}` : `All ${count}`}
              onShowOlder={list.hasNextPage ? () => list.fetchNextPage() : undefined}
              loading={list.isFetchingNextPage}
            />
          </div>
        ) : items ? (
          filtered ? (
            <EmptyState
              title="No transaction fits"
              text="Search looks at events and reasons, and for a whole idempotency key."
              action={<Button onClick={() => setFilter({ type: "", search: "" })}>Show all transactions</Button>}
            />
          ) : (
            <EmptyState
              title="Nothing has moved yet"
              text="Each credit that comes, is spent or expires stands here, for good."
            />
          )
        ) : list.isError ? (
          <ErrorState onRetry={() => list.refetch()} retrying={list.isFetching} />
        ) : (
          <Loading label="Loading transactions">
            <TableSkeleton rows={14} columns={5} tight />
          </Loading>
        )}
      </Panel>
      <OpenTransaction
        organizationId={organization.id}
        transactionId={address.transactionId}
        hrefOf={address.hrefOf}
        onClose={address.closeTransaction}
      />
    </>
  );
}

/** Reasons that say by themselves what happened. */
const SPEAKING: ReadonlySet<string> = new Set([
  "grant",
  "purchase",
  "expiry",
  "transfer",
  "refund",
  "dispute",
  "debt",
  "hold",
  "release",
]);

/** Lots name themselves; other movements say first what they are, and what a hold is for. */
export function labelOf(item: Pick<Transactions["items"][number], "type" | "reason" | "holdEventName">): string | null {
  const { type, reason, holdEventName } = item;
  if (reason?.startsWith("To ") || reason?.startsWith("From "))
    return `Transfer ${reason[0]?.toLowerCase()}${reason.slice(1)}`;
  if (reason) return SPEAKING.has(type) ? reason : `${typeInWords(type)}: ${reason}`;
  if (holdEventName === null) return null;
  return type === "consume" ? `Part of a hold, ${holdEventName}` : `${typeInWords(type)} for ${holdEventName}`;
}

/** A value once it has not changed for a while. */
function useSettled<Value>(value: Value, pauseMs: number): Value {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), pauseMs);
    return () => clearTimeout(timer);
  }, [value, pauseMs]);
  return settled;
}
