// Bulk grants on a real database, by the command in a process of its own: killed at any row, started again, undone.

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { childEnv } from "~/cli/child-env";
import { ROOT } from "~/cli/demo-state";
import { continueBulkGrant, getBulkProgress } from "~/server/billing/bulk-grants";
import { consumeCredits } from "~/server/billing/credits";
import { carryOnBulkGrant } from "~/server/jobs/tasks/bulk-grant";
import { callAs, daysLater, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { codeOf, createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
const directory = mkdtempSync(join(tmpdir(), "billfold-bulk-"));
beforeAll(async () => {
  app = await openLedger();
});
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await app.close();
});

const bulk = callAs(PLATFORM).admin.bulkGrants;

async function carryOut(bulkId: string, now = NOW) {
  while (await continueBulkGrant(bulkId, now));
  return getBulkProgress(bulkId);
}

/** The command, as somebody runs it. */
function command(args: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; output: string }> } {
  const child = spawn(process.execPath, ["--import", "tsx/esm", "src/cli/bulk-grants.ts", ...args], {
    cwd: ROOT,
    env: childEnv({
      DATABASE_URL: app.database.url,
      STRIPE_SECRET_KEY: "sk_test_nothing",
      NEXTAUTH_URL: "http://localhost:3000",
      NEXTAUTH_SECRET: "a secret that is long enough for tests",
    }) as NodeJS.ProcessEnv,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, output })),
  );
  return { child, ended };
}

function fileOf(text: string): string {
  const path = join(directory, `${randomUUID()}.csv`);
  writeFileSync(path, text);
  return path;
}

/** Many organizations, as sign-ups would have made them. */
async function makeOrganizations(count: number, prefix: string): Promise<void> {
  await app.sql(
    `WITH made AS (
       INSERT INTO organizations (id, name, slug, created_at)
       SELECT gen_random_uuid(), $1 || n, $1 || n, $3 FROM generate_series(1, $2::int) n RETURNING id)
     INSERT INTO credit_accounts (organization_id, updated_at) SELECT id, $3 FROM made`,
    [prefix, count, NOW],
  );
}

const available = async (organizationId: string, now = NOW) =>
  (await callAs(PLATFORM, now).credits.balance({ organizationId })).available;

describe("a dry run", () => {
  it.each(["a\0b", "\uD800"])(
    "of the organization %j, which the database could not even be asked for, names its line",
    async (name) => {
      const { problems } = await bulk.preview({ text: `organization,amount\n${name},1\n` });
      expect(problems).toEqual([{ line: 2, message: expect.stringMatching(/^There is no organization/) }]);
    },
  );

  it("names every bad line and changes nothing", async () => {
    const tenant = await createTenant();
    const text = `organization,amount,expires_at\n${tenant.slug},100,\n${tenant.id},50,2027-01-01\nnobody,5,\n${randomUUID()},5,\n${tenant.slug},-1,\n`;
    expect(await bulk.preview({ text })).toEqual({
      rows: 2,
      credits: 150,
      organizations: 1,
      problems: [
        { line: 4, message: 'There is no organization "nobody".' },
        { line: 5, message: expect.stringMatching(/^There is no organization/) },
        { line: 6, message: expect.stringMatching(/^The amount "-1"/) },
      ],
      problemCount: 3,
      before: null,
    });
    const refused = await bulk.start({ text, name: "bad.csv" }).then(
      () => null,
      (error) => error,
    );
    expect(codeOf(refused)).toBe("INVALID_INPUT");
    expect(refused.cause.details).toMatchObject({ problemCount: 3, problems: [{ line: 4 }, { line: 5 }, { line: 6 }] });
    expect(await app.sql("SELECT 1 FROM bulk_grants")).toEqual([]);
    expect(await available(tenant.id)).toBe(0);
  });
});

describe("a bulk grant", () => {
  it("grants each row once, the same file never twice, another file for itself", async () => {
    const [first, second] = [await createTenant("First"), await createTenant("Second")];
    const text = `organization,amount,expires_at,reason\n${first.slug},100,,\n${second.id},50,2027-01-01,For the outage\n${first.id},7,,\n`;
    const started = await bulk.start({ text, name: "march.csv", reason: "Spring" });
    expect(started).toMatchObject({ status: "running", continued: false });
    expect(await bulk.progress({ bulkId: started.id })).toMatchObject({ rows: 3, pending: 3, granted: 0, credits: 0 });
    expect(
      await app.sql("SELECT task_identifier FROM graphile_worker.jobs WHERE key = $1", [`bulk-grant:${started.id}`]),
    ).toEqual([{ task_identifier: "bulk-grant" }]);
    // What the worker does with that job; twice, as after a crash.
    await Promise.all([carryOnBulkGrant({ bulkId: started.id }), carryOnBulkGrant({ bulkId: started.id })]);
    expect(await bulk.progress({ bulkId: started.id })).toMatchObject({
      status: "done",
      pending: 0,
      granted: 3,
      failed: 0,
      credits: 157,
      failures: [],
    });
    expect(await bulk.start({ text, name: "march.csv", reason: "Spring" })).toEqual({
      id: started.id,
      status: "done",
      continued: true,
    });
    await carryOut(started.id);
    expect([await available(first.id), await available(second.id)]).toEqual([107, 50]);
    const lots = await app.sql("SELECT label, source::text, expires_at FROM credit_grants WHERE organization_id = $1", [
      second.id,
    ]);
    expect(lots).toEqual([
      { label: "For the outage", source: "promotion", expires_at: new Date("2027-01-01T00:00:00Z") },
    ]);

    const other = await bulk.start({ text: `${text}\n`, name: "march.csv", reason: "Spring", source: "adjustment" });
    expect(other.id).not.toBe(started.id);
    await carryOut(other.id);
    expect(await available(first.id)).toBe(214);
    for (const { id } of [first, second]) await expectLawfulLedger(app.sql, id);
  });

  it("given by ten at once is one", async () => {
    const tenant = await createTenant();
    const text = `organization,amount\n${tenant.slug},10\n`;
    const started = await Promise.all(Array.from({ length: 10 }, () => bulk.start({ text, name: "once.csv" })));
    expect(new Set(started.map(({ id }) => id)).size).toBe(1);
    expect(started.filter(({ continued }) => !continued)).toHaveLength(1);
    await Promise.all(started.map(({ id }) => carryOut(id)));
    expect(await available(tenant.id)).toBe(10);
  });

  it("says of a row whose organization or time is gone by then that it failed, and grants the others", async () => {
    const [gone, late, fine] = [await createTenant(), await createTenant(), await createTenant()];
    const text = `organization,amount,expires_at\n${gone.id},1,\n${late.id},2,2026-03-11\n${fine.id},3,\n`;
    const { id } = await bulk.start({ text, name: "late.csv" });
    await app.sql("UPDATE organizations SET deleted_at = $2 WHERE id = $1", [gone.id, NOW]);
    expect(await carryOut(id, daysLater(2))).toMatchObject({
      status: "done",
      granted: 1,
      failed: 2,
      credits: 3,
      failures: [
        { line: 2, error: "The organization was deleted before its turn." },
        { line: 3, error: "It expired before its turn." },
      ],
    });
    expect(await available(fine.id)).toBe(3);
  });

  it("is the platform's, and unknown ones are not found", async () => {
    const { owner, slug } = await createTenant();
    const text = `organization,amount\n${slug},10\n`;
    const own = callAs(owner).admin.bulkGrants;
    const bulkId = randomUUID();
    const codes = (attempts: Promise<unknown>[]) =>
      Promise.all(attempts.map((attempt) => attempt.then(() => null, codeOf)));
    const asOwner = [
      own.preview({ text }),
      own.start({ text, name: "x" }),
      own.progress({ bulkId }),
      own.undo({ bulkId }),
    ];
    expect(await codes(asOwner)).toEqual(Array(4).fill("FORBIDDEN"));
    expect(await codes([bulk.progress({ bulkId }), bulk.undo({ bulkId })])).toEqual(Array(2).fill("NOT_FOUND"));
  });
});

describe("an undo", () => {
  it("takes back what is unspent of each lot, once, by rows that name what they correct", async () => {
    const [spent, half, whole] = [await createTenant(), await createTenant(), await createTenant()];
    const text = `organization,amount\n${spent.id},10\n${half.id},10\n${whole.id},10\n${half.id},5\n`;
    const { id } = await bulk.start({ text, name: "undo.csv" });
    await carryOut(id);
    const [event] = await app.sql<{ cost: number }>(
      "SELECT cost::int FROM credit_events WHERE name = 'api_call_basic'",
    );
    const take = (organizationId: string, credits: number) =>
      consumeCredits({
        organizationId,
        eventName: "api_call_basic",
        quantity: credits / (event?.cost ?? 1),
        idempotencyKey: randomUUID(),
        actor: "test",
        now: NOW,
      });
    await take(spent.id, 10);
    await take(half.id, 4);

    expect(await bulk.undo({ bulkId: id })).toEqual({ id, status: "undoing" });
    await Promise.all([carryOut(id), carryOut(id)]);
    expect(await bulk.undo({ bulkId: id })).toEqual({ id, status: "undone" });
    await carryOut(id);
    expect(await getBulkProgress(id)).toMatchObject({
      status: "undone",
      granted: 0,
      undone: 4,
      credits: 35,
      takenBack: 21,
    });
    for (const tenant of [spent, half, whole]) {
      expect((await expectLawfulLedger(app.sql, tenant.id)).balance).toBe(0);
      const rows = await app.sql<{ type: string; corrects: string | null; of: string | null }>(
        `SELECT u.type::text AS type, u.corrects_seq AS corrects, g.type::text AS of FROM credit_transactions u
         LEFT JOIN credit_transactions g ON g.organization_id = u.organization_id AND g.seq = u.corrects_seq
         WHERE u.organization_id = $1 AND u.amount < 0 AND u.type <> 'consume'`,
        [tenant.id],
      );
      for (const row of rows) expect(row).toMatchObject({ type: "adjustment", of: "promotion" });
      expect(rows).toHaveLength(tenant === spent ? 0 : tenant === half ? 2 : 1);
    }
    expect(await bulk.start({ text, name: "undo.csv" }).then(() => null, codeOf)).toBe("INVALID_INPUT");
  });

  it("of a run that has not ended keeps the rest from ever being granted", async () => {
    await makeOrganizations(700, "unfinished-");
    const text = `organization,amount\n${Array.from({ length: 700 }, (_, index) => `unfinished-${index + 1},3\n`).join("")}`;
    const { id } = await bulk.start({ text, name: "unfinished.csv" });
    expect(await continueBulkGrant(id, NOW)).toBe(true);
    await bulk.undo({ bulkId: id });
    expect(await carryOut(id)).toMatchObject({ status: "undone", undone: 500, pending: 200, takenBack: 1500 });
    const [left] = await app.sql<{ sum: number }>(
      "SELECT coalesce(sum(a.balance), 0)::int AS sum FROM credit_accounts a JOIN organizations o ON o.id = a.organization_id WHERE o.slug LIKE 'unfinished-%'",
    );
    expect(left?.sum).toBe(0);
  });
});

describe("the command", () => {
  it("says how it is used, what is wrong, and what it would do", async () => {
    expect(await command([]).ended).toMatchObject({ code: 2, output: expect.stringContaining("--undo <id>") });
    const { slug } = await createTenant();
    const bad = fileOf(`organization,amount\n${slug},1\nnobody,1\n`);
    const wrong = await command([bad]).ended;
    expect(wrong).toMatchObject({
      code: 1,
      output: expect.stringContaining('line 3: There is no organization "nobody".'),
    });
    const dry = await command([fileOf(`organization,amount\n${slug},12\n`), "--dry-run"]).ended;
    expect(dry).toMatchObject({
      code: 0,
      output: expect.stringContaining("1 rows can be granted: 12 credits to 1 organizations."),
    });
  });

  it("killed at row 6,000 of 10,000 and run again grants each once; killed in its undo too", {
    timeout: 300_000,
  }, async () => {
    await makeOrganizations(10_000, "bulk-");
    const rows = Array.from({ length: 10_000 }, (_, index) => `bulk-${index + 1},${100 + (index % 7)}\n`);
    const path = fileOf(`organization,amount\n${rows.join("")}`);
    const total = rows.reduce((sum, _, index) => sum + 100 + (index % 7), 0);

    const counted = async (status: string) => {
      const [row] = await app.sql<{ count: number }>(
        "SELECT count(*)::int AS count FROM bulk_grant_rows r JOIN organizations o ON o.id = r.organization_id WHERE o.slug LIKE 'bulk-%' AND r.status = $1::bulk_grant_row_status",
        [status],
      );
      return row?.count ?? 0;
    };
    const killAt = async (args: string[], status: string, count: number) => {
      const { child, ended } = command(args);
      while ((await counted(status)) < count) {
        if (child.exitCode !== null) throw new Error(`it ended by itself: ${(await ended).output}`);
      }
      child.kill("SIGKILL");
      expect((await ended).code).toBeNull();
      const done = await counted(status);
      expect(done).toBeGreaterThanOrEqual(count);
      expect(done).toBeLessThan(10_000);
      return done;
    };

    await killAt([path, "--reason", "Anniversary"], "granted", 2000);
    await killAt([path, "--reason", "Anniversary"], "granted", 6000);
    const second = await command([path, "--reason", "Anniversary"]).ended;
    expect(second).toMatchObject({ code: 0, output: expect.stringContaining("Going on with") });
    expect(second.output).toContain(`10000 rows granted, ${total} credits; 0 failed`);
    const third = await command([path, "--reason", "Anniversary"]).ended;
    expect(third).toMatchObject({ code: 0, output: expect.stringContaining("granted already") });

    const [facts] = await app.sql(
      `SELECT count(*)::int AS lots, count(DISTINCT g.organization_id)::int AS organizations, sum(g.amount)::int AS credits,
         (SELECT sum(a.balance)::int FROM credit_accounts a JOIN organizations o ON o.id = a.organization_id WHERE o.slug LIKE 'bulk-%') AS balances
       FROM credit_grants g JOIN organizations o ON o.id = g.organization_id WHERE o.slug LIKE 'bulk-%'`,
    );
    expect(facts).toEqual({ lots: 10_000, organizations: 10_000, credits: total, balances: total });

    const [spender] = await app.sql<{ id: string }>("SELECT id FROM organizations WHERE slug = 'bulk-9999'");
    await consumeCredits({
      organizationId: spender?.id ?? "",
      eventName: "api_call_basic",
      quantity: 1,
      idempotencyKey: "one",
      actor: "test",
      now: new Date(),
    });
    const left = 1;
    const id = /Going on with ([0-9a-f-]{36})/.exec(second.output)?.[1] ?? "";
    await killAt(["--undo", id], "undone", 4000);
    const undone = await command(["--undo", id]).ended;
    expect(undone).toMatchObject({
      code: 0,
      output: expect.stringContaining(`10000 rows undone: ${total - left} of ${total}`),
    });
    const [after] = await app.sql(
      `SELECT sum(a.balance)::int AS balances, (SELECT count(*)::int FROM credit_transactions t JOIN organizations p ON p.id = t.organization_id WHERE p.slug LIKE 'bulk-%' AND t.type = 'adjustment') AS undone
       FROM credit_accounts a JOIN organizations o ON o.id = a.organization_id WHERE o.slug LIKE 'bulk-%'`,
    );
    expect(after).toEqual({ balances: 0, undone: 10_000 });
    for (const slug of ["bulk-1", "bulk-6000", "bulk-9999"]) {
      const [organization] = await app.sql<{ id: string }>("SELECT id FROM organizations WHERE slug = $1", [slug]);
      await expectLawfulLedger(app.sql, organization?.id ?? "");
    }
  });
});
