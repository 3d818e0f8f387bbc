"use client";
// Runs of the reconciler, what one found, and the alerts that nobody has closed.
import Link from "next/link";
import { State, type StateTone } from "../ui/state";
import { RowLink, Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatCredits } from "./format";
import { LocalTime } from "./local-time";
import { useViewer } from "./viewer";

export interface RunRow {
  id: string;
  status: "running" | "done" | "failed";
  cause: string;
  checked: number;
  drift: number;
  repaired: number;
  queued: number;
  startedAt: Date;
}

const runWords: Record<RunRow["status"], { word: string; tone: StateTone }> = {
  running: { word: "running", tone: "plain" },
  done: { word: "done", tone: "plain" },
  failed: { word: "failed", tone: "danger" },
};

export interface RunsTableProps {
  runs: readonly RunRow[];
  selectedId: string | null;
  onOpen: (id: string) => void;
}

export function RunsTable({ runs, selectedId, onOpen }: RunsTableProps) {
  const { locale } = useViewer();
  const count = (value: number) => formatCredits(value, { locale });
  return (
    <Table caption="Runs of the reconciler, newest first">
      <THead>
        <TH>Began</TH>
        <TH wide>Why</TH>
        <TH>State</TH>
        <TH num wide>
          Compared
        </TH>
        <TH num>Drift</TH>
        <TH num wide>
          Made good
        </TH>
        <TH num wide>
          For a person
        </TH>
      </THead>
      <TBody tight>
        {runs.map((run) => (
          <TR key={run.id} linked selected={run.id === selectedId}>
            <TD className="whitespace-nowrap">
              <RowLink onOpen={() => onOpen(run.id)} current={run.id === selectedId}>
                <LocalTime value={run.startedAt} show="datetime" />
              </RowLink>
              <Sub narrow>
                {causeInWords(run.cause)}, {count(run.checked)} compared
              </Sub>
            </TD>
            <TD wide className="text-ink-2">
              {causeInWords(run.cause)}
            </TD>
            <TD>
              <State tone={runWords[run.status].tone}>{runWords[run.status].word}</State>
            </TD>
            <TD num wide className="text-ink-2">
              {count(run.checked)}
            </TD>
            <TD num>{run.drift > 0 ? <b>{count(run.drift)}</b> : count(run.drift)}</TD>
            <TD num wide className="text-ink-2">
              {count(run.repaired)}
            </TD>
            <TD num wide>
              {run.queued > 0 ? <State tone="warn">{count(run.queued)}</State> : count(run.queued)}
            </TD>
          </TR>
        ))}
      </TBody>
    </Table>
  );
}

/** Who asked is an id: for whoever looks, that somebody did is enough. */
function causeInWords(cause: string): string {
  return cause.startsWith("asked for by") ? "asked for" : cause;
}

export interface FindingRow {
  id: string;
  kind: string;
  subject: string;
  message: string;
  repaired: boolean;
}

export function FindingsTable({ findings }: { findings: readonly FindingRow[] }) {
  return (
    <Table caption="What the run found, oldest first">
      <THead>
        <TH>What</TH>
        <TH wide>Object</TH>
        <TH wide>Kind</TH>
        <TH>Then</TH>
      </THead>
      <TBody>
        {findings.map((finding) => (
          <TR key={finding.id}>
            <TH scope="row" className="[overflow-wrap:anywhere]">
              {finding.message}
              <Sub narrow>{finding.subject}</Sub>
            </TH>
            <TD wide className="text-ink-2 [overflow-wrap:anywhere]">
              {finding.subject}
            </TD>
            <TD wide className="text-ink-2">
              {inWords(finding.kind)}
            </TD>
            <TD>{finding.repaired ? <State>made good</State> : <State tone="warn">for a person</State>}</TD>
          </TR>
        ))}
      </TBody>
    </Table>
  );
}

export interface AlertRow {
  id: string;
  kind: string;
  subject: string;
  message: string;
  createdAt: Date;
  organization: { name: string; slug: string } | null;
}

/** @param hrefOf the address of an event, for alerts about one */
export function AlertsTable({ alerts, hrefOf }: { alerts: readonly AlertRow[]; hrefOf: (eventId: string) => string }) {
  return (
    <Table caption="Open alerts, newest first">
      <THead>
        <TH>What</TH>
        <TH wide>Organization</TH>
        <TH wide>Object</TH>
        <TH num>Since</TH>
      </THead>
      <TBody>
        {alerts.map((alert) => (
          <TR key={alert.id}>
            <TH scope="row" className="[overflow-wrap:anywhere]">
              {alert.message}
              <Sub>{inWords(alert.kind)}</Sub>
              {alert.organization ? <Sub narrow>{alert.organization.name}</Sub> : null}
            </TH>
            <TD wide className="text-ink-2">
              {alert.organization?.name ?? "none"}
            </TD>
            <TD wide className="text-ink-2 [overflow-wrap:anywhere]">
              {alert.subject.startsWith("evt_") ? (
                <Link href={hrefOf(alert.subject)}>{alert.subject}</Link>
              ) : (
                alert.subject
              )}
            </TD>
            <TD num className="text-ink-3">
              <LocalTime value={alert.createdAt} show="day" /> <LocalTime value={alert.createdAt} show="time" />
            </TD>
          </TR>
        ))}
      </TBody>
    </Table>
  );
}

function inWords(kind: string): string {
  return kind.replaceAll("_", " ");
}
