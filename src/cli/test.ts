// `npm test`: every kind of test in order, with one throw-away PostgreSQL for the run, and a count at the end.
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnv } from "./child-env";
import { endGroup, spawnShown } from "./processes";
import { bold, failureText, Progress } from "./progress";
import { countCheck, countVitest, type SuiteResult, summaryLines, total } from "./suite-results";
import { startTestPostgres, type TestPostgres } from "./test-postgres";

const CHECKS = {
  lint: [["node_modules/@biomejs/biome/bin/biome", "check", "."]],
  // First the declarations that Next writes and git does not keep: without them, a fresh clone has type errors.
  types: [
    ["node_modules/next/dist/bin/next", "typegen"],
    // From nothing: what an incremental check remembers can be older than what it checks.
    ["node_modules/typescript/bin/tsc", "--noEmit", "--incremental", "false"],
  ],
} as const;
const VITEST_SUITES = ["unit", "integration", "e2e"] as const;
const NEEDS_POSTGRES = new Set<string>(["integration", "e2e"]);
const SUITES = [...Object.keys(CHECKS), ...VITEST_SUITES];
const INTERRUPTED = 130;

/** What a run has open, so that it can be closed from a signal as well as from the end. */
class Run {
  readonly results: SuiteResult[] = [];
  postgres: Promise<TestPostgres> | undefined;
  child: number | undefined;
  stopping = false;

  constructor(
    readonly reports: string,
    readonly filters: string[],
  ) {}

  async close(): Promise<void> {
    this.stopping = true;
    if (this.child) await endGroup(this.child, 5000);
    await this.postgres?.then((server) => server.stop()).catch(() => {});
    await rm(this.reports, { recursive: true, force: true });
  }
}

/** Arguments are names of suites to run (all when there is none), then paths and options for vitest. */
export function parseArguments(args: string[]): { suites: string[]; filters: string[] } {
  const firstOther = args.findIndex((arg) => !SUITES.includes(arg));
  const named = firstOther === -1 ? args : args.slice(0, firstOther);
  const filters = firstOther === -1 ? [] : args.slice(firstOther);
  const all = filters.length ? [...VITEST_SUITES] : SUITES;
  return { suites: named.length ? SUITES.filter((suite) => named.includes(suite)) : all, filters };
}

export async function main(args: string[]): Promise<number> {
  const { suites, filters } = parseArguments(args);
  const run = new Run(await mkdtemp(join(tmpdir(), "billfold-reports-")), filters);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (run.stopping) return;
      console.log("\nStopping…");
      run.close().finally(() => process.exit(INTERRUPTED));
    });
  }
  try {
    for (const suite of suites) await runSuite(run, suite);
  } catch (error) {
    if (run.stopping) return await new Promise<never>(() => {});
    console.error(`\n${failureText(error)}`);
    run.results.push({ name: "set-up", passed: 0, failed: 1, skipped: 0, ms: 0 });
  }
  await run.close();
  const { passed, failed } = total(run.results);
  if (passed + failed === 0) run.results.push({ name: "nothing matched", passed: 0, failed: 1, skipped: 0, ms: 0 });
  console.log(`\n${bold("Summary")}`);
  for (const line of summaryLines(run.results)) console.log(line);
  return total(run.results).failed ? 1 : 0;
}

async function runSuite(run: Run, suite: string): Promise<void> {
  console.log(`\n${bold(`── ${suite} ──`)}`);
  const startedAt = Date.now();
  const isCheck = suite in CHECKS;
  const counts = isCheck ? await runCheck(run, suite as keyof typeof CHECKS) : await runVitest(run, suite);
  run.results.push({ name: suite, ...counts, ms: Date.now() - startedAt });
}

async function runCheck(run: Run, name: keyof typeof CHECKS) {
  for (const command of CHECKS[name]) {
    const code = await runChild(run, [...command], {});
    if (code !== 0) return countCheck(code);
  }
  console.log("passed");
  return countCheck(0);
}

async function runVitest(run: Run, suite: string) {
  const env = NEEDS_POSTGRES.has(suite) ? (await sharedPostgres(run)).env : {};
  const report = join(run.reports, `${suite}.json`);
  const args = [
    "node_modules/vitest/vitest.mjs",
    "run",
    `--project=${suite}`,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    "--passWithNoTests",
    ...run.filters,
  ];
  const code = await runChild(run, args, env);
  const content = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : null;
  // Naming a file that only one of the suites has is no failure of the others.
  return countVitest(content, code, { mayBeEmpty: run.filters.length > 0 });
}

function sharedPostgres(run: Run): Promise<TestPostgres> {
  run.postgres ??= new Progress().step("PostgreSQL, and the template that each test file copies", async (note) => {
    const server = await startTestPostgres();
    note(`${server.migrations.length} migrations`);
    return server;
  });
  return run.postgres;
}

async function runChild(run: Run, args: string[], env: NodeJS.Dict<string>): Promise<number | null> {
  const own = Object.entries(process.env).filter(([name]) => name.startsWith("BILLFOLD_"));
  const child = await spawnShown({
    name: args[0] ?? "",
    command: process.execPath,
    args,
    env: childEnv({ ...Object.fromEntries(own), ...env }),
  });
  run.child = child.pid;
  const { code } = await child.exited;
  run.child = undefined;
  // Ended by our own stop: the stop also ends the process, and nothing more is to be counted or shown.
  if (run.stopping) await new Promise<never>(() => {});
  return code;
}
