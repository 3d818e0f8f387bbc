// `npm run bench`: how fast credits are consumed, compared with the least that it could cost, on this machine. Prints one
// table and writes bench.json. `-- --quick` takes a good minute instead of ten; `-- --pipeline` measures only what is done with
// Stripe's events, and leaves the rest of bench.json as it was.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PLANS, type Plan, pipelineOf } from "./bench/plan";
import { tableOf } from "./bench/report";
import { Bench, type Report } from "./bench/run";
import { ROOT, readJson, STATE_DIR } from "./demo-state";
import { takeLock } from "./file-lock";
import { bold, dim, failureText, Progress } from "./progress";

const OUTPUT = join(ROOT, "bench.json");

async function main(): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({ options: { quick: flag, pipeline: flag } });
  const whole = PLANS[values.quick ? "quick" : "full"];
  const plan = values.pipeline ? pipelineOf(whole) : whole;
  await mkdir(STATE_DIR, { recursive: true });
  // Two at once would measure each other, and share a directory.
  const release = await takeLock(join(STATE_DIR, "bench.lock"));
  const progress = new Progress();
  const bench = new Bench(plan, join(STATE_DIR, "bench"), progress);
  let stopped = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      stopped = true;
      progress.silence();
      void bench.stop();
    });
  }
  console.log(`\n${bold("Billfold bench")} ${dim(durationOf(plan))}\n`);
  try {
    const text = plan.pipelineOnly ? await runPipeline(bench) : await runAll(bench);
    console.log(`\n${text}`);
    return 0;
  } catch (error) {
    // Whatever it was doing when it was told to end has failed.
    if (stopped) return 130;
    console.error(`\n${failureText(error)}`);
    return 1;
  } finally {
    await release();
  }
}

function durationOf({ kind, pipelineOnly }: Plan): string {
  if (pipelineOnly) return "Stripe's events only";
  return kind === "quick" ? "quick" : "about ten minutes; -- --quick takes a good one";
}

async function runAll(bench: Bench): Promise<string> {
  const report = await bench.run();
  return `${textOf(report)}\n\n${await save(report)}`;
}

/** Measures the part anew and puts it into what was measured before. */
async function runPipeline(bench: Bench): Promise<string> {
  const { cells, growthEvents } = await bench.runPipeline();
  const before = readJson<Report>(OUTPUT);
  const ratios = { ...before?.ratios, growthEvents } as Report["ratios"];
  const table = tableOf(cells, ratios);
  if (!before) return `${table}\n\n${dim("Nothing was written: there is no run of the whole that this is a part of")}`;
  return `${table}\n\n${await save({ ...before, ratios, cells: { ...before.cells, ...cells } })}`;
}

/** @returns where to find it */
async function save(report: Report): Promise<string> {
  await writeFile(OUTPUT, `${JSON.stringify(report, null, 2)}\n`);
  return dim(`Every round is in ${OUTPUT}`);
}

function textOf({ machine, settings, cells, ratios, rssMb, ledgers }: Report): string {
  const { rounds, measureMs, connections } = settings;
  const taken = Object.values(ledgers).reduce((sum, ledger) => sum + ledger.transactions, 0);
  return [
    dim(
      `${machine.cores} cores, Node ${machine.node}, PostgreSQL ${machine.postgres} with fsync and synchronous_commit; medians of ${rounds} rounds of ${measureMs / 1000} s, ${connections} connections`,
    ),
    "",
    tableOf(cells, ratios),
    "",
    `Server's resident memory: ${rssMb.atStart} MB at ${rssMb.operationsAtStart.toLocaleString("en")} operations, ${rssMb.afterTenTimes} MB at ${rssMb.operationsAfterTenTimes.toLocaleString("en")}`,
    `Ledgers: ${taken.toLocaleString("en")} rows; ledger, lots and balance agree in every organization, and every answered take is there`,
  ].join("\n");
}

process.exit(await main());
