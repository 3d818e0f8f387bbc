// The CSV file of a bulk grant: from its text to rows that can be granted, or to what is wrong with which line. Whether its
// organizations exist is asked in `bulk-grants.ts`.
import { type CsvError, parse } from "csv-parse/sync";
import { isReadable, replaceUnreadable } from "~/domain/text";

/** `organization` and `amount` are needed; what else a file has is told, so that a mistyped column is not lost. */
const COLUMNS = ["organization", "amount", "expires_at", "reason"] as const;
type Column = (typeof COLUMNS)[number];

export const MOST_ROWS = 50_000;
const MOST_CREDITS = 1_000_000_000_000;
const MOST_REASON_LENGTH = 200;

export interface FileRow {
  /** Number of the line in the file, from 1; the last one where a row takes several. */
  line: number;
  /** Id or slug. */
  organization: string;
  amount: number;
  expiresAt: Date | null;
  reason: string | null;
}

export interface Problem {
  line: number;
  message: string;
}

interface ParsedRecord {
  record: string[];
  info: { lines: number };
}

/** Reads a file. A separator of `,`, `;` or tab; a first line that names the columns, in any order. Amounts are whole numbers. */
export function readBulkFile(text: string, now: Date): { rows: FileRow[]; problems: Problem[] } {
  let records: ParsedRecord[];
  try {
    records = parse(text, {
      bom: true,
      delimiter: separatorOf(text),
      info: true,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
    }) as unknown as ParsedRecord[];
  } catch (error) {
    const { lines = 1, message } = error as CsvError & { lines?: number };
    return { rows: [], problems: [{ line: lines, message: `The file cannot be read as CSV: ${message}` }] };
  }
  const [head, ...rest] = records;
  if (!head) return { rows: [], problems: [{ line: 1, message: "The file is empty." }] };
  const columns = head.record.map((name) => name.toLowerCase());
  const headProblems = problemsOfHead(columns);
  if (headProblems.length > 0) {
    return { rows: [], problems: headProblems.map((message) => ({ line: head.info.lines, message })) };
  }
  if (rest.length === 0) return { rows: [], problems: [{ line: head.info.lines, message: "The file has no rows." }] };
  if (rest.length > MOST_ROWS) {
    return { rows: [], problems: [{ line: head.info.lines, message: `A file has at most ${MOST_ROWS} rows.` }] };
  }
  const rows: FileRow[] = [];
  const problems: Problem[] = [];
  for (const { record, info } of rest) {
    const read = readRow(record, columns, info.lines, now);
    if (Array.isArray(read)) problems.push(...read.map((message) => ({ line: info.lines, message })));
    else rows.push(read);
  }
  return { rows, problems };
}

function separatorOf(text: string): string {
  const firstLine = text.split(/\r?\n/, 1)[0] ?? "";
  return [";", "\t"].find((separator) => firstLine.includes(separator)) ?? ",";
}

function problemsOfHead(columns: string[]): string[] {
  const known: readonly string[] = COLUMNS;
  return [
    ...columns
      .filter((name) => !known.includes(name))
      .map((name) => `There is no column "${name.slice(0, 50)}"; there are ${COLUMNS.join(", ")}.`),
    ...["organization", "amount"]
      .filter((name) => !columns.includes(name))
      .map((name) => `The column "${name}" is missing; the first line names the columns.`),
    ...columns
      .filter((name, index) => known.includes(name) && columns.indexOf(name) !== index)
      .map((name) => `The column "${name}" is there twice.`),
  ];
}

function readRow(record: string[], columns: string[], line: number, now: Date): FileRow | string[] {
  if (record.length !== columns.length) return [`It has ${record.length} values for ${columns.length} columns.`];
  const value = (name: Column) => record[columns.indexOf(name)] ?? "";
  const problems: string[] = [];
  const organization = value("organization");
  if (organization === "") problems.push("The organization is missing.");
  // Asking the database for it would fail, instead of finding nothing.
  const shown = replaceUnreadable(organization, "\uFFFD");
  if (shown !== organization) problems.push(`There is no organization "${shown.slice(0, 60)}".`);
  const amount = Number(value("amount"));
  if (!/^\d{1,15}$/.test(value("amount")) || amount < 1 || amount > MOST_CREDITS) {
    problems.push(`The amount "${value("amount").slice(0, 30)}" is no whole number of credits above 0.`);
  }
  const expiresAt = value("expires_at") === "" ? null : readInstant(value("expires_at"));
  if (expiresAt === undefined) {
    problems.push(
      `"${value("expires_at").slice(0, 40)}" is no instant: write 2027-01-31 (its beginning, UTC) or 2027-01-31T12:00:00Z.`,
    );
  } else if (expiresAt !== null && expiresAt <= now) {
    problems.push(`The expiry ${value("expires_at")} has passed.`);
  }
  const reason = value("reason") || null;
  if (reason !== null && (reason.length > MOST_REASON_LENGTH || !isReadable(reason))) {
    problems.push(`The reason is longer than ${MOST_REASON_LENGTH} characters, or more than a line.`);
  }
  if (problems.length > 0 || expiresAt === undefined) return problems;
  return { line, organization, amount, expiresAt, reason };
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

/** @returns undefined for what is no instant: February 30 too, which JavaScript would take for March 2 */
function readInstant(text: string): Date | undefined {
  if (!DAY.test(text) && !INSTANT.test(text)) return undefined;
  const at = new Date(text);
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(at.getTime()) || Number.isNaN(day.getTime())) return undefined;
  return day.toISOString().slice(0, 10) === text.slice(0, 10) ? at : undefined;
}
