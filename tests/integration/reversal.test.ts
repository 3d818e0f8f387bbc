// Giving takes back: to the lots that paid, whole and in part, once for each key, and never more than was taken.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots, getBalance } from "~/server/billing/credits";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { reverseConsumption } from "~/server/billing/reversals";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM, readLedger } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { codeOf, createMember, createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

let keys = 0;
const key = () => `key ${++keys}`;
const who = { actor: "test" };

const take = (organizationId: string, quantity: number, now = NOW) =>
  consumeCredits({ organizationId, eventName: "api_call_basic", quantity, idempotencyKey: key(), now, ...who });

const reverse = (
  organizationId: string,
  transactionId: string,
  change: Partial<Parameters<typeof reverseConsumption>[0]> = {},
) =>
  reverseConsumption({
    organizationId,
    transactionId,
    amount: null,
    reason: "The model answered nothing",
    idempotencyKey: key(),
    now: NOW,
    ...who,
    ...change,
  });

/** 30 credits that never expire, then 50 that do. */
async function tenantWithLots() {
  const { id } = await createTenant();
  const expiring = await addLot({ organizationId: id, amount: 50, source: "promotion", expiresAt: minutesLater(60) });
  const permanent = await addLot({ organizationId: id, amount: 30 });
  return { id, expiring, permanent };
}

describe("a reversal", () => {
  it("gives the whole take back to exactly the lots that paid, also to one that was used up", async () => {
    const { id, expiring, permanent } = await tenantWithLots();
    const { transactionId } = await take(id, 45);
    const reversal = await reverse(id, transactionId);
    expect(reversal).toMatchObject({ reversed: 45, available: 80, replayed: false });
    expect(reversal.allocations).toEqual([
      { grantId: expiring, source: "promotion", amount: 15 },
      { grantId: permanent, source: "purchase", amount: 30 },
    ]);
    const { rows, lots } = await expectLawfulLedger(app.sql, id);
    expect(lots.map((lot) => lot.remaining).sort()).toEqual([30, 50]);
    expect(rows.at(-1)).toMatchObject({ type: "reversal", amount: 45 });
    const [row] = await app.sql(
      "SELECT corrects_seq::int, reason, event_name FROM credit_transactions WHERE organization_id = $1 AND type = 'reversal'",
      [id],
    );
    expect(row).toEqual({ corrects_seq: 3, reason: "The model answered nothing", event_name: "api_call_basic" });
    expect((await take(id, 80)).available).toBe(0);
  });

  it("in parts gives back last what was taken first, and in all no more than was taken", async () => {
    const { id, expiring, permanent } = await tenantWithLots();
    const { transactionId } = await take(id, 45);
    const part = async (amount: number) => {
      const { allocations } = await reverse(id, transactionId, { amount: toCredits(amount) });
      return allocations.map(({ grantId, amount }) => [grantId, amount]);
    };
    expect(await part(10)).toEqual([[expiring, 10]]);
    expect(await part(10)).toEqual([
      [expiring, 5],
      [permanent, 5],
    ]);
    await expect(reverse(id, transactionId, { amount: toCredits(26) })).rejects.toMatchObject({
      code: "INVALID_INPUT",
      details: { reversible: 25 },
    });
    expect(await reverse(id, transactionId)).toMatchObject({ reversed: 25, available: 80 });
    for (const amount of [null, toCredits(1)]) {
      await expect(reverse(id, transactionId, { amount })).rejects.toMatchObject({
        code: "INVALID_INPUT",
        details: { reversible: 0 },
      });
    }
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(80);
  });

  it("asked for by twenty at once in parts gives back exactly the take", async () => {
    const { id } = await tenantWithLots();
    const { transactionId } = await take(id, 45);
    const results = await Promise.allSettled([
      ...Array.from({ length: 20 }, () => reverse(id, transactionId, { amount: toCredits(4) })),
      ...Array.from({ length: 10 }, () => take(id, 1)),
    ]);
    expect(outcomes(results)).toEqual({ ok: 11 + 10, INVALID_INPUT: 9 });
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(80 - 45 + 44 - 10);
  });

  it("under one key is done once, and answers the same; another body under it is a conflict", async () => {
    const { id } = await tenantWithLots();
    const { transactionId } = await take(id, 45);
    const request = { idempotencyKey: "give back", amount: toCredits(20) };
    const answers = await Promise.all(Array.from({ length: 10 }, () => reverse(id, transactionId, request)));
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    for (const answer of answers) expect({ ...answer, replayed: false }).toEqual({ ...answers[0], replayed: false });
    await take(id, 5);
    expect(await reverse(id, transactionId, request)).toEqual({ ...answers[0], replayed: true });
    for (const change of [{ amount: toCredits(21) }, { amount: null }, { reason: "another" }]) {
      expect(await reverse(id, transactionId, { ...request, ...change }).catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(80 - 45 + 20 - 5);
  });

  it("to a lot that expired meanwhile makes nothing spendable, and the job writes it off again", async () => {
    const { id } = await tenantWithLots();
    const { transactionId } = await take(id, 80);
    const later = minutesLater(61);
    expect(await reverse(id, transactionId, { now: later })).toMatchObject({ reversed: 80, available: 30 });
    expect(await getBalance(id, later)).toMatchObject({ available: 30 });
    expect(await expireLots(id, later)).toBe(1);
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(30);
  });

  it("of a capture gives back what the hold paid and what went beyond it", async () => {
    const { id } = await tenantWithLots();
    const hold = {
      organizationId: id,
      amount: toCredits(20),
      leaseSeconds: 60,
      eventName: null,
      idempotencyKey: key(),
    };
    const { holdId } = await holdCredits({ ...hold, now: NOW, ...who });
    const part = { organizationId: id, holdId, used: { amount: toCredits(35) }, release: true, idempotencyKey: key() };
    const { transactionId } = await captureHold({ ...part, now: NOW, ...who });
    expect(await reverse(id, transactionId, { amount: toCredits(25) })).toMatchObject({ available: 70 });
    expect(await reverse(id, transactionId)).toMatchObject({ reversed: 10, available: 80 });
    expect((await expectLawfulLedger(app.sql, id)).held).toBe(0);
  });

  it("is of takes only, and of one's own", async () => {
    const [{ id }, other] = [await tenantWithLots(), await tenantWithLots()];
    const { transactionId } = await take(id, 10);
    const { transactionId: reversal } = await reverse(id, transactionId);
    const theirs = await take(other.id, 10);
    const before = await readLedger(app.sql, id);
    expect(await reverse(id, reversal).catch(codeOf)).toBe("INVALID_INPUT");
    expect(await reverse(id, theirs.transactionId).catch(codeOf)).toBe("NOT_FOUND");
    expect(await reverse(id, "00000000-0000-7000-8000-00000000dead").catch(codeOf)).toBe("NOT_FOUND");
    expect(await reverse(id, "ffffffff-ffff-4fff-bfff-ffffffffffff").catch(codeOf)).toBe("NOT_FOUND");
    expect(await readLedger(app.sql, id)).toEqual(before);
  });
});

describe("the procedure", () => {
  it("is for services and the platform, and for no person of the organization", async () => {
    const { id } = await tenantWithLots();
    const { transactionId } = await take(id, 9);
    const input = { organizationId: id, transactionId, amount: 3, reason: "Not delivered" };
    for (const actor of [serviceOf(id), PLATFORM]) {
      expect(await callAs(actor).credits.reverse({ ...input, idempotencyKey: key() })).toMatchObject({ reversed: 3 });
    }
    for (const role of ["owner", "admin", "billing", "member"] as const) {
      const person = callAs(await createMember(id, role));
      expect(await person.credits.reverse({ ...input, idempotencyKey: key() }).catch(codeOf)).toBe("FORBIDDEN");
    }
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(77);
  });
});
