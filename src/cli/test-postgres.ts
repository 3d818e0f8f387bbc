// The throw-away PostgreSQL of a test run, with a migrated template that each test file copies.
import { readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { endRecorded, type RecordedChild } from "./children";
import { removeCluster, startPostgres } from "./postgres";
import { isAlive, startTimeOf } from "./processes";
import { applyMigrations } from "./schema-engine";

export const TEMPLATE_DATABASE = "billfold_template";
const PREFIX = "billfold-test-";
const CHILD_PREFIX = "child-";
const MEMORY_DISK = "/dev/shm";
/** Databases of a few files at once, and what the server has written ahead. */
const CLUSTER_BYTES = 8 * 2 ** 30;

export type TestPostgres = {
  /** What the test files need to find the server. */
  env: { BILLFOLD_TEST_PG_URL: string; BILLFOLD_TEST_PG_SUPERUSER_URL: string; BILLFOLD_TEST_RUN_DIR: string };
  migrations: string[];
  stop(): Promise<void>;
};

/** Starts the server in a temporary directory and migrates the template database. Takes about two seconds. */
export async function startTestPostgres(): Promise<TestPostgres> {
  await removeOrphans();
  const directory = await mkdtemp(join(placeForCluster(), PREFIX));
  // As root the server runs as another user, who has to get through this directory.
  await chmod(directory, 0o711);
  await writeFile(join(directory, "owner.pid"), String(process.pid));
  const server = await startPostgres({ dataDir: join(directory, "postgres"), persistent: false, durable: false });
  const stop = async () => {
    await endRunChildren(directory);
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const migrations = await createTemplate(server.url);
    const env = {
      BILLFOLD_TEST_PG_URL: server.url,
      BILLFOLD_TEST_PG_SUPERUSER_URL: server.superuserUrl,
      BILLFOLD_TEST_RUN_DIR: directory,
    };
    return { env, migrations, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where the cluster lies: in memory where there is plenty, since each test file's database is a thousand files. */
function placeForCluster(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_DISK);
    if (Math.min(bavail * bsize, process.availableMemory() / 2) >= CLUSTER_BYTES) return MEMORY_DISK;
  } catch {
    // Not every system has one.
  }
  return tmpdir();
}

/** Writes down a process that a test has started, so that the run can end it if the test could not. */
export function recordRunChild(child: { name: string; pid: number }): () => void {
  const directory = process.env.BILLFOLD_TEST_RUN_DIR;
  if (!directory) return () => {};
  const file = join(directory, `${CHILD_PREFIX}${child.pid}.json`);
  writeFileSync(file, JSON.stringify({ name: child.name, pid: child.pid, startedAt: startTimeOf(child.pid) }));
  return () => rmSync(file, { force: true });
}

async function endRunChildren(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(CHILD_PREFIX));
  const children = names.map((name) => JSON.parse(readFileSync(join(directory, name), "utf8")) as RecordedChild);
  await endRecorded(children);
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
  for (const place of [tmpdir(), MEMORY_DISK]) {
    for (const name of await readdir(place).catch(() => [])) {
      if (name.startsWith(PREFIX)) await removeIfOrphan(join(place, name));
    }
  }
}

async function removeIfOrphan(directory: string): Promise<void> {
  const owner = Number(await readFile(join(directory, "owner.pid"), "utf8").catch(() => Number.NaN));
  if (!owner || isAlive(owner) || (await stat(directory)).uid !== userInfo().uid) return;
  await endRunChildren(directory);
  await removeCluster(join(directory, "postgres"));
  await rm(directory, { recursive: true, force: true });
}
