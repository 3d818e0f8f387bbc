// The demo's past can be lived whenever the demo is started: it runs through the use-cases, which refuse what nobody can pay for.
import { afterAll, beforeAll, expect, it } from "vitest";
import { seedDemo } from "../../prisma/seed/demo";
import { type Billing, expectLawfulLedger, openBilling, quietLogs } from "../setup/billing";

let billing: Billing;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
});
afterAll(() => billing.close());

// A renewal was due on one of its days before everything had been spent but 78 credits of a pack.
const STARTED_AT = new Date(process.env.DEMO_STARTED_AT ?? "2026-11-24T02:12:00.000Z");

it(`is lived until ${STARTED_AT.toISOString()}`, async () => {
  const { organizationId, organizationSlug } = await seedDemo(STARTED_AT);
  const organizations = await billing.sql<{ id: string; name: string; status: string }>(
    `SELECT o.id, o.name, s.status FROM organizations o JOIN organization_subscriptions s ON s.organization_id = o.id
     ORDER BY o.name`,
  );
  expect(organizations.map(({ name, status }) => [name, status])).toEqual([
    ["Halden Analytics", "trial"],
    ["Northwind Robotics", "active"],
    ["Tern & Tide", "past_due"],
  ]);
  for (const { id } of organizations) await expectLawfulLedger(billing.sql, id);
  expect(organizationSlug).toBe("northwind-robotics");
  const [counts] = await billing.sql(
    `SELECT (SELECT count(*)::int FROM credit_holds WHERE organization_id = $1 AND kind = 'work' AND open) AS holds,
            (SELECT count(*)::int FROM credit_budgets WHERE organization_id = $1) AS budgets,
            (SELECT count(*)::int FROM credit_transactions WHERE organization_id = $1 AND type = 'refund') AS refunds,
            (SELECT count(*)::int FROM credit_grants WHERE organization_id = $1 AND source = 'subscription') AS periods,
            (SELECT count(*)::int FROM stripe_events WHERE status NOT IN ('done', 'ignored')) AS unfinished`,
    [organizationId],
  );
  expect(counts).toEqual({
    holds: 2,
    budgets: 3,
    refunds: 1,
    periods: expect.toSatisfy((n: number) => n === 5 || n === 6),
    unfinished: 0,
  });
});
