// `npm run credits:bulk -- file.csv [--dry-run] [--source promotion|adjustment] [--reason "…"]`, or `-- --undo <id>`.
// Started again with the same file it goes on where it was, whatever ended it.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import "./load-env";
import { BillingError } from "~/domain/errors";
import {
  type BulkFile,
  continueBulkGrant,
  getBulkProgress,
  previewBulkGrant,
  startBulkGrant,
  undoBulkGrant,
} from "~/server/billing/bulk-grants";
import { now } from "~/server/clock";
import { disconnect } from "~/server/db";

const USAGE = `Grants credits to the organizations of a CSV file.

  npm run credits:bulk -- grants.csv [--dry-run] [--source promotion|adjustment] [--reason "…"]
  npm run credits:bulk -- --undo <id>

The first line names the columns: organization (id or slug), amount, and, if wanted, expires_at and reason.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      "dry-run": { type: "boolean", default: false },
      source: { type: "string", default: "promotion" },
      reason: { type: "string", default: "Bulk grant" },
      undo: { type: "string" },
    },
  });
  if (values.undo !== undefined && positionals.length === 0) return undo(values.undo);
  const [path] = positionals;
  const { source } = values;
  const isSource = source === "promotion" || source === "adjustment";
  const reason = values.reason.trim();
  if (path === undefined || positionals.length > 1 || values.undo !== undefined || !isSource || !reason) {
    console.error(USAGE);
    return 2;
  }
  if (reason.length > 200) {
    console.error("A reason has at most 200 characters.");
    return 2;
  }
  const file = { text: readFileSync(path, "utf8"), source, reason } satisfies BulkFile;
  return values["dry-run"] ? preview(file) : run(file, basename(path).slice(0, 200));
}

async function preview(file: BulkFile): Promise<number> {
  const found = await previewBulkGrant(file, now());
  for (const { line, message } of found.problems) console.log(`line ${line}: ${message}`);
  if (found.problemCount > found.problems.length) {
    console.log(`… and ${found.problemCount - found.problems.length} more.`);
  }
  console.log(
    `${found.rows} rows can be granted: ${found.credits} credits to ${found.organizations} organizations. ` +
      `${found.problemCount} problems. Nothing was granted.`,
  );
  if (found.before) console.log(`This file was given before, as ${found.before.id}: it is ${found.before.status}.`);
  return found.problemCount > 0 ? 1 : 0;
}

async function run(file: BulkFile, name: string): Promise<number> {
  const { id, status, continued } = await startBulkGrant({ file, name, actor: "command", asJob: false, now: now() });
  if (status === "done") {
    console.log(`This file was granted already, as ${id}. Nothing was granted.`);
    return 0;
  }
  console.log(`${continued ? "Going on with" : "Granting"} ${id}`);
  await carryOn(id);
  const { granted, failed, credits, failures } = await getBulkProgress(id);
  for (const { line, error } of failures) console.log(`line ${line}: ${error}`);
  console.log(
    `${granted} rows granted, ${credits} credits; ${failed} failed. To undo it: npm run credits:bulk -- --undo ${id}`,
  );
  return failed > 0 ? 1 : 0;
}

async function undo(id: string): Promise<number> {
  if (!/^[0-9a-f-]{36}$/i.test(id)) {
    console.error(USAGE);
    return 2;
  }
  await undoBulkGrant({ bulkId: id, asJob: false });
  await carryOn(id);
  const { undone, credits, takenBack, pending } = await getBulkProgress(id);
  console.log(
    `${undone} rows undone: ${takenBack} of ${credits} credits taken back; the others were spent, set aside, given on or had expired.`,
  );
  if (pending > 0) console.log(`${pending} rows were not granted, and will not be.`);
  return 0;
}

const TELL_EVERY_MS = 1000;

async function carryOn(id: string): Promise<void> {
  let told = now().getTime();
  while (await continueBulkGrant(id, now())) {
    if (now().getTime() - told < TELL_EVERY_MS) continue;
    told = now().getTime();
    const { rows, pending, granted, undone, status } = await getBulkProgress(id);
    console.log(status === "undoing" ? `  ${undone} of ${granted + undone} undone` : `  ${rows - pending} of ${rows}`);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  const expected = error instanceof BillingError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  if (error instanceof BillingError) {
    const { problems } = error.details as { problems?: { line: number; message: string }[] };
    for (const { line, message } of problems ?? []) console.error(`line ${line}: ${message}`);
  }
  console.error(expected || (error as { code?: string }).code === "ENOENT" ? (error as Error).message : error);
  process.exitCode = 1;
} finally {
  await disconnect();
}
