// Connections are few, and callers many: nobody holds one while it waits for another.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toCredits } from "~/domain/credits";
import { InvariantError } from "~/domain/errors";
import { transferCredits } from "~/server/billing/transfers";
import { asOrganization, asPlatform } from "~/server/db";
import { database } from "~/server/db/pool";
import { addLot, callAs, openLedger } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { createTenant, minutesLater, NOW, outcomes } from "../setup/tenancy";

const CONNECTIONS = 4;

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger({ DATABASE_POOL: String(CONNECTIONS) });
});
afterAll(() => app.close());

/** An organization all of whose credits were given by another one. */
async function receiver(): Promise<{ organizationId: string; transactionId: string }> {
  const [giver, { id: organizationId }] = [await createTenant("Giver"), await createTenant("Friend")];
  await addLot({ organizationId: giver.id, amount: 100 });
  const { receivedTransactionId: transactionId } = await transferCredits({
    organizationId: giver.id,
    toOrganizationId: organizationId,
    amount: toCredits(40),
    reason: "Thanks",
    idempotencyKey: "given",
    actor: "test",
    apiKeyId: null,
    now: NOW,
  });
  return { organizationId, transactionId };
}

describe("four times as many readers as there are connections", () => {
  it("are all answered, whatever each of them has to ask", async () => {
    const { organizationId, transactionId } = await receiver();
    const { credits } = callAs(serviceOf(organizationId), minutesLater(1));
    const range = { organizationId, from: NOW, to: minutesLater(1) };
    const asks: Record<string, () => Promise<unknown>> = {
      "a balance explained": () => credits.explain({ organizationId }),
      "a row explained": () => credits.explain({ organizationId, transactionId }),
      rows: () => credits.transactions({ organizationId, limit: 10 }),
      "a row": () => credits.transaction({ organizationId, transactionId }),
      "a statement": () => credits.statement({ ...range, limit: 10 }),
      "a statement as CSV": () => credits.statementCsv(range),
      lots: () => credits.grants({ organizationId }),
    };
    for (const [what, ask] of Object.entries(asks)) {
      const results = await Promise.allSettled(Array.from({ length: 4 * CONNECTIONS }, ask));
      expect(outcomes(results), what).toEqual({ ok: 4 * CONNECTIONS });
    }
    const mixed = Object.values(asks).flatMap((ask) => Array.from({ length: CONNECTIONS }, ask));
    expect(outcomes(await Promise.allSettled(mixed))).toEqual({ ok: mixed.length });
    expect(await credits.explain({ organizationId, transactionId })).toMatchObject({
      lots: [{ origin: { from: { name: "Giver", source: "purchase" } } }],
    });
  });
});

describe("whoever holds a connection", () => {
  const seconds: [string, (organizationId: string) => Promise<unknown>][] = [
    ["as an organization", (id) => asOrganization(id, (tx) => tx.creditGrant.count())],
    ["as the platform", () => asPlatform((tx) => tx.creditGrant.count())],
    ["by a statement of its own", async () => database().query("SELECT 1")],
  ];

  it.each(seconds)("cannot ask for a second one %s, though there are some", async (_, ask) => {
    const { id } = await createTenant();
    const refused = { name: InvariantError.name, message: expect.stringContaining("waits for no other") };
    await expect(asOrganization(id, () => ask(id))).rejects.toMatchObject(refused);
    await expect(
      asPlatform(async (tx) => {
        await tx.creditGrant.count();
        await ask(id);
      }),
    ).rejects.toMatchObject(refused);
    expect(await asOrganization(id, (tx) => tx.creditGrant.count()), "nothing is left of it").toBe(0);
  });

  it("may leave work behind that asks once it holds none any more", async () => {
    let left: Promise<number> = Promise.resolve(-1);
    await asPlatform(async () => {
      left = sleep(50).then(() => asPlatform((tx) => tx.creditGrant.count({ where: { id: { in: [] } } })));
    });
    expect(await left).toBe(0);
  });
});
