// The numbers at the end of a test run.
import { describe, expect, it } from "vitest";
import { countCheck, countVitest, summaryLines, total } from "~/cli/suite-results";

const report = (
  numbers: Partial<Record<"passed" | "failed" | "pending" | "todo", number>>,
  testResults = [] as never[],
) => ({
  numPassedTests: numbers.passed ?? 0,
  numFailedTests: numbers.failed ?? 0,
  numPendingTests: numbers.pending ?? 0,
  numTodoTests: numbers.todo ?? 0,
  testResults,
});

describe("countVitest", () => {
  it("takes passed, failed and skipped from the report", () => {
    const counts = countVitest(report({ passed: 5, failed: 2, pending: 1, todo: 1 }), 1);
    expect(counts).toEqual({ passed: 5, failed: 2, skipped: 2 });
  });
  it("counts a file that could not be loaded as one failure", () => {
    const files = [{ status: "failed", assertionResults: [] }] as unknown as never[];
    expect(countVitest(report({ passed: 3 }, files), 1)).toMatchObject({ passed: 3, failed: 1 });
  });
  it("counts a file with failed tests by its tests only", () => {
    const files = [{ status: "failed", assertionResults: [{}] }] as unknown as never[];
    expect(countVitest(report({ failed: 1 }, files), 1).failed).toBe(1);
  });
  it("counts a bad end without a failed test as one failure", () => {
    expect(countVitest(report({ passed: 3 }), 1).failed).toBe(1);
  });
  it("counts a run that left no report as one failure", () => {
    expect(countVitest(null, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
  it("counts a suite in which everything was skipped as one failure", () => {
    expect(countVitest(report({ pending: 4 }), 0)).toEqual({ passed: 0, failed: 1, skipped: 4 });
  });
  it("lets a suite be empty when only certain files were asked for", () => {
    expect(countVitest(report({}), 0, { mayBeEmpty: true }).failed).toBe(0);
  });
});

describe("the summary", () => {
  const results = [
    { name: "lint", ...countCheck(0), ms: 1234 },
    { name: "integration", passed: 10, failed: 1, skipped: 2, ms: 20_000 },
  ];
  it("adds up all suites", () => expect(total(results)).toEqual({ passed: 11, failed: 1, skipped: 2 }));
  it("has a line for each suite and ends with the total alone", () => {
    expect(summaryLines(results)).toEqual([
      "  ✔ lint         1 passed  (1.2 s)",
      "  ✘ integration  10 passed, 1 failed, 2 skipped  (20.0 s)",
      "",
      "11 passed, 1 failed",
    ]);
  });
});
