// The group commit as several processes use it on one database: exact under contention, right when what a process remembers
// has changed, and honest when connections, processes and the database itself go away in the middle.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { toCredits } from "~/domain/credits";
import { createApiKey, revokeApiKey } from "~/server/billing/api-keys";
import {
  type ConsumeRequest,
  type Consumption,
  consumeCredits,
  expireLots,
  getBalance,
  grantCredits,
} from "~/server/billing/credits";
import { setBurnOrder } from "~/server/billing/organizations";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, expectLawfulLedger, openLedger, readLedger } from "../setup/billing";
import type { CallerReport } from "../setup/ledger-caller";
import { openQueue, type Queue, untilWaiting } from "../setup/queues";
import { codeOf, createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

let keys = 0;

function take(queue: Queue, organizationId: string, change: Partial<ConsumeRequest> = {}): Promise<Consumption> {
  const idempotencyKey = `key ${++keys}`;
  const request = { organizationId, eventName: "api_call_basic", quantity: 1, idempotencyKey, actor: "test", now: NOW };
  return queue.run(() => consumeCredits({ ...request, ...change }));
}

/** Queues that the test leaves closed. */
function processes(count: number, connections = 4): Queue[] {
  return Array.from({ length: count }, () => {
    const queue = openQueue(app.database.url, connections);
    onTestFinished(() => queue.close());
    return queue;
  });
}

function oneProcess(connections = 4): Queue {
  const [queue] = processes(1, connections);
  if (!queue) throw new Error("no queue");
  return queue;
}

async function tenantWith(amount: number): Promise<string> {
  const { id } = await createTenant();
  if (amount > 0) await addLot({ organizationId: id, amount });
  return id;
}

/** A queue that has the account in its memory, and the tenant. */
async function remembering(amount = 100): Promise<{ queue: Queue; id: string }> {
  const id = await tenantWith(amount);
  const queue = oneProcess();
  await take(queue, id);
  queue.asked();
  await take(queue, id);
  expect(queue.asked(), "it does not load what it remembers").toEqual({ ledger_write: 1 });
  return { queue, id };
}

/** Holds an account's lock until it is told to let go. */
async function holdAccount(organizationId: string): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: app.database.superuserUrl });
  await client.connect();
  await client.query("BEGIN");
  await client.query("SELECT 1 FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", [organizationId]);
  const release = async () => {
    await client.query("COMMIT");
    await client.end();
  };
  return { release };
}

async function superuser(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: app.database.superuserUrl });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function consumedRows(organizationId: string): Promise<Map<string, { id: string; amount: number }>> {
  const rows = await app.sql<{ key: string; id: string; amount: number }>(
    `SELECT idempotency_key AS key, id, amount::float8 AS amount FROM credit_transactions
     WHERE organization_id = $1 AND type = 'consume' ORDER BY seq`,
    [organizationId],
  );
  return new Map(rows.map((row) => [row.key, row]));
}

async function deadlocks(): Promise<number> {
  const [row] = await app.sql<{ deadlocks: number }>(
    "SELECT deadlocks::int AS deadlocks FROM pg_stat_database WHERE datname = current_database()",
  );
  return row?.deadlocks ?? -1;
}

// ── Processes ──────────────────────────────────────────────────────────────────────────────────────────────

describe("four processes on one database", () => {
  const CALLER = fileURLToPath(new URL("../setup/ledger-caller.ts", import.meta.url));

  async function fourCallers(orders: (index: number) => { organizationId: string; keys: string[] }) {
    const children = await Promise.all(
      [0, 1, 2, 3].map(async () => {
        const env = { ...process.env, DATABASE_URL: app.database.url, DATABASE_POOL: "5" };
        const child = fork(CALLER, [], { execArgv: ["--import", "tsx"], env });
        onTestFinished(() => void child.kill("SIGKILL"));
        await once(child, "message");
        return child;
      }),
    );
    return Promise.all(
      children.map(async (child: ChildProcess, index) => {
        child.send({ eventName: "api_call_basic", ...orders(index) });
        const [reports] = await once(child, "message");
        return reports as CallerReport[];
      }),
    );
  }

  it("give 3,000 calls exactly the 1,000 credits that there are, each answer a row of the ledger", async () => {
    const id = await tenantWith(400);
    for (const amount of [1, 299, 300]) await addLot({ organizationId: id, amount });
    const before = await deadlocks();
    const reports = await fourCallers((index) => ({
      organizationId: id,
      keys: Array.from({ length: 750 }, (_, call) => `caller ${index} call ${call}`),
    }));
    const all = reports.flat();
    const answered = all.filter((report) => report.answer);
    expect(all).toHaveLength(3000);
    expect(answered).toHaveLength(1000);
    expect(new Set(all.filter((report) => !report.answer).map((report) => report.code))).toEqual(
      new Set(["INSUFFICIENT_CREDITS"]),
    );
    const ledger = await expectLawfulLedger(app.sql, id);
    expect(ledger.balance).toBe(0);
    const rows = await consumedRows(id);
    expect(rows.size).toBe(1000);
    for (const { key, answer } of answered) expect(rows.get(key)?.id).toBe(answer?.transactionId);
    // Each saw another rest: all of them, from 999 to 0.
    expect(new Set(answered.map(({ answer }) => answer?.available)).size).toBe(1000);
    expect(await deadlocks()).toBe(before);
  });

  it("that send the same 100 keys at once take each of them once and all say the same", async () => {
    const id = await tenantWith(1000);
    const same = Array.from({ length: 100 }, (_, call) => `same ${call}`);
    const reports = await fourCallers(() => ({ organizationId: id, keys: same }));
    for (const key of same) {
      const answers = reports.map((each) => each.find((report) => report.key === key)?.answer);
      expect(answers.filter((answer) => answer && !answer.replayed)).toHaveLength(1);
      expect(new Set(answers.map((answer) => JSON.stringify({ ...answer, replayed: null }))).size).toBe(1);
    }
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(900);
  });

  it("that share many organizations between them do not stand in one another's way for good", async () => {
    const tenants = await Promise.all(Array.from({ length: 12 }, () => tenantWith(50)));
    const queues = processes(4, 3);
    const before = await deadlocks();
    const calls = queues.flatMap((queue, process) =>
      tenants.flatMap((id) =>
        Array.from({ length: 20 }, (_, call) => () => take(queue, id, { idempotencyKey: `${process} ${call}` })),
      ),
    );
    const results = await Promise.allSettled(calls.sort(() => Math.random() - 0.5).map((call) => call()));
    expect(outcomes(results)).toEqual({ ok: 12 * 50, INSUFFICIENT_CREDITS: 12 * 30 });
    for (const id of tenants) expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
    expect(await deadlocks()).toBe(before);
  });
});

// ── A member that cannot be written ────────────────────────────────────────────────────────────────────────

describe("a call that the database cannot store", () => {
  it.each<[string, Partial<ConsumeRequest>]>([
    ["a key with a NUL", { idempotencyKey: "a\u0000b" }],
    ["metadata with a NUL", { metadata: { text: "a\u0000b" } }],
    ["an API key that is no id", { apiKeyId: "none" }],
    ["a project with a NUL", { project: "a\u0000b" }],
  ])(
    "(%s) fails by itself: those that came with it, of its organization and of others, are answered",
    async (_, wrong) => {
      const [mine, other] = [await tenantWith(100), await tenantWith(100)];
      const queue = oneProcess();
      // Once on accounts that are not known yet, and once on those that are remembered.
      for (const round of [1, 2]) {
        const good = [mine, other].flatMap((id) => Array.from({ length: 10 }, () => take(queue, id)));
        const bad = take(queue, mine, wrong).catch((error: unknown) => error);
        const more = Array.from({ length: 5 }, () => take(queue, mine));
        expect(await bad).toBeInstanceOf(Error);
        expect(await Promise.all([...good, ...more])).toHaveLength(25);
        expect((await expectLawfulLedger(app.sql, mine)).balance).toBe(100 - 15 * round);
        expect((await expectLawfulLedger(app.sql, other)).balance).toBe(100 - 10 * round);
      }
    },
  );
});

// ── Two flushes at once ────────────────────────────────────────────────────────────────────────────────────

describe("a flush that was decided on what the one before it would have written", () => {
  /** Enough for two flushes, the second of which is sent while the first one waits. */
  const CALLS = 100;

  it("is not accepted where somebody else has changed the account instead", async () => {
    const { queue, id } = await remembering(1000);
    const client = await superuser();
    await client.query("BEGIN");
    // As revoking a key or setting a budget does: it is another account then, and no row tells of it.
    await client.query("UPDATE credit_accounts SET version = version + 1 WHERE organization_id = $1", [id]);
    queue.asked();
    const calls = Array.from({ length: CALLS }, () => take(queue, id));
    for (let sent = 0; sent < 2; await sleep(1)) sent += queue.asked().ledger_write ?? 0;
    await client.query("COMMIT");
    const answers = await Promise.all(calls);
    expect(queue.asked(), "both were refused and decided again").toEqual({ ledger_open: 1, ledger_write: 1 });
    expect(new Set(answers.map((answer) => answer.available)).size, "each take has its own place").toBe(CALLS);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(1000 - 2 - CALLS);
  });

  it("is accepted with it, and neither is decided twice", async () => {
    const { queue, id } = await remembering(1000);
    queue.asked();
    const answers = await Promise.all(Array.from({ length: CALLS }, () => take(queue, id)));
    expect(queue.asked()).toEqual({ ledger_write: 2 });
    expect(answers.map((answer) => answer.available)).toEqual(Array.from({ length: CALLS }, (_, index) => 997 - index));
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(1000 - 2 - CALLS);
  });

  it("is not refused where the account was not known before either of them", async () => {
    const id = await tenantWith(1000);
    const queue = oneProcess();
    await Promise.all(Array.from({ length: CALLS }, () => take(queue, id)));
    expect(queue.asked().ledger_open, "nobody had to lock").toBeUndefined();
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(1000 - CALLS);
  });
});

/** Two accounts of one lane, so that each could stand in the other's way. */
async function inOneLane(): Promise<[string, string]> {
  const laneOf = (id: string) => Number.parseInt(id.slice(-4), 16) % 2;
  const first = await tenantWith(100);
  for (;;) {
    const second = await tenantWith(100);
    if (laneOf(second) === laneOf(first)) return [first, second];
  }
}

describe("an account that somebody keeps locked", () => {
  it("holds up its own callers, until it is free, and nobody else", async () => {
    const [locked, free] = await inOneLane();
    const queue = oneProcess();
    await Promise.all([take(queue, locked), take(queue, free)]);
    const account = await holdAccount(locked);
    const waiting = Promise.all(Array.from({ length: 60 }, () => take(queue, locked)));
    let answered = 0;
    void waiting.then(() => {
      answered += 60;
    });
    for (let round = 0; round < 5; round++) {
      await Promise.all([take(queue, free), take(queue, free)]);
      void take(queue, locked).then(() => {
        answered += 1;
      });
    }
    expect(answered).toBe(0);
    await account.release();
    await waiting;
    while (answered < 65) await sleep(5);
    expect((await expectLawfulLedger(app.sql, locked)).balance).toBe(100 - 66);
    expect((await expectLawfulLedger(app.sql, free)).balance).toBe(100 - 11);
  });
});

describe("an account that several processes change, and somebody keeps locked", () => {
  it("holds up nobody else either, although it is locked before anything is decided", async () => {
    const [locked, free] = await inOneLane();
    const [queue, other] = processes(2);
    if (!queue || !other) throw new Error("two processes");
    // Each finds what it remembers changed by the other, until it locks at once.
    for (let round = 0; round < 4; round++) {
      await take(queue, locked);
      await take(other, locked);
    }
    await take(queue, free);
    const account = await holdAccount(locked);
    const waiting = Array.from({ length: 3 }, () => take(queue, locked));
    const began = performance.now();
    for (let round = 0; round < 5; round++) await take(queue, free);
    expect(performance.now() - began, "nobody has waited for the lock to the end").toBeLessThan(8000);
    await account.release();
    await Promise.all(waiting);
    expect((await expectLawfulLedger(app.sql, locked)).balance).toBe(100 - 11);
    expect((await expectLawfulLedger(app.sql, free)).balance).toBe(100 - 6);
  });
});

// ── Keys that are used again ───────────────────────────────────────────────────────────────────────────────

describe("a swarm of calls that another process has answered", () => {
  it("gives each its first answer, and the new calls among them theirs", async () => {
    const ids = [await tenantWith(1000), await tenantWith(1000)];
    const [queue, other] = processes(2);
    if (!queue || !other) throw new Error("two processes");
    const before = ids.flatMap((id) => Array.from({ length: 150 }, (_, index) => ({ id, key: `before ${index}` })));
    const first = await Promise.all(before.map(({ id, key }) => take(other, id, { idempotencyKey: key })));
    const again = before.map(({ id, key }) => take(queue, id, { idempotencyKey: key }));
    const fresh = ids.flatMap((id) => Array.from({ length: 50 }, () => take(queue, id)));
    expect(await Promise.all(again)).toEqual(first.map((answer) => ({ ...answer, replayed: true })));
    expect((await Promise.all(fresh)).every((answer) => !answer.replayed)).toBe(true);
    for (const id of ids) expect((await expectLawfulLedger(app.sql, id)).balance).toBe(800);
    // It has learned to ask first: a swarm costs it no failed writes any more.
    queue.asked();
    await Promise.all(before.map(({ id, key }) => take(queue, id, { idempotencyKey: key })));
    expect(queue.asked().ledger_write).toBeLessThan(30);
  });
});

describe("a connection whose prepared statements are not there any more, as behind a pooler", () => {
  it("costs nobody an answer", async () => {
    const { queue, id } = await remembering(100);
    for (const lane of queue.lanes) await lane.query("DEALLOCATE ALL");
    expect(await take(queue, id)).toMatchObject({ consumed: 1, available: 97, replayed: false });
    // It prepares none any more.
    for (const lane of queue.lanes) await lane.query("DEALLOCATE ALL");
    queue.asked();
    expect(await take(queue, id)).toMatchObject({ consumed: 1, available: 96, replayed: false });
    expect(queue.asked()).toEqual({ ledger_write: 1 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(96);
  });
});

// ── The bound ──────────────────────────────────────────────────────────────────────────────────────────────

describe("a queue that is full", () => {
  it("refuses at once with the time to come back in, keeps nothing of those it refused, and serves the others", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const id = await tenantWith(20_000);
    const queue = oneProcess();
    await take(queue, id);
    const account = await holdAccount(id);
    const waiting: Promise<Consumption>[] = [];
    for (let call = 0; call < 10_000; call++) waiting.push(take(queue, id, { now: new Date() }));
    collect();
    const before = process.memoryUsage().heapUsed;
    const refusals = new Map<string, number>();
    for (let call = 0; call < 20_000; call++) {
      // One by one: what a caller keeps of its own refusal is no memory of the queue.
      const error = await take(queue, id, { metadata: { text: "x".repeat(1000) } }).catch((failure) => failure);
      const code = codeOf(error);
      refusals.set(code, (refusals.get(code) ?? 0) + 1);
      expect(error.details.retryable).toBe(true);
      expect(error.details.retryAfterMs).toBeGreaterThanOrEqual(50);
      expect(error.details.retryAfterMs).toBeLessThanOrEqual(5000);
    }
    collect();
    // Twenty thousand requests of a kilobyte each would be more than twenty megabytes.
    expect((process.memoryUsage().heapUsed - before) / 2 ** 20).toBeLessThan(5);
    expect(Object.fromEntries(refusals)).toEqual({ OVERLOADED: 20_000 });
    await account.release();
    const answers = await Promise.all(waiting);
    expect(answers.every((answer) => answer.consumed === 1)).toBe(true);
    expect((await readLedger(app.sql, id)).balance).toBe(20_000 - 10_001);
    // There is room again.
    expect(await take(queue, id)).toMatchObject({ consumed: 1 });
  });

  it("counts what callers make it keep, not only how many they are", async () => {
    const id = await tenantWith(100);
    const queue = oneProcess();
    const account = await holdAccount(id);
    const metadata = { text: "m".repeat(1024 * 1024) };
    const results = Promise.allSettled(Array.from({ length: 20 }, () => take(queue, id, { metadata })));
    await untilWaiting(app.sql);
    await account.release();
    const counts = outcomes(await results);
    expect(counts.OVERLOADED).toBe(5);
    expect(counts.ok).toBe(15);
    expect((await readLedger(app.sql, id)).balance).toBe(85);
  });
});

// ── Connections and the database go away ───────────────────────────────────────────────────────────────────

describe("connections that are killed while flushes are under way", () => {
  it("take nothing twice; what was answered is in the ledger, what was not may be sent again with its key", {
    timeout: 240_000,
  }, async () => {
    const tenants = [await tenantWith(10_000), await tenantWith(10_000), await tenantWith(10_000)];
    const queues = processes(2);
    let killing = true;
    onTestFinished(() => {
      killing = false;
    });
    let killed = 0;
    const killer = (async () => {
      while (killing && killed < 25) {
        const [row] = await app.sql<{ count: number }>(
          `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::int AS count FROM (
             SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'billfold' AND state <> 'idle' AND query ~ 'ledger_|BEGIN|COMMIT'
             ORDER BY random() LIMIT 1) AS one`,
        );
        killed += row?.count ?? 0;
        await sleep(Math.random() * 40);
      }
    })();
    const answers = new Map<string, Consumption>();
    let failures = 0;
    const codes = new Set<string>();
    async function untilAnswered(queue: Queue, id: string, key: string): Promise<void> {
      for (;;) {
        try {
          answers.set(`${id} ${key}`, await take(queue, id, { idempotencyKey: key }));
          return;
        } catch (error) {
          failures += 1;
          codes.add((error as { code?: string }).code ?? String(error));
          await sleep(Math.random() * 20);
        }
      }
    }
    const calls = (from: number) =>
      Promise.all(
        tenants.flatMap((id) =>
          Array.from({ length: 40 }, (_, call) =>
            // Some keys come through both processes at once.
            Promise.all(
              (call % 4 === 0 ? queues : [queues[call % 2] as Queue]).map((queue) =>
                untilAnswered(queue, id, `k${from + call}`),
              ),
            ),
          ),
        ),
      );
    for (let round = 0; killed < 25; round++) await calls(round * 40);
    killing = false;
    await killer;
    for (const code of codes) expect(code).toBe("BUSY");
    for (const id of tenants) {
      const ledger = await expectLawfulLedger(app.sql, id);
      const rows = await consumedRows(id);
      expect(ledger.balance).toBe(10_000 - rows.size);
      for (const [key, row] of rows) expect(answers.get(`${id} ${key}`)?.transactionId).toBe(row.id);
      expect(rows.size).toBe([...answers.keys()].filter((key) => key.startsWith(id)).length);
    }
    console.log(`killed ${killed} connections; ${failures} calls had no answer at first`);
  });
});

describe("a database that is away", () => {
  it("is told as BUSY, the same for all who wait; when it is back, the same keys take once", async () => {
    const id = await tenantWith(500);
    const queue = oneProcess();
    await take(queue, id);
    const calls = Array.from({ length: 150 }, (_, call) => ({ idempotencyKey: `through an outage ${call}` }));
    await app.sql(`ALTER DATABASE ${app.database.name} CONNECTION LIMIT 0`);
    const answers = new Map<string, Consumption>();
    try {
      await app.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'billfold'",
      );
      const results = await Promise.allSettled(calls.map((call) => take(queue, id, call)));
      for (const result of results) {
        expect(result).toMatchObject({ status: "rejected", reason: { code: "BUSY", details: { retryable: true } } });
      }
    } finally {
      await app.sql(`ALTER DATABASE ${app.database.name} CONNECTION LIMIT -1`);
    }
    for (const call of calls) answers.set(call.idempotencyKey, await take(queue, id, call));
    const rows = await consumedRows(id);
    for (const [key, answer] of answers) expect(rows.get(key)?.id).toBe(answer.transactionId);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(500 - 151);
  });
});

// ── What a process remembers ───────────────────────────────────────────────────────────────────────────────

describe("what a process remembers of an account", () => {
  it("is used: a take is one exchange with the database", async () => {
    const { queue, id } = await remembering();
    for (let call = 0; call < 5; call++) await take(queue, id);
    expect(queue.asked()).toEqual({ ledger_write: 5 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(93);
  });

  it("gives way to what another process took", async () => {
    const { queue, id } = await remembering(10);
    const other = oneProcess();
    expect(await take(other, id, { quantity: 7 })).toMatchObject({ available: 1 });
    await expect(take(queue, id, { quantity: 2 })).rejects.toMatchObject({ details: { required: 2, available: 1 } });
    expect(await take(queue, id)).toMatchObject({ available: 0 });
    await expect(take(other, id)).rejects.toMatchObject({ details: { required: 1, available: 0 } });
    await expectLawfulLedger(app.sql, id);
  });

  it("answers a balance after one question for a number, and gives way to what another process took", async () => {
    const { queue, id } = await remembering(100);
    expect((await queue.commit.recallCurrent(id, NOW))?.balance).toBe(98);
    expect(await queue.run(() => getBalance(id, NOW))).toMatchObject({ available: 98 });
    await take(oneProcess(), id, { quantity: 8 });
    expect(await queue.commit.recallCurrent(id, NOW)).toBeNull();
    expect(await queue.run(() => getBalance(id, NOW))).toMatchObject({ available: 90 });
  });

  it("gives way to a key that another process has used, also where the account would not have the credits any more", async () => {
    const { queue, id } = await remembering(10);
    const other = oneProcess();
    const first = await take(other, id, { quantity: 8, idempotencyKey: "elsewhere" });
    expect(await take(queue, id, { quantity: 8, idempotencyKey: "elsewhere" })).toEqual({ ...first, replayed: true });
    expect(await take(queue, id, { quantity: 7, idempotencyKey: "elsewhere" }).catch(codeOf)).toBe(
      "IDEMPOTENCY_CONFLICT",
    );
    // Its own memory is right by now, and the key is still asked about.
    expect(await take(queue, id, { quantity: 8, idempotencyKey: "elsewhere" })).toEqual({ ...first, replayed: true });
    expect((await expectLawfulLedger(app.sql, id)).rows).toHaveLength(4);
  });

  it("gives way to a grant", async () => {
    const { queue, id } = await remembering(3);
    await expect(take(queue, id, { quantity: 5 })).rejects.toMatchObject({ details: { available: 1 } });
    const amount = toCredits(9);
    const grant = {
      organizationId: id,
      amount,
      source: "promotion" as const,
      expiresAt: null,
      reason: "more",
      actor: "test",
    };
    await grantCredits({ ...grant, idempotencyKey: "more", now: NOW });
    expect(await take(queue, id, { quantity: 5 })).toMatchObject({ available: 5 });
    await expectLawfulLedger(app.sql, id);
  });

  it("gives way to an expiry that a job has written, and to the instant of one that no job has", async () => {
    const { queue, id } = await remembering(5);
    await addLot({ organizationId: id, amount: 10, source: "promotion", expiresAt: minutesLater(1) });
    await addLot({ organizationId: id, amount: 10, source: "promotion", expiresAt: minutesLater(2) });
    expect(await take(queue, id)).toMatchObject({ available: 22 });
    await expireLots(id, minutesLater(1));
    expect(await take(queue, id, { now: minutesLater(1) })).toMatchObject({ available: 11 });
    await expect(take(queue, id, { quantity: 12, now: minutesLater(2) })).rejects.toMatchObject({
      details: { available: 1 },
    });
    await expireLots(id, minutesLater(2));
    expect(await take(queue, id, { now: minutesLater(2) })).toMatchObject({ available: 0 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
  });

  it("gives way to another burn order", async () => {
    const { queue, id } = await remembering(5);
    const expiring = await addLot({ organizationId: id, amount: 5, source: "promotion", expiresAt: minutesLater(60) });
    expect((await take(queue, id)).allocations[0]?.grantId).not.toBe(expiring);
    await setBurnOrder({ organizationId: id, burnOrder: "expiring_first" });
    expect((await take(queue, id)).allocations).toMatchObject([{ grantId: expiring, amount: 1 }]);
    await setBurnOrder({ organizationId: id, burnOrder: "purchased_first" });
    expect((await take(queue, id)).allocations[0]?.grantId).not.toBe(expiring);
  });

  it("gives way to the end of the organization", async () => {
    const { queue, id } = await remembering();
    await asPlatform((tx) => tx.organization.update({ where: { id }, data: { deletedAt: NOW } }));
    expect(await take(queue, id).catch(codeOf)).toBe("NOT_FOUND");
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(98);
  });

  it.each(["its own", "the platform's"])("gives way to an API key of %s that is revoked", async (whose) => {
    const { queue, id } = await remembering();
    const organizationId = whose === "its own" ? id : null;
    const key = await createApiKey({ organizationId, name: "service", createdById: null, now: NOW });
    const change = { apiKeyId: key.id };
    await take(queue, id, change);
    queue.asked();
    await take(queue, id, change);
    expect(queue.asked(), "the key is remembered too").toEqual({ ledger_write: 1 });
    await revokeApiKey({ organizationId, apiKeyId: key.id, now: NOW });
    const results = await Promise.allSettled([take(queue, id, change), take(queue, id), take(queue, id, change)]);
    expect(results.map((result) => (result.status === "fulfilled" ? "ok" : codeOf(result.reason)))).toEqual([
      "UNAUTHENTICATED",
      "ok",
      "UNAUTHENTICATED",
    ]);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(95);
  });

  it("gives way to another cost, and is used again after it", async () => {
    const eventName = `dear ${newId(NOW)}`;
    const event = await asPlatform((tx) =>
      tx.creditEvent.create({
        data: {
          id: newId(NOW),
          name: eventName,
          description: "",
          category: "test",
          cost: 2n,
          active: true,
          createdAt: NOW,
          updatedAt: NOW,
        },
      }),
    );
    const { queue, id } = await remembering();
    const late = await tenantWith(100);
    expect(await take(queue, id, { eventName })).toMatchObject({ consumed: 2 });
    await asPlatform((tx) =>
      tx.creditEvent.update({ where: { id: event.id }, data: { cost: 5n, version: { increment: 1 } } }),
    );
    // An account that is new to the process comes first: the old card must not stay because of it.
    expect(await take(queue, late, { eventName })).toMatchObject({ consumed: 5 });
    expect(await take(queue, id, { eventName })).toMatchObject({ consumed: 5 });
    queue.asked();
    for (const tenant of [late, id, late, id])
      expect(await take(queue, tenant, { eventName })).toMatchObject({ consumed: 5 });
    expect(queue.asked()).toEqual({ ledger_write: 4 });
    await asPlatform((tx) => tx.creditEvent.update({ where: { id: event.id }, data: { active: false } }));
    expect(await take(queue, id, { eventName }).catch(codeOf)).toBe("INACTIVE_EVENT");
  });

  it("does not hold up a process that has seen the card change before it knew any account", async () => {
    const tenants = [await tenantWith(10), await tenantWith(10)];
    const queue = oneProcess();
    await take(queue, tenants[0] as string);
    await asPlatform((tx) =>
      tx.creditEvent.update({ where: { name: "api_call_basic" }, data: { description: newId(NOW) } }),
    );
    const [, second] = tenants as [string, string];
    await take(queue, second);
    await take(queue, second);
    queue.asked();
    await take(queue, second);
    expect(queue.asked()).toEqual({ ledger_write: 1 });
  });

  it("gives way to an agreed cost that begins, changes and ends", async () => {
    const { queue, id } = await remembering();
    const event = await asPlatform((tx) => tx.creditEvent.findUniqueOrThrow({ where: { name: "api_call_basic" } }));
    const override = { organizationId: id, eventId: event.id, createdAt: NOW };
    await asPlatform((tx) => tx.creditEventOverride.create({ data: { ...override, cost: 7n } }));
    expect(await take(queue, id)).toMatchObject({ consumed: 7 });
    await asPlatform((tx) => tx.creditEventOverride.updateMany({ where: { organizationId: id }, data: { cost: 3n } }));
    expect(await take(queue, id)).toMatchObject({ consumed: 3 });
    await asPlatform((tx) =>
      tx.creditEventOverride.updateMany({ where: { organizationId: id }, data: { effectiveUntil: minutesLater(5) } }),
    );
    expect(await take(queue, id, { now: minutesLater(4) })).toMatchObject({ consumed: 3 });
    expect(await take(queue, id, { now: minutesLater(5) })).toMatchObject({ consumed: 1 });
    await asPlatform((tx) => tx.creditEventOverride.deleteMany({ where: { organizationId: id } }));
    expect(await take(queue, id)).toMatchObject({ consumed: 1 });
  });

  it("gives way to a budget that is set, changed and taken away, and counts what other processes have used of it", async () => {
    const { queue, id } = await remembering();
    const other = oneProcess();
    const budget = {
      id: newId(NOW),
      organizationId: id,
      scope: "project" as const,
      subject: "search",
      window: "day" as const,
    };
    const rest = { active: true, createdBy: "test", createdAt: NOW, updatedAt: NOW, sinceSeq: 0n };
    await asPlatform((tx) => tx.creditBudget.create({ data: { ...budget, ...rest, limit: 10n } }));
    const spend = (by: Queue, quantity: number, now = NOW) => take(by, id, { project: "search", quantity, now });
    await spend(queue, 4);
    await spend(other, 4);
    await expect(spend(queue, 3)).rejects.toMatchObject({
      code: "BUDGET_EXCEEDED",
      details: { limit: 10, used: 8, required: 3 },
    });
    await asPlatform((tx) => tx.creditBudget.update({ where: { id: budget.id }, data: { limit: 12n } }));
    expect(await spend(queue, 3)).toMatchObject({ consumed: 3 });
    await expect(spend(other, 2)).rejects.toMatchObject({ code: "BUDGET_EXCEEDED", details: { used: 11 } });
    // Others spend as before, and the next day begins anew.
    expect(await take(queue, id, { quantity: 2 })).toMatchObject({ consumed: 2 });
    expect(await spend(queue, 12, minutesLater(24 * 60))).toMatchObject({ consumed: 12 });
    await asPlatform((tx) => tx.creditBudget.update({ where: { id: budget.id }, data: { active: false } }));
    expect(await spend(other, 2)).toMatchObject({ consumed: 2 });
    const used = await app.sql(
      "SELECT used::int AS used FROM credit_budget_usage WHERE budget_id = $1 ORDER BY window_start",
      [budget.id],
    );
    expect(used).toEqual([{ used: 11 }, { used: 12 }]);
    await expectLawfulLedger(app.sql, id);
  });

  it("gives way to spending that was suspended and allowed again", async () => {
    const { queue, id } = await remembering();
    const set = (at: Date | null) =>
      app.sql("UPDATE credit_accounts SET suspended_at = $2, version = version + 1 WHERE organization_id = $1", [
        id,
        at,
      ]);
    await set(NOW);
    expect(await take(queue, id).catch(codeOf)).toBe("ACCOUNT_SUSPENDED");
    await set(null);
    expect(await take(queue, id)).toMatchObject({ consumed: 1 });
  });
});

// ── Time in the queue ──────────────────────────────────────────────────────────────────────────────────────

describe("a lot that expires while a caller waits", () => {
  const laneOf = (id: string) => Number.parseInt(id.slice(-1), 16) % 2;

  it("in the queue, behind somebody else's flush, is not spent", async () => {
    const first = await tenantWith(10);
    let second = await tenantWith(0);
    while (laneOf(second) !== laneOf(first)) second = await tenantWith(0);
    const now = new Date();
    const lifeMs = 400;
    await addLot({
      organizationId: second,
      amount: 10,
      source: "promotion",
      expiresAt: new Date(now.getTime() + lifeMs),
      at: now,
    });
    const queue = oneProcess();
    await take(queue, first, { now });
    const account = await holdAccount(first);
    const blocking = take(queue, first, { now: new Date() });
    await untilWaiting(app.sql);
    const waiting = take(queue, second, { now }).catch((error: unknown) => error);
    await sleep(lifeMs + 50);
    await account.release();
    await blocking;
    expect(await waiting).toMatchObject({ code: "INSUFFICIENT_CREDITS", details: { available: 0 } });
    expect((await expectLawfulLedger(app.sql, second)).balance).toBe(10);
  });

  it("for the account's lock, which somebody else has used to change it, is not spent", async () => {
    const id = await tenantWith(0);
    const now = new Date();
    const lifeMs = 400;
    await addLot({
      organizationId: id,
      amount: 10,
      source: "promotion",
      expiresAt: new Date(now.getTime() + lifeMs),
      at: now,
    });
    const queue = oneProcess();
    const client = await superuser();
    await client.query("BEGIN");
    await client.query("UPDATE credit_accounts SET version = version + 1 WHERE organization_id = $1", [id]);
    const waiting = take(queue, id, { now }).catch((error: unknown) => error);
    await untilWaiting(app.sql);
    await sleep(lifeMs + 50);
    await client.query("COMMIT");
    expect(await waiting).toMatchObject({ code: "INSUFFICIENT_CREDITS", details: { available: 0 } });
  });
});
