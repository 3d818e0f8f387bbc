// The CSV file of a bulk grant: what is read, and that whatever is wrong is named with its line.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MOST_ROWS, readBulkFile } from "~/server/billing/bulk-grant-file";

const NOW = new Date("2026-03-10T09:30:00.000Z");
const read = (text: string) => readBulkFile(text, NOW);
const problemsOf = (text: string) => read(text).problems.map(({ line, message }) => `${line}: ${message}`);

describe("a file", () => {
  it("is read with its columns in any order, quoted or not, with the line of each row", () => {
    const text =
      'amount,Organization,reason,expires_at\r\n100,northwind,"Sorry, and thanks",2027-01-31\r\n\r\n5,halden,,2027-01-31T12:00:00+02:00\r\n';
    expect(read(text)).toEqual({
      rows: [
        {
          line: 2,
          organization: "northwind",
          amount: 100,
          expiresAt: new Date("2027-01-31T00:00:00Z"),
          reason: "Sorry, and thanks",
        },
        { line: 4, organization: "halden", amount: 5, expiresAt: new Date("2027-01-31T10:00:00Z"), reason: null },
      ],
      problems: [],
    });
  });

  it.each([
    ["semicolons, as spreadsheets in Europe write them", "organization;amount\nnorthwind;7\n"],
    ["tabs", "organization\tamount\nnorthwind\t7\n"],
    ["a mark of its encoding at the beginning", "\uFEFForganization,amount\nnorthwind,7"],
  ])("may have %s", (_name, text) => {
    expect(read(text).rows).toEqual([{ line: 2, organization: "northwind", amount: 7, expiresAt: null, reason: null }]);
  });

  it.each([
    ["", "1: The file is empty."],
    ["organization,amount\n", "1: The file has no rows."],
    ["northwind,5\n", '1: There is no column "northwind"; there are organization, amount, expires_at, reason.'],
    [
      "organization,amount,expiry\nnorthwind,5,\n",
      '1: There is no column "expiry"; there are organization, amount, expires_at, reason.',
    ],
    ["organization\nnorthwind\n", '1: The column "amount" is missing; the first line names the columns.'],
    ["organization,amount,amount\nnorthwind,5,6\n", '1: The column "amount" is there twice.'],
    ["organization,amount\nnorthwind\n", "2: It has 1 values for 2 columns."],
    ["organization,amount\n,5\n", "2: The organization is missing."],
  ])("that cannot be granted says why: %j", (text, problem) => {
    expect(problemsOf(text)).toContain(problem);
    expect(read(text).rows).toEqual([]);
  });

  it.each(["0", "-5", "1.5", "1e3", "1,000", "ten", "", "NaN", "9007199254740993", "1000000000001"])(
    "with the amount %j names the line",
    (amount) => {
      const { rows, problems } = read(`organization,amount\ngood,1\nbad,"${amount}"\n`);
      expect(rows.map((row) => row.organization)).toEqual(["good"]);
      expect(problems).toEqual([{ line: 3, message: expect.stringContaining("no whole number") }]);
    },
  );

  it.each([
    ["tomorrow", "no instant"],
    ["2027-02-30", "no instant"],
    ["31.12.2027", "no instant"],
    ["2027-01-31T12:00:00", "no instant"],
    ["2026-03-10", "has passed"],
    ["2026-03-10T09:30:00Z", "has passed"],
  ])("with the expiry %j names the line", (expiry, problem) => {
    expect(problemsOf(`organization,amount,expires_at\na,1,${expiry}\n`)).toEqual([expect.stringContaining(problem)]);
  });

  it.each(["a\0b", "a\u001Fb", "\u007F"])(
    "with the organization %j, which nothing can be called, names the line",
    (name) => {
      const { rows, problems } = read(`organization,amount\ngood,1\n${name},1\n`);
      expect(rows.map((row) => row.organization)).toEqual(["good"]);
      expect(problems).toEqual([
        { line: 3, message: expect.stringMatching(/^There is no organization "[^\p{Cc}\p{Cs}]+"\.$/u) },
      ]);
    },
  );

  it("with several bad lines names them all", () => {
    const text = "organization,amount,reason\na,0,\nb,1,\n,x,\nd,1,1,1\n";
    expect(read(text).problems.map(({ line }) => line)).toEqual([2, 4, 4, 5]);
  });

  it("beyond the limit is refused whole", () => {
    const text = `organization,amount\n${"a,1\n".repeat(MOST_ROWS + 1)}`;
    expect(read(text)).toEqual({ rows: [], problems: [{ line: 1, message: `A file has at most ${MOST_ROWS} rows.` }] });
  });

  it("of anything at all is read or refused, and each row has a line of its own", () => {
    const cell = fc.oneof(fc.string(), fc.constantFrom('"', ",", "\n", "\r\n", "a,1\n", "organization,amount\n"));
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 30 }), fc.boolean(), (parts, headed) => {
        const { rows } = read((headed ? "organization,amount\n" : "") + parts.join(""));
        expect(new Set(rows.map((row) => row.line)).size).toBe(rows.length);
        for (const row of rows) expect(Number.isSafeInteger(row.amount) && row.amount > 0).toBe(true);
      }),
    );
  });
});
