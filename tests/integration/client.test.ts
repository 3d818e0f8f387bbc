// The client that services install, against the app's own route over HTTP: what it answers, retries and batches.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  type BillingClientOptions,
  billingErrorOf,
  createBillingClient,
  isBillingError,
  type SpoolOptions,
} from "~/client/index";
import { createApiKey } from "~/server/billing/api-keys";
import { addLot, expectLawfulLedger, openLedger, quietLogs, readLedger, serveApi } from "../setup/billing";
import { createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
let api: Awaited<ReturnType<typeof serveApi>>;
let platformKey: string;
beforeAll(async () => {
  quietLogs();
  app = await openLedger();
  api = await serveApi();
  platformKey = (await createApiKey({ organizationId: null, name: "platform", createdById: null, now: NOW })).key;
});
afterAll(async () => {
  await api.close();
  await app.close();
});

/** An organization with credits and a service that has its key. */
async function serviceWith(amount: number, options: Partial<BillingClientOptions> = {}) {
  const { id } = await createTenant();
  if (amount > 0) await addLot({ organizationId: id, amount });
  const { key } = await createApiKey({ organizationId: id, name: "service", createdById: null, now: NOW });
  return { id, key, client: createBillingClient({ url: api.url, apiKey: key, ...options }) };
}

/** A way to the server on which something happens to each request, by its number. */
function troubled(happens: (attempt: number, send: () => Promise<Response>) => Promise<Response>) {
  const seen: string[] = [];
  const through: typeof fetch = (input, init) => {
    seen.push(String(init?.body ?? ""));
    return happens(seen.length, () => fetch(input, init));
  };
  return { fetch: through, seen };
}

const call = (organizationId: string, change: object = {}) => ({
  organizationId,
  eventName: "api_call_basic",
  quantity: 1,
  ...change,
});

const failureOf = (promise: Promise<unknown>) => promise.then(() => null, billingErrorOf);

describe("a service", () => {
  it("takes credits with its organization's key and sees what is left", async () => {
    const { id, client } = await serviceWith(100);
    const answer = await client.consume(call(id, { quantity: 30, idempotencyKey: "job 1", metadata: { job: "1" } }));
    expect(answer).toEqual({
      transactionId: expect.any(String),
      consumed: 30,
      available: 70,
      allocations: [{ grantId: expect.any(String), source: "purchase", amount: 30 }],
      replayed: false,
    });
    expect(await client.consume(call(id, { quantity: 30, idempotencyKey: "job 1", metadata: { job: "1" } }))).toEqual({
      ...answer,
      replayed: true,
    });
    expect(await client.balance({ organizationId: id })).toMatchObject({ available: 70, nextExpiry: null });
    const { items } = await client.trpc.credits.transactions.query({ organizationId: id });
    expect(items[0]).toMatchObject({ type: "consume", amount: -30, apiKeyName: "service" });
    expect(items[0]?.createdAt).toBeInstanceOf(Date);
  });

  it("that has not enough hears how much it needs and how much there is", async () => {
    const { id, client } = await serviceWith(10);
    try {
      await client.consume(call(id, { quantity: 11 }));
      expect.unreachable();
    } catch (error) {
      if (!isBillingError(error, "INSUFFICIENT_CREDITS")) throw error;
      expect(error.details).toEqual({ required: 11, available: 10 });
      expect(error.httpStatus).toBe(402);
      expect(error.name).toBe("BillingClientError");
    }
    expect((await readLedger(app.sql, id)).balance).toBe(10);
  });

  it("hears of each failure the details that the types promise", async () => {
    const { id, client } = await serviceWith(10);
    const first = await client.consume(call(id, { idempotencyKey: "same" }));
    const conflict = await failureOf(client.consume(call(id, { quantity: 2, idempotencyKey: "same" })));
    expect(conflict).toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
      details: { idempotencyKey: "same", transactionId: first.transactionId },
    });
    const unknown = await failureOf(client.consume(call(id, { eventName: "none" })));
    expect(unknown).toMatchObject({ code: "UNKNOWN_EVENT", details: { eventName: "none" } });
    const invalid = await failureOf(client.consume(call(id, { quantity: 1.5 })));
    expect(invalid).toMatchObject({ code: "INVALID_INPUT", details: { issues: [{ path: "quantity" }] } });
  });

  it("hears the same from procedures that it calls by themselves", async () => {
    const { id, client } = await serviceWith(1);
    const failure = await failureOf(
      client.trpc.credits.consume.mutate({ ...call(id, { quantity: 2 }), idempotencyKey: "k" }),
    );
    expect(failure).toMatchObject({ code: "INSUFFICIENT_CREDITS", httpStatus: 402 });
    expect(billingErrorOf(new Error("something else"))).toBeNull();
  });

  it.each([
    ["nonsense", "nonsense"],
    ["a key that was never made", `bf_live_${"x".repeat(32)}`],
    ["nothing", ""],
  ])("with %s for a key is told so", async (_, apiKey) => {
    const { id } = await serviceWith(10);
    const failure = await failureOf(createBillingClient({ url: api.url, apiKey }).consume(call(id)));
    expect(failure).toMatchObject({ code: "UNAUTHENTICATED", httpStatus: 401 });
  });

  it("has no business with another organization", async () => {
    const [mine, theirs] = [await serviceWith(10), await serviceWith(10)];
    const attempts = [
      failureOf(mine.client.consume(call(theirs.id))),
      failureOf(mine.client.balance({ organizationId: theirs.id })),
      failureOf(mine.client.trpc.credits.transactions.query({ organizationId: theirs.id })),
      failureOf(mine.client.trpc.subscription.get.query({ organizationId: theirs.id })),
    ];
    for (const failure of await Promise.all(attempts)) {
      expect(failure).toMatchObject({ code: "FORBIDDEN", httpStatus: 403 });
    }
    expect((await readLedger(app.sql, theirs.id)).balance).toBe(10);
  });

  it("gives itself nothing; the platform does, once for a key", async () => {
    const { id, client } = await serviceWith(0);
    const gift = { organizationId: id, amount: 50, source: "promotion" as const, reason: "hello", idempotencyKey: "g" };
    expect(await failureOf(client.grant(gift))).toMatchObject({ code: "FORBIDDEN" });
    const platform = createBillingClient({ url: `${api.url}/`, apiKey: platformKey });
    const granted = await platform.grant(gift);
    expect(granted).toMatchObject({ available: 50, replayed: false });
    expect(await platform.grant(gift)).toEqual({ ...granted, replayed: true });
    expect(await platform.consume(call(id))).toMatchObject({ consumed: 1, available: 49 });
  });
});

describe("a try whose answer was lost", () => {
  it("after the server had done it is tried again under the same key, and takes nothing again", async () => {
    const trouble = troubled(async (attempt, send) => {
      const answer = await send();
      if (attempt <= 2) throw new TypeError("fetch failed: socket hang up");
      return answer;
    });
    const { id, client } = await serviceWith(100, { fetch: trouble.fetch });
    const answer = await client.consume(call(id, { quantity: 7 }));
    expect(answer).toMatchObject({ consumed: 7, available: 93, replayed: true });
    expect(trouble.seen).toHaveLength(3);
    expect(new Set(trouble.seen).size).toBe(1);
    expect((await expectLawfulLedger(app.sql, id)).rows.map((row) => row.amount)).toEqual([100, -7]);
  });

  it("in the middle of the answer's text is tried again too", async () => {
    const trouble = troubled(async (attempt, send) => {
      const answer = await send();
      return attempt === 1 ? new Response((await answer.text()).slice(0, 20), answer) : answer;
    });
    const { id, client } = await serviceWith(100, { fetch: trouble.fetch });
    expect(await client.consume(call(id))).toMatchObject({ consumed: 1, replayed: true });
    expect((await readLedger(app.sql, id)).balance).toBe(99);
  });

  it.each([408, 429, 502, 503, 504])("to a proxy that says %i is tried again", async (status) => {
    const trouble = troubled((attempt, send) =>
      attempt === 1 ? Promise.resolve(new Response("<html>not now</html>", { status })) : send(),
    );
    const { id, client } = await serviceWith(100, { fetch: trouble.fetch });
    expect(await client.consume(call(id))).toMatchObject({ consumed: 1, replayed: false });
    expect(trouble.seen).toHaveLength(2);
  });

  it("for ever is given up after the tries that were asked for, in the time that was asked for", async () => {
    const trouble = troubled(
      (_, __) =>
        new Promise(() => {
          // Never answers; the client's own limit ends it.
        }),
    );
    const silent: typeof fetch = (input, init) =>
      Promise.race([
        trouble.fetch(input, init),
        new Promise<never>((_, reject) => {
          init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        }),
      ]);
    const { id, client } = await serviceWith(10, { fetch: silent, timeoutMs: 100, maxRetries: 2 });
    const started = performance.now();
    expect(await failureOf(client.consume(call(id)))).toMatchObject({ code: "UNREACHABLE", httpStatus: null });
    expect(trouble.seen).toHaveLength(3);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it("of a question is tried again; of a change without a key it is not", async () => {
    const lost = troubled(async (attempt, send) => {
      if (attempt === 1) throw new TypeError("fetch failed");
      return send();
    });
    const { id, client } = await serviceWith(10, { fetch: lost.fetch });
    expect(await client.balance({ organizationId: id })).toMatchObject({ available: 10 });
    expect(lost.seen).toHaveLength(2);

    const again = troubled(async () => {
      throw new TypeError("fetch failed");
    });
    const platform = createBillingClient({ url: api.url, apiKey: platformKey, fetch: again.fetch });
    const failure = await failureOf(platform.trpc.organizations.create.mutate({ name: "Twice" }));
    expect(failure).toMatchObject({ code: "UNREACHABLE" });
    expect(again.seen).toHaveLength(1);
  });

  it("is one thing; an answer that says no is another and is not tried again", async () => {
    const trouble = troubled((_, send) => send());
    const { id, client } = await serviceWith(0, { fetch: trouble.fetch });
    expect(await failureOf(client.consume(call(id)))).toMatchObject({ code: "INSUFFICIENT_CREDITS" });
    expect(await failureOf(client.consume(call(id, { eventName: "none" })))).toMatchObject({ code: "UNKNOWN_EVENT" });
    expect(trouble.seen).toHaveLength(2);
  });
});

describe("calls of the same moment", () => {
  it("share a request, each with its own answer", async () => {
    const trouble = troubled((_, send) => send());
    const { id, client } = await serviceWith(15, { fetch: trouble.fetch });
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => client.consume(call(id))));
    expect(trouble.seen).toHaveLength(1);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(15);
    for (const result of results) {
      if (result.status === "rejected") expect(isBillingError(result.reason, "INSUFFICIENT_CREDITS")).toBe(true);
    }
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
  });

  it("share as many requests as the limit of a batch asks for", async () => {
    const trouble = troubled((_, send) => send());
    const { id, client } = await serviceWith(100, { fetch: trouble.fetch, maxBatchSize: 10 });
    await Promise.all(Array.from({ length: 25 }, () => client.consume(call(id))));
    expect(trouble.seen).toHaveLength(3);
    expect((await readLedger(app.sql, id)).balance).toBe(75);
  });

  it("whose common answer was lost take once each", async () => {
    const trouble = troubled(async (attempt, send) => {
      const answer = await send();
      if (attempt === 1) throw new TypeError("fetch failed");
      return answer;
    });
    const { id, client } = await serviceWith(100, { fetch: trouble.fetch });
    const answers = await Promise.all(Array.from({ length: 12 }, () => client.consume(call(id, { quantity: 2 }))));
    expect(answers.every((answer) => answer.replayed)).toBe(true);
    expect(new Set(answers.map((answer) => answer.transactionId)).size).toBe(12);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(76);
  });
});

describe("a service that does not know yet", () => {
  it("asks what work would cost and whether it may, and takes nothing", async () => {
    const { id, client } = await serviceWith(10);
    const question = { organizationId: id, eventName: "api_call_basic", quantity: 4 };
    expect(await client.estimate(question)).toMatchObject({ cost: 4, available: 10, remaining: 6, sufficient: true });
    expect(await client.check(question)).toMatchObject({ allowed: true, reason: null, cost: 4 });
    const check = await client.check({ ...question, quantity: 11 });
    expect(check).toMatchObject({ allowed: false, reason: "INSUFFICIENT_CREDITS" });
    expect((await readLedger(app.sql, id)).rows).toHaveLength(1);
  });

  it("works on held credits, says part by part what it used, and the rest is free again", async () => {
    const { id, client } = await serviceWith(100);
    const said = await client.withHold({ organizationId: id, amount: 50 }, async ({ hold, capture }) => {
      expect(hold.available).toBe(50);
      const first = await capture({ amount: 20 });
      const second = await capture({ eventName: "api_call_basic", quantity: 7 });
      return [first.consumed, second.consumed, second.remaining];
    });
    expect(said).toEqual([20, 7, 23]);
    expect(await client.balance({ organizationId: id })).toMatchObject({ available: 73, held: 0 });
    await expectLawfulLedger(app.sql, id);
  });

  it("and fails has nothing set aside afterwards", async () => {
    const { id, client } = await serviceWith(100);
    const failing = client.withHold({ organizationId: id, amount: 50 }, async ({ capture }) => {
      await capture({ amount: 5 });
      throw new Error("the model failed");
    });
    await expect(failing).rejects.toThrow("the model failed");
    expect(await client.balance({ organizationId: id })).toMatchObject({ available: 95, held: 0 });
  });

  it("keeps the lease of its hold while it works", async () => {
    const { id, client } = await serviceWith(100);
    const held = await client.withHold(
      { organizationId: id, amount: 50, leaseSeconds: 6 },
      async ({ hold, capture }) => {
        const question = { organizationId: id, holdId: hold.holdId };
        const isExtended = async () => {
          const { items } = await client.trpc.credits.holds.query(question);
          expect(items[0]?.leaseEndsAt.getTime()).toBeGreaterThan(hold.leaseEndsAt.getTime());
        };
        await vi.waitFor(isExtended, { timeout: 30_000, interval: 200 });
        return capture({ amount: 50 });
      },
    );
    expect(held).toMatchObject({ consumed: 50, remaining: 0 });
    await expectLawfulLedger(app.sql, id);
  });

  it("holds, extends, takes and releases by itself, each of them again where an answer was lost", async () => {
    const lost = troubled(async (attempt, send) => {
      const answer = await send();
      if (attempt % 2 === 1) throw new TypeError("fetch failed");
      return answer;
    });
    const { id, client } = await serviceWith(100, { fetch: lost.fetch });
    const { holdId, replayed } = await client.hold({ organizationId: id, amount: 30 });
    expect(replayed).toBe(true);
    await client.extend({ organizationId: id, holdId, leaseSeconds: 600 });
    expect(await client.capture({ organizationId: id, holdId, amount: 12 })).toMatchObject({
      consumed: 12,
      remaining: 18,
    });
    const released = await client.release({ organizationId: id, holdId });
    expect(released).toMatchObject({ released: 18, captured: 12, available: 88 });
    const ended = await failureOf(client.capture({ organizationId: id, holdId, amount: 1 }));
    expect(ended).toMatchObject({
      code: "HOLD_ENDED",
      details: { holdId, reason: "released", captured: 12, released: 18 },
    });
    expect(ended?.code === "HOLD_ENDED" && ended.details.endedAt).toBeInstanceOf(Date);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(88);
  });
});

describe("a collector", () => {
  it("takes for many at once, each with its own result in its own place", async () => {
    const { id, client } = await serviceWith(10);
    const [first, unknown, tooMuch, last] = await client.consumeMany([
      call(id, { quantity: 4, idempotencyKey: "a" }),
      call(id, { eventName: "none" }),
      call(id, { quantity: 7 }),
      call(id, { quantity: 4, idempotencyKey: "a" }),
    ]);
    expect(first).toMatchObject({ ok: true, consumed: 4, replayed: false });
    expect(unknown).toMatchObject({ ok: false, error: { code: "UNKNOWN_EVENT", details: { eventName: "none" } } });
    expect(tooMuch).toMatchObject({
      ok: false,
      error: { code: "INSUFFICIENT_CREDITS", details: { required: 7, available: 6 } },
    });
    expect(last).toMatchObject({ ok: true, consumed: 4, replayed: true });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(6);
  });

  it("has as many items as it likes: they go in calls that the server takes", async () => {
    const trouble = troubled((_, send) => send());
    const { id, client } = await serviceWith(2_000, { fetch: trouble.fetch });
    const results = await client.consumeMany(Array.from({ length: 1_200 }, () => call(id)));
    expect(results.filter((result) => result.ok)).toHaveLength(1_200);
    expect(trouble.seen).toHaveLength(3);
    expect((await readLedger(app.sql, id)).balance).toBe(800);
  });

  it("hears of each item that nobody answered, and that the platform's key opens every organization", async () => {
    const [a, b] = [await serviceWith(5), await serviceWith(5)];
    const platform = createBillingClient({ url: api.url, apiKey: platformKey });
    const results = await platform.consumeMany([call(a.id), call(b.id)]);
    expect(results.map((result) => result.ok)).toEqual([true, true]);
    const mine = await a.client.consumeMany([call(a.id), call(b.id)]);
    expect(mine).toMatchObject([{ ok: true }, { ok: false, error: { code: "FORBIDDEN" } }]);
    const cut = createBillingClient({
      url: api.url,
      apiKey: platformKey,
      maxRetries: 0,
      fetch: () => Promise.reject(new TypeError("fetch failed")),
    });
    expect(await cut.consumeMany([call(a.id)])).toMatchObject([
      { ok: false, error: { code: "UNREACHABLE", retryable: true } },
    ]);
  });
});

describe("a service that must go on while Billfold is away", () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  /** A line to Billfold that may be cut, before or after the request got through, and a client that fails open over it. */
  async function serviceOverALine(amount: number, spool: Partial<SpoolOptions> = {}) {
    const line = { state: "whole" as "whole" | "cut" | "deaf" };
    const folder = mkdtempSync(join(tmpdir(), "client-spool-"));
    folders.push(folder);
    const through: typeof fetch = async (input, init) => {
      if (line.state === "cut") throw new TypeError("fetch failed");
      const answer = await fetch(input, init);
      if (line.state === "deaf") throw new TypeError("fetch failed: socket hang up");
      return answer;
    };
    const { id, key } = await serviceWith(amount);
    const path = join(folder, "spool", "consumes");
    const open = () =>
      createBillingClient({
        url: api.url,
        apiKey: key,
        fetch: through,
        maxRetries: 1,
        whenUnreachable: "allow",
        spool: { path, ...spool },
      });
    return { id, line, path, folder, open, files: () => readdirSync(join(folder, "spool")) };
  }

  it("keeps what it consumes, and takes it once when Billfold is back, lost answers and a restart included", async () => {
    const { id, line, open, files } = await serviceOverALine(100);
    const client = open();
    expect(await client.consume(call(id, { idempotencyKey: "online" }))).toMatchObject({ consumed: 1 });
    line.state = "cut";
    const spooled = await client.consume(call(id, { quantity: 5, idempotencyKey: "away" }));
    expect(spooled).toEqual({ spooled: true, organizationId: id, idempotencyKey: "away" });
    // This one is done, but nobody hears so: the replay must not take it again.
    line.state = "deaf";
    expect(await client.consume(call(id, { quantity: 7, idempotencyKey: "unheard" }))).toMatchObject({ spooled: true });
    line.state = "cut";
    expect((await readLedger(app.sql, id)).balance).toBe(92);
    await client.close();

    line.state = "whole";
    const next = open();
    expect(await next.spool?.drain()).toBe(true);
    expect(files()).toEqual([]);
    const { rows, balance } = await expectLawfulLedger(app.sql, id);
    expect(rows.map((row) => row.amount)).toEqual([100, -1, -7, -5]);
    expect(balance).toBe(87);
    await next.close();
  });

  it("sends what it kept by itself as soon as a call gets through", async () => {
    const { id, line, open } = await serviceOverALine(100);
    const client = open();
    line.state = "cut";
    await Promise.all(Array.from({ length: 20 }, () => client.consume(call(id))));
    line.state = "whole";
    expect(await client.consume(call(id))).toMatchObject({ consumed: 1 });
    await vi.waitFor(async () => expect((await readLedger(app.sql, id)).balance).toBe(79), { timeout: 20_000 });
    await client.close();
    await expectLawfulLedger(app.sql, id);
  });

  it("keeps each of many, and what it kept is taken once", async () => {
    const { id, line, open } = await serviceOverALine(100);
    const client = open();
    line.state = "deaf";
    const items = Array.from({ length: 10 }, (_, n) => call(id, { quantity: 2, idempotencyKey: `item ${n}` }));
    const results = await client.consumeMany(items);
    expect(results.every((result) => result.ok && result.spooled)).toBe(true);
    line.state = "whole";
    await vi.waitFor(async () => expect(await client.spool?.drain()).toBe(true), { timeout: 20_000 });
    expect(await client.consumeMany(items.slice(0, 1))).toMatchObject([{ ok: true, replayed: true }]);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(80);
    await client.close();
  });

  it("is refused as ever while Billfold answers: what is missing is not kept", async () => {
    const { id, open, folder } = await serviceOverALine(3);
    const client = open();
    expect(await failureOf(client.consume(call(id, { quantity: 4 })))).toMatchObject({ code: "INSUFFICIENT_CREDITS" });
    expect(await failureOf(client.consume(call(id, { eventName: "none" })))).toMatchObject({ code: "UNKNOWN_EVENT" });
    expect(existsSync(join(folder, "spool"))).toBe(false);
    await client.close();
  });

  it("hears of what could not be paid afterwards, and finds it in the dead file", async () => {
    const refused: unknown[] = [];
    const { id, line, path, open } = await serviceOverALine(10, {
      onRefused: (consume, failure) => refused.push([consume.idempotencyKey, failure.code, failure.details]),
    });
    const client = open();
    line.state = "cut";
    await client.consume(call(id, { quantity: 8, idempotencyKey: "paid" }));
    await client.consume(call(id, { quantity: 8, idempotencyKey: "unpaid" }));
    line.state = "whole";
    await vi.waitFor(async () => expect(await client.spool?.drain()).toBe(true), { timeout: 20_000 });
    expect(refused).toEqual([["unpaid", "INSUFFICIENT_CREDITS", { required: 8, available: 2 }]]);
    expect(JSON.parse(readFileSync(`${path}.dead`, "utf8"))).toMatchObject({ consume: { idempotencyKey: "unpaid" } });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(2);
    await client.close();
  });

  it("fails closed once its spool is full", async () => {
    const { id, line, open } = await serviceOverALine(10, { maxBytes: 600 });
    const client = open();
    line.state = "cut";
    await client.consume(call(id));
    const failure = await failureOf(client.consume(call(id, { metadata: { note: "x".repeat(500) } })));
    expect(failure).toMatchObject({ code: "UNREACHABLE", cause: { message: "The spool is full." } });
    await client.close();
  });
});
