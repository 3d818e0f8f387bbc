"use client";
// The statement, on screen and on paper. All its times are UTC, and it says so: it is kept beside others, not beside a clock.
import Link from "next/link";
import { formatCredits, formatTime, type Viewer } from "~/components/billing/format";
import { movementInWords, nameOf, typeInWords } from "~/components/billing/transaction";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { EmptyState } from "~/components/ui/empty-state";
import { Fact, Facts } from "~/components/ui/facts";
import { Field } from "~/components/ui/field";
import { Input } from "~/components/ui/input";
import { Actions, Columns, Page, PageHead, Stack } from "~/components/ui/page";
import { Panel, PanelBody } from "~/components/ui/panel";
import { ShowOlder } from "~/components/ui/show-older";
import { Sub, Table, TBody, TD, TH, THead, TR } from "~/components/ui/table";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import { instantsOf, type StatementDays } from "./range";
import { useCsv } from "./use-csv";

type Answer = RouterOutputs["credits"]["statement"];

export interface StatementProps {
  organization: { id: string; name: string; slug: string };
  days: StatementDays;
  /** Months that are offered, the present one first. */
  months: readonly StatementDays[];
  firstPage: Answer;
  limit: number;
  now: Date;
}

export function Statement({ organization, days, months, firstPage, limit, now }: StatementProps) {
  const viewer = { ...useViewer(), timeZone: "UTC" };
  const range = { organizationId: organization.id, ...instantsOf(days) };
  const entries = trpc.credits.statement.useInfiniteQuery(
    { ...range, limit },
    {
      initialData: { pages: [firstPage], pageParams: [null] },
      getNextPageParam: (page) => page.nextCursor,
      // A document does not change while it is read.
      staleTime: Number.POSITIVE_INFINITY,
    },
  );
  const csv = useCsv(range, `${organization.slug}-credits-${days.from}-to-${days.to}.csv`);
  const day = (value: string) => formatTime(new Date(value), viewer, { style: "date" });
  const path = `/${organization.slug}/billing/statement`;
  return (
    <Page>
      <PageHead
        title={`Statement, ${day(days.from)} – ${day(days.to)}`}
        actions={
          <Actions className="print:hidden">
            <Button onClick={() => void csv.download()} disabled={csv.state.step === "loading"}>
              {csv.state.step === "loading" ? progressInWords(csv.state, viewer) : "Download CSV"}
            </Button>
            <Button onClick={() => window.print()}>Print</Button>
          </Actions>
        }
      />
      <p className="mb-4 text-sm text-ink-2">
        {organization.name} · credits, whole days of UTC
        {range.to > now ? ` · as of ${formatTime(now, viewer, { style: "datetime", zone: true })}` : null}
      </p>
      {csv.state.step === "failed" ? (
        <p role="alert" className="mb-4 text-sm font-medium text-danger print:hidden">
          The file could not be loaded. Please try again.
        </p>
      ) : null}
      <Stack>
        <Range path={path} days={days} months={months} viewer={viewer} />
        <Columns split="6-6">
          <Summary answer={firstPage} viewer={viewer} />
          <ByEvent answer={firstPage} viewer={viewer} />
        </Columns>
        <Panel title="Entries" note="times in UTC">
          <Entries items={entries.data.pages.flatMap((page) => page.items)} viewer={viewer} slug={organization.slug} />
          {entries.isFetchNextPageError ? (
            <PanelBody>
              <p role="alert" className="text-sm font-medium text-danger">
                More entries could not be loaded. {failureWords(entries.error)}
              </p>
            </PanelBody>
          ) : null}
          <More entries={entries} total={firstPage.closing.seq - firstPage.opening.seq} viewer={viewer} />
        </Panel>
      </Stack>
    </Page>
  );
}

function progressInWords({ rows, total }: { rows: number; total: number }, { locale }: Viewer): string {
  if (total === 0) return "Loading…";
  return `${formatCredits(rows, { locale })} of ${formatCredits(total, { locale })} entries`;
}

/** Links and a form of the page's own address: they work before any script has come. */
function Range({
  path,
  days,
  months,
  viewer,
}: Pick<StatementProps, "days" | "months"> & { path: string; viewer: Viewer }) {
  return (
    <Panel label="Range" className="print:hidden">
      <PanelBody>
        <form action={path} className="flex flex-wrap items-end gap-3">
          <Field label="From">
            <Input type="date" name="from" required defaultValue={days.from} key={days.from} />
          </Field>
          <Field label="To">
            <Input type="date" name="to" required defaultValue={days.to} key={days.to} />
          </Field>
          <Button type="submit">Show</Button>
          <span className="flex flex-wrap gap-x-4 gap-y-2 text-sm">
            {months.map((month) => (
              <Link
                key={month.from}
                href={`${path}?${new URLSearchParams({ ...month })}`}
                className="inline-flex items-center pointer-coarse:min-h-11"
              >
                {formatTime(new Date(month.from), viewer, { style: "month" })}
              </Link>
            ))}
          </span>
        </form>
      </PanelBody>
    </Panel>
  );
}

function Summary({ answer, viewer: { locale } }: { answer: Answer; viewer: Viewer }) {
  const { opening, closing, totals } = answer;
  const moved = totals?.byType.filter((type) => type.amount !== 0) ?? [];
  return (
    <Panel title="Summary" note="credits">
      <PanelBody>
        <Facts>
          <Fact label="Opening balance">{formatCredits(opening.balance, { locale })}</Fact>
          {moved.map(({ type, rows, amount }) => (
            <Fact key={type} label={typeInWords(type)} labelNote={entriesInWords(rows, locale)}>
              {formatCredits(amount, { locale, sign: "always" })}
            </Fact>
          ))}
          <Fact label="Closing balance" total>
            {formatCredits(closing.balance, { locale })}
          </Fact>
        </Facts>
      </PanelBody>
    </Panel>
  );
}

function entriesInWords(rows: number, locale: string): string {
  return rows === 1 ? "one entry" : `${formatCredits(rows, { locale })} entries`;
}

function ByEvent({ answer: { totals }, viewer: { locale } }: { answer: Answer; viewer: Viewer }) {
  const events = totals?.byEvent ?? [];
  return (
    <Panel title="Usage by event">
      {events.length === 0 ? (
        <EmptyState title="Nothing was used" text="What is spent on each event in this range stands here." />
      ) : (
        <Table caption="Usage by event">
          <THead>
            <TH>Event</TH>
            <TH num>Units</TH>
            <TH num>Credits</TH>
          </THead>
          <TBody>
            {events.map(({ eventName, quantity, rows, amount }) => (
              <TR key={eventName ?? ""}>
                <TH scope="row">
                  {eventName ?? "Taken from holds"}
                  <Sub>{entriesInWords(rows, locale)}</Sub>
                </TH>
                <TD num>{quantity > 0 ? formatCredits(quantity, { locale }) : null}</TD>
                <TD num>{formatCredits(-amount, { locale })}</TD>
              </TR>
            ))}
          </TBody>
        </Table>
      )}
    </Panel>
  );
}

function Entries({ items, viewer, slug }: { items: readonly Answer["items"][number][]; viewer: Viewer; slug: string }) {
  const { locale } = viewer;
  if (items.length === 0) {
    return <EmptyState title="Nothing moved" text="No credits came, were spent or expired in this range." />;
  }
  return (
    <Table caption="Entries, oldest first">
      <THead>
        <TH>Entry</TH>
        <TH num>Credits</TH>
        <TH num wide>
          Balance
        </TH>
      </THead>
      <TBody tight>
        {items.map((row) => (
          <TR key={row.seq}>
            <TH scope="row">
              <Link href={`/${slug}/billing/credits?transaction=${row.id}`} className="row-link">
                {nameOf({ ...row, label: row.reason }, locale)}
              </Link>
              <Sub>
                {formatTime(row.createdAt, viewer, { style: "datetime" })} · {typeInWords(row.type)}, no.{" "}
                {formatCredits(row.seq, { locale })}
              </Sub>
            </TH>
            <TD num>{movementInWords(row, locale)}</TD>
            <TD num wide>
              {formatCredits(row.balanceAfter, { locale })}
            </TD>
          </TR>
        ))}
      </TBody>
    </Table>
  );
}

interface MoreProps {
  entries: {
    data: { pages: readonly Answer[] };
    hasNextPage: boolean;
    isFetchingNextPage: boolean;
    fetchNextPage: () => unknown;
  };
  total: number;
  viewer: Viewer;
}

function More({ entries, total, viewer: { locale } }: MoreProps) {
  const shown = entries.data.pages.reduce((sum, page) => sum + page.items.length, 0);
  if (total === 0) return null;
  const count = (value: number) => formatCredits(value, { locale });
  return (
    <ShowOlder
      shown={
        entries.hasNextPage
          ? `The first ${count(shown)} of ${count(total)}; the CSV has all of them`
          : `All ${count(shown)}`
      }
      onShowOlder={entries.hasNextPage ? () => void entries.fetchNextPage() : undefined}
      loading={entries.isFetchingNextPage}
      label="Show more"
    />
  );
}
