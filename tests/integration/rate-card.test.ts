// The rate card while it is used: dates, own rates, and edits that race with consumers.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { consumeCredits } from "~/server/billing/credits";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { codeOf, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

let events = 0;
async function newEvent(cost = 5, perUnits = 1) {
  return callAs(PLATFORM).creditEvents.create({ name: `event_${++events}`, category: "Tests", cost, perUnits });
}

async function richTenant() {
  const tenant = await createTenant();
  await addLot({ organizationId: tenant.id, amount: 10_000_000 });
  return tenant;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

let keys = 0;
const take = (organizationId: string, eventName: string, quantity: number, now: Date) =>
  consumeCredits({ organizationId, eventName, quantity, idempotencyKey: `key-${++keys}`, actor: "test", now });

const listed = async (name: string, now: Date, organizationId?: string) => {
  const actor = organizationId ? serviceOf(organizationId) : null;
  const all = await callAs(actor, now).creditEvents.list(organizationId ? { organizationId } : undefined);
  return all.find((event) => event.name === name);
};

describe("a rate with a date", () => {
  it("counts from its instant on, to the millisecond, and is announced before", async () => {
    const { id } = await richTenant();
    const { name } = await newEvent(5);
    const from = minutesLater(60);
    await callAs(PLATFORM).creditEvents.setRate({ eventName: name, cost: 3, perUnits: 1000, effectiveFrom: from });
    expect(await listed(name, NOW)).toMatchObject({ cost: 5, perUnits: 1, next: { cost: 3, perUnits: 1000, from } });
    expect(await listed(name, from)).toMatchObject({ cost: 3, perUnits: 1000, next: null });
    expect((await take(id, name, 10, new Date(from.getTime() - 60_000))).consumed).toBe(50);
    expect((await take(id, name, 10, from)).consumed).toBe(1);
    expect((await take(id, name, 1001, from)).consumed).toBe(4);
    const rows = await app.sql(
      "SELECT event_version AS version, unit_cost::int AS cost, per_units::int AS per FROM credit_transactions WHERE organization_id = $1 AND type = 'consume' ORDER BY seq",
      [id],
    );
    expect(rows).toEqual([
      { version: 1, cost: 5, per: 1 },
      { version: 2, cost: 3, per: 1000 },
      { version: 2, cost: 3, per: 1000 },
    ]);
  });

  it("can be changed until it begins, and never into the past", async () => {
    const { id, name } = await newEvent(5);
    const platform = callAs(PLATFORM).creditEvents;
    await platform.setRate({ id, cost: 6, effectiveFrom: minutesLater(60) });
    await platform.setRate({ id, cost: 7, effectiveFrom: minutesLater(60) });
    expect((await listed(name, minutesLater(60)))?.cost).toBe(7);
    await expect(platform.setRate({ id, cost: 8, effectiveFrom: minutesLater(-1) })).rejects.toSatisfy(
      (error) => codeOf(error) === "INVALID_INPUT",
    );
    expect((await listed(name, NOW))?.cost).toBe(5);
  });

  it("is refused where it says nothing that can be meant", async () => {
    const { id, name } = await newEvent();
    const { setRate, create } = callAs(PLATFORM).creditEvents;
    const refused = (work: Promise<unknown>) => work.then(() => "ok", codeOf);
    expect(await refused(setRate({ id, cost: 0 }))).not.toBe("ok");
    expect(await refused(setRate({ id, cost: 1, perUnits: 0 }))).not.toBe("ok");
    expect(await refused(setRate({ id, eventName: name, cost: 1 }))).toBe("INVALID_INPUT");
    expect(await refused(setRate({ eventName: "nothing", cost: 1 }))).toBe("UNKNOWN_EVENT");
    expect(await refused(create({ name, category: "x", cost: 1 }))).toBe("INVALID_INPUT");
  });

  it("is set by the platform only", async () => {
    const { id, owner } = await richTenant();
    const event = await newEvent();
    for (const actor of [serviceOf(id), owner, null]) {
      const call = callAs(actor).creditEvents.setRate({ id: event.id, cost: 1 });
      await expect(call).rejects.toSatisfy((error) => ["FORBIDDEN", "UNAUTHENTICATED"].includes(codeOf(error)));
    }
  });
});

describe("an organization's own rate", () => {
  it("is its own only, from its beginning to its end", async () => {
    const [mine, other] = [await richTenant(), await richTenant()];
    const { name } = await newEvent(5);
    const platform = callAs(PLATFORM).creditEvents;
    const dates = { effectiveFrom: minutesLater(10), effectiveUntil: minutesLater(20) };
    await platform.setOverride({ organizationId: mine.id, eventName: name, cost: 2, ...dates });
    const paid = async (id: string, minutes: number) => (await take(id, name, 1, minutesLater(minutes))).consumed;
    expect([await paid(mine.id, 9), await paid(mine.id, 10), await paid(mine.id, 20)]).toEqual([5, 2, 5]);
    expect(await paid(other.id, 10)).toBe(5);
    expect(await listed(name, minutesLater(9), mine.id)).toMatchObject({ cost: 5, isOwn: false, next: { cost: 2 } });
    expect(await listed(name, minutesLater(10), mine.id)).toMatchObject({ cost: 2, isOwn: true, next: { cost: 5 } });
    expect(await listed(name, minutesLater(10), other.id)).toMatchObject({ cost: 5, isOwn: false, next: null });
  });

  it("ends when it is removed, and what was to come of it does not", async () => {
    const { id } = await richTenant();
    const { name } = await newEvent(5);
    const later = (minutes: number) => callAs(PLATFORM, minutesLater(minutes)).creditEvents;
    await later(0).setOverride({ organizationId: id, eventName: name, cost: 2 });
    await later(0).setOverride({ organizationId: id, eventName: name, cost: 3, effectiveFrom: minutesLater(30) });
    expect((await take(id, name, 1, minutesLater(1))).consumed).toBe(2);
    expect(await later(5).removeOverride({ organizationId: id, eventName: name })).toMatchObject({ removed: 2 });
    expect((await take(id, name, 1, minutesLater(5))).consumed).toBe(5);
    expect((await take(id, name, 1, minutesLater(31))).consumed).toBe(5);
  });
});

describe("switching an event off", () => {
  it("refuses takes from then on, and on again allows them", async () => {
    const { id } = await richTenant();
    const { name } = await newEvent(5);
    const { setActive } = callAs(PLATFORM).creditEvents;
    await take(id, name, 1, NOW);
    await setActive({ eventName: name, active: false });
    await expect(take(id, name, 1, NOW)).rejects.toMatchObject({ code: "INACTIVE_EVENT" });
    await setActive({ eventName: name, active: true });
    expect((await take(id, name, 1, NOW)).consumed).toBe(5);
  });
});

describe("edits that race with 500 takes", () => {
  it("leave each transaction with the cost that it was made under", async () => {
    const tenants = await Promise.all([richTenant(), richTenant(), richTenant()]);
    const own = tenants[2]?.id ?? "";
    const { id: eventId, name } = await newEvent(1);
    const rates = [[1, 1]];
    const overrides = new Set<number>();
    let taken = 0;
    const edits = (async () => {
      for (let cost = 2; cost <= 21; cost++) {
        // Each edit in the middle of takes, however quick or slow this machine is.
        await until(() => taken >= cost * 20);
        const platform = callAs(PLATFORM, new Date()).creditEvents;
        if (cost % 5 === 0) {
          await platform.setOverride({ organizationId: own, id: eventId, cost: 100 + cost });
          overrides.add(100 + cost);
        } else {
          await platform.setRate({ id: eventId, cost, perUnits: (cost % 3) + 1 });
          rates.push([cost, (cost % 3) + 1]);
        }
      }
    })();
    let next = 0;
    const answers: Awaited<ReturnType<typeof take>>[] = [];
    const taker = async () => {
      while (next < 500) {
        const organizationId = tenants[next++ % 3]?.id ?? "";
        answers.push(await take(organizationId, name, 6, new Date()));
        taken += 1;
      }
    };
    await Promise.all(Array.from({ length: 6 }, taker));
    await edits;

    const history = await app.sql<{ version: number; cost: number; per: number }>(
      "SELECT version, cost::int, per_units::int AS per FROM credit_event_rates WHERE event_id = $1 ORDER BY effective_from",
      [eventId],
    );
    expect(history.map(({ cost, per }) => [cost, per])).toEqual(rates);
    const rateOf = new Map(history.map(({ version, cost, per }) => [version, [cost, per]]));
    const rows = await app.sql<{
      id: string;
      organization: string;
      version: number;
      cost: number;
      per: number;
      amount: number;
    }>(
      `SELECT id, organization_id AS organization, event_version AS version, unit_cost::int AS cost, per_units::int AS per, amount::int AS amount
       FROM credit_transactions WHERE event_id = $1 ORDER BY organization_id, seq`,
      [eventId],
    );
    expect(rows).toHaveLength(500);
    const consumed = new Map(answers.map((answer) => [answer.transactionId, answer.consumed]));
    for (const row of rows) {
      expect(-row.amount).toBe(Math.ceil((6 * row.cost) / row.per));
      expect(consumed.get(row.id)).toBe(-row.amount);
      if (overrides.has(row.cost)) expect(row.organization).toBe(own);
      else expect([row.cost, row.per]).toEqual(rateOf.get(row.version));
    }
    // Later rows never go back to an earlier rate.
    for (const { id } of tenants) {
      const versions = rows.filter((row) => row.organization === id).map((row) => row.version);
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
      await expectLawfulLedger(app.sql, id);
    }
    expect(new Set(rows.map((row) => row.version)).size, "edits and takes overlapped").toBeGreaterThan(3);
  });
});
