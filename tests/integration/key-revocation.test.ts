// The end of an API key against calls that came with it while it was good: those that wait in the queue, those that were accepted
// from memory, and those of other processes.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { toCredits } from "~/domain/credits";
import { actorFromHeaders } from "~/server/auth/session";
import { createApiKey, revokeApiKey } from "~/server/billing/api-keys";
import { type ConsumeRequest, type Consumption, consumeCredits } from "~/server/billing/credits";
import { captureHold, holdCredits, releaseHold } from "~/server/billing/holds";
import { addLot, callAs, expectLawfulLedger, openLedger } from "../setup/billing";
import { openQueue, type Queue, untilWaiting } from "../setup/queues";
import { codeOf, createTenant, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const OWNERS = ["the organization", "the platform"] as const;
let keys = 0;

/** An organization with 100 credits, and a key that may spend them. */
async function tenantWithKey(owner: (typeof OWNERS)[number]) {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount: 100 });
  const organizationId = owner === "the platform" ? null : id;
  const made = await createApiKey({ organizationId, name: "service", createdById: null, now: NOW });
  const revoke = () => revokeApiKey({ organizationId, apiKeyId: made.id, now: NOW });
  return { id, apiKeyId: made.id, secret: made.key, revoke };
}

function oneProcess(): Queue {
  const queue = openQueue(app.database.url);
  onTestFinished(() => queue.close());
  return queue;
}

/** A call with a key that was accepted from memory, unless `change` says otherwise. */
function take(
  queue: Queue,
  organizationId: string,
  apiKeyId: string,
  change: Partial<ConsumeRequest> = {},
): Promise<Consumption> {
  const call = { eventName: "api_call_basic", quantity: 1, idempotencyKey: `take ${++keys}`, actor: "test", now: NOW };
  return queue.run(() => consumeCredits({ organizationId, apiKeyId, ...call, ...change }));
}

/** Revokes a key in a transaction that keeps the organization's account locked until it is told to end. */
async function beginRevocation(organizationId: string, apiKeyId: string): Promise<{ commit(): Promise<void> }> {
  const client = new pg.Client({ connectionString: app.database.superuserUrl });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query("BEGIN");
  await client.query("SELECT 1 FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", [organizationId]);
  await client.query("UPDATE api_keys SET revoked_at = now() WHERE id = $1", [apiKeyId]);
  return {
    async commit() {
      await client.query("COMMIT");
    },
  };
}

const rowsOf = async (apiKeyId: string) =>
  (await app.sql("SELECT 1 FROM credit_transactions WHERE api_key_id = $1", [apiKeyId])).length;

const codesOf = async (calls: Promise<unknown>[]) => outcomes(await Promise.allSettled(calls));

describe.each(OWNERS)("a key of %s that is revoked while calls with it wait", (owner) => {
  // Shorter than a write waits for an account's lock; and long enough that the calls have been set aside to wait for it.
  it.each([
    ["in a process that remembers the account, for a moment", true, 0],
    ["in a process that remembers the account, for long", true, 1500],
    ["in a process that does not know the account, for a moment", false, 0],
    ["in a process that does not know the account, for long", false, 1500],
  ])("%s, takes nothing", async (_, remembers, waitMs) => {
    const { id, apiKeyId } = await tenantWithKey(owner);
    const queue = oneProcess();
    if (remembers) for (let call = 0; call < 2; call++) await take(queue, id, apiKeyId);
    const before = await rowsOf(apiKeyId);
    const revocation = await beginRevocation(id, apiKeyId);
    const calls = Array.from({ length: 40 }, () => take(queue, id, apiKeyId));
    const others = Array.from({ length: 5 }, () => take(queue, id, apiKeyId, { apiKeyId: null }));
    await untilWaiting(app.sql);
    await sleep(waitMs);
    await revocation.commit();
    expect(await codesOf(calls)).toEqual({ UNAUTHENTICATED: 40 });
    expect(await codesOf(others), "those that came without it are served").toEqual({ ok: 5 });
    expect(await rowsOf(apiKeyId)).toBe(before);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(100 - before - 5);
  });

  it("takes nothing in any of the processes that knew it, from then on", async () => {
    const { id, apiKeyId, revoke } = await tenantWithKey(owner);
    const queues = [oneProcess(), oneProcess(), oneProcess()];
    for (const queue of queues) for (let call = 0; call < 2; call++) await take(queue, id, apiKeyId);
    const early = queues.flatMap((queue) => Array.from({ length: 20 }, () => take(queue, id, apiKeyId)));
    const settled = Promise.allSettled(early);
    await revoke();
    const late = queues.flatMap((queue) => Array.from({ length: 20 }, () => take(queue, id, apiKeyId)));
    expect(await codesOf(late)).toEqual({ UNAUTHENTICATED: 60 });
    const { ok = 0, UNAUTHENTICATED: refused = 0 } = outcomes(await settled);
    expect(ok + refused).toBe(60);
    expect(await rowsOf(apiKeyId), "each answer is a row, and no refusal is").toBe(6 + ok);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(100 - 6 - ok);
  });
});

describe.each(OWNERS)("a key of %s that was looked up for the call itself", (owner) => {
  it("takes nothing where it is revoked while the call waits", async () => {
    const { id, apiKeyId, secret } = await tenantWithKey(owner);
    const actor = await actorFromHeaders(new Headers({ authorization: `Bearer ${secret}` }), NOW);
    expect(actor).toMatchObject({ apiKeyId, isUnverified: false });
    const revocation = await beginRevocation(id, apiKeyId);
    const unit = { organizationId: id, eventName: "api_call_basic", quantity: 1, idempotencyKey: "while it waits" };
    const call = callAs(actor).credits.consume(unit);
    const settled = codesOf([call]);
    await untilWaiting(app.sql);
    await revocation.commit();
    expect(await settled).toEqual({ UNAUTHENTICATED: 1 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(100);
  });
});

describe.each(OWNERS)("a key of %s that this process accepts from memory", (owner) => {
  it("does nothing once another process has revoked it, whatever is asked with it", async () => {
    const { id: organizationId, apiKeyId, secret } = await tenantWithKey(owner);
    const headers = new Headers({ authorization: `Bearer ${secret}` });
    const first = callAs(await actorFromHeaders(headers, NOW)).credits;
    const unit = { organizationId, eventName: "api_call_basic", quantity: 1 };
    const once = () => ({ idempotencyKey: `once ${++keys}` });
    const set = { organizationId, amount: 10, leaseSeconds: 600 };
    const taken = await first.consume({ ...unit, ...once() });
    const { holdId } = await first.hold({ ...set, ...once() });
    const { rows, balance } = await expectLawfulLedger(app.sql, organizationId);

    await app.sql("UPDATE api_keys SET revoked_at = now() WHERE id = $1", [apiKeyId]);
    const actor = await actorFromHeaders(headers, NOW);
    expect(actor, "it is remembered").toMatchObject({ apiKeyId, isUnverified: true });
    const { credits } = callAs(actor);
    const calls: Record<string, () => Promise<unknown>> = {
      consume: () => credits.consume({ ...unit, ...once() }),
      consumeMany: () => credits.consumeMany({ organizationId, items: [{ ...unit, ...once() }] }),
      hold: () => credits.hold({ ...set, ...once() }),
      capture: () => credits.capture({ organizationId, holdId, amount: 1, ...once() }),
      extendHold: () => credits.extendHold({ organizationId, holdId, leaseSeconds: 900 }),
      releaseHold: () => credits.releaseHold({ organizationId, holdId }),
      reverse: () =>
        credits.reverse({ organizationId, transactionId: taken.transactionId, reason: "It failed", ...once() }),
      balance: () => credits.balance({ organizationId }),
      check: () => credits.check(unit),
      transactions: () => credits.transactions({ organizationId }),
      grant: () => credits.grant({ organizationId, amount: 5, source: "promotion", reason: "Thanks", ...once() }),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(await call().then(() => "answered", codeOf), name).toBe("UNAUTHENTICATED");
    }
    const after = await expectLawfulLedger(app.sql, organizationId);
    expect([after.rows.length, after.balance, after.held]).toEqual([rows.length, balance, 10]);
  });

  it("takes nothing of what it had set aside, either", async () => {
    const { id: organizationId, apiKeyId, revoke } = await tenantWithKey(owner);
    const queue = oneProcess();
    const who = { organizationId, actor: "test", apiKeyId, now: NOW };
    const hold = { ...who, amount: toCredits(30), leaseSeconds: 600, eventName: null };
    const { holdId } = await queue.run(() => holdCredits({ ...hold, idempotencyKey: `hold ${++keys}` }));
    await revoke();
    const used = { ...who, holdId, used: { amount: toCredits(5) }, release: false };
    const calls = [
      queue.run(() => captureHold({ ...used, idempotencyKey: `part ${++keys}` })),
      queue.run(() => releaseHold({ ...who, holdId })),
      queue.run(() => holdCredits({ ...hold, idempotencyKey: `hold ${++keys}` })),
    ];
    expect(await codesOf(calls)).toEqual({ UNAUTHENTICATED: 3 });
    const ledger = await expectLawfulLedger(app.sql, organizationId);
    expect([ledger.balance, ledger.held, ledger.rows.length]).toEqual([100, 30, 2]);
  });
});
