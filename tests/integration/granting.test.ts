// Giving and taking back by hand: what is answered, and how much one organization can hold.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SpentPolicy } from "~/domain/account";
import { toCredits } from "~/domain/credits";
import { continueBulkGrant } from "~/server/billing/bulk-grants";
import { grantCredits } from "~/server/billing/credits";
import { setSpentPolicy } from "~/server/billing/spent-policy";
import { addLot, addPaidLot, callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { codeOf, createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const platform = callAs(PLATFORM);
let keys = 0;
const once = () => ({ idempotencyKey: `key ${++keys}` });

const grant = (organizationId: string, amount: number, key = once()) => {
  const request = { organizationId, amount, source: "promotion", reason: "Thanks", ...key } as const;
  return () => platform.credits.grant(request);
};
const adjust = (organizationId: string, amount: number, key = once()) => {
  return () => platform.credits.adjust({ organizationId, amount, reason: "Booked twice", ...key });
};
const reverse = (organizationId: string, transactionId: string, amount?: number) => {
  const request = { organizationId, transactionId, reason: "It failed", ...once(), ...(amount ? { amount } : {}) };
  return () => platform.credits.reverse(request);
};

const TOO_LARGE = "The balance would become too large to be counted exactly.";

/** An organization that can be given five credits more, and then none. */
async function nearlyFull(): Promise<string> {
  const { id: organizationId } = await createTenant();
  const given = { source: "adjustment", expiresAt: null, reason: "All there is", actor: "test", now: NOW } as const;
  await grantCredits({ organizationId, amount: toCredits(Number.MAX_SAFE_INTEGER - 5), ...given, ...once() });
  return organizationId;
}

describe("what would leave the numbers that can be counted exactly", () => {
  it.each([
    ["a grant", grant],
    ["an adjustment", adjust],
  ])("is refused of %s, writes nothing, and leaves its key free", async (_, give) => {
    const organizationId = await nearlyFull();
    const before = await expectLawfulLedger(app.sql, organizationId);
    const key = once();
    const refusal = await give(organizationId, 6, key)().catch((error) => error);
    expect(codeOf(refusal)).toBe("INVALID_INPUT");
    expect(refusal.message).toBe(TOO_LARGE);
    expect(await expectLawfulLedger(app.sql, organizationId)).toEqual(before);
    expect(await give(organizationId, 5, key)()).toMatchObject({ available: Number.MAX_SAFE_INTEGER, replayed: false });
    expect(codeOf(await give(organizationId, 1)().catch((error) => error))).toBe("INVALID_INPUT");
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("is said of its row of a bulk grant, and the others are granted", async () => {
    const organizationId = await nearlyFull();
    const other = await createTenant();
    const lines = [`${other.id},10`, `${organizationId},6`, `${organizationId},5`, `${other.id},7`];
    const { id: bulkId } = await platform.admin.bulkGrants.start({
      text: ["organization,amount", ...lines, ""].join("\n"),
      name: "full.csv",
      reason: "Spring",
    });
    while (await continueBulkGrant(bulkId, NOW));
    expect(await platform.admin.bulkGrants.progress({ bulkId })).toMatchObject({
      status: "done",
      pending: 0,
      granted: 3,
      failed: 1,
      credits: 22,
      failures: [{ line: 3, error: TOO_LARGE }],
    });
    expect((await expectLawfulLedger(app.sql, other.id)).balance).toBe(17);
    const { balance, rows } = await expectLawfulLedger(app.sql, organizationId);
    expect([balance, rows.length]).toEqual([Number.MAX_SAFE_INTEGER, 2]);
  });
});

// ── What is answered ───────────────────────────────────────────────────────────────────────────────────────

/** An organization that had 100 credits, has spent 60 of them, and whose payment for all of them was refunded then. */
async function refundedAfterSpending(policy: SpentPolicy) {
  const { id: organizationId, owner } = await createTenant();
  await setSpentPolicy({ organizationId, policy, actor: "test", now: NOW });
  const claim = await addPaidLot(app.sql, organizationId, 100);
  const unit = { organizationId, eventName: "api_call_basic", quantity: 60 };
  const { transactionId } = await platform.credits.consume({ ...unit, ...once() });
  await claim(100, 0);
  return { organizationId, owner, transactionId };
}

/** Calls twice with one key: what is answered first, which is there to be spent, is what is answered again. */
async function answerOf(organizationId: string, call: () => Promise<{ available: number }>): Promise<number> {
  const first = await call();
  expect(first).toMatchObject({ replayed: false });
  expect((await platform.credits.balance({ organizationId })).available).toBe(first.available);
  expect(await call()).toEqual({ ...first, replayed: true });
  return first.available;
}

describe("what may be spent, as it is answered", () => {
  it.each([
    ["a grant", grant],
    ["an adjustment", adjust],
  ])("to %s is what is left once it has paid a debt, first and again", async (_, give) => {
    const { organizationId } = await refundedAfterSpending("debt");
    expect((await platform.credits.balance({ organizationId })).debt).toBe(60);
    expect(await answerOf(organizationId, give(organizationId, 25))).toBe(0);
    const key = once();
    const second = give(organizationId, 50, key);
    expect(await answerOf(organizationId, second)).toBe(15);
    expect(await answerOf(organizationId, give(organizationId, 10))).toBe(25);
    expect(await answerOf(organizationId, adjust(organizationId, -5))).toBe(20);
    expect(await second(), "the first answer, whatever has come since").toMatchObject({
      available: 15,
      replayed: true,
    });
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(20);
  });

  it("to a gift is what is left once it has paid a debt, first and again", async () => {
    const { organizationId, owner } = await refundedAfterSpending("debt");
    const giver = await createTenant("Giver");
    await addLot({ organizationId: giver.id, amount: 100 });
    const { link } = await callAs(giver.owner).gifts.create({ organizationId: giver.id, amount: 70, ...once() });
    const token = link?.split("/").at(-1) ?? "";
    expect(await answerOf(organizationId, () => callAs(owner).gifts.claim({ token, organizationId }))).toBe(10);
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(10);
  });

  it("to a reversal is what is left once it has paid a debt, first and again", async () => {
    const { organizationId, transactionId } = await refundedAfterSpending("debt");
    await grant(organizationId, 40)();
    expect(await answerOf(organizationId, reverse(organizationId, transactionId, 15))).toBe(0);
    expect(await answerOf(organizationId, reverse(organizationId, transactionId, 20))).toBe(15);
    expect(await answerOf(organizationId, reverse(organizationId, transactionId))).toBe(40);
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(40);
  });

  it("to a reversal leaves out what a refund claims of the credits that came back", async () => {
    const { organizationId, transactionId } = await refundedAfterSpending("clamp");
    await addLot({ organizationId, amount: 7 });
    expect(await answerOf(organizationId, reverse(organizationId, transactionId, 20))).toBe(7);
    expect(await answerOf(organizationId, reverse(organizationId, transactionId))).toBe(7);
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(7);
  });

  it("is not changed by a refund that comes at the same instant, or the debt that it makes and that is paid", async () => {
    const { id: organizationId } = await createTenant();
    await setSpentPolicy({ organizationId, policy: "debt", actor: "test", now: NOW });
    const claim = await addPaidLot(app.sql, organizationId, 100);
    const unit = { organizationId, eventName: "api_call_basic", quantity: 60 };
    const { transactionId } = await platform.credits.consume({ ...unit, ...once() });
    const calls = [grant(organizationId, 10), adjust(organizationId, 5), reverse(organizationId, transactionId, 1)];
    const first = [];
    for (const call of calls) first.push(await call());
    expect(first.map(({ available }) => available)).toEqual([50, 55, 56]);
    await claim(100, 0);
    expect((await expectLawfulLedger(app.sql, organizationId)).rows.slice(-2).map(({ type }) => type)).toEqual([
      "refund",
      "debt",
    ]);
    for (const [index, call] of calls.entries()) expect(await call()).toEqual({ ...first[index], replayed: true });
  });
});
