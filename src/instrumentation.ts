// Runs once when a server process starts: the worker lives in the web process unless it has processes of its own.

export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { env, environmentWarnings } = await import("./server/env");
  const { log } = await import("./server/log");
  for (const warning of environmentWarnings()) log.warn(warning);
  if (env().BILLFOLD_WORKER === "off") return;
  const { startWorker } = await import("./server/jobs/worker");
  // Pages and consumption do not need the worker: without it they work, and what waits is done later.
  startWorker().catch((error) => log.error("the worker did not start", { error }));
}
