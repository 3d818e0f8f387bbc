// `ledger:verify` against an owner of the database who changes what cannot be changed: whatever is altered, removed or put
// in is found, and named.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { childEnv } from "~/cli/child-env";
import { toCredits } from "~/domain/credits";
import { consumeCredits, expireLots, grantCredits } from "~/server/billing/credits";
import { captureHold, holdCredits } from "~/server/billing/holds";
import { hashRow } from "~/server/billing/ledger/chain";
import type { Head } from "~/server/billing/ledger/replay";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";
import { reverseConsumption } from "~/server/billing/reversals";
import { transferCredits } from "~/server/billing/transfers";
import { database } from "~/server/db/pool";
import { addLot, expectLawfulLedger, LEDGER_OF_BEFORE, openLedger } from "../setup/billing";
import { createTenant, minutesLater, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
let friend: string;
beforeAll(async () => {
  app = await openLedger();
  friend = (await createTenant("Friend")).id;
});
afterAll(() => app.close());

const METADATA = { z: 1, a: 'ü \\ " \u2028 {,}', n: -0.5e-7, big: 1e21, t: true, nothing: null, "10": "x", "9": "y" };

/** A ledger of thirteen rows with a bit of everything, and a hold that is still open. */
async function tenantWithLife(): Promise<string> {
  const { id: organizationId } = await createTenant();
  const who = { organizationId, actor: "service:tests" };
  const take = (quantity: number, idempotencyKey: string, now: Date, more: object = {}) =>
    consumeCredits({ ...who, eventName: "api_call_basic", quantity, idempotencyKey, now, ...more });
  await addLot({ organizationId, amount: 1000 }); // 1
  await addLot({ organizationId, amount: 500, source: "subscription", expiresAt: minutesLater(600) }); // 2
  const gift = { amount: toCredits(50), source: "promotion", reason: 'Sorry, "really"\tso' } as const;
  await grantCredits({ ...who, ...gift, expiresAt: minutesLater(10), idempotencyKey: "gift", now: NOW }); // 3
  const first = await take(30, "first", minutesLater(1), { metadata: METADATA, project: "café, {x}" }); // 4
  await take(7, "second", minutesLater(2)); // 5
  const hold = { amount: toCredits(100), leaseSeconds: 3600, eventName: null };
  const { holdId } = await holdCredits({ ...who, ...hold, idempotencyKey: "hold", now: minutesLater(3) }); // 6
  const used = { used: { amount: toCredits(40) }, release: false };
  await captureHold({ ...who, holdId, ...used, idempotencyKey: "part", now: minutesLater(4) }); // 7
  const back = { transactionId: first.transactionId, amount: toCredits(10), reason: "It failed" };
  await reverseConsumption({ ...who, ...back, idempotencyKey: "back", now: minutesLater(5) }); // 8
  await expireLots(organizationId, minutesLater(10)); // 9
  const gone = { toOrganizationId: friend, amount: toCredits(100), reason: "Thanks", apiKeyId: null };
  await transferCredits({ ...who, ...gone, idempotencyKey: "gone", now: minutesLater(11) }); // 10
  await take(1, "third", minutesLater(12)); // 11
  await take(2, "fourth", minutesLater(13)); // 12
  await take(3, "fifth", minutesLater(14)); // 13
  return organizationId;
}

/** Four rows, of which the third takes 10 from one lot and 5 from another. */
async function tenantAcrossLots(): Promise<string> {
  const { id: organizationId } = await createTenant();
  const take = (quantity: number, idempotencyKey: string, now: Date) =>
    consumeCredits({ organizationId, actor: "x", eventName: "api_call_basic", quantity, idempotencyKey, now });
  await addLot({ organizationId, amount: 10 }); // 1
  await addLot({ organizationId, amount: 20, source: "subscription", expiresAt: minutesLater(600) }); // 2
  await take(15, "across", minutesLater(1)); // 3
  await take(1, "after", minutesLater(2)); // 4
  return organizationId;
}

const tamper = (organizationId: string, ...statements: string[]) => app.tamper(organizationId, ...statements);

async function findingsOf(organizationId: string): Promise<string[]> {
  const { findings } = await verifyLedger(database(), { organizationId });
  return findings.map(({ where, says, should }) => `${where}: ${says} | ${should}`);
}

const row = (seq: number, set: string) =>
  `UPDATE credit_transactions SET ${set} WHERE organization_id = $1 AND seq = ${seq}`;
/** Of the row that takes from two lots. */
const entry = (position: number, set: string) =>
  `UPDATE credit_entries SET ${set} WHERE organization_id = $1 AND transaction_seq = 3 AND position = ${position}`;
const putEntry = (position: number, amount: number, lotAfter: number) =>
  `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
   SELECT organization_id, 3, ${position}, id, ${amount}, ${lotAfter} FROM credit_grants WHERE organization_id = $1 AND source = 'subscription'`;
const removeEntries = (condition = "true") =>
  `DELETE FROM credit_entries WHERE organization_id = $1 AND transaction_seq = 3 AND ${condition}`;
const lotOf = (source: string) => `(SELECT id FROM credit_grants WHERE organization_id = $1 AND source = '${source}')`;
const purchase = (set: string) => `UPDATE credit_grants SET ${set} WHERE organization_id = $1 AND source = 'purchase'`;
const account = (set: string) => `UPDATE credit_accounts SET ${set} WHERE organization_id = $1`;
const openHold = (set: string) => `UPDATE credit_holds SET ${set} WHERE organization_id = $1`;

const COLUMNS =
  "id, type, amount, held, debt, balance_after, available_after, key_space, request_hash, event_id, event_name, event_version, quantity, unit_cost, per_units, actor, created_at, grant_id, lot_after";

type Change = [title: string, statements: string[], ...found: RegExp[]];

async function expectFound(organizationId: string, [, statements, ...found]: Change): Promise<void> {
  expect(await findingsOf(organizationId)).toEqual([]);
  await tamper(organizationId, ...statements);
  const lines = await findingsOf(organizationId);
  for (const pattern of found) expect(lines).toContainEqual(expect.stringMatching(pattern));
  const { findings } = await verifyLedger(database(), { organizationId });
  expect(findings.map(findingLine).every((line) => line.includes(organizationId))).toBe(true);
}

describe("a ledger that somebody has changed", () => {
  const CHANGES: Change[] = [
    [
      "a row's amount",
      [row(5, "amount = amount - 1")],
      /^row 5: leaves 963 in lot \S+ \| 970 \+ -8 = 962 by the entries before it/,
      /^row 5: hash/,
      /^row 5: balance/,
    ],
    [
      "a row's amount and its balance",
      [row(5, "amount = amount - 1, balance_after = balance_after - 1, available_after = available_after - 1")],
      /^row 5: leaves/,
      /^row 6: balance/,
    ],
    [
      "what was available after a row",
      [row(5, "available_after = available_after - 1")],
      /^row 5: available 1512 \| 1513/,
    ],
    ["a row's metadata", [row(4, `metadata = jsonb_set(metadata, '{z}', '2')`)], /^row 4: hash/],
    ["that a row has metadata", [row(4, "metadata = null")], /^row 4: hash/],
    ["a row's reason", [row(3, "reason = 'Because'")], /^row 3: hash/],
    [
      "a row's instant",
      [row(5, "created_at = created_at + interval '1 millisecond'")],
      /^row 5: at 2026-03-10T09:32:\S+ \| 2026-03-10T09:32:\S+ by its id/,
    ],
    ["a row's type", [row(8, "type = 'adjustment'")], /^row 8: hash/],
    ["a row's event", [row(5, "event_name = 'other'")], /^row 5: hash/],
    ["a row's rate", [row(5, "unit_cost = 7, quantity = 1")], /^row 5: hash/],
    ["a row's project", [row(4, "project = null")], /^row 4: hash/],
    ["a row's actor", [row(5, "actor = 'somebody'")], /^row 5: hash/],
    ["a row's key", [row(5, "idempotency_key = 'another'")], /^row 5: hash/],
    ["which row it corrects", [row(8, "corrects_seq = 5")], /^row 8: hash/],
    ["a row's id", [row(5, "id = gen_random_uuid()")], /^row 5: id .* its id was made for row/],
    ["a row's hash", [row(5, "hash = sha256('x')")], /^row 5: hash/, /^row 6: hash/],
    ["that a row has a hash", [row(5, "hash = null")], /^row 5: no hash \| every row since row 1 has one/],
    [
      "what a row sets aside",
      [row(6, "held = held - 1")],
      /^row 6: hash/,
      /^lot \S+: held 60 \| 59 by its entries/,
      /^account: held 60 \| 59/,
    ],
    [
      "the lot that a row names",
      [row(5, `grant_id = ${lotOf("subscription")}`)],
      /^row 5: leaves 963 in lot \S+ \| 500 \+ -7 = 493/,
      /^row 5: hash/,
    ],
    [
      "a lot that there is not",
      [row(5, "grant_id = gen_random_uuid()")],
      /^row 5: moves -7 in lot \S+ \| there is no such lot/,
    ],
    [
      "what a row leaves in its lot",
      [row(5, "lot_after = lot_after - 1")],
      /^row 5: leaves 962 in lot \S+ \| 970 \+ -7 = 963/,
      /^row 5: hash/,
    ],
    [
      "the lot of a row, removed",
      [row(5, "grant_id = null, lot_after = null")],
      /^row 5: amount -7 \| 0 by its entries/,
      /^row 5: hash/,
      /^row 6: leaves 963 in lot \S+ \| 970 \+ 0 = 970/,
    ],
    [
      "that a run of a lot's rows begins",
      [row(3, "starts_run = null")],
      /^row 3: begins no run of rows \| one of lot \S+/,
    ],
    [
      "an entry beside the lot that a row names",
      [
        `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
         SELECT organization_id, seq, 1, grant_id, amount, lot_after FROM credit_transactions WHERE organization_id = $1 AND seq = 5`,
      ],
      /^row 5: names lot \S+ and has entries, 1 \| one or the other/,
      /^row 5: amount -7 \| -14 by its entries/,
      /^row 5: hash/,
    ],
    ["a lot's amount", [purchase("amount = amount + 1")], /^lot \S+: amount 1001 \| 1000 by row 1, which made it/],
    ["what is left of a lot", [purchase("remaining = remaining + 1")], /^lot \S+: remaining \d+ \| \d+ by its entries/],
    ["what is set aside of a lot", [purchase("held = held - 1")], /^lot \S+: held 59 \| 60 by its entries/],
    [
      "a lot's expiry",
      [
        "UPDATE credit_grants SET expires_at = expires_at + interval '1 year' WHERE organization_id = $1 AND source = 'subscription'",
      ],
      /^row 2: hash \S+ \| \S+ by what it says, with lot \S+ that it made/,
    ],
    ["a lot's source", [purchase("source = 'adjustment'")], /^row 1: hash/],
    ["when a lot was made", [purchase("created_at = created_at + interval '1 day'")], /^lot \S+: made at .* by its id/],
    ["what was transferred of a lot", [purchase("transferred = 0")], /^lot \S+: transferred 0 \| 100 by its entries/],
    [
      "a lot that is put in",
      [
        "INSERT INTO credit_grants (organization_id, id, source, amount, remaining, label, created_at) SELECT $1, gen_random_uuid(), 'purchase', 5, 5, 'x', now()",
      ],
      /^lot \S+: 5 credits \| no row of the ledger made it/,
    ],
    [
      "a lot that is removed",
      ["DELETE FROM credit_grants WHERE organization_id = $1 AND source = 'promotion'"],
      /^row 3: moves 50 in lot \S+ \| there is no such lot/,
    ],
    ["the account's balance", [account("balance = balance + 1")], /^account: balance \d+ \| \d+/],
    ["what the account holds", [account("held = held - 1")], /^account: held 59 \| 60/],
    ["what the account owes", [account("debt = 5")], /^account: debt 5 \| 0/],
    [
      "the account's last row",
      [account("last_seq = last_seq + 1")],
      /^row 14: missing \| the account's ledger ends at row 14/,
    ],
    ["the account's hash", [account("last_hash = null")], /^account: hash none/],
    ["an account that is removed", ["DELETE FROM credit_accounts WHERE organization_id = $1"], /^account: missing/],
    [
      "what a hold has captured",
      [openHold("captured = captured - 1")],
      /^hold \S+: amount 100, captured 39, remaining 60/,
    ],
    [
      "what a hold sets aside of lots",
      [openHold("lots = jsonb_build_array(jsonb_build_array(lots -> 0 ->> 0, 61))")],
      /^hold \S+: 61 of lot \S+ \| 60 of lot/,
    ],
    ["a hold that is removed", ["DELETE FROM credit_holds WHERE organization_id = $1"], /^hold \S+: missing/],
    [
      "a row that is removed from the middle",
      ["DELETE FROM credit_transactions WHERE organization_id = $1 AND seq = 5"],
      /^row 5: missing; the balance around it moved by -7/,
      /^row 6: leaves 963 in lot \S+ \| 970 \+ 0 = 970/,
    ],
    [
      "the last rows, removed",
      ["DELETE FROM credit_transactions WHERE organization_id = $1 AND seq > 11"],
      /^rows 12 to 13: missing/,
      /^account: balance/,
    ],
    ["every row, removed", ["DELETE FROM credit_transactions WHERE organization_id = $1"], /^rows 1 to 13: missing/],
    [
      "two rows that are swapped",
      [row(4, "seq = 1004"), row(5, "seq = 4"), row(1004, "seq = 5")],
      /^row 4: id \S+ \| its id was made for row 5/,
      /^row 5: id \S+ \| its id was made for row 4/,
    ],
    [
      "a row that is put in, with numbers that fit",
      [
        row(13, "seq = 14"),
        `INSERT INTO credit_transactions (organization_id, seq, idempotency_key, hash, ${COLUMNS.replace("id, ", "id, ")})
         SELECT organization_id, 13, 'put in', hash, ${COLUMNS.replace("id, ", "gen_random_uuid(), ")} FROM credit_transactions WHERE organization_id = $1 AND seq = 12`,
        ...[13, 14].map((seq) =>
          row(
            seq,
            "balance_after = balance_after - 2, available_after = available_after - 2, lot_after = lot_after - 2",
          ),
        ),
        purchase("remaining = remaining - 2"),
        account("balance = balance - 2, last_seq = 14"),
      ],
      /^row 13: hash/,
      /^row 13: id/,
      /^row 14: id \S+ \| its id was made for row 13/,
    ],
    [
      "a row that is put at the end, with numbers that fit",
      [
        `INSERT INTO credit_transactions (organization_id, seq, idempotency_key, ${COLUMNS})
         SELECT organization_id, 14, 'put in', ${COLUMNS.replace("id, ", "gen_random_uuid(), ")} FROM credit_transactions WHERE organization_id = $1 AND seq = 12`,
        row(
          14,
          "balance_after = balance_after - 5, available_after = available_after - 5, lot_after = lot_after - 5, created_at = created_at + interval '1 minute'",
        ),
        purchase("remaining = remaining - 2"),
        account("balance = balance - 2, last_seq = 14"),
      ],
      /^row 14: no hash/,
    ],
    [
      "an entry of no row",
      [
        `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
         SELECT organization_id, 99, 1, grant_id, amount, lot_after FROM credit_transactions WHERE organization_id = $1 AND seq = 12`,
      ],
      /^row 99: entry 1 moves -2 in lot \S+ \| there is no such row/,
    ],
  ];

  it.each(CHANGES)("is found: %s", async (...change) => {
    await expectFound(await tenantWithLife(), change);
  });

  const CHANGES_ACROSS_LOTS: Change[] = [
    [
      "an entry's amount",
      [entry(2, "amount = amount - 1")],
      /^row 3: amount -15 \| -16 by its entries/,
      /^row 3: leaves 15 in lot \S+ \| 20 \+ -6 = 14/,
      /^row 3: hash/,
    ],
    ["what an entry sets aside", [entry(2, "held = 1")], /^row 3: sets aside 0 \| 1 by its entries/, /^row 3: hash/],
    [
      "an entry's lot",
      [entry(2, `grant_id = ${lotOf("purchase")}`)],
      /^row 3: leaves 15 in lot \S+ \| 0 \+ -5 = -5/,
      /^row 3: hash/,
    ],
    [
      "what an entry leaves",
      [entry(1, "lot_after = 1")],
      /^row 3: leaves 1 in lot \S+ \| 10 \+ -10 = 0/,
      /^row 3: hash/,
    ],
    [
      "an entry that is removed",
      [removeEntries("position = 2")],
      /^row 3: amount -15 \| -10 by its entries/,
      /^row 3: hash/,
      /^row 4: leaves 14 in lot \S+ \| 20 \+ -1 = 19/,
    ],
    ["the first entry, removed", [removeEntries("position = 1")], /^row 3: entry 2 \| entry 1/, /^row 3: hash/],
    ["all entries, removed", [removeEntries()], /^row 3: amount -15 \| 0 by its entries/, /^row 3: hash/],
    ["an entry that is put in", [putEntry(3, -5, 10)], /^row 3: amount -15 \| -20 by its entries/, /^row 3: hash/],
    ["entries that are put in, with numbers that fit", [putEntry(3, 5, 20), putEntry(4, -5, 15)], /^row 3: hash/],
    [
      "the order of entries",
      [entry(1, "position = 3"), entry(2, "position = 1"), entry(3, "position = 2")],
      /^row 3: hash/,
    ],
    [
      "a lot that the row names beside its entries",
      [row(3, `grant_id = ${lotOf("purchase")}, lot_after = 0`)],
      /^row 3: names lot \S+ and has entries, 2 \| one or the other/,
      /^row 3: amount -15 \| -30 by its entries/,
      /^row 3: hash/,
    ],
    [
      "a lot that the row names in place of its entries",
      [removeEntries(), row(3, `grant_id = ${lotOf("subscription")}, lot_after = 5`)],
      /^row 3: hash/,
      /^lot \S+: remaining 0 \| 10 by its entries/,
    ],
    [
      "a row that is removed",
      ["DELETE FROM credit_transactions WHERE organization_id = $1 AND seq = 3"],
      /^row 3: missing; the balance around it moved by -15/,
      /^row 3: entry 1 moves -10 in lot \S+ \| there is no such row/,
      /^row 3: entry 2 moves -5 in lot \S+ \| there is no such row/,
    ],
    [
      "a row and its entries that are removed",
      [removeEntries(), "DELETE FROM credit_transactions WHERE organization_id = $1 AND seq = 3"],
      /^row 3: missing; the balance around it moved by -15/,
      /^row 4: leaves 14 in lot \S+ \| 20 \+ -1 = 19/,
    ],
  ];

  it.each(CHANGES_ACROSS_LOTS)("is found where a row touches several lots: %s", async (...change) => {
    await expectFound(await tenantAcrossLots(), change);
  });

  it("is found whoever it belongs to, and nobody else is blamed", async () => {
    const bad = (await verifyLedger(database())).findings.map((finding) => finding.organizationId);
    const lawful = await tenantWithLife();
    const odd = await tenantWithLife();
    await tamper(odd, row(5, "reason = 'x'"));
    const after = (await verifyLedger(database(), { connections: 2 })).findings;
    const blamed = new Set(after.map((finding) => finding.organizationId));
    expect([...blamed].sort()).toEqual([...new Set([...bad, odd])].sort());
    expect(blamed).not.toContain(lawful);
  });
});

describe("rows of nobody", () => {
  it("are met, wherever their organization's id lies", async () => {
    const organizationId = await tenantWithLife();
    const ids = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
    for (const id of ids) {
      await tamper(
        organizationId,
        `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
         SELECT '${id}', seq, 1, grant_id, amount, lot_after FROM credit_transactions WHERE organization_id = $1 AND seq = 1`,
      );
    }
    const { findings } = await verifyLedger(database());
    const blamed = new Set(findings.map((finding) => finding.organizationId));
    for (const id of ids) {
      expect(blamed).toContain(id);
      await tamper(organizationId, `DELETE FROM credit_entries WHERE organization_id = '${id}'`);
    }
  });
});

describe("rows older than the chain", () => {
  it("are checked for everything but their hash", async () => {
    const organizationId = await tenantWithLife();
    await tamper(
      organizationId,
      ...LEDGER_OF_BEFORE,
      `UPDATE credit_transactions SET hash = null WHERE organization_id = $1`,
      account("last_hash = null, version = version + 1"),
    );
    expect(await findingsOf(organizationId)).toEqual([]);
    await consumeCredits({
      organizationId,
      actor: "x",
      eventName: "api_call_basic",
      quantity: 1,
      idempotencyKey: "later",
      now: minutesLater(20),
    });
    expect(await findingsOf(organizationId)).toEqual([]);
    await tamper(organizationId, row(5, "amount = amount - 1"));
    expect(await findingsOf(organizationId)).toContainEqual(
      expect.stringMatching(/^row 5: amount -8 \| -7 by its entries/),
    );
  });
});

describe("rows of before they named their lot", () => {
  it.each([
    ["that touched one lot each", tenantWithLife],
    ["of which one touched two", tenantAcrossLots],
  ])("fit the same hashes: %s", async (_, tenant) => {
    const organizationId = await tenant();
    await tamper(organizationId, ...LEDGER_OF_BEFORE);
    await expectLawfulLedger(app.sql, organizationId);
    const next = { organizationId, actor: "x", eventName: "api_call_basic", quantity: 1, idempotencyKey: "later" };
    await consumeCredits({ ...next, now: minutesLater(20) });
    await expectLawfulLedger(app.sql, organizationId);
    await tamper(
      organizationId,
      "UPDATE credit_entries SET lot_after = lot_after + 1 WHERE organization_id = $1 AND transaction_seq = 4",
    );
    expect(await findingsOf(organizationId)).toContainEqual(expect.stringMatching(/^row 4: hash/));
  });
});

describe("a chain that was written anew as a whole", () => {
  async function headsOf(organizationId: string): Promise<Map<string, Head>> {
    const heads = new Map<string, Head>();
    await verifyLedger(database(), { organizationId, onHead: (id, head) => heads.set(id, head) });
    return heads;
  }

  /** What somebody could do who has the database and this program: change a reason, and make every hash after it fit. */
  async function rewrite(organizationId: string): Promise<void> {
    await tamper(organizationId, row(11, "reason = 'x'"));
    const hashes = await rehash(organizationId);
    for (const [seq, hash] of hashes) await tamper(organizationId, row(seq, `hash = '\\x${hash}'`));
    await tamper(organizationId, account(`last_hash = '\\x${hashes.get(13)}'`));
  }

  async function rehash(organizationId: string): Promise<Map<number, string>> {
    const [before] = await app.sql<{ hash: string }>(
      "SELECT encode(hash, 'hex') AS hash FROM credit_transactions WHERE organization_id = $1 AND seq = 10",
      [organizationId],
    );
    let hash = before?.hash ?? "";
    const hashes = new Map<number, string>();
    const rows = await app.sql(
      `SELECT t.*, (SELECT json_agg(json_build_object('grantId', e.grant_id, 'amount', e.amount, 'held', e.held, 'lotAfter', e.lot_after) ORDER BY e.position)
         FROM credit_movements e WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq) AS entries
       FROM credit_transactions t WHERE organization_id = $1 AND seq > 10 ORDER BY seq`,
      [organizationId],
    );
    // biome-ignore lint/suspicious/noExplicitAny: rows as the driver reads them
    for (const stored of rows as Record<string, any>[]) {
      hash = hashRow(hash, organizationId, {
        id: stored.id,
        seq: Number(stored.seq),
        type: stored.type,
        amount: Number(stored.amount),
        held: Number(stored.held),
        debt: Number(stored.debt),
        balanceAfter: Number(stored.balance_after),
        availableAfter: Number(stored.available_after),
        key: { space: stored.key_space, key: stored.idempotency_key, requestHash: stored.request_hash },
        event: {
          id: stored.event_id,
          name: stored.event_name,
          version: stored.event_version,
          cost: toCredits(Number(stored.unit_cost)),
          perUnits: Number(stored.per_units),
        },
        quantity: Number(stored.quantity),
        correctsSeq: null,
        holdId: null,
        reason: stored.reason,
        actor: stored.actor,
        at: stored.created_at,
        entries: stored.entries,
        newLots: [],
      });
      hashes.set(Number(stored.seq), hash);
    }
    return hashes;
  }

  it("fits by itself, and is found by the heads that were kept", async () => {
    const organizationId = await tenantWithLife();
    const against = await headsOf(organizationId);
    await rewrite(organizationId);
    expect(await findingsOf(organizationId)).toEqual([]);
    const { findings } = await verifyLedger(database(), { organizationId, against });
    expect(findings.map(({ where, should }) => `${where}: ${should}`)).toEqual([
      expect.stringMatching(/^row 13: .* when the heads were written$/),
    ]);
  });

  it("is told from one that has only grown", async () => {
    const organizationId = await tenantWithLife();
    const against = await headsOf(organizationId);
    await consumeCredits({
      organizationId,
      actor: "x",
      eventName: "api_call_basic",
      quantity: 1,
      idempotencyKey: "later",
      now: minutesLater(20),
    });
    expect((await verifyLedger(database(), { organizationId, against })).findings).toEqual([]);
  });

  it("is missed where it was removed as a whole", async () => {
    const organizationId = await tenantWithLife();
    const against = await headsOf(organizationId);
    const tables = ["credit_transactions", "credit_grants", "credit_holds", "credit_accounts"];
    await tamper(organizationId, ...tables.map((table) => `DELETE FROM ${table} WHERE organization_id = $1`));
    expect(await findingsOf(organizationId)).toEqual([]);
    const { findings } = await verifyLedger(database(), { organizationId, against });
    expect(findings).toMatchObject([{ organizationId, where: "ledger", says: "missing" }]);
  });
});

describe("npm run ledger:verify", () => {
  const run = async (...args: string[]) => {
    // Blank, so that no .env fills them in: whoever verifies a ledger needs no other secret.
    const none = { STRIPE_SECRET_KEY: "", NEXTAUTH_URL: "", NEXTAUTH_SECRET: "" };
    const env = childEnv({ ...none, DATABASE_URL: app.database.url }) as NodeJS.ProcessEnv;
    const command = promisify(execFile)(process.execPath, ["--import", "tsx", "src/cli/ledger-verify.ts", ...args], {
      env,
    });
    return command.then(
      ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  it("writes and reads heads, says each finding on a line, and ends with 1 where there is any", async () => {
    const organizationId = await tenantWithLife();
    const directory = mkdtempSync(join(tmpdir(), "billfold-heads-"));
    const file = join(directory, "heads.json");
    const first = await run("--organization", organizationId, "--heads", file);
    expect(first).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^1 ledgers? with 13 rows in .* s: nothing is wrong\.\n$/),
    });
    expect(JSON.parse(readFileSync(file, "utf8")).heads[organizationId]).toMatchObject({ seq: 13 });
    await tamper(organizationId, row(5, "reason = 'x'"));
    const second = await run("--organization", organizationId, "--against", file);
    expect(second.code).toBe(1);
    expect(second.stdout).toContain(`organization ${organizationId} · row 5 · says: hash`);
    rmSync(directory, { recursive: true });
  });

  it("refuses what it does not understand", async () => {
    expect(await run("--organisation", "x")).toMatchObject({ code: 2 });
    expect(await run("--organization", "x")).toMatchObject({ code: 2 });
    expect(await run("--against", "/nowhere.json")).toMatchObject({ code: 2 });
  });
});

it("a ledger with a bit of everything is lawful", async () => {
  const organizationId = await tenantWithLife();
  expect((await expectLawfulLedger(app.sql, organizationId)).rows.map(({ type }) => type)).toEqual(
    "purchase grant promotion consume consume hold consume reversal expiry transfer consume consume consume".split(" "),
  );
  await expectLawfulLedger(app.sql, friend);
});
