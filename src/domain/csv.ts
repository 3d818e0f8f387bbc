// Writing tables as CSV (RFC 4180) that a spreadsheet can open without doing what a cell says.

/** A cell: a number is written as it is, text so that it is only text. */
export type CsvCell = string | number | null;

// What a spreadsheet takes for a formula, also behind white space that it drops.
const FORMULA = /^\s*[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]|^\s|\s$/;

/** One line, with its end. Text that begins like a formula gets an apostrophe before it. */
export function csvLine(cells: readonly CsvCell[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

function csvCell(cell: CsvCell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  return NEEDS_QUOTES.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
