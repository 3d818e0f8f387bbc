// The built app, made once for each content: the demo and the browser tests share `.next` and the note of what is in it.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { childEnv } from "./child-env";
import { ROOT, STATE_DIR } from "./demo-state";
import { takeLock } from "./file-lock";
import { type Child, lastLines, type SpawnOptions, spawnLogged } from "./processes";
import { StepError } from "./progress";

/** What the browser is told is built in, so these belong to the build and not to the start. */
export const PUBLIC_ENV = { NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY: "pk_test_billfold_sandbox" };

/**
 * How Node runs the server, as `npm start` says it, too. What a call in flight needs lives for a flush or two: with Node's usual
 * 16 MB for what is new it would be copied again and again, which costs a third of all time under load.
 */
export const SERVER_FLAGS = ["--max-semi-space-size=64", "--import", "tsx/esm"];

/** How Node starts the built app, on a port: as `npm start` does, without another process between. */
export function serveArguments(port: number): string[] {
  return [...SERVER_FLAGS, join("src", "cli", "serve.ts"), "--port", String(port)];
}

const SOURCES = [
  "src",
  "public",
  "prisma/schema.prisma",
  "package.json",
  "package-lock.json",
  "next.config.mjs",
  "next.config.ts",
  "postcss.config.mjs",
  "tsconfig.json",
];
/** Under src, but no part of the app; the generated client follows from the schema. */
const NOT_BUILT = new Set(["src/cli", "src/sandbox", "src/server/db/generated"]);

const NOTE = join(STATE_DIR, "build.json");
const LOCK = join(STATE_DIR, "build.lock");
const LOG = join(STATE_DIR, "logs", "build.log");
const TYPE_CACHE = join(ROOT, ".next", "cache", ".tsbuildinfo");
const BUILD_ID = join(ROOT, ".next", "BUILD_ID");

type Note = { hash: string; buildId: string };

/**
 * Builds the app unless `.next` already holds exactly this content. Callers that come at once wait for the first.
 * `launch` may be given to own the child process (to end it on Ctrl-C).
 */
export async function ensureBuild(
  launch: (options: SpawnOptions) => Promise<Child> = spawnLogged,
): Promise<{ built: boolean }> {
  await mkdir(STATE_DIR, { recursive: true });
  const release = await takeLock(LOCK);
  try {
    const hash = await contentHash(ROOT, SOURCES, PUBLIC_ENV);
    if (isCurrent(hash)) return { built: false };
    await build(launch);
    const note: Note = { hash, buildId: readFileSync(BUILD_ID, "utf8") };
    await writeFile(NOTE, JSON.stringify(note));
    return { built: true };
  } finally {
    await release();
  }
}

/** A hash over the content and the names of files and directories, and over some values. What is missing is left out. */
export async function contentHash(root: string, sources: string[], values: NodeJS.Dict<string> = {}): Promise<string> {
  const files = (await Promise.all(sources.map((source) => listFiles(root, source)))).flat().sort();
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`${file}\0`);
    hash.update(
      createHash("sha256")
        .update(await readFile(join(root, file)))
        .digest(),
    );
  }
  for (const name of Object.keys(values).sort()) hash.update(`${name}=${values[name]}\0`);
  return hash.digest("hex");
}

async function build(launch: (options: SpawnOptions) => Promise<Child>): Promise<void> {
  await rm(LOG, { force: true });
  // A build that breaks off must not pass for the one before.
  await rm(NOTE, { force: true });
  // TypeScript 7's incremental check keeps reporting errors of files whose imports were repaired.
  await rm(TYPE_CACHE, { force: true });
  const child = await launch({
    name: "build",
    command: process.execPath,
    args: [join("node_modules", "next", "dist", "bin", "next"), "build"],
    cwd: ROOT,
    env: childEnv({ ...BUILD_ENV, ...PUBLIC_ENV, NODE_ENV: "production" }),
    logFile: LOG,
  });
  const { code } = await child.exited;
  if (code === 0 && existsSync(BUILD_ID)) return;
  throw new StepError("The app could not be built.", {
    log: lastLines(LOG, 25),
    logFile: relative(ROOT, LOG),
    hint: "Repair what it says and try again. `npm run build` shows the same.",
  });
}

/** The build connects to nothing; these only have to be there when a module looks at its settings. */
const BUILD_ENV = {
  DATABASE_URL: "postgresql://nobody@127.0.0.1:1/none",
  STRIPE_SECRET_KEY: "sk_test_build",
  NEXTAUTH_URL: "http://localhost:3000",
  NEXTAUTH_SECRET: "only-for-the-build-and-never-used",
};

function isCurrent(hash: string): boolean {
  try {
    const note = JSON.parse(readFileSync(NOTE, "utf8")) as Note;
    // Another build by hand has another id.
    return note.hash === hash && note.buildId === readFileSync(BUILD_ID, "utf8");
  } catch {
    return false;
  }
}

async function listFiles(root: string, source: string): Promise<string[]> {
  const path = join(root, source);
  const entries = await readdir(path, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOTDIR") return null;
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (entries === null) return [source];
  const nested = await Promise.all(
    entries.map((entry) => {
      const child = `${source}/${entry.name}`.split(sep).join("/");
      if (NOT_BUILT.has(child)) return [];
      return entry.isDirectory() ? listFiles(root, child) : [child];
    }),
  );
  return nested.flat();
}
