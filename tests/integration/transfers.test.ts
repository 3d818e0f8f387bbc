// Transfers between organizations and adjustments, through the API and on a real database.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import type { Actor } from "~/server/auth/actor";
import { consumeCredits, expireLots, grantOnce, type NewLot } from "~/server/billing/credits";
import { asPlatform } from "~/server/db";
import { addLot, callAs, daysLater, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { codeOf, createMember, createPerson, createTenant, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

type Tenant = Awaited<ReturnType<typeof createTenant>>;

const transfer = (by: Actor | null, from: string, to: string, amount: number, key: string = randomUUID(), now = NOW) =>
  callAs(by, now).credits.transfer({
    organizationId: from,
    toOrganizationId: to,
    amount,
    reason: "between sisters",
    idempotencyKey: key,
  });

async function balanceOf(organizationId: string, now = NOW): Promise<number> {
  return (await callAs(PLATFORM, now).credits.balance({ organizationId })).available;
}

/** Two organizations of one owner. */
async function sisters(): Promise<{ giver: Tenant; receiver: { id: string }; owner: Actor }> {
  const giver = await createTenant("Giver");
  const receiver = await callAs(giver.owner).organizations.create({ name: "Receiver" });
  return { giver, receiver, owner: giver.owner };
}

/** 100 credits that were paid for. */
function addPaidLot(
  organizationId: string,
  lot: Partial<NewLot> & { source: "purchase" | "subscription"; stripePaymentId?: string },
): Promise<string | null> {
  return asPlatform((tx) =>
    grantOnce(tx, {
      organizationId,
      businessKey: `test:${randomUUID()}`,
      type: lot.source === "purchase" ? "purchase" : "grant",
      lot: { amount: toCredits(100), expiresAt: null, label: `${lot.source} 100`, ...lot },
      reason: "for a test",
      now: NOW,
    }),
  );
}

async function refusalOf(attempt: Promise<unknown>): Promise<{ code: string; details: unknown }> {
  const error = await attempt.then(
    () => null,
    (thrown) => thrown,
  );
  return { code: codeOf(error), details: (error as { cause?: { details?: unknown } } | null)?.cause?.details };
}

describe("a transfer", () => {
  it("moves lots with their expiry, their origin and the payment behind them, and says so on both sides", async () => {
    const { giver, receiver, owner } = await sisters();
    const expiresAt = daysLater(20);
    await addPaidLot(giver.id, { source: "purchase", stripePaymentId: "pi_1", stripeSessionId: "cs_1" });
    await addPaidLot(giver.id, { source: "subscription", expiresAt, stripeInvoiceId: "in_1" });

    const moved = await transfer(owner, giver.id, receiver.id, 130);
    expect(moved).toMatchObject({
      amount: 130,
      available: 70,
      lots: [
        { source: "transfer", originSource: "purchase", amount: 100, expiresAt: null },
        { source: "transfer", originSource: "subscription", amount: 30, expiresAt },
      ],
      replayed: false,
    });
    expect([await balanceOf(giver.id), await balanceOf(receiver.id)]).toEqual([70, 130]);
    const lots = await app.sql(
      `SELECT label, stripe_payment_id, stripe_session_id, stripe_invoice_id, origin_organization_id, transferable
       FROM credit_grants WHERE organization_id = $1 ORDER BY expires_at NULLS FIRST`,
      [receiver.id],
    );
    const common = { origin_organization_id: giver.id, transferable: true };
    expect(lots).toEqual([
      {
        ...common,
        label: "purchase 100, from Giver",
        stripe_payment_id: "pi_1",
        stripe_session_id: "cs_1",
        stripe_invoice_id: null,
      },
      {
        ...common,
        label: "subscription 100, from Giver",
        stripe_payment_id: null,
        stripe_session_id: null,
        stripe_invoice_id: "in_1",
      },
    ]);

    const given = await callAs(owner).credits.transaction({
      organizationId: giver.id,
      transactionId: moved.transactionId,
    });
    expect(given).toMatchObject({ type: "transfer", amount: -130, reason: "To Receiver: between sisters" });
    const received = await callAs(owner).credits.transaction({
      organizationId: receiver.id,
      transactionId: moved.receivedTransactionId,
    });
    expect(received).toMatchObject({ type: "transfer", amount: 130, reason: "From Giver: between sisters" });
    for (const id of [giver.id, receiver.id]) await expectLawfulLedger(app.sql, id);
  });

  it("that is transferred on still names where the credits were first, and its label does not grow", async () => {
    const { giver, receiver, owner } = await sisters();
    const third = await callAs(owner).organizations.create({ name: "Third" });
    const first = await addLot({ organizationId: giver.id, amount: 10 });
    await transfer(owner, giver.id, receiver.id, 10);
    await transfer(owner, receiver.id, third.id, 10);
    const lots = await app.sql(
      "SELECT label, source::text, origin_source::text, origin_organization_id, origin_grant_id FROM credit_grants WHERE organization_id = $1",
      [third.id],
    );
    expect(lots).toEqual([
      {
        label: "purchase 10, from Receiver",
        source: "transfer",
        origin_source: "purchase",
        origin_organization_id: giver.id,
        origin_grant_id: first,
      },
    ]);
  });

  it("with the same key gives the first answer, at once, later, and when the receiver is gone", async () => {
    const { giver, receiver, owner } = await sisters();
    await addLot({ organizationId: giver.id, amount: 100 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => transfer(owner, giver.id, receiver.id, 40, "once")),
    );
    expect(answers.filter((one) => !one.replayed)).toHaveLength(1);
    const first = answers.find((one) => !one.replayed);
    for (const one of answers) expect({ ...one, replayed: false }).toEqual(first);
    expect([await balanceOf(giver.id), await balanceOf(receiver.id)]).toEqual([60, 40]);
    expect((await refusalOf(transfer(owner, giver.id, receiver.id, 41, "once"))).code).toBe("IDEMPOTENCY_CONFLICT");

    await app.sql("UPDATE organizations SET deleted_at = $2 WHERE id = $1", [receiver.id, NOW]);
    expect(await transfer(PLATFORM, giver.id, receiver.id, 40, "once")).toEqual({ ...first, replayed: true });
    expect((await refusalOf(transfer(PLATFORM, giver.id, receiver.id, 1))).code).toBe("NOT_FOUND");
    expect(await balanceOf(giver.id)).toBe(60);
  });

  it("of more than may go is refused with what may, and of promotions, trials and claimed lots nothing may", async () => {
    const { giver, receiver, owner } = await sisters();
    await addLot({ organizationId: giver.id, amount: 50, source: "promotion" });
    const trial = await addLot({ organizationId: giver.id, amount: 40, source: "subscription" });
    const claimed = await addLot({ organizationId: giver.id, amount: 30 });
    await addLot({ organizationId: giver.id, amount: 20 });
    await app.sql("UPDATE credit_grants SET transferable = false WHERE id = $1", [trial]);
    await app.sql("UPDATE credit_grants SET to_freeze = 1 WHERE id = $1", [claimed]);
    expect(await refusalOf(transfer(owner, giver.id, receiver.id, 21))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 21, available: 140, transferable: 20 },
    });
    expect(await balanceOf(giver.id)).toBe(140);
    expect((await transfer(owner, giver.id, receiver.id, 20)).available).toBe(120);
    expect((await refusalOf(transfer(owner, giver.id, receiver.id, 1))).details).toMatchObject({ transferable: 0 });
  });

  it("of credits whose refund nobody has acted on yet takes the claim along, on both sides together", async () => {
    const { giver, receiver, owner } = await sisters();
    await addPaidLot(giver.id, { source: "purchase", stripePaymentId: "pi_small" });
    // What the bank says now of its payment, and nobody has acted on yet: a half.
    await app.sql(
      "INSERT INTO stripe_payments (id, organization_id, amount, currency, refunded, synced_at) VALUES ('pi_small', $1, 1000, 'usd', 500, $2)",
      [giver.id, NOW],
    );
    await transfer(owner, giver.id, receiver.id, 13);
    const [lots] = await app.sql(
      "SELECT sum(to_take)::int AS claimed, sum(taken)::int AS taken FROM credit_grants WHERE stripe_payment_id = 'pi_small'",
    );
    expect(lots).toEqual({ claimed: 50, taken: 50 });
    expect((await balanceOf(giver.id)) + (await balanceOf(receiver.id))).toBe(50);
    for (const id of [giver.id, receiver.id]) await expectLawfulLedger(app.sql, id);
  });

  it("of what has expired is refused, whether or not the expiry was written", async () => {
    const { giver, receiver } = await sisters();
    await addLot({ organizationId: giver.id, amount: 50, source: "subscription", expiresAt: daysLater(1) });
    const late = daysLater(1);
    expect((await refusalOf(transfer(PLATFORM, giver.id, receiver.id, 1, "late", late))).details).toEqual({
      required: 1,
      available: 0,
      transferable: 0,
    });
    await expireLots(giver.id, late);
    expect((await refusalOf(transfer(PLATFORM, giver.id, receiver.id, 1, "later", late))).code).toBe(
      "INSUFFICIENT_CREDITS",
    );
  });

  it.each([
    ["0", 0],
    ["a negative amount", -5],
    ["a fraction", 1.5],
    ["NaN", Number.NaN],
    ["more than anybody has", Number.MAX_SAFE_INTEGER],
  ])("of %s is refused", async (_name, amount) => {
    const { giver, receiver, owner } = await sisters();
    await addLot({ organizationId: giver.id, amount: 100 });
    expect(
      await transfer(owner, giver.id, receiver.id, amount).then(
        () => "moved",
        (error) => error.code,
      ),
    ).toBe("BAD_REQUEST");
    expect(await balanceOf(giver.id)).toBe(100);
  });

  it("to itself, or to nobody, is refused", async () => {
    const { giver, owner } = await sisters();
    await addLot({ organizationId: giver.id, amount: 100 });
    expect((await refusalOf(transfer(owner, giver.id, giver.id, 1))).code).toBe("INVALID_INPUT");
    expect((await refusalOf(transfer(owner, giver.id, randomUUID(), 1))).code).toBe("NOT_FOUND");
    expect((await refusalOf(transfer(PLATFORM, giver.id, randomUUID(), 1))).code).toBe("NOT_FOUND");
    expect(await balanceOf(giver.id)).toBe(100);
  });
});

describe("who may transfer", () => {
  it("is the owner of the one who belongs to the other, and the platform", async () => {
    const { giver, receiver } = await sisters();
    await addLot({ organizationId: giver.id, amount: 100 });
    const stranger = await createTenant("Stranger");
    const both = async (role: "admin" | "billing" | "member") => {
      const person = await createMember(giver.id, role);
      await asPlatform((tx) =>
        tx.membership.create({
          data: { organizationId: receiver.id, userId: person.userId, role: "owner", createdAt: NOW },
        }),
      );
      return person;
    };
    const service: Actor = { ...PLATFORM, kind: "service", organizationId: giver.id } as Actor;
    const tries: [Actor | null, string, string][] = [
      [null, receiver.id, "UNAUTHENTICATED"],
      [await both("admin"), receiver.id, "FORBIDDEN"],
      [await both("billing"), receiver.id, "FORBIDDEN"],
      [await both("member"), receiver.id, "FORBIDDEN"],
      [service, receiver.id, "FORBIDDEN"],
      // Its owner does not belong to the stranger's: for them there is no such organization.
      [giver.owner, stranger.id, "NOT_FOUND"],
      [stranger.owner, stranger.id, "NOT_FOUND"],
    ];
    for (const [by, to, code] of tries) expect((await refusalOf(transfer(by, giver.id, to, 1))).code).toBe(code);
    expect(await balanceOf(giver.id)).toBe(100);
    expect((await transfer(PLATFORM, giver.id, stranger.id, 10)).available).toBe(90);
    expect((await transfer(await createPerson({ isPlatformAdmin: true }), giver.id, stranger.id, 10)).available).toBe(
      80,
    );
    await asPlatform((tx) =>
      tx.membership.create({
        data: { organizationId: stranger.id, userId: giver.owner.userId, role: "member", createdAt: NOW },
      }),
    );
    expect((await transfer(giver.owner, giver.id, stranger.id, 10)).available).toBe(70);
  });
});

/** A machine may be too slow for all of them at once; what was not even begun is asked for again with its key. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (codeOf(error) !== "BUSY") throw error;
    }
  }
}

describe("many at once", () => {
  it("there and back, among consumes: no deadlock, and the total is kept", async () => {
    const { giver, receiver, owner } = await sisters();
    const third = await callAs(owner).organizations.create({ name: "Third" });
    const all = [giver.id, receiver.id, third.id];
    for (const organizationId of all) {
      await addLot({ organizationId, amount: 300 });
      await addLot({ organizationId, amount: 300, source: "subscription", expiresAt: daysLater(9) });
      await addLot({ organizationId, amount: 100, source: "promotion" });
    }
    const [before] = await app.sql<{ deadlocks: number }>(
      "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
    );
    const jobs = Array.from({ length: 200 }, (_, index) => {
      const from = all[index % 3] ?? "";
      const to = all[(index + 1 + (index % 2)) % 3] ?? "";
      return patiently(() => transfer(owner, from, to, 1 + (index % 37), `at-once-${index}`));
    });
    const takes = Array.from({ length: 60 }, (_, index) =>
      consumeCredits({
        organizationId: all[index % 3] ?? "",
        eventName: "api_call_basic",
        quantity: 1,
        idempotencyKey: `among-${index}`,
        actor: "test",
        now: NOW,
      }),
    );
    const [moved, taken] = await Promise.all([Promise.allSettled(jobs), Promise.allSettled(takes)]);
    const said = outcomes(moved);
    expect(
      Object.keys(said).every((code) => ["ok", "INSUFFICIENT_CREDITS"].includes(code)),
      JSON.stringify(said),
    ).toBe(true);
    expect(said.ok).toBeGreaterThan(100);
    expect(outcomes(taken)).toEqual({ ok: 60 });
    const consumed = taken.reduce((sum, one) => sum + (one.status === "fulfilled" ? one.value.consumed : 0), 0);
    let total = 0;
    for (const id of all) total += (await expectLawfulLedger(app.sql, id)).balance;
    expect(total + consumed).toBe(2100);
    const promoted = await app.sql(
      "SELECT 1 FROM credit_grants WHERE origin_source = 'promotion' OR (source = 'promotion' AND transferred > 0)",
    );
    expect(promoted).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 600));
    const [after] = await app.sql<{ deadlocks: number }>(
      "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
    );
    expect(after?.deadlocks).toBe(before?.deadlocks);
  });
});

describe("an adjustment", () => {
  const adjust = (
    organizationId: string,
    amount: number,
    change: { grantId?: string; idempotencyKey?: string } = {},
    by: Actor = PLATFORM,
  ) =>
    callAs(by).credits.adjust({
      organizationId,
      amount,
      reason: "metered twice",
      idempotencyKey: randomUUID(),
      ...change,
    });

  it("takes unspent credits back in burn order, or of one lot, with reason and actor", async () => {
    const { id: organizationId } = await createTenant();
    const first = await addLot({ organizationId, amount: 50 });
    const second = await addLot({ organizationId, amount: 50, source: "promotion" });
    expect(await adjust(organizationId, -60)).toMatchObject({
      amount: -60,
      available: 40,
      allocations: [
        { grantId: first, source: "purchase", amount: -50 },
        { grantId: second, source: "promotion", amount: -10 },
      ],
    });
    const third = await addLot({ organizationId, amount: 50 });
    const taken = await adjust(organizationId, -20, { grantId: second });
    expect(taken).toMatchObject({ available: 70, allocations: [{ grantId: second, amount: -20 }] });
    const row = await callAs(PLATFORM).credits.transaction({ organizationId, transactionId: taken.transactionId });
    expect(row).toMatchObject({ type: "adjustment", reason: "metered twice", actor: expect.stringMatching(/^key:/) });
    expect(await refusalOf(adjust(organizationId, -21, { grantId: second }))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 21, available: 20, grantId: second },
    });
    expect((await refusalOf(adjust(organizationId, -1, { grantId: first }))).code).toBe("NOT_FOUND");
    expect(await refusalOf(adjust(organizationId, -71))).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 71, available: 70 },
    });
    expect((await adjust(organizationId, -50, { grantId: third })).available).toBe(20);
    await expectLawfulLedger(app.sql, organizationId);
  });

  it("gives a lot of its own", async () => {
    const { id: organizationId } = await createTenant();
    expect(await adjust(organizationId, 25)).toMatchObject({
      amount: 25,
      available: 25,
      allocations: [{ source: "adjustment", amount: 25 }],
    });
    expect((await refusalOf(adjust(organizationId, 25, { grantId: randomUUID() }))).code).toBe("INVALID_INPUT");
    expect((await refusalOf(adjust(organizationId, 0))).code).toBe("BAD_REQUEST");
  });

  it("is done once for a key, however many ask", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 100 });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => adjust(organizationId, -30, { idempotencyKey: "once" })),
    );
    expect(answers.filter((one) => !one.replayed)).toHaveLength(1);
    expect(new Set(answers.map((one) => one.transactionId)).size).toBe(1);
    expect((await refusalOf(adjust(organizationId, -31, { idempotencyKey: "once" }))).code).toBe(
      "IDEMPOTENCY_CONFLICT",
    );
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(70);
  });

  it("is the platform's", async () => {
    const { id, owner } = await createTenant();
    expect((await refusalOf(adjust(id, 5, {}, owner))).code).toBe("FORBIDDEN");
  });
});
