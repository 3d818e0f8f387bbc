"use client";
// What each event costs in credits, by category, and what it will cost.
import { formatCredits } from "~/components/billing/format";
import { LocalTime } from "~/components/billing/local-time";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { Sub, Table, TBody, TD, TH, THead, TR } from "~/components/ui/table";
import type { RouterOutputs } from "~/server/api/root";

const SAMPLE_CREDITS = 1_000;

type Event = RouterOutputs["creditEvents"]["list"][number];

export function RateCard({ events }: { events: readonly Event[] }) {
  const { locale } = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale });
  const rate = ({ cost, perUnits }: { cost: number; perUnits: number }) =>
    perUnits === 1 ? credits(cost) : `${credits(cost)} per ${credits(perUnits)}`;
  return (
    <Panel title="Rate card" note="what one unit costs, or as many as are said">
      {events.length === 0 ? (
        <EmptyState title="No events have a price yet" text="What a call or a job costs will stand here." />
      ) : (
        <Table caption="What each event costs, by category">
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
                <TD num>
                  {rate(event)}
                  {event.next ? (
                    <Sub>
                      {rate(event.next)} from <LocalTime value={event.next.from} show="date" />
                    </Sub>
                  ) : null}
                </TD>
                <TD num wide className="text-ink-3">
                  {credits(Math.floor((SAMPLE_CREDITS * event.perUnits) / event.cost))}
                </TD>
              </TR>
            ))}
          </TBody>
        </Table>
      )}
    </Panel>
  );
}
