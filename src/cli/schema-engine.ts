// Prisma's schema engine as WebAssembly over the `pg` driver: applies migrations and computes diffs without the
// engine binary that the Prisma command line would download. Keeps the same `_prisma_migrations` table.
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
} from "@prisma/driver-adapter-utils";
import type { MigrationList, SchemaEngine, SchemasContainer } from "@prisma/schema-engine-wasm";
import pg from "pg";
import { installJobQueue } from "./job-queue";

export const PRISMA_DIR = fileURLToPath(new URL("../../prisma", import.meta.url));

/** Any number that no one else uses: the transaction lock that makes concurrent runs of ours wait for each other. */
const LOCK_KEY = 7_310_201_998;

const CHAR_OID = 18;
const TEXT_OID = 25;

export class MigrationError extends Error {
  override name = "MigrationError";
  constructor(
    message: string,
    readonly migration: string | null,
  ) {
    super(message);
  }
}

type Options = { prismaDir?: string };

/**
 * Applies the migrations that the database has not had yet, in order, as `prisma migrate deploy` would.
 * Returns the names of those applied. Concurrent callers wait; the later ones find nothing left to do.
 */
export async function applyMigrations(url: string, { prismaDir = PRISMA_DIR }: Options = {}): Promise<string[]> {
  const [migrationsList, schema] = await Promise.all([readMigrations(prismaDir), readSchema(prismaDir)]);
  return withMigrationLock(url, async () => {
    const applied = await withEngine(url, schema, async (engine) => {
      try {
        const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters: NO_FILTER });
        return appliedMigrationNames;
      } catch (error) {
        throw await explain(url, error);
      }
    });
    // Together with the tables, so that work can be asked for from the first transaction on.
    await installJobQueue(url);
    return applied;
  });
}

/** Lets a failed migration be tried again, as `prisma migrate resolve --rolled-back` does. Its row stays, as history. */
export async function markRolledBack(
  url: string,
  migrationName: string,
  { prismaDir = PRISMA_DIR }: Options = {},
): Promise<void> {
  const schema = await readSchema(prismaDir);
  await withMigrationLock(url, () =>
    withEngine(url, schema, (engine) => engine.markMigrationRolledBack({ migrationName })),
  );
}

/**
 * The SQL that would take a database with all migrations to what the schema file says; empty when they agree.
 * Needs a role that may create databases: the migrations are played into a shadow database, which is dropped again.
 */
export async function diffMigrationsToSchema(
  shadowUrl: string,
  { prismaDir = PRISMA_DIR }: Options = {},
): Promise<string> {
  const [migrationsList, schema] = await Promise.all([readMigrations(prismaDir), readSchema(prismaDir)]);
  return withEngine(shadowUrl, schema, async (engine) => {
    const from = migrationsList.migrationDirectories.length
      ? { tag: "migrations" as const, ...migrationsList }
      : { tag: "empty" as const };
    const to = { tag: "schemaDatamodel" as const, configDir: prismaDir, ...schema };
    const result = await engine.diff({ from, to, script: true, exitCode: null, filters: NO_FILTER });
    return statementsOf(result.stdout ?? "");
  });
}

const NO_FILTER = { externalTables: [], externalEnums: [] };

/** What Prisma keeps beside the migrations so that they are not played against another kind of database. */
export const LOCK_FILE = 'provider = "postgresql"\n';

/** The script, or nothing when all that it holds is comments. */
function statementsOf(script: string): string {
  const statements = script.split("\n").filter((line) => line.trim() && !line.trim().startsWith("--"));
  return statements.length ? script : "";
}

async function readMigrations(prismaDir: string): Promise<MigrationList> {
  const baseDir = resolve(prismaDir, "migrations");
  const entries = await readdir(baseDir, { withFileTypes: true }).catch(() => []);
  const names = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  const migrationDirectories = await Promise.all(
    names.map(async (path) => {
      const content = await readFile(join(baseDir, path, "migration.sql"), "utf8").then(
        (value) => ({ tag: "ok" as const, value }),
        (error: Error) => ({ tag: "error" as const, value: error.message }),
      );
      return { path, migrationFile: { path: "migration.sql", content } };
    }),
  );
  const content = await readFile(join(baseDir, "migration_lock.toml"), "utf8").catch(() => LOCK_FILE);
  return { baseDir, lockfile: { path: "migration_lock.toml", content }, shadowDbInitScript: "", migrationDirectories };
}

async function readSchema(prismaDir: string): Promise<SchemasContainer> {
  const path = join(prismaDir, "schema.prisma");
  return { files: [{ path, content: await readFile(path, "utf8") }] };
}

async function withEngine<T>(
  url: string,
  schema: SchemasContainer,
  use: (engine: SchemaEngine) => Promise<T>,
): Promise<T> {
  const { SchemaEngine } = await loadEngine();
  const adapters = new MigrationAdapterFactory(url);
  const datamodels = schema.files.map(({ path, content }): [string, string] => [path, content]);
  try {
    const engine = await SchemaEngine.new({ datamodels }, () => {}, bindMigrationAwareSqlAdapterFactory(adapters));
    return await use(engine);
  } finally {
    await adapters.close();
  }
}

// The package's script is bound to one instance of its .wasm in a process, also where this module is loaded twice.
const bound = globalThis as typeof globalThis & { prismaSchemaEngine?: Promise<{ SchemaEngine: typeof SchemaEngine }> };

/** The package imports its .wasm as a module, which Node does not do: load and bind it by hand, once. */
function loadEngine(): Promise<{ SchemaEngine: typeof SchemaEngine }> {
  bound.prismaSchemaEngine ??= (async () => {
    const background = await import("@prisma/schema-engine-wasm/schema_engine_bg");
    const script = createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm/schema_engine_bg");
    const bytes = readFileSync(script.replace(/\.js$/, ".wasm"));
    const { instance } = await WebAssembly.instantiate(bytes, {
      "./schema_engine_bg.js": background as unknown as WebAssembly.ModuleImports,
    });
    background.__wbg_set_wasm(instance.exports);
    // A panic inside the engine is told to this global first, and then thrown as a bare "unreachable".
    Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: (text: string) => console.error(text) } });
    (instance.exports.__wbindgen_start as () => void)();
    return background as unknown as { SchemaEngine: typeof SchemaEngine };
  })();
  return bound.prismaSchemaEngine;
}

/**
 * Opens the engine's connections. Differs from PrismaPg in two ways that matter here: a script is sent as it is, in one
 * piece (PrismaPg cuts it at each semicolon, also inside function bodies and texts), and the shadow database is really
 * another database (given a URL, PrismaPg would stay in the one that the URL names) and can be dropped at the end.
 */
class MigrationAdapterFactory implements SqlMigrationAwareDriverAdapterFactory {
  readonly provider = "postgres" as const;
  readonly adapterName = "@prisma/adapter-pg";
  private readonly pools: pg.Pool[] = [];

  constructor(private readonly url: string) {}

  connect(): Promise<SqlDriverAdapter> {
    return this.open(this.url);
  }

  async connectToShadowDb(): Promise<SqlDriverAdapter> {
    const name = `prisma_migrate_shadow_db_${crypto.randomUUID()}`;
    await withClient(this.url, (client) => client.query(`CREATE DATABASE "${name}"`));
    const shadowUrl = new URL(this.url);
    shadowUrl.pathname = `/${name}`;
    return this.open(shadowUrl.href, async () => {
      await withClient(this.url, (client) => client.query(`DROP DATABASE IF EXISTS "${name}"`));
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.filter((pool) => !pool.ended).map((pool) => pool.end()));
  }

  private async open(url: string, afterwards?: () => Promise<void>): Promise<SqlDriverAdapter> {
    // One connection that is never given up: the engine's own lock belongs to its session.
    const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 });
    this.pools.push(pool);
    const schema = new URL(url).searchParams.get("schema") ?? undefined;
    const adapter = await new PrismaPg(pool, { schema }).connect();
    readCatalogChars(pool, adapter);
    adapter.executeScript = async (script) => {
      await adapter.executeRaw({ sql: script, args: [], argTypes: [] });
    };
    adapter.dispose = async () => {
      if (!pool.ended) await pool.end();
      await afterwards?.();
    };
    return adapter;
  }
}

/**
 * Check constraints are described with a column of the catalogue's own one-byte type "char", which PrismaPg refuses to
 * read. It gets to see text instead, and the engine is told the real type.
 */
function readCatalogChars(pool: pg.Pool, adapter: SqlDriverAdapter): void {
  const charColumns = new WeakMap<object, number[]>();
  const query = pool.query.bind(pool) as (config: unknown) => Promise<pg.QueryResult>;
  const queryAsText = async (config: unknown) => {
    const result = await query(config);
    const indexes = (result.fields ?? []).flatMap((field, index) => (field.dataTypeID === CHAR_OID ? [index] : []));
    for (const index of indexes) Object.assign(result.fields[index] ?? {}, { dataTypeID: TEXT_OID });
    if (indexes.length) charColumns.set(result.rows, indexes);
    return result;
  };
  Object.assign(pool, { query: queryAsText });

  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (config) => {
    const result = await queryRaw(config);
    for (const index of charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

/** Waits for other migration runs. The lock is a transaction's, so it also holds behind a transaction-mode pooler. */
function withMigrationLock<T>(url: string, work: () => Promise<T>): Promise<T> {
  return withClient(url, async (client) => {
    await client.query("BEGIN");
    await client.query("SET LOCAL idle_in_transaction_session_timeout = 0");
    await client.query("SELECT pg_advisory_xact_lock($1)", [LOCK_KEY]);
    const result = await work();
    await client.query("COMMIT");
    return result;
  });
}

/** Turns the engine's error into one that names the migration and says what the database answered. */
async function explain(url: string, error: unknown): Promise<Error> {
  const failed = await withClient(url, async (client) => {
    const { rows } = await client.query<{ migration_name: string; logs: string | null }>(
      `SELECT migration_name, logs FROM _prisma_migrations
       WHERE finished_at IS NULL AND rolled_back_at IS NULL ORDER BY started_at DESC LIMIT 1`,
    );
    return rows[0];
  }).catch(() => undefined);
  const message = error instanceof Error ? error.message : String(error);
  return new MigrationError(failed?.logs?.trim() || message, failed?.migration_name ?? null);
}

async function withClient<T>(connectionString: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString });
  client.on("error", () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
