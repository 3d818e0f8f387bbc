// Several processes' worth of the group commit in one test process: each queue has its own connections and its own memory.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { GroupCommit } from "~/server/billing/ledger/group-commit";
import type { Sql } from "./billing";

const holder = globalThis as typeof globalThis & { billfoldGroupCommit?: GroupCommit };

export interface Queue {
  commit: GroupCommit;
  pool: pg.Pool;
  /** The connections of its lanes, once they have been used. */
  lanes: readonly pg.PoolClient[];
  /** What it asked of the database since the last look, by the function that was called. */
  asked(): Record<string, number>;
  /** Makes a call of a use-case as this process would. */
  run<T>(call: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Opens a queue as a process of its own would have it. */
export function openQueue(url: string, connections = 4): Queue {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  const pipelines = new pg.Pool({ connectionString: url, max: 2, pipeline: true });
  let counts: Record<string, number> = {};
  const lanes: pg.PoolClient[] = [];
  const count = (query: unknown) => {
    const text = typeof query === "string" ? query : (query as { text?: string }).text;
    const name = /ledger_[a-z_]+/.exec(text ?? "")?.[0];
    if (name) counts[name] = (counts[name] ?? 0) + 1;
  };
  const watched = new WeakSet<object>();
  for (const each of [pool, pipelines]) {
    // As the app's own pools: a connection that breaks while nobody uses it is replaced.
    each.on("error", () => {});
    each.on("connect", (client) => {
      if (watched.has(client)) return;
      watched.add(client);
      if (each === pipelines) lanes.push(client);
      const query = client.query.bind(client) as (...given: unknown[]) => unknown;
      client.query = ((...given: unknown[]) => {
        count(given[0]);
        return query(...given);
      }) as typeof client.query;
    });
  }
  const commit = new GroupCommit(
    () => pool,
    () => pipelines,
  );
  return {
    commit,
    pool,
    lanes,
    asked() {
      const before = counts;
      counts = {};
      return before;
    },
    run(call) {
      const before = holder.billfoldGroupCommit;
      holder.billfoldGroupCommit = commit;
      try {
        // Use-cases hand their operation over before they wait for anything.
        return call();
      } finally {
        if (before) holder.billfoldGroupCommit = before;
        else delete holder.billfoldGroupCommit;
      }
    },
    close: async () => {
      await Promise.all([pool.end(), pipelines.end()]);
    },
  };
}

/** Waits until so many wait for a lock in the database. */
export async function untilWaiting(sql: Sql, count = 1): Promise<void> {
  for (;;) {
    const [row] = await sql<{ count: number }>(
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    if ((row?.count ?? 0) >= count) return;
    await sleep(2);
  }
}
