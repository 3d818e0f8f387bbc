import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { raiseAlert } from "~/server/billing/alerts";
import { asPlatform, inOneExchange, Prisma } from "~/server/db";
import { PrismaClient } from "~/server/db/generated/client";
import { beginningWith, lateBeginning } from "~/server/db/late-begin";
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
