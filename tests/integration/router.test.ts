// The contract over tRPC: each procedure's shape, who may call it, and what a failure says and does not say.
import superjson from "superjson";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { appRouter } from "~/server/api/root";
import type { Actor, Person } from "~/server/auth/actor";
import { createApiKey } from "~/server/billing/api-keys";
import { type Billing, callAs, openBilling, PLATFORM, quietLogs, serveApi } from "../setup/billing";
import { codeOf, createMember, createPerson, createTenant, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
let api: Awaited<ReturnType<typeof serveApi>>;
let tenant: Awaited<ReturnType<typeof createTenant>>;
let apiKey: string;
let platformKey: string;
const LATER = minutesLater(60);
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  api = await serveApi();
  tenant = await createTenant();
  apiKey = (await createApiKey({ organizationId: tenant.id, name: "service", createdById: null, now: NOW })).key;
  platformKey = (await createApiKey({ organizationId: null, name: "platform", createdById: null, now: NOW })).key;
  const owner = callAs(tenant.owner);
  const plan = (await owner.plans.list()).find(({ key }) => key === "pro");
  const [pack] = await owner.creditProducts.list();
  const subscribe = { organizationId: tenant.id, planId: plan?.id ?? "", interval: "month" as const };
  await billing.pay((await owner.subscription.checkout(subscribe)).url);
  await billing.pay(
    (await owner.creditProducts.checkout({ organizationId: tenant.id, productId: pack?.id ?? "" })).url,
  );
  await billing.settle();
  const consume = { organizationId: tenant.id, eventName: "ai_inference", quantity: 4, idempotencyKey: "seed" };
  await callAs(tenant.owner, minutesLater(10)).credits.consume({ ...consume, metadata: { model: "vision-2" } });
});
afterAll(async () => {
  await api.close();
  await billing.close();
});

const organizationId = () => ({ organizationId: tenant.id });

// ── Shapes ─────────────────────────────────────────────────────────────────────────────────────────────────

const count = z.int();
const money = z.int();
const instant = z.date();
const id = z.uuid();
const interval = z.enum(["month", "year"]);
const currency = z.string().regex(/^[a-z]{3}$/);
const source = z.enum(["subscription", "purchase", "promotion", "transfer", "adjustment"]);

const nextInvoice = z.strictObject({ at: instant, amount: money, tax: money, currency });

// What the contract names, and below each "beyond" what our own pages need besides. Nothing else leaves the server.
const changedTo = { planId: id, planKey: z.string(), planName: z.string(), interval };

const subscription = z.strictObject({
  id,
  planId: id,
  planKey: z.string(),
  planName: z.string(),
  status: z.enum(["pending", "trial", "active", "past_due", "paused", "cancelled", "expired"]),
  interval,
  currentPeriodStart: instant,
  currentPeriodEnd: instant,
  trialEnd: instant.nullable(),
  cancelsAt: instant.nullable(),
  // beyond
  startedAt: instant,
  credits: count,
  creditInterval: interval,
  unitAmount: money,
  currency,
  card: z.strictObject({ brand: z.string(), last4: z.string(), expMonth: count, expYear: count }).nullable(),
  nextInvoice: nextInvoice.nullable(),
  pastDueSince: instant.nullable(),
  graceUntil: instant.nullable(),
  blocked: z.boolean(),
  openInvoice: z
    .strictObject({
      id: z.string(),
      amount: money,
      currency,
      url: z.url().nullable(),
      nextAttemptAt: instant.nullable(),
    })
    .nullable(),
  resumesAt: instant.nullable(),
  scheduledChange: z.strictObject({ ...changedTo, at: instant }).nullable(),
  pendingChange: z.strictObject({ ...changedTo, expiresAt: instant, invoiceId: z.string().nullable() }).nullable(),
});

const changePreview = z.strictObject({
  kind: z.enum(["upgrade", "downgrade", "switch"]),
  effective: z.enum(["now", "period_end"]),
  at: instant,
  dueNow: z.strictObject({
    amount: money,
    tax: money,
    currency,
    lines: z.array(z.strictObject({ description: z.string(), amount: z.int() })),
  }),
  recurring: z.strictObject({ amount: money, tax: money, currency, interval, from: instant }),
  credits: z.strictObject({
    now: count,
    takenBack: count,
    owed: count,
    perInterval: count,
    creditInterval: interval,
    from: instant,
  }),
  prorationDate: instant,
  token: z.string(),
});

const balance = z.strictObject({
  available: count,
  purchased: count,
  subscription: count,
  other: count,
  held: count,
  debt: count,
  nextExpiry: z.strictObject({ at: instant, amount: count }).nullable(),
});

const allocation = z.strictObject({ grantId: id, source, amount: count });

const transaction = z.strictObject({
  id,
  type: z.string(),
  amount: count,
  balanceAfter: count,
  eventName: z.string().nullable(),
  quantity: count.nullable(),
  createdAt: instant,
  // beyond
  seq: count,
  unitCost: count.nullable(),
  reason: z.string().nullable(),
  apiKeyName: z.string().nullable(),
  by: z.string(),
  lots: count,
  held: z.int(),
  debt: z.int(),
  holdEventName: z.string().nullable(),
  reference: z.string().nullable().optional(),
  project: z.string().nullable().optional(),
});

const historyLine = z.strictObject({
  id,
  kind: z.enum(["invoice", "credit_purchase", "refund"]),
  status: z.string(),
  description: z.string(),
  amount: money,
  tax: money,
  currency,
  occurredAt: instant,
  number: z.string().nullable(),
  invoiceUrl: z.url().nullable(),
  pdfUrl: z.url().nullable(),
});

const address = z.strictObject({ url: z.url() });

type Caller = ReturnType<typeof callAs>;

const CONTRACT: Record<string, { shape: z.ZodType; call: (as: Caller) => Promise<unknown> }> = {
  "plans.list": {
    shape: z
      .array(
        z.strictObject({
          id,
          key: z.string(),
          name: z.string(),
          description: z.string(),
          features: z.array(z.string()),
          credits: count,
          creditInterval: interval,
          trialDays: count,
          prices: z.array(z.strictObject({ id, interval, currency, unitAmount: money })).nonempty(),
          // beyond
          trialCredits: count,
        }),
      )
      .nonempty(),
    call: (as) => as.plans.list(),
  },
  "subscription.get": { shape: subscription, call: (as) => as.subscription.get(organizationId()) },
  "subscription.previewChange": {
    shape: changePreview,
    call: async (as) => {
      const plans = await as.plans.list();
      const scale = plans.find(({ key }) => key === "scale");
      return as.subscription.previewChange({ ...organizationId(), planId: scale?.id ?? "", interval: "month" });
    },
  },
  "subscription.portal": { shape: address, call: (as) => as.subscription.portal(organizationId()) },
  "credits.balance": { shape: balance, call: (as) => as.credits.balance(organizationId()) },
  "credits.consume": {
    shape: z.strictObject({
      transactionId: id,
      consumed: count,
      available: count,
      allocations: z.array(allocation).nonempty(),
      replayed: z.boolean(),
    }),
    call: (as) =>
      as.credits.consume({ ...organizationId(), eventName: "api_call_basic", quantity: 1, idempotencyKey: "shape" }),
  },
  "credits.transactions": {
    shape: z.strictObject({ items: z.array(transaction).nonempty(), nextCursor: count.nullable() }),
    call: (as) => as.credits.transactions(organizationId()),
  },
  "creditProducts.list": {
    shape: z
      .array(
        z.strictObject({
          id,
          key: z.string(),
          name: z.string(),
          credits: count,
          prices: z.array(z.strictObject({ currency, unitAmount: money })).nonempty(),
        }),
      )
      .nonempty(),
    call: (as) => as.creditProducts.list(),
  },
  "creditProducts.checkout": {
    shape: address,
    call: async (as) => {
      const [pack] = await as.creditProducts.list();
      return as.creditProducts.checkout({ ...organizationId(), productId: pack?.id ?? "" });
    },
  },
  "billing.history": {
    shape: z.strictObject({ items: z.array(historyLine).nonempty(), nextCursor: id.nullable() }),
    call: (as) => as.billing.history(organizationId()),
  },
  "creditEvents.list": {
    shape: z
      .array(
        z.strictObject({
          id,
          name: z.string(),
          description: z.string(),
          category: z.string(),
          cost: count,
          active: z.boolean(),
          // beyond
          perUnits: count,
          activeFrom: instant.nullable(),
          isOwn: z.boolean(),
          next: z.strictObject({ cost: count, perUnits: count, from: instant }).nullable(),
        }),
      )
      .nonempty(),
    call: (as) => as.creditEvents.list(organizationId()),
  },
  "organizations.create": {
    shape: z.strictObject({ id, slug: z.string() }),
    call: (as) => as.organizations.create({ name: "New one" }),
  },
  "credits.grant": {
    shape: z.strictObject({ transactionId: id, grantId: id, available: count, replayed: z.boolean() }),
    call: (as) =>
      as.credits.grant({
        ...organizationId(),
        amount: 10,
        source: "promotion",
        expiresAt: minutesLater(600),
        reason: "hello",
        idempotencyKey: "shape of a grant",
      }),
  },
};

describe("the contract", () => {
  it.each(Object.entries(CONTRACT))("%s answers in its shape", async (_, { shape, call }) => {
    const answer = await call(callAs(PLATFORM, LATER));
    expect(shape.safeParse(answer).error?.issues ?? []).toEqual([]);
  });

  it("subscription.checkout answers an address; subscription.get null before it", async () => {
    const fresh = await createTenant();
    const as = callAs(fresh.owner);
    expect(await as.subscription.get({ organizationId: fresh.id })).toBeNull();
    const [plan] = await as.plans.list();
    const answer = await as.subscription.checkout({
      organizationId: fresh.id,
      planId: plan?.id ?? "",
      interval: "year",
    });
    expect(address.safeParse(answer).error?.issues ?? []).toEqual([]);
  });

  it("billing.summary answers subscription, balance, this period's usage, next invoice and open alerts in one call", async () => {
    const summary = await callAs(tenant.owner, LATER).billing.summary(organizationId());
    const shape = z
      .object({
        subscription,
        balance,
        usage: z.object({
          period: z.strictObject({ from: instant, to: instant }),
          total: count,
          events: z.array(
            z.strictObject({ eventName: z.string(), credits: count, quantity: count, previousCredits: count }),
          ),
          days: z.array(z.strictObject({ day: instant, eventName: z.string(), credits: count, quantity: count })),
        }),
        nextInvoice,
        alerts: z.array(z.object({ id, kind: z.string(), message: z.string(), createdAt: instant })),
      })
      .loose();
    expect(shape.safeParse(summary).error?.issues ?? []).toEqual([]);
    expect(summary.usage.events.find(({ eventName }) => eventName === "ai_inference")).toMatchObject({
      credits: 100,
      quantity: 4,
    });
    expect(summary.balance).toEqual(await callAs(tenant.owner, LATER).credits.balance(organizationId()));
  });

  it("creditEvents.list and the other public lists need nobody and nothing", async () => {
    const nobody = callAs(null);
    expect((await nobody.creditEvents.list()).length).toBeGreaterThan(0);
    expect((await nobody.plans.list()).map(({ key }) => key)).toEqual(["starter", "pro", "scale"]);
    expect((await nobody.creditProducts.list()).length).toBeGreaterThan(0);
  });

  it("lists in a currency hold prices in it only", async () => {
    const plans = await callAs(null).plans.list({ currency: "EUR" });
    expect(new Set(plans.flatMap((plan) => plan.prices.map((price) => price.currency)))).toEqual(new Set(["eur"]));
    const packs = await callAs(null).creditProducts.list({ currency: "eur" });
    expect(new Set(packs.flatMap((pack) => pack.prices.map((price) => price.currency)))).toEqual(new Set(["eur"]));
  });
});

describe("pages", () => {
  it("of transactions are newest first, without gap or repetition, while new ones come", async () => {
    const { id: own, owner } = await createTenant();
    const as = callAs(PLATFORM);
    for (let index = 0; index < 7; index++) {
      await as.credits.grant({
        organizationId: own,
        amount: 10,
        source: "adjustment",
        reason: `grant ${index}`,
        idempotencyKey: `g${index}`,
      });
    }
    const seen: number[] = [];
    let cursor: number | null = null;
    do {
      const page: Awaited<ReturnType<Caller["credits"]["transactions"]>> = await callAs(owner).credits.transactions({
        organizationId: own,
        limit: 3,
        cursor,
      });
      seen.push(...page.items.map(({ seq }) => seq));
      cursor = page.nextCursor;
      await as.credits.consume({
        organizationId: own,
        eventName: "api_call_basic",
        quantity: 1,
        idempotencyKey: `meanwhile ${cursor}`,
      });
    } while (cursor !== null);
    expect(seen).toEqual([7, 6, 5, 4, 3, 2, 1]);
    const consumed = await callAs(owner).credits.transactions({ organizationId: own, type: "consume", limit: 100 });
    expect(new Set(consumed.items.map(({ type }) => type))).toEqual(new Set(["consume"]));
    expect(consumed.items).toHaveLength(3);
  });

  it("of history are newest first, without gap or repetition", async () => {
    const as = callAs(tenant.owner);
    const all = await as.billing.history(organizationId());
    expect(all.items.map(({ kind }) => kind).sort()).toEqual(["credit_purchase", "invoice"]);
    const first = await as.billing.history({ ...organizationId(), limit: 1 });
    const second = await as.billing.history({ ...organizationId(), limit: 1, cursor: first.nextCursor });
    expect([...first.items, ...second.items]).toEqual(all.items);
    expect(second.nextCursor).toBeNull();
  });

  it("have their limits", async () => {
    const as = callAs(tenant.owner);
    for (const limit of [0, -1, 101, 1.5]) {
      await expect(as.credits.transactions({ ...organizationId(), limit })).rejects.toMatchObject({
        code: "BAD_REQUEST",
      });
      await expect(as.billing.history({ ...organizationId(), limit })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    }
  });
});

// ── Who may ────────────────────────────────────────────────────────────────────────────────────────────────

const procedures = Object.keys(appRouter._def.procedures);

/** Calls any procedure by its path. */
function callByPath(actor: Actor | null, path: string, input: unknown): Promise<unknown> {
  let node: unknown = callAs(actor);
  for (const name of path.split(".")) node = (node as Record<string, unknown>)[name];
  return (node as (input: unknown) => Promise<unknown>)(input);
}

const PUBLIC = ["plans.list", "creditProducts.list", "creditEvents.list", "invitations.preview", "gifts.look"];
/** About the caller, not about an organization. */
const PERSONAL = [
  "organizations.create",
  "organizations.list",
  "invitations.accept",
  "platformApiKeys.list",
  "platformApiKeys.create",
  "platformApiKeys.revoke",
  "gifts.claim",
];

/** Needs no organization to be refused: it is the platform's. */
const PLATFORM_ONLY = new Set([
  ...["create", "setRate", "setActive", "setOverride", "removeOverride"].map((name) => `creditEvents.${name}`),
  ...procedures.filter((path) => path.startsWith("admin.")),
  ...["grant", "adjust", "setSpentPolicy", "suspend", "resume"].map((name) => `credits.${name}`),
]);
/** Answers each item by itself. */
const BY_ITEM = ["credits.consumeMany"];

describe("every procedure", () => {
  it("that is not public refuses who does not say who they are", async () => {
    expect(procedures.length).toBeGreaterThan(25);
    for (const path of procedures.filter((each) => !PUBLIC.includes(each))) {
      expect(await callByPath(null, path, organizationId()).catch(codeOf), path).toBe("UNAUTHENTICATED");
    }
    expect(await callAs(null).creditEvents.list(organizationId()).catch(codeOf)).toBe("UNAUTHENTICATED");
  });

  it("of an organization is closed to people and services of another one", async () => {
    const stranger = await createPerson();
    const other = await createTenant("Other");
    const foreign: Actor = { kind: "service", apiKeyId: tenant.id, keyName: "x", organizationId: other.id };
    for (const path of [
      ...procedures.filter((each) => ![...PUBLIC, ...PERSONAL, ...BY_ITEM].includes(each)),
      "creditEvents.list",
    ]) {
      const person = PLATFORM_ONLY.has(path) ? "FORBIDDEN" : "NOT_FOUND";
      expect(await callByPath(stranger, path, grantLike()).catch(codeOf), path).toBe(person);
      expect(await callByPath(other.owner, path, grantLike()).catch(codeOf), path).toBe(person);
      expect(await callByPath(foreign, path, grantLike()).catch(codeOf), path).toBe("FORBIDDEN");
    }
    const items = [{ eventName: "api_call_basic", quantity: 1, idempotencyKey: "x" }];
    for (const [actor, code] of [
      [stranger, "NOT_FOUND"],
      [other.owner, "NOT_FOUND"],
      [foreign, "FORBIDDEN"],
    ] as const) {
      const [answer] = await callAs(actor).credits.consumeMany({ ...organizationId(), items });
      expect(answer).toMatchObject({ ok: false, error: { code } });
    }
  });

  const grantLike = () => ({ ...organizationId(), amount: 1, source: "promotion", reason: "x", idempotencyKey: "x" });
});

describe("a member", () => {
  const people: Record<string, Person> = {};
  beforeAll(async () => {
    for (const role of ["admin", "billing", "member"] as const) people[role] = await createMember(tenant.id, role);
    people.owner = tenant.owner;
  });

  it.each([
    ["owner", true],
    ["admin", true],
    ["billing", true],
    ["member", false],
  ])("who is %s may buy: %s", async (role, allowed) => {
    const as = callAs(people[role] ?? null);
    const [plan] = await as.plans.list();
    const [pack] = await as.creditProducts.list();
    const outcomes = [
      // The organization has subscribed: whoever may buy hears of that.
      await as.subscription
        .checkout({ ...organizationId(), planId: plan?.id ?? "", interval: "month" })
        .then(() => "ok", codeOf),
      await as.subscription.portal(organizationId()).then(() => "ok", codeOf),
      await as.creditProducts.checkout({ ...organizationId(), productId: pack?.id ?? "" }).then(() => "ok", codeOf),
    ];
    expect(outcomes).toEqual(allowed ? ["ALREADY_SUBSCRIBED", "ok", "ok"] : ["FORBIDDEN", "FORBIDDEN", "FORBIDDEN"]);
  });

  it.each([
    ["owner", true],
    ["admin", true],
    ["member", true],
    ["billing", false],
  ])("who is %s may spend: %s", async (role, allowed) => {
    const outcome = await callAs(people[role] ?? null)
      .credits.consume({
        ...organizationId(),
        eventName: "api_call_basic",
        quantity: 1,
        idempotencyKey: `spent by ${role}`,
      })
      .then(() => "ok", codeOf);
    expect(outcome).toBe(allowed ? "ok" : "FORBIDDEN");
  });

  it("of any role sees balance, usage and history, and gives no credits", async () => {
    for (const person of Object.values(people)) {
      const as = callAs(person);
      await as.credits.balance(organizationId());
      await as.billing.summary(organizationId());
      await as.billing.history(organizationId());
      const grant = { amount: 1, source: "promotion" as const, reason: "x", idempotencyKey: "x" };
      expect(await as.credits.grant({ ...organizationId(), ...grant }).catch(codeOf)).toBe("FORBIDDEN");
    }
  });
});

// ── Over HTTP ──────────────────────────────────────────────────────────────────────────────────────────────

interface Failure {
  message: string;
  data: { code: string; httpStatus: number; path: string; billing: { code: string; details: Record<string, unknown> } };
}

async function post(path: string, input: unknown, key: string | null = apiKey) {
  const response = await fetch(`${api.url}/api/trpc/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
    body: typeof input === "string" ? input : JSON.stringify(superjson.serialize(input)),
  });
  const text = await response.text();
  const body = JSON.parse(text) as { result?: { data: unknown }; error?: { json: Failure } };
  return { status: response.status, text, failure: body.error?.json, body };
}

const consume = (change: object = {}) => ({
  organizationId: tenant.id,
  eventName: "api_call_basic",
  quantity: 1,
  idempotencyKey: `http ${Math.random()}`,
  ...change,
});

/** Nothing of how the server is made. */
function expectDiscretion(text: string) {
  expect(text).not.toMatch(/stack|node_modules|\.ts:|prisma|postgres|select |insert |credit_events|sk_test|whsec/i);
  expect(text).not.toContain(process.cwd());
}

describe("a failure over HTTP", () => {
  it.each([
    ["INSUFFICIENT_CREDITS", 402, { quantity: 1_000_000 }],
    ["UNKNOWN_EVENT", 404, { eventName: "nonsense" }],
    ["INVALID_INPUT", 400, { quantity: 1.5 }],
    ["INVALID_INPUT", 400, { quantity: 0 }],
    ["INVALID_INPUT", 400, { organizationId: "x" }],
    ["INVALID_INPUT", 400, { metadata: { nested: {} } }],
    ["FORBIDDEN", 403, { organizationId: "00000000-0000-7000-8000-000000000001" }],
  ])("carries its code beside tRPC's: %s", async (code, status, change) => {
    const answer = await post("credits.consume", consume(change));
    expect(answer.status).toBe(status);
    expect(answer.failure?.data).toMatchObject({ httpStatus: status, billing: { code, details: expect.anything() } });
    expectDiscretion(answer.text);
  });

  it("of too few credits says how much is needed and how much there is", async () => {
    const answer = await post("credits.consume", consume({ quantity: 1_000_000 }));
    const { available } = await callAs(tenant.owner, new Date()).credits.balance(organizationId());
    expect(answer.failure?.data.billing).toEqual({
      code: "INSUFFICIENT_CREDITS",
      details: { required: 1_000_000, available },
    });
  });

  it("of a key under another request is a conflict", async () => {
    const request = consume({ idempotencyKey: "taken" });
    expect((await post("credits.consume", request)).status).toBe(200);
    const answer = await post("credits.consume", { ...request, quantity: 2 });
    expect(answer).toMatchObject({ status: 409, failure: { data: { billing: { code: "IDEMPOTENCY_CONFLICT" } } } });
  });

  it("of credentials is the same for none and for bad ones, in public procedures too", async () => {
    expect((await post("credits.consume", consume(), null)).failure?.data).toMatchObject({
      httpStatus: 401,
      billing: { code: "UNAUTHENTICATED" },
    });
    const bad = `bf_live_${"0".repeat(32)}`;
    expect((await post("credits.consume", consume(), bad)).failure?.data.billing.code).toBe("UNAUTHENTICATED");
    const response = await fetch(`${api.url}/api/trpc/plans.list`, { headers: { authorization: `Bearer ${bad}` } });
    expect(response.status).toBe(401);
    expect((await fetch(`${api.url}/api/trpc/plans.list`)).status).toBe(200);
  });

  it("of our own says nothing about itself", async () => {
    await billing.sql("ALTER TABLE credit_transactions RENAME TO credit_transactions_away");
    const answer = await post("credits.consume", consume()).finally(() =>
      billing.sql("ALTER TABLE credit_transactions_away RENAME TO credit_transactions"),
    );
    expect(answer.status).toBe(500);
    expect(answer.failure).toMatchObject({
      message: "Something went wrong on our side.",
      data: { billing: { code: "INTERNAL", details: {} } },
    });
    expectDiscretion(answer.text);
    expect((await post("credits.consume", consume())).status).toBe(200);
  });

  it.each([
    ["that is no JSON", "{"],
    ["of nothing", ""],
    ["of null", "null"],
    ["of a list", "[]"],
    ["of text", '"hello"'],
    [
      "that names a prototype",
      '{"json":{"__proto__":{"organizationId":"x"}},"meta":{"values":{"__proto__.x":["Date"]}}}',
    ],
    ["with meta that leads nowhere", '{"json":{"a":1},"meta":{"values":{"b.c.d":["Date"]}}}'],
  ])("of a body %s is the caller's, told in the same form", async (_, body) => {
    const answer = await post("credits.consume", body);
    expect(answer.status).toBe(400);
    expect(answer.failure?.data.billing.code).toBe("INVALID_INPUT");
    expectDiscretion(answer.text);
  });

  it("of a body beyond the limit is 413, and of a procedure that is none 404", async () => {
    const huge = await post("credits.consume", consume({ metadata: { text: "m".repeat(2_000_000) } }));
    expect(huge).toMatchObject({ status: 413, failure: { data: { billing: { code: "PAYLOAD_TOO_LARGE" } } } });
    const none = await post("credits.nonsense", consume());
    expect(none).toMatchObject({ status: 404, failure: { data: { billing: { code: "NOT_FOUND" } } } });
    expectDiscretion(none.text);
  });
});

describe("a platform key over HTTP", () => {
  it("acts for any organization, and gives credits once for a key", async () => {
    const gift = { ...organizationId(), amount: 5, source: "promotion", reason: "x", idempotencyKey: "over http" };
    const first = superjson.deserialize((await post("credits.grant", gift, platformKey)).body.result?.data as never);
    const again = superjson.deserialize((await post("credits.grant", gift, platformKey)).body.result?.data as never);
    expect(first).toMatchObject({ replayed: false });
    expect(again).toEqual({ ...(first as object), replayed: true });
    expect((await post("credits.grant", gift, apiKey)).failure?.data.billing.code).toBe("FORBIDDEN");
  });

  it("makes organizations; an organization's key does not", async () => {
    expect((await post("organizations.create", { name: "By the platform" }, platformKey)).status).toBe(200);
    expect((await post("organizations.create", { name: "By a tenant" })).failure?.data.billing.code).toBe("FORBIDDEN");
  });
});
