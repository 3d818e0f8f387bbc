// From rounds to a report: medians, the ratios that are asked for, and the table. Pure; what is written where is elsewhere.
import { quantile, type Round } from "./callers";
import type { Cell } from "./cells";

export type MeasuredCell = {
  title: string;
  section: string;
  callers: number;
  /** Operations in one request. */
  batch: number;
  median: Round;
  rounds: Round[];
};

/** Resident memory of the server process in MB under the heaviest cell: its highest in the first and in the last of ten equal parts. */
export type Memory = {
  atStart: number;
  afterTenTimes: number;
  operationsAtStart: number;
  operationsAfterTenTimes: number;
};

export const RATIO_NAMES = [
  "spread32",
  "spread256",
  "hot32",
  "hot256",
  "spreadVsNaive",
  "hotVsNaive",
  "p99HotVsLimit",
  "httpSingleVsNextNoop",
  "httpBatchVsNoop",
  "growthLots",
  "growthLedger",
  "growthOrganizations",
  "growthEvents",
  "pageDepth",
  "balanceRead",
] as const;
export type RatioName = (typeof RATIO_NAMES)[number];
/** null where a cell that it needs was not measured. */
export type Ratios = Record<RatioName, number | null>;

type Ratio = {
  /** The cell in whose line it is shown. */
  of: string;
  to: string;
  /** Another such pair: the lesser of the two quotients counts. */
  also?: { of: string; to: string };
  figure: "operationsPerSecond" | "p50Ms" | "p99Ms";
  wanted: { atLeast: number } | { atMost: number };
};

const RATIOS: Record<RatioName, Ratio> = {
  spread32: throughput("oursSpread32", "limitSpread32", 1.1),
  spread256: throughput("oursSpread256", "limitSpread256", 2.3),
  hot32: throughput("oursHot32", "limitHot32", 6),
  hot256: throughput("oursHot256", "limitHot256", 12),
  spreadVsNaive: throughput("oursSpread32", "naiveSpread32", 40),
  hotVsNaive: throughput("oursHot32", "naiveHot32", 70),
  p99HotVsLimit: { of: "oursHot32", to: "limitHot32", figure: "p99Ms", wanted: { atMost: 0.2 } },
  httpSingleVsNextNoop: throughput("httpSingle", "nextNoop", 2.5),
  httpBatchVsNoop: throughput("httpBatch", "doorNoopBatch", 0.6),
  growthLots: { ...throughput("lots220", "lots1", 0.85), also: { of: "lots20", to: "lots1" } },
  growthLedger: throughput("ledgerBig", "ledgerSmall", 0.85),
  growthOrganizations: throughput("organizationsBig", "organizationsSmall", 0.85),
  growthEvents: {
    ...throughput("eventsStoredMany", "eventsStoredEmpty", 0.85),
    also: { of: "eventsProcessedMany", to: "eventsProcessedEmpty" },
  },
  pageDepth: { of: "deepPage", to: "firstPage", figure: "p50Ms", wanted: { atMost: 1.3 } },
  balanceRead: { of: "balance", to: "select1", figure: "p50Ms", wanted: { atMost: 1.5 } },
};

function throughput(of: string, to: string, atLeast: number): Ratio {
  return { of, to, figure: "operationsPerSecond", wanted: { atLeast } };
}

export function measuredCell(cell: Cell, rounds: Round[]): MeasuredCell {
  const { title, section, callers } = cell;
  const batch = cell.where === "http" ? cell.batch : 1;
  return { title, section, callers, batch, median: medianRound(rounds), rounds };
}

/** The median of each figure by itself. */
function medianRound(rounds: Round[]): Round {
  const of = (figure: keyof Round) => median(rounds.map((round) => round[figure]));
  return {
    operations: of("operations"),
    operationsPerSecond: of("operationsPerSecond"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
  };
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return sorted.length % 2 ? upper : (upper + quantile(sorted, 0.5)) / 2;
}

/** Each ratio is one of medians over the rounds. */
export function ratiosOf(cells: Record<string, MeasuredCell>): Ratios {
  const ratio = ({ of, also, to, figure }: Ratio): number | null => {
    const pairs = [{ of, to }, ...(also ? [also] : [])];
    const figures = (["of", "to"] as const).map((part) => pairs.map((pair) => cells[pair[part]]?.median[figure]));
    if (figures.flat().includes(undefined)) return null;
    const [above = [], below = []] = figures as number[][];
    return round3(Math.min(...above.map((value, index) => value / (below[index] ?? Number.NaN))));
  };
  return Object.fromEntries(RATIO_NAMES.map((name) => [name, ratio(RATIOS[name])])) as Ratios;
}

const round3 = (value: number) => Math.round(value * 1000) / 1000;

/** The one table: a line a cell, with the ratios that it is the upper part of and what is wanted of them. */
export function tableOf(cells: Record<string, MeasuredCell>, ratios: Ratios): string {
  const lines: string[][] = [["", "callers", "ops/s", "slowest – fastest", "p50 ms", "p99 ms", "", ""]];
  let section = "";
  for (const [key, cell] of Object.entries(cells)) {
    if (cell.section !== section) {
      section = cell.section;
      lines.push([], [section]);
    }
    const { operationsPerSecond, p50Ms, p99Ms } = cell.median;
    const speeds = cell.rounds.map((round) => round.operationsPerSecond);
    const shown = RATIO_NAMES.filter((name) => RATIOS[name].of === key && ratios[name] !== null);
    const [first, ...more] = shown.map((name) => ratioText(name, ratios[name] as number));
    lines.push([
      `  ${cell.title}`,
      String(cell.callers),
      whole(operationsPerSecond),
      `${whole(Math.min(...speeds))} – ${whole(Math.max(...speeds))}`,
      milliseconds(p50Ms),
      milliseconds(p99Ms),
      ...(first ?? []),
    ]);
    for (const text of more) lines.push(["", "", "", "", "", "", ...text]);
  }
  return align(lines);
}

function ratioText(name: RatioName, value: number): [string, string] {
  const { wanted } = RATIOS[name];
  const reached = "atLeast" in wanted ? value >= wanted.atLeast : value <= wanted.atMost;
  const bound = "atLeast" in wanted ? `≥ ${wanted.atLeast}` : `≤ ${wanted.atMost}`;
  return [`${name} ${value.toFixed(2)}`, `${reached ? "✔" : "✘"} ${bound}`];
}

const whole = (value: number) => Math.round(value).toLocaleString("en");
const milliseconds = (value: number) => value.toFixed(value < 10 ? 2 : 1);

/** Columns as wide as their widest text: names to the left, numbers to the right. */
function align(lines: string[][]): string {
  const isNumber = (column: number) => column >= 1 && column <= 5;
  const widths: number[] = [];
  for (const line of lines) {
    // The name of a section may be wider than the column.
    if (line.length === 1) continue;
    line.forEach((text, column) => {
      widths[column] = Math.max(widths[column] ?? 0, text.length);
    });
  }
  const cell = (text: string, column: number) =>
    isNumber(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return lines.map((line) => (line.length === 1 ? line[0] : line.map(cell).join("  ").trimEnd())).join("\n");
}
