// The process's connections. Prisma's transactions use them, and the statements that are worth writing by hand: each of
// those is a function of the database that takes its role itself, and is complete in one exchange.
import pg from "pg";
import { env } from "../env";
import { log } from "../log";

// One pool a process, also where a bundler loads this module twice.
const shared = globalThis as typeof globalThis & { billfoldPool?: pg.Pool; billfoldPipelines?: pg.Pool };

/** The pool of connections. */
export function database(): pg.Pool {
  if (!shared.billfoldPool) {
    shared.billfoldPool = new pg.Pool({ connectionString: env().DATABASE_URL, max: env().DATABASE_POOL });
    // A connection that breaks while nobody uses it is replaced; unheard, the event would end the process.
    shared.billfoldPool.on("error", (error) => log.warn("an idle database connection broke", { error }));
  }
  return shared.billfoldPool;
}

// One for each lane of the ledger's group commit.
const PIPELINES = 2;

/**
 * Connections on which a statement may be sent before the one before it is answered. Whoever takes one keeps it while there is
 * work, so that its statements stay in order.
 */
export function pipelines(): pg.Pool {
  if (!shared.billfoldPipelines) {
    shared.billfoldPipelines = new pg.Pool({ connectionString: env().DATABASE_URL, max: PIPELINES, pipeline: true });
    shared.billfoldPipelines.on("error", (error) => log.warn("an idle database connection broke", { error }));
  }
  return shared.billfoldPipelines;
}

/** Ends the connections. */
export async function endDatabase(): Promise<void> {
  const pools = [shared.billfoldPool, shared.billfoldPipelines];
  delete shared.billfoldPool;
  delete shared.billfoldPipelines;
  await Promise.all(pools.map((pool) => pool?.end()));
}
