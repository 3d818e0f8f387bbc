// The lots of an organization as people see them: in the order in which they go, with what is set aside, and how each one ended.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { adjustCredits } from "~/server/billing/adjustments";
import { consumeCredits, expireLots } from "~/server/billing/credits";
import { type Grant, listGrants } from "~/server/billing/grants";
import { holdCredits } from "~/server/billing/holds";
import { setSpentPolicy } from "~/server/billing/spent-policy";
import { transferCredits } from "~/server/billing/transfers";
import { addLot, addPaidLot, daysLater, expectLawfulLedger, openLedger } from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(async () => {
  await app.close();
});

let keys = 0;
const by = () => ({ actor: "test", apiKeyId: null, idempotencyKey: `key ${++keys}` });

const take = (organizationId: string, quantity: number, now = NOW) =>
  consumeCredits({ organizationId, eventName: "api_call_basic", quantity, now, ...by() });
const hold = (organizationId: string, amount: number, leaseSeconds = 300) =>
  holdCredits({ organizationId, amount: toCredits(amount), leaseSeconds, eventName: null, now: NOW, ...by() });
const adjust = (organizationId: string, grantId: string, amount: number) =>
  adjustCredits({ organizationId, amount, grantId, reason: "Booked twice", now: NOW, ...by() });
const lots = (organizationId: string, now = NOW) => listGrants(organizationId, now, 20);

const brief = ({ id, remaining, held, frozen, position }: Grant) => ({ id, remaining, held, frozen, position });

describe("open lots", () => {
  it("stand in burn order with what holds set aside, also where nothing else is left of them", async () => {
    const { id } = await createTenant();
    const later = await addLot({ organizationId: id, amount: 50, source: "promotion", expiresAt: daysLater(3) });
    const first = await addLot({ organizationId: id, amount: 30 });
    await hold(id, 40);
    expect((await lots(id)).map(brief)).toEqual([
      { id: first, remaining: 30, held: 30, frozen: 0, position: null },
      { id: later, remaining: 50, held: 10, frozen: 0, position: 1 },
    ]);
  });

  it("say what a dispute froze of them", async () => {
    const { id } = await createTenant();
    const change = await addPaidLot(app.sql, id, 100);
    await hold(id, 20);
    await change(0, 50);
    expect(await lots(id)).toMatchObject([{ remaining: 100, held: 70, frozen: 50, position: 1, ended: null }]);
    await change(0, 0);
    expect(await lots(id)).toMatchObject([{ held: 20, frozen: 0 }]);
    await expectLawfulLedger(app.sql, id);
  });

  it("are free again from the instant a lease ends, before any job", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 30 });
    await hold(id, 30, 60);
    expect(await lots(id)).toMatchObject([{ held: 30, position: null }]);
    expect(await lots(id, minutesLater(2))).toMatchObject([{ held: 0, position: 1 }]);
  });

  it("past their expiry stay while a hold needs them, without a place in the order", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 30, source: "promotion", expiresAt: minutesLater(1) });
    await hold(id, 20, 600);
    expect(await lots(id, minutesLater(2))).toMatchObject([{ remaining: 30, held: 20, position: null, ended: null }]);
    await expireLots(id, minutesLater(2));
    expect(await lots(id, minutesLater(3))).toMatchObject([{ remaining: 20, held: 20, position: null, ended: null }]);
    expect(await lots(id, minutesLater(11))).toMatchObject([{ ended: { how: "expired", expired: 30 } }]);
  });
});

describe("a lot that has ended", () => {
  const endOf = async (organizationId: string, now = NOW) => {
    const [lot, ...more] = await lots(organizationId, now);
    expect(more).toEqual([]);
    await expectLawfulLedger(app.sql, organizationId);
    return lot?.ended;
  };

  it("was spent", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 30 });
    await take(id, 30);
    expect(await endOf(id)).toEqual({ at: expect.any(Date), how: "spent", expired: 0, takenBack: 0, transferred: 0 });
  });

  it("expired, whether or not the job has written it", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 30, source: "promotion", expiresAt: daysLater(1) });
    await take(id, 12);
    const ended = { at: daysLater(1), how: "expired", expired: 18, takenBack: 0, transferred: 0 };
    expect(await endOf(id, daysLater(2))).toEqual(ended);
    await expireLots(id, daysLater(1));
    expect(await endOf(id, daysLater(2))).toEqual(ended);
  });

  it("was refunded: only what was there was taken back, not what had been spent and is owed", async () => {
    for (const policy of ["clamp", "debt"] as const) {
      const { id } = await createTenant();
      await setSpentPolicy({ organizationId: id, policy, actor: "test", now: NOW });
      const change = await addPaidLot(app.sql, id, 100);
      await take(id, 40);
      await change(100, 0);
      expect(await endOf(id)).toEqual({
        at: expect.any(Date),
        how: "refunded",
        expired: 0,
        takenBack: 60,
        transferred: 0,
      });
    }
  });

  it("was given away, after a part was taken back by hand", async () => {
    const { id } = await createTenant();
    const { id: toOrganizationId } = await createTenant();
    const grantId = await addLot({ organizationId: id, amount: 100 });
    await adjust(id, grantId, -10);
    await take(id, 30);
    await transferCredits({
      organizationId: id,
      toOrganizationId,
      amount: toCredits(60),
      reason: "pilot",
      now: NOW,
      ...by(),
    });
    expect(await endOf(id)).toEqual({
      at: expect.any(Date),
      how: "transferred",
      expired: 0,
      takenBack: 10,
      transferred: 60,
    });
    const [arrived] = await lots(toOrganizationId);
    expect(arrived).toMatchObject({ source: "transfer", remaining: 60, position: 1 });
    expect(arrived?.label).toMatch(/, from /);
  });

  it("was taken back by hand", async () => {
    const { id } = await createTenant();
    const grantId = await addLot({ organizationId: id, amount: 100 });
    await take(id, 30);
    await adjust(id, grantId, -70);
    expect(await endOf(id)).toEqual({
      at: expect.any(Date),
      how: "adjusted",
      expired: 0,
      takenBack: 70,
      transferred: 0,
    });
  });
});
