// `npm run db:migrate`: brings the database of DATABASE_URL up to date with prisma/migrations.
// `-- --rolled-back <name>` first says of a failed migration that it is cleared away and may be tried again.
import { parseArgs } from "node:util";
import "./load-env";
import { applyMigrations, MigrationError, markRolledBack } from "./schema-engine";

async function main(): Promise<number> {
  const url = process.env.DATABASE_URL;
  if (!url) {
    console.error("DATABASE_URL is not set. Set it, or put it into .env (see .env.example).");
    return 1;
  }
  const { values } = parseArgs({ options: { "rolled-back": { type: "string" } } });
  const { host, pathname } = new URL(url);
  try {
    if (values["rolled-back"]) await markRolledBack(url, values["rolled-back"]);
    const applied = await applyMigrations(url);
    for (const name of applied) console.log(`  ✔ ${name}`);
    const place = `${host}${pathname}`;
    console.log(applied.length ? `${applied.length} applied to ${place}.` : `${place} is up to date.`);
    return 0;
  } catch (error) {
    console.error(explanation(error));
    return 1;
  }
}

function explanation(error: unknown): string {
  if (!(error instanceof MigrationError) || !error.migration) return `Migrating failed: ${(error as Error).message}`;
  return [
    `Migration ${error.migration} failed; it and those after it are not applied.`,
    "",
    error.message,
    "",
    "Repair what it says, then let it be tried again:",
    `  npm run db:migrate -- --rolled-back ${error.migration}`,
  ].join("\n");
}

// Exits by itself: the engine's timers would keep an idle process for ten seconds more.
process.exit(await main());
