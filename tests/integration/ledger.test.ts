// The ledger's laws against the database itself: what it refuses, and what expiries and grants do to it. Random lives are in
// `simulation/ledger-model.test.ts`.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots, getBalance, grantCredits } from "~/server/billing/credits";
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
    { grant_id: "gen_random_uuid()" },
    { lot_after: "0" },
    { grant_id: "gen_random_uuid()", lot_after: "-1" },
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
