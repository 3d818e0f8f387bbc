// The least that a tRPC call can do, behind Next's route handler: a throw-away app with one route and one procedure.
// The same transformer, the same request and answer as behind our own door (`noop-door.ts`).
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { contentHash } from "../build";
import { childEnv } from "../child-env";
import type { Children } from "../children";
import { ROOT, STATE_DIR } from "../demo-state";
import { lastLines } from "../processes";
import { StepError } from "../progress";

export const NOOP_PROCEDURE = "noop";
const NEXT = join(ROOT, "node_modules", "next", "dist", "bin", "next");

const ROUTE = `
import { initTRPC } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import superjson from "superjson";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

const t = initTRPC.create({ transformer: superjson });
const router = t.router({ ${NOOP_PROCEDURE}: t.procedure.input((input) => input).mutation(() => ({ ok: true })) });
const handler = (req) => fetchRequestHandler({ endpoint: "/api/trpc", req, router, createContext: () => ({}) });

export { handler as GET, handler as POST };
`;

/** Its own, because Turbopack would find ours beside the packages and start the worker. */
const INSTRUMENTATION = "export function register() {}\n";

/** Without the app's own headers, and with the checkout's packages. */
const CONFIG = `export default { turbopack: { root: ${JSON.stringify(ROOT)} }, outputFileTracingRoot: ${JSON.stringify(ROOT)}, poweredByHeader: false };\n`;

const DIRECTORY = join(STATE_DIR, "bench-noop-next");
/** What the last build was made of; written after it. */
const NOTE = join(DIRECTORY, "made-of");

/** Builds the app, unless it is built already, in a directory of the checkout, where it finds the packages. */
export async function ensureNoopNext(children: Children): Promise<{ built: boolean }> {
  const versions = await contentHash(ROOT, ["package-lock.json"]);
  const madeOf = createHash("sha256").update([versions, ROUTE, INSTRUMENTATION, CONFIG].join("\0")).digest("hex");
  if ((await readFile(NOTE, "utf8").catch(() => "")) === madeOf) return { built: false };
  await rm(DIRECTORY, { recursive: true, force: true });
  const route = join(DIRECTORY, "app", "api", "trpc", "[trpc]");
  await mkdir(route, { recursive: true });
  await writeFile(join(route, "route.js"), ROUTE);
  await writeFile(join(DIRECTORY, "instrumentation.js"), INSTRUMENTATION);
  await writeFile(join(DIRECTORY, "next.config.mjs"), CONFIG);
  await build(children);
  await writeFile(NOTE, madeOf);
  return { built: true };
}

async function build(children: Children): Promise<void> {
  const logFile = join(DIRECTORY, "build.log");
  const child = await children.spawn({
    name: "build of the no-op app",
    command: process.execPath,
    args: [NEXT, "build"],
    cwd: DIRECTORY,
    env: childEnv({ NODE_ENV: "production" }),
    logFile,
  });
  const { code } = await child.exited;
  if (code === 0) return;
  throw new StepError("The app with the no-op route could not be built.", {
    log: lastLines(logFile, 25),
    logFile: relative(ROOT, logFile),
  });
}

/** `next start` of the app that `ensureNoopNext` has built. */
export function noopNextCommand(port: number) {
  return {
    command: process.execPath,
    args: [NEXT, "start", "-p", String(port), "-H", "127.0.0.1"],
    cwd: DIRECTORY,
    env: childEnv({ NODE_ENV: "production" }),
  };
}
