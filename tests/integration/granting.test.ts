// Giving and taking back by hand: what is answered, and how much one organization can hold.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { continueBulkGrant } from "~/server/billing/bulk-grants";
import { grantCredits } from "~/server/billing/credits";
import { callAs, expectLawfulLedger, openLedger, PLATFORM } from "../setup/billing";
import { codeOf, createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger();
});
afterAll(() => app.close());

const platform = callAs(PLATFORM);
let keys = 0;
const once = () => ({ idempotencyKey: `key ${++keys}` });

const TOO_LARGE = "The balance would become too large to be counted exactly.";

/** An organization that can be given five credits more, and then none. */
async function nearlyFull(): Promise<string> {
  const { id: organizationId } = await createTenant();
  const given = { source: "adjustment", expiresAt: null, reason: "All there is", actor: "test", now: NOW } as const;
  await grantCredits({ organizationId, amount: toCredits(Number.MAX_SAFE_INTEGER - 5), ...given, ...once() });
  return organizationId;
}

describe("what would leave the numbers that can be counted exactly", () => {
  const grants = (organizationId: string, amount: number, key = once()) =>
    platform.credits.grant({ organizationId, amount, source: "promotion", reason: "Thanks", ...key });
  const adjusts = (organizationId: string, amount: number, key = once()) =>
    platform.credits.adjust({ organizationId, amount, reason: "Thanks", ...key });

  it.each([
    ["a grant", grants],
    ["an adjustment", adjusts],
  ])("is refused of %s, writes nothing, and leaves its key free", async (_, give) => {
    const organizationId = await nearlyFull();
    const before = await expectLawfulLedger(app.sql, organizationId);
    const key = once();
    const refusal = await give(organizationId, 6, key).catch((error) => error);
    expect(codeOf(refusal)).toBe("INVALID_INPUT");
    expect(refusal.message).toBe(TOO_LARGE);
    expect(await expectLawfulLedger(app.sql, organizationId)).toEqual(before);
    expect(await give(organizationId, 5, key)).toMatchObject({ available: Number.MAX_SAFE_INTEGER, replayed: false });
    expect(codeOf(await give(organizationId, 1).catch((error) => error))).toBe("INVALID_INPUT");
    expect((await expectLawfulLedger(app.sql, organizationId)).balance).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("is said of its row of a bulk grant, and the others are granted", async () => {
    const organizationId = await nearlyFull();
    const other = await createTenant();
    const lines = [`${other.id},10`, `${organizationId},6`, `${organizationId},5`, `${other.id},7`];
    const { id: bulkId } = await platform.admin.bulkGrants.start({
      text: ["organization,amount", ...lines, ""].join("\n"),
      name: "full.csv",
      reason: "Spring",
    });
    while (await continueBulkGrant(bulkId, NOW));
    expect(await platform.admin.bulkGrants.progress({ bulkId })).toMatchObject({
      status: "done",
      pending: 0,
      granted: 3,
      failed: 1,
      credits: 22,
      failures: [{ line: 3, error: TOO_LARGE }],
    });
    expect((await expectLawfulLedger(app.sql, other.id)).balance).toBe(17);
    const { balance, rows } = await expectLawfulLedger(app.sql, organizationId);
    expect([balance, rows.length]).toEqual([Number.MAX_SAFE_INTEGER, 2]);
  });
});
