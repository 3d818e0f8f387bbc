// Usage as the pages read it: whatever is consumed, given back, captured and rolled up meanwhile, every read is the plain sum
// of the ledger.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TransactionType } from "~/domain/account";
import { toCredits } from "~/domain/credits";
import { boundsEarlier, daysToCompare, stepsOf, type UsagePeriod, type UsageStep, usageOf } from "~/domain/usage";
import { createApiKey } from "~/server/billing/api-keys";
import { consumeCredits } from "~/server/billing/credits";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { seqAt, seqBefore } from "~/server/billing/ledger/instants";
import { reverseConsumption } from "~/server/billing/reversals";
import { getUsage, getUsageSeries, getUsageSummary, sumUsage, USAGE_DIMENSIONS } from "~/server/billing/usage";
import { listOrganizationsBehind, rebuildUsage, rollUpBacklog, rollUpUsage } from "~/server/billing/usage-rollups";
import { asOrganization } from "~/server/db";
import { addLot, callAs, expectLawfulLedger, openLedger } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { codeOf, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(async () => {
  await app.close();
});

let keys = 0;
const key = () => `key ${++keys}`;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

// ── The plain sum ──────────────────────────────────────────────────────────────────────────────────────────

interface Row {
  type: TransactionType;
  amount: number;
  quantity: number | null;
  event: string;
  apiKey: string;
  project: string;
  at: Date;
}

const ledgerOf = (organizationId: string) =>
  app.sql<Row>(
    `SELECT type::text AS type, amount::float8 AS amount, quantity::float8 AS quantity, coalesce(event_name, '') AS event,
            coalesce(api_key_id::text, '') AS "apiKey", coalesce(project, '') AS project, created_at AS at
     FROM credit_transactions WHERE organization_id = $1 ORDER BY seq`,
    [organizationId],
  );

const CATEGORIES = new Map<string, string>();

/** Adds up row by row, with nothing but the rule. */
function plainSum(rows: readonly Row[], { from, to }: UsagePeriod, keyOf: (row: Row) => string) {
  const sums = new Map<string, { credits: number; quantity: number; calls: number }>();
  for (const row of rows) {
    const usage = usageOf(row);
    if (!usage || row.at < from || row.at >= to) continue;
    const sum = sums.get(keyOf(row)) ?? { credits: 0, quantity: 0, calls: 0 };
    sum.credits += usage.credits;
    sum.quantity += usage.quantity;
    sum.calls += usage.calls;
    sums.set(keyOf(row), sum);
  }
  return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const KEY_OF = {
  event: (row: Row) => row.event,
  category: (row: Row) => CATEGORIES.get(row.event) ?? "",
  key: (row: Row) => row.apiKey,
  project: (row: Row) => row.project,
};

/** What was read, in the shape of the plain sum. */
function readSum(lines: readonly { key: string; credits: number; quantity: number; calls: number }[]) {
  const sums = lines
    // A line that was only used before has nothing of this period.
    .filter((line) => line.calls > 0 || line.credits !== 0)
    .map(({ key: name, credits, quantity, calls }) => [name, { credits, quantity, calls }] as const);
  return Object.fromEntries(sums.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether something nets out to nothing without ever having been taken: such a line may or may not stand there. */
const withoutEmpty = (sums: ReturnType<typeof plainSum>) =>
  Object.fromEntries(Object.entries(sums).filter(([, sum]) => sum.calls > 0 || sum.credits !== 0));

const slotsOf = (organizationId: string) =>
  app.sql(
    `SELECT slot, event_name, api_key_id, project, credits::float8 AS credits, quantity::float8 AS quantity, calls::float8 AS calls
     FROM credit_usage_slots WHERE organization_id = $1 ORDER BY 1, 2, 3, 4`,
    [organizationId],
  );

// ── Lives ──────────────────────────────────────────────────────────────────────────────────────────────────

const ZONES = ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", "Europe/Berlin"];
const EVENTS = ["api_call_basic", "ai_inference"];

type Deed =
  | { do: "wait"; minutes: number }
  | { do: "consume"; event: number; quantity: number; key: number; project: string | undefined }
  | { do: "capture"; credits: number; project: string | undefined }
  | { do: "reverse"; which: number; part: boolean }
  | { do: "rollUp"; mostRows: number }
  | { do: "read"; back: number; length: number; zone: string; step: UsageStep };

const project = fc.constantFrom(undefined, "alpha", "beta");
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), minutes: fc.integer({ min: 0, max: 900 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("consume" as const),
      event: fc.nat({ max: EVENTS.length - 1 }),
      quantity: fc.integer({ min: 1, max: 9 }),
      key: fc.nat({ max: 2 }),
      project,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("capture" as const),
      credits: fc.integer({ min: 1, max: 9 }),
      project,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("reverse" as const), which: fc.nat(), part: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("rollUp" as const), mostRows: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      // Milliseconds, so that quarters of an hour are cut anywhere.
      back: fc.integer({ min: 1, max: 9 * DAY_MS }),
      length: fc.integer({ min: 1, max: 9 * DAY_MS }),
      zone: fc.constantFrom(...ZONES),
      step: fc.constantFrom<UsageStep>("hour", "day", "week"),
    }),
  },
);

describe("a read", () => {
  it("is the plain sum of the ledger at any instant, of any range, whatever two workers have rolled up", async () => {
    for (const { name, category } of await app.sql<{ name: string; category: string }>("SELECT * FROM credit_events"))
      CATEGORIES.set(name, category);
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { minLength: 10, maxLength: 60 }), async (deeds) => {
        const { id: organizationId, owner } = await createTenant();
        await addLot({ organizationId, amount: 1_000_000 });
        const apiKeys = [null];
        const named = await createApiKey({ organizationId, name: "first", createdById: owner.userId, now: NOW });
        const other = await createApiKey({ organizationId, name: "second", createdById: owner.userId, now: NOW });
        const keyIds: (string | null)[] = [...apiKeys, named.id, other.id];
        const taken: { id: string; left: number }[] = [];
        let now = NOW;
        for (const one of [
          ...deeds,
          { do: "read", back: 9 * DAY_MS, length: 9 * DAY_MS, zone: "UTC", step: "day" } as const,
        ]) {
          now = new Date(now.getTime() + 1);
          const spender = { actor: "test", idempotencyKey: key(), now };
          if (one.do === "wait") now = minutesLater(one.minutes, now);
          if (one.do === "consume") {
            const { transactionId, consumed } = await consumeCredits({
              organizationId,
              eventName: EVENTS[one.event] ?? "",
              quantity: one.quantity,
              apiKeyId: keyIds[one.key] ?? null,
              project: one.project ?? null,
              ...spender,
            });
            taken.push({ id: transactionId, left: consumed });
          }
          if (one.do === "capture") {
            const amount = toCredits(one.credits);
            const { holdId } = await holdCredits({
              organizationId,
              amount,
              leaseSeconds: 60,
              eventName: null,
              project: one.project ?? null,
              ...spender,
            });
            const used = { amount };
            const captured = await captureHold({
              organizationId,
              holdId,
              used,
              release: true,
              ...spender,
              idempotencyKey: key(),
            });
            taken.push({ id: captured.transactionId, left: captured.consumed });
          }
          const victim = taken[one.do === "reverse" ? one.which % Math.max(1, taken.length) : 0];
          if (one.do === "reverse" && victim && victim.left > 0) {
            const amount = one.part ? toCredits(1) : null;
            const { reversed } = await reverseConsumption({
              organizationId,
              transactionId: victim.id,
              amount,
              reason: "test",
              ...spender,
            });
            victim.left -= reversed;
          }
          if (one.do === "rollUp") {
            // Two workers at once, and a read between them.
            const period = { from: new Date(now.getTime() - DAY_MS), to: now };
            const [, , between] = await Promise.all([
              rollUpUsage(organizationId, one.mostRows),
              rollUpUsage(organizationId, one.mostRows),
              asOrganization(organizationId, (tx) => sumUsage(tx, organizationId, period, [[]])),
            ]);
            const all = plainSum(await ledgerOf(organizationId), period, () => "all");
            expect(between?.[0]?.[0]?.credits ?? 0).toBe(all.all?.credits ?? 0);
          }
          if (one.do === "read") {
            const from = new Date(now.getTime() - one.back);
            const to = new Date(Math.min(now.getTime(), from.getTime() + one.length));
            await expectRightReads({ organizationId, period: { from, to }, zone: one.zone, step: one.step, now });
          }
        }

        await Promise.all([rollUpUsage(organizationId), rollUpUsage(organizationId)]);
        const rolled = await slotsOf(organizationId);
        const rows = await ledgerOf(organizationId);
        const forever = { from: new Date(0), to: minutesLater(1, now) };
        const inAll = plainSum(rows, forever, () => "all").all ?? { credits: 0, calls: 0 };
        const sum = (column: string) => rolled.reduce((total, slot) => total + Number(slot[column]), 0);
        expect({ credits: sum("credits"), calls: sum("calls") }).toMatchObject({
          credits: inAll.credits,
          calls: inAll.calls,
        });
        expect(await rebuildUsage(organizationId)).toBe(rows.length);
        expect(await slotsOf(organizationId), "counted anew").toEqual(rolled);
        expect(await rollUpUsage(organizationId), "nothing is left").toBe(0);
      }),
      // A life is told by its seed; shrinking one costs minutes of a database.
      { numRuns: 12, endOnFailure: true },
    );
  }, 240_000);

  async function expectRightReads(read: {
    organizationId: string;
    period: UsagePeriod;
    zone: string;
    step: UsageStep;
    now: Date;
  }): Promise<void> {
    const { organizationId, period, zone, now } = read;
    const rows = await ledgerOf(organizationId);
    const question = { organizationId, period, timeZone: zone, now };
    const summary = await getUsageSummary(question);
    const lines = {
      event: summary.events,
      category: summary.categories,
      key: summary.keys,
      project: summary.projects,
    };
    for (const by of USAGE_DIMENSIONS) {
      expect(readSum(lines[by]), `by ${by}`).toEqual(withoutEmpty(plainSum(rows, period, KEY_OF[by])));
      const before = plainSum(rows, summary.comparedWith, KEY_OF[by]);
      for (const line of lines[by]) expect(line.previousCredits, "before").toBe(before[line.key]?.credits ?? 0);
      const series = await getUsageSeries({ ...question, step: read.step, by });
      expectRightSeries(series, rows, { ...read, keyOf: KEY_OF[by] });
    }
    const all = plainSum(rows, period, () => "all").all;
    expect(summary.total).toEqual(all ?? { credits: 0, quantity: 0, calls: 0 });
    if (period.to < now) return;
    const usage = await getUsage(organizationId, period.from, now);
    expect(usage.total).toBe(all?.credits ?? 0);
    const dayAndEvent = plainSum(rows, period, (row) => `${row.at.toISOString().slice(0, 10)} ${row.event}`);
    const days = usage.days.map((day) => [
      `${day.day.toISOString().slice(0, 10)} ${day.eventName}`,
      { credits: day.credits, quantity: day.quantity },
    ]);
    expect(Object.fromEntries(days)).toEqual(
      Object.fromEntries(
        Object.entries(dayAndEvent).map(([name, { credits, quantity }]) => [name, { credits, quantity }]),
      ),
    );
  }

  function expectRightSeries(
    series: Awaited<ReturnType<typeof getUsageSeries>>,
    rows: readonly Row[],
    { period, zone, step, keyOf }: { period: UsagePeriod; zone: string; step: UsageStep; keyOf: (row: Row) => string },
  ): void {
    const bounds = [...stepsOf(period, step, zone), period.to];
    const earlier = boundsEarlier(bounds, daysToCompare(period), step, zone);
    expect(series.steps.map(({ start }) => start)).toEqual(bounds.slice(0, -1));
    for (const [index, one] of series.steps.entries()) {
      const within = { from: bounds[index] ?? period.from, to: bounds[index + 1] ?? period.to };
      const sums = plainSum(rows, within, keyOf);
      const values = series.series.map(({ key: name }, place) => [name, one.credits[place]]);
      const expected = series.series.map(({ key: name }) => [name, sums[name]?.credits ?? 0]);
      expect(values).toEqual(expected);
      expect(one.total).toBe(plainSum(rows, within, () => "all").all?.credits ?? 0);
      const past = { from: earlier[index] ?? period.from, to: earlier[index + 1] ?? period.to };
      expect(one.previous ?? 0).toBe(plainSum(rows, past, () => "all").all?.credits ?? 0);
    }
  }
});

// ── While consumption runs ─────────────────────────────────────────────────────────────────────────────────

describe("roll-ups while consumption runs", () => {
  it("count each row once, and reads never go back", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 1000 });
    let done = false;
    const read = async () => {
      const seen: number[] = [];
      while (!done) {
        const period = { from: minutesLater(-60), to: minutesLater(60) };
        const [[cell] = []] = await asOrganization(organizationId, (tx) => sumUsage(tx, organizationId, period, [[]]));
        seen.push(cell?.credits ?? 0);
      }
      return seen;
    };
    const roll = async () => {
      while (!done) await rollUpUsage(organizationId, 7);
    };
    const consume = async () => {
      for (let round = 0; round < 20; round++) {
        await Promise.all(
          Array.from({ length: 25 }, (_, index) =>
            consumeCredits({
              organizationId,
              eventName: "api_call_basic",
              quantity: 1,
              idempotencyKey: key(),
              actor: "test",
              apiKeyId: null,
              project: index % 2 === 0 ? "alpha" : null,
              now: minutesLater(round),
            }),
          ),
        );
      }
      done = true;
    };
    const [one, two] = await Promise.all([read(), read(), consume(), roll(), roll()]);
    for (const seen of [one, two]) {
      expect(seen.length).toBeGreaterThan(3);
      expect(seen, "what is taken is never seen and then not seen").toEqual([...seen].sort((a, b) => a - b));
    }
    await rollUpUsage(organizationId);
    const [rolled] = await app.sql<{ credits: number; calls: number }>(
      "SELECT sum(credits)::float8 AS credits, sum(calls)::float8 AS calls FROM credit_usage_slots WHERE organization_id = $1",
      [organizationId],
    );
    expect(rolled).toEqual({ credits: 500, calls: 500 });
    await expectLawfulLedger(app.sql, organizationId);
  });

  it("are listed for whom the ledger goes on, furthest behind first, and one run takes them all up to its limits", async () => {
    await rollUpBacklog({ rows: 1_000_000, organizations: 1000 });
    expect(await listOrganizationsBehind(10)).toEqual([]);
    const [one, two] = [await createTenant(), await createTenant()];
    await addLot({ organizationId: one.id, amount: 10 });
    await addLot({ organizationId: two.id, amount: 10 });
    await addLot({ organizationId: two.id, amount: 10 });
    expect(await listOrganizationsBehind(10)).toEqual([
      { organizationId: two.id, rows: 2 },
      { organizationId: one.id, rows: 1 },
    ]);
    expect(await rollUpBacklog({ rows: 1000, organizations: 1 })).toBe(2);
    expect(await listOrganizationsBehind(10)).toEqual([{ organizationId: one.id, rows: 1 }]);
    expect(await rollUpBacklog({ rows: 1000, organizations: 10 })).toBe(1);
    expect(await listOrganizationsBehind(10)).toEqual([]);
  });
});

// ── Cost ───────────────────────────────────────────────────────────────────────────────────────────────────

describe("thirty days of a ledger of half a million rows", () => {
  const ROWS = 500_000;
  let organizationId: string;
  // A row every ten seconds, nearly 58 days.
  const at = (seq: number) => new Date(NOW.getTime() + seq * 10_000);

  beforeAll(async () => {
    organizationId = (await createTenant()).id;
    await addLot({ organizationId, amount: 1_000_000 });
    await app.sql(
      `INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key,
         request_hash, event_id, event_name, event_version, quantity, unit_cost, per_units, actor, created_at)
       SELECT $1::uuid, n, gen_random_uuid(), 'consume', -1, 1000000 - n + 1, 1000000 - n + 1, 'caller', 'many ' || n, '', e.id, e.name, 1, 1, 1, 1, 'test',
         $2::timestamptz + n * interval '10 seconds'
       FROM generate_series(2, $3::int) AS n CROSS JOIN (SELECT * FROM credit_events WHERE name = 'api_call_basic') e`,
      [organizationId, NOW, ROWS],
    );
    await app.sql(
      "UPDATE credit_accounts SET last_seq = $2, last_at = $3, balance = 500001 WHERE organization_id = $1",
      [organizationId, ROWS, at(ROWS)],
    );
    await app.sql("ANALYZE credit_transactions");
  }, 120_000);

  /** What a read takes from the tables, whatever in it reads them. */
  async function costOf(period: UsagePeriod) {
    return asOrganization(organizationId, async (tx) => {
      const counts = () => tx.$queryRaw<{ table: string; rows: bigint }[]>`
        SELECT relname AS table, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
        WHERE relname IN ('credit_transactions', 'credit_usage_slots') ORDER BY 1`;
      const before = await counts();
      const [[cell] = []] = await sumUsage(tx, organizationId, period, [["event_name"]]);
      const [ledger = 0, slots = 0] = (await counts()).map(
        ({ rows }, index) => Number(rows) - Number(before[index]?.rows ?? 0n),
      );
      return { ledger, slots, credits: cell?.credits ?? 0 };
    });
  }

  it("are read from their quarters of an hour, the rows at both edges and a few more to find them", async () => {
    expect(await rollUpUsage(organizationId, 400_000), "goes through it in steps").toBe(400_000);
    await rollUpUsage(organizationId);
    // 13:07:03 to 11:21:09, thirty days: at each edge less than the 90 rows of a quarter of an hour.
    const from = new Date(NOW.getTime() + 12 * DAY_MS + 217 * MINUTE_MS + 3000);
    const to = new Date(NOW.getTime() + 42 * DAY_MS + 111 * MINUTE_MS + 9000);
    const cost = await costOf({ from, to });
    expect(cost.credits).toBe(
      Math.ceil((to.getTime() - NOW.getTime()) / 10_000) - Math.ceil((from.getTime() - NOW.getTime()) / 10_000),
    );
    expect(cost.slots).toBeGreaterThan(29 * 96);
    expect(cost.slots).toBeLessThanOrEqual(30 * 96);
    // Two edges, and four instants to find.
    expect(cost.ledger).toBeLessThanOrEqual(2 * 90 + 4 * 21);
  });

  it("that end now are read from their quarters and the rows beyond what is rolled up", async () => {
    const later = 60;
    await app.sql(
      `INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key,
         request_hash, event_id, event_name, event_version, quantity, unit_cost, per_units, actor, created_at)
       SELECT organization_id, seq + $2, gen_random_uuid(), type, amount, balance_after - $2, available_after - $2, key_space, 'later ' || seq,
         request_hash, event_id, event_name, event_version, quantity, unit_cost, per_units, actor, created_at + $2 * interval '10 seconds'
       FROM credit_transactions WHERE organization_id = $1 AND seq > $3`,
      [organizationId, later, ROWS - later],
    );
    await app.sql("UPDATE credit_accounts SET last_seq = last_seq + $2 WHERE organization_id = $1", [
      organizationId,
      later,
    ]);
    const now = at(ROWS + later + 1);
    const cost = await costOf({ from: new Date(now.getTime() - 30 * DAY_MS), to: now });
    expect(cost.credits).toBe(30 * 8640);
    expect(cost.slots).toBeLessThanOrEqual(30 * 96 + 1);
    expect(cost.ledger).toBeLessThanOrEqual(90 + later + 4 * 21);
  });

  it("are found by bisecting: the row before any instant", async () => {
    await asOrganization(organizationId, async (tx) => {
      const probes = [NOW, at(2), new Date(at(2).getTime() + 1), at(123_456), at(ROWS), at(ROWS * 2), new Date(0)];
      for (const probe of probes) {
        const [plain] = await app.sql<{ before: number; by: number }>(
          `SELECT coalesce(max(seq) FILTER (WHERE created_at < $2), 0)::float8 AS before,
                  coalesce(max(seq) FILTER (WHERE created_at <= $2), 0)::float8 AS by
           FROM credit_transactions WHERE organization_id = $1`,
          [organizationId, probe],
        );
        expect(Number(await seqBefore(tx, organizationId, probe))).toBe(plain?.before);
        expect(Number(await seqAt(tx, organizationId, probe))).toBe(plain?.by);
      }
    });
  });
});

// ── The procedures ─────────────────────────────────────────────────────────────────────────────────────────

describe("the procedures", () => {
  it("tell an organization's own usage, by names that people know", async () => {
    const { id: organizationId, owner } = await createTenant();
    const stranger = await createTenant();
    await addLot({ organizationId, amount: 100 });
    const apiKey = await createApiKey({ organizationId, name: "production", createdById: owner.userId, now: NOW });
    const call = { organizationId, eventName: "api_call_basic", quantity: 2, actor: "test", now: NOW };
    await consumeCredits({ ...call, apiKeyId: apiKey.id, project: "alpha", idempotencyKey: key() });
    await consumeCredits({ ...call, apiKeyId: null, project: null, idempotencyKey: key() });
    const now = minutesLater(5);
    const input = { organizationId, from: minutesLater(-60), to: minutesLater(60 * 24), timeZone: "Asia/Kolkata" };
    const summary = await callAs(owner, now).usage.summary(input);
    expect(summary.period, "what has not been yet is left out").toEqual({ from: input.from, to: now });
    expect(summary.total).toEqual({ credits: 4, quantity: 4, calls: 2 });
    expect(summary.events).toEqual([
      expect.objectContaining({
        key: "api_call_basic",
        name: "api_call_basic",
        category: expect.any(String),
        credits: 4,
      }),
    ]);
    expect(summary.keys.map(({ name, credits }) => [name, credits])).toEqual([
      [null, 2],
      ["production", 2],
    ]);
    expect(summary.projects.map(({ name, credits }) => [name, credits])).toEqual([
      [null, 2],
      ["alpha", 2],
    ]);
    const series = await callAs(owner, now).usage.series({ ...input, step: "hour", by: "key" });
    expect(series.steps.map(({ start, total }) => [start.toISOString().slice(11, 16), total])).toEqual([
      ["08:30", 0],
      ["09:30", 4],
    ]);
    expect(
      codeOf(
        await callAs(stranger.owner, now)
          .usage.summary(input)
          .catch((error) => error),
      ),
    ).toMatch(/NOT_FOUND|FORBIDDEN/);
    expect((await callAs(serviceOf(organizationId), now).usage.summary(input)).total.credits).toBe(4);
  });

  it("refuse zones that there are none of, ranges that go backwards or on for ever, and hours of months", async () => {
    const { id: organizationId, owner } = await createTenant();
    const ask = callAs(owner).usage;
    const good = { organizationId, from: minutesLater(-60), to: NOW };
    const refused = [
      ask.summary({ ...good, timeZone: "Mars/Olympus" }),
      ask.summary({ ...good, from: minutesLater(1) }),
      ask.series({ ...good, from: minutesLater(-60 * 24 * 800) }),
      ask.series({ ...good, from: minutesLater(-60 * 24 * 9), step: "hour" }),
    ];
    for (const one of await Promise.allSettled(refused)) {
      expect(one).toMatchObject({ status: "rejected", reason: { code: "BAD_REQUEST" } });
    }
    expect((await ask.summary(good)).total.credits).toBe(0);
    expect((await ask.series(good)).steps).toHaveLength(1);
  });
});
