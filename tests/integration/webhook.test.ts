// Stripe's events: what is let in, and that any order, any number of copies and any crash end in the same rows.
import fc from "fast-check";
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { sweepStripeEvents } from "~/server/jobs/tasks/by-the-clock";
import { startWorker } from "~/server/jobs/worker";
import { targetOf } from "~/server/stripe/events";
import { listEventsToProcess } from "~/server/webhooks/claim";
import { processEvent, retryDelaySeconds } from "~/server/webhooks/process";
import { receiveEvent } from "~/server/webhooks/receive";
import {
  type Billing,
  deliver,
  delivery,
  expectLawfulLedger,
  makeEvent,
  openBilling,
  quietLogs,
  readLedger,
  WEBHOOK_SECRET,
} from "../setup/billing";
import { eventTools, only } from "../setup/events";
import { minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
});
afterAll(() => billing.close());
afterEach(() => {
  billing.line.mode = "up";
  billing.line.bend = null;
});

const { stored, alerts, subscribed, snapshot, proPrice } = eventTools(() => billing);

async function countEvents(): Promise<number> {
  const [row] = await billing.sql<{ count: number }>("SELECT count(*)::int AS count FROM stripe_events");
  return row?.count ?? -1;
}

/** Invoices as no release of Stripe's sends them. */
function withoutLines(path: string, answer: Record<string, unknown>): unknown {
  if (!path.startsWith("/v1/invoices?")) return answer;
  return { ...answer, data: (answer.data as object[]).map((invoice) => ({ ...invoice, lines: null })) };
}

// ── The door ───────────────────────────────────────────────────────────────────────────────────────────────

describe("the door", () => {
  const body = JSON.stringify(makeEvent("invoice.paid", { id: "in_1", object: "invoice" }));
  const good = Stripe.webhooks.generateTestHeaderString({ payload: body, secret: WEBHOOK_SECRET });

  it.each([
    ["without a signature", null],
    ["with an empty one", ""],
    ["with a malformed one", "not a signature"],
    ["with a time and no signature", `t=${Math.floor(Date.now() / 1000)}`],
    ["with an empty hash", `t=${Math.floor(Date.now() / 1000)},v1=`],
    ["with another scheme only", good.replace("v1=", "v0=")],
    ["with a hash that was cut", good.slice(0, -1)],
  ])("refuses a body %s, and stores nothing", async (_, signature) => {
    const before = await countEvents();
    const answer = await receiveEvent(delivery(body, { signature }), NOW);
    expect(answer).toMatchObject({ status: 400, body: { received: false } });
    expect(await countEvents()).toBe(before);
  });

  it("refuses a body of which a byte was changed, a wrong secret, and a signature that is too old", async () => {
    const before = await countEvents();
    const altered = body.replace("in_1", "in_2");
    for (const request of [
      delivery(altered, { signature: good }),
      delivery(`${body} `, { signature: good }),
      delivery(body, { secret: "whsec_wrong" }),
      delivery(body, { secret: `${WEBHOOK_SECRET}x` }),
      delivery(body, { signedAt: new Date(Date.now() - 301_000) }),
    ]) {
      expect((await receiveEvent(request, NOW)).status).toBe(400);
    }
    expect(await countEvents()).toBe(before);
    // The same bytes with the true signature are let in: it was the signature that was refused.
    expect((await receiveEvent(delivery(body, { signature: good }), NOW)).status).toBe(200);
  });

  it.each([
    ["that is no JSON", "hello"],
    ["of nothing", ""],
    ["of null", "null"],
    ["of a list", "[]"],
    ["of something else", '{"a":1}'],
    ["without an id", JSON.stringify({ ...JSON.parse(body), id: undefined })],
    ["with an empty id", JSON.stringify({ ...JSON.parse(body), id: "" })],
    ["with a control character in its id", JSON.stringify({ ...JSON.parse(body), id: "evt_\0" })],
    ["with half a character in its id", JSON.stringify({ ...JSON.parse(body), id: "evt_\uD800" })],
    ["with a control character in its type", JSON.stringify({ ...JSON.parse(body), type: "invoice.\0paid" })],
    ["with a control character in its version", JSON.stringify({ ...JSON.parse(body), api_version: "\0" })],
    ["made after the last instant", JSON.stringify({ ...JSON.parse(body), created: 253_402_300_800 })],
    ["made before the first instant", JSON.stringify({ ...JSON.parse(body), created: -8_640_000_000_001 })],
    ["without an object", JSON.stringify({ ...JSON.parse(body), data: {} })],
    ["without a mode", JSON.stringify({ ...JSON.parse(body), livemode: undefined })],
    [
      "that is a thin event",
      JSON.stringify({
        id: "evt_thin",
        object: "v2.core.event",
        type: "v1.billing.meter.error_report_triggered",
        livemode: false,
        created: "2026-03-10T09:30:00.000Z",
        related_object: { id: "mtr_1", type: "billing.meter", url: "/v1/billing/meters/mtr_1" },
      }),
    ],
  ])("refuses a signed body %s", async (_, payload) => {
    const before = await countEvents();
    expect((await receiveEvent(delivery(payload), NOW)).status).toBe(400);
    expect(await countEvents()).toBe(before);
  });

  it("lets in a hundred kilobytes and refuses ten megabytes without reading them", async () => {
    const large = makeEvent("invoice.paid", { id: "in_1", object: "invoice", padding: "p".repeat(100_000) });
    expect((await deliver(large, NOW)).status).toBe(200);
    expect((await stored(large.id))?.status).toBe("received");

    const huge = JSON.stringify(makeEvent("invoice.paid", { id: "in_1", object: "invoice", padding: "p".repeat(1e7) }));
    expect((await receiveEvent(delivery(huge), NOW)).status).toBe(413);

    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(32));
      },
    });
    const request = new Request("http://localhost", {
      method: "POST",
      headers: { "stripe-signature": good },
      body: endless,
      duplex: "half",
    } as RequestInit);
    expect((await receiveEvent(request, NOW)).status).toBe(413);
    expect(sent).toBeLessThan(4_000_000);
  });

  async function withSecrets<T>(secrets: string | undefined, work: (receive: typeof receiveEvent) => Promise<T>) {
    const before = process.env.STRIPE_WEBHOOK_SECRET;
    if (secrets === undefined) delete process.env.STRIPE_WEBHOOK_SECRET;
    else process.env.STRIPE_WEBHOOK_SECRET = secrets;
    try {
      vi.resetModules();
      return await work((await import("~/server/webhooks/receive")).receiveEvent);
    } finally {
      process.env.STRIPE_WEBHOOK_SECRET = before;
    }
  }

  it.each([undefined, "", "   ", " , ,"])(
    "is shut while the secret is %j: 503, whatever the signature",
    async (secrets) => {
      await withSecrets(secrets, async (receive) => {
        for (const request of [delivery(body), delivery(body, { secret: " " }), delivery(body, { signature: null })]) {
          expect((await receive(request, NOW)).status).toBe(503);
        }
      });
    },
  );

  it("takes the old and the new secret while both are configured, and the old one no longer after its removal", async () => {
    const by = (secret: string) => delivery(JSON.stringify(makeEvent("ping", { object: "ping" })), { secret });
    await withSecrets("whsec_old, whsec_new", async (receive) => {
      expect((await receive(by("whsec_old"), NOW)).status).toBe(200);
      expect((await receive(by("whsec_new"), NOW)).status).toBe(200);
      expect((await receive(by("whsec_other"), NOW)).status).toBe(400);
    });
    await withSecrets("whsec_new", async (receive) => {
      expect((await receive(by("whsec_old"), NOW)).status).toBe(400);
      expect((await receive(by("whsec_new"), NOW)).status).toBe(200);
    });
  });

  it("keeps an unknown type as ignored and does nothing", async () => {
    const event = makeEvent("treasury.something_new", { id: "x_1", object: "something" });
    expect((await deliver(event, NOW)).status).toBe(200);
    expect(await stored(event.id)).toMatchObject({ status: "ignored", attempts: 0 });
    expect(await processEvent(event.id, NOW)).toBeNull();
  });

  it("keeps an event of the other mode as refused, and nobody asks Stripe about it", async () => {
    const { tenant, events } = await subscribed();
    const live = { ...only(events, "invoice.paid"), id: "evt_live_mode", livemode: true } as Stripe.Event;
    const calls = billing.line.calls.length;
    expect((await deliver(live, NOW)).status).toBe(200);
    expect(await processEvent(live.id, NOW)).toBeNull();
    expect(await stored("evt_live_mode")).toMatchObject({ status: "refused", attempts: 0 });
    expect(billing.line.calls.length).toBe(calls);
    expect((await readLedger(billing.sql, tenant.id)).rows).toEqual([]);
  });

  it("answers 500 when it could not store, so that Stripe comes again, and then takes it", async () => {
    const event = makeEvent("treasury.something_new", { id: "x_1", object: "something" });
    await billing.sql("ALTER TABLE stripe_events RENAME TO stripe_events_away");
    const answer = await deliver(event, NOW).finally(() =>
      billing.sql("ALTER TABLE stripe_events_away RENAME TO stripe_events"),
    );
    expect(answer).toEqual({ status: 500, body: { received: false, reason: "could not be stored" } });
    expect(await stored(event.id)).toBeNull();
    expect((await deliver(event, NOW)).status).toBe(200);
    expect(await stored(event.id)).not.toBeNull();
  });
});

// ── Whose it is ────────────────────────────────────────────────────────────────────────────────────────────

describe("an event", () => {
  async function strangersSubscription(metadata: Record<string, string>, customerId?: string) {
    const customer =
      customerId ??
      (
        await billing.stripe.customers.create({
          payment_method: "pm_card_visa",
          invoice_settings: { default_payment_method: "pm_card_visa" },
        })
      ).id;
    if (customerId) {
      const method = await billing.stripe.paymentMethods.attach("pm_card_visa", { customer });
      await billing.stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    }
    const subscription = await billing.stripe.subscriptions.create({
      customer,
      items: [{ price: (await proPrice()).stripePriceId }],
      metadata,
    });
    expect(subscription.status).toBe("active");
    return { customer, subscription: subscription.id, events: await billing.freshEvents() };
  }

  async function grantsInAll(): Promise<number> {
    const [row] = await billing.sql<{ count: number }>("SELECT count(*)::int AS count FROM credit_grants");
    return row?.count ?? -1;
  }

  it("of a customer whom we do not know is kept, told to an admin, and grants nothing", async () => {
    const before = await grantsInAll();
    const { events, subscription } = await strangersSubscription({});
    await billing.settle(events);
    const listened = await Promise.all(
      events.filter(({ type }) => targetOf(type) !== null).map(({ id }) => stored(id)),
    );
    expect(listened.length).toBeGreaterThan(2);
    expect(new Set(listened.map((row) => row?.status))).toEqual(new Set(["quarantined"]));
    expect(await grantsInAll()).toBe(before);
    expect(await alerts("unknown_customer")).toContainEqual({ subject: subscription, organization: null });
  });

  it("whose metadata names an organization that does not exist, or is no id, grants nothing", async () => {
    const before = await grantsInAll();
    for (const organizationId of ["00000000-0000-7000-8000-00000000dead", "'; DROP TABLE organizations; --"]) {
      const { events } = await strangersSubscription({ organizationId });
      await billing.settle(events);
    }
    expect(await grantsInAll()).toBe(before);
  });

  it("whose metadata names another organization than its customer's is refused and told", async () => {
    const { tenant: victim, events: own } = await subscribed();
    await billing.settle(own);
    const { tenant: thief, events: theirs } = await subscribed();
    await billing.settle(theirs);
    const before = [await snapshot(victim.id), await snapshot(thief.id)];
    const [row] = await billing.sql<{ customer: string }>(
      "SELECT stripe_customer_id AS customer FROM organizations WHERE id = $1",
      [victim.id],
    );
    const { events, subscription } = await strangersSubscription({ organizationId: thief.id }, row?.customer);
    await billing.settle(events);
    expect([await snapshot(victim.id), await snapshot(thief.id)]).toEqual(before);
    expect(await alerts("customer_mismatch")).toContainEqual({ subject: subscription, organization: null });
    // Nor may a stranger's customer claim an organization that has one.
    const foreign = await strangersSubscription({ organizationId: thief.id });
    await billing.settle(foreign.events);
    expect(await snapshot(thief.id)).toEqual(before[1]);
    expect(await alerts("customer_mismatch")).toContainEqual({ subject: foreign.subscription, organization: null });
  });

  it("that comes before we stored the customer finds its organization by metadata, and links it", async () => {
    const { tenant, events } = await subscribed();
    await billing.sql("UPDATE organizations SET stripe_customer_id = NULL WHERE id = $1", [tenant.id]);
    await billing.sql("DELETE FROM checkout_sessions WHERE organization_id = $1", [tenant.id]);
    await billing.settle([only(events, "invoice.paid")]);
    const [row] = await billing.sql("SELECT stripe_customer_id FROM organizations WHERE id = $1", [tenant.id]);
    expect(row).toEqual({ stripe_customer_id: expect.stringMatching(/^cus_/) });
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("tells a payload of older days, and is right all the same, because the object is read again", async () => {
    const { tenant, events } = await subscribed();
    const paid = only(events, "invoice.paid");
    const old = {
      ...paid,
      api_version: "2019-05-16",
      data: { object: { ...paid.data.object, parent: null, lines: null, total: 1, status: "draft" } },
    } as unknown as Stripe.Event;
    await billing.settle([old]);
    expect(await snapshot(tenant.id)).toMatchObject({ balance: 6000, subscription: [{ status: "active" }] });
  });

  it("of an object that Stripe does not have any more is finished, not tried for ever", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const [row] = await billing.sql<{ customer: string; subscription: string }>(
      `SELECT o.stripe_customer_id AS customer, s.stripe_subscription_id AS subscription
       FROM organizations o JOIN organization_subscriptions s ON s.organization_id = o.id WHERE o.id = $1`,
      [tenant.id],
    );
    const customer = row?.customer;
    const before = await snapshot(tenant.id);
    for (const [type, object] of [
      ["invoice.paid", { id: "in_gone", object: "invoice", customer }],
      ["customer.subscription.updated", { id: "sub_gone", object: "subscription", customer }],
      ["checkout.session.completed", { id: "cs_test_gone", object: "checkout.session", customer }],
      ["payment_intent.succeeded", { id: "pi_gone", object: "payment_intent", customer }],
    ] as const) {
      const event = makeEvent(type, object);
      await billing.settle([event]);
      expect(await stored(event.id), type).toMatchObject({ status: "done", next: null });
    }
    expect(await snapshot(tenant.id)).toEqual(before);
    // What we hold to be live, and Stripe has no more, has ended; the one that Stripe has in its place is found.
    await billing.sql(
      "UPDATE organization_subscriptions SET stripe_subscription_id = 'sub_lost' WHERE organization_id = $1",
      [tenant.id],
    );
    await billing.settle([
      makeEvent("customer.subscription.updated", { id: "sub_lost", object: "subscription", customer }),
    ]);
    expect((await snapshot(tenant.id)).subscription).toMatchObject([
      { status: "cancelled", ended_at: NOW },
      { status: "active", ended_at: null },
    ]);
  });
});

// ── Copies and order ───────────────────────────────────────────────────────────────────────────────────────

describe("copies", () => {
  it("of one event, twenty at the same time, have one effect and are all answered 200", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const answer = await deliver(event, NOW);
        await processEvent(event.id, NOW);
        return answer.status;
      }),
    );
    expect(answers).toEqual(Array(20).fill(200));
    expect(await stored(event.id)).toMatchObject({ status: "done", deliveries: 20, attempts: 1 });
    expect(await snapshot(tenant.id)).toMatchObject({ balance: 6000, ledger: [["grant", 6000, 6000]] });
  });

  it("of one change under two names grant once, one after the other or at once", async () => {
    for (const atOnce of [false, true]) {
      const { tenant, events } = await subscribed();
      const pair = [only(events, "invoice.paid"), only(events, "invoice.payment_succeeded")];
      if (atOnce) await Promise.all(pair.map((event) => billing.settle([event])));
      else await billing.settle(pair);
      expect(await snapshot(tenant.id)).toMatchObject({ balance: 6000, ledger: [["grant", 6000, 6000]] });
    }
  });

  it("that come after everything is done change nothing", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const before = await snapshot(tenant.id);
    expect(await billing.settleOneByOne(events)).toEqual(events.map(() => null));
    // Nor does the same fact under a new event id.
    await billing.settleOneByOne(events.map((event) => ({ ...event, id: `${event.id}_again` }) as Stripe.Event));
    expect(await snapshot(tenant.id)).toEqual(before);
  });
});

describe("the events of a first payment", () => {
  it("end in the same rows in any order and with copies", { timeout: 300_000 }, async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const expected = await snapshot(tenant.id);
    expect(expected).toMatchObject({
      balance: 6000,
      subscription: [{ status: "active", key: "pro" }],
      changes: [{ from_status: null, to_status: "active" }],
      history: [{ kind: "invoice", status: "paid", amount: "4900", currency: "usd" }],
      checkouts: [{ kind: "subscription", status: "paid" }],
      alerts: [],
    });
    const seed = Number(process.env.BILLFOLD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    console.log(`orders of events: BILLFOLD_TEST_SEED=${seed}`);
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat({ max: 2 ** 30 })), async (numbers) => {
        const { tenant: other, events: theirs } = await subscribed();
        const next = () => numbers.next().value as number;
        const doubled = [...theirs, ...theirs.filter(() => next() % 3 === 0)];
        const shuffled = doubled
          .map((event) => ({ event, rank: next() }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ event }) => event);
        await billing.settleOneByOne(shuffled);
        expect(await snapshot(other.id), shuffled.map(({ type }) => type).join(" → ")).toEqual(expected);
      }),
      { numRuns: 16, seed, endOnFailure: true },
    );
  });

  it("end in the same rows when all are processed at the same time", async () => {
    const { tenant, events } = await subscribed();
    await Promise.all(events.map((event) => deliver(event, NOW)));
    for (let round = 0; round < 5; round++) await Promise.all(events.map(({ id }) => processEvent(id, NOW)));
    const once = await subscribed();
    await billing.settle(once.events);
    expect(await snapshot(tenant.id)).toEqual(await snapshot(once.tenant.id));
  });
});

describe("an event that comes late", () => {
  it("does not bring a cancelled subscription back, nor an old state", async () => {
    const { tenant, events } = await subscribed();
    const created = only(events, "customer.subscription.created");
    await billing.settle(events.filter((event) => event !== created));
    const subscription = (created.data.object as Stripe.Subscription).id;
    await billing.stripe.subscriptions.cancel(subscription);
    await billing.settle();
    const before = await snapshot(tenant.id);
    expect(before.subscription).toMatchObject([{ status: "cancelled" }]);
    await billing.settle([
      created,
      { ...created, id: `${created.id}_late`, type: "customer.subscription.updated" } as never,
    ]);
    expect(await snapshot(tenant.id)).toEqual(before);
  });
});

// ── Crashes and outages ────────────────────────────────────────────────────────────────────────────────────

describe("work that was interrupted", () => {
  it("after the event was stored is taken up by the sweep", async () => {
    const { tenant, events } = await subscribed();
    for (const event of events) await deliver(event, NOW);
    expect((await snapshot(tenant.id)).balance).toBe(0);
    await sweepStripeEvents();
    expect((await snapshot(tenant.id)).balance).toBe(6000);
    for (const { id } of events) expect(["done", "ignored"]).toContain((await stored(id))?.status);
  });

  it("by the death of its worker is taken over when its lease has ended, not before", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    await deliver(event, NOW);
    const lease = (interval: string) =>
      billing.sql(
        `UPDATE stripe_events SET status = 'processing', attempts = 1, lease_until = clock_timestamp() + $2::interval WHERE id = $1`,
        [event.id, interval],
      );
    await lease("20 seconds");
    expect(await processEvent(event.id, NOW)).toBeNull();
    expect(await listEventsToProcess(NOW, 1000)).not.toContain(event.id);
    await lease("-1 second");
    expect(await listEventsToProcess(NOW, 1000)).toContain(event.id);
    await Promise.all([1, 2, 3].map(() => processEvent(event.id, NOW)));
    expect(await stored(event.id)).toMatchObject({ status: "done", attempts: 2 });
    expect((await snapshot(tenant.id)).ledger).toEqual([["grant", 6000, 6000]]);
  });

  it("after its effects were saved changes nothing when it is done again", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const before = await snapshot(tenant.id);
    await billing.sql(
      "UPDATE stripe_events SET status = 'processing', processed_at = NULL, lease_until = clock_timestamp() - interval '1 second' WHERE organization_id = $1",
      [tenant.id],
    );
    await sweepStripeEvents();
    expect(await snapshot(tenant.id)).toEqual(before);
  });

  it("leaves a lock that ends by itself", async () => {
    const { tenant, events } = await subscribed();
    await billing.sql(
      "INSERT INTO sync_locks (organization_id, holder, expires_at) VALUES ($1, gen_random_uuid(), clock_timestamp() + interval '1 second')",
      [tenant.id],
    );
    const started = performance.now();
    await billing.settle([only(events, "invoice.paid")]);
    expect(performance.now() - started).toBeGreaterThan(500);
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });
});

describe("while Stripe does not answer", () => {
  it("an event waits, the rows stay whole, and it is done when Stripe is back", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    const now = new Date();
    await deliver(event, now);
    billing.line.mode = "fails";
    expect(await processEvent(event.id, now)).toMatch(/BillingError/);
    const failed = await stored(event.id);
    expect(failed).toMatchObject({ status: "failed", attempts: 1 });
    const waits = ((failed?.next?.getTime() ?? 0) - now.getTime()) / 1000;
    expect(waits).toBeGreaterThanOrEqual(retryDelaySeconds(1));
    expect(waits).toBeLessThanOrEqual(retryDelaySeconds(1) * 1.2);
    expect(await snapshot(tenant.id)).toMatchObject({ balance: 0, subscription: [], history: [] });
    billing.line.mode = "up";
    const due = new Date(now.getTime() + waits * 1000);
    expect(await listEventsToProcess(now, 1000)).not.toContain(event.id);
    expect(await listEventsToProcess(due, 1000)).toContain(event.id);
    expect(await processEvent(event.id, due)).toContain("granted 6000");
    expect(await stored(event.id)).toMatchObject({ status: "done", attempts: 2, next: null });
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it.each(["/v1/invoices?", "/v1/subscriptions/"])(
    "an answer from %s that makes no sense is no answer either",
    async (path) => {
      const { tenant, events } = await subscribed();
      const event = only(events, "invoice.paid");
      await deliver(event, NOW);
      await billing.sql("UPDATE stripe_events SET attempts = 20 WHERE id = $1", [event.id]);
      billing.line.bend = (asked, answer) => (asked.startsWith(path) ? { message: "no such route" } : answer);
      await processEvent(event.id, NOW);
      expect(await stored(event.id)).toMatchObject({ status: "failed", attempts: 21 });
      expect(await snapshot(tenant.id)).toMatchObject({ balance: 0, subscription: [] });
      billing.line.bend = null;
      await processEvent(event.id, minutesLater(24 * 60));
      expect((await snapshot(tenant.id)).balance).toBe(6000);
    },
  );

  it("a preview of the next invoice that cannot be had does not hold back what is paid", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    await deliver(event, NOW);
    billing.line.bend = (asked, answer) =>
      asked.startsWith("/v1/invoices/create_preview") ? { message: "no such route" } : answer;
    await processEvent(event.id, NOW);
    expect(await stored(event.id)).toMatchObject({ status: "done", attempts: 1 });
    expect(await snapshot(tenant.id)).toMatchObject({ balance: 6000 });
  });

  it("waiting for it uses up none of the tries that a fault of ours has", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    await deliver(event, NOW);
    billing.line.mode = "limited";
    let now = NOW;
    for (let attempt = 1; attempt <= 9; attempt++) {
      await processEvent(event.id, now);
      now = minutesLater(120, now);
    }
    billing.line.mode = "up";
    billing.line.bend = withoutLines;
    await processEvent(event.id, now);
    expect(await stored(event.id)).toMatchObject({ status: "failed", attempts: 10 });
    billing.line.bend = null;
    await processEvent(event.id, minutesLater(120, now));
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("too many requests are no reason to give up either", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    await deliver(event, NOW);
    await billing.sql("UPDATE stripe_events SET attempts = 20 WHERE id = $1", [event.id]);
    billing.line.mode = "limited";
    await processEvent(event.id, NOW);
    expect(await stored(event.id)).toMatchObject({ status: "failed", attempts: 21 });
    billing.line.mode = "up";
    await processEvent(event.id, minutesLater(24 * 60));
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });
});

describe("an event that fails every time", () => {
  it("is tried eight times, then left with its error and an alert, while the others go on", async () => {
    const { tenant, events } = await subscribed();
    const event = only(events, "invoice.paid");
    await deliver(event, NOW);
    billing.line.bend = withoutLines;
    let now = NOW;
    for (let attempt = 1; attempt <= 8; attempt++) {
      expect((await stored(event.id))?.status).toBe(attempt === 1 ? "received" : "failed");
      await processEvent(event.id, now);
      expect((await stored(event.id))?.attempts).toBe(attempt);
      now = minutesLater(60, now);
    }
    expect(await stored(event.id)).toMatchObject({
      status: "dead",
      outcome: expect.stringContaining("TypeError"),
      next: null,
    });
    expect(await processEvent(event.id, now)).toBeNull();
    expect((await alerts("event_dead")).map(({ subject }) => subject)).toContain(event.id);
    expect(await snapshot(tenant.id)).toMatchObject({ balance: 0, subscription: [] });
    billing.line.bend = null;
    await billing.settle([only(events, "invoice.payment_succeeded")]);
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });
});

describe("a status that we have never heard of", () => {
  it("leaves access as it was, and opens one alert", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const subscription = (only(events, "customer.subscription.created").data.object as Stripe.Subscription).id;
    billing.line.bend = (path, answer) =>
      path.startsWith(`/v1/subscriptions/${subscription}`) ? { ...answer, status: "hibernating" } : answer;
    for (const id of ["evt_hibernate_1", "evt_hibernate_2"]) {
      const event = { ...only(events, "customer.subscription.created"), id, type: "customer.subscription.updated" };
      await billing.settle([event as Stripe.Event]);
      expect((await stored(id))?.status).toBe("done");
    }
    const after = await snapshot(tenant.id);
    expect(after.subscription).toMatchObject([{ status: "active", stripe_status: "hibernating" }]);
    expect(after.balance).toBe(6000);
    expect(after.alerts).toEqual([{ kind: "unknown_status", subject: subscription, open: true }]);
  });
});

describe("the worker", () => {
  it("processes what is delivered, sixty events of one customer at once included", { timeout: 90_000 }, async () => {
    const { tenant, events } = await subscribed();
    const worker = await startWorker();
    try {
      const copies = Array.from({ length: 10 }, (_, round) =>
        events.map((event) => ({ ...event, id: `${event.id}_w${round}` }) as Stripe.Event),
      ).flat();
      const statuses = await Promise.all(copies.map(async (event) => (await deliver(event, new Date())).status));
      expect(new Set(statuses)).toEqual(new Set([200]));
      await vi.waitFor(
        async () => {
          const [row] = await billing.sql<{ open: number }>(
            "SELECT count(*)::int AS open FROM stripe_events WHERE id = ANY($1) AND status NOT IN ('done', 'ignored')",
            [copies.map(({ id }) => id)],
          );
          expect(row?.open).toBe(0);
        },
        { timeout: 60_000, interval: 200 },
      );
    } finally {
      await worker.stop();
    }
    // By the worker's own clock the lot has expired long ago; at the turn of a minute its job says so.
    const { ledger } = await snapshot(tenant.id);
    expect(ledger.filter(([type]) => type !== "expiry")).toEqual([["grant", 6000, 6000]]);
    await expectLawfulLedger(billing.sql, tenant.id);
  });
});
