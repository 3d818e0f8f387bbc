// Consuming: what is taken from where, once, by however many callers; and everything that takes nothing.
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { consumeCredits, expireLots } from "~/server/billing/credits";
import { setBurnOrder } from "~/server/billing/organizations";
import { getTransaction } from "~/server/billing/transactions";
import { asPlatform, disconnect } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM, readLedger } from "../setup/billing";
import { codeOf, createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

type Change = Partial<Parameters<typeof consumeCredits>[0]>;

let keys = 0;
const take = (organizationId: string, change: Change = {}) =>
  consumeCredits({
    organizationId,
    eventName: "api_call_basic",
    quantity: 1,
    idempotencyKey: `key ${++keys}`,
    actor: "test",
    now: NOW,
    ...change,
  });

async function tenantWith(amount: number): Promise<string> {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount });
  return id;
}

async function addEvent(name: string, cost: number, active = true): Promise<string> {
  const id = newId(NOW);
  await asPlatform((tx) =>
    tx.creditEvent.create({
      data: {
        id,
        name,
        description: name,
        category: "Test",
        cost: BigInt(cost),
        active,
        createdAt: NOW,
        updatedAt: NOW,
      },
    }),
  );
  return id;
}

describe("the order in which lots are spent", () => {
  async function tenantWithLots() {
    const { id } = await createTenant();
    const late = await addLot({
      organizationId: id,
      amount: 10,
      source: "subscription",
      expiresAt: minutesLater(90),
      at: minutesLater(-4),
    });
    const soon = await addLot({
      organizationId: id,
      amount: 10,
      source: "promotion",
      expiresAt: minutesLater(30),
      at: minutesLater(-3),
    });
    const younger = await addLot({ organizationId: id, amount: 10, at: minutesLater(-1) });
    const older = await addLot({ organizationId: id, amount: 10, at: minutesLater(-2) });
    return { id, late, soon, younger, older };
  }

  it("is purchased first, oldest first, then what expires soonest", async () => {
    const { id, late, soon, younger, older } = await tenantWithLots();
    const first = await take(id, { quantity: 15 });
    expect(first.allocations).toEqual([
      { grantId: older, source: "purchase", amount: 10 },
      { grantId: younger, source: "purchase", amount: 5 },
    ]);
    expect(first).toMatchObject({ consumed: 15, available: 25, replayed: false });
    const second = await take(id, { quantity: 20 });
    expect(second.allocations).toEqual([
      { grantId: younger, source: "purchase", amount: 5 },
      { grantId: soon, source: "promotion", amount: 10 },
      { grantId: late, source: "subscription", amount: 5 },
    ]);
    await expectLawfulLedger(app.sql, id);
  });

  it("is what expires soonest first where the organization chose so, from the next take on", async () => {
    const { id, late, soon, younger, older } = await tenantWithLots();
    expect((await take(id, { quantity: 2 })).allocations.map((part) => part.grantId)).toEqual([older]);
    await setBurnOrder({ organizationId: id, burnOrder: "expiring_first" });
    const { allocations, transactionId } = await take(id, { quantity: 29 });
    expect(allocations.map((part) => [part.grantId, part.amount])).toEqual([
      [soon, 10],
      [late, 10],
      [older, 8],
      [younger, 1],
    ]);
    const detail = await getTransaction(id, transactionId);
    expect(detail.queue.map((lot) => [lot.grantId, lot.before, lot.moved])).toEqual([
      [soon, 10, -10],
      [late, 10, -10],
      [older, 8, -8],
      [younger, 10, -1],
    ]);
    await expectLawfulLedger(app.sql, id);
  });
});

describe("many callers at once", () => {
  it("take exactly the hundred credits that are there, and the others hear what was missing", async () => {
    const id = await tenantWith(60);
    await addLot({ organizationId: id, amount: 40, source: "subscription", expiresAt: minutesLater(60) });
    const results = await Promise.allSettled(Array.from({ length: 200 }, () => take(id)));
    expect(outcomes(results)).toEqual({ ok: 100, INSUFFICIENT_CREDITS: 100 });
    for (const result of results) {
      if (result.status === "rejected") {
        expect(result.reason).toMatchObject({ details: { required: 1, available: 0 } });
      }
    }
    const left = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.available] : []));
    expect(left.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    const ledger = await expectLawfulLedger(app.sql, id);
    expect(ledger.balance).toBe(0);
    expect(ledger.rows).toHaveLength(102);
  });

  it("of different organizations do not touch one another's credits", async () => {
    const ids = await Promise.all(Array.from({ length: 5 }, () => tenantWith(10)));
    const results = await Promise.allSettled(
      ids.flatMap((id) => Array.from({ length: 12 }, (_, index) => take(id, { idempotencyKey: `same ${index}` }))),
    );
    expect(outcomes(results)).toEqual({ ok: 50, INSUFFICIENT_CREDITS: 10 });
    for (const id of ids) expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
  });

  it("who need more than what is left do not stop those who need less", async () => {
    const id = await tenantWith(10);
    const results = await Promise.allSettled([
      ...Array.from({ length: 10 }, () => take(id, { quantity: 7 })),
      ...Array.from({ length: 10 }, () => take(id, { quantity: 1 })),
    ]);
    const { balance } = await expectLawfulLedger(app.sql, id);
    const taken = results.reduce((sum, result) => sum + (result.status === "fulfilled" ? result.value.consumed : 0), 0);
    expect(taken).toBe(10 - balance);
    expect(balance).toBe(0);
  });
});

describe("an idempotency key", () => {
  it("sent fifty times at once takes once and gives the first answer to all", async () => {
    const id = await tenantWith(100);
    await addLot({ organizationId: id, amount: 50, source: "subscription", expiresAt: minutesLater(60) });
    const request = { quantity: 120, idempotencyKey: "the one", metadata: { job: "a" } };
    const answers = await Promise.all(Array.from({ length: 50 }, () => take(id, request)));
    expect(answers.filter((answer) => answer.replayed)).toHaveLength(49);
    const [first] = answers;
    for (const answer of answers) expect({ ...answer, replayed: false }).toEqual({ ...first, replayed: false });
    expect(first).toMatchObject({ consumed: 120, available: 30 });
    expect(first?.allocations.map((part) => part.amount)).toEqual([100, 20]);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(30);
  });

  it("stands for its request: another quantity, event or metadata under it is a conflict and takes nothing", async () => {
    const id = await tenantWith(100);
    const request = { quantity: 3, idempotencyKey: "mine", metadata: { a: 1, b: "x" } };
    await take(id, request);
    for (const change of [
      { quantity: 4 },
      { eventName: "api_call_premium" },
      { eventName: "no_such_event" },
      { metadata: { a: 1, b: "y" } },
      { metadata: { a: "1", b: "x" } },
      { metadata: undefined },
    ]) {
      expect(await take(id, { ...request, ...change }).catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect(await take(id, { ...request, metadata: { b: "x", a: 1 } })).toMatchObject({ replayed: true });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(97);
  });

  it("with different bodies at once: one of them takes, every other one is a conflict", async () => {
    const id = await tenantWith(1000);
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) => take(id, { quantity: index + 1, idempotencyKey: "fought over" })),
    );
    expect(outcomes(results)).toEqual({ ok: 1, IDEMPOTENCY_CONFLICT: 19 });
    expect((await expectLawfulLedger(app.sql, id)).rows).toHaveLength(2);
  });

  it("gives the first answer after a restart, when credits are gone, the event is dearer and then switched off", async () => {
    const id = await tenantWith(10);
    const event = await addEvent("short_lived", 2);
    const request = { eventName: "short_lived", quantity: 2, idempotencyKey: "before the restart" };
    const first = await take(id, request);
    await take(id, { quantity: 6 });
    await asPlatform((tx) => tx.creditEvent.update({ where: { id: event }, data: { cost: 5n, active: false } }));
    await disconnect();
    vi.resetModules();
    const fresh = await import("~/server/billing/credits");
    expect(fresh.consumeCredits).not.toBe(consumeCredits);
    const again = await fresh.consumeCredits({ organizationId: id, actor: "test", now: minutesLater(600), ...request });
    expect(again).toEqual({ ...first, replayed: true });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
  });

  it("whose first try was refused is free for the next one", async () => {
    const id = await tenantWith(1);
    const request = { quantity: 5, idempotencyKey: "again" };
    expect(await take(id, request).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    await addLot({ organizationId: id, amount: 9 });
    expect(await take(id, request)).toMatchObject({ replayed: false, consumed: 5, available: 5 });
  });

  it("is the organization's own: another one's same key is another unit of work", async () => {
    const [a, b] = [await tenantWith(5), await tenantWith(5)];
    const first = await take(a, { idempotencyKey: "shared" });
    const second = await take(b, { idempotencyKey: "shared" });
    expect(second.replayed).toBe(false);
    expect(second.transactionId).not.toBe(first.transactionId);
  });

  it("cannot be mistaken for a key of Billfold's own", async () => {
    const { id } = await createTenant();
    const lot = await addLot({ organizationId: id, amount: 5, expiresAt: minutesLater(1) });
    await take(id, { idempotencyKey: `expiry:${lot}` });
    expect(await expireLots(id, minutesLater(2))).toBe(1);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(0);
  });
});

describe("what an event costs", () => {
  it("is kept in each row as it was when the row was made, while the catalogue is edited", async () => {
    const id = await tenantWith(100_000);
    const event = await addEvent("edited", 1);
    let stop = false;
    const editing = (async () => {
      for (let cost = 2; !stop; cost++) {
        await asPlatform((tx) =>
          tx.creditEvent.update({ where: { id: event }, data: { cost: BigInt(cost), version: { increment: 1 } } }),
        );
      }
    })();
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 10 }, () => take(id, { eventName: "edited", quantity: 3 })));
    }
    stop = true;
    await editing;
    const rows = await app.sql<{ cost: number; version: number; amount: number }>(
      `SELECT unit_cost::float8 AS cost, event_version AS version, amount::float8 AS amount
       FROM credit_transactions WHERE organization_id = $1 AND type = 'consume' ORDER BY seq`,
      [id],
    );
    expect(rows).toHaveLength(100);
    for (const row of rows) {
      expect(row.cost).toBe(row.version);
      expect(row.amount).toBe(-3 * row.cost);
    }
    expect(new Set(rows.map((row) => row.cost)).size).toBeGreaterThan(1);
    await expectLawfulLedger(app.sql, id);
  });

  it("is the organization's own cost where it has one, and nobody else's", async () => {
    const [id, other] = [await tenantWith(100), await tenantWith(100)];
    const event = await asPlatform((tx) => tx.creditEvent.findUniqueOrThrow({ where: { name: "ai_inference" } }));
    await asPlatform((tx) =>
      tx.creditEventOverride.create({ data: { organizationId: id, eventId: event.id, cost: 7n, createdAt: NOW } }),
    );
    expect(await take(id, { eventName: "ai_inference", quantity: 2 })).toMatchObject({ consumed: 14 });
    expect(await take(other, { eventName: "ai_inference", quantity: 2 })).toMatchObject({ consumed: 50 });
    const costs = await callAs(PLATFORM).creditEvents.list({ organizationId: id });
    expect(costs.find((row) => row.name === "ai_inference")?.cost).toBe(7);
    expect((await callAs(null).creditEvents.list()).find((row) => row.name === "ai_inference")?.cost).toBe(25);
  });
});

describe("what cannot be taken", () => {
  const consume = (input: object) => callAs(PLATFORM).credits.consume(input as never);

  /** Both doors: the procedure, as services come in, and the use-case behind it. */
  async function expectRefusal(organizationId: string, change: object, code: string, doors = { useCase: true }) {
    const before = await readLedger(app.sql, organizationId);
    const request = { organizationId, eventName: "api_call_basic", quantity: 1, idempotencyKey: `refused ${++keys}` };
    const failure = await consume({ ...request, ...change }).catch((error: unknown) => error);
    const isInput = (failure as { code?: string }).code === "BAD_REQUEST";
    expect(code === "INVALID_INPUT" && isInput ? "INVALID_INPUT" : codeOf(failure)).toBe(code);
    if (doors.useCase) expect(await take(organizationId, change).catch(codeOf)).toBe(code);
    expect(await readLedger(app.sql, organizationId)).toEqual(before);
  }

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e300, 2 ** 53, "5", null, [1]])(
    "a quantity of %j",
    async (quantity) => {
      await expectRefusal(await tenantWith(1000), { quantity }, "INVALID_INPUT");
    },
  );

  it("a quantity whose cost leaves the safe integers", async () => {
    const id = await tenantWith(1000);
    const quantity = Math.floor(Number.MAX_SAFE_INTEGER / 25) + 1;
    await expectRefusal(id, { eventName: "ai_inference", quantity }, "INVALID_INPUT");
    // One less is exact, and only too much.
    await expectRefusal(id, { eventName: "ai_inference", quantity: quantity - 1 }, "INSUFFICIENT_CREDITS");
  });

  it("an event that is unknown, switched off, or not quite named", async () => {
    const id = await tenantWith(1000);
    await addEvent("switched_off", 1, false);
    await expectRefusal(id, { eventName: "nonsense" }, "UNKNOWN_EVENT");
    await expectRefusal(id, { eventName: "API_CALL_BASIC" }, "UNKNOWN_EVENT");
    await expectRefusal(id, { eventName: "' OR 1=1 --" }, "UNKNOWN_EVENT");
    await expectRefusal(id, { eventName: "switched_off" }, "INACTIVE_EVENT");
    await expectRefusal(id, { eventName: "" }, "INVALID_INPUT", { useCase: false });
    await expectRefusal(id, { eventName: "x".repeat(101) }, "INVALID_INPUT", { useCase: false });
  });

  it.each([
    ["of ten kilobytes", "k".repeat(10_000)],
    ["that is empty", ""],
    ["with a NUL", "a\u0000b"],
    ["with half a character", "a\ud800"],
    ["that is no text", 7],
  ])("under a key %s", async (_, idempotencyKey) => {
    await expectRefusal(await tenantWith(10), { idempotencyKey }, "INVALID_INPUT", { useCase: false });
  });

  it.each([
    ["of a megabyte in one value", { text: "m".repeat(1_000_000) }],
    ["of a megabyte in one key", { ["k".repeat(1_000_000)]: 1 }],
    [
      "of many values that are too much together",
      Object.fromEntries([1, 2, 3, 4, 5].map((i) => [i, "v".repeat(1999)])),
    ],
    ["with more than fifty keys", Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`key${i}`, i]))],
    ["with an object inside", { deep: { er: 1 } }],
    ["with a list inside", { list: [1] }],
    ["with a NUL", { text: "a\u0000b" }],
    ["with half a character", { text: "cut \ud83d" }],
    ["with half a character in a key", { "\ud83d": 1 }],
    ["with a name that no answer can have", { prototype: 1 }],
    ["with the name of what makes an object", { constructor: "x" }],
    ["that is a list", [1]],
    ["that is text", "hello"],
  ])("with metadata %s", async (_, metadata) => {
    await expectRefusal(await tenantWith(10), { metadata }, "INVALID_INPUT", { useCase: false });
  });

  it("by an organization that does not exist, or was deleted", async () => {
    await expect(take("00000000-0000-7000-8000-00000000dead")).rejects.toMatchObject({ code: "NOT_FOUND" });
    const id = await tenantWith(10);
    await asPlatform((tx) => tx.organization.update({ where: { id }, data: { deletedAt: NOW } }));
    await expectRefusal(id, {}, "NOT_FOUND");
  });

  it("more than is there: the answer says how much is needed and how much there is", async () => {
    const id = await tenantWith(10);
    await expect(take(id, { eventName: "api_call_premium", quantity: 3 })).rejects.toMatchObject({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 15, available: 10 },
    });
    expect((await readLedger(app.sql, id)).balance).toBe(10);
  });
});

describe("metadata within its limits", () => {
  it("is kept as it was sent", async () => {
    const id = await tenantWith(10);
    const metadata = { model: "vision-2", tokens: 1234.5, cached: true, parent: null, emoji: "🪙", __proto__x: "y" };
    const { transactionId } = await callAs(PLATFORM).credits.consume({
      organizationId: id,
      eventName: "api_call_basic",
      quantity: 1,
      idempotencyKey: "k".repeat(255),
      metadata,
    });
    expect((await getTransaction(id, transactionId)).metadata).toEqual(metadata);
  });
});
