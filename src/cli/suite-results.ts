// Counting: what vitest reports as JSON, and the lines that end a test run. Pure.

export type SuiteResult = { name: string; passed: number; failed: number; skipped: number; ms: number };

type VitestReport = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { status: string; assertionResults: unknown[] }[];
};

type Counts = Omit<SuiteResult, "name" | "ms">;

/**
 * Counts a vitest run. Beside failed tests, each of these is one failure: a file that could not be loaded, a run that
 * ended badly though no test failed (an unhandled error), a run without a report, and a run in which nothing was tested.
 */
export function countVitest(report: VitestReport | null, exitCode: number | null, { mayBeEmpty = false } = {}): Counts {
  if (!report) return { passed: 0, failed: 1, skipped: 0 };
  const unloaded = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  const passed = report.numPassedTests;
  const skipped = report.numPendingTests + report.numTodoTests;
  let failed = report.numFailedTests + unloaded.length;
  if (failed === 0 && exitCode !== 0) failed = 1;
  if (failed === 0 && passed === 0 && !mayBeEmpty) failed = 1;
  return { passed, failed, skipped };
}

/** A run of a checker (linter, types): one test, passed or failed. */
export function countCheck(exitCode: number | null): Counts {
  return exitCode === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

export function total(results: SuiteResult[]): Counts {
  const sum = (key: keyof Counts) => results.reduce((count, result) => count + result[key], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

/** One line a suite, then the line `N passed, N failed` by itself. */
export function summaryLines(results: SuiteResult[]): string[] {
  const width = Math.max(...results.map((result) => result.name.length));
  const lines = results.map(({ name, passed, failed, skipped, ms }) => {
    const mark = failed ? "✘" : "✔";
    const others = [failed && `${failed} failed`, skipped && `${skipped} skipped`].filter(Boolean);
    const counts = [`${passed} passed`, ...others].join(", ");
    return `  ${mark} ${name.padEnd(width)}  ${counts}  (${(ms / 1000).toFixed(1)} s)`;
  });
  const { passed, failed } = total(results);
  return [...lines, "", `${passed} passed, ${failed} failed`];
}
