// The process's connections. Prisma's transactions use them, and the statements that are worth writing by hand: each of
// those is a function of the database that takes its role itself, and is complete in one exchange.
import { AsyncLocalStorage } from "node:async_hooks";
import pg from "pg";
import { invariant } from "~/domain/errors";
import { env } from "../env";
import { log } from "../log";
import { askWhetherSession } from "./statements";

// One pool a process, also where a bundler loads this module twice.
const shared = globalThis as typeof globalThis & { billfoldPool?: pg.Pool; billfoldPipelines?: pg.Pool };

// Nobody waits for a connection without end, neither for one to be made nor for one to be free; and one that has gone silent, or has
// kept what is not so any more (a server that took no writes), does not stay for good.
const CONNECTION_TIMEOUT_MS = 15_000;
const MOST_LIFETIME_S = 15 * 60;
const settings = () => ({
  connectionString: env().DATABASE_URL,
  connectionTimeoutMillis: CONNECTION_TIMEOUT_MS,
  keepAlive: true,
  maxLifetimeSeconds: MOST_LIFETIME_S,
});

/** The pool of connections. Not for whoever holds one of them: see `holding`. */
export function database(): pg.Pool {
  requireNoneHeld();
  if (!shared.billfoldPool) {
    shared.billfoldPool = new pg.Pool({ ...settings(), max: env().DATABASE_POOL, pipeline: true });
    // A connection that breaks while nobody uses it is replaced; unheard, the event would end the process.
    shared.billfoldPool.on("error", (error) => log.warn("an idle database connection broke", { error }));
    // Whoever takes it does not wait for the answer. One that breaks meanwhile says so to whoever uses it.
    shared.billfoldPool.on("connect", (client) => void askWhetherSession(client).catch(() => {}));
  }
  return shared.billfoldPool;
}

const held = new AsyncLocalStorage<{ isOver: boolean }>();
const isChecked = process.env.NODE_ENV !== "production";

/**
 * Runs `work`, which holds a connection of the pool until it ends and may wait for no second one: as many callers as there are
 * connections would each wait for what the others hold. Outside of production it fails where it tries to, however free the pool is.
 */
export async function holding<T>(work: () => Promise<T>): Promise<T> {
  if (!isChecked) return work();
  const holder = { isOver: false };
  try {
    return await held.run(holder, work);
  } finally {
    // What it has started and not waited for may go on by itself.
    holder.isOver = true;
  }
}

/** Fails in work that holds a connection. */
export function requireNoneHeld(): void {
  const holder = held.getStore();
  invariant(
    !holder || holder.isOver,
    "whoever holds a connection waits for no other: ask before or after the transaction",
  );
}

// One for each lane of the ledger's group commit.
const PIPELINES = 2;

/**
 * Connections on which a statement may be sent before the one before it is answered. Whoever takes one keeps it while there is
 * work, so that its statements stay in order.
 */
export function pipelines(): pg.Pool {
  if (!shared.billfoldPipelines) {
    shared.billfoldPipelines = new pg.Pool({ ...settings(), max: PIPELINES, pipeline: true });
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
