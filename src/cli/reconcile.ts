// `npm run reconcile [-- --since 30d] [--dry-run]`: compares Stripe with our rows, makes good what it can, and says what differed.
import { parseArgs } from "node:util";
import "./load-env";
import { BillingError } from "~/domain/errors";
import { now } from "~/server/clock";
import { disconnect } from "~/server/db";
import { runReconciliation } from "~/server/jobs/tasks/reconcile";

const USAGE = `Compares Stripe with our rows and makes good what it can.

  npm run reconcile                  since the last run
  npm run reconcile -- --since 30d   so many days (d) or hours (h) back, or since a date
  npm run reconcile -- --dry-run     only says what differs

It ends with 0 where nothing is left to do, and with 1 where something waits for a person, or was only looked at.`;

const UNIT_MS: Record<string, number> = { d: 86_400_000, h: 3_600_000 };

/** @returns undefined where it makes no sense */
function parseSince(text: string | undefined): Date | null | undefined {
  if (text === undefined) return null;
  const [, count, unit] = /^(\d{1,4})([dh])$/.exec(text) ?? [];
  if (count && unit) return new Date(now().getTime() - Number(count) * (UNIT_MS[unit] ?? 0));
  const at = new Date(text);
  return /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(at.getTime()) ? at : undefined;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      since: { type: "string" },
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const since = parseSince(values.since);
  if (values.help || since === undefined) {
    console[values.help ? "log" : "error"](USAGE);
    return values.help ? 0 : 2;
  }
  const dryRun = values["dry-run"];
  const onStage = (name: string) => console.log(`· ${name}`);
  const report = await runReconciliation({ cause: "command", since, now: now(), dryRun, onStage });
  for (const { kind, subject, message, repaired } of report.findings) {
    const outcome = dryRun ? "differs" : repaired ? "repaired" : "for a person";
    console.log(`${outcome} · ${kind} ${subject} · ${message}`);
  }
  const { checked, drift, repaired, queued } = report;
  const after = dryRun ? "nothing was written" : `${repaired} repaired, ${queued} for a person`;
  if (report.resumed) console.log("This went on with a run that had been cut off.");
  console.log(`Since ${report.since.toISOString()}: ${checked} objects compared. Drift: ${drift} (${after}).`);
  return (dryRun ? drift : queued) > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const expected = error instanceof BillingError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(expected ? (error as Error).message : error);
  process.exitCode = 2;
} finally {
  await disconnect();
}
