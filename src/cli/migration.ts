// `npm run db:migration -- name`: writes the SQL that takes the existing migrations to what prisma/schema.prisma says.

import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { startPostgres } from "./postgres";
import { diffMigrationsToSchema, LOCK_FILE, PRISMA_DIR } from "./schema-engine";

async function main(): Promise<number> {
  const name = migrationName(process.argv.slice(2).join("_"));
  if (!name) {
    console.error("Name the migration: npm run db:migration -- add_seat_count");
    return 1;
  }
  const script = await withShadowServer(diffMigrationsToSchema);
  if (!script) {
    console.log("The migrations already lead to prisma/schema.prisma: there is nothing to write.");
    return 0;
  }
  const file = await writeMigration(name, script);
  console.log(
    `${relative(process.cwd(), file)} is written. Read it, add what Prisma cannot say, then: npm run db:migrate`,
  );
  return 0;
}

/** Lower case with underscores, as Prisma names its directories. */
function migrationName(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
}

async function writeMigration(name: string, script: string): Promise<string> {
  const timestamp = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  const migrations = join(PRISMA_DIR, "migrations");
  const directory = join(migrations, `${timestamp}_${name}`);
  await mkdir(directory, { recursive: true });
  const lockFile = join(migrations, "migration_lock.toml");
  if (!existsSync(lockFile)) await writeFile(lockFile, LOCK_FILE);
  const file = join(directory, "migration.sql");
  await writeFile(file, script.endsWith("\n") ? script : `${script}\n`);
  return file;
}

/** The migrations are played into a throw-away server, so that writing one needs no database. */
async function withShadowServer<T>(use: (url: string) => Promise<T>): Promise<T> {
  const dataDir = join(tmpdir(), `billfold-shadow-${process.pid}`);
  const logFile = join(dataDir, "..", `billfold-shadow-${process.pid}.log`);
  const server = await startPostgres({ dataDir, logFile, persistent: false, durable: false });
  try {
    return await use(server.url);
  } finally {
    await server.stop();
    await rm(logFile, { force: true });
  }
}

process.exit(
  await main().catch((error: Error) => {
    console.error(error.message);
    return 1;
  }),
);
