"use client";
// What one unit of each event costs in credits, by category.
import { formatCredits } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { Sub, Table, TBody, TD, TH, THead, TR } from "~/components/ui/table";
import type { RouterOutputs } from "~/server/api/root";

const SAMPLE_CREDITS = 1_000;

export function RateCard({ events }: { events: RouterOutputs["creditEvents"]["list"] }) {
  const { locale } = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale });
  return (
    <Panel title="Rate card" note="what one unit costs">
      {events.length === 0 ? (
        <EmptyState title="No events have a price yet" text="What a call or a job costs will stand here." />
      ) : (
        <Table caption="What one unit of each event costs, by category">
          <THead>
            <TH>Event</TH>
            <TH wide>Category</TH>
            <TH num>Credits</TH>
            <TH num wide>
              {credits(SAMPLE_CREDITS)} credits buy
            </TH>
          </THead>
          <TBody>
            {events.map((event) => (
              <TR key={event.id}>
                <TH scope="row">
                  <span className="row-link">{event.name}</span>
                  {event.description ? <Sub>{event.description}</Sub> : null}
                  <Sub narrow>{event.category}</Sub>
                </TH>
                <TD wide className="text-ink-2">
                  {event.category}
                </TD>
                <TD num>{credits(event.cost)}</TD>
                <TD num wide className="text-ink-3">
                  {event.cost > 0 ? credits(Math.floor(SAMPLE_CREDITS / event.cost)) : "any number"}
                </TD>
              </TR>
            ))}
          </TBody>
        </Table>
      )}
    </Panel>
  );
}
