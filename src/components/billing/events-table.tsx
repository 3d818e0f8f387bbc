"use client";
// Stripe's events as they came, newest first; a row opens its event.
import { cn } from "../ui/cn";
import { TextButton } from "../ui/link-button";
import { State } from "../ui/state";
import { RowLink, Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { EVENT_WORDS, type EventStatus, mayReplay, tookInWords } from "./event";
import { LocalTime } from "./local-time";
import { useViewer } from "./viewer";

export interface EventRow {
  id: string;
  type: string;
  status: EventStatus;
  organization: { name: string } | null;
  attempts: number;
  /** What the handler said, or the error of the last attempt. */
  outcome: string | null;
  receivedAt: Date;
  processedAt: Date | null;
}

export interface EventsTableProps {
  items: readonly EventRow[];
  selectedId: string | null;
  hrefOf: (id: string) => string;
  onReplay: (id: string) => void;
  replayingId: string | null;
}

export function EventsTable({ items, selectedId, hrefOf, onReplay, replayingId }: EventsTableProps) {
  const { locale } = useViewer();
  return (
    <Table caption="Events of Stripe, newest first" className="table-fixed">
      <THead>
        <TH className="w-[8.5rem]">Received</TH>
        <TH className="sm:w-[27%]">Event</TH>
        <TH roomy className="w-[8rem]">
          Organization
        </TH>
        <TH wide>What it did</TH>
        <TH wide className="w-[6.5rem]">
          State
        </TH>
        <TH num roomy className="w-[4.5rem]">
          Took
        </TH>
        <TH num wide className="w-[5rem]">
          <span className="sr-only">Replay</span>
        </TH>
      </THead>
      <TBody tight>
        {items.map((item) => {
          const stuck = EVENT_WORDS[item.status].tone !== "plain" && EVENT_WORDS[item.status].tone !== "quiet";
          return (
            <TR key={item.id} linked selected={item.id === selectedId}>
              <TD className="whitespace-nowrap text-ink-3">
                <LocalTime value={item.receivedAt} show="day" /> <LocalTime value={item.receivedAt} show="seconds" />
              </TD>
              <TD>
                <RowLink
                  href={hrefOf(item.id)}
                  scroll={false}
                  current={item.id === selectedId}
                  className="block truncate max-sm:whitespace-normal max-sm:[overflow-wrap:anywhere]"
                >
                  {item.type}
                </RowLink>
                <Sub narrow>
                  <EventState item={item} /> {item.outcome ?? ""}
                </Sub>
              </TD>
              <TD roomy className="truncate text-ink-2">
                {item.organization?.name ?? (item.status === "ignored" ? "" : "unknown")}
              </TD>
              <TD wide className="truncate text-ink-2">
                <span title={item.outcome ?? undefined}>{item.outcome ?? "waits for a worker"}</span>
              </TD>
              <TD wide>
                <EventState item={item} />
              </TD>
              <TD num roomy className="text-ink-3">
                {item.processedAt ? tookInWords(item.receivedAt, item.processedAt, locale) : ""}
              </TD>
              <TD num wide>
                {stuck && mayReplay(item.status) ? (
                  <TextButton
                    className="relative z-1"
                    aria-label={`Replay ${item.id}`}
                    aria-disabled={replayingId !== null || undefined}
                    onClick={() => {
                      if (replayingId === null) onReplay(item.id);
                    }}
                  >
                    {replayingId === item.id ? "…" : "Replay"}
                  </TextButton>
                ) : null}
              </TD>
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

export function EventState({ item }: { item: Pick<EventRow, "status" | "attempts"> }) {
  const { word, tone } = EVENT_WORDS[item.status];
  return (
    <>
      <State tone={tone}>{word}</State>
      {item.attempts > 1 ? <span className={cn("text-ink-3")}> {item.attempts} tries</span> : null}
    </>
  );
}
