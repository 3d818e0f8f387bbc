// The group commit in trouble that somebody else makes: accounts that are kept locked, connections that break or go silent at the
// worst moment, a database that takes no writes. Whoever does not depend on it is served, and nobody waits without end.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createApiKey, revokeApiKey } from "~/server/billing/api-keys";
import { type ConsumeRequest, type Consumption, consumeCredits } from "~/server/billing/credits";
import { asPlatform } from "~/server/db";
import { database } from "~/server/db/pool";
import { addLot, expectLawfulLedger, openLedger, quietLogs } from "../setup/billing";
import { openQueue, type Queue } from "../setup/queues";
import { createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  quietLogs();
  app = await openLedger();
});
afterAll(() => app.close());

let keys = 0;

function take(queue: Queue, organizationId: string, change: Partial<ConsumeRequest> = {}): Promise<Consumption> {
  const call = { eventName: "api_call_basic", quantity: 1, idempotencyKey: `take ${++keys}`, actor: "test", now: NOW };
  return queue.run(() => consumeCredits({ organizationId, ...call, ...change }));
}

function oneProcess(connections?: number): Queue {
  const queue = openQueue(app.database.url, connections);
  onTestFinished(() => queue.close());
  return queue;
}

const laneOf = (organizationId: string) => Number.parseInt(organizationId.slice(-4), 16) % 2;

/** An organization whose calls go through that one of a queue's two lanes. */
async function tenantInLane(lane: number, amount = 100): Promise<string> {
  for (;;) {
    const { id } = await createTenant();
    if (laneOf(id) !== lane) continue;
    await addLot({ organizationId: id, amount });
    return id;
  }
}

async function superuser(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: app.database.superuserUrl });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const BUSY = "told that it is BUSY";

/** What a refusal comes to that asks to come again; any other is a failure of the test. */
function busyOnly(error: unknown): typeof BUSY {
  expect(error).toMatchObject({ code: "BUSY", details: { retryable: true } });
  return BUSY;
}

/** Calls with one key until it is not told BUSY; how long somebody waits before depends on how fast the machine is. */
async function takeAtLast(queue: Queue, organizationId: string, idempotencyKey: string): Promise<Consumption> {
  for (;;) {
    const answer = await take(queue, organizationId, { idempotencyKey }).catch(busyOnly);
    if (answer !== BUSY) return answer;
    await sleep(20);
  }
}

/** Keeps accounts locked until it is told to let go. */
async function keepLocked(...organizationIds: string[]): Promise<{ release(): Promise<unknown> }> {
  const client = await superuser();
  await client.query("BEGIN");
  await client.query("SELECT 1 FROM credit_accounts WHERE organization_id = ANY ($1) FOR UPDATE", [organizationIds]);
  return { release: () => client.query("COMMIT") };
}

// ── A line to the database ───────────────────────────────────────────────────────────────────────────────────

interface Line {
  /**
   * Breaks a connection once: when the answer comes to the next statement that has `text` in it. The answer is lost.
   * @param meanwhile what happens between the answer and the break
   */
  loseAnswer(text: string, meanwhile?: () => Promise<unknown>): void;
  /** How many answers are lost. */
  lost(): number;
  /** From now on nothing comes through a connection that has sent a statement with `text` in it, and neither side is told. */
  silence(text: string): void;
}

/** A process whose connections go through a line of ours, and the line. */
async function processOnLine(): Promise<{ queue: Queue; line: Line }> {
  const target = new URL(app.database.url);
  const sockets = new Set<Socket>();
  const said = new Map<Socket, string>();
  const silent = new Set<Socket>();
  let next: { text: string; meanwhile: () => Promise<unknown> } | null = null;
  let lost = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    const ends: [Socket, Socket][] = [
      [client, upstream],
      [upstream, client],
    ];
    for (const [end, other] of ends) {
      sockets.add(end);
      end.on("error", () => {});
      end.on("close", () => {
        sockets.delete(end);
        other.destroy();
      });
    }
    let losing: (() => Promise<unknown>) | null = null;
    let isLosing = false;
    client.on("data", (data) => {
      if (silent.has(client)) return;
      said.set(client, (said.get(client) ?? "") + data.toString("latin1"));
      if (next !== null && data.includes(next.text)) {
        losing = next.meanwhile;
        next = null;
      }
      upstream.write(data);
    });
    upstream.on("data", async (data) => {
      if (isLosing || silent.has(client)) return;
      if (losing === null) {
        client.write(data);
        return;
      }
      isLosing = true;
      lost += 1;
      await losing();
      client.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(target);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const queue = openQueue(url.href);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await queue.close();
  });
  const line: Line = {
    loseAnswer(text, meanwhile = async () => {}) {
      next = { text, meanwhile };
    },
    lost: () => lost,
    silence(text) {
      for (const [client, statements] of said) if (statements.includes(text)) silent.add(client);
    },
  };
  return { queue, line };
}

// ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────

describe("a take whose commit is not heard of", () => {
  const events: [string, (organizationId: string, apiKeyId: string) => Promise<unknown>][] = [
    ["nothing else happens", async () => {}],
    ["its key is revoked", (organizationId, apiKeyId) => revokeApiKey({ organizationId, apiKeyId, now: NOW })],
    [
      "its organization is deleted",
      (id) => asPlatform((tx) => tx.organization.update({ where: { id }, data: { deletedAt: NOW } })),
    ],
  ];

  it.each(events)("is answered with its own row, where meanwhile %s", async (_, meanwhile) => {
    const { queue, line } = await processOnLine();
    const id = await tenantInLane(0);
    const { id: apiKeyId } = await createApiKey({ organizationId: id, name: "service", createdById: null, now: NOW });
    line.loseAnswer("ledger_write", () => meanwhile(id, apiKeyId));
    const answer = await take(queue, id, { apiKeyId, idempotencyKey: "unheard" });
    expect(line.lost()).toBe(1);
    expect(answer).toMatchObject({ consumed: 1, available: 99, replayed: false });
    const rows = await app.sql(
      "SELECT id FROM credit_transactions WHERE organization_id = $1 AND idempotency_key = 'unheard'",
      [id],
    );
    expect(rows).toEqual([{ id: answer.transactionId }]);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(99);
  });
});

describe("a connection that has gone silent", () => {
  it("is given up: whoever waits for it is answered, and its lane has another one", async () => {
    const { queue, line } = await processOnLine();
    const [id, other] = [await tenantInLane(0), await tenantInLane(0)];
    await take(queue, id);
    await take(queue, other);
    line.silence("ledger_write");
    // The second is sent behind the first.
    expect(await Promise.all([take(queue, id), take(queue, other)])).toMatchObject([
      { available: 98, replayed: false },
      { available: 98, replayed: false },
    ]);
    queue.asked();
    expect(await take(queue, id)).toMatchObject({ available: 97 });
    expect(queue.asked(), "it is quick again").toEqual({ ledger_write: 1 });
    expect(queue.lanes).toHaveLength(2);
    for (const each of [id, other]) await expectLawfulLedger(app.sql, each);
  });
});

describe("a connection that breaks while it waits for an account that somebody keeps locked", () => {
  it("does not put those who came along behind that account", async () => {
    const { queue, line } = await processOnLine();
    const another = oneProcess();
    const [locked, free] = [await tenantInLane(0), await tenantInLane(0)];
    // Each finds what it remembers changed by the other, until it locks at once, and both accounts together.
    for (let round = 0; round < 4; round++) {
      for (const each of [queue, another]) await Promise.all([take(each, locked), take(each, free)]);
    }
    const account = await keepLocked(locked);
    line.loseAnswer("ledger_open");
    queue.asked();
    const waiting = takeAtLast(queue, locked, "waiting");
    expect(await take(queue, free), "while the other one is locked").toMatchObject({ available: 100 - 9 });
    expect(line.lost()).toBe(1);
    expect(queue.asked().ledger_write, "nobody was decided on what is remembered").toBe(1);
    await account.release();
    expect(await waiting).toMatchObject({ available: 100 - 9 });
    for (const id of [locked, free]) await expectLawfulLedger(app.sql, id);
  });
});

describe("a connection that an administrator ends while a transaction commits", () => {
  it("is told as BUSY: the same may be done again", async () => {
    await app.sql(`
      CREATE TABLE slow_commits (id int);
      CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow_commits DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow_commit();
      GRANT INSERT ON slow_commits TO billfold_platform`);
    const removed = once(database(), "remove");
    const transaction = asPlatform((tx) => tx.$executeRaw`INSERT INTO slow_commits VALUES (1)`).catch(busyOnly);
    const end =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while ((await app.sql(end)).length === 0) await sleep(5);
    expect(await transaction).toBe(BUSY);
    await removed;
    expect(await asPlatform((tx) => tx.organization.count({ where: { id: { in: [] } } }))).toBe(0);
  });
});

// ── Accounts that somebody keeps locked ──────────────────────────────────────────────────────────────────────

describe("an account that somebody keeps locked, and ten thousand calls for it", () => {
  it("leave the queue to others, and are given up together after one wait", async () => {
    const [locked, other] = [await tenantInLane(0, 20_000), await tenantInLane(1)];
    const queue = oneProcess();
    await take(queue, locked);
    await take(queue, other);
    const account = await keepLocked(locked);
    queue.asked();
    let refused = 0;
    const refuse = (error: unknown) => {
      refused += 1;
      return busyOnly(error);
    };
    const calls = Array.from({ length: 10_000 }, () => take(queue, locked).catch(refuse));
    await expect(take(queue, other)).rejects.toMatchObject({ code: "OVERLOADED" });
    await Promise.race(calls);
    // Whoever is refused in this turn of the event loop has been told by then.
    await new Promise(setImmediate);
    expect(refused, "some wait for the lock").toBeLessThan(10_000);
    expect(await take(queue, other)).toMatchObject({ available: 98 });
    expect(new Set(await Promise.all(calls))).toEqual(new Set([BUSY]));
    // One or two to find it locked.
    expect(queue.asked().ledger_open, "one long wait is for all").toBeLessThanOrEqual(3);
    await account.release();
    expect(await take(queue, locked)).toMatchObject({ available: 20_000 - 2 });
    await expectLawfulLedger(app.sql, locked);
  });
});

describe("more accounts that are kept locked than there is room for", () => {
  it("are refused without being asked for again for a while, and leave connections to others", async () => {
    const stuck = await tenantInLane(0);
    const barred = [await tenantInLane(0), await tenantInLane(0), await tenantInLane(0)];
    const [free, unknown] = [await tenantInLane(0), await tenantInLane(1)];
    // Room for one of them.
    const queue = oneProcess(4);
    for (const id of [stuck, ...barred, free]) await take(queue, id);
    const accounts = await keepLocked(stuck, ...barred);
    queue.asked();
    const waiting = takeAtLast(queue, stuck, "waiting");
    const refusals = barred.map((id) => take(queue, id).catch(busyOnly));
    expect(await Promise.all(refusals)).toEqual([BUSY, BUSY, BUSY]);
    // Each by itself for a moment, and one of them, on a connection of its own, for longer.
    expect(queue.asked().ledger_open).toBe(5);
    expect(await take(queue, unknown), "whose account has to be read").toMatchObject({ available: 99 });
    await untilRefusedUnasked(queue, barred[2] as string);
    expect(await take(queue, free)).toMatchObject({ available: 98 });
    await accounts.release();
    expect(await waiting).toMatchObject({ available: 98 });
    for (const id of barred) {
      expect(await takeAtLast(queue, id, "when the bar is lifted")).toMatchObject({ available: 98 });
    }
    for (const id of [stuck, ...barred, free, unknown]) await expectLawfulLedger(app.sql, id);
  });

  /** Calls until it is refused and the database has not been asked. The bar may be over each time, on a slow machine. */
  async function untilRefusedUnasked(queue: Queue, organizationId: string): Promise<void> {
    do queue.asked();
    while ((await take(queue, organizationId).catch(busyOnly)) !== BUSY || Object.keys(queue.asked()).length > 0);
  }
});

// ── A database that takes no writes ──────────────────────────────────────────────────────────────────────────

describe("a database that takes no writes for a while, as after a failover", () => {
  it("is told as BUSY, and the sessions that were opened meanwhile are not used any more", async () => {
    const id = await tenantInLane(0);
    const queue = oneProcess();
    await take(queue, id);
    const client = await superuser();
    await client.query(`ALTER DATABASE ${app.database.name} SET default_transaction_read_only = on`);
    try {
      await client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'billfold'",
      );
      const calls = Array.from({ length: 60 }, () => take(queue, id).catch(busyOnly));
      expect(await Promise.all(calls)).toEqual(Array(60).fill(BUSY));
    } finally {
      await client.query(`ALTER DATABASE ${app.database.name} RESET default_transaction_read_only`);
    }
    expect(await take(queue, id)).toMatchObject({ available: 98 });
    queue.asked();
    expect(await take(queue, id)).toMatchObject({ available: 97 });
    expect(queue.asked(), "it is quick again").toEqual({ ledger_write: 1 });
    await expectLawfulLedger(app.sql, id);
  });
});
