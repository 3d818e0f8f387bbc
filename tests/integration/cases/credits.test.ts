// Credits under attack: what holds afterwards.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots } from "~/server/billing/credits";
import { createGift } from "~/server/billing/gifts";
import { addLot, callAs, daysLater, PLATFORM } from "../../setup/billing";
import { serviceOf } from "../../setup/callers";
import { type Companies, type Company, openCompanies } from "../../setup/companies";
import { openQueue, type Queue } from "../../setup/queues";
import { codeOf, NOW, outcomes } from "../../setup/tenancy";

let world: Companies;
/** Another process, or the same one after a restart: it remembers nothing. */
let elsewhere: Queue;
beforeAll(async () => {
  world = await openCompanies();
  elsewhere = openQueue(world.billing.database.url);
});
afterAll(async () => {
  await elsewhere.close();
  await world.close();
});

const take = (company: Company, quantity: number, idempotencyKey: string, now = NOW) =>
  callAs(serviceOf(company.id), now).credits.consume({
    ...company.self,
    ...{ eventName: "api_call_basic", quantity, idempotencyKey },
  });

const takeElsewhere = (company: Company, quantity: number, idempotencyKey: string) =>
  elsewhere.run(() =>
    consumeCredits({ ...company.self, eventName: "api_call_basic", quantity, idempotencyKey, actor: "test", now: NOW }),
  );

async function having(amount: number, change: Partial<Parameters<typeof addLot>[0]> = {}): Promise<Company> {
  const company = await world.foundHere();
  await addLot({ organizationId: company.id, amount, ...change });
  return company;
}

describe("credits", () => {
  it("200 callers on the last 100 credits", async () => {
    const company = await having(100);
    const calls = Array.from({ length: 200 }, (_, n) =>
      n % 2 === 0 ? take(company, 1, `of-200-${n}`) : takeElsewhere(company, 1, `of-200-${n}`),
    );
    expect(outcomes(await Promise.allSettled(calls))).toEqual({ ok: 100, INSUFFICIENT_CREDITS: 100 });
    expect(await company.credits()).toEqual({ available: 0, held: 0, debt: 0 });
    expect(await company.ledger()).toHaveLength(101);
  });

  it("same key, twice, at once, after a restart, with another quantity", async () => {
    const company = await having(100);
    const first = await take(company, 7, "once");
    expect(first).toMatchObject({ consumed: 7, available: 93, replayed: false });
    const copies = await Promise.all([1, 2, 3].map(() => take(company, 7, "once")));
    const afterRestart = await takeElsewhere(company, 7, "once");
    for (const copy of [...copies, afterRestart]) expect(copy).toEqual({ ...first, replayed: true });
    expect(await take(company, 8, "once").catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    expect(await takeElsewhere(company, 6, "once").catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    expect(await company.ledger()).toEqual(["purchase 100", "consume -7"]);
  });

  it("quantity 0, negative, fractional, huge, NaN; cost × quantity beyond a safe integer", async () => {
    const company = await having(100);
    const service = callAs(serviceOf(company.id)).credits;
    for (const quantity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 1e300]) {
      const call = service.consume({ ...company.self, eventName: "api_call_basic", quantity, idempotencyKey: "odd" });
      expect(await call.catch(codeOf), String(quantity)).toBe("BAD_REQUEST");
    }
    const beyond = { eventName: "ai_inference", quantity: Number.MAX_SAFE_INTEGER, idempotencyKey: "odd" };
    expect(await service.consume({ ...company.self, ...beyond }).catch(codeOf)).toBe("INVALID_INPUT");
    expect(await company.ledger()).toEqual(["purchase 100"]);
    // The key was not used up by what was refused.
    expect(await take(company, 1, "odd")).toMatchObject({ consumed: 1, replayed: false });
  });

  it("grant expires between the check and the take", async () => {
    const company = await having(100, { source: "subscription", expiresAt: daysLater(1) });
    const before = new Date(daysLater(1).getTime() - 1);
    const usage = { ...company.self, eventName: "api_call_basic", quantity: 1 };
    expect(await callAs(serviceOf(company.id), before).credits.check(usage)).toMatchObject({ allowed: true });
    expect(await take(company, 1, "late", daysLater(1)).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    expect(await expireLots(company.id, daysLater(1))).toBe(1);
    expect(await company.ledger()).toEqual(["grant 100", "expiry -100"]);
  });

  it("a catalogue edit while consuming", async () => {
    const company = await having(10_000);
    const admin = callAs(PLATFORM).creditEvents;
    const dearer = { name: "case_event", description: "Of these tests", category: "API", cost: 1 };
    await admin.create(dearer);
    const consume = (n: number) =>
      callAs(serviceOf(company.id), daysLater(1)).credits.consume({
        ...company.self,
        ...{ eventName: "case_event", quantity: 2, idempotencyKey: `edit-${n}` },
      });
    const calls = Array.from({ length: 60 }, (_, n) => consume(n));
    const edit = callAs(PLATFORM, daysLater(1)).creditEvents.setRate({ eventName: "case_event", cost: 3, perUnits: 1 });
    calls.push(...Array.from({ length: 60 }, (_, n) => consume(60 + n)));
    const [answers] = await Promise.all([Promise.all(calls), edit]);
    expect((await consume(120)).consumed).toBe(6);
    const rows = await world.sql<{ id: string; amount: number; cost: number }>(
      "SELECT id, amount::float8, unit_cost::float8 AS cost FROM credit_transactions WHERE organization_id = $1 AND type = 'consume'",
      [company.id],
    );
    expect(rows).toHaveLength(121);
    for (const { amount, cost } of rows) expect(amount).toBe(-2 * cost);
    for (const { transactionId, consumed } of answers) {
      expect(rows.find(({ id }) => id === transactionId)).toMatchObject({ amount: -consumed });
    }
    expect(new Set(rows.map(({ cost }) => cost)).has(3)).toBe(true);
    await company.ledger();
  });

  it("transfers and gifts", async () => {
    const [giver, receiver] = [await having(100, { expiresAt: daysLater(20) }), await world.foundHere()];
    await addLot({ organizationId: giver.id, amount: 50, source: "promotion" });
    const give = (amount: number, key: string) =>
      callAs(PLATFORM).credits.transfer({
        ...giver.self,
        ...{ toOrganizationId: receiver.id, amount, reason: "a case", idempotencyKey: key },
      });
    // Of 150 a hundred may go: promotional ones are no money.
    expect(await give(101, "too-much").catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    for (const _ of [1, 2]) await give(60, "some");
    const { link } = await createGift({
      organizationId: giver.id,
      ...{ amount: toCredits(40), message: null, expiresAt: null, idempotencyKey: "gift" },
      ...{ actor: "test", apiKeyId: null, now: NOW },
    });
    expect(await give(1, "what-is-set-aside").catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    await callAs(receiver.owner).gifts.claim({ token: link?.split("/").at(-1) ?? "", organizationId: receiver.id });
    expect((await receiver.lots()).map(({ amount, expires }) => [amount, expires])).toEqual([
      [60, daysLater(20)],
      [40, daysLater(20)],
    ]);
    expect([await giver.available(), await receiver.available()]).toEqual([50, 100]);
    // Nor do they come back as something better: what was a promotion stays where it was given.
    expect(await give(50, "the-promotion").catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    for (const company of [giver, receiver]) await company.ledger();
  });

  it("a ledger row edited or deleted in SQL", async () => {
    const company = await having(100);
    await addLot({ organizationId: company.id, amount: 100 });
    // Of two lots, so that it has entries of its own too.
    await take(company, 150, "kept");
    const before = await company.ledger();
    for (const statement of [
      "UPDATE credit_transactions SET amount = amount + 1 WHERE organization_id = $1",
      "UPDATE credit_transactions SET created_at = now() WHERE organization_id = $1",
      "DELETE FROM credit_transactions WHERE organization_id = $1",
      "UPDATE credit_entries SET amount = amount + 1 WHERE organization_id = $1",
      "DELETE FROM credit_entries WHERE organization_id = $1",
    ]) {
      await expect(world.sql(statement, [company.id]), statement).rejects.toThrow(/append-only/);
    }
    await expect(world.sql("TRUNCATE credit_transactions CASCADE")).rejects.toThrow(/append-only/);
    expect(await company.ledger()).toEqual(before);
  });
});

describe("credits, by somebody who means harm", () => {
  it("the key of another organization, and of another kind of call", async () => {
    const [company, other] = [await having(10), await having(10)];
    await take(company, 3, "shared");
    expect(await take(other, 5, "shared")).toMatchObject({ consumed: 5, replayed: false });
    const hold = { ...company.self, amount: 2, idempotencyKey: "shared", leaseSeconds: 60 };
    expect(
      await callAs(serviceOf(company.id))
        .credits.hold(hold)
        .then(
          () => "another unit of work",
          (error) => codeOf(error),
        ),
    ).toMatch(/^(IDEMPOTENCY_CONFLICT|another unit of work)$/);
    for (const each of [company, other]) await each.ledger();
  });

  it("spends, refunds and spends what a dispute has frozen, all at once", async () => {
    const company = await world.found();
    const { payment } = await company.buy("pack_2500");
    const calls = Promise.allSettled(Array.from({ length: 60 }, (_, n) => take(company, 50, `race-${n}`)));
    await world.bank("disputes", { payment_intent: payment });
    const [results] = await Promise.all([calls, world.settle()]);
    const taken = 50 * (outcomes(results).ok ?? 0);
    expect(taken).toBeLessThanOrEqual(2500);
    expect(await company.credits()).toEqual({ available: 0, held: 2500 - taken, debt: 0 });
    await company.ledger();
  });

  it("spends on at the instant of a period's end", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { end } = await company.row();
    // What waits for its turn beyond the end is refused, so not in the last millisecond.
    await take(company, 1, "last", new Date(end.getTime() - 60_000));
    expect(await take(company, 1, "first", end).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    await company.renew();
    expect(await take(company, 6000, "all", company.now)).toMatchObject({ consumed: 6000, available: 0 });
    await expireLots(company.id, company.now);
    expect(await company.ledger()).toEqual(["grant 6000", "consume -1", "grant 6000", "consume -6000", "expiry -5999"]);
  });

  it("holds credits over the end of their lot, captures twice and releases", async () => {
    const company = await having(100, { source: "subscription", expiresAt: daysLater(1) });
    const credits = (at: Date) => callAs(serviceOf(company.id), at).credits;
    const { holdId } = await credits(NOW).hold({
      ...company.self,
      ...{ amount: 80, idempotencyKey: "over", leaseSeconds: 86_400 },
    });
    expect(await take(company, 21, "beside").catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
    const capture = { ...company.self, holdId, amount: 30, idempotencyKey: "part" };
    for (const _ of [1, 2]) await credits(daysLater(0.9)).capture(capture);
    await credits(daysLater(0.9)).releaseHold({ ...company.self, holdId });
    expect(await company.credits(daysLater(0.9))).toEqual({ available: 70, held: 0, debt: 0 });
    expect(await company.available(daysLater(1))).toBe(0);
    await company.ledger();
  });
});
