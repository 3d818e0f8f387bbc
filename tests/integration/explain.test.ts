// Answers to "why": a balance at any instant against what was answered then and against a plain model of the rows; a row's
// origin, rate, hold and corrections; statements that add up.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots, getBalance, grantCredits, grantOnce } from "~/server/billing/credits";
import { captureHold, holdCredits, releaseHold } from "~/server/billing/holds";
import { reverseConsumption } from "~/server/billing/reversals";
import { transferCredits } from "~/server/billing/transfers";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { codeOf, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const credits = (organizationId: string, now: Date = NOW) => callAs(serviceOf(organizationId), now).credits;

async function explainAt(organizationId: string, at: Date) {
  const answer = await credits(organizationId).explain({ organizationId, at });
  if (answer.kind !== "balance") throw new Error("a balance was asked for");
  return answer;
}

async function explainRow(organizationId: string, transactionId: string) {
  const answer = await credits(organizationId).explain({ organizationId, transactionId });
  if (answer.kind !== "transaction") throw new Error("a transaction was asked for");
  return answer;
}

interface Entry {
  at: Date;
  lot: string;
  amount: number;
  held: number;
  debt: number;
}

/** What a balance is by the plainest of means: all entries until then, added up. */
async function plainBalance(organizationId: string, at: Date) {
  const rows = await app.sql<Entry>(
    `SELECT t.created_at AS at, e.grant_id AS lot, e.amount::int AS amount, e.held::int AS held, t.debt::int AS debt
     FROM credit_transactions t LEFT JOIN credit_movements e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
     WHERE t.organization_id = $1 ORDER BY t.seq`,
    [organizationId],
  );
  const lots = new Map<string, number>();
  for (const row of rows) if (row.at <= at) lots.set(row.lot, (lots.get(row.lot) ?? 0) + row.amount);
  const left = [...lots].filter(([, amount]) => amount > 0).sort();
  return { lots: left, balance: left.reduce((sum, [, amount]) => sum + amount, 0) };
}

/** A life with a bit of everything, and what was answered at each of its instants. */
async function livedLife() {
  const { id: organizationId } = await createTenant("Giver");
  const friend = await createTenant("Friend");
  const who = { organizationId, actor: "test" };
  const seen: { at: Date; balance: Awaited<ReturnType<typeof getBalance>> }[] = [];
  const look = async (minutes: number) => {
    const at = minutesLater(minutes);
    seen.push({ at, balance: await getBalance(organizationId, at) });
  };
  const take = (quantity: number, key: string, minutes: number) =>
    consumeCredits({ ...who, eventName: "api_call_basic", quantity, idempotencyKey: key, now: minutesLater(minutes) });
  await look(0);
  await addLot({ organizationId, amount: 100, at: minutesLater(1) });
  await look(2);
  await addLot({
    organizationId,
    amount: 50,
    source: "subscription",
    expiresAt: minutesLater(60),
    at: minutesLater(3),
  });
  const promotion = { ...who, amount: toCredits(20), source: "promotion", reason: "Welcome" } as const;
  await grantCredits({ ...promotion, expiresAt: minutesLater(30), idempotencyKey: "welcome", now: minutesLater(4) });
  await look(5);
  const first = await take(30, "first", 6);
  await look(7);
  const hold = { ...who, amount: toCredits(25), eventName: null };
  const lapsing = await holdCredits({ ...hold, leaseSeconds: 600, idempotencyKey: "lapsing", now: minutesLater(8) });
  await look(9);
  const used = { holdId: lapsing.holdId, used: { amount: toCredits(5) }, release: false };
  const part = await captureHold({ ...who, ...used, idempotencyKey: "part", now: minutesLater(10) });
  const other = await holdCredits({ ...hold, leaseSeconds: 3600, idempotencyKey: "other", now: minutesLater(11) });
  await look(12);
  await look(17);
  // The first hold's lease is over; nobody has written so yet.
  await look(18);
  await look(19);
  await take(1, "after the lease", 20);
  await look(21);
  const back = { transactionId: first.transactionId, amount: toCredits(10), reason: "It failed" };
  const reversal = await reverseConsumption({ ...who, ...back, idempotencyKey: "back", now: minutesLater(22) });
  await look(23);
  // The promotion has expired; nobody has written so yet.
  await look(30);
  await look(31);
  await expireLots(organizationId, minutesLater(32));
  await look(33);
  const given = { toOrganizationId: friend.id, amount: toCredits(15), reason: "Thanks", apiKeyId: null };
  const transfer = await transferCredits({ ...who, ...given, idempotencyKey: "given", now: minutesLater(34) });
  await look(35);
  await releaseHold({ ...who, holdId: other.holdId, now: minutesLater(36) });
  await look(37);
  await look(59);
  await look(60);
  await look(90);
  return { organizationId, friend: friend.id, seen, first, part, reversal, transfer, hold: lapsing };
}

describe("a balance at an instant", () => {
  it("is what was answered then, whatever has happened since", async () => {
    const { organizationId, seen } = await livedLife();
    await expectLawfulLedger(app.sql, organizationId);
    for (const { at, balance } of seen) {
      const explained = await explainAt(organizationId, at);
      const then = `at ${at.toISOString()}`;
      expect(explained.available, then).toBe(balance.available);
      expect(explained.held, then).toBe(balance.held);
      expect(explained.debt, then).toBe(balance.debt);
      const free = (source: string) =>
        explained.lots.filter((lot) => lot.source === source).reduce((sum, lot) => sum + lot.free, 0);
      expect([free("purchase"), free("subscription")], then).toEqual([balance.purchased, balance.subscription]);
    }
  });

  it("adds up, and is what a plain model of the rows says", async () => {
    const { organizationId, seen } = await livedLife();
    for (const { at } of seen) {
      const explained = await explainAt(organizationId, at);
      const plain = await plainBalance(organizationId, at);
      expect(explained.balance).toBe(plain.balance);
      expect(explained.lots.map((lot) => [lot.grantId, lot.remaining]).sort()).toEqual(plain.lots);
      expect(explained.available + explained.held + explained.expired).toBe(explained.balance);
      const sum = (of: (lot: (typeof explained.lots)[number]) => number) =>
        explained.lots.reduce((total, lot) => total + of(lot), 0);
      expect([sum((lot) => lot.free), sum((lot) => lot.held)]).toEqual([explained.available, explained.held]);
      expect(explained.rows[0]?.balanceAfter ?? 0).toBe(explained.balance);
      expect(explained.rows.map((row) => row.seq)).toEqual(
        Array.from({ length: Math.min(10, explained.seq) }, (_, index) => explained.seq - index),
      );
    }
  });

  it("is found by the instant's millisecond", async () => {
    const { organizationId } = await livedLife();
    const rows = await app.sql<{ seq: number; at: Date }>(
      "SELECT seq::int AS seq, created_at AS at FROM credit_transactions WHERE organization_id = $1 ORDER BY seq",
      [organizationId],
    );
    for (const { at } of rows) {
      const until = (instant: Date) => rows.filter((row) => row.at <= instant).length;
      for (const instant of [new Date(at.getTime() - 1), at, new Date(at.getTime() + 1)]) {
        expect((await explainAt(organizationId, instant)).seq).toBe(until(instant));
      }
    }
  });

  it("reads no more of a long ledger than of a short one", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 100 });
    await app.sql(
      `INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key, request_hash, actor, created_at)
       SELECT $1, n, gen_random_uuid(), 'adjustment', 1, 99 + n, 99 + n, 'billing', 'bulk:' || n, '', 'test', $2::timestamptz + n * interval '1 second'
       FROM generate_series(2, 20000) AS n`,
      [organizationId, NOW],
    );
    await app.sql("UPDATE credit_accounts SET last_seq = 20000 WHERE organization_id = $1", [organizationId]);
    const plan = await app.sql<{
      "QUERY PLAN": [{ Plan: { "Shared Hit Blocks": number; "Shared Read Blocks": number } }];
    }>("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT ledger_seq_before($1, $2)", [organizationId, minutesLater(100)]);
    const blocks = plan[0]?.["QUERY PLAN"][0].Plan;
    expect((blocks?.["Shared Hit Blocks"] ?? 0) + (blocks?.["Shared Read Blocks"] ?? 0)).toBeLessThan(150);
    expect((await explainAt(organizationId, minutesLater(100))).seq).toBe(6000);
  });

  it("is nothing before the first row", async () => {
    const { organizationId } = await livedLife();
    const before = await explainAt(organizationId, minutesLater(-1));
    expect(before).toMatchObject({ seq: 0, balance: 0, available: 0, held: 0, debt: 0, lots: [], rows: [] });
  });
});

describe("a row", () => {
  it("is told with the rate that it was made under, after the rate card has changed", async () => {
    const { id: organizationId } = await createTenant();
    await addLot({ organizationId, amount: 10_000 });
    const platform = callAs(PLATFORM).creditEvents;
    const { id } = await platform.create({ name: "tokens", category: "AI", cost: 3, perUnits: 1000 });
    const take = (quantity: number, key: string, minutes: number) =>
      consumeCredits({
        organizationId,
        eventName: "tokens",
        quantity,
        idempotencyKey: key,
        actor: "test",
        now: minutesLater(minutes),
      });
    const a = await take(1500, "a", 1);
    await platform.setRate({ id, cost: 4, perUnits: 1000, effectiveFrom: minutesLater(10) });
    const b = await take(1500, "b", 10);
    await callAs(PLATFORM, minutesLater(20)).creditEvents.setOverride({ organizationId, id, cost: 1, perUnits: 1000 });
    const c = await take(1500, "c", 20);
    const rates = await Promise.all(
      [a, b, c].map(async ({ transactionId }) => (await explainRow(organizationId, transactionId)).rate),
    );
    expect(rates).toEqual([
      { cost: 3, perUnits: 1000, version: 1, isOwn: false, since: NOW, credits: 5 },
      { cost: 4, perUnits: 1000, version: 2, isOwn: false, since: minutesLater(10), credits: 6 },
      { cost: 1, perUnits: 1000, version: 2, isOwn: true, since: minutesLater(20), credits: 2 },
    ]);
    expect([a, b, c].map((answer) => answer.consumed)).toEqual([5, 6, 2]);
  });

  it("is told with the hold that it took from, and the hold with its rows", async () => {
    const { organizationId, part, hold } = await livedLife();
    const explained = await explainRow(organizationId, part.transactionId);
    expect(explained).toMatchObject({ cause: "Credits were spent, from what a hold had set aside.", rate: null });
    expect(explained.hold).toMatchObject({
      id: hold.holdId,
      kind: "work",
      amount: 25,
      captured: 5,
      remaining: 0,
      open: false,
    });
    expect(explained.hold?.rows.map((row) => [row.type, row.amount, row.held])).toEqual([
      ["hold", 0, 25],
      ["consume", -5, -5],
      ["release", 0, -20],
    ]);
  });

  it("is told with what it corrects, and with what corrects it", async () => {
    const { organizationId, first, reversal } = await livedLife();
    const [taken, back] = [
      await explainRow(organizationId, first.transactionId),
      await explainRow(organizationId, reversal.transactionId),
    ];
    expect(back.corrects?.id).toBe(first.transactionId);
    expect(back.cause).toBe(`Spent credits were given back of entry ${taken.seq}: It failed.`);
    expect(taken.correctedBy.map((row) => [row.id, row.amount])).toEqual([[reversal.transactionId, 10]]);
    expect(taken.lots.map((lot) => [lot.before, lot.amount, lot.after])).toEqual([[100, -30, 70]]);
  });

  it("is told with the plan, period and invoice, or the pack and payment, behind its credits", async () => {
    const { id: organizationId } = await createTenant();
    const start = NOW;
    const end = minutesLater(60 * 24 * 31);
    const item = "si_test_1";
    const invoice = "in_test_1";
    const [plan] = await app.sql<{ id: string }>("SELECT id FROM subscription_plans LIMIT 1");
    const [price] = await app.sql<{ id: string }>("SELECT id FROM plan_prices WHERE plan_id = $1 LIMIT 1", [plan?.id]);
    const [pack] = await app.sql<{ id: string; name: string }>("SELECT id, name FROM credit_products LIMIT 1");
    await app.sql(
      `INSERT INTO allowance_periods (id, organization_id, stripe_subscription_id, stripe_item_id, period_start, period_end, trial, plan_id,
         plan_name, plan_version, price_id, credits, credit_interval, slices, slices_granted, created_at)
       VALUES ($1, $2, 'sub_1', $3, $4, $5, false, $6, 'Pro', 3, $7, 100, 'month', 1, 1, $4)`,
      [newId(NOW), organizationId, item, start, end, plan?.id, price?.id],
    );
    const history = (kind: string, stripeId: string, number: string | null) =>
      app.sql(
        `INSERT INTO billing_history (id, organization_id, kind, stripe_id, status, description, amount, currency, number, invoice_url, occurred_at, synced_at)
         VALUES ($1, $2, $3::history_kind, $4, 'paid', $5, 4900, 'usd', $6, 'https://invoice', $7, $7)`,
        [newId(NOW), organizationId, kind, stripeId, `The ${kind}`, number, NOW],
      );
    await history("invoice", invoice, "INV-7");
    await history("credit_purchase", "cs_test_1", null);
    const lot = { amount: toCredits(100), expiresAt: null, label: "x" };
    await asPlatform((tx) =>
      grantOnce(tx, {
        organizationId,
        businessKey: `allowance:${item}:${start.toISOString()}:0`,
        type: "grant",
        lot: {
          ...lot,
          source: "subscription",
          planId: plan?.id ?? "",
          planVersion: 3,
          stripeInvoiceId: invoice,
          expiresAt: end,
        },
        reason: "Pro, March 2026",
        now: NOW,
      }),
    );
    await asPlatform((tx) =>
      grantOnce(tx, {
        organizationId,
        businessKey: "checkout:cs_test_1",
        type: "purchase",
        lot: { ...lot, source: "purchase", productId: pack?.id ?? "", stripeSessionId: "cs_test_1" },
        reason: "A pack",
        now: NOW,
      }),
    );
    const spent = await consumeCredits({
      organizationId,
      eventName: "api_call_basic",
      quantity: 150,
      idempotencyKey: "k",
      actor: "t",
      now: NOW,
    });
    const [bought, granted] = (await explainRow(organizationId, spent.transactionId)).lots;
    expect(bought?.origin).toMatchObject({
      source: "purchase",
      product: pack?.name,
      plan: null,
      payment: { description: "The credit_purchase", amount: 4900, currency: "usd" },
      from: null,
    });
    expect(granted?.origin).toMatchObject({
      source: "subscription",
      reason: "Pro, March 2026",
      plan: { name: "Pro", version: 3, periodStart: start, periodEnd: end, trial: false },
      payment: { number: "INV-7", invoiceUrl: "https://invoice" },
    });
  });

  it("names the giver of what was transferred, and not what the giver paid", async () => {
    const { friend, transfer } = await livedLife();
    const received = await explainRow(friend, transfer.receivedTransactionId);
    expect(received.lots[0]?.origin).toMatchObject({ from: { name: "Giver", source: "purchase" }, payment: null });
  });

  it("is not told to others", async () => {
    const { organizationId, friend, first } = await livedLife();
    const asked = (id: string, transactionId: string) => explainRow(id, transactionId).then(() => "told", codeOf);
    expect(await asked(friend, first.transactionId)).toBe("NOT_FOUND");
    const other = callAs(serviceOf(friend))
      .credits.explain({ organizationId, at: NOW })
      .then(() => "told", codeOf);
    expect(await other).toBe("FORBIDDEN");
    const both = credits(organizationId).explain({ organizationId, at: NOW, transactionId: first.transactionId });
    expect(await both.then(() => "told", codeOf)).toBe("INVALID_INPUT");
  });
});

describe("a statement", () => {
  const RANGES = [
    [-10, 100],
    [0, 6],
    [6, 21],
    [20, 22],
    [22, 1000],
    [500, 600],
    [-20, -10],
  ] as const;

  it("leads from the opening balance to the closing one, and one statement into the next", async () => {
    const { organizationId } = await livedLife();
    for (const [first, last] of RANGES) {
      const [from, to] = [minutesLater(first), minutesLater(last)];
      const statement = await credits(organizationId).statement({ organizationId, from, to, limit: 100 });
      const moved = statement.items.reduce((sum, row) => sum + row.amount, 0);
      expect(statement.opening.balance + moved).toBe(statement.closing.balance);
      expect(statement.totals?.byType.reduce((sum, type) => sum + type.amount, 0)).toBe(moved);
      expect(statement.totals?.byType.reduce((sum, type) => sum + type.rows, 0)).toBe(statement.items.length);
      const spent = statement.totals?.byType.find((type) => type.type === "consume")?.amount ?? 0;
      expect(statement.totals?.byEvent.reduce((sum, event) => sum + event.amount, 0)).toBe(spent);
      expect(statement.items.every((row) => row.createdAt >= from && row.createdAt < to)).toBe(true);
      const before = await plainBalance(organizationId, new Date(from.getTime() - 1));
      const after = await plainBalance(organizationId, new Date(to.getTime() - 1));
      expect([statement.opening.balance, statement.closing.balance]).toEqual([before.balance, after.balance]);
    }
  });

  it("comes page by page, each row once", async () => {
    const { organizationId } = await livedLife();
    const range = { organizationId, from: minutesLater(5), to: minutesLater(40) };
    const whole = await credits(organizationId).statement({ ...range, limit: 100 });
    const seqs: number[] = [];
    let cursor: number | null = null;
    do {
      const page: Awaited<ReturnType<ReturnType<typeof credits>["statement"]>> = await credits(
        organizationId,
      ).statement({
        ...range,
        limit: 3,
        cursor,
      });
      expect(page.totals === null).toBe(cursor !== null);
      seqs.push(...page.items.map((row) => row.seq));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(seqs).toEqual(whole.items.map((row) => row.seq));
  });

  it("is written as CSV without a cell that a spreadsheet would run", async () => {
    const { id: organizationId } = await createTenant();
    const reason = '=HYPERLINK("http://x"), now';
    const gift = { amount: toCredits(50), source: "promotion", reason, expiresAt: null } as const;
    await grantCredits({ organizationId, ...gift, idempotencyKey: "+1", actor: "test", now: NOW });
    await consumeCredits({
      organizationId,
      eventName: "api_call_basic",
      quantity: 2,
      idempotencyKey: "-k",
      actor: "test",
      now: minutesLater(1),
    });
    const range = { organizationId, from: NOW, to: minutesLater(2) };
    const csv = await credits(organizationId).statementCsv(range);
    const lines = csv.text.split("\r\n");
    expect(csv).toMatchObject({ rows: 2, total: 2, nextCursor: null });
    expect(lines).toHaveLength(4);
    expect(lines[0]?.split(",").slice(0, 3)).toEqual(["entry", "time_utc", "type"]);
    expect(lines[1]).toContain(`1,2026-03-10T09:30:00.000Z,promotion,,,,,50,0,0,50,"'=HYPERLINK(""http://x""), now"`);
    expect(lines[1]).toContain(",'+1,");
    // To the millisecond it is the instant of the decision, which may have waited in the queue.
    expect(lines[2]).toMatch(/^2,2026-03-10T09:31:\d\d\.\d{3}Z,consume,api_call_basic,2,1,1,-2,0,0,48,/);
    expect(lines[2]).toContain(",'-k,");
  });

  it("refuses a range that ends before it begins", async () => {
    const { id: organizationId } = await createTenant();
    const asked = credits(organizationId).statement({ organizationId, from: minutesLater(1), to: NOW });
    expect(await asked.then(() => "told", codeOf)).toBe("INVALID_INPUT");
  });
});
