// The migrations: from nothing, twice, at once, and that they lead to exactly what the schema file says.
import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, describe, expect, it } from "vitest";
import { applyMigrations, diffMigrationsToSchema, markRolledBack, PRISMA_DIR } from "~/cli/schema-engine";
import { createTestDatabase, type TestDatabase } from "../setup/database";

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ empty: true });
  cleanups.push(database.drop);
  return database;
}

/** A copy of prisma/ to which a test adds migrations of its own. */
async function copyOfPrisma(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "billfold-prisma-"));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  for (const name of ["schema.prisma", "migrations"]) {
    await cp(join(PRISMA_DIR, name), join(directory, name), { recursive: true });
  }
  return directory;
}

async function addMigration(prismaDir: string, name: string, sql: string): Promise<void> {
  const directory = join(prismaDir, "migrations", name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "migration.sql"), sql);
}

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function migrationNames(): Promise<string[]> {
  const entries = await readdir(join(PRISMA_DIR, "migrations"), { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

describe("migrations", () => {
  it("apply from zero, in order, and a second run finds nothing to do", async () => {
    const { url } = await emptyDatabase();
    expect(await applyMigrations(url)).toEqual(await migrationNames());
    expect(await applyMigrations(url)).toEqual([]);
  });

  it("leave the rows that `prisma migrate deploy` takes for applied", async () => {
    const { url } = await emptyDatabase();
    await applyMigrations(url);
    const rows = await query<{ migration_name: string; checksum: string; finished: boolean; steps: number }>(
      url,
      `SELECT migration_name, checksum, applied_steps_count AS steps,
              finished_at IS NOT NULL AND rolled_back_at IS NULL AS finished
       FROM _prisma_migrations ORDER BY started_at`,
    );
    const expected = await Promise.all(
      (await migrationNames()).map(async (name) => {
        const file = await readFile(join(PRISMA_DIR, "migrations", name, "migration.sql"));
        const checksum = createHash("sha256").update(file).digest("hex");
        return { migration_name: name, checksum, finished: true, steps: 1 };
      }),
    );
    expect(rows).toEqual(expected);
  });

  it("are applied once by callers that come at the same time", async () => {
    const { url } = await emptyDatabase();
    const runs = await Promise.all([applyMigrations(url), applyMigrations(url), applyMigrations(url)]);
    expect(runs.flat().sort()).toEqual(await migrationNames());
  });

  it("lead to exactly what prisma/schema.prisma says", async () => {
    const { url } = await emptyDatabase();
    expect(await diffMigrationsToSchema(url)).toBe("");
    const left = await query(url, "SELECT datname FROM pg_database WHERE datname LIKE 'prisma_migrate_shadow%'");
    expect(left).toEqual([]);
  });

  it("let the allowances of an invoice be found by an index, whoever they belong to", async () => {
    const { url } = await emptyDatabase();
    await applyMigrations(url);
    const indexes = await query(
      url,
      "SELECT indexname AS name FROM pg_indexes WHERE tablename = 'allowance_periods' AND indexdef LIKE '%(stripe_invoice_id)%'",
    );
    expect(indexes).toEqual([{ name: "allowances_by_invoice" }]);
  });

  it("that miss something of the schema are told apart from it", async () => {
    const { url } = await emptyDatabase();
    const prismaDir = await copyOfPrisma();
    await addMigration(prismaDir, "29990101000000_stray", "CREATE TABLE stray (id int PRIMARY KEY);");
    expect(await diffMigrationsToSchema(url, { prismaDir })).toContain('DROP TABLE "stray"');
  });

  it("that fail are named, take nothing of themselves along, and stop those after them", async () => {
    const { url } = await emptyDatabase();
    const prismaDir = await copyOfPrisma();
    await addMigration(prismaDir, "29990101000000_broken", "CREATE TABLE half (id int); SELECT nonsense;");
    await addMigration(prismaDir, "29990102000000_after", "CREATE TABLE after_broken (id int);");
    const failure = { name: "MigrationError", migration: "29990101000000_broken", message: /nonsense/ };
    await expect(applyMigrations(url, { prismaDir })).rejects.toMatchObject({
      ...failure,
      message: expect.stringMatching(failure.message),
    });
    expect(await query(url, "SELECT to_regclass('half') AS half, to_regclass('after_broken') AS after")).toEqual([
      { half: null, after: null },
    ]);
    // And again, until somebody has looked at it.
    await expect(applyMigrations(url, { prismaDir })).rejects.toMatchObject({ migration: "29990101000000_broken" });
    await addMigration(prismaDir, "29990101000000_broken", "CREATE TABLE half (id int);");
    await markRolledBack(url, "29990101000000_broken", { prismaDir });
    expect(await applyMigrations(url, { prismaDir })).toEqual(["29990101000000_broken", "29990102000000_after"]);
  });

  it("keep semicolons inside function bodies and texts", async () => {
    const { url } = await emptyDatabase();
    const prismaDir = await copyOfPrisma();
    const body = "CREATE FUNCTION said() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a;b'; END $$;";
    await addMigration(prismaDir, "29990101000000_function", `-- one; two\n${body}`);
    await applyMigrations(url, { prismaDir });
    expect(await query(url, "SELECT said()")).toEqual([{ said: "a;b" }]);
  });
});

describe("a test database", () => {
  it("is owned by a role that row-level security binds", async () => {
    const database = await createTestDatabase();
    cleanups.push(database.drop);
    const [role] = await query(
      database.url,
      `SELECT rolname AS name, rolsuper AS super, rolbypassrls AS bypass, pg_get_userbyid(datdba) AS owner
       FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`,
    );
    expect(role).toEqual({ name: "billfold", super: false, bypass: false, owner: "billfold" });
  });
});
