// `npm run bench`: how fast credits are consumed, compared with the least that it could cost, on this machine. Prints one
// table and writes bench.json. `-- --quick` takes a good minute instead of ten.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PLANS } from "./bench/plan";
import { tableOf } from "./bench/report";
import { Bench, type Report } from "./bench/run";
import { ROOT, STATE_DIR } from "./demo-state";
import { takeLock } from "./file-lock";
import { bold, dim, failureText, Progress } from "./progress";

const OUTPUT = join(ROOT, "bench.json");

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
  const plan = PLANS[values.quick ? "quick" : "full"];
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
  console.log(
    `\n${bold("Billfold bench")} ${dim(plan.kind === "quick" ? "quick" : "about ten minutes; -- --quick takes a good one")}\n`,
  );
  try {
    const report = await bench.run();
    await writeFile(OUTPUT, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\n${textOf(report)}\n\n${dim(`Every round is in ${OUTPUT}`)}`);
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
