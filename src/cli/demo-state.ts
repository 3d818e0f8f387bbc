// What the demo remembers in `.billfold/`: keys and ports from start to start, and who runs at the moment.
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RecordedChild } from "./children";
import { startTimeOf } from "./processes";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");
export const STATE_DIR = join(ROOT, ".billfold");

/** What the seed hands back: the organization to look at, and keys to call the API with. */
export type Seed = { organizationId: string; organizationSlug: string; apiKey: string; platformApiKey: string };

/** Kept from start to start. `seed` is there once seeding has come to its end. */
export type DemoState = {
  stripeSecretKey: string;
  nextAuthSecret: string;
  sandboxPort?: number;
  smtpPort?: number;
  webhook?: { id: string; secret: string };
  seed?: Seed;
};

/** The file for other programs: where everything is, and the keys to it. */
export type DemoFile = Seed & {
  url: string;
  databaseUrl: string;
  stripeApiBase: string;
  stripeSecretKey: string;
  webhookSecret: string;
};

/** Who runs at the moment, for a second start and for cleaning up after a crash. */
export type RunRecord = { pid: number; startedAt: string | null; url: string; children: RecordedChild[] };

export const paths = {
  state: join(STATE_DIR, "state.json"),
  run: join(STATE_DIR, "run.json"),
  demo: join(STATE_DIR, "demo.json"),
  seed: join(STATE_DIR, "seed.json"),
  postgres: join(STATE_DIR, "postgres"),
  sandbox: join(STATE_DIR, "sandbox"),
  logs: join(STATE_DIR, "logs"),
};

export function newState(): DemoState {
  return {
    stripeSecretKey: `sk_test_${randomBytes(24).toString("hex")}`,
    nextAuthSecret: randomBytes(32).toString("base64url"),
  };
}

/** The kept state; null before the first start, and after one that never came to the end of its seeding. */
export function readState(file = paths.state): DemoState | null {
  const state = readJson<DemoState>(file);
  return state?.seed ? state : null;
}

export function writeState(state: DemoState, file = paths.state): void {
  writeJson(file, state, 0o600);
}

export function demoFileOf(state: DemoState, urls: Pick<DemoFile, "url" | "databaseUrl" | "stripeApiBase">): DemoFile {
  if (!state.seed || !state.webhook) throw new Error("The demo is not seeded, or its webhook is not registered.");
  const { organizationId, organizationSlug, apiKey, platformApiKey } = state.seed;
  const keys = { stripeSecretKey: state.stripeSecretKey, webhookSecret: state.webhook.secret };
  return { ...urls, ...keys, organizationId, organizationSlug, apiKey, platformApiKey };
}

/** The demo that runs, if it still is the process that was written down. */
export function isRunning(run: RunRecord | null): run is RunRecord {
  return run !== null && run.startedAt !== null && startTimeOf(run.pid) === run.startedAt;
}

export function readJson<T>(file: string): T | null {
  if (!existsSync(file)) return null;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as T;
  } catch {
    return null;
  }
}

/** Writes in one piece: whoever reads sees the old content or the new. */
export function writeJson(file: string, value: unknown, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}.tmp`;
  writeFileSync(partial, `${JSON.stringify(value, null, 2)}\n`);
  chmodSync(partial, mode);
  renameSync(partial, file);
}

/** Forgets everything but the build and the logs. The database is removed by whoever can stop it. */
export function forgetState(): void {
  for (const path of [paths.state, paths.demo, paths.seed, paths.sandbox]) {
    rmSync(path, { recursive: true, force: true });
  }
}
