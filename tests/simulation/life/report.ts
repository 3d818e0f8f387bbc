// What a simulated year was, as text: the same for the same seed, to the byte.
import { createHash } from "node:crypto";
import type { PostCounts } from "./post";
import type { Breach } from "./truths";
import type { Settings } from "./year";

/** Names and how often each was; an object, since it travels between processes. */
export type Counts = Record<string, number>;

export interface Report {
  post: PostCounts;
  callFaults: Counts;
  crashes: number;
  reconciled: { runs: number; drift: number; repaired: number; queued: number };
  deeds: Counts;
  sentences: Counts;
  ledger: { type: string; rows: number; amount: number }[];
  subscriptions: { status: string; count: number }[];
  organizations: { number: number; kind: string; consumed: number; balance: number; granted: number; rows: number }[];
  breaches: Breach[];
}

const MOST_BREACHES = 40;
const number = (value: number): string => value.toLocaleString("en");

function counts(of: Counts): string[] {
  const sorted = Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([name, count]) => `  ${number(count).padStart(9)}  ${name}`);
}

function added<C extends Counts>(a: C, b: C): C {
  const sum: Counts = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum as C;
}

function addedRows<Row extends { type?: string; status?: string }>(a: Row[], b: Row[]): Row[] {
  const rows = new Map<string, Row>();
  for (const row of [...a, ...b]) {
    const name = row.type ?? row.status ?? "";
    const before = rows.get(name);
    const sums =
      before &&
      Object.entries(row).map(([key, value]) => [
        key,
        typeof value === "number" ? Number(before[key as keyof Row]) + value : value,
      ]);
    rows.set(name, sums ? (Object.fromEntries(sums) as Row) : row);
  }
  return [...rows.values()].sort((x, y) => ((x.type ?? x.status ?? "") < (y.type ?? y.status ?? "") ? -1 : 1));
}

/** What the parts of a year come to together. */
export function together(reports: readonly Report[]): Report {
  return reports.reduce((a, b) => ({
    post: added({ ...a.post }, { ...b.post }),
    callFaults: added(a.callFaults, b.callFaults),
    crashes: a.crashes + b.crashes,
    reconciled: added(a.reconciled, b.reconciled),
    deeds: added(a.deeds, b.deeds),
    sentences: added(a.sentences, b.sentences),
    ledger: addedRows(a.ledger, b.ledger),
    subscriptions: addedRows(a.subscriptions, b.subscriptions),
    organizations: [...a.organizations, ...b.organizations].sort((x, y) => x.number - y.number),
    breaches: [...a.breaches, ...b.breaches],
  }));
}

export function textOf(settings: Settings, report: Report): string {
  const { post, reconciled } = report;
  const lines = [
    `Seed ${settings.seed}: ${settings.organizations} organizations, ${settings.days} days, faults: ${settings.faults}`,
    "",
    `Stripe told ${number(post.told)} events: ${number(post.lost)} lost, ${number(post.copies)} copies, ${number(post.late)} late; ${number(report.crashes)} crashes between effect and mark`,
    `Reconciler: ${reconciled.runs} runs, drift ${number(reconciled.drift)}, repaired ${number(reconciled.repaired)}, for a person ${number(reconciled.queued)}`,
    "Calls that failed",
    ...counts(report.callFaults),
    "What people, services and Stripe did",
    ...counts(report.deeds),
    "What events came to",
    ...counts(report.sentences),
    "Ledger",
    ...report.ledger.map(({ type, rows, amount }) => `  ${number(rows).padStart(9)}  ${type}: ${number(amount)}`),
    "Subscriptions",
    ...report.subscriptions.map(({ status, count }) => `  ${number(count).padStart(9)}  ${status}`),
    "Organizations",
    ...report.organizations.map(
      (each) =>
        `  ${String(each.number).padStart(4)} ${each.kind.padEnd(16)} granted ${number(each.granted).padStart(9)}  consumed ${number(each.consumed).padStart(9)}  left ${number(each.balance).padStart(9)}  rows ${number(each.rows)}`,
    ),
  ];
  const fingerprint = createHash("sha256").update(lines.join("\n")).digest("hex");
  const broken = report.breaches.slice(0, MOST_BREACHES).map(({ truth, where }) => `  ✘ ${truth}: ${where}`);
  const verdict =
    report.breaches.length === 0
      ? ["Every truth holds."]
      : [
          report.breaches.length === 1 ? "1 breach:" : `${report.breaches.length} breaches:`,
          ...broken,
          "",
          `Again: npm run sim -- --days ${settings.days} --seed ${settings.seed} --faults ${settings.faults} --organizations ${settings.organizations}`,
        ];
  return [...lines, "", ...verdict, `Fingerprint ${fingerprint}`, ""].join("\n");
}
