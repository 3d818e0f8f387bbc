// What a row moved in lots, however it is stored: a row that touched one lot names it, one that touched several has an entry for
// each, and one of before has an entry and names none. Whoever reads gets the same of each.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { adjustCredits } from "~/server/billing/adjustments";
import { consumeCredits, expireLots, grantCredits } from "~/server/billing/credits";
import { explainBalance, explainTransaction } from "~/server/billing/explain";
import { listGrants } from "~/server/billing/grants";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { originsOf } from "~/server/billing/lot-origins";
import { reverseConsumption } from "~/server/billing/reversals";
import { getTransaction, listTransactions } from "~/server/billing/transactions";
import { transferCredits } from "~/server/billing/transfers";
import { asOrganization } from "~/server/db";
import { addLot, expectLawfulLedger, LEDGER_OF_BEFORE, openLedger } from "../setup/billing";
import { openQueue } from "../setup/queues";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const LAST_MINUTE = 30;

/** A life in which rows of most kinds touch one lot, and some touch two; and every call of it, to make again. */
async function livedLife() {
  const { id: organizationId } = await createTenant();
  const friend = await createTenant();
  const who = { organizationId, actor: "test" };
  const take = (quantity: number, idempotencyKey: string, minutes: number) =>
    consumeCredits({ ...who, eventName: "api_call_basic", quantity, idempotencyKey, now: minutesLater(minutes) });
  const permanent = await addLot({ organizationId, amount: 30 }); // 1
  const expiring = await addLot({ organizationId, amount: 60, source: "promotion", expiresAt: minutesLater(20) }); // 2
  const calls = {
    one: () => take(10, "one", 1), // 3: 20 and 60 are left
    across: () => take(25, "across", 2), // 4: 0 and 55
    back: async () =>
      reverseConsumption({
        ...who,
        transactionId: (await calls.across()).transactionId,
        amount: toCredits(8),
        reason: "It failed",
        idempotencyKey: "back",
        now: minutesLater(3),
      }), // 5: 3 and 60
    hold: () =>
      holdCredits({
        ...who,
        amount: toCredits(5),
        leaseSeconds: 3600,
        eventName: null,
        idempotencyKey: "hold",
        now: minutesLater(4),
      }), // 6: sets aside 3 and 2
    part: async () =>
      captureHold({
        ...who,
        holdId: (await calls.hold()).holdId,
        used: { amount: toCredits(5) },
        release: false,
        idempotencyKey: "part",
        now: minutesLater(5),
      }), // 7: 0 and 58
    adjust: () =>
      adjustCredits({
        ...who,
        amount: -7,
        grantId: null,
        reason: "By mistake",
        idempotencyKey: "adjust",
        apiKeyId: null,
        now: minutesLater(6),
      }), // 8: 0 and 51
    gift: () =>
      grantCredits({
        ...who,
        amount: toCredits(4),
        source: "promotion",
        expiresAt: minutesLater(25),
        reason: "Thanks",
        idempotencyKey: "gift",
        now: minutesLater(7),
      }), // 9: 0, 51 and 4
  };
  for (const call of Object.values(calls)) await call();
  await addLot({ organizationId, amount: 9, at: minutesLater(8) }); // 10
  const given = { toOrganizationId: friend.id, amount: toCredits(6), reason: "Thanks", apiKeyId: null };
  await transferCredits({ ...who, ...given, idempotencyKey: "given", now: minutesLater(9) }); // 11
  await expireLots(organizationId, minutesLater(26)); // 12, 13
  return { organizationId, friend: friend.id, permanent, expiring, calls };
}

type Life = Awaited<ReturnType<typeof livedLife>>;

async function oneByOne<T, R>(items: readonly T[], call: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  for (const item of items) answers.push(await call(item));
  return answers;
}

/** Everything that anybody can read of what rows moved in lots. */
async function told({ organizationId, friend }: Life) {
  const page = { cursor: null, limit: 100, type: null, search: null, from: null, to: null };
  const of = async (id: string) => {
    const { items } = await listTransactions({ organizationId: id, ...page });
    const minutes = Array.from({ length: LAST_MINUTE + 1 }, (_, minute) => minutesLater(minute));
    return {
      items,
      rows: await oneByOne(items, (item) => getTransaction(id, item.id)),
      explained: await oneByOne(items, (item) => explainTransaction(id, item.id)),
      balances: await oneByOne(minutes, (at) => explainBalance(id, at)),
      lots: await listGrants(id, minutesLater(LAST_MINUTE), 100),
    };
  };
  return { own: await of(organizationId), friends: await of(friend) };
}

/** By row: the lot that it names, and those that it has entries of. */
async function stored(organizationId: string): Promise<[seq: number, named: string | null, entries: string[]][]> {
  const rows = await app.sql<{ seq: number; named: string | null; entries: string[] }>(
    `SELECT seq::int, grant_id AS named, ARRAY(SELECT e.grant_id::text FROM credit_entries e
       WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq ORDER BY e.position) AS entries
     FROM credit_transactions t WHERE organization_id = $1 ORDER BY seq`,
    [organizationId],
  );
  return rows.map(({ seq, named, entries }) => [seq, named, entries]);
}

describe("a row", () => {
  it("that touches one lot names it and has no entry; one that touches two has an entry for each and names none", async () => {
    const { organizationId, permanent, expiring } = await livedLife();
    const rows = await stored(organizationId);
    expect(rows.slice(0, 8)).toEqual([
      [1, permanent, []],
      [2, expiring, []],
      [3, permanent, []],
      [4, null, [permanent, expiring]],
      [5, null, [expiring, permanent]],
      [6, null, [permanent, expiring]],
      [7, null, [permanent, expiring]],
      [8, expiring, []],
    ]);
    await expectLawfulLedger(app.sql, organizationId);
  });

  it("says what is left of its lot", async () => {
    const { organizationId } = await livedLife();
    const rows = await app.sql(
      `SELECT seq::int, lot_after::int AS own, ARRAY(SELECT e.lot_after::int FROM credit_entries e
         WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq ORDER BY e.position) AS entries
       FROM credit_transactions t WHERE organization_id = $1 AND seq BETWEEN 3 AND 8 ORDER BY seq`,
      [organizationId],
    );
    expect(rows).toEqual([
      { seq: 3, own: 20, entries: [] },
      { seq: 4, own: null, entries: [0, 55] },
      { seq: 5, own: null, entries: [60, 3] },
      { seq: 6, own: null, entries: [3, 60] },
      { seq: 7, own: null, entries: [0, 58] },
      { seq: 8, own: 51, entries: [] },
    ]);
  });
});

describe("what is told of a ledger", () => {
  it("is right of rows of both kinds", async () => {
    const life = await livedLife();
    const { organizationId, permanent, expiring } = life;
    const { own } = await told(life);
    const touched = new Map(own.items.map((item) => [item.seq, item.lots]));
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((seq) => touched.get(seq))).toEqual([1, 1, 1, 2, 2, 2, 2, 1]);
    const moved = (seq: number) =>
      own.explained
        .find((row) => row.seq === seq)
        ?.lots.map((lot) => [lot.grantId, lot.before, lot.amount, lot.held, lot.after]);
    expect(moved(3)).toEqual([[permanent, 30, -10, 0, 20]]);
    expect(moved(4)).toEqual([
      [permanent, 20, -20, 0, 0],
      [expiring, 60, -5, 0, 55],
    ]);
    expect(moved(6)).toEqual([
      [permanent, 3, 0, 3, 3],
      [expiring, 60, 0, 2, 60],
    ]);
    const queue = (seq: number) =>
      own.rows.find((row) => row.seq === seq)?.queue.map((lot) => [lot.grantId, lot.before, lot.moved]);
    expect(queue(3)).toEqual([
      [permanent, 30, -10],
      [expiring, 60, 0],
    ]);
    expect(queue(4)).toEqual([
      [permanent, 20, -20],
      [expiring, 60, -5],
    ]);
    // Between rows: a call that waits is decided a moment after its instant.
    const at = async (minutes: number) =>
      (await explainBalance(organizationId, minutesLater(minutes))).lots.map((lot) => [
        lot.grantId,
        lot.remaining,
        lot.held,
      ]);
    expect(await at(1.5)).toEqual(
      expect.arrayContaining([
        [permanent, 20, 0],
        [expiring, 60, 0],
      ]),
    );
    expect(await at(2.5)).toEqual([[expiring, 55, 0]]);
    expect(await at(4.5)).toEqual(
      expect.arrayContaining([
        [permanent, 3, 3],
        [expiring, 60, 2],
      ]),
    );
    const ended = new Map(own.lots.map((lot) => [lot.id, lot.ended]));
    const lastOf = own.items.find((item) => item.seq === 7)?.createdAt;
    expect(ended.get(permanent)).toMatchObject({ how: "spent", at: lastOf, expired: 0, takenBack: 0 });
    expect(ended.get(expiring)).toMatchObject({ how: "expired", expired: 51, takenBack: 7, transferred: 0 });
  });

  it("is the same of rows of before, which have an entry and name no lot", async () => {
    const life = await livedLife();
    const before = await told(life);
    for (const id of [life.organizationId, life.friend]) {
      await app.tamper(id, ...LEDGER_OF_BEFORE);
      expect((await stored(id)).every(([, named, entries]) => named === null && entries.length > 0)).toBe(true);
    }
    expect(await told(life)).toEqual(before);
    await expectLawfulLedger(app.sql, life.organizationId);
  });
});

describe("a call that is made again", () => {
  it("is answered with the lots of the first time, whichever way its row says them", async () => {
    const { organizationId, permanent, expiring, calls } = await livedLife();
    const answers = async () => ({
      one: await calls.one(),
      across: await calls.across(),
      back: await calls.back(),
      hold: await calls.hold(),
      part: await calls.part(),
      adjust: await calls.adjust(),
      gift: await calls.gift(),
    });
    const again = await answers();
    expect(Object.values(again).map(({ replayed }) => replayed)).toEqual(Array(7).fill(true));
    const lots = (of: { allocations: { grantId: string; amount: number }[] }) =>
      of.allocations.map(({ grantId, amount }) => [grantId, amount]);
    expect(lots(again.one)).toEqual([[permanent, 10]]);
    expect(lots(again.across)).toEqual([
      [permanent, 20],
      [expiring, 5],
    ]);
    expect(lots(again.back)).toEqual([
      [expiring, 5],
      [permanent, 3],
    ]);
    expect(lots(again.adjust)).toEqual([[expiring, -7]]);
    await app.tamper(organizationId, ...LEDGER_OF_BEFORE);
    expect(await answers()).toEqual(again);
  });
});

describe("a reversal", () => {
  it.each([
    ["as they are stored", []],
    ["of before", LEDGER_OF_BEFORE],
  ])("gives what is left of a take back to its lots: rows %s", async (_, statements) => {
    const { id: organizationId } = await createTenant();
    const [first, second] = [
      await addLot({ organizationId, amount: 10 }),
      await addLot({ organizationId, amount: 10 }),
    ];
    const who = { organizationId, actor: "test", now: NOW };
    const take = (quantity: number, idempotencyKey: string) =>
      consumeCredits({ ...who, eventName: "api_call_basic", quantity, idempotencyKey });
    const one = await take(4, "one");
    const across = await take(9, "across");
    const reverse = (transactionId: string, amount: number | null, idempotencyKey: string) =>
      reverseConsumption({
        ...who,
        transactionId,
        amount: amount === null ? null : toCredits(amount),
        reason: "It failed",
        idempotencyKey,
      });
    await reverse(one.transactionId, 1, "a part of one");
    await reverse(across.transactionId, 2, "a part of two");
    if (statements.length > 0) await app.tamper(organizationId, ...statements);
    const rest = [await reverse(one.transactionId, null, "b"), await reverse(across.transactionId, null, "c")];
    expect(rest.map(({ allocations }) => allocations.map(({ grantId, amount }) => [grantId, amount]))).toEqual([
      [[first, 3]],
      [
        [second, 1],
        [first, 6],
      ],
    ]);
    const { lots } = await expectLawfulLedger(app.sql, organizationId);
    expect(lots.map((lot) => lot.remaining)).toEqual([10, 10]);
  });
});

describe("runs of rows", () => {
  const lots = async (organizationId: string) =>
    (await app.sql<{ id: string }>("SELECT id FROM credit_grants WHERE organization_id = $1", [organizationId])).map(
      ({ id }) => id,
    );

  /** Each lot's first movement, and its last before each row; by looking at all of them where `read` is null. */
  async function movements(organizationId: string, read: "by runs" | null) {
    const last = read
      ? "last_movement($1, g.id, before, moving)"
      : `(SELECT transaction_seq, lot_after FROM credit_movements WHERE organization_id = $1 AND grant_id = g.id
          AND transaction_seq < before AND (amount <> 0 OR NOT moving) ORDER BY transaction_seq DESC LIMIT 1)`;
    const first = read
      ? "(SELECT transaction_seq FROM first_movement($1, g.id))"
      : "(SELECT min(transaction_seq) FROM credit_movements WHERE organization_id = $1 AND grant_id = g.id)";
    return app.sql<{ id: string; before: number; moving: boolean; first: number; last: number; after: number }>(
      `SELECT g.id, before, moving, ${first}::int AS first, last.transaction_seq::int AS last, last.lot_after::int AS after
       FROM credit_grants g CROSS JOIN generate_series(1, (SELECT last_seq + 2 FROM credit_accounts WHERE organization_id = $1)) AS before
       CROSS JOIN (VALUES (true), (false)) AS m (moving) LEFT JOIN LATERAL ${last} last ON true
       WHERE g.organization_id = $1 ORDER BY 1, 2, 3`,
      [organizationId],
    );
  }

  it.each([
    ["as they are written", []],
    [
      "the first of them of before",
      [
        ...LEDGER_OF_BEFORE.slice(0, 2).map((statement) => `${statement} AND seq <= 4`),
        "UPDATE credit_transactions SET starts_run = true WHERE organization_id = $1 AND seq = (SELECT min(seq) FROM credit_transactions WHERE organization_id = $1 AND grant_id IS NOT NULL)",
      ],
    ],
    ["all of them of before", LEDGER_OF_BEFORE],
    [
      "with more beginnings than there need be",
      ["UPDATE credit_transactions SET starts_run = true WHERE organization_id = $1 AND grant_id IS NOT NULL"],
    ],
  ])("lead to each movement of each lot: %s", async (_, statements) => {
    const { organizationId } = await livedLife();
    if (statements.length > 0) await app.tamper(organizationId, ...statements);
    const found = await movements(organizationId, "by runs");
    expect(found).toEqual(await movements(organizationId, null));
    expect(new Set(found.map((one) => one.id))).toEqual(new Set(await lots(organizationId)));
    expect(found.some(({ last }) => last !== null)).toBe(true);
  });

  it("begin where a row names another lot than the one before it, and nowhere else, whoever writes", async () => {
    const { organizationId, friend } = await livedLife();
    await addLot({ organizationId, amount: 8, at: minutesLater(LAST_MINUTE) });
    const queues = [openQueue(app.database.url), openQueue(app.database.url)];
    for (let n = 0; n < 12; n++) {
      // Each is surprised by the other, and reads the account anew.
      await queues[n % 2]?.run(() =>
        consumeCredits({
          organizationId,
          actor: "test",
          eventName: "api_call_basic",
          quantity: n === 6 ? 4 : 1,
          idempotencyKey: `in turn ${n}`,
          now: minutesLater(LAST_MINUTE),
        }),
      );
      if (n === 3) await addLot({ organizationId, amount: 9, at: minutesLater(LAST_MINUTE) });
    }
    await Promise.all(queues.map((queue) => queue.close()));
    for (const id of [organizationId, friend]) {
      const rows = await app.sql<{ seq: number; marked: boolean; begins: boolean }>(
        `SELECT seq::int, coalesce(starts_run, false) AS marked, grant_id IS DISTINCT FROM lag(grant_id) OVER (ORDER BY seq) AS begins
         FROM credit_transactions WHERE organization_id = $1 ORDER BY seq`,
        [id],
      );
      expect(rows.filter(({ marked }) => marked)).toEqual(rows.filter(({ begins }) => begins));
      await expectLawfulLedger(app.sql, id);
    }
  });
});

describe("the history of a lot", () => {
  // Two lots, each used for a while: the first is left for the second, come back to, and at last taken from by rows of before.
  const [LEFT, BACK, BEFORE, LAST] = [5000, 10_000, 15_000, 20_000];
  const taken = (from: number, to: number, columns = "", values = "") => `
    INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key,
      request_hash, event_id, event_name, quantity, unit_cost, actor, created_at, starts_run${columns})
    SELECT $1, n, gen_random_uuid(), 'consume', -1, 200002 - n, 200002 - n, 'caller', 'bulk:' || n, '', gen_random_uuid(), 'x', 1, 1, 'test',
      $2::timestamptz + n * interval '1 second', CASE WHEN n = ${from} THEN true END${values} FROM generate_series(${from}, ${to}) AS n`;
  const named = (from: number, to: number, lot: string, after: string) =>
    taken(from, to, ", grant_id, lot_after", `, '${lot}', ${after}`);
  let organizationId: string;
  let first: string;
  let second: string;
  beforeAll(async () => {
    organizationId = (await createTenant()).id;
    first = await addLot({ organizationId, amount: 100_000 });
    second = await addLot({ organizationId, amount: 100_000 });
    for (const statement of [
      named(3, LEFT, first, "100002 - n"),
      named(LEFT + 1, BACK, second, `100000 + ${LEFT} - n`),
      named(BACK + 1, BEFORE, first, `100002 - n + ${BACK - LEFT}`),
      taken(BEFORE + 1, LAST),
    ])
      await app.sql(statement, [organizationId, NOW]);
    await app.sql(
      `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
       SELECT $1, n, 1, $2, -1, 100002 - n + ${BACK - LEFT} FROM generate_series(${BEFORE + 1}, ${LAST}) AS n`,
      [organizationId, first],
    );
    await app.sql("ANALYZE credit_transactions, credit_entries");
  });

  /** Pages that a question reads as the tenant, with its answer left out. */
  async function pagesOf(question: string): Promise<number> {
    type Plan = { "QUERY PLAN": [{ Plan: { "Shared Hit Blocks": number; "Shared Read Blocks": number } }] };
    const [row] = await asOrganization(organizationId, (tx) =>
      tx.$queryRawUnsafe<Plan[]>(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${question}`),
    );
    const plan = row?.["QUERY PLAN"][0].Plan;
    return (plan?.["Shared Hit Blocks"] ?? Number.NaN) + (plan?.["Shared Read Blocks"] ?? Number.NaN);
  }

  it.each<[string, number, last: number, left: number]>([
    ["last", LAST + 1, LAST, 85_002],
    ["last by a row in its middle", 2500, 2499, 97_503],
    ["last before another lot was used instead", BACK, LEFT, 95_002],
    ["last after that", BACK + 2, BACK + 1, 95_001],
    ["last of those that name it, before those that have entries", BEFORE + 1, BEFORE, 90_002],
  ])("is not read to find its %s movement", async (_, before, seq, left) => {
    const last = `SELECT last.* FROM credit_grants g CROSS JOIN LATERAL last_movement(g.organization_id, g.id, ${before}) last
      WHERE g.organization_id = '${organizationId}' AND g.id = '${first}'`;
    expect(await asOrganization(organizationId, (tx) => tx.$queryRawUnsafe(last))).toEqual([
      { transaction_seq: BigInt(seq), lot_after: BigInt(left) },
    ]);
    expect(await pagesOf(last)).toBeLessThan(50);
  });

  it("is not read to find its first movement", async () => {
    const made = `SELECT transaction_seq AS seq FROM first_movement('${organizationId}', '${second}')`;
    expect(await asOrganization(organizationId, (tx) => tx.$queryRawUnsafe(made))).toEqual([{ seq: 2n }]);
    expect(await pagesOf(made)).toBeLessThan(20);
  });

  it("is not read to tell where a lot comes from", async () => {
    const read = await asOrganization(organizationId, async (tx) => {
      // Rows of the ledger that this connection has looked at, by whichever index or none.
      const count = async () => {
        const [row] = await tx.$queryRaw<{ count: bigint }[]>`
          SELECT seq_tup_read + idx_tup_fetch AS count FROM pg_stat_xact_user_tables WHERE relname = 'credit_transactions'`;
        return Number(row?.count);
      };
      const before = await count();
      expect((await originsOf(tx, organizationId, [first, second])).size).toBe(2);
      return (await count()) - before;
    });
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(20);
  });

  it("is not read to find what some rows moved", async () => {
    const some = `SELECT t.seq, e.grant_id, e.lot_after FROM credit_transactions t
      JOIN credit_movements e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
      WHERE t.organization_id = '${organizationId}' AND t.seq BETWEEN 9000 AND 9003 ORDER BY t.seq`;
    expect(await asOrganization(organizationId, (tx) => tx.$queryRawUnsafe(some))).toEqual(
      [9000, 9001, 9002, 9003].map((seq) => ({
        seq: BigInt(seq),
        grant_id: second,
        lot_after: BigInt(105_000 - seq),
      })),
    );
    expect(await pagesOf(some)).toBeLessThan(100);
  });
});
