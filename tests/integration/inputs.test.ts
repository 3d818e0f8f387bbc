// What callers may send that makes no sense, over HTTP as they send it: a clear error each time, and nothing is taken, held,
// counted or remembered.
import superjson from "superjson";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createApiKey } from "~/server/billing/api-keys";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, expectLawfulLedger, openLedger, serveApi } from "../setup/billing";
import { createTenant, NOW } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openLedger>>;
let api: Awaited<ReturnType<typeof serveApi>>;
let organizationId: string;
let holdId: string;
let transactionId: string;
let apiKey: string;
let platformKey: string;

beforeAll(async () => {
  app = await openLedger();
  api = await serveApi();
  organizationId = (await createTenant()).id;
  await addLot({ organizationId, amount: 1000 });
  const base = { createdById: null, now: NOW };
  apiKey = (await createApiKey({ ...base, organizationId, name: "service" })).key;
  platformKey = (await createApiKey({ ...base, organizationId: null, name: "platform" })).key;
  const data = { category: "Test", description: "", cost: 1n, createdAt: NOW, updatedAt: NOW };
  const nextCentury = new Date("2100-01-01T00:00:00.000Z");
  await asPlatform((tx) =>
    tx.creditEvent.createMany({
      data: [
        { ...data, id: newId(NOW), name: "switched_off", active: false },
        { ...data, id: newId(NOW), name: "next_century", activeFrom: nextCentury },
        { ...data, id: newId(NOW), name: "dear", cost: BigInt(2 ** 40) },
      ],
    }),
  );
  const taken = await call("credits.consume", { ...usage(), idempotencyKey: "a take" });
  transactionId = (taken.data as { transactionId: string }).transactionId;
  const held = await call("credits.hold", {
    organizationId,
    amount: 100,
    leaseSeconds: 86_400,
    idempotencyKey: "a hold",
  });
  holdId = (held.data as { holdId: string }).holdId;
});
afterAll(async () => {
  await expectLawfulLedger(app.sql, organizationId);
  await api.close();
  await app.close();
});

interface Answer {
  status: number;
  code: string | null;
  details: Record<string, unknown>;
  data: unknown;
  text: string;
}

/** Calls a procedure as a service does: superjson, which can say NaN, Infinity and -0. */
async function call(procedure: string, input: unknown, key = apiKey): Promise<Answer> {
  return send(procedure, JSON.stringify(superjson.serialize(input)), key);
}

async function send(procedure: string, body: string, key = apiKey): Promise<Answer> {
  const isQuery = ["credits.estimate", "credits.check"].includes(procedure);
  const url = `${api.url}/api/trpc/${procedure}`;
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  const response = isQuery
    ? await fetch(`${url}?input=${encodeURIComponent(body)}`, { headers })
    : await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  const answer = JSON.parse(text);
  const failure = answer.error?.json.data.billing;
  return {
    status: response.status,
    code: failure?.code ?? null,
    details: failure?.details ?? {},
    data: answer.result?.data ? superjson.deserialize(answer.result.data) : null,
    text,
  };
}

/** Everything of the organization that a call could have changed. */
async function everything(): Promise<unknown> {
  const tables = [
    "credit_accounts",
    "credit_transactions",
    "credit_entries",
    "credit_grants",
    "credit_holds",
    "credit_budgets",
  ];
  const rows = await Promise.all(
    tables.map((table) =>
      app.sql(`SELECT to_json(t) FROM ${table} t WHERE organization_id = $1 ORDER BY 1::text`, [organizationId]),
    ),
  );
  return Object.fromEntries(tables.map((table, index) => [table, rows[index]]));
}

let keys = 0;
const usage = () => ({ organizationId, eventName: "api_call_basic", quantity: 1 });

/** A call that would be good, by its procedure. */
const GOOD: Record<string, () => object> = {
  "credits.consume": () => ({ ...usage(), idempotencyKey: `good ${++keys}` }),
  "credits.estimate": usage,
  "credits.check": usage,
  "credits.hold": () => ({ organizationId, amount: 1, idempotencyKey: `good ${++keys}` }),
  "credits.capture": () => ({ organizationId, holdId, amount: 1, idempotencyKey: `good ${++keys}` }),
  "credits.extendHold": () => ({ organizationId, holdId, leaseSeconds: 60 }),
  "credits.releaseHold": () => ({ organizationId, holdId }),
  "credits.reverse": () => ({
    organizationId,
    transactionId,
    amount: 1,
    reason: "test",
    idempotencyKey: `good ${++keys}`,
  }),
  "budgets.create": () => ({ organizationId, scope: "project", subject: `tag ${++keys}`, window: "day", limit: 5 }),
};

const NO_WHOLE_NUMBERS: [string, unknown][] = [
  ["-1", -1],
  ["1.5", 1.5],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["1e308", 1e308],
  ["2 ** 53", 2 ** 53],
  ["the text 1", "1"],
  ["a bigint", 1n],
  ["null", null],
  ["true", true],
  ["a list", [1]],
  ["a date", NOW],
];
const NO_POSITIVE_NUMBERS: [string, unknown][] = [...NO_WHOLE_NUMBERS, ["0", 0], ["-0", -0]];

const NO_KEYS: [string, unknown][] = [
  ["of 10 kB", "k".repeat(10_000)],
  ["of 256 characters", "k".repeat(256)],
  ["that is empty", ""],
  ["with a NUL", "a\u0000b"],
  ["with half a character", "a\ud800"],
  ["that is a number", 7],
  ["that is missing", undefined],
];

const deep = (levels: number) => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = { a: value };
  return value;
};

const NO_METADATA: [string, unknown][] = [
  ["of 1 MB in one value", { text: "m".repeat(1_000_000) }],
  ["of 1 MB in one key", { ["k".repeat(1_000_000)]: 1 }],
  ["of 9 kB in five values", Object.fromEntries([1, 2, 3, 4, 5].map((index) => [`k${index}`, "v".repeat(1900)]))],
  ["of 51 keys", Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, 1]))],
  ["two levels deep", deep(2)],
  ["a thousand levels deep", deep(1000)],
  ["with NaN", { a: Number.NaN }],
  ["with Infinity", { a: Number.POSITIVE_INFINITY }],
  ["with a date", { a: NOW }],
  ["with a NUL", { a: "\u0000" }],
  ["that is a list", [1]],
  ["that is a map", new Map([["a", 1]])],
];

const NO_IDS: [string, unknown][] = [
  ["that is no uuid", "1"],
  ["that is empty", ""],
  ["that is a number", 1],
  ["that is SQL", "' OR 1=1 --"],
  ["that is missing", undefined],
];

type Case = [procedure: string, what: string, change: object, code: string, status: number];

function cases(procedures: string[], field: string, values: [string, unknown][]): Case[] {
  return procedures.flatMap((procedure) =>
    values.map(([what, value]): Case => [procedure, `${field} ${what}`, { [field]: value }, "INVALID_INPUT", 400]),
  );
}

const ASKING = ["credits.consume", "credits.estimate", "credits.check"];
const KEYED = ["credits.consume", "credits.hold", "credits.capture", "credits.reverse"];
const MOST_25 = Math.floor(Number.MAX_SAFE_INTEGER / 25);

const CASES: Case[] = [
  ...cases(ASKING, "quantity", NO_POSITIVE_NUMBERS),
  ...cases(["credits.hold", "credits.capture", "credits.reverse"], "amount", NO_POSITIVE_NUMBERS),
  ...cases(["credits.hold", "credits.extendHold"], "leaseSeconds", [
    ...NO_POSITIVE_NUMBERS,
    ["a day and a second", 86_401],
  ]),
  ...cases(["budgets.create"], "limit", NO_WHOLE_NUMBERS),
  ...cases(KEYED, "idempotencyKey", NO_KEYS),
  ...cases(["credits.consume", "credits.hold", "credits.capture"], "metadata", NO_METADATA),
  ...cases(["credits.capture", "credits.extendHold", "credits.releaseHold"], "holdId", NO_IDS),
  ...cases(["credits.reverse"], "transactionId", NO_IDS),
  ...cases(["credits.reverse"], "reason", [
    ["that is empty", " "],
    ["of 201 characters", "r".repeat(201)],
    ["with a line break", "a\nb"],
  ]),
  ...cases(["credits.consume", "credits.hold"], "memberId", [["that is no uuid", "me"]]),
  ...cases(["credits.consume", "credits.hold"], "project", [
    ["that is empty", ""],
    ["of 101 characters", "p".repeat(101)],
    ["with a NUL", "a\u0000"],
  ]),
  ...ASKING.flatMap((procedure): Case[] => [
    [procedure, "an event of 101 characters", { eventName: "e".repeat(101) }, "INVALID_INPUT", 400],
    [
      procedure,
      "an overflow by multiplication",
      { eventName: "ai_inference", quantity: MOST_25 + 1 },
      "INVALID_INPUT",
      400,
    ],
    [procedure, "an overflow of a dear event", { eventName: "dear", quantity: 2 ** 13 }, "INVALID_INPUT", 400],
    [
      procedure,
      "the largest quantity of all",
      { eventName: "dear", quantity: Number.MAX_SAFE_INTEGER },
      "INVALID_INPUT",
      400,
    ],
  ]),
  ...["credits.consume", "credits.estimate", "credits.hold"].flatMap((procedure): Case[] => [
    [procedure, "an unknown event", { eventName: "nonsense" }, "UNKNOWN_EVENT", 404],
    [procedure, "an event of another case", { eventName: "API_CALL_BASIC" }, "UNKNOWN_EVENT", 404],
    [procedure, "an event that JavaScript knows", { eventName: "__proto__" }, "UNKNOWN_EVENT", 404],
    [procedure, "an event that is switched off", { eventName: "switched_off" }, "INACTIVE_EVENT", 422],
    [procedure, "an event that begins later", { eventName: "next_century" }, "INACTIVE_EVENT", 422],
  ]),
  [
    "credits.consume",
    "what is exact, but more than there is",
    { eventName: "ai_inference", quantity: MOST_25 },
    "INSUFFICIENT_CREDITS",
    402,
  ],
  ["credits.hold", "more than there is", { amount: 1_000_000 }, "INSUFFICIENT_CREDITS", 402],
  ["credits.hold", "more than anybody has", { amount: 1_000_000_000_001 }, "INVALID_INPUT", 400],
  ["credits.capture", "more than there is", { amount: 1_000_000 }, "INSUFFICIENT_CREDITS", 402],
  ["credits.capture", "both an amount and a quantity", { quantity: 1 }, "INVALID_INPUT", 400],
  ["credits.capture", "neither an amount nor a quantity", { amount: undefined }, "INVALID_INPUT", 400],
  ["credits.capture", "an amount of an event", { eventName: "api_call_basic" }, "INVALID_INPUT", 400],
  ["credits.capture", "a quantity of no event", { amount: undefined, quantity: 1 }, "INVALID_INPUT", 400],
  [
    "credits.capture",
    "an overflow",
    { amount: undefined, quantity: MOST_25 + 1, eventName: "ai_inference" },
    "INVALID_INPUT",
    400,
  ],
  [
    "credits.capture",
    "a later event",
    { amount: undefined, quantity: 1, eventName: "next_century" },
    "INACTIVE_EVENT",
    422,
  ],
  ["credits.capture", "an unknown hold", { holdId: "00000000-0000-7000-8000-00000000dead" }, "NOT_FOUND", 404],
  ["credits.releaseHold", "an unknown hold", { holdId: "00000000-0000-7000-8000-00000000dead" }, "NOT_FOUND", 404],
  ["credits.reverse", "more than was taken", { amount: 2 }, "INVALID_INPUT", 400],
  ["budgets.create", "an unknown window", { window: "week" }, "INVALID_INPUT", 400],
];

describe("a call that makes no sense", () => {
  let before: unknown;
  beforeEach(async () => {
    before = await everything();
  });

  it.each(CASES)("%s with %s is told so, and changes nothing", async (procedure, _, change, code, status) => {
    const key = procedure === "budgets.create" ? platformKey : apiKey;
    const answer = await call(procedure, { ...GOOD[procedure]?.(), ...change }, key);
    expect([answer.code, answer.status]).toEqual([code, status]);
    expect(answer.text.length).toBeLessThan(5000);
    expect(answer.text).not.toMatch(/node_modules|prisma|SELECT |\bat \w+ \(/);
    expect(await everything()).toEqual(before);
  });

  it("as one item among many is told so by itself", async () => {
    const bad = CASES.filter(([procedure]) => procedure === "credits.consume").filter(
      // Together they would be more than a body may hold.
      ([, what]) => !what.includes("1 MB"),
    );
    const items = bad.map(([, , change]) => ({ ...GOOD["credits.consume"]?.(), ...change }));
    const { data } = await call("credits.consumeMany", { organizationId, items });
    const said = (data as { ok: boolean; error?: { code: string } }[]).map((result) => result.error?.code);
    expect(said).toEqual(bad.map(([, , , code]) => code));
    expect(await everything()).toEqual(before);
  });

  it("leaves its key free for what was meant", async () => {
    const input = { ...usage(), idempotencyKey: "second thoughts" };
    for (const quantity of [0, Number.NaN, 1e308, 5_000]) {
      expect((await call("credits.consume", { ...input, quantity })).code).toMatch(
        /INVALID_INPUT|INSUFFICIENT_CREDITS/,
      );
    }
    expect((await call("credits.consume", { ...input, eventName: "next_century" })).code).toBe("INACTIVE_EVENT");
    expect(await call("credits.consume", input)).toMatchObject({ status: 200, data: { consumed: 1, replayed: false } });
  });

  it("of more than a body may be is refused as too large", async () => {
    const input = { ...usage(), idempotencyKey: "large", metadata: { text: "m".repeat(2 ** 20) } };
    expect(await call("credits.consume", input)).toMatchObject({ status: 413, code: "PAYLOAD_TOO_LARGE" });
    expect(await everything()).toEqual(before);
  });

  it("nested beyond every depth is the caller's mistake, not ours", async () => {
    const nested = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`;
    const body = `{"json":{"organizationId":"${organizationId}","eventName":"api_call_basic","quantity":1,"idempotencyKey":"deep","metadata":${nested}}}`;
    const answer = await send("credits.consume", body);
    expect([answer.code, answer.status]).toEqual(["INVALID_INPUT", 400]);
    expect(await everything()).toEqual(before);
  });
});

describe("each of these calls", () => {
  it.each(Object.keys(GOOD))("%s is good but for what is wrong in it", async (procedure) => {
    const key = procedure === "budgets.create" ? platformKey : apiKey;
    expect(await call(procedure, GOOD[procedure]?.(), key)).toMatchObject({ status: 200, code: null });
  });
});
