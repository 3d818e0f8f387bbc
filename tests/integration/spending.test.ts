// Many takes in one call, and what a take would do: estimates and checks say what the take itself then does.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBudget } from "~/server/billing/budgets";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM, readLedger } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { codeOf, createMember, createPerson, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

let keys = 0;
const key = () => `key ${++keys}`;

async function tenantWith(amount: number): Promise<string> {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount });
  return id;
}

type Many = Parameters<ReturnType<typeof callAs>["credits"]["consumeMany"]>[0];

/** Each result as its code, or what was taken. */
const said = (results: Awaited<ReturnType<ReturnType<typeof callAs>["credits"]["consumeMany"]>>) =>
  results.map((result) => (result.ok ? result.consumed : result.error.code));

const item = (quantity: number, change: object = {}) => ({
  eventName: "api_call_basic",
  quantity,
  idempotencyKey: key(),
  ...change,
});

describe("many takes in one call", () => {
  it("have each its own result, in their order; one that is wrong fails by itself", async () => {
    const id = await tenantWith(100);
    const twice = item(3);
    const items = [
      item(10),
      item(0),
      item(200),
      item(1, { eventName: "nonsense" }),
      { ...item(1), idempotencyKey: "k".repeat(10_000) },
      twice,
      twice,
      { ...twice, quantity: 4 },
      "not an item",
      null,
      item(5, { metadata: { deep: { er: 1 } } }),
      item(7, { organizationId: "not an id" }),
      item(20, { project: "alpha", metadata: { line: 4 } }),
    ] as Many["items"];
    const results = await callAs(serviceOf(id)).credits.consumeMany({ organizationId: id, items });
    expect(said(results)).toEqual([
      10,
      "INVALID_INPUT",
      "INSUFFICIENT_CREDITS",
      "UNKNOWN_EVENT",
      "INVALID_INPUT",
      3,
      3,
      "IDEMPOTENCY_CONFLICT",
      "INVALID_INPUT",
      "INVALID_INPUT",
      "INVALID_INPUT",
      "INVALID_INPUT",
      20,
    ]);
    expect(results[1]).toMatchObject({ error: { details: { issues: [{ path: "quantity" }] } } });
    expect(results[2]).toMatchObject({ error: { details: { required: 200, available: 90 } } });
    expect([results[5], results[6]]).toMatchObject([{ replayed: false }, { replayed: true }]);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(67);
    const again = await callAs(serviceOf(id)).credits.consumeMany({
      organizationId: id,
      items: [items[0], items[12]] as Many["items"],
    });
    expect(again).toMatchObject([
      { ok: true, consumed: 10, replayed: true },
      { ok: true, consumed: 20, replayed: true },
    ]);
  });

  it("of several organizations are for the platform: access is asked for each", async () => {
    const [a, b] = [await tenantWith(10), await tenantWith(20)];
    const deleted = await tenantWith(30);
    await asPlatform((tx) => tx.organization.update({ where: { id: deleted }, data: { deletedAt: NOW } }));
    const nowhere = "00000000-0000-7000-8000-00000000dead";
    const items = () => [a, b, deleted, nowhere].map((organizationId) => item(5, { organizationId })) as Many["items"];
    expect(said(await callAs(PLATFORM).credits.consumeMany({ items: items() }))).toEqual([
      5,
      5,
      "NOT_FOUND",
      "NOT_FOUND",
    ]);
    expect(said(await callAs(serviceOf(a)).credits.consumeMany({ items: items() }))).toEqual([
      5,
      "FORBIDDEN",
      "FORBIDDEN",
      "FORBIDDEN",
    ]);
    const member = await createMember(b, "member");
    expect(said(await callAs(member).credits.consumeMany({ items: items() }))).toEqual([
      "NOT_FOUND",
      5,
      "NOT_FOUND",
      "NOT_FOUND",
    ]);
    const billing = await createMember(b, "billing");
    expect(said(await callAs(billing).credits.consumeMany({ items: items() }))[1]).toBe("FORBIDDEN");
    const admin = await createPerson({ isPlatformAdmin: true });
    expect(said(await callAs(admin).credits.consumeMany({ items: items() }))).toEqual([
      "INSUFFICIENT_CREDITS",
      5,
      "NOT_FOUND",
      "NOT_FOUND",
    ]);
    expect(said(await callAs(PLATFORM).credits.consumeMany({ items: [item(1)] as Many["items"] }))).toEqual([
      "INVALID_INPUT",
    ]);
    expect((await expectLawfulLedger(app.sql, a)).balance).toBe(0);
    expect((await expectLawfulLedger(app.sql, b)).balance).toBe(5);
  });

  it("are five hundred at the most and one at the least, and need somebody who calls", async () => {
    const id = await tenantWith(1000);
    const { credits } = callAs(serviceOf(id));
    const many = (count: number) => Array.from({ length: count }, () => item(1)) as Many["items"];
    const code = (error: { code: string }) => error.code;
    expect(await credits.consumeMany({ organizationId: id, items: [] }).catch(code)).toBe("BAD_REQUEST");
    expect(await credits.consumeMany({ organizationId: id, items: many(501) }).catch(code)).toBe("BAD_REQUEST");
    expect(
      await callAs(null)
        .credits.consumeMany({ organizationId: id, items: many(1) })
        .catch(codeOf),
    ).toBe("UNAUTHENTICATED");
    const results = await credits.consumeMany({ organizationId: id, items: many(500) });
    expect(results.every((result) => result.ok)).toBe(true);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(500);
  });
});

describe("an estimate", () => {
  it("says what the take then takes, of which lots, and leaves everything as it is", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 40, source: "promotion", expiresAt: minutesLater(60) });
    await addLot({ organizationId: id, amount: 30 });
    const { credits } = callAs(serviceOf(id));
    const usage = { organizationId: id, eventName: "api_call_premium", quantity: 9 };
    const before = await readLedger(app.sql, id);
    const estimate = await credits.estimate(usage);
    expect(await readLedger(app.sql, id)).toEqual(before);
    expect(estimate).toMatchObject({
      cost: 45,
      unitCost: 5,
      perUnits: 1,
      rateVersion: 1,
      available: 70,
      remaining: 25,
      sufficient: true,
      budget: null,
    });
    const taken = await credits.consume({ ...usage, idempotencyKey: key() });
    expect(taken.allocations).toEqual(estimate.allocations);
    expect(taken).toMatchObject({ consumed: estimate.cost, available: estimate.remaining });
    expect(await credits.estimate(usage)).toMatchObject({
      cost: 45,
      available: 25,
      remaining: null,
      sufficient: false,
      allocations: [],
    });
    expect(await credits.estimate({ ...usage, eventName: "nonsense" }).catch(codeOf)).toBe("UNKNOWN_EVENT");
  });

  it("goes by the organization's own rate, by fractions of a credit, and by the rate's date", async () => {
    const id = await tenantWith(100);
    const eventId = newId(NOW);
    await asPlatform(async (tx) => {
      const texts = { name: "tokens", description: "", category: "AI", createdAt: NOW, updatedAt: NOW };
      await tx.creditEvent.create({ data: { id: eventId, ...texts, cost: 3n, perUnits: 1000n } });
      const rate = {
        id: newId(NOW),
        eventId,
        cost: 5n,
        perUnits: 1000n,
        version: 2,
        createdBy: "test",
        createdAt: NOW,
      };
      await tx.creditEventRate.create({ data: { ...rate, effectiveFrom: minutesLater(10) } });
    });
    const usage = { organizationId: id, eventName: "tokens", quantity: 1001 };
    const at = (minutes: number) => callAs(serviceOf(id), minutesLater(minutes)).credits;
    expect(await at(0).estimate(usage)).toMatchObject({ cost: 4, unitCost: 3, perUnits: 1000, rateVersion: 1 });
    expect(await at(10).estimate(usage)).toMatchObject({ cost: 6, unitCost: 5, perUnits: 1000, rateVersion: 2 });
    const own = { organizationId: id, eventId, cost: 1n, perUnits: 2000n, createdAt: NOW };
    await asPlatform((tx) => tx.creditEventOverride.create({ data: own }));
    expect(await at(10).estimate(usage)).toMatchObject({ cost: 1, unitCost: 1, perUnits: 2000 });
    expect(await at(10).consume({ ...usage, idempotencyKey: key() })).toMatchObject({ consumed: 1 });
  });

  it("names the budget that would refuse", async () => {
    const id = await tenantWith(100);
    const budget = { organizationId: id, scope: "project", subject: "alpha", window: "day", limit: 10 } as const;
    const { id: budgetId } = await createBudget({ ...budget, actor: "test", now: NOW });
    const { credits } = callAs(serviceOf(id));
    const usage = { organizationId: id, eventName: "api_call_basic", quantity: 11, project: "alpha" };
    expect(await credits.estimate(usage)).toMatchObject({
      sufficient: true,
      remaining: 89,
      budget: { budgetId, limit: 10, used: 0, required: 11 },
    });
    expect(await credits.estimate({ ...usage, project: "beta" })).toMatchObject({ budget: null });
  });
});

describe("a check", () => {
  it("says what the take would say, and takes nothing", async () => {
    const id = await tenantWith(100);
    const data = { category: "Test", cost: 1n, createdAt: NOW, updatedAt: NOW, description: "" };
    await asPlatform((tx) =>
      tx.creditEvent.createMany({
        data: [
          { ...data, id: newId(NOW), name: "off", active: false },
          { ...data, id: newId(NOW), name: "tomorrow", activeFrom: minutesLater(1440) },
        ],
      }),
    );
    const budget = { organizationId: id, scope: "project", subject: "alpha", window: "month", limit: 10 } as const;
    await createBudget({ ...budget, actor: "test", now: NOW });
    const { credits } = callAs(serviceOf(id));
    const usage = { organizationId: id, eventName: "api_call_basic", quantity: 1 };
    for (const [change, reason] of [
      [{}, null],
      [{ quantity: 100 }, null],
      [{ quantity: 101 }, "INSUFFICIENT_CREDITS"],
      [{ project: "alpha", quantity: 11 }, "BUDGET_EXCEEDED"],
      [{ project: "alpha", quantity: 10 }, null],
      [{ eventName: "nonsense" }, "UNKNOWN_EVENT"],
      [{ eventName: "off" }, "INACTIVE_EVENT"],
      [{ eventName: "tomorrow" }, "INACTIVE_EVENT"],
    ] as const) {
      const before = await readLedger(app.sql, id);
      const check = await credits.check({ ...usage, ...change });
      expect(await readLedger(app.sql, id)).toEqual(before);
      expect(check).toMatchObject({ allowed: reason === null, reason, available: 100 });
      if (reason === null) continue;
      const refusal = await credits
        .consume({ ...usage, ...change, idempotencyKey: key() })
        .catch((error) => error.cause);
      expect(refusal).toMatchObject({ code: reason, details: check.details });
    }
    expect(await credits.check({ ...usage, eventName: "nonsense" })).toMatchObject({ cost: null });
    expect(await credits.check({ ...usage, quantity: 7 })).toMatchObject({ cost: 7, details: {} });
    expect(
      await callAs(serviceOf(id), minutesLater(1440)).credits.check({ ...usage, eventName: "tomorrow" }),
    ).toMatchObject({ allowed: true });
    await app.sql("UPDATE credit_accounts SET suspended_at = $2, version = version + 1 WHERE organization_id = $1", [
      id,
      NOW,
    ]);
    expect(await credits.check(usage)).toMatchObject({ allowed: false, reason: "ACCOUNT_SUSPENDED" });
    expect(await credits.consume({ ...usage, idempotencyKey: key() }).catch(codeOf)).toBe("ACCOUNT_SUSPENDED");
  });
});
