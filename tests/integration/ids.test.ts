// Ids in capitals, as some languages write them: the same account, row, hold and member, and the same answers.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { createMember, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const capitals = (id: string) => id.toUpperCase();

describe("ids in capitals", () => {
  it("spend, hold, capture, release and reverse as those in small letters do, of one account", async () => {
    const { id } = await createTenant();
    const { userId } = await createMember(id, "member");
    await addLot({ organizationId: id, amount: 100 });
    const { credits } = callAs(serviceOf(id));
    const big = { organizationId: capitals(id), memberId: capitals(userId) };
    const small = { organizationId: id, memberId: userId };
    const unit = { eventName: "api_call_basic", quantity: 2, idempotencyKey: "unit" };

    const taken = await credits.consume({ ...big, ...unit });
    expect(taken).toMatchObject({ consumed: 2, available: 98, replayed: false });
    // Said in small letters it is the same request, not a conflict and not another take.
    expect(await credits.consume({ ...small, ...unit })).toEqual({ ...taken, replayed: true });
    const items = [
      { ...big, ...unit },
      { ...small, ...unit },
      { ...big, ...unit, idempotencyKey: "another" },
    ];
    const many = await credits.consumeMany({ organizationId: big.organizationId, items });
    expect(many).toMatchObject([
      { ok: true, transactionId: taken.transactionId, replayed: true },
      { ok: true, transactionId: taken.transactionId, replayed: true },
      { ok: true, consumed: 2, available: 96, replayed: false },
    ]);

    const set = { amount: 30, leaseSeconds: 600, idempotencyKey: "set aside" };
    const held = await credits.hold({ ...big, ...set });
    expect(held).toMatchObject({ available: 66, replayed: false });
    expect(await credits.hold({ ...small, ...set })).toEqual({ ...held, replayed: true });
    const part = { amount: 4, idempotencyKey: "part" };
    const capture = (organizationId: string, holdId: string) => credits.capture({ organizationId, holdId, ...part });
    const captured = await capture(big.organizationId, capitals(held.holdId));
    expect(captured).toMatchObject({ consumed: 4, remaining: 26, replayed: false });
    expect(await capture(id, held.holdId)).toEqual({ ...captured, replayed: true });
    const listed = await credits.holds({ organizationId: big.organizationId, holdId: capitals(held.holdId) });
    expect(listed.items.map(({ holdId, remaining }) => [holdId, remaining])).toEqual([[held.holdId, 26]]);
    const extension = { organizationId: big.organizationId, holdId: capitals(held.holdId), leaseSeconds: 900 };
    expect((await credits.extendHold(extension)).holdId).toBe(held.holdId);
    const end = { organizationId: big.organizationId, holdId: capitals(held.holdId) };
    expect(await credits.releaseHold(end)).toMatchObject({ released: 26, captured: 4, available: 92 });

    const back = { amount: 1, reason: "It failed", idempotencyKey: "back" };
    const reverse = (organizationId: string, transactionId: string) =>
      credits.reverse({ organizationId, transactionId, ...back });
    const reversed = await reverse(big.organizationId, capitals(taken.transactionId));
    expect(reversed).toMatchObject({ reversed: 1, available: 93, replayed: false });
    expect(await reverse(id, taken.transactionId)).toEqual({ ...reversed, replayed: true });

    const ledger = await expectLawfulLedger(app.sql, id);
    expect([ledger.balance, ledger.held]).toEqual([93, 0]);
    const members = await app.sql(
      "SELECT DISTINCT member_id FROM credit_transactions WHERE organization_id = $1 AND type IN ('consume', 'hold')",
      [id],
    );
    expect(members).toEqual([{ member_id: userId }]);
  });

  it("explain, list and count the same", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 100 });
    const { credits } = callAs(serviceOf(id), minutesLater(1));
    const unit = { organizationId: id, eventName: "api_call_basic", quantity: 2, idempotencyKey: "unit" };
    const { transactionId } = await credits.consume(unit);
    const [big, small] = [{ organizationId: capitals(id) }, { organizationId: id }];
    const bigRow = { transactionId: capitals(transactionId) };
    const explained = await credits.explain({ ...small, transactionId });
    expect(explained).toMatchObject({ kind: "transaction", id: transactionId, amount: -2 });
    expect(await credits.explain({ ...big, ...bigRow })).toEqual(explained);
    expect(await credits.transaction({ ...big, ...bigRow })).toEqual(
      await credits.transaction({ ...small, transactionId }),
    );
    expect(await credits.explain(big)).toEqual(await credits.explain(small));
    expect(await credits.balance(big)).toEqual(await credits.balance(small));
    expect(await credits.transactions(big)).toEqual(await credits.transactions(small));
    expect(await credits.grants(big)).toEqual(await credits.grants(small));
    const question = { eventName: "api_call_basic", quantity: 1 };
    expect(await credits.check({ ...big, ...question })).toEqual(await credits.check({ ...small, ...question }));
  });

  it("of the platform's give, take back and transfer once, whichever way they are written", async () => {
    const [giver, receiver] = [await createTenant(), await createTenant()];
    const { credits } = callAs(PLATFORM);
    const [big, small] = [{ organizationId: capitals(giver.id) }, { organizationId: giver.id }];
    const gift = { amount: 50, source: "promotion", reason: "Thanks", idempotencyKey: "gift" } as const;
    const granted = await credits.grant({ ...big, ...gift });
    expect(granted).toMatchObject({ available: 50, replayed: false });
    expect(await credits.grant({ ...small, ...gift })).toEqual({ ...granted, replayed: true });
    const correction = { amount: -10, reason: "Too much", idempotencyKey: "correction" };
    const adjust = (grantId: string) => credits.adjust({ ...big, ...correction, grantId });
    const adjusted = await adjust(capitals(granted.grantId));
    expect(adjusted).toMatchObject({ amount: -10, available: 40, replayed: false });
    expect(await adjust(granted.grantId)).toEqual({ ...adjusted, replayed: true });
    await addLot({ organizationId: giver.id, amount: 20, at: NOW });
    const sent = { amount: 15, reason: "Shared", idempotencyKey: "sent" };
    const transfer = (toOrganizationId: string) => credits.transfer({ ...big, ...sent, toOrganizationId });
    const transferred = await transfer(capitals(receiver.id));
    expect(transferred).toMatchObject({ replayed: false });
    expect(await transfer(receiver.id)).toEqual({ ...transferred, replayed: true });
    expect((await expectLawfulLedger(app.sql, giver.id)).balance).toBe(45);
    expect((await expectLawfulLedger(app.sql, receiver.id)).balance).toBe(15);
  });
});
