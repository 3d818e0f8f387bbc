// Lives through a year, a part of the organizations in each of a few processes, and says what it was. Ends with 1 where a truth
// is broken. Started by `npm run sim`.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startTestPostgres } from "~/cli/test-postgres";
import { plantAll } from "./bugs";
import { hurry } from "./chance-of-the-app";
import { type Report, textOf, together } from "./report";
import { liveThrough, type Settings } from "./year";

/** Always as many, whatever the machine: the report follows from the seed alone. */
const PARTS = 2;

const USAGE = `Many organizations live through a year against Stripe's stand-in, and everything that should hold is asked for.

  npm run sim                        a year of fifty organizations
  npm run sim -- --days 365 --seed 42 --organizations 50 --faults all
                                     --faults none for a world where nothing fails; the same seed is the same year
  npm run sim -- --short             ends with the first fortnight in which something is broken
  npm run sim -- --bugs [name …]     plants known bugs one by one, and tells which truth catches each (tests/simulation/bugs)
  npm run sim -- --verbose           with the app's own log`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    days: { type: "string", default: "365" },
    seed: { type: "string", default: "42" },
    organizations: { type: "string", default: "50" },
    faults: { type: "string", default: "all" },
    short: { type: "boolean", default: false },
    bugs: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    /** For the processes of the parts. */
    part: { type: "string" },
  },
});

function readSettings(): Settings | null {
  const { days, seed, organizations, faults, short } = values;
  if (!/^\d+$/.test(days) || !/^\d+$/.test(organizations) || (faults !== "all" && faults !== "none")) return null;
  return { days: Number(days), seed, organizations: Number(organizations), faults, short };
}

async function livePart(settings: Settings, number: number): Promise<number> {
  if (!values.verbose) for (const level of ["log", "warn", "error"] as const) console[level] = () => {};
  hurry();
  const report = await liveThrough(settings, { number, of: PARTS });
  await new Promise((resolve) => process.send?.(report, resolve));
  return 0;
}

/** @param isShort what the first part to have found something has found is enough */
async function liveAll(isShort: boolean): Promise<Report[]> {
  const children: ChildProcess[] = [];
  const parts = Array.from({ length: PARTS }, (_, index) => {
    const given = [...process.argv.slice(2), "--part", String(index + 1)];
    const child = fork(fileURLToPath(import.meta.url), given, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    children.push(child);
    return reportOf(child, index + 1);
  });
  const first = new Promise<Report[]>((resolve) => {
    for (const part of parts) part.then((report) => report.breaches.length > 0 && resolve([report])).catch(() => {});
  });
  const settled = Promise.allSettled(parts).then((ended) =>
    ended.map((part) => {
      if (part.status === "rejected") throw part.reason;
      return part.value;
    }),
  );
  if (!isShort) return settled;
  const reports = await Promise.race([first, settled]);
  settled.catch(() => {});
  for (const child of children) child.kill();
  return reports;
}

function reportOf(child: ChildProcess, number: number): Promise<Report> {
  return new Promise((resolve, reject) => {
    let report: Report | null = null;
    child.on("message", (message) => {
      report = message as Report;
    });
    child.once("exit", (code) => {
      if (report && code === 0) resolve(report);
      else reject(new Error(`part ${number} ended with ${code}`));
    });
  });
}

async function main(): Promise<number> {
  const settings = readSettings();
  if (!settings || values.help) {
    console[values.help ? "log" : "error"](USAGE);
    return values.help ? 0 : 2;
  }
  if (values.part) return livePart(settings, Number(values.part));
  return withPostgres(async () => {
    if (values.bugs) return (await plantAll(positionals)) ? 0 : 1;
    const report = together(await liveAll(settings.short));
    process.stdout.write(textOf(settings, report));
    return report.breaches.length === 0 ? 0 : 1;
  });
}

/** With a server of its own, or the one of whoever has started this. */
async function withPostgres(work: () => Promise<number>): Promise<number> {
  if (process.env.BILLFOLD_TEST_PG_URL) return work();
  const postgres = await startTestPostgres();
  Object.assign(process.env, postgres.env);
  try {
    return await work();
  } finally {
    await postgres.stop();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
});
process.exit();
