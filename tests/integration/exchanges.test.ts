import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { raiseAlert } from "~/server/billing/alerts";
import { asPlatform, inOneExchange, Prisma, type Transaction } from "~/server/db";
import { PrismaClient } from "~/server/db/generated/client";
import { beginningWith, lateBeginning } from "~/server/db/late-begin";
import { askWhetherSession, parsedOnce } from "~/server/db/statements";
import { type Billing, openBilling } from "../setup/billing";

let billing: Billing;
beforeAll(async () => {
  billing = await openBilling();
});
afterAll(() => billing.close());

const NOW = new Date("2026-11-01T00:00:00.000Z");
const alertsOf = async (subject: string) =>
  (await inOneExchange<[{ kind: string }]>(Prisma.sql`SELECT kind FROM billing_alerts WHERE subject = ${subject}`))[0];
const insert = (id: string, subject: string) => Prisma.sql`
  INSERT INTO billing_alerts (id, kind, subject, message, created_at)
  VALUES (${id}::uuid, 'event_dead', ${subject}, 'told', ${NOW}::timestamptz)`;

it("statements see what those before them have done, as the platform, and each gives its rows", async () => {
  const id = "00000000-0000-7000-8000-00000000000a";
  const answers = await inOneExchange<[object, { role: string; wait: string }, { at: Date; amount: string }]>(
    insert(id, "seen"),
    Prisma.sql`SELECT current_user AS role, current_setting('lock_timeout') AS wait`,
    Prisma.sql`SELECT created_at AS at, 9007199254740993::bigint AS amount FROM billing_alerts WHERE id = ${id}::uuid`,
  );
  expect(answers).toEqual([
    [],
    [{ role: "billfold_platform", wait: "10s" }],
    [{ at: NOW, amount: "9007199254740993" }],
  ]);
  expect(await alertsOf("seen")).toEqual([{ kind: "event_dead" }]);
});

it("one that fails takes the others with it, and leaves the connection to the next", async () => {
  const id = "00000000-0000-7000-8000-00000000000b";
  const failing = inOneExchange(insert(id, "undone"), Prisma.sql`SELECT 1 / 0`, insert(id, "never"));
  await expect(failing).rejects.toMatchObject({ code: "22012", message: "division by zero" });
  expect(await alertsOf("undone")).toEqual([]);
  expect(await alertsOf("never")).toEqual([]);
});

it("is not for whoever holds a connection", async () => {
  const inside = asPlatform(async (tx) => {
    await raiseAlert(tx, { organizationId: null, kind: "event_dead", subject: "held", message: "told" }, NOW);
    await inOneExchange(Prisma.sql`SELECT 1`);
  });
  await expect(inside).rejects.toThrow("whoever holds a connection waits for no other");
  expect(await alertsOf("held")).toEqual([]);
});

it("says BUSY where the connection was cut", async () => {
  const cut = expect(inOneExchange(Prisma.sql`SELECT pg_sleep(30) AS "a nap"`)).rejects.toMatchObject({
    ...{ code: "BUSY", details: { retryable: true } },
  });
  const nap = `SELECT pid, pg_terminate_backend(pid) AS ended FROM pg_stat_activity
    WHERE query LIKE '%"a nap"%' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()`;
  await expect.poll(() => billing.sql<{ ended: boolean }>(nap)).toMatchObject([{ ended: true }]);
  await cut;
  expect(await alertsOf("nothing")).toEqual([]);
});

it("a transaction that cannot begin tells so with its first statement, which is not carried out", async () => {
  const pool = new pg.Pool({ connectionString: billing.database.superuserUrl, pipeline: true, max: 1 });
  const prisma = new PrismaClient({ adapter: lateBeginning(pool) });
  const told = (subject: string) =>
    prisma.$transaction((tx) => tx.$executeRaw(insert("00000000-0000-7000-8000-00000000000c", subject)));
  try {
    await expect(beginningWith("BEGIN; SET LOCAL ROLE nobody_there", () => told("outside"))).rejects.toThrow(
      'role "nobody_there" does not exist',
    );
    expect(await alertsOf("outside")).toEqual([]);
    expect(await beginningWith("BEGIN", () => told("inside"))).toBe(1);
    expect(await alertsOf("inside")).toEqual([{ kind: "event_dead" }]);
  } finally {
    await prisma.$disconnect();
    await pool.end();
  }
});

// ── Prepared statements ──────────────────────────────────────────────────────────────────────────────────────

const namesOn = (tx: Transaction) =>
  tx.$queryRaw<{ statement: string }[]>`
    SELECT statement FROM pg_prepared_statements WHERE name LIKE 'billfold\_%' AND statement LIKE '%' || ${"asked as"} || '%'
      AND statement NOT LIKE '%pg_prepared_statements%'`;

it("what is asked again with other values is parsed once on a connection", async () => {
  const ask = (tx: Transaction, value: number) => tx.$queryRaw`SELECT ${value}::int AS "asked as"`;
  const twice = () =>
    asPlatform(async (tx) => {
      const answers = [await ask(tx, 1), await ask(tx, 2)];
      return { answers, names: await namesOn(tx) };
    });
  await twice();
  const { answers, names } = await twice();
  expect(answers).toEqual([[{ "asked as": 1 }], [{ "asked as": 2 }]]);
  expect(names).toHaveLength(1);
});

it("a connection that has another number than the server's own is a pooler's, and nothing is prepared on it", async () => {
  const pool = new pg.Pool({ connectionString: billing.database.superuserUrl, max: 1 });
  try {
    const client = await pool.connect();
    const asked = { text: "SELECT $1::int AS one", values: [1] };
    Object.assign(client, { processID: 1 });
    await askWhetherSession(client);
    expect(parsedOnce(client, asked)).toEqual(asked);
    Object.assign(client, { processID: (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid });
    await askWhetherSession(client);
    expect(parsedOnce(client, asked)).toMatchObject({ ...asked, name: expect.stringMatching(/^billfold_/) });
    client.release();
  } finally {
    await pool.end();
  }
});

it("after a migration has changed what a statement answers, it may be sent again", async () => {
  await billing.sql(
    "CREATE TABLE changing (id int); GRANT SELECT ON changing TO PUBLIC; INSERT INTO changing VALUES (1)",
  );
  const ask = () => asPlatform((tx) => tx.$queryRaw`SELECT * FROM changing WHERE id = ${1}::int`);
  const inOne = () => inOneExchange(Prisma.sql`SELECT c.* FROM changing c WHERE id = ${1}::int`);
  for (const [column, way] of [["a", ask] as const, ["b", inOne] as const]) {
    const all = () =>
      Promise.all(
        Array.from({ length: 20 }, () =>
          way().then(
            () => null,
            (error) => error.code,
          ),
        ),
      );
    await all();
    await billing.sql(`ALTER TABLE changing ADD COLUMN ${column} int`);
    expect(new Set(await all())).toContain("BUSY");
    // Each connection of the pool has had one.
    await expect.poll(async () => new Set(await all())).toEqual(new Set([null]));
  }
  expect(await ask()).toEqual([{ id: 1, a: null, b: null }]);
});
