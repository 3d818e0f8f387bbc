// The bench itself, once through on next to nothing: that it measures every cell and leaves lawful ledgers. How fast
// anything is, no test asks.
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cellsOf } from "~/cli/bench/cells";
import { auditLedgers, ledgerRowsOf, organizationId, seedEvent, seedPopulations } from "~/cli/bench/ledger-rows";
import { DATABASES, PLANS } from "~/cli/bench/plan";
import { RATIO_NAMES, tableOf } from "~/cli/bench/report";
import { Bench, type Report } from "~/cli/bench/run";
import { Progress } from "~/cli/progress";
import { createTestDatabase } from "../setup/database";

const plan = PLANS.smoke;
const positive = expect.toSatisfy((value: number) => Number.isFinite(value) && value > 0, "a positive number");

let parent: string;
let directory: string;
let report: Report;

describe("a run of the bench", () => {
  beforeAll(async () => {
    parent = await mkdtemp(join(tmpdir(), "billfold-bench-"));
    // As root the database server runs as another user, who has to get through.
    await chmod(parent, 0o711);
    directory = join(parent, "run");
    const progress = new Progress();
    progress.silence();
    report = await new Bench(plan, directory, progress).run();
  }, 120_000);
  afterAll(() => rm(parent, { recursive: true, force: true }));

  it("writes every cell with each of its rounds and their medians", () => {
    const written = JSON.parse(JSON.stringify(report)) as Report;
    expect(Object.keys(written.cells).sort()).toEqual(
      cellsOf(plan)
        .map(({ key }) => key)
        .sort(),
    );
    for (const [key, cell] of Object.entries(written.cells)) {
      expect(cell.rounds, key).toHaveLength(plan.rounds);
      for (const figures of [cell.median, ...cell.rounds]) {
        expect(figures, key).toEqual({
          operations: positive,
          operationsPerSecond: positive,
          p50Ms: positive,
          p99Ms: positive,
        });
      }
    }
  });

  it("has each ratio that is asked for: null only where a cell that it needs was left out of so small a run", () => {
    const leftOut = ["httpSingleVsNextNoop", "growthLedger", "growthOrganizations"];
    expect(report.ratios).toEqual(
      Object.fromEntries(RATIO_NAMES.map((name) => [name, leftOut.includes(name) ? null : positive])),
    );
  });

  it("says how much memory the server had at the start and after ten times the operations", () => {
    const { atStart, afterTenTimes, operationsAtStart, operationsAfterTenTimes } = report.rssMb;
    for (const value of [atStart, afterTenTimes, operationsAtStart]) expect(value).toEqual(positive);
    expect(operationsAfterTenTimes).toBeGreaterThan(operationsAtStart);
  });

  it("leaves ledgers in which everything agrees, more rows than were seeded, and nothing else", () => {
    const used = DATABASES.filter((name) => plan.populations[name].length > 0);
    expect(Object.keys(report.ledgers).sort()).toEqual([...used].sort());
    for (const { organizations, transactions, unlawful } of Object.values(report.ledgers)) {
      expect(unlawful).toBe(0);
      expect(organizations).toBeGreaterThan(0);
      expect(transactions).toBeGreaterThan(0);
    }
    expect(existsSync(directory)).toBe(false);
  });

  it("is shown as a table with a line for each cell", () => {
    const table = tableOf(report.cells, report.ratios);
    for (const { title } of cellsOf(plan)) expect(table).toContain(title);
    expect(table).toContain("spread32");
  });
});

describe("the audit", () => {
  it("finds seeded ledgers lawful, and one where a single credit is missing not", async () => {
    const population = { set: "1", organizations: 3, openLots: 2, closedLots: 4, consumed: 5 };
    const database = await createTestDatabase();
    const client = new pg.Client({ connectionString: database.superuserUrl });
    await client.connect();
    try {
      await seedEvent(client);
      await seedPopulations(client, [population]);
      const lawful = { organizations: 3, transactions: ledgerRowsOf(population), unlawful: 0 };
      expect(await auditLedgers(client)).toEqual(lawful);
      for (const harm of [
        "UPDATE credit_accounts SET balance = balance - 1",
        "UPDATE credit_accounts SET last_seq = last_seq - 1",
        "UPDATE credit_grants SET remaining = remaining + 1, amount = amount + 1, open = true",
      ]) {
        await client.query("BEGIN");
        await client.query(`${harm} WHERE organization_id = $1`, [organizationId("1", 2)]);
        expect(await auditLedgers(client), harm).toEqual({ ...lawful, unlawful: 1 });
        await client.query("ROLLBACK");
      }
    } finally {
      await client.end();
      await database.drop();
    }
  });
});
