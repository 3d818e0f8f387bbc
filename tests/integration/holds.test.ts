// Holds: credits set aside for streams of unknown cost, through many callers, two processes, crashes and retries.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { createApiKey } from "~/server/billing/api-keys";
import { consumeCredits, expireLots, getBalance } from "~/server/billing/credits";
import { captureHold, extendHold, getHold, holdCredits, listHolds, releaseHold } from "~/server/billing/holds";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { expireCredits } from "~/server/jobs/tasks/by-the-clock";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM, quietLogs } from "../setup/billing";
import { openQueue, type Queue } from "../setup/queues";
import { codeOf, createMember, createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
let queues: [Queue, Queue];
beforeAll(async () => {
  quietLogs();
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

const hold = (organizationId: string, change: Partial<Parameters<typeof holdCredits>[0]> = {}) =>
  holdCredits({
    organizationId,
    amount: toCredits(100),
    leaseSeconds: 300,
    eventName: null,
    idempotencyKey: key(),
    now: NOW,
    ...who,
    ...change,
  });

const capture = (
  organizationId: string,
  holdId: string,
  amount: number,
  change: Partial<Parameters<typeof captureHold>[0]> = {},
) =>
  captureHold({
    organizationId,
    holdId,
    used: { amount: toCredits(amount) },
    idempotencyKey: key(),
    release: false,
    now: NOW,
    ...who,
    ...change,
  });

const release = (organizationId: string, holdId: string, now = NOW) =>
  releaseHold({ organizationId, holdId, now, ...who });

const take = (organizationId: string, quantity: number, now = NOW) =>
  consumeCredits({ organizationId, eventName: "api_call_basic", quantity, idempotencyKey: key(), now, ...who });

async function tenantWith(amount: number): Promise<string> {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount });
  return id;
}

/** The laws, and that what lots and account say is held is what open holds hold. */
async function expectLaws(organizationId: string) {
  const ledger = await expectLawfulLedger(app.sql, organizationId);
  const [held] = await app.sql<{ lots: number; holds: number; rows: number }>(
    `SELECT (SELECT coalesce(sum(held), 0)::float8 FROM credit_grants WHERE organization_id = $1) AS lots,
            (SELECT coalesce(sum(remaining), 0)::float8 FROM credit_holds WHERE organization_id = $1 AND open) AS holds,
            (SELECT coalesce(sum(held), 0)::float8 FROM credit_transactions WHERE organization_id = $1) AS rows`,
    [organizationId],
  );
  expect(held).toEqual({ lots: ledger.held, holds: ledger.held, rows: ledger.held });
  return ledger;
}

const secondsLater = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);

describe("a hold", () => {
  it("sets credits aside in burn order: not available to others, and not lost", async () => {
    const { id } = await createTenant();
    const later = await addLot({ organizationId: id, amount: 50, source: "promotion", expiresAt: minutesLater(60) });
    const first = await addLot({ organizationId: id, amount: 30 });
    const held = await hold(id, { amount: toCredits(40) });
    expect(held).toMatchObject({ amount: 40, available: 40, replayed: false });
    expect(held.allocations).toEqual([
      { grantId: first, source: "purchase", amount: 30 },
      { grantId: later, source: "promotion", amount: 10 },
    ]);
    expect(held.leaseEndsAt.getTime() - NOW.getTime()).toBeGreaterThanOrEqual(300_000);
    expect(await getBalance(id, NOW)).toMatchObject({ available: 40, held: 40 });
    await expect(take(id, 41)).rejects.toMatchObject({ details: { required: 41, available: 40 } });
    expect((await take(id, 40)).allocations).toEqual([{ grantId: later, source: "promotion", amount: 40 }]);
    expect((await expectLaws(id)).balance).toBe(40);
  });

  it("beyond what is there holds nothing", async () => {
    const id = await tenantWith(10);
    await expect(hold(id, { amount: toCredits(11) })).rejects.toMatchObject({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 11, available: 10 },
    });
    expect((await expectLaws(id)).rows).toHaveLength(1);
  });

  it("is captured in parts, then released: the rest is free again", async () => {
    const id = await tenantWith(100);
    const { holdId } = await hold(id, { amount: toCredits(60) });
    expect(await capture(id, holdId, 25)).toMatchObject({ consumed: 25, remaining: 35, available: 40, holdId });
    expect(await capture(id, holdId, 5)).toMatchObject({ consumed: 5, remaining: 30, available: 40 });
    expect(await release(id, holdId)).toEqual({ holdId, released: 30, captured: 30, available: 70 });
    expect(await release(id, holdId)).toEqual({ holdId, released: 30, captured: 30, available: 70 });
    const ledger = await expectLaws(id);
    expect(ledger.rows.map((row) => row.type)).toEqual(["purchase", "hold", "consume", "consume", "release"]);
    expect(ledger.balance).toBe(70);
  });

  it("is taken from beyond itself where the work costs more, and refuses what is not there", async () => {
    const id = await tenantWith(100);
    const { holdId } = await hold(id, { amount: toCredits(30) });
    await expect(capture(id, holdId, 101)).rejects.toMatchObject({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 101, available: 100, held: 30 },
    });
    expect(await capture(id, holdId, 50)).toMatchObject({ consumed: 50, remaining: 0, available: 50 });
    expect(await capture(id, holdId, 50)).toMatchObject({ consumed: 50, remaining: 0, available: 0 });
    expect(await capture(id, holdId, 1).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    expect(await release(id, holdId)).toMatchObject({ released: 0, captured: 30 });
    expect((await expectLaws(id)).balance).toBe(0);
  });

  it("that is captured with `release` ends with it, and answers the same again", async () => {
    const id = await tenantWith(100);
    const { holdId } = await hold(id, { amount: toCredits(60) });
    await capture(id, holdId, 10);
    const last = { idempotencyKey: "the last part", release: true };
    const first = await capture(id, holdId, 20, last);
    expect(first).toMatchObject({ consumed: 20, remaining: 0, available: 70, replayed: false });
    await take(id, 33);
    expect(await capture(id, holdId, 20, { ...last, now: minutesLater(90) })).toEqual({ ...first, replayed: true });
    await expect(capture(id, holdId, 1)).rejects.toMatchObject({
      code: "HOLD_ENDED",
      details: { holdId, reason: "released", captured: 30, released: 30 },
    });
    expect((await expectLaws(id)).balance).toBe(37);
  });

  it("of an event is captured by its quantities, also after the event was switched off", async () => {
    const id = await tenantWith(1000);
    const event = newId(NOW);
    const data = { id: event, name: "stream_tokens", description: "", category: "AI", createdAt: NOW, updatedAt: NOW };
    await asPlatform((tx) => tx.creditEvent.create({ data: { ...data, cost: 3n, perUnits: 1000n } }));
    const { holdId } = await hold(id, { eventName: "stream_tokens" });
    const own = { used: { quantity: 1500, eventName: null } };
    expect(await capture(id, holdId, 0, own)).toMatchObject({ consumed: 5, remaining: 95 });
    await asPlatform((tx) => tx.creditEvent.update({ where: { id: event }, data: { active: false } }));
    expect(await capture(id, holdId, 0, own)).toMatchObject({ consumed: 5, remaining: 90 });
    expect(await hold(id, { eventName: "stream_tokens" }).catch(codeOf)).toBe("INACTIVE_EVENT");
    expect(await hold(id, { eventName: "nonsense" }).catch(codeOf)).toBe("UNKNOWN_EVENT");
    const other = { used: { quantity: 2, eventName: "api_call_premium" } };
    expect(await capture(id, holdId, 0, other)).toMatchObject({ consumed: 10, remaining: 80 });
    expect(await capture(id, holdId, 0, { used: { quantity: 1, eventName: "nonsense" } }).catch(codeOf)).toBe(
      "UNKNOWN_EVENT",
    );
    const plain = await hold(id);
    expect(await capture(id, plain.holdId, 0, own).catch(codeOf)).toBe("INVALID_INPUT");
    const rows = await app.sql(
      `SELECT event_name, quantity::int, unit_cost::int, per_units::int, amount::int FROM credit_transactions
       WHERE organization_id = $1 AND type = 'consume' ORDER BY seq`,
      [id],
    );
    expect(rows).toEqual([
      { event_name: "stream_tokens", quantity: 1500, unit_cost: 3, per_units: 1000, amount: -5 },
      { event_name: "stream_tokens", quantity: 1500, unit_cost: 3, per_units: 1000, amount: -5 },
      { event_name: "api_call_premium", quantity: 2, unit_cost: 5, per_units: 1, amount: -10 },
    ]);
    await expectLaws(id);
  });

  it("that never was is not found, nor is another organization's, nor a gift's", async () => {
    const [id, other] = [await tenantWith(100), await tenantWith(100)];
    const theirs = await hold(other);
    const unknown = "00000000-0000-7000-8000-00000000dead";
    for (const holdId of [unknown, theirs.holdId]) {
      expect(await capture(id, holdId, 1).catch(codeOf)).toBe("NOT_FOUND");
      expect(await extendHold({ organizationId: id, holdId, leaseSeconds: 9, now: NOW, ...who }).catch(codeOf)).toBe(
        "NOT_FOUND",
      );
      expect(await release(id, holdId).catch(codeOf)).toBe("NOT_FOUND");
      expect(await getHold(id, holdId, NOW).catch(codeOf)).toBe("NOT_FOUND");
    }
    // As a gift's hold is in the table: not one of work.
    await app.sql("UPDATE credit_holds SET kind = 'gift' WHERE organization_id = $1", [other]);
    await app.sql("UPDATE credit_accounts SET version = version + 1 WHERE organization_id = $1", [other]);
    expect(await capture(other, theirs.holdId, 1).catch(codeOf)).toBe("NOT_FOUND");
    expect(await release(other, theirs.holdId).catch(codeOf)).toBe("NOT_FOUND");
    expect((await listHolds({ organizationId: other, cursor: null, limit: 10, now: NOW })).items).toEqual([]);
    await expectLaws(other);
  });
});

describe("two hundred streams", () => {
  it.each([0, 37])("on a hundred held credits and %i free ones take exactly those", async (free) => {
    const id = await tenantWith(60 + free);
    await addLot({ organizationId: id, amount: 40, source: "subscription", expiresAt: minutesLater(60) });
    const { holdId } = await hold(id);
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) =>
        queues[index % 2 === 0 ? 0 : 1].run(() => capture(id, holdId, 1, { idempotencyKey: `stream ${index}` })),
      ),
    );
    expect(outcomes(results)).toEqual({ ok: 100 + free, INSUFFICIENT_CREDITS: 100 - free });
    expect((await expectLaws(id)).balance).toBe(0);
    const again = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => capture(id, holdId, 1, { idempotencyKey: `stream ${index}` })),
    );
    for (const [index, result] of again.entries()) {
      const first = results[index];
      if (first?.status !== "fulfilled" || result.status !== "fulfilled") expect(result.status).toBe(first?.status);
      else expect(result.value).toEqual({ ...first.value, replayed: true });
    }
    expect((await expectLaws(id)).balance).toBe(0);
  });

  it("each with its own hold on a hundred credits: who gets none starts nothing, and nobody takes from another", async () => {
    const id = await tenantWith(100);
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) =>
        queues[index % 2 === 0 ? 0 : 1].run(() => hold(id, { amount: toCredits(2) })),
      ),
    );
    expect(outcomes(results)).toEqual({ ok: 50, INSUFFICIENT_CREDITS: 150 });
    const held = results.flatMap((result) => (result.status === "fulfilled" ? [result.value.holdId] : []));
    expect((await listHolds({ organizationId: id, cursor: null, limit: 100, now: NOW })).items).toHaveLength(50);
    // One credit of each two: then everybody asks for three more, and what is left of the others is not theirs.
    const parts = await Promise.allSettled(held.map((holdId) => capture(id, holdId, 1)));
    expect(outcomes(parts)).toEqual({ ok: 50 });
    const greedy = await Promise.allSettled(held.map((holdId) => capture(id, holdId, 2)));
    expect(outcomes(greedy)).toEqual({ INSUFFICIENT_CREDITS: 50 });
    await Promise.all(held.map((holdId) => release(id, holdId)));
    expect((await expectLaws(id)).balance).toBe(50);
    expect(await getBalance(id, NOW)).toMatchObject({ available: 50, held: 0 });
  });

  it("that capture, extend and release at once leave one truth", async () => {
    const id = await tenantWith(300);
    for (let round = 0; round < 8; round++) {
      const { holdId } = await hold(id, { amount: toCredits(20) });
      const before = await expectLaws(id);
      const results = await Promise.allSettled([
        ...Array.from({ length: 6 }, (_, index) => queues[index % 2 === 0 ? 0 : 1].run(() => capture(id, holdId, 2))),
        queues[1].run(() => release(id, holdId)),
        queues[0].run(() => extendHold({ organizationId: id, holdId, leaseSeconds: 900, now: NOW, ...who })),
        queues[0].run(() => release(id, holdId)),
        ...Array.from({ length: 6 }, (_, index) => queues[index % 2 === 0 ? 0 : 1].run(() => capture(id, holdId, 2))),
      ]);
      const codes = outcomes(results);
      expect(Object.keys(codes).every((code) => code === "ok" || code === "HOLD_ENDED")).toBe(true);
      const taken = results.reduce(
        (sum, result) =>
          sum + (result.status === "fulfilled" && "consumed" in result.value ? result.value.consumed : 0),
        0,
      );
      const after = await expectLaws(id);
      expect(after.balance).toBe(before.balance - taken);
      expect(after.held).toBe(0);
      const { captured } = await release(id, holdId);
      expect(captured).toBe(Math.min(20, taken));
    }
  });
});

describe("the key of a hold", () => {
  it("gives the first answer fifty times at once, after captures and extensions, and after its end", async () => {
    const id = await tenantWith(100);
    const request = { amount: toCredits(40), leaseSeconds: 60, idempotencyKey: "the hold", metadata: { a: 1 } };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => queues[index % 2 === 0 ? 0 : 1].run(() => hold(id, request))),
    );
    const [first] = answers;
    if (!first) throw new Error("no answer");
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    for (const answer of answers) expect({ ...answer, replayed: true }).toEqual({ ...first, replayed: true });
    await capture(id, first.holdId, 15);
    await extendHold({ organizationId: id, holdId: first.holdId, leaseSeconds: 3000, now: NOW, ...who });
    expect(await hold(id, { ...request, now: minutesLater(1) })).toEqual({ ...first, replayed: true });
    await release(id, first.holdId);
    expect(await hold(id, { ...request, now: minutesLater(90) })).toEqual({ ...first, replayed: true });
    for (const change of [{ amount: toCredits(41) }, { leaseSeconds: 61 }, { metadata: { a: 2 } }, { project: "p" }]) {
      expect(await hold(id, { ...request, ...change }).catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect((await expectLaws(id)).balance).toBe(85);
  });

  it("of a capture gives what was left then, not what is left now", async () => {
    const id = await tenantWith(100);
    const { holdId } = await hold(id, { amount: toCredits(50) });
    const part = { idempotencyKey: "part" };
    const first = await capture(id, holdId, 10, part);
    await capture(id, holdId, 25);
    expect(await capture(id, holdId, 10, part)).toEqual({ ...first, replayed: true });
    await release(id, holdId);
    expect(await capture(id, holdId, 10, part)).toEqual({ ...first, replayed: true });
    expect(first.remaining).toBe(40);
    for (const change of [{ used: { amount: toCredits(11) } }, { release: true }, { metadata: { a: 1 } }]) {
      expect(await capture(id, holdId, 10, { ...part, ...change }).catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    }
    const both = await Promise.all(Array.from({ length: 20 }, () => capture(id, holdId, 10, part)));
    for (const answer of both) expect(answer).toEqual({ ...first, replayed: true });
    expect((await expectLaws(id)).balance).toBe(65);
  });
});

describe("a holder that crashes", () => {
  it("has its credits free again at the instant its lease ends, before any job; the job writes it once", async () => {
    const id = await tenantWith(100);
    const { holdId, leaseEndsAt } = await hold(id, { leaseSeconds: 10 });
    await capture(id, holdId, 30);
    const before = new Date(leaseEndsAt.getTime() - 1);
    expect(await getBalance(id, before)).toMatchObject({ available: 0, held: 70 });
    expect(await getBalance(id, leaseEndsAt)).toMatchObject({ available: 70, held: 0 });
    expect(await getHold(id, holdId, before)).toMatchObject({ status: "open", remaining: 70 });
    expect(await getHold(id, holdId, leaseEndsAt)).toMatchObject({ status: "lease_ended", remaining: 0 });
    expect(await take(id, 70, leaseEndsAt)).toMatchObject({ consumed: 70, available: 0 });
    expect((await expectLaws(id)).rows.map((row) => row.type)).toEqual([
      "purchase",
      "hold",
      "consume",
      "release",
      "consume",
    ]);
    await expect(capture(id, holdId, 1, { now: leaseEndsAt })).rejects.toMatchObject({
      code: "HOLD_ENDED",
      details: { reason: "lease_ended", endedAt: leaseEndsAt, captured: 30, released: 70 },
    });
    expect(await release(id, holdId, minutesLater(5))).toMatchObject({ released: 70, captured: 30, available: 0 });
  });

  it("is swept by the job: each lease once, by however many sweepers", async () => {
    const id = await tenantWith(100);
    await Promise.all(Array.from({ length: 20 }, () => hold(id, { amount: toCredits(5), leaseSeconds: 1 })));
    // The job's own clock is the real one, which is long past these leases.
    await Promise.all([expireCredits(), expireCredits(), expireCredits()]);
    await expireCredits();
    const ledger = await expectLaws(id);
    expect(ledger.rows.filter((row) => row.type === "release")).toHaveLength(20);
    expect(ledger.held).toBe(0);
    expect(ledger.rows.at(-1)?.availableAfter).toBe(100);
  });

  it("may keep its hold by extending it, and a lease is never made shorter", async () => {
    const id = await tenantWith(100);
    const { holdId, leaseEndsAt } = await hold(id, { leaseSeconds: 60 });
    const extend = (leaseSeconds: number, now: Date) =>
      extendHold({ organizationId: id, holdId, leaseSeconds, now, ...who });
    expect((await extend(10, secondsLater(5))).leaseEndsAt).toEqual(leaseEndsAt);
    const { leaseEndsAt: longer } = await extend(60, secondsLater(30));
    expect(longer.getTime()).toBeGreaterThanOrEqual(secondsLater(90).getTime());
    expect(await getBalance(id, leaseEndsAt)).toMatchObject({ held: 100 });
    expect(await extend(60, longer).catch(codeOf)).toBe("HOLD_ENDED");
    expect(await getBalance(id, longer)).toMatchObject({ held: 0, available: 100 });
    await expectLaws(id);
  });
});

describe("a lot that expires while it is held", () => {
  it("stays good for its hold; what is released of it cannot be spent, and is written off", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 100, source: "promotion", expiresAt: minutesLater(10) });
    const { holdId } = await hold(id, { amount: toCredits(80), leaseSeconds: 3600 });
    expect(await expireLots(id, minutesLater(11))).toBe(1);
    expect(await getBalance(id, minutesLater(11))).toMatchObject({ available: 0, held: 80 });
    const late = { now: minutesLater(12) };
    expect(await capture(id, holdId, 50, late)).toMatchObject({ consumed: 50, remaining: 30, available: 0 });
    expect(await capture(id, holdId, 31, late).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    expect(await release(id, holdId, minutesLater(13))).toMatchObject({ released: 30, captured: 50, available: 0 });
    expect(await take(id, 1, minutesLater(13)).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    expect(await expireLots(id, minutesLater(14))).toBe(1);
    const ledger = await expectLaws(id);
    expect(ledger.balance).toBe(0);
    expect(ledger.rows.map((row) => [row.type, row.amount])).toEqual([
      ["grant", 100],
      ["hold", 0],
      ["expiry", -20],
      ["consume", -50],
      ["release", 0],
      ["expiry", -30],
    ]);
  });

  it("and whose lease ends after that is written off in one sweep", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 100, source: "promotion", expiresAt: minutesLater(10) });
    await hold(id, { leaseSeconds: 1200 });
    expect(await expireLots(id, minutesLater(15))).toBe(0);
    expect(await expireLots(id, minutesLater(25))).toBe(1);
    expect((await expectLaws(id)).balance).toBe(0);
  });
});

describe("the procedures", () => {
  it("hold, capture, extend, list and release for a service and for a member, not for who only bills", async () => {
    const id = await tenantWith(100);
    const member = await createMember(id, "member");
    for (const actor of [PLATFORM, member]) {
      const { credits } = callAs(actor);
      const held = await credits.hold({ organizationId: id, amount: 10, idempotencyKey: key() });
      expect(held.leaseEndsAt.getTime() - NOW.getTime()).toBeGreaterThanOrEqual(300_000);
      const holdId = held.holdId.toUpperCase();
      const part = { organizationId: id, holdId, idempotencyKey: key() };
      expect(await credits.capture({ ...part, amount: 3 })).toMatchObject({ consumed: 3, remaining: 7 });
      await credits.extendHold({ organizationId: id, holdId, leaseSeconds: 600 });
      const { items, nextCursor } = await credits.holds({ organizationId: id });
      expect(items.map((item) => [item.holdId, item.captured])).toEqual([[held.holdId, 3]]);
      expect(nextCursor).toBeNull();
      expect(await credits.releaseHold({ organizationId: id, holdId })).toMatchObject({ released: 7 });
      expect((await credits.holds({ organizationId: id, holdId })).items[0]).toMatchObject({ status: "released" });
    }
    const billing = callAs(await createMember(id, "billing"));
    expect(await billing.credits.hold({ organizationId: id, amount: 1, idempotencyKey: key() }).catch(codeOf)).toBe(
      "FORBIDDEN",
    );
    await expectLaws(id);
  });

  it("name who holds and for whom; whoever answers for the billing may end what others hold", async () => {
    const id = await tenantWith(100);
    const member = await createMember(id, "member");
    const billing = callAs(await createMember(id, "billing"));
    const { id: apiKeyId } = await createApiKey({ organizationId: id, name: "batch", createdById: null, now: NOW });
    const memberId = member.kind === "person" ? member.userId : null;
    const { holdId } = await hold(id, { actor: `key:${apiKeyId}`, apiKeyId, memberId });
    const name = { apiKeyName: "batch", memberName: expect.any(String) };
    expect((await billing.credits.holds({ organizationId: id })).items).toMatchObject([{ holdId, ...name }]);
    expect(await billing.credits.releaseHold({ organizationId: id, holdId })).toMatchObject({ released: 100 });
    expect(await getBalance(id, NOW)).toMatchObject({ available: 100, held: 0 });
    await expectLaws(id);
  });

  it("list open holds page by page, newest first", async () => {
    const id = await tenantWith(100);
    for (let index = 0; index < 5; index++) await hold(id, { amount: toCredits(1), now: secondsLater(index) });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof listHolds>> = await listHolds({
        organizationId: id,
        cursor,
        limit: 2,
        now: NOW,
      });
      seen.push(...page.items.map((item) => item.createdAt.toISOString()));
      cursor = page.nextCursor;
    } while (cursor);
    expect(seen).toHaveLength(5);
    expect(seen).toEqual([...seen].sort().reverse());
  });
});
