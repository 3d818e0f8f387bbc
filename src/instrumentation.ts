// Runs once when a server process starts: the worker lives in the web process unless it has processes of its own.
import type { Runner } from "graphile-worker";

/** Where the process keeps its worker: one, however often the bundler loads this, and to be found by who ends the process. */
export type WorkerHolder = typeof globalThis & { billfoldWorker?: Promise<Runner | null> };

export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { env, environmentWarnings } = await import("./server/env");
  const { log } = await import("./server/log");
  for (const warning of environmentWarnings()) log.warn(warning);
  if (env().BILLFOLD_WORKER === "off") return;
  const { startWorker } = await import("./server/jobs/worker");
  // Pages and consumption do not need the worker: without it they work, and what waits is done later.
  (globalThis as WorkerHolder).billfoldWorker ??= startWorker().catch((error) => {
    log.error("the worker did not start", { error });
    return null;
  });
}
