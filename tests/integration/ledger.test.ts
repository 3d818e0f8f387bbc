// The ledger's laws against the database itself: what it refuses, and that a random life never breaks them.
import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots, getBalance, grantCredits } from "~/server/billing/credits";
import { listGrants } from "~/server/billing/grants";
import { setBurnOrder } from "~/server/billing/organizations";
import { addLot, expectLawfulLedger, openLedger, readLedger } from "../setup/billing";
import { codeOf, createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const take = (organizationId: string, quantity: number, idempotencyKey: string, now = NOW) =>
  consumeCredits({ organizationId, eventName: "api_call_basic", quantity, idempotencyKey, actor: "test", now });

async function tenantWithHistory(): Promise<string> {
  const { id } = await createTenant();
  await addLot({ organizationId: id, amount: 100 });
  await addLot({ organizationId: id, amount: 50, source: "subscription", expiresAt: minutesLater(60) });
  await take(id, 120, "first");
  await take(id, 10, "second");
  return id;
}

/** Runs SQL in a transaction that is rolled back, as one of the roles. @returns the error's SQLSTATE, or null */
async function attempt(
  role: "owner" | "billfold_app" | "billfold_platform" | "superuser",
  organizationId: string,
  statement: string,
): Promise<string | null> {
  const url = role === "superuser" ? app.database.superuserUrl : app.database.ownerUrl;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query("BEGIN");
    if (role.startsWith("billfold_")) await client.query(`SET LOCAL ROLE ${role}`);
    await client.query("SELECT set_config('app.organization_id', $1, true)", [organizationId]);
    await client.query(statement);
    return null;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.query("ROLLBACK");
    await client.end();
  }
}

const NO_PRIVILEGE = "42501";
const APPEND_ONLY = "23001";
const CHECK_VIOLATION = "23514";

describe("a row of the ledger", () => {
  let organizationId: string;
  beforeAll(async () => {
    organizationId = await tenantWithHistory();
  });

  const CHANGES = ["credit_transactions", "credit_entries"].flatMap((table) => [
    `UPDATE ${table} SET amount = amount + 1`,
    `UPDATE ${table} SET amount = amount WHERE false`,
    `DELETE FROM ${table}`,
    `DELETE FROM ${table} WHERE false`,
    `TRUNCATE ${table} CASCADE`,
  ]);

  it.each(CHANGES)("is refused to the application by its privileges: %s", async (statement) => {
    expect(await attempt("billfold_app", organizationId, statement)).toBe(NO_PRIVILEGE);
  });

  it.each(CHANGES)("is refused to the platform by its privileges: %s", async (statement) => {
    expect(await attempt("billfold_platform", organizationId, statement)).toBe(NO_PRIVILEGE);
  });

  it.each(CHANGES)("is refused to the tables' owner and to a superuser by the guard: %s", async (statement) => {
    expect(await attempt("owner", organizationId, statement)).toBe(APPEND_ONLY);
    expect(await attempt("superuser", organizationId, statement)).toBe(APPEND_ONLY);
  });

  it("stays after all of these attempts", async () => {
    const ledger = await expectLawfulLedger(app.sql, organizationId);
    expect(ledger.rows.map((row) => [row.type, row.amount])).toEqual([
      ["purchase", 100],
      ["grant", 50],
      ["consume", -120],
      ["consume", -10],
    ]);
  });

  it("cannot be written twice under one key or one number", async () => {
    const copy = (seq: string, key: string) =>
      `INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space,
         idempotency_key, request_hash, actor, created_at)
       VALUES ('${organizationId}', ${seq}, gen_random_uuid(), 'adjustment', 1, 21, 21, 'caller', '${key}', 'x', 'x', now())`;
    expect(await attempt("billfold_app", organizationId, copy("5", "first"))).toBe("23505");
    expect(await attempt("billfold_app", organizationId, copy("4", "fresh"))).toBe("23505");
    expect(await attempt("billfold_app", organizationId, copy("5", "fresh"))).toBeNull();
  });
});

describe("what no row may be", () => {
  let organizationId: string;
  beforeAll(async () => {
    organizationId = await tenantWithHistory();
  });

  it.each([
    "UPDATE credit_grants SET remaining = -1, open = true",
    "UPDATE credit_grants SET remaining = -1, open = false",
    "UPDATE credit_grants SET remaining = amount + 1, open = true",
    "UPDATE credit_grants SET open = NOT open",
    "UPDATE credit_accounts SET balance = -1",
    "UPDATE credit_accounts SET held = balance + 1",
    "UPDATE credit_accounts SET held = -1",
  ])("is refused to every role: %s", async (statement) => {
    for (const role of ["billfold_app", "billfold_platform", "superuser"] as const) {
      expect(await attempt(role, organizationId, statement)).toBe(CHECK_VIOLATION);
    }
  });

  const row = (columns: Record<string, string>) => {
    const all: Record<string, string> = {
      organization_id: `'${organizationId}'`,
      seq: "5",
      id: "gen_random_uuid()",
      type: "'adjustment'",
      amount: "1",
      balance_after: "21",
      available_after: "21",
      key_space: "'caller'",
      idempotency_key: "'raw'",
      request_hash: "'x'",
      actor: "'x'",
      created_at: "now()",
      ...columns,
    };
    return `INSERT INTO credit_transactions (${Object.keys(all).join(", ")}) VALUES (${Object.values(all).join(", ")})`;
  };

  it.each<Record<string, string>>([
    { amount: "0" },
    { balance_after: "-1", available_after: "-1" },
    { available_after: "22" },
    { seq: "0" },
    { type: "'consume'", amount: "-1" },
    { type: "'consume'", amount: "1", event_id: "gen_random_uuid()", event_name: "'x'", quantity: "1", unit_cost: "1" },
    {
      type: "'consume'",
      amount: "-1",
      event_id: "gen_random_uuid()",
      event_name: "'x'",
      quantity: "0",
      unit_cost: "1",
    },
  ])("is refused as a row of the ledger: %o", async (columns) => {
    expect(await attempt("superuser", organizationId, row({}))).toBeNull();
    expect(await attempt("billfold_app", organizationId, row(columns))).toBe(CHECK_VIOLATION);
  });

  it("is an account or a lot that somebody deletes or makes by hand", async () => {
    for (const table of ["credit_accounts", "credit_grants"]) {
      expect(await attempt("billfold_app", organizationId, `DELETE FROM ${table}`)).toBe(NO_PRIVILEGE);
      expect(await attempt("billfold_platform", organizationId, `DELETE FROM ${table}`)).toBe(NO_PRIVILEGE);
    }
    const lot = `INSERT INTO credit_grants (organization_id, id, source, amount, remaining, label, created_at)
                 VALUES ('${organizationId}', gen_random_uuid(), 'purchase', 5, 5, 'free', now())`;
    expect(await attempt("billfold_app", organizationId, lot)).toBe(NO_PRIVILEGE);
    expect(await attempt("billfold_app", organizationId, "UPDATE credit_grants SET amount = amount * 2")).toBe(
      NO_PRIVILEGE,
    );
    expect(await attempt("billfold_app", organizationId, "UPDATE credit_grants SET expires_at = null")).toBe(
      NO_PRIVILEGE,
    );
  });
});

describe("an expiry", () => {
  it("is in force from its instant on, before the job has written it", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 10, source: "promotion", expiresAt: minutesLater(60) });
    await addLot({ organizationId: id, amount: 3 });
    const justBefore = new Date(minutesLater(60).getTime() - 1);
    expect((await getBalance(id, justBefore)).available).toBe(13);
    expect((await getBalance(id, minutesLater(60))).available).toBe(3);
    await expect(take(id, 4, "after", minutesLater(60))).rejects.toMatchObject({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 4, available: 3 },
    });
    const taken = await take(id, 3, "the rest", minutesLater(60));
    expect(taken.available).toBe(0);
    expect(await readLedger(app.sql, id)).toMatchObject({ balance: 10 });
    await expectLawfulLedger(app.sql, id);
  });

  it("is written once by jobs that run at the same time, and again", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 10, source: "promotion", expiresAt: minutesLater(5) });
    await addLot({ organizationId: id, amount: 7, source: "subscription", expiresAt: minutesLater(10) });
    await addLot({ organizationId: id, amount: 5 });
    await take(id, 6, "some");
    const counts = await Promise.all([1, 2, 3, 4].map(() => expireLots(id, minutesLater(10))));
    expect(counts.sort()).toEqual([0, 0, 0, 2]);
    expect(await expireLots(id, minutesLater(20))).toBe(0);
    const ledger = await expectLawfulLedger(app.sql, id);
    expect(ledger.rows.filter((row) => row.type === "expiry").map((row) => row.amount)).toEqual([-9, -7]);
    expect(ledger.balance).toBe(0);
  });

  it("leaves what has not expired, to the millisecond", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 10, source: "promotion", expiresAt: minutesLater(5) });
    expect(await expireLots(id, new Date(minutesLater(5).getTime() - 1))).toBe(0);
    expect(await expireLots(id, minutesLater(5))).toBe(1);
  });

  it("races with callers and takes what they left, no more and no less", async () => {
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 50, source: "promotion", expiresAt: minutesLater(5) });
    await Promise.allSettled([
      ...Array.from({ length: 30 }, (_, index) => take(id, 1, `early ${index}`, minutesLater(4))),
      expireLots(id, minutesLater(5)),
      expireLots(id, minutesLater(5)),
    ]);
    const { rows, balance } = await expectLawfulLedger(app.sql, id);
    expect(balance).toBe(0);
    expect(rows.filter((row) => row.type === "expiry")).toHaveLength(1);
  });
});

describe("a grant", () => {
  it("is given once for a key, and the key stands for that grant only", async () => {
    const { id } = await createTenant();
    const request = {
      organizationId: id,
      amount: toCredits(40),
      source: "promotion" as const,
      expiresAt: minutesLater(60),
      reason: "welcome",
      idempotencyKey: "welcome",
      actor: "test",
      now: NOW,
    };
    const answers = await Promise.all(Array.from({ length: 10 }, () => grantCredits(request)));
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    expect(new Set(answers.map(({ replayed: _, ...rest }) => JSON.stringify(rest))).size).toBe(1);
    for (const change of [
      { amount: toCredits(41) },
      { source: "adjustment" as const },
      { reason: "hello" },
      { expiresAt: null },
    ]) {
      expect(await grantCredits({ ...request, ...change }).catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    }
    expect(await take(id, 1, "welcome").catch(codeOf)).toBe("IDEMPOTENCY_CONFLICT");
    // The first answer, even after the expiry that would refuse a new one.
    expect(await grantCredits({ ...request, now: minutesLater(90) })).toMatchObject({ replayed: true, available: 40 });
    const late = { ...request, idempotencyKey: "late", now: minutesLater(60) };
    expect(await grantCredits(late).catch(codeOf)).toBe("INVALID_INPUT");
    expect((await expectLawfulLedger(app.sql, id)).balance).toBe(40);
  });
});

// ── A random life ──────────────────────────────────────────────────────────────────────────────────────────

type Step =
  | { kind: "grant"; source: "purchase" | "subscription" | "promotion"; amount: number; livesMinutes: number | null }
  | { kind: "take"; quantity: number }
  | { kind: "takeAtOnce"; quantities: number[] }
  | { kind: "replay"; which: number }
  | { kind: "expire" }
  | { kind: "wait"; minutes: number }
  | { kind: "order"; order: "purchased_first" | "expiring_first" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("grant" as const),
      source: fc.constantFrom("purchase", "subscription", "promotion"),
      amount: fc.integer({ min: 1, max: 60 }),
      livesMinutes: fc.option(fc.integer({ min: 1, max: 200 })),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("take" as const), quantity: fc.integer({ min: 1, max: 45 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("takeAtOnce" as const),
      quantities: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 2, maxLength: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("replay" as const), which: fc.nat({ max: 1000 }) }) },
  { weight: 2, arbitrary: fc.constant({ kind: "expire" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), minutes: fc.integer({ min: 1, max: 90 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("order" as const),
      order: fc.constantFrom("purchased_first", "expiring_first"),
    }),
  },
);

interface ModelLot {
  id: string;
  remaining: number;
  expiresAt: number | null;
  createdAt: number;
}

/** The promise in the plainest words that can be run: no code of ours. */
class Model {
  lots: ModelLot[] = [];
  order: "purchased_first" | "expiring_first" = "purchased_first";
  now = NOW.getTime();

  spendable(): ModelLot[] {
    const left = this.lots.filter((lot) => lot.remaining > 0 && (lot.expiresAt === null || lot.expiresAt > this.now));
    const byId = (a: ModelLot, b: ModelLot) => (a.id < b.id ? -1 : 1);
    const permanent = left.filter((lot) => lot.expiresAt === null);
    const expiring = left.filter((lot) => lot.expiresAt !== null);
    permanent.sort((a, b) => a.createdAt - b.createdAt || byId(a, b));
    expiring.sort((a, b) => (a.expiresAt ?? 0) - (b.expiresAt ?? 0) || byId(a, b));
    return this.order === "purchased_first" ? [...permanent, ...expiring] : [...expiring, ...permanent];
  }

  available(): number {
    return this.spendable().reduce((sum, lot) => sum + lot.remaining, 0);
  }

  take(amount: number): { grantId: string; amount: number }[] | null {
    if (amount > this.available()) return null;
    const taken: { grantId: string; amount: number }[] = [];
    let open = amount;
    for (const lot of this.spendable()) {
      if (open === 0) break;
      const part = Math.min(open, lot.remaining);
      lot.remaining -= part;
      open -= part;
      taken.push({ grantId: lot.id, amount: part });
    }
    return taken;
  }
}

describe("a random life of 150 steps", () => {
  it("keeps every law after every step, and does what the plain model does", { timeout: 120_000 }, async () => {
    const seed = Number(process.env.BILLFOLD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    console.log(`random life: BILLFOLD_TEST_SEED=${seed}`);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 150, maxLength: 150 }), async (steps) => {
        const { id: organizationId } = await createTenant();
        const model = new Model();
        const answered: { key: string; quantity: number; answer: Awaited<ReturnType<typeof take>> }[] = [];
        for (const [index, each] of steps.entries()) {
          const now = new Date(model.now);
          switch (each.kind) {
            case "grant": {
              const { source, amount, livesMinutes } = each;
              const expiresAt = livesMinutes === null ? null : minutesLater(livesMinutes, now);
              const id = await addLot({ organizationId, source, amount, expiresAt, at: now });
              const at = expiresAt?.getTime() ?? null;
              model.lots.push({ id, remaining: amount, expiresAt: at, createdAt: model.now });
              break;
            }
            case "take": {
              const available = model.available();
              const expected = model.take(each.quantity);
              const key = `take ${index}`;
              if (expected === null) {
                await expect(take(organizationId, each.quantity, key, now)).rejects.toMatchObject({
                  code: "INSUFFICIENT_CREDITS",
                  details: { required: each.quantity, available },
                });
              } else {
                const answer = await take(organizationId, each.quantity, key, now);
                expect(answer.allocations.map(({ grantId, amount }) => ({ grantId, amount }))).toEqual(expected);
                expect(answer.available).toBe(model.available());
                answered.push({ key, quantity: each.quantity, answer });
              }
              break;
            }
            case "takeAtOnce": {
              const before = model.available();
              const results = await Promise.allSettled(
                each.quantities.map((quantity, part) =>
                  take(organizationId, quantity, `at once ${index}.${part}`, now),
                ),
              );
              let sum = 0;
              for (const [part, result] of results.entries()) {
                if (result.status === "fulfilled") sum += result.value.consumed;
                else expect(codeOf(result.reason), `caller ${part}`).toBe("INSUFFICIENT_CREDITS");
              }
              // In whatever order they came: what was taken was there, and nobody was refused who could have been served.
              expect(sum).toBeLessThanOrEqual(before);
              const refused = each.quantities.filter((_, part) => results[part]?.status === "rejected");
              for (const quantity of refused) expect(quantity).toBeGreaterThan(before - sum);
              if (sum > 0) expect(model.take(sum)).not.toBeNull();
              break;
            }
            case "replay": {
              const first = answered[each.which % Math.max(1, answered.length)];
              if (!first) break;
              const again = await take(organizationId, first.quantity, first.key, now);
              expect(again).toEqual({ ...first.answer, replayed: true });
              expect(await take(organizationId, first.quantity + 1, first.key, now).catch(codeOf)).toBe(
                "IDEMPOTENCY_CONFLICT",
              );
              break;
            }
            case "expire":
              await Promise.all([expireLots(organizationId, now), expireLots(organizationId, now)]);
              for (const lot of model.lots) if (lot.expiresAt !== null && lot.expiresAt <= model.now) lot.remaining = 0;
              break;
            case "wait":
              model.now += each.minutes * 60_000;
              break;
            case "order":
              await setBurnOrder({ organizationId, burnOrder: each.order });
              model.order = each.order;
              break;
          }
          const ledger = await expectLawfulLedger(app.sql, organizationId);
          const at = new Date(model.now);
          expect((await getBalance(organizationId, at)).available).toBe(model.available());
          const left = new Map(model.lots.map((lot) => [lot.id, lot.remaining]));
          for (const lot of ledger.lots)
            expect(lot.remaining, `lot ${lot.id} after step ${index}`).toBe(left.get(lot.id));
          if (index % 10 === 0) {
            const queue = (await listGrants(organizationId, at, 0)).map((grant) => grant.id);
            expect(queue).toEqual(model.spendable().map((lot) => lot.id));
          }
        }
        expect(answered.length).toBeGreaterThan(5);
      }),
      { numRuns: 1, seed, endOnFailure: true },
    );
  });
});
