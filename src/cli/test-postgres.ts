// The throw-away PostgreSQL of a test run, with a migrated template that each test file copies.
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { removeCluster, startPostgres } from "./postgres";
import { isAlive } from "./processes";
import { applyMigrations } from "./schema-engine";

export const TEMPLATE_DATABASE = "billfold_template";
const PREFIX = "billfold-test-";

export type TestPostgres = {
  /** What the test files need to find the server. */
  env: { BILLFOLD_TEST_PG_URL: string; BILLFOLD_TEST_PG_SUPERUSER_URL: string };
  migrations: string[];
  stop(): Promise<void>;
};

/** Starts the server in a temporary directory and migrates the template database. Takes about two seconds. */
export async function startTestPostgres(): Promise<TestPostgres> {
  await removeOrphans();
  const directory = await mkdtemp(join(tmpdir(), PREFIX));
  // As root the server runs as another user, who has to get through this directory.
  await chmod(directory, 0o711);
  await writeFile(join(directory, "owner.pid"), String(process.pid));
  const server = await startPostgres({ dataDir: join(directory, "postgres"), persistent: false, durable: false });
  const stop = async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const migrations = await createTemplate(server.url);
    const env = { BILLFOLD_TEST_PG_URL: server.url, BILLFOLD_TEST_PG_SUPERUSER_URL: server.superuserUrl };
    return { env, migrations, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createTemplate(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${TEMPLATE_DATABASE}`);
    const template = new URL(url);
    template.pathname = `/${TEMPLATE_DATABASE}`;
    const applied = await applyMigrations(template.href);
    // A template with a visitor cannot be copied, so it receives none.
    await client.query(`ALTER DATABASE ${TEMPLATE_DATABASE} WITH ALLOW_CONNECTIONS false`);
    return applied;
  } finally {
    await client.end();
  }
}

/** A run that was killed leaves its server behind: end those of ours whose run is gone. */
async function removeOrphans(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const directory = join(tmpdir(), name);
    const owner = Number(await readFile(join(directory, "owner.pid"), "utf8").catch(() => Number.NaN));
    if (!owner || isAlive(owner) || (await stat(directory)).uid !== userInfo().uid) continue;
    await removeCluster(join(directory, "postgres"));
    await rm(directory, { recursive: true, force: true });
  }
}
