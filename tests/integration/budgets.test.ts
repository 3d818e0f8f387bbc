// Budgets: what a key, a member or a project may spend, exactly, in its own day or month, by however many callers.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { createApiKey, revokeApiKey } from "~/server/billing/api-keys";
import { createBudget, listBudgets, removeBudget, updateBudget } from "~/server/billing/budgets";
import { type ConsumeRequest, consumeCredits } from "~/server/billing/credits";
import { captureHold, holdCredits, releaseHold } from "~/server/billing/holds";
import { reverseConsumption } from "~/server/billing/reversals";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { openQueue, type Queue } from "../setup/queues";
import { codeOf, createMember, createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
let queues: [Queue, Queue];
beforeAll(async () => {
  app = await openLedger();
  queues = [openQueue(app.database.url), openQueue(app.database.url)];
});
afterAll(async () => {
  await Promise.all(queues.map((queue) => queue.close()));
  await app.close();
});

let keys = 0;
const key = () => `key ${++keys}`;
const who = { actor: "test" };

const take = (organizationId: string, quantity: number, change: Partial<ConsumeRequest> = {}) =>
  consumeCredits({
    organizationId,
    eventName: "api_call_basic",
    quantity,
    idempotencyKey: key(),
    now: NOW,
    ...who,
    ...change,
  });

type Definition = Partial<Parameters<typeof createBudget>[0]>;

const limit = async (organizationId: string, change: Definition): Promise<string> => {
  const plain = { scope: "project", subject: "alpha", window: "day", limit: 10, now: NOW, ...who } as const;
  return (await createBudget({ organizationId, ...plain, ...change })).id;
};

async function tenantWith(amount: number): Promise<string> {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount, at: minutesLater(-60 * 24 * 90) });
  return id;
}

const used = async (organizationId: string, now = NOW) =>
  Object.fromEntries((await listBudgets(organizationId, now)).map((budget) => [budget.id, budget.used]));

const alpha = { project: "alpha" };

describe("a budget", () => {
  it("of sixty is spent exactly by two hundred callers of two processes, while others go on", async () => {
    const id = await tenantWith(1000);
    const budget = await limit(id, { limit: 60 });
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => queues[index % 2 === 0 ? 0 : 1].run(() => take(id, 1, alpha))),
    );
    expect(outcomes(results)).toEqual({ ok: 60, BUDGET_EXCEEDED: 140 });
    const others = await Promise.all([take(id, 1), take(id, 1, { project: "beta" })]);
    expect(others.map((one) => one.consumed)).toEqual([1, 1]);
    expect(await used(id)).toEqual({ [budget]: 60 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(938);
  });

  it("says which it was, what is used, and when it begins anew", async () => {
    const id = await tenantWith(100);
    const budgetId = await limit(id, { limit: 10 });
    await take(id, 4, alpha);
    await expect(take(id, 7, alpha)).rejects.toMatchObject({
      code: "BUDGET_EXCEEDED",
      details: {
        budgetId,
        scope: "project",
        subject: "alpha",
        window: "day",
        limit: 10,
        used: 4,
        required: 7,
        resetsAt: new Date("2026-03-11T00:00:00.000Z"),
      },
    });
    expect(await take(id, 6, alpha)).toMatchObject({ consumed: 6 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(90);
  });

  it("is the key's, the member's and the project's: each refuses by itself", async () => {
    const id = await tenantWith(1000);
    const apiKey = await createApiKey({ organizationId: id, name: "batch", createdById: null, now: NOW });
    const member = await createMember(id, "member");
    await limit(id, { scope: "api_key", subject: apiKey.id.toUpperCase(), limit: 30 });
    await limit(id, { scope: "member", subject: member.userId, limit: 20 });
    await limit(id, { limit: 10 });
    const [byKey, byMember] = [{ apiKeyId: apiKey.id }, { memberId: member.userId }];
    await take(id, 10, { ...byKey, ...byMember, ...alpha });
    expect(await take(id, 1, { ...byKey, ...alpha }).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await take(id, 10, { ...byKey, ...byMember });
    expect(await take(id, 1, { ...byMember }).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await take(id, 10, byKey);
    expect(await take(id, 1, byKey).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await take(id, 1);
    expect((await listBudgets(id, NOW)).map((row) => [row.scope, row.subjectName, row.used, row.limit])).toEqual([
      ["api_key", "batch", 30, 30],
      ["member", member.name, 20, 20],
      ["project", "alpha", 10, 10],
    ]);
    await expectLawfulLedger(app.sql, id);
  });

  it("binds a member who spends by themselves, however they name themselves", async () => {
    const id = await tenantWith(100);
    const [member, other] = [await createMember(id, "member"), await createMember(id, "member")];
    await limit(id, { scope: "member", subject: member.userId, limit: 5 });
    const spend = (quantity: number, memberId?: string) =>
      callAs(member).credits.consume({
        organizationId: id,
        eventName: "api_call_basic",
        quantity,
        idempotencyKey: key(),
        ...(memberId ? { memberId } : {}),
      });
    await spend(4);
    expect(await spend(2).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    expect(await spend(2, member.userId.toUpperCase()).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    expect(await spend(2, other.userId).catch(codeOf)).toBe("FORBIDDEN");
    const service = callAs(serviceOf(id)).credits.consume({
      organizationId: id,
      eventName: "api_call_basic",
      quantity: 2,
      idempotencyKey: key(),
      memberId: member.userId.toUpperCase(),
    });
    expect(await service.catch(codeOf)).toBe("BUDGET_EXCEEDED");
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(96);
  });

  it("of a day begins anew at midnight of UTC, of a month on the first, of all never", async () => {
    const id = await tenantWith(1000);
    const day = await limit(id, { limit: 10, now: new Date("2026-03-30T12:00:00Z") });
    const month = await limit(id, { limit: 25, window: "month", now: new Date("2026-03-30T12:00:00Z") });
    const total = await limit(id, { limit: 32, window: "total", now: new Date("2026-03-30T12:00:00Z") });
    const at = (instant: string) => ({ ...alpha, now: new Date(instant) });
    const whose = (failure: unknown) => (failure as { details: { window: string } }).details.window;
    await take(id, 10, at("2026-03-30T23:59:40.000Z"));
    expect(await take(id, 1, at("2026-03-30T23:59:41.000Z")).catch(whose)).toBe("day");
    await take(id, 10, at("2026-03-31T00:00:00.000Z"));
    expect(await take(id, 1, at("2026-03-31T23:59:40.000Z")).catch(whose)).toBe("day");
    await take(id, 5, at("2026-04-01T00:00:00.000Z"));
    expect(await used(id, new Date("2026-04-01T05:00:00Z"))).toEqual({ [day]: 5, [month]: 5, [total]: 25 });
    expect(await used(id, new Date("2026-04-02T00:00:00Z"))).toEqual({ [day]: 0, [month]: 5, [total]: 25 });
    await take(id, 7, at("2026-04-02T01:00:00.000Z"));
    expect(await take(id, 1, at("2026-04-02T01:00:01.000Z")).catch(whose)).toBe("total");
    expect(await take(id, 1, at("2031-01-01T00:00:00.000Z")).catch(whose)).toBe("total");
    expect((await listBudgets(id, new Date("2026-12-31T10:00:00Z"))).map((row) => row.resetsAt)).toEqual([
      new Date("2027-01-01T00:00:00Z"),
      new Date("2027-01-01T00:00:00Z"),
      null,
    ]);
    await expectLawfulLedger(app.sql, id);
  });

  it("of a month refuses within it what another day would allow", async () => {
    const id = await tenantWith(1000);
    await limit(id, { limit: 15, window: "month" });
    await take(id, 15, { ...alpha, now: new Date("2026-03-11T00:00:00Z") });
    expect(await take(id, 1, { ...alpha, now: new Date("2026-03-31T23:59:00Z") }).catch(codeOf)).toBe(
      "BUDGET_EXCEEDED",
    );
    expect(await take(id, 15, { ...alpha, now: new Date("2026-04-01T00:00:00Z") })).toMatchObject({ consumed: 15 });
  });

  it("refuses after credits are known to suffice, and a refused take counts nothing", async () => {
    const id = await tenantWith(5);
    const budget = await limit(id, { limit: 100 });
    expect(await take(id, 6, alpha).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    expect(await used(id)).toEqual({ [budget]: 0 });
    await take(id, 5, { ...alpha, idempotencyKey: "once" });
    expect(await take(id, 5, { ...alpha, idempotencyKey: "once" })).toMatchObject({ replayed: true });
    expect(await used(id)).toEqual({ [budget]: 5 });
  });
});

describe("a hold", () => {
  const hold = (organizationId: string, amount: number, change: Partial<Parameters<typeof holdCredits>[0]> = {}) =>
    holdCredits({
      organizationId,
      amount: toCredits(amount),
      leaseSeconds: 3600,
      eventName: null,
      idempotencyKey: key(),
      now: NOW,
      ...who,
      ...alpha,
      ...change,
    });
  const capture = (organizationId: string, holdId: string, amount: number, now = NOW) =>
    captureHold({
      organizationId,
      holdId,
      used: { amount: toCredits(amount) },
      idempotencyKey: key(),
      release: false,
      now,
      ...who,
    });

  it("counts when it is made, and gives back what it did not take", async () => {
    const id = await tenantWith(1000);
    const budget = await limit(id, { limit: 50 });
    const { holdId } = await hold(id, 40);
    expect(await used(id)).toEqual({ [budget]: 40 });
    expect(await hold(id, 11).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    expect(await take(id, 11, alpha).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await capture(id, holdId, 15);
    expect(await used(id)).toEqual({ [budget]: 40 });
    await releaseHold({ organizationId: id, holdId, now: NOW, ...who });
    expect(await used(id)).toEqual({ [budget]: 15 });
    await take(id, 35, alpha);
    expect(await used(id)).toEqual({ [budget]: 50 });
    await expectLawfulLedger(app.sql, id);
  });

  it("is counted on whose account it was made, whoever captures it, and beyond it only what the budget has", async () => {
    const id = await tenantWith(1000);
    const apiKey = await createApiKey({ organizationId: id, name: "streams", createdById: null, now: NOW });
    const budget = await limit(id, { scope: "api_key", subject: apiKey.id, limit: 50 });
    const { holdId } = await hold(id, 40, { apiKeyId: apiKey.id });
    expect(await capture(id, holdId, 51).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    const { transactionId } = await capture(id, holdId, 45);
    expect(await used(id)).toEqual({ [budget]: 45 });
    await reverseConsumption({
      organizationId: id,
      transactionId,
      amount: toCredits(20),
      reason: "test",
      idempotencyKey: key(),
      now: NOW,
      ...who,
    });
    expect(await used(id)).toEqual({ [budget]: 25 });
    await expectLawfulLedger(app.sql, id);
  });

  it("whose holder crashed gives back at the instant its lease ends, in the window in which it was counted", async () => {
    const id = await tenantWith(1000);
    const budget = await limit(id, { limit: 50 });
    const evening = new Date("2026-03-10T23:59:00.000Z");
    const { holdId, leaseEndsAt } = await hold(id, 50, { now: evening, leaseSeconds: 600 });
    await capture(id, holdId, 20, evening);
    await take(id, 30, { ...alpha, now: new Date("2026-03-11T00:01:00.000Z") });
    expect(await used(id, evening)).toEqual({ [budget]: 50 });
    expect(await used(id, leaseEndsAt)).toEqual({ [budget]: 30 });
    await take(id, 20, { ...alpha, now: leaseEndsAt });
    const windows = await app.sql(
      "SELECT window_start, used::int FROM credit_budget_usage WHERE organization_id = $1 ORDER BY 1",
      [id],
    );
    expect(windows).toEqual([
      { window_start: new Date("2026-03-10T00:00:00Z"), used: 20 },
      { window_start: new Date("2026-03-11T00:00:00Z"), used: 50 },
    ]);
  });

  it("captured after midnight and beyond itself is given back part by part where each was counted", async () => {
    const id = await tenantWith(1000);
    const budget = await limit(id, { limit: 100 });
    const [evening, morning] = [new Date("2026-03-10T23:58:00.000Z"), new Date("2026-03-11T00:02:00.000Z")];
    const { holdId } = await hold(id, 30, { now: evening });
    const { transactionId } = await capture(id, holdId, 50, morning);
    expect([await used(id, evening), await used(id, morning)]).toEqual([{ [budget]: 30 }, { [budget]: 20 }]);
    const back = (amount: number) =>
      reverseConsumption({
        organizationId: id,
        transactionId,
        amount: toCredits(amount),
        reason: "test",
        idempotencyKey: key(),
        now: new Date("2026-03-12T08:00:00.000Z"),
        ...who,
      });
    await back(15);
    expect([await used(id, evening), await used(id, morning)]).toEqual([{ [budget]: 30 }, { [budget]: 5 }]);
    await back(15);
    expect([await used(id, evening), await used(id, morning)]).toEqual([{ [budget]: 20 }, { [budget]: 0 }]);
    await back(20);
    expect([await used(id, evening), await used(id, morning)]).toEqual([{ [budget]: 0 }, { [budget]: 0 }]);
    await expectLawfulLedger(app.sql, id);
  });
});

describe("a reversal", () => {
  const reverse = (organizationId: string, transactionId: string, now: Date) =>
    reverseConsumption({
      organizationId,
      transactionId,
      amount: null,
      reason: "test",
      idempotencyKey: key(),
      now,
      ...who,
    });

  it("gives back in the window of the take, not in today's", async () => {
    const id = await tenantWith(1000);
    const day = await limit(id, { limit: 100 });
    const month = await limit(id, { limit: 200, window: "month" });
    const first = await take(id, 60, alpha);
    const next = new Date("2026-03-11T10:00:00.000Z");
    await take(id, 70, { ...alpha, now: next });
    await reverse(id, first.transactionId, next);
    expect(await used(id, next)).toEqual({ [day]: 70, [month]: 70 });
    expect(await used(id, NOW)).toEqual({ [day]: 0, [month]: 70 });
    expect(await take(id, 31, { ...alpha, now: next }).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await expectLawfulLedger(app.sql, id);
  });

  it("of a take from before the budget was made gives it nothing back", async () => {
    const id = await tenantWith(1000);
    const before = await take(id, 60, alpha);
    const budget = await limit(id, { limit: 50 });
    expect(await used(id)).toEqual({ [budget]: 0 });
    await take(id, 50, alpha);
    await reverse(id, before.transactionId, NOW);
    expect(await used(id)).toEqual({ [budget]: 50 });
    expect(await take(id, 1, alpha).catch(codeOf)).toBe("BUDGET_EXCEEDED");
  });
});

describe("a budget's definition", () => {
  it("counts for the very next take of every process that remembers the account", async () => {
    const id = await tenantWith(1000);
    const version = async () => {
      const [row] = await app.sql<{ v: string }>(
        "SELECT version::text AS v FROM credit_accounts WHERE organization_id = $1",
        [id],
      );
      return row?.v;
    };
    for (const queue of queues) await queue.run(() => take(id, 1, alpha));
    let last = await version();
    const expectChanged = async () => {
      const now = await version();
      expect(now).not.toBe(last);
      last = now;
    };
    const budget = await limit(id, { limit: 0 });
    await expectChanged();
    for (const queue of queues) expect(await queue.run(() => take(id, 1, alpha)).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await updateBudget({ organizationId: id, budgetId: budget, limit: 2, now: NOW });
    await expectChanged();
    for (const queue of queues) await queue.run(() => take(id, 1, alpha));
    last = await version();
    for (const queue of queues) expect(await queue.run(() => take(id, 1, alpha)).catch(codeOf)).toBe("BUDGET_EXCEEDED");
    await updateBudget({ organizationId: id, budgetId: budget, limit: 1, now: NOW });
    expect(await used(id)).toEqual({ [budget]: 2 });
    last = await version();
    await removeBudget({ organizationId: id, budgetId: budget, now: NOW });
    await expectChanged();
    for (const queue of queues) await queue.run(() => take(id, 1, alpha));
    expect(await used(id)).toEqual({});
    await removeBudget({ organizationId: id, budgetId: budget, now: NOW });
    expect(await updateBudget({ organizationId: id, budgetId: budget, limit: 1, now: NOW }).catch(codeOf)).toBe(
      "NOT_FOUND",
    );
    await expectLawfulLedger(app.sql, id);
  });

  it("that changes under two hundred takes is never overspent", async () => {
    const id = await tenantWith(1000);
    const budget = await limit(id, { limit: 50 });
    const changing = (async () => {
      for (const next of [80, 20, 120, 60])
        await updateBudget({ organizationId: id, budgetId: budget, limit: next, now: NOW });
    })();
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => queues[index % 2 === 0 ? 0 : 1].run(() => take(id, 1, alpha))),
    );
    await changing;
    const { ok = 0 } = outcomes(results);
    expect(ok).toBeLessThanOrEqual(120);
    expect(await used(id)).toEqual({ [budget]: ok });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(1000 - ok);
  });

  it("names a key in use or a member of the organization, once for each window", async () => {
    const [id, other] = [await tenantWith(10), await tenantWith(10)];
    const theirs = await createApiKey({ organizationId: other, name: "x", createdById: null, now: NOW });
    const gone = await createApiKey({ organizationId: id, name: "y", createdById: null, now: NOW });
    await revokeApiKey({ organizationId: id, apiKeyId: gone.id, now: NOW });
    for (const subject of [theirs.id, gone.id]) {
      expect(await limit(id, { scope: "api_key", subject }).catch(codeOf)).toBe("NOT_FOUND");
    }
    const stranger = await createMember(other, "member");
    expect(await limit(id, { scope: "member", subject: stranger.userId }).catch(codeOf)).toBe("NOT_FOUND");
    const first = await limit(id, {});
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => limit(id, { window: "month" })));
    expect(outcomes(results)).toEqual({ ok: 1, INVALID_INPUT: 4 });
    await expect(limit(id, {})).rejects.toMatchObject({ details: { budgetId: first } });
    await removeBudget({ organizationId: id, budgetId: first, now: NOW });
    expect(await limit(id, {})).not.toBe(first);
  });

  it("is changed by owners, admins and who bills, seen by all, and never changed by a service", async () => {
    const id = await tenantWith(10);
    const input = { organizationId: id, scope: "project" as const, window: "day" as const, limit: 5 };
    for (const role of ["owner", "admin", "billing"] as const) {
      const { budgets } = callAs(await createMember(id, role));
      const { id: budgetId } = await budgets.create({ ...input, subject: role });
      await budgets.update({ organizationId: id, budgetId, limit: 7 });
      expect(await budgets.list({ organizationId: id })).toMatchObject([{ subject: role, limit: 7, used: 0 }]);
      await budgets.remove({ organizationId: id, budgetId });
    }
    await callAs(PLATFORM).budgets.create({ ...input, subject: "platform" });
    for (const actor of [await createMember(id, "member"), serviceOf(id)]) {
      const { budgets } = callAs(actor);
      expect(await budgets.create({ ...input, subject: "mine" }).catch(codeOf)).toBe("FORBIDDEN");
      expect(await budgets.list({ organizationId: id })).toHaveLength(1);
    }
    expect(
      await callAs(PLATFORM)
        .budgets.create({ ...input, scope: "member", subject: "not an id" })
        .then(
          () => "ok",
          (error: { code: string }) => error.code,
        ),
    ).toBe("BAD_REQUEST");
  });
});
