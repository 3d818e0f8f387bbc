// The ledger page by page: what is looked for is meant literally, a time is a number, and no page is slower for its depth.
import { performance } from "node:perf_hooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { createApiKey } from "~/server/billing/api-keys";
import { consumeCredits, grantCredits } from "~/server/billing/credits";
import { holdCredits } from "~/server/billing/holds";
import { asPlatform } from "~/server/db";
import { addLot, callAs, openLedger } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { createMember, createPerson, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

type Query = Parameters<ReturnType<typeof callAs>["credits"]["transactions"]>[0];
const list = (organizationId: string, query: Omit<Query, "organizationId"> = {}) =>
  callAs(serviceOf(organizationId)).credits.transactions({ organizationId, ...query });

describe("what is looked for", () => {
  it("is meant literally: signs that stand for others in a pattern are only themselves", async () => {
    const { id: organizationId } = await createTenant();
    const reasons = ["100% off", "1000 off", "a_b", "axb", "back\\slash", "back slash"];
    for (const [index, reason] of reasons.entries()) {
      const gift = { amount: toCredits(1), source: "promotion", reason, expiresAt: null } as const;
      await grantCredits({ organizationId, ...gift, idempotencyKey: `g${index}`, actor: "test", now: NOW });
    }
    const found = async (search: string) => (await list(organizationId, { search })).items.map((item) => item.reason);
    expect(await found("100%")).toEqual(["100% off"]);
    expect(await found("%")).toEqual(["100% off"]);
    expect(await found("A_B")).toEqual(["a_b"]);
    expect(await found("_")).toEqual(["a_b"]);
    expect(await found("back\\")).toEqual(["back\\slash"]);
    expect(await found("OFF")).toEqual(["1000 off", "100% off"]);
    expect(await found("g3")).toEqual(["axb"]);
  });
});

describe("a range of time", () => {
  it("has its beginning and not its end, with a cursor and a type as well", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 100 });
    for (let minute = 1; minute <= 6; minute++) {
      const request = { organizationId, eventName: "api_call_basic", quantity: minute, actor: "test" };
      await consumeCredits({ ...request, idempotencyKey: `k${minute}`, now: minutesLater(minute) });
    }
    const between = { from: minutesLater(2), to: minutesLater(5) };
    const first = await list(organizationId, { ...between, limit: 2 });
    expect(first.items.map((item) => item.quantity)).toEqual([4, 3]);
    const second = await list(organizationId, { ...between, limit: 2, cursor: first.nextCursor });
    expect([second.items.map((item) => item.quantity), second.nextCursor]).toEqual([[2], null]);
    expect((await list(organizationId, { from: minutesLater(6) })).items).toHaveLength(1);
    expect((await list(organizationId, { to: NOW })).items).toEqual([]);
    expect((await list(organizationId, { from: minutesLater(7) })).items).toEqual([]);
    expect((await list(organizationId, { ...between, type: "purchase" })).items).toEqual([]);
  });
});

describe("a row", () => {
  it("says what it set aside, and what it was for", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 100 });
    const hold = { amount: toCredits(30), leaseSeconds: 60, eventName: "ai_inference", project: "site" };
    await holdCredits({ organizationId, ...hold, idempotencyKey: "h", actor: "test", now: NOW });
    const [row] = (await list(organizationId)).items;
    expect(row).toMatchObject({ type: "hold", amount: 0, held: 30, debt: 0, reference: null, project: "site" });
  });

  it("says who caused it: a key, a person by name, Billfold or the platform, never an id", async () => {
    const { id: organizationId, owner } = await createTenant();
    const { id: apiKeyId } = await createApiKey({ organizationId, name: "batch", createdById: null, now: NOW });
    const member = await createMember(organizationId, "member");
    await asPlatform(async (tx) => {
      await tx.user.update({ where: { id: owner.userId }, data: { name: "Mara Lindqvist" } });
      await tx.user.update({ where: { id: member.userId }, data: { name: null } });
    });
    const stranger = await createPerson();
    const causes: { actor: string; apiKeyId?: string; by: string }[] = [
      { actor: `key:${apiKeyId}`, apiKeyId, by: "batch" },
      { actor: `user:${owner.userId}`, by: "Mara Lindqvist" },
      { actor: `user:${member.userId}`, by: member.email },
      { actor: `user:${stranger.userId}`, by: "A person" },
      { actor: "billfold", by: "Billfold" },
      { actor: "key:00000000-0000-7000-8000-00000000000f", by: "Platform" },
    ];
    for (const [index, { by: _, ...cause }] of causes.entries()) {
      const gift = { amount: toCredits(1), source: "promotion", reason: "welcome", expiresAt: null } as const;
      await grantCredits({ organizationId, ...gift, ...cause, idempotencyKey: `by${index}`, now: NOW });
    }
    const { items } = await list(organizationId);
    expect(items.map((item) => item.by).reverse()).toEqual(causes.map(({ by }) => by));
  });
});

describe("a page at depth 200,000", () => {
  it("reads as little as the first", { timeout: 120_000 }, async () => {
    const { id: organizationId } = await createTenant();
    await app.sql(
      `INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key, request_hash, actor, created_at)
       SELECT $1, n, gen_random_uuid(), 'adjustment', 1, n, n, 'billing', 'bulk:' || n, '', 'test', $2::timestamptz + n * interval '1 second'
       FROM generate_series(1, 210000) AS n`,
      [organizationId, NOW],
    );
    await app.sql("ANALYZE credit_transactions");
    const time = async (cursor: number | null) => {
      const began = performance.now();
      const page = await list(organizationId, { cursor, limit: 50 });
      expect(page.items).toHaveLength(50);
      return performance.now() - began;
    };
    const first: number[] = [];
    const deep: number[] = [];
    for (let round = 0; round < 15; round++) {
      first.push(await time(null));
      deep.push(await time(10_001));
    }
    const median = (times: number[]) => times.sort((a, b) => a - b)[7] ?? 0;
    // By what is read they are the same; the allowance is this machine's noise.
    expect(median(deep) / median(first)).toBeLessThan(2);
    const plan = await app.sql<{ "QUERY PLAN": string }>(
      "EXPLAIN SELECT * FROM credit_transactions WHERE organization_id = $1 AND seq < 10001 ORDER BY seq DESC LIMIT 51",
      [organizationId],
    );
    expect(plan.map((line) => line["QUERY PLAN"]).join("\n")).toContain(
      "Index Scan Backward using credit_transactions_pkey",
    );
  });
});
