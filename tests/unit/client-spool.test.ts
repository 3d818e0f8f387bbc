// The spool on a real disk: what is kept, sent, refused, cut off by a crash, shared by processes.
import { fork } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BillingClientError, type SpooledConsume, type SpoolOptions } from "~/client/index";
import { FileSpool } from "~/client/spool";

let folder: string;
let path: string;
const open: FileSpool[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spool-"));
  path = join(folder, "consumes");
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((spool) => spool.close()));
  rmSync(folder, { recursive: true, force: true });
});

const consume = (n: number, more: Partial<SpooledConsume> = {}): SpooledConsume => ({
  organizationId: "o",
  eventName: "e",
  quantity: 1,
  idempotencyKey: `key ${n}`,
  ...more,
});

const away = () => new BillingClientError("UNREACHABLE", "nobody", { attempts: 1 }, { retryable: true });

/** A server that may be away, with the keys that it was told, in order. */
function billfold() {
  const told: string[] = [];
  const server = {
    told,
    isAway: true,
    refusals: new Map<string, Error>(),
    async send(one: SpooledConsume) {
      if (server.isAway) throw away();
      const refusal = server.refusals.get(one.idempotencyKey);
      if (refusal) throw refusal;
      told.push(one.idempotencyKey);
      return { replayed: told.indexOf(one.idempotencyKey) < told.length - 1 };
    },
  };
  return server;
}

function spoolOf(server: ReturnType<typeof billfold>, options: Partial<SpoolOptions> = {}): FileSpool {
  const spool = new FileSpool({ path, ...options }, server.send);
  open.push(spool);
  return spool;
}

const files = () => readdirSync(folder).sort();

/** All that is kept, in order, in the one file that it would be in had nobody begun to send it. */
function gather(): string {
  const kept = [
    ...files().filter((name) => name.includes(".sending-")),
    ...files().filter((name) => name === "consumes"),
  ];
  const text = kept.map((name) => readFileSync(join(folder, name), "utf8")).join("");
  for (const name of files()) rmSync(join(folder, name));
  writeFileSync(path, text);
  return text;
}

describe("a spool", () => {
  it("keeps consumes over a restart, and tells them in order, once, leaving nothing behind", async () => {
    const server = billfold();
    const first = spoolOf(server);
    await first.append(consume(1, { metadata: { text: "line\nbreak \u2028 é", zero: 0, none: null } }));
    await Promise.all([2, 3, 4].map((n) => first.append(consume(n))));
    expect(await first.drain()).toBe(false);
    await first.append(consume(5));
    await first.close();

    const seen: SpooledConsume[] = [];
    server.isAway = false;
    const second = spoolOf(server, { onReplayed: (one) => seen.push(one) });
    expect(await second.drain()).toBe(true);
    expect(server.told).toEqual(["key 1", "key 2", "key 3", "key 4", "key 5"]);
    expect(seen[0]).toEqual(consume(1, { metadata: { text: "line\nbreak \u2028 é", zero: 0, none: null } }));
    expect(await second.pendingBytes()).toBe(0);
    expect(files()).toEqual([]);
  });

  it("sends by itself, at the start and after an outage", async () => {
    const server = billfold();
    await spoolOf(server).append(consume(1));
    await open[0]?.close();
    server.isAway = false;
    spoolOf(server);
    await vi.waitFor(() => expect(server.told).toEqual(["key 1"]));
    server.isAway = true;
    await open[1]?.append(consume(2));
    server.isAway = false;
    await vi.waitFor(() => expect(server.told).toEqual(["key 1", "key 2"]), { timeout: 10_000 });
  });

  it("goes on where an outage in the middle stopped it", async () => {
    const server = billfold();
    const spool = spoolOf(server);
    for (const n of [1, 2, 3]) await spool.append(consume(n));
    server.isAway = false;
    server.refusals.set("key 2", away());
    expect(await spool.drain()).toBe(false);
    server.refusals.clear();
    expect(await spool.drain()).toBe(true);
    expect(server.told).toEqual(["key 1", "key 2", "key 3"]);
  });

  it("puts what is refused for good into the dead file and tells of it, and goes on behind it", async () => {
    const server = billfold();
    const refused: [string, string][] = [];
    const spool = spoolOf(server, { onRefused: (one, failure) => refused.push([one.idempotencyKey, failure.code]) });
    for (const n of [1, 2, 3]) await spool.append(consume(n));
    server.isAway = false;
    const insufficient = new BillingClientError("INSUFFICIENT_CREDITS", "not enough", { required: 5, available: 1 });
    server.refusals.set("key 1", insufficient);
    server.refusals.set("key 3", new BillingClientError("UNKNOWN_EVENT", "no such event", { eventName: "e" }));
    expect(await spool.drain()).toBe(true);
    expect(server.told).toEqual(["key 2"]);
    expect(refused).toEqual([
      ["key 1", "INSUFFICIENT_CREDITS"],
      ["key 3", "UNKNOWN_EVENT"],
    ]);
    const dead = readFileSync(`${path}.dead`, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(dead[0]).toEqual({
      consume: consume(1),
      code: "INSUFFICIENT_CREDITS",
      message: "not enough",
      details: { required: 5, available: 1 },
    });
    expect(files()).toEqual(["consumes.dead"]);
  });

  it("waits while its key is no good, and says so", async () => {
    const server = billfold();
    const troubles: string[] = [];
    const spool = spoolOf(server, { onTrouble: (error) => troubles.push(error.message) });
    await spool.append(consume(1));
    server.isAway = false;
    server.refusals.set("key 1", new BillingClientError("UNAUTHENTICATED", "no such key", {}));
    expect(await spool.drain()).toBe(false);
    expect(new Set(troubles)).toEqual(new Set(["no such key"]));
    server.refusals.clear();
    expect(await spool.drain()).toBe(true);
  });

  it("is not stopped for ever by a consume that Billfold fails on", async () => {
    const server = billfold();
    const spool = spoolOf(server);
    for (const n of [1, 2]) await spool.append(consume(n));
    server.isAway = false;
    server.refusals.set("key 1", new BillingClientError("INTERNAL", "our side", {}));
    let rounds = 1;
    while (!(await spool.drain())) rounds += 1;
    expect(rounds).toBeGreaterThan(1);
    expect(rounds).toBeLessThanOrEqual(5);
    expect(server.told).toEqual(["key 2"]);
    expect(readFileSync(`${path}.dead`, "utf8")).toContain("key 1");
  });

  it("takes no more than its bytes, and has room again when it was sent", async () => {
    const server = billfold();
    const spool = spoolOf(server, { maxBytes: 1_000 });
    const outcomes: boolean[] = [];
    for (let n = 0; n < 10; n += 1)
      outcomes.push(
        await spool.append(consume(n)).then(
          () => true,
          () => false,
        ),
      );
    const kept = outcomes.lastIndexOf(true) + 1;
    expect(kept).toBeGreaterThan(2);
    expect(outcomes).toEqual(outcomes.map((_, n) => n < kept));
    expect(await spool.pendingBytes()).toBeLessThanOrEqual(1_000);
    server.isAway = false;
    expect(await spool.drain()).toBe(true);
    expect(server.told).toHaveLength(kept);
    await spool.append(consume(99));
  });

  it("that cannot be written fails, and is not said to have kept anything", async () => {
    writeFileSync(join(folder, "file"), "");
    const spool = new FileSpool({ path: join(folder, "file", "below") }, billfold().send);
    open.push(spool);
    await expect(spool.append(consume(1))).rejects.toThrow();
  });
});

describe("a crash", () => {
  it("in the middle of a line, at any byte of it, loses that line alone", async () => {
    const server = billfold();
    const writer = spoolOf(server);
    for (const n of [1, 2, 3]) await writer.append(consume(n));
    await writer.close();
    const whole = gather();
    const lastAt = whole.lastIndexOf("\n", whole.length - 2) + 1;
    for (let length = lastAt; length <= whole.length; length += 7) {
      for (const name of files()) rmSync(join(folder, name));
      writeFileSync(path, whole.slice(0, length));
      const reached = billfold();
      const spool = spoolOf(reached);
      await spool.append(consume(4));
      reached.isAway = false;
      expect(await spool.drain()).toBe(true);
      const isWhole = length >= whole.length - 1;
      expect(reached.told).toEqual(["key 1", "key 2", ...(isWhole ? ["key 3"] : []), "key 4"]);
      expect(existsSync(`${path}.dead`)).toBe(length > lastAt && !isWhole);
      await spool.close();
    }
  });

  it("while sending sends again what was not marked, under the same keys", async () => {
    const server = billfold();
    const writer = spoolOf(server);
    for (const n of [1, 2, 3]) await writer.append(consume(n));
    await writer.close();
    // In one file, however early the writer began to send: a file of which all is sent is removed with its marks.
    gather();
    server.isAway = false;
    server.refusals.set("key 3", away());
    const first = spoolOf(server);
    expect(await first.drain()).toBe(false);
    await first.close();
    // The mark of the second did not reach the disk whole.
    const text = gather();
    const mark = text.lastIndexOf('{"done"');
    expect(server.told).toEqual(["key 1", "key 2"]);
    expect(mark).toBeGreaterThan(text.indexOf('{"done"'));
    writeFileSync(path, `${text.slice(0, mark + 20)}${text.slice(text.indexOf("\n", mark))}`);
    server.refusals.clear();
    expect(await spoolOf(server).drain()).toBe(true);
    expect(server.told).toEqual(["key 1", "key 2", "key 2", "key 3"]);
  });

  it("of a sender leaves a lock that the next one sees through", async () => {
    const server = billfold();
    server.isAway = false;
    const spool = spoolOf(server);
    await spool.drain();
    // A pid that cannot be running: beyond the largest.
    writeFileSync(`${path}.lock`, JSON.stringify({ id: "gone", pid: 2 ** 22 + 1, host: hostname() }));
    await spool.append(consume(1));
    expect(await spool.drain()).toBe(true);
    expect(server.told).toEqual(["key 1"]);
  });

  it("that damaged a line in the middle puts that line aside, and tells of it", async () => {
    const server = billfold();
    const troubles: Error[] = [];
    const first = spoolOf(server);
    for (const n of [1, 2]) await first.append(consume(n));
    await first.close();
    writeFileSync(path, gather().replace("key 1", "key 9"));
    appendFileSync(path, "\nnonsense\n");
    server.isAway = false;
    expect(await spoolOf(server, { onTrouble: (error) => troubles.push(error) }).drain()).toBe(true);
    expect(server.told).toEqual(["key 2"]);
    expect(troubles).toHaveLength(2);
    expect(readFileSync(`${path}.dead`, "utf8")).toContain("key 9");
  });
});

describe("two spools on one file", () => {
  it("in one process lose nothing, and only one sends at a time", async () => {
    const server = billfold();
    let sending = 0;
    let most = 0;
    const send = server.send;
    server.send = async (one) => {
      sending += 1;
      most = Math.max(most, sending);
      await new Promise((resolve) => setTimeout(resolve, 1));
      sending -= 1;
      return send(one);
    };
    server.isAway = false;
    const both = [spoolOf(server), spoolOf(server)];
    const kept = Array.from({ length: 60 }, async (_, n) => {
      const spool = both[n % 2];
      await spool?.append(consume(n));
      if (n % 7 === 0) await spool?.drain();
    });
    await Promise.all(kept);
    await vi.waitFor(async () => expect(await both[0]?.pendingBytes()).toBe(0), { timeout: 15_000 });
    expect(new Set(server.told).size).toBe(60);
    expect(most).toBe(1);
  });

  it("in two processes, killed and started again at any moment, lose no line that was said to be kept", async () => {
    const told = join(folder, "told");
    const acknowledged = new Set<string>();
    const worker = fileURLToPath(new URL("../client/spool-worker.ts", import.meta.url));
    const start = (name: string) => {
      const child = fork(worker, [path, told, name], { execArgv: ["--import", "tsx"], silent: true });
      child.on("message", (key) => acknowledged.add(String(key)));
      return child;
    };
    const stopped = (child: ReturnType<typeof start>) => new Promise((resolve) => child.once("exit", resolve));
    for (let round = 0; round < 3; round += 1) {
      const children = [start(`a${round}`), start(`b${round}`)];
      const before = acknowledged.size;
      await vi.waitFor(() => expect(acknowledged.size).toBeGreaterThan(before + 40), { timeout: 15_000 });
      const ends = children.map(stopped);
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(ends);
    }
    const rest: string[] = [];
    const last = new FileSpool({ path }, async (one) => rest.push(one.idempotencyKey));
    open.push(last);
    await vi.waitFor(async () => expect(await last.drain()).toBe(true), { timeout: 15_000 });
    const reached = new Set([...readFileSync(told, "utf8").split("\n"), ...rest]);
    const lost = [...acknowledged].filter((key) => !reached.has(key));
    expect(lost).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(120);
  });
});
