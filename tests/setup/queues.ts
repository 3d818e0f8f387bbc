// Several processes' worth of the group commit in one test process: each queue has its own connections and its own memory.
import pg from "pg";
import { GroupCommit } from "~/server/billing/ledger/group-commit";

const holder = globalThis as typeof globalThis & { billfoldGroupCommit?: GroupCommit };

export interface Queue {
  commit: GroupCommit;
  pool: pg.Pool;
  /** What it asked of the database since the last look, by the function that was called. */
  asked(): Record<string, number>;
  /** Makes a call of a use-case as this process would. */
  run<T>(call: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Opens a queue as a process of its own would have it. */
export function openQueue(url: string, connections = 4): Queue {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // As the app's own pool: a connection that breaks while nobody uses it is replaced.
  pool.on("error", () => {});
  let counts: Record<string, number> = {};
  const count = (text: unknown) => {
    const name = /ledger_[a-z_]+/.exec(typeof text === "string" ? text : "")?.[0];
    if (name) counts[name] = (counts[name] ?? 0) + 1;
  };
  const watched = new WeakSet<object>();
  pool.on("connect", (client) => {
    if (watched.has(client)) return;
    watched.add(client);
    const query = client.query.bind(client) as (...given: unknown[]) => unknown;
    client.query = ((...given: unknown[]) => {
      count(given[0]);
      return query(...given);
    }) as typeof client.query;
  });
  const commit = new GroupCommit(() => pool);
  return {
    commit,
    pool,
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
    close: () => pool.end(),
  };
}
