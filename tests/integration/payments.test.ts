// Payments that are taken back: refunds and disputes, told in any order and any number of times, through the webhook and
// against Stripe's stand-in. Whatever is told, the account ends where Stripe's truth puts it.
import type Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { SpentPolicy } from "~/domain/account";
import { listOpenAlerts } from "~/server/billing/alerts";
import { grantDueSlices } from "~/server/billing/allowances";
import { processEvent } from "~/server/webhooks/process";
import {
  type Billing,
  callAs,
  daysLater,
  deliver,
  expectLawfulLedger,
  makeEvent,
  openBilling,
  PLATFORM,
  quietLogs,
} from "../setup/billing";
import { createTenant, NOW } from "../setup/tenancy";

type Tenant = Awaited<ReturnType<typeof createTenant>>;

const CREDITS = 10_000;
const PRICE = 8900;
/** What a part of the payment stands for, in credits. */
const share = (cents: number) => Math.floor((CREDITS * Math.min(cents, PRICE)) / PRICE);

let billing: Billing;
let packId = "";
const plans: Record<string, string> = {};
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  packId = (await callAs(null).creditProducts.list()).find(({ key }) => key === "pack_10000")?.id ?? "";
  for (const { key, id } of await callAs(null).plans.list()) plans[key] = id;
});
afterAll(() => billing.close());

// ── Stripe's side ──────────────────────────────────────────────────────────────────────────────────────────

async function bank<T = Stripe.Dispute>(path: string, body: unknown = {}): Promise<T> {
  const answer = await fetch(`${billing.sandbox.url}/_sandbox/${path}`, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Events that nobody has delivered yet, by the payment that they are about. */
const waiting = new Map<string, Stripe.Event[]>();
let collecting: Promise<unknown> = Promise.resolve();

function collect(): Promise<unknown> {
  collecting = collecting.then(async () => {
    for (const event of await billing.freshEvents()) {
      const object = event.data.object as { id?: string; object: string; payment_intent?: string | null };
      const payment = object.object === "payment_intent" ? object.id : object.payment_intent;
      if (payment) waiting.set(payment, [...(waiting.get(payment) ?? []), event]);
    }
  });
  return collecting;
}

/** A pack that is paid for at Stripe, of which nothing was told yet. */
class Purchase {
  readonly refunds: string[] = [];
  dispute = "";

  private constructor(
    readonly tenant: Tenant,
    readonly payment: string,
  ) {}

  static async make(tenant?: Tenant, card?: string): Promise<Purchase> {
    const buyer = tenant ?? (await createTenant());
    const { url } = await callAs(buyer.owner).creditProducts.checkout({ organizationId: buyer.id, productId: packId });
    await billing.pay(url, card);
    const id = /cs_[A-Za-z0-9_]+/.exec(url)?.[0] ?? "";
    const session = await billing.stripe.checkout.sessions.retrieve(id);
    return new Purchase(buyer, String(session.payment_intent));
  }

  async refund(amount?: number): Promise<void> {
    const made = await billing.stripe.refunds.create({
      payment_intent: this.payment,
      ...(amount === undefined ? {} : { amount }),
    });
    this.refunds.push(made.id);
  }

  async fail(index: number): Promise<void> {
    await bank(`refunds/${this.refunds[index]}/fail`);
  }

  async open(given: { amount?: number; inquiry?: boolean } = {}): Promise<void> {
    this.dispute = (await bank("disputes", { payment_intent: this.payment, ...given })).id;
  }

  async end(how: "win" | "lose" | "escalate"): Promise<void> {
    await bank(`disputes/${this.dispute}/${how}`);
  }

  /** What happened at Stripe since the last call. */
  async news(): Promise<Stripe.Event[]> {
    await collect();
    const events = waiting.get(this.payment) ?? [];
    waiting.delete(this.payment);
    return events.filter((event) => event.type !== "payment_intent.created" && !/^charge\.succeeded/.test(event.type));
  }

  async standing() {
    const { available, held, debt } = await callAs(this.tenant.owner).credits.balance({
      organizationId: this.tenant.id,
    });
    return { available, held, debt };
  }

  lawful() {
    return expectLawfulLedger(billing.sql, this.tenant.id);
  }
}

/** Delivers and processes one event; whoever is at another one of its customer at the moment may be the one who does it. */
async function hand(event: Stripe.Event, now = NOW, status = /^(done|ignored)$/): Promise<string> {
  const answer = await deliver(event, now);
  expect(answer.status).toBe(200);
  await processEvent(event.id, now);
  const row = await vi.waitFor(async () => {
    const [stored] = await billing.sql<{ status: string; outcome: string }>(
      "SELECT status::text, outcome FROM stripe_events WHERE id = $1",
      [event.id],
    );
    expect(stored?.status, `${event.type}: ${stored?.outcome}`).toMatch(status);
    return stored;
  }, 10_000);
  return row?.outcome ?? "";
}

/** The same change told under another id, as Stripe does with its doubles. */
const doubleOf = (event: Stripe.Event) =>
  makeEvent(event.type, event.data.object as unknown as Record<string, unknown>);

async function settleAll(purchase: Purchase, now = NOW): Promise<string[]> {
  const sentences: string[] = [];
  for (const event of await purchase.news()) sentences.push(await hand(event, now));
  return sentences;
}

function permutations<T>(all: readonly T[]): T[][] {
  if (all.length <= 1) return [[...all]];
  return all.flatMap((one, index) =>
    permutations([...all.slice(0, index), ...all.slice(index + 1)]).map((rest) => [one, ...rest]),
  );
}

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Chance that can be had again by its seed (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

// ── Every order ────────────────────────────────────────────────────────────────────────────────────────────

type Happening = (purchase: Purchase) => Promise<unknown>;

const HAPPENINGS = {
  "a refund of 1000": (purchase) => purchase.refund(1000),
  "another of 2345": (purchase) => purchase.refund(2345),
  "a refund of the rest": (purchase) => purchase.refund(),
  "the first refund fails": (purchase) => purchase.fail(0),
  "a dispute of the rest": (purchase) => purchase.open(),
  "a dispute of everything": (purchase) => purchase.open({ amount: PRICE }),
  "a dispute of 4000": (purchase) => purchase.open({ amount: 4000 }),
  "an inquiry": (purchase) => purchase.open({ inquiry: true }),
  "it becomes a dispute": (purchase) => purchase.end("escalate"),
  "it is won": (purchase) => purchase.end("win"),
  "it is lost": (purchase) => purchase.end("lose"),
} satisfies Record<string, Happening>;
type Name = keyof typeof HAPPENINGS;

const ALL = { available: CREDITS, held: 0, debt: 0 };
const left = (available: number, held = 0) => ({ available, held, debt: 0 });

/** What happens after the payment, in its order at Stripe, and what is there at the end. */
const SETS: { happens: Name[]; ends: { available: number; held: number; debt: number } }[] = [
  { happens: [], ends: ALL },
  { happens: ["a refund of 1000"], ends: left(CREDITS - share(1000)) },
  { happens: ["a refund of the rest"], ends: left(0) },
  { happens: ["a refund of 1000", "another of 2345"], ends: left(CREDITS - share(3345)) },
  { happens: ["a refund of 1000", "the first refund fails"], ends: ALL },
  { happens: ["a refund of 1000", "another of 2345", "the first refund fails"], ends: left(CREDITS - share(2345)) },
  { happens: ["a dispute of the rest"], ends: left(0, CREDITS) },
  { happens: ["a dispute of 4000"], ends: left(CREDITS - share(4000), share(4000)) },
  { happens: ["a dispute of the rest", "it is won"], ends: ALL },
  { happens: ["a dispute of the rest", "it is lost"], ends: left(0) },
  { happens: ["a dispute of 4000", "it is won", "a refund of 1000"], ends: left(CREDITS - share(1000)) },
  { happens: ["an inquiry"], ends: ALL },
  { happens: ["an inquiry", "it is lost"], ends: ALL },
  { happens: ["an inquiry", "it becomes a dispute", "it is lost"], ends: left(0) },
  { happens: ["a refund of 1000", "a dispute of everything"], ends: left(0, CREDITS - share(1000)) },
  { happens: ["a refund of 1000", "a dispute of everything", "it is lost"], ends: left(0) },
  { happens: ["a refund of 1000", "a dispute of everything", "it is won"], ends: left(CREDITS - share(1000)) },
  {
    happens: ["a refund of 1000", "another of 2345", "a dispute of the rest", "it is won"],
    ends: left(CREDITS - share(3345)),
  },
  { happens: ["a refund of 1000", "another of 2345", "a dispute of the rest", "it is lost"], ends: left(0) },
];

const AT_ONCE = 6;
/** Orders of a set that are tried each time, chosen by chance; `EVERY_ORDER=1` tries all, which takes minutes. */
const MOST_ORDERS = process.env.EVERY_ORDER ? Number.POSITIVE_INFINITY : 10;

/** Lets things happen at Stripe only as far as the order of deliveries needs, so that each sees the truth of its moment. */
async function live(happens: readonly Name[], order: readonly number[], seed: number): Promise<void> {
  const random = chance(seed);
  const purchase = await Purchase.make();
  const told: Stripe.Event[][] = [await purchase.news()];
  const delivered: Stripe.Event[] = [];
  const give = async (event: Stripe.Event) => {
    await hand(event);
    await purchase.lawful();
    delivered.push(event);
  };
  for (const step of order) {
    while (told.length <= step) {
      const name = happens[told.length - 1];
      if (!name) throw new Error("nothing more happens");
      await HAPPENINGS[name](purchase);
      told.push(await purchase.news());
    }
    const events = told[step] ?? [];
    expect(events.length, `events of step ${step}`).toBeGreaterThan(0);
    const [first] = events.splice(random(events.length), 1);
    if (first) await give(first);
    const again = delivered[random(delivered.length)];
    if (again && random(3) === 0) await give(random(2) === 0 ? again : doubleOf(again));
  }
  // Of what else Stripe told of it some comes last, in any order, and some never.
  const rest = told.flat();
  for (let more = 0; more < 2 && rest.length > 0; more++) {
    const [event] = rest.splice(random(rest.length), 1);
    if (event) await give(event);
  }
  const set = SETS.find((one) => one.happens === happens);
  expect(await purchase.standing(), `order ${order.join()}, seed ${seed}`).toEqual(set?.ends);
}

describe("one final balance, in every order and with copies, of a payment and", () => {
  it.each(SETS.map((set) => [set.happens.join(", ") || "nothing else", set.happens] as const))(
    "%s",
    { timeout: 900_000 },
    async (_name, happens) => {
      const random = chance(SEED);
      const orders = permutations([...happens.keys(), happens.length]);
      while (orders.length > MOST_ORDERS) orders.splice(random(orders.length), 1);
      for (let next = 0; next < orders.length; next += AT_ONCE) {
        const some = orders.slice(next, next + AT_ONCE);
        await Promise.all(some.map((order, index) => live(happens, order, SEED + next + index)));
      }
    },
  );
});

// ── What it does on the way ────────────────────────────────────────────────────────────────────────────────

const rowsOf = (tenant: Tenant, types: string[]) =>
  billing.sql<{ type: string; amount: number; held: number; debt: number; reference: string; reason: string }>(
    `SELECT type::text, amount::float8 AS amount, held::float8 AS held, debt::float8 AS debt, reference, reason
     FROM credit_transactions WHERE organization_id = $1 AND type::text = ANY ($2) ORDER BY seq`,
    [tenant.id, types],
  );

const alertsOf = async (tenant: Tenant) => (await listOpenAlerts(tenant.id)).map(({ kind }) => kind);

const historyOf = async (tenant: Tenant) =>
  (await callAs(tenant.owner).billing.history({ organizationId: tenant.id })).items.map(
    ({ kind, status, amount, description }) => ({ kind, status, amount, description }),
  );

const setPolicy = (tenant: Tenant, policy: SpentPolicy) =>
  callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy });

let spends = 0;
const spend = (tenant: Tenant, quantity: number) =>
  callAs(tenant.owner).credits.consume({
    organizationId: tenant.id,
    eventName: "api_call_basic",
    quantity,
    idempotencyKey: `spend-${++spends}`,
  });

/** A purchase whose credits are there. */
async function bought(change: { policy?: SpentPolicy; spent?: number; card?: string } = {}): Promise<Purchase> {
  const purchase = await Purchase.make(undefined, change.card);
  if (change.policy) await setPolicy(purchase.tenant, change.policy);
  await settleAll(purchase);
  if (change.spent) await spend(purchase.tenant, change.spent);
  return purchase;
}

describe("a refund", () => {
  it("told by three events, twice each, is one removal that names it, and one line of history", async () => {
    const purchase = await bought();
    await purchase.refund(1000);
    const [refund] = purchase.refunds;
    await bank(`refunds/${refund}/succeed`);
    const events = await purchase.news();
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]),
    );
    for (const event of [...events, ...events.map(doubleOf)]) await hand(event);
    expect(await rowsOf(purchase.tenant, ["refund", "dispute"])).toEqual([
      {
        ...{ type: "refund", amount: -share(1000), held: 0, debt: 0, reference: refund },
        reason: "A part of the payment was refunded: taken back",
      },
    ]);
    expect(await historyOf(purchase.tenant)).toEqual(
      expect.arrayContaining([
        { kind: "refund", status: "succeeded", amount: -1000, description: "Refund of 10,000 credits" },
        { kind: "credit_purchase", status: "partially_refunded", amount: PRICE, description: "10,000 credits" },
      ]),
    );
    await purchase.lawful();
  });

  it("told at once by all of its events is one removal", async () => {
    const purchase = await bought();
    await purchase.refund();
    const events = await purchase.news();
    await Promise.all([...events, ...events.map(doubleOf)].map((event) => hand(event)));
    expect(await purchase.standing()).toEqual(left(0));
    expect(await rowsOf(purchase.tenant, ["refund"])).toHaveLength(1);
    await purchase.lawful();
  });

  it("that its bank returns gives the credits back, once, though no event of the charge tells so", async () => {
    const purchase = await bought({ card: "4000000000005126" });
    await purchase.refund();
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(0));
    await purchase.fail(0);
    const events = await purchase.news();
    expect(events.map(({ type }) => type)).not.toContain("charge.refunded");
    for (const event of [...events, ...events.map(doubleOf)]) await hand(event);
    expect(await purchase.standing()).toEqual(ALL);
    expect((await rowsOf(purchase.tenant, ["refund"])).map(({ amount, reason }) => [amount, reason])).toEqual([
      [-CREDITS, "The payment was refunded: taken back"],
      [CREDITS, "A refund of the payment failed: given back"],
    ]);
    expect(await historyOf(purchase.tenant)).toContainEqual(
      expect.objectContaining({ kind: "refund", status: "failed", amount: -PRICE }),
    );
    await purchase.lawful();
  });

  it("that is pending takes at once: the money is on its way", async () => {
    const purchase = await bought({ card: "4000000000007726" });
    await purchase.refund(1000);
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(CREDITS - share(1000)));
    expect(await historyOf(purchase.tenant)).toContainEqual(
      expect.objectContaining({ kind: "refund", status: "pending", amount: -1000 }),
    );
  });

  it("of a payment that nobody told us of brings the purchase and takes it", async () => {
    const purchase = await Purchase.make();
    await purchase.news();
    await purchase.refund(1000);
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(CREDITS - share(1000)));
  });

  it("of a payment that is none of ours, or of another organization's customer, changes nothing", async () => {
    const purchase = await bought();
    const stranger = await billing.stripe.customers.create({ metadata: {} });
    const intent = await billing.stripe.paymentIntents.create({
      ...{ amount: 500, currency: "usd", customer: stranger.id, payment_method: "pm_card_visa", confirm: true },
      automatic_payment_methods: { enabled: true, allow_redirects: "never" },
    });
    await billing.stripe.refunds.create({ payment_intent: intent.id });
    await collect();
    const events = waiting.get(intent.id) ?? [];
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) await hand(event, NOW, /^(ignored|quarantined)$/);
    expect(await billing.sql("SELECT 1 FROM stripe_payments WHERE id = $1", [intent.id])).toEqual([]);
    expect(await purchase.standing()).toEqual(ALL);
  });

  it("of a charge that is told without its payment finds it by the charge", async () => {
    const purchase = await bought();
    await purchase.refund(1000);
    const event = (await purchase.news()).find(({ type }) => type === "refund.created");
    const object = { ...(event?.data.object as unknown as Record<string, unknown>), payment_intent: null };
    await hand(makeEvent("refund.created", object));
    expect(await purchase.standing()).toEqual(left(CREDITS - share(1000)));
  });
});

describe("credits that were spent before", () => {
  const happens = ["a refund of 1000", "a dispute of everything", "it is lost"] as const satisfies readonly Name[];

  it.each([
    ["clamp", { available: 500, held: 0, debt: 0 }],
    ["debt", { available: 0, held: 0, debt: 7500 }],
    ["suspend", { available: 500, held: 0, debt: 0 }],
  ] as const)("under %s end in one standing, in every order", { timeout: 240_000 }, async (policy, ends) => {
    for (const order of permutations([0, 1, 2])) {
      const purchase = await bought({ policy, spent: 8000 });
      await callAs(PLATFORM).credits.grant({
        ...{ organizationId: purchase.tenant.id, amount: 500, source: "adjustment", reason: "for a test" },
        idempotencyKey: `grant-${++spends}`,
      });
      const told: Stripe.Event[][] = [];
      for (const step of order) {
        while (told.length <= step) {
          await HAPPENINGS[happens[told.length] ?? "it is lost"](purchase);
          told.push(await purchase.news());
        }
        for (const event of told[step] ?? []) {
          await hand(event);
          await purchase.lawful();
        }
      }
      expect(await purchase.standing(), order.join()).toEqual(ends);
      const alerts = await alertsOf(purchase.tenant);
      expect(alerts).toContain("dispute_lost");
      expect(alerts).not.toContain("payment_disputed");
      expect(alerts.includes("credits_owed")).toBe(policy === "debt");
      expect(alerts.includes("account_suspended")).toBe(policy === "suspend");
      if (policy === "suspend") {
        await expect(spend(purchase.tenant, 1)).rejects.toMatchObject({ cause: { code: "ACCOUNT_SUSPENDED" } });
      }
    }
  });

  it("as a debt are paid by the next purchase, and go back to who paid when the refund fails", async () => {
    const purchase = await bought({ policy: "debt", spent: 9000 });
    await purchase.refund();
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual({ available: 0, held: 0, debt: 9000 });
    expect(await alertsOf(purchase.tenant)).toEqual(["credits_owed"]);
    const next = await Purchase.make(purchase.tenant);
    await settleAll(next);
    expect(await purchase.standing()).toEqual({ available: 1000, held: 0, debt: 0 });
    expect(await alertsOf(purchase.tenant)).toEqual([]);
    await purchase.fail(0);
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(CREDITS + 1000));
    const lots = await billing.sql<{ remaining: number; taken: number }>(
      "SELECT remaining::float8 AS remaining, taken::float8 AS taken FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id",
      [purchase.tenant.id],
    );
    expect(lots.map(({ remaining }) => remaining).sort((a, b) => a - b)).toEqual([1000, CREDITS]);
    expect(lots.every(({ taken }) => taken === 0)).toBe(true);
    await purchase.lawful();
  });

  it("suspend once; resumed by hand it stays so, and what a failed refund leaves no reason for ends by itself", async () => {
    const purchase = await bought({ policy: "suspend", spent: 9500 });
    const { tenant } = purchase;
    await purchase.refund(1000);
    const events = await purchase.news();
    for (const event of events) await hand(event);
    await expect(spend(tenant, 1)).rejects.toMatchObject({ cause: { code: "ACCOUNT_SUSPENDED" } });
    const change = { organizationId: tenant.id, reason: "we talked" };
    expect(await callAs(PLATFORM).credits.resume(change)).toMatchObject({ suspended: false });
    expect(await alertsOf(tenant)).toEqual([]);
    for (const event of events) await hand(doubleOf(event));
    const other = await Purchase.make(tenant);
    await settleAll(other);
    await spend(tenant, 1);
    await purchase.refund(2345);
    await settleAll(purchase);
    await expect(spend(tenant, 1)).rejects.toMatchObject({ cause: { code: "ACCOUNT_SUSPENDED" } });
    expect(await alertsOf(tenant)).toEqual(["account_suspended"]);
    await purchase.fail(0);
    await purchase.fail(1);
    await settleAll(purchase);
    await spend(tenant, 1);
    expect(await alertsOf(tenant)).toEqual([]);
    await purchase.lawful();
  });

  it("are no way around a suspension by hand", async () => {
    const purchase = await bought({ policy: "suspend", spent: 9500 });
    const { tenant } = purchase;
    await callAs(PLATFORM).credits.suspend({ organizationId: tenant.id, reason: "fraud" });
    await purchase.refund();
    await settleAll(purchase);
    await purchase.fail(0);
    await settleAll(purchase);
    await expect(spend(tenant, 1)).rejects.toMatchObject({ cause: { code: "ACCOUNT_SUSPENDED" } });
    for (const call of ["suspend", "resume"] as const) {
      const refused = callAs(tenant.owner).credits[call]({ organizationId: tenant.id, reason: "please" });
      await expect(refused).rejects.toMatchObject({ cause: { code: "FORBIDDEN" } });
    }
  });
});

describe("a dispute", () => {
  it("of a test card freezes with an alert that names the deadline, shows on the purchase, and is freed when it is won", async () => {
    const purchase = await Purchase.make(undefined, "4000000000000259");
    await billing.setClock(new Date(NOW.getTime() + 2000));
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(0, CREDITS));
    const { alerts } = await callAs(purchase.tenant.owner).billing.summary({ organizationId: purchase.tenant.id });
    expect(alerts).toMatchObject([
      { kind: "payment_disputed", message: expect.stringContaining("Evidence is taken until March 18, 2026") },
    ]);
    expect(await historyOf(purchase.tenant)).toMatchObject([{ kind: "credit_purchase", status: "disputed" }]);
    const [dispute] = (await billing.stripe.disputes.list({ payment_intent: purchase.payment })).data;
    purchase.dispute = dispute?.id ?? "";
    await purchase.end("win");
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(ALL);
    expect(await alertsOf(purchase.tenant)).toEqual([]);
    expect(await historyOf(purchase.tenant)).toMatchObject([{ kind: "credit_purchase", status: "paid" }]);
    expect((await rowsOf(purchase.tenant, ["dispute"])).map(({ held, reference }) => [held, reference])).toEqual([
      // It was there before the credits were: they came frozen, by what was known of their payment.
      [CREDITS, purchase.payment],
      [-CREDITS, dispute?.id],
    ]);
  });

  it("that is lost shows on the purchase, in copies of older events too", async () => {
    const purchase = await bought();
    await purchase.open();
    const opened = await purchase.news();
    await purchase.end("lose");
    for (const event of [...(await purchase.news()), ...opened]) await hand(event);
    expect(await historyOf(purchase.tenant)).toMatchObject([{ kind: "credit_purchase", status: "dispute_lost" }]);
    expect(await alertsOf(purchase.tenant)).toEqual(["dispute_lost"]);
    expect((await rowsOf(purchase.tenant, ["dispute"])).map(({ amount, held }) => [amount, held])).toEqual([
      [-CREDITS, 0],
    ]);
  });

  it("of credits that went to others follows them there", async () => {
    const purchase = await bought();
    const friend = await createTenant("A friend");
    await callAs(PLATFORM).credits.transfer({
      ...{ organizationId: purchase.tenant.id, toOrganizationId: friend.id, amount: 4000, reason: "for a test" },
      idempotencyKey: `transfer-${++spends}`,
    });
    const standing = async () => {
      const theirs = await callAs(friend.owner).credits.balance({ organizationId: friend.id });
      return [await purchase.standing(), { available: theirs.available, held: theirs.held, debt: theirs.debt }];
    };
    const lawful = async () => {
      await purchase.lawful();
      await expectLawfulLedger(billing.sql, friend.id);
    };
    await purchase.open();
    await settleAll(purchase);
    expect(await standing()).toEqual([left(0, 6000), left(0, 4000)]);
    await lawful();
    await purchase.end("win");
    await settleAll(purchase);
    expect(await standing()).toEqual([left(6000), left(4000)]);
    await purchase.refund(1000);
    await settleAll(purchase);
    const [mine, theirs] = await standing();
    expect((mine?.available ?? 0) + (theirs?.available ?? 0)).toBe(CREDITS - share(1000));
    await lawful();
    await billing.sql("UPDATE organizations SET deleted_at = $2 WHERE id = $1", [friend.id, NOW]);
    await purchase.refund();
    await settleAll(purchase);
    expect(await purchase.standing()).toEqual(left(0));
    await lawful();
  });
});

// ── Subscriptions ──────────────────────────────────────────────────────────────────────────────────────────

describe("an invoice of a subscription", () => {
  async function subscribed(plan: string, interval: "month" | "year") {
    const tenant = await createTenant();
    const { url } = await callAs(tenant.owner).subscription.checkout({
      organizationId: tenant.id,
      planId: plans[plan] ?? "",
      interval,
    });
    await billing.pay(url);
    await collect();
    const id = /cs_[A-Za-z0-9_]+/.exec(url)?.[0] ?? "";
    const session = await billing.stripe.checkout.sessions.retrieve(id, { expand: ["subscription.latest_invoice"] });
    const subscription = session.subscription as Stripe.Subscription;
    const invoice = subscription.latest_invoice as Stripe.Invoice;
    const { data } = await billing.stripe.invoicePayments.list({ invoice: invoice.id });
    const payment = String(data[0]?.payment.payment_intent);
    const available = async () => (await callAs(tenant.owner).credits.balance({ organizationId: tenant.id })).available;
    const tell = async () => {
      await collect();
      const events = waiting.get(payment) ?? [];
      waiting.delete(payment);
      for (const event of events) await hand(event);
      await expectLawfulLedger(billing.sql, tenant.id);
    };
    const refund = async (amount?: number) => {
      const made = await billing.stripe.refunds.create({ payment_intent: payment, ...(amount ? { amount } : {}) });
      await tell();
      return made.id;
    };
    return { tenant, invoice, payment, available, tell, refund };
  }

  it("that is refunded is found through its payments, also before it was told that it is paid", async () => {
    const { tenant, invoice, available, refund } = await subscribed("pro", "month");
    const [plan] = await billing.sql<{ credits: number }>(
      "SELECT credits::float8 AS credits FROM subscription_plans WHERE id = $1",
      [plans.pro],
    );
    const credits = plan?.credits ?? 0;
    await refund(Math.floor(invoice.total / 4));
    expect(await available()).toBe(credits - Math.floor((credits * Math.floor(invoice.total / 4)) / invoice.total));
    await refund();
    expect(await available()).toBe(0);
    expect(await historyOf(tenant)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: "refund", description: "Refund of Pro, monthly" }),
        expect.objectContaining({ kind: "invoice", status: "refunded" }),
      ]),
    );
  });

  it("of a year that grants monthly claims each slice that comes, none comes of one that is wholly refunded, all when it fails", async () => {
    await billing.sql("UPDATE subscription_plans SET credit_interval = 'month' WHERE id = $1", [plans.pro]);
    const year = await subscribed("pro", "year");
    await year.tell();
    const slice = await year.available();
    expect(slice).toBeGreaterThan(0);
    await year.refund(Math.floor(year.invoice.total / 2));
    const half = await year.available();
    expect(half).toBe(slice - Math.floor((slice * Math.floor(year.invoice.total / 2)) / year.invoice.total));
    const slices = () =>
      billing.sql<{ amount: number; to_take: number; remaining: number }>(
        "SELECT amount::float8 AS amount, to_take::float8 AS to_take, remaining::float8 AS remaining FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id",
        [year.tenant.id],
      );
    await grantDueSlices(daysLater(32), 100);
    expect((await slices()).map((lot) => lot.amount - lot.to_take)).toEqual([half, half]);
    const rest = await year.refund();
    await grantDueSlices(daysLater(70), 100);
    expect(await slices()).toHaveLength(2);
    expect((await slices()).every((lot) => lot.remaining === 0)).toBe(true);
    await bank(`refunds/${rest}/fail`);
    await year.tell();
    await grantDueSlices(daysLater(70), 100);
    expect((await slices()).map((lot) => lot.amount - lot.to_take)).toEqual([half, half, half]);
    await expectLawfulLedger(billing.sql, year.tenant.id);
  });
});
