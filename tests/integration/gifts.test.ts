// Gifts behind a link: made, looked at, claimed once, cancelled, left alone.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Actor, Person } from "~/server/auth/actor";
import { expireLots } from "~/server/billing/credits";
import { addLot, callAs, daysLater, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { codeOf, createMember, createPerson, createTenant, NOW, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

async function richTenant(amount = 1000) {
  const tenant = await createTenant("Giver");
  await addLot({ organizationId: tenant.id, amount });
  return tenant;
}

const make = (
  { id, owner }: { id: string; owner: Person },
  amount: number,
  change: { expiresAt?: Date; message?: string; idempotencyKey?: string } = {},
  now = NOW,
) => callAs(owner, now).gifts.create({ organizationId: id, amount, idempotencyKey: randomUUID(), ...change });

const tokenOf = ({ link }: { link: string | null }) => link?.split("/").at(-1) ?? "";

const claim = (by: Actor | null, token: string, organizationId: string, now = NOW) =>
  callAs(by, now).gifts.claim({ token, organizationId });

async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => null,
    (thrown) => thrown,
  );
  const reason = (error as { cause?: { details?: { reason?: string } } } | null)?.cause?.details?.reason;
  return reason ? `${codeOf(error)} ${reason}` : codeOf(error);
}

const availableOf = async (organizationId: string, now = NOW) =>
  (await callAs(PLATFORM, now).credits.balance({ organizationId })).available;

describe("a gift", () => {
  it("sets credits aside, is looked at by anybody with the link, and is claimed for an organization", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 400, { message: "Thank you for the beta" });
    expect(gift).toMatchObject({ amount: 400, available: 600, expiresAt: daysLater(30), replayed: false });
    expect(gift.link).toMatch(/^http:\/\/localhost:3000\/gifts\/[\w-]{43}$/);
    const token = tokenOf(gift);

    const offered = {
      from: "Giver",
      amount: 400,
      message: "Thank you for the beta",
      expiresAt: daysLater(30),
      state: "open",
      lots: [{ amount: 400, expiresAt: null }],
    };
    expect(await callAs(null).gifts.look({ token })).toEqual({ ...offered, claimableFor: [] });
    expect(await callAs(receiver.owner).gifts.look({ token })).toEqual({
      ...offered,
      claimableFor: [{ id: receiver.id, slug: receiver.slug, name: "Receiver" }],
    });

    const claimed = await claim(receiver.owner, token, receiver.id);
    expect(claimed).toMatchObject({
      organizationId: receiver.id,
      slug: receiver.slug,
      amount: 400,
      available: 400,
      lots: [{ source: "transfer", originSource: "purchase", amount: 400, expiresAt: null }],
      replayed: false,
    });
    expect(await claim(receiver.owner, token, receiver.id)).toEqual({ ...claimed, replayed: true });
    expect([await availableOf(giver.id), await availableOf(receiver.id)]).toEqual([600, 400]);
    expect(await callAs(null).gifts.look({ token })).toMatchObject({ state: "claimed", lots: [] });
    const { gifts, transferable } = await callAs(giver.owner).gifts.list({ organizationId: giver.id });
    expect(transferable).toBe(600);
    expect(gifts).toMatchObject([{ id: gift.id, state: "claimed", claimedBy: "Receiver", claimedAt: NOW }]);
    for (const { id } of [giver, receiver]) await expectLawfulLedger(app.sql, id);
  });

  it("keeps only a hash of its link", async () => {
    const giver = await richTenant();
    const gift = await make(giver, 10);
    const [stored] = await app.sql("SELECT to_jsonb(g)::text AS text FROM credit_gifts g WHERE id = $1", [gift.id]);
    expect(String(stored?.text)).not.toContain(tokenOf(gift));
  });

  it("that is asked for again with its key is the same, link and all", async () => {
    const giver = await richTenant();
    const answers = await Promise.all(Array.from({ length: 8 }, () => make(giver, 100, { idempotencyKey: "once" })));
    expect(new Set(answers.map(({ id, link, available }) => `${id} ${link} ${available}`)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await availableOf(giver.id)).toBe(900);
    expect(await refusalOf(make(giver, 101, { idempotencyKey: "once" }))).toBe("IDEMPOTENCY_CONFLICT");
  });

  it("ends with the first of its credits, and goes into the receiver's with their expiry", async () => {
    const giver = await createTenant("Giver");
    const receiver = await createTenant("Receiver");
    const expiresAt = daysLater(10);
    await addLot({ organizationId: giver.id, amount: 50 });
    await addLot({ organizationId: giver.id, amount: 50, source: "subscription", expiresAt });
    const gift = await make(giver, 80, { expiresAt: daysLater(60) });
    expect(gift.expiresAt).toEqual(expiresAt);
    const { lots } = await callAs(null).gifts.look({ token: tokenOf(gift) });
    expect(lots).toEqual([
      { amount: 30, expiresAt },
      { amount: 50, expiresAt: null },
    ]);
    await claim(receiver.owner, tokenOf(gift), receiver.id);
    expect(await availableOf(receiver.id)).toBe(80);
    expect(await availableOf(receiver.id, expiresAt)).toBe(50);
  });

  it("cannot be made of promotions, nor of more than may go, nor for ever", async () => {
    const giver = await createTenant("Giver");
    await addLot({ organizationId: giver.id, amount: 100, source: "promotion" });
    await addLot({ organizationId: giver.id, amount: 100 });
    expect(await refusalOf(make(giver, 101))).toBe("INSUFFICIENT_CREDITS");
    for (const expiresAt of [NOW, daysLater(-1), daysLater(91)]) {
      expect(await refusalOf(make(giver, 1, { expiresAt }))).toBe("INVALID_INPUT");
    }
    expect((await make(giver, 100, { expiresAt: daysLater(90) })).available).toBe(100);
    expect(await refusalOf(make(giver, 1))).toBe("INSUFFICIENT_CREDITS");
  });

  it("cannot be made without end", async () => {
    const giver = await richTenant();
    for (let index = 0; index < 50; index++) await make(giver, 1);
    expect(await refusalOf(make(giver, 1))).toBe("INVALID_INPUT");
  });
});

describe("claiming", () => {
  it("by twenty organizations at once gives it to exactly one", async () => {
    const giver = await richTenant();
    const gift = await make(giver, 700);
    const receivers = await Promise.all(Array.from({ length: 20 }, () => createTenant("Receiver")));
    const results = await Promise.allSettled(receivers.map(({ id, owner }) => claim(owner, tokenOf(gift), id)));
    expect(outcomes(results)).toEqual({ ok: 1, GIFT_NOT_VALID: 19 });
    const balances = await Promise.all(receivers.map(({ id }) => expectLawfulLedger(app.sql, id)));
    expect(balances.map(({ balance }) => balance).sort((a, b) => b - a)).toEqual([700, ...Array(19).fill(0)]);
    expect((await expectLawfulLedger(app.sql, giver.id)).balance).toBe(300);
  });

  it("by twenty people of one organization at once, and cancelling meanwhile, happens once or not at all", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 700);
    const claims = Array.from({ length: 20 }, () => claim(receiver.owner, tokenOf(gift), receiver.id));
    const cancel = callAs(giver.owner).gifts.cancel({ organizationId: giver.id, giftId: gift.id });
    const results = await Promise.allSettled([...claims, cancel]);
    const went = (await availableOf(receiver.id)) === 700;
    expect(outcomes(results)).toEqual(went ? { ok: 20, GIFT_NOT_VALID: 1 } : { ok: 1, GIFT_NOT_VALID: 20 });
    expect((await availableOf(giver.id)) + (await availableOf(receiver.id))).toBe(1000);
    for (const { id } of [giver, receiver]) await expectLawfulLedger(app.sql, id);
  });

  it("is for people who manage billing there, and not for the giver", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const token = tokenOf(await make(giver, 100));
    const stranger = await createPerson();
    const member = await createMember(receiver.id, "member");
    expect(await refusalOf(claim(null, token, receiver.id))).toBe("UNAUTHENTICATED");
    expect(await refusalOf(claim(PLATFORM, token, receiver.id))).toBe("FORBIDDEN");
    expect(await refusalOf(claim(stranger, token, receiver.id))).toBe("NOT_FOUND");
    expect(await refusalOf(claim(member, token, receiver.id))).toBe("FORBIDDEN");
    expect((await callAs(member).gifts.look({ token })).claimableFor).toEqual([]);
    expect(await refusalOf(claim(giver.owner, token, giver.id))).toBe("GIFT_NOT_VALID own");
    expect((await callAs(giver.owner).gifts.look({ token })).claimableFor).toEqual([]);
    expect((await claim(await createMember(receiver.id, "billing"), token, receiver.id)).amount).toBe(100);
  });

  it("of a link that leads nowhere is refused", async () => {
    const receiver = await createTenant("Receiver");
    for (const token of ["x", "a".repeat(43)]) {
      expect(await refusalOf(callAs(null).gifts.look({ token }))).toBe("GIFT_NOT_VALID unknown");
      expect(await refusalOf(claim(receiver.owner, token, receiver.id))).toBe("GIFT_NOT_VALID unknown");
    }
  });

  it("is over from the gift's end on, when its credits come free by themselves", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const end = daysLater(5);
    const gift = await make(giver, 400, { expiresAt: end });
    expect(await availableOf(giver.id)).toBe(600);
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id, end))).toBe("GIFT_NOT_VALID expired");
    // Free whether or not the job has written it, and after it.
    expect(await availableOf(giver.id, end)).toBe(1000);
    await expireLots(giver.id, end);
    expect(await availableOf(giver.id, end)).toBe(1000);
    expect(await callAs(null, end).gifts.look({ token: tokenOf(gift) })).toMatchObject({ state: "expired" });
    const { gifts } = await callAs(giver.owner, end).gifts.list({ organizationId: giver.id });
    expect(gifts).toMatchObject([{ state: "expired" }]);
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id, end))).toBe("GIFT_NOT_VALID expired");
    const ledger = await expectLawfulLedger(app.sql, giver.id);
    expect(ledger.rows.map(({ type }) => type)).toEqual(["purchase", "hold", "release"]);
  });

  it("of credits whose payment is disputed by now is refused, and frees them for whoever claims them", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 400);
    // What an open dispute of a tenth does while the rest is set aside.
    await app.sql("UPDATE credit_grants SET to_freeze = 100 WHERE organization_id = $1", [giver.id]);
    await app.sql("UPDATE credit_accounts SET version = version + 1 WHERE organization_id = $1", [giver.id]);
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id))).toBe("GIFT_NOT_VALID withdrawn");
    expect(await availableOf(giver.id)).toBe(900);
    expect(await callAs(null).gifts.look({ token: tokenOf(gift) })).toMatchObject({ state: "withdrawn" });
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id))).toBe("GIFT_NOT_VALID withdrawn");
    expect(await availableOf(receiver.id)).toBe(0);
    await expectLawfulLedger(app.sql, giver.id);
  });
});

describe("a gift whose giver is suspended", () => {
  const suspend = async (organizationId: string, at: Date | null) => {
    const text = "UPDATE credit_accounts SET suspended_at = $2, version = version + 1 WHERE organization_id = $1";
    await app.sql(text, [organizationId, at]);
  };

  it("waits, and is claimed after the suspension", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 400);
    const token = tokenOf(gift);
    await suspend(giver.id, NOW);
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(await refusalOf(claim(receiver.owner, token, receiver.id))).toBe("GIFT_NOT_VALID suspended");
    }
    expect(await callAs(null).gifts.look({ token })).toMatchObject({ state: "open", amount: 400 });
    expect(await availableOf(receiver.id)).toBe(0);
    await suspend(giver.id, null);
    expect(await claim(receiver.owner, token, receiver.id)).toMatchObject({ amount: 400, replayed: false });
    expect(await availableOf(giver.id)).toBe(600);
    const ledger = await expectLawfulLedger(app.sql, giver.id);
    expect(ledger.rows.map(({ type }) => type)).toEqual(["purchase", "hold", "transfer"]);
    await expectLawfulLedger(app.sql, receiver.id);
  });

  it("is withdrawn all the same where a dispute has a better right to its credits", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 400);
    await app.sql("UPDATE credit_grants SET to_freeze = 100 WHERE organization_id = $1", [giver.id]);
    await suspend(giver.id, NOW);
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id))).toBe("GIFT_NOT_VALID withdrawn");
    await suspend(giver.id, null);
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id))).toBe("GIFT_NOT_VALID withdrawn");
    await expectLawfulLedger(app.sql, giver.id);
  });
});

describe("cancelling", () => {
  it("frees the credits at once; again changes nothing; the link is no good any more", async () => {
    const giver = await richTenant();
    const receiver = await createTenant("Receiver");
    const gift = await make(giver, 400);
    const cancel = () => callAs(giver.owner).gifts.cancel({ organizationId: giver.id, giftId: gift.id });
    expect(await cancel()).toEqual({ id: gift.id, state: "cancelled", available: 1000 });
    expect(await cancel()).toEqual({ id: gift.id, state: "cancelled", available: 1000 });
    expect(await refusalOf(claim(receiver.owner, tokenOf(gift), receiver.id))).toBe("GIFT_NOT_VALID cancelled");
    const claimed = await make(giver, 10);
    await claim(receiver.owner, tokenOf(claimed), receiver.id);
    expect(await refusalOf(callAs(giver.owner).gifts.cancel({ organizationId: giver.id, giftId: claimed.id }))).toBe(
      "GIFT_NOT_VALID claimed",
    );
    await expectLawfulLedger(app.sql, giver.id);
  });

  it("and making and listing are the owner's", async () => {
    const giver = await richTenant();
    const other = await richTenant();
    const gift = await make(giver, 10);
    for (const role of ["admin", "billing", "member"] as const) {
      const person = await createMember(giver.id, role);
      expect(await refusalOf(make({ id: giver.id, owner: person }, 1))).toBe("FORBIDDEN");
      expect(await refusalOf(callAs(person).gifts.list({ organizationId: giver.id }))).toBe("FORBIDDEN");
      expect(await refusalOf(callAs(person).gifts.cancel({ organizationId: giver.id, giftId: gift.id }))).toBe(
        "FORBIDDEN",
      );
    }
    expect(await refusalOf(callAs(other.owner).gifts.cancel({ organizationId: other.id, giftId: gift.id }))).toBe(
      "NOT_FOUND",
    );
    expect(await refusalOf(callAs(other.owner).gifts.cancel({ organizationId: giver.id, giftId: gift.id }))).toBe(
      "NOT_FOUND",
    );
  });
});
