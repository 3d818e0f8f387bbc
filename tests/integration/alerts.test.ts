// The alerts of accounts, as the clock makes them agree with the accounts: takes, releases and reversals change what is owed and
// what is suspended without a word to anybody.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SpentPolicy } from "~/domain/account";
import { toCredits } from "~/domain/credits";
import { settleAccountAlerts } from "~/server/billing/alerts";
import { captureHold, holdCredits, releaseHold } from "~/server/billing/holds";
import { resumeCredits, setSpentPolicy } from "~/server/billing/spent-policy";
import { asPlatform } from "~/server/db";
import { addLot, addPaidLot, expectLawfulLedger, openLedger } from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

let keys = 0;
const settle = (minutes: number) => asPlatform((tx) => settleAccountAlerts(tx, minutesLater(minutes)));

interface StoredAlert {
  kind: string;
  subject: string;
  details: unknown;
  createdAt: Date;
  resolvedAt: Date | null;
}

const alertsOf = (organizationId: string): Promise<StoredAlert[]> =>
  app.sql(
    `SELECT kind, subject, details, created_at AS "createdAt", resolved_at AS "resolvedAt" FROM billing_alerts
     WHERE organization_id = $1 AND kind <> 'spent_policy_changed' ORDER BY created_at, kind`,
    [organizationId],
  );

/**
 * An organization that has spent 60 credits of a hold whose payment had been refunded: what that leads to is decided in the take,
 * which tells nobody. 40 more are set aside.
 */
async function spentAfterRefund(policy: SpentPolicy) {
  const { id: organizationId } = await createTenant();
  await setSpentPolicy({ organizationId, policy, actor: "test", now: NOW });
  const by = () => ({ organizationId, actor: "test", now: NOW, idempotencyKey: `key ${++keys}` });
  const claim = await addPaidLot(app.sql, organizationId, 60);
  const first = await holdCredits({ ...by(), amount: toCredits(60), leaseSeconds: 3600, eventName: null });
  await addLot({ organizationId, amount: 100 });
  const second = await holdCredits({ ...by(), amount: toCredits(100), leaseSeconds: 3600, eventName: null });
  await claim(60, 0);
  await captureHold({ ...by(), holdId: first.holdId, used: { amount: toCredits(60) }, release: false });
  const { holdId } = second;
  return { organizationId, holdId };
}

describe("an alert for a debt", () => {
  it("opens once, and is closed once the debt is paid", async () => {
    const { organizationId, holdId } = await spentAfterRefund("debt");
    expect(await alertsOf(organizationId), "the take has told nobody").toEqual([]);
    await settle(1);
    const open = { kind: "credits_owed", subject: "account", details: { owed: 60 }, createdAt: minutesLater(1) };
    expect(await alertsOf(organizationId)).toEqual([{ ...open, resolvedAt: null }]);
    await settle(2);
    expect(await alertsOf(organizationId)).toEqual([{ ...open, resolvedAt: null }]);
    // What comes free pays.
    await releaseHold({ organizationId, actor: "test", now: NOW, holdId });
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(40);
    await settle(3);
    await settle(4);
    expect(await alertsOf(organizationId)).toEqual([{ ...open, resolvedAt: minutesLater(3) }]);
  });
});

describe("an alert for a suspension", () => {
  it("opens once, and is closed once the organization may spend again", async () => {
    const { organizationId } = await spentAfterRefund("suspend");
    expect(await alertsOf(organizationId), "the take has told nobody").toEqual([]);
    await settle(1);
    await settle(2);
    const reason = expect.stringContaining("its payment was taken back");
    const open = { kind: "account_suspended", subject: "account", details: { reason }, createdAt: minutesLater(1) };
    expect(await alertsOf(organizationId)).toEqual([{ ...open, resolvedAt: null }]);
    await app.sql("UPDATE credit_accounts SET suspended_at = null WHERE organization_id = $1", [organizationId]);
    await settle(3);
    await settle(4);
    expect(await alertsOf(organizationId)).toEqual([{ ...open, resolvedAt: minutesLater(3) }]);
  });

  it("that a person has closed by resuming stays closed", async () => {
    const { organizationId } = await spentAfterRefund("suspend");
    await settle(1);
    await resumeCredits({ organizationId, reason: "They have paid", actor: "test", now: minutesLater(2) });
    await settle(3);
    expect((await alertsOf(organizationId)).map(({ kind, resolvedAt }) => [kind, resolvedAt])).toEqual([
      ["account_suspended", minutesLater(2)],
      ["account_resumed", minutesLater(2)],
    ]);
  });
});

describe("an organization that owes nothing and may spend", () => {
  it("gets none, whatever others get", async () => {
    const { organizationId } = await spentAfterRefund("clamp");
    const { id: fresh } = await createTenant();
    await spentAfterRefund("debt");
    await settle(1);
    await settle(2);
    expect([await alertsOf(organizationId), await alertsOf(fresh)]).toEqual([[], []]);
  });
});
