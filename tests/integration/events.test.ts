// The log of events: what waits in quarantine and when it is taken up again, what is tried again and until when, replay by hand, what
// is put aside and what is forgotten.
import { spawn } from "node:child_process";
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { childEnv } from "~/cli/child-env";
import { ROOT } from "~/cli/demo-state";
import { asPlatform } from "~/server/db";
import { removeFinishedEvents, retryQuarantinedEvents, sweepStripeEvents } from "~/server/jobs/tasks/by-the-clock";
import { targetOf } from "~/server/stripe/events";
import { processEvent, retryDelaySeconds } from "~/server/webhooks/process";
import { storeEvent } from "~/server/webhooks/receive";
import { replayEvents, retryQuarantined } from "~/server/webhooks/replay";
import { removeOldEvents } from "~/server/webhooks/retention";
import {
  type Billing,
  callAs,
  DAY_MS,
  daysLater,
  deliver,
  expectLawfulLedger,
  makeEvent,
  openBilling,
  PLATFORM,
  quietLogs,
} from "../setup/billing";
import { eventTools, only } from "../setup/events";
import { codeOf, createPerson, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
});
afterAll(() => billing.close());
afterEach(() => {
  Object.assign(billing.line, { mode: "up", retryAfter: null, bend: null });
});
const { stored, alerts, subscribed, snapshot, proPrice } = eventTools(() => billing);
const log = callAs(PLATFORM).admin.events;

const listened = (events: Stripe.Event[]) => events.filter(({ type }) => targetOf(type) !== null);
const subjects = async (kind: string) => (await alerts(kind)).map(({ subject }) => subject);

/** Answers that no release of ours can read. */
const unreadable = (path: string, answer: Record<string, unknown>) =>
  path.startsWith("/v1/subscriptions/") ? { ...answer, items: null } : answer;

/** An event that a fault of ours has used up all tries of. */
async function deadEvent() {
  const { tenant, events } = await subscribed();
  const paid = only(events, "invoice.paid");
  await deliver(paid, NOW);
  billing.line.bend = unreadable;
  for (let attempt = 0; attempt < 8; attempt++) await processEvent(paid.id, minutesLater(60 * attempt));
  billing.line.bend = null;
  expect(await stored(paid.id)).toMatchObject({ status: "dead", attempts: 8, faults: 8 });
  return { tenant, paid };
}

describe("an event that waits for Stripe", () => {
  it("waits for as long as Stripe asks for, and no longer than an hour", async () => {
    for (const [asked, atLeast] of [
      ["120", 120],
      ["3", retryDelaySeconds(1)],
      ["86400", 3600],
      ["Wed, 21 Oct 2026 07:28:00 GMT", retryDelaySeconds(1)],
    ] as const) {
      const { events } = await subscribed();
      const paid = only(events, "invoice.paid");
      await deliver(paid, NOW);
      Object.assign(billing.line, { mode: "limited", retryAfter: asked });
      await processEvent(paid.id, NOW);
      billing.line.mode = "up";
      const event = await stored(paid.id);
      expect(event).toMatchObject({ status: "failed", faults: 0 });
      const waits = ((event?.next?.getTime() ?? 0) - NOW.getTime()) / 1000;
      expect(waits, asked).toBeGreaterThanOrEqual(atLeast);
      expect(waits, asked).toBeLessThanOrEqual(atLeast * 1.2);
    }
  });

  it("lets all of its customer wait with it, so that Stripe is not asked again for each", async () => {
    const { events } = await subscribed();
    const all = listened(events);
    for (const event of all) await deliver(event, NOW);
    billing.line.mode = "limited";
    const before = billing.line.calls.length;
    await processEvent(only(events, "payment_intent.succeeded").id, NOW);
    expect(billing.line.calls.length - before).toBeLessThanOrEqual(2);
    for (const { id } of all) {
      expect((await stored(id))?.status).toBe("failed");
      expect((await stored(id))?.outcome).toContain("does not answer");
    }
    expect(await stored(only(events, "invoice.paid").id)).toMatchObject({ attempts: 0, faults: 0 });
  });

  it("is never given up before three days are over, and then dead; by hand it has three days again", async () => {
    const { tenant, events } = await subscribed();
    const paid = only(events, "invoice.paid");
    await deliver(paid, NOW);
    billing.line.mode = "fails";
    for (const hours of [0, 24, 48, 71.9]) {
      await processEvent(paid.id, minutesLater(hours * 60));
      expect(await stored(paid.id)).toMatchObject({ status: "failed", faults: 0 });
    }
    await processEvent(paid.id, minutesLater(73.5 * 60));
    expect(await stored(paid.id)).toMatchObject({ status: "dead", attempts: 5, next: null });
    expect(await subjects("event_dead")).toContain(paid.id);

    expect(await callAs(PLATFORM, daysLater(10)).admin.events.replay({ eventId: paid.id })).toEqual({
      id: paid.id,
      from: "dead",
      to: "received",
    });
    await processEvent(paid.id, daysLater(10));
    expect(await stored(paid.id)).toMatchObject({ status: "failed", attempts: 1 });
    billing.line.mode = "up";
    await processEvent(paid.id, daysLater(12));
    expect((await snapshot(tenant.id)).balance).toBe(6000);
    expect(await subjects("event_dead")).not.toContain(paid.id);
  });
});

describe("a fault of ours", () => {
  it("is tried eight times over some forty minutes", async () => {
    const { events } = await subscribed();
    const paid = only(events, "invoice.paid");
    // By the real clock: what is due is due by it.
    let now = new Date();
    const began = now.getTime();
    await deliver(paid, now);
    billing.line.bend = unreadable;
    for (let attempt = 1; attempt <= 8; attempt++) {
      await processEvent(paid.id, now);
      const event = await stored(paid.id);
      expect(event).toMatchObject({ attempts: attempt, faults: attempt, status: attempt < 8 ? "failed" : "dead" });
      if (attempt < 8) {
        // Not a moment before its time.
        expect(await processEvent(paid.id, new Date((event?.next?.getTime() ?? 0) - 1))).toBeNull();
        now = event?.next ?? now;
      }
    }
    const minutes = (now.getTime() - began) / 60_000;
    expect(minutes).toBeGreaterThan(40);
    expect(minutes).toBeLessThan(55);
  });
});

describe("an event in quarantine", () => {
  /** A subscription that somebody made at Stripe for a customer whom we do not know. */
  async function stranger(metadata: Record<string, string> = {}) {
    const { id: customer } = await billing.stripe.customers.create({
      payment_method: "pm_card_visa",
      invoice_settings: { default_payment_method: "pm_card_visa" },
    });
    const { id: subscription } = await billing.stripe.subscriptions.create({
      customer,
      items: [{ price: (await proPrice()).stripePriceId }],
      metadata,
    });
    return { customer, subscription, events: listened(await billing.freshEvents()) };
  }

  const statuses = async (events: Stripe.Event[]) =>
    [...new Set(await Promise.all(events.map(async ({ id }) => (await stored(id))?.status)))].join();

  /** As somebody does who links a customer by hand. */
  async function link(customer: string): Promise<string> {
    const { tenant } = await subscribed();
    await billing.sql("UPDATE organizations SET stripe_customer_id = $2 WHERE id = $1", [tenant.id, customer]);
    return tenant.id;
  }

  it("is taken up when its customer gets an organization, and its alert closes by itself", async () => {
    const { customer, subscription, events } = await stranger();
    await billing.settle(events, NOW);
    expect(await statuses(events)).toBe("quarantined");
    expect(await subjects("unknown_customer")).toContain(subscription);
    const other = await stranger();
    await billing.settle(other.events, NOW);

    const organizationId = await link(customer);
    expect(await asPlatform((tx) => retryQuarantined(tx, { customerId: customer }, NOW))).toBe(events.length);
    expect(await statuses(events)).toBe("received");
    expect(await statuses(other.events)).toBe("quarantined");
    await sweepStripeEvents();
    expect(await statuses(events)).toBe("done");
    expect((await snapshot(organizationId)).balance).toBe(6000);
    expect(await subjects("unknown_customer")).not.toContain(subscription);
    expect(await subjects("unknown_customer")).toContain(other.subscription);
    await expectLawfulLedger(billing.sql, organizationId);
  });

  it("is taken up by the clock within thirty days, and stays where it still is not known", async () => {
    const [known, old, unknown] = [await stranger(), await stranger(), await stranger()];
    // The job asks the real clock.
    const ago = (days: number) => new Date(Date.now() - days * DAY_MS);
    await billing.settle(known.events, ago(29));
    await billing.settle(old.events, ago(31));
    await billing.settle(unknown.events, ago(1));
    const organizationId = await link(known.customer);
    await billing.sql("UPDATE organizations SET stripe_customer_id = NULL WHERE id = $1", [organizationId]);
    const late = await link(old.customer);
    await billing.sql("UPDATE organizations SET stripe_customer_id = $2 WHERE id = $1", [
      organizationId,
      known.customer,
    ]);

    await retryQuarantinedEvents();
    await sweepStripeEvents();
    expect(await statuses(known.events)).toBe("done");
    expect(await statuses(old.events)).toBe("quarantined");
    expect(await statuses(unknown.events)).toBe("quarantined");
    expect((await snapshot(organizationId)).subscription).toMatchObject([{ status: "active" }]);

    // By hand at any time.
    for (const { id } of old.events) await log.replay({ eventId: id });
    await sweepStripeEvents();
    expect(await statuses(old.events)).toBe("done");
    expect((await snapshot(late)).subscription).toMatchObject([{ status: "active" }]);
  });

  it("whose metadata names somebody else waits too, and changes nothing", async () => {
    const { tenant, events: own } = await subscribed();
    await billing.settle(own);
    const before = await snapshot(tenant.id);
    const { events, subscription } = await stranger({ organizationId: tenant.id });
    await billing.settle(events, NOW);
    // An invoice may say less than its subscription, but none of them was taken for the organization's.
    expect(await statuses(events)).toBe("quarantined");
    expect(await subjects("customer_mismatch")).toContain(subscription);
    expect(await snapshot(tenant.id)).toEqual(before);
  });
});

describe("replay", () => {
  it("of a dead event works once the fault is mended, counts its tries anew, and closes its alert", async () => {
    const { tenant, paid } = await deadEvent();
    expect(await subjects("event_dead")).toContain(paid.id);
    expect(await log.replay({ eventId: paid.id })).toEqual({ id: paid.id, from: "dead", to: "received" });
    expect(await stored(paid.id)).toMatchObject({ status: "received", attempts: 0, faults: 0 });
    // Until it is done, it is not taken for mended.
    expect(await subjects("event_dead")).toContain(paid.id);
    expect(await processEvent(paid.id, minutesLater(600))).toContain("granted 6000");
    expect(await stored(paid.id)).toMatchObject({ status: "done", attempts: 1 });
    expect(await subjects("event_dead")).not.toContain(paid.id);
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("of what is done changes nothing, and of what nobody listens to leaves it as it is", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const before = await snapshot(tenant.id);
    const paid = only(events, "invoice.paid");
    expect(await log.replay({ eventId: paid.id })).toMatchObject({ from: "done", to: "received" });
    await processEvent(paid.id, NOW);
    expect(await stored(paid.id)).toMatchObject({ status: "done", attempts: 1 });
    expect(await snapshot(tenant.id)).toEqual(before);

    const ping = makeEvent("treasury.something_new", { id: "x_1", object: "something" });
    const live = { ...paid, id: "evt_live_replayed", livemode: true } as Stripe.Event;
    for (const [event, status] of [
      [ping, "ignored"],
      [live, "refused"],
    ] as const) {
      await deliver(event, NOW);
      expect(await log.replay({ eventId: event.id })).toEqual({ id: event.id, from: status, to: status });
      expect((await stored(event.id))?.status).toBe(status);
    }
  });

  it("takes up what an older release did not listen to, by what this one reads in its body", async () => {
    const { tenant, events } = await subscribed();
    const paid = only(events, "invoice.paid");
    await deliver(paid, NOW);
    await billing.sql(
      "UPDATE stripe_events SET status = 'ignored', target = NULL, object_id = NULL, customer_id = NULL, subscription_id = NULL WHERE id = $1",
      [paid.id],
    );
    expect(await log.replay({ eventId: paid.id })).toMatchObject({ from: "ignored", to: "received" });
    await processEvent(paid.id, NOW);
    expect(await log.get({ eventId: paid.id })).toMatchObject({
      target: "invoice",
      status: "done",
      organization: { id: tenant.id },
    });
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("is refused for what is being processed, and for what is not there", async () => {
    const { events } = await subscribed();
    const paid = only(events, "invoice.paid");
    await deliver(paid, NOW);
    await billing.sql(
      "UPDATE stripe_events SET status = 'processing', lease_until = clock_timestamp() + interval '20 seconds' WHERE id = $1",
      [paid.id],
    );
    expect(codeOf(await log.replay({ eventId: paid.id }).catch((error) => error))).toBe("BUSY");
    expect(codeOf(await log.replay({ eventId: "evt_of_nobody" }).catch((error) => error))).toBe("NOT_FOUND");
    await billing.sql("UPDATE stripe_events SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1", [
      paid.id,
    ]);
    expect(await log.replay({ eventId: paid.id })).toMatchObject({ from: "processing", to: "received" });
  });

  it("of a span takes what is dead, has failed or is in quarantine then, each once, in however many batches", async () => {
    await billing.sql("DELETE FROM stripe_events");
    await billing.sql(
      `
      INSERT INTO stripe_events (id, type, livemode, body, target, object_id, customer_id, status, attempts, faults, created_at, received_at, next_attempt_at)
      SELECT 'evt_span_' || n, CASE WHEN n % 2 = 0 THEN 'invoice.paid' ELSE 'invoice.voided' END, false, '{}', 'invoice', 'in_' || n, 'cus_' || n % 7,
        (ARRAY['dead', 'failed', 'quarantined', 'done'])[n % 4 + 1]::stripe_event_status, 8, 8, $1::timestamptz, $1::timestamptz + n * interval '1 minute',
        CASE WHEN n % 4 = 1 THEN '2099-01-01'::timestamptz END
      FROM generate_series(0, 2399) n`,
      [NOW],
    );
    const count = async (status: string) => {
      const [row] = await billing.sql<{ count: number }>(
        "SELECT count(*)::int AS count FROM stripe_events WHERE status::text = $1",
        [status],
      );
      return row?.count;
    };
    // Minutes 100 to 199: 25 of each.
    const span = { from: minutesLater(100), until: minutesLater(200) };
    expect(await log.replayMany(span)).toEqual({ replayed: 25, hasMore: false });
    expect([await count("dead"), await count("received")]).toEqual([575, 25]);
    expect(await log.replayMany({ ...span, statuses: ["failed", "quarantined"], type: "invoice.paid" })).toEqual({
      replayed: 25,
      hasMore: false,
    });
    expect([await count("failed"), await count("quarantined"), await count("received")]).toEqual([600, 575, 50]);
    const at = new Date();
    expect(await replayEvents({ statuses: ["dead", "failed", "quarantined"] }, at)).toEqual({
      replayed: 1750,
      hasMore: false,
    });
    // What fails again meanwhile is not taken twice by the same replay.
    await billing.sql("UPDATE stripe_events SET status = 'dead' WHERE id = 'evt_span_8'");
    expect(await replayEvents({ statuses: ["dead"] }, at)).toEqual({ replayed: 0, hasMore: false });
    expect(await replayEvents({ statuses: ["dead"] }, new Date(at.getTime() + 1))).toEqual({
      replayed: 1,
      hasMore: false,
    });
    expect([await count("received"), await count("done")]).toEqual([1800, 600]);
    await billing.sql("DELETE FROM stripe_events");
  });

  it("is a command too", async () => {
    const { tenant, paid } = await deadEvent();
    const ping = makeEvent("treasury.something_new", { id: "x_1", object: "something" });
    await deliver(ping, NOW);
    expect(await command([paid.id, ping.id, "evt_of_nobody"])).toEqual({
      code: 1,
      output: [
        `${paid.id}: was dead, is processed anew`,
        `${ping.id}: was ignored, is ignored again`,
        "evt_of_nobody: There is no such event.",
      ],
    });
    await sweepStripeEvents();
    expect((await snapshot(tenant.id)).balance).toBe(6000);

    const [first, second] = [await deadEvent(), await deadEvent()];
    await billing.sql("UPDATE stripe_events SET received_at = $2 WHERE id = $1", [first.paid.id, daysLater(-10)]);
    expect(await command(["--since", daysLater(-1).toISOString()])).toEqual({
      code: 0,
      output: ["1 event is processed anew."],
    });
    expect([(await stored(first.paid.id))?.status, (await stored(second.paid.id))?.status]).toEqual([
      "dead",
      "received",
    ]);
    expect(await command(["--dead"])).toEqual({ code: 0, output: ["1 event is processed anew."] });
    for (const args of [[], ["--dead", paid.id], ["--since", "yesterday"], ["--everything"]]) {
      expect((await command(args)).code, args.join(" ")).toBe(2);
    }
  });

  async function command(args: string[]): Promise<{ code: number | null; output: string[] }> {
    const child = spawn(process.execPath, ["--import", "tsx/esm", "src/cli/events-replay.ts", ...args], {
      cwd: ROOT,
      env: childEnv({
        DATABASE_URL: billing.database.url,
        STRIPE_SECRET_KEY: process.env.STRIPE_SECRET_KEY,
        NEXTAUTH_URL: "http://localhost:3000",
        NEXTAUTH_SECRET: "a secret that is long enough for tests",
      }) as NodeJS.ProcessEnv,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return {
      code,
      output: output
        .trim()
        .split("\n")
        .sort((a, b) => Number(a.startsWith("evt_of")) - Number(b.startsWith("evt_of"))),
    };
  }
});

describe("what is put aside", () => {
  it("is dead or in quarantine, keeps the reason and what it was, and closes its alerts", async () => {
    const { paid } = await deadEvent();
    await log.ignore({ eventId: paid.id, reason: "a test of the bank's" });
    expect(await stored(paid.id)).toMatchObject({
      status: "ignored",
      outcome: expect.stringMatching(/^put aside by key:\S+: a test of the bank's \(was dead: TypeError/),
    });
    expect(await subjects("event_dead")).not.toContain(paid.id);
    expect(await processEvent(paid.id, daysLater(1))).toBeNull();

    const event = makeEvent("invoice.paid", { id: "in_strange", object: "invoice", customer: "cus_strange" });
    const twin = makeEvent("invoice.paid", event.data.object as unknown as Record<string, unknown>);
    await billing.settle([event, twin]);
    expect(await subjects("unknown_customer")).toContain("in_strange");
    // As long as another event of the same object waits, there is something to look at.
    await log.ignore({ eventId: twin.id, reason: "another product's" });
    expect(await subjects("unknown_customer")).toContain("in_strange");
    await log.ignore({ eventId: event.id, reason: "another product's" });
    expect((await stored(event.id))?.status).toBe("ignored");
    expect(await subjects("unknown_customer")).not.toContain("in_strange");
    // It is not taken up by the clock again.
    await asPlatform((tx) => retryQuarantined(tx, {}, NOW));
    expect((await stored(event.id))?.status).toBe("ignored");
    const again = await log.ignore({ eventId: event.id, reason: "twice" }).catch((error) => error);
    expect(codeOf(again)).toBe("INVALID_INPUT");
  });
});

describe("the log", () => {
  it("is the platform's alone", async () => {
    const { tenant } = await subscribed();
    const service = { kind: "service", apiKeyId: tenant.id, keyName: "theirs", organizationId: tenant.id } as const;
    for (const actor of [null, tenant.owner, service]) {
      const { events } = callAs(actor).admin;
      for (const call of [
        () => events.list({}),
        () => events.get({ eventId: "evt_1" }),
        () => events.replay({ eventId: "evt_1" }),
        () => events.replayMany({}),
        () => events.ignore({ eventId: "evt_1", reason: "mine" }),
      ]) {
        expect(codeOf(await call().catch((error) => error))).toBe(actor ? "FORBIDDEN" : "UNAUTHENTICATED");
      }
    }
    const admin = await createPerson({ isPlatformAdmin: true });
    expect((await callAs(admin).admin.events.list({ limit: 1 })).items).toHaveLength(1);
  });

  it("shows events newest first, page by page, and by status, type, organization and id", async () => {
    await billing.sql("DELETE FROM stripe_events");
    const { tenant, events } = await subscribed();
    const all = listened(events);
    for (const event of all) await deliver(event, NOW);
    await deliver(all[0] as Stripe.Event, NOW);
    await sweepStripeEvents();
    const ping = makeEvent("treasury.something_new", { id: "x_1", object: "something" });
    await deliver(ping, minutesLater(1));

    // Those that came in one instant have an order too.
    const walked: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof log.list>> = await log.list({ limit: 2, cursor });
      expect(page.items.length).toBeLessThanOrEqual(2);
      walked.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor);
    expect(walked).toEqual([
      ping.id,
      ...all
        .map(({ id }) => id)
        .sort()
        .reverse(),
    ]);

    const ids = async (filter: Parameters<typeof log.list>[0]) => (await log.list(filter)).items.map(({ id }) => id);
    expect(await ids({ status: "ignored" })).toEqual([ping.id]);
    expect(await ids({ status: "dead" })).toEqual([]);
    expect((await ids({ organizationId: tenant.id })).sort()).toEqual(all.map(({ id }) => id).sort());
    const paid = only(events, "invoice.paid");
    expect(await ids({ type: "invoice.paid", status: "done" })).toEqual([paid.id]);
    expect(await ids({ id: paid.id })).toEqual([paid.id]);
    expect(codeOf(await log.list({ cursor: "nonsense" }).catch((error) => error))).toBe("INVALID_INPUT");

    expect(await log.get({ eventId: paid.id })).toMatchObject({
      id: paid.id,
      type: "invoice.paid",
      status: "done",
      source: "webhook",
      objectId: (paid.data.object as Stripe.Invoice).id,
      organization: { id: tenant.id, slug: tenant.slug, name: "Northwind" },
      attempts: 1,
      faults: 0,
      deliveries: 1,
      createdAt: new Date(paid.created * 1000),
      receivedAt: NOW,
      body: JSON.stringify(paid),
      apiVersion: paid.api_version,
    });
    expect((await log.get({ eventId: all[0]?.id ?? "" })).deliveries).toBe(2);
    expect(codeOf(await log.get({ eventId: "evt_of_nobody" }).catch((error) => error))).toBe("NOT_FOUND");
  });

  it("says of an event whether it came by itself or was found undelivered, and stores it once", async () => {
    const { events } = await subscribed();
    const paid = only(events, "invoice.paid");
    const found = { event: paid, body: JSON.stringify(paid), source: "reconciler" } as const;
    expect(await storeEvent(found, NOW)).toBe(true);
    expect(await storeEvent(found, NOW)).toBe(false);
    expect(await log.get({ eventId: paid.id })).toMatchObject({
      source: "reconciler",
      status: "received",
      deliveries: 2,
    });
    await deliver(paid, NOW);
    expect(await log.get({ eventId: paid.id })).toMatchObject({ source: "reconciler", deliveries: 3 });
  });
});

describe("events that were finished long ago", () => {
  it("are removed after ninety days; those that a person must look at, or that are not finished, stay", async () => {
    await billing.sql("DELETE FROM stripe_events");
    const make = (id: string, status: string, days: number, count = 1) =>
      billing.sql(
        `INSERT INTO stripe_events (id, type, livemode, body, status, created_at, received_at, processed_at)
         SELECT $1 || n, 'invoice.paid', false, '{}', $2::stripe_event_status, t, t, t
         FROM generate_series(1, $4) n, LATERAL (SELECT $5::timestamptz - $3 * interval '1 day') at (t)`,
        [id, status, days, count, NOW],
      );
    for (const status of ["done", "ignored", "refused"]) {
      await make(`${status}_old_`, status, 91, 900);
      await make(`${status}_young_`, status, 89);
    }
    for (const status of ["dead", "quarantined", "failed", "received", "processing"])
      await make(`${status}_old_`, status, 400);
    // Done late: Stripe may still tell of it.
    await make("late_", "done", 91);
    await billing.sql("UPDATE stripe_events SET processed_at = $1 WHERE id = 'late_1'", [daysLater(-5)]);

    // A thousand at a time, and no more than there is time for.
    expect(await removeOldEvents(NOW, 0)).toBe(1000);
    expect(await removeOldEvents(NOW, 20_000)).toBe(1700);
    const left = await billing.sql<{ id: string }>("SELECT id FROM stripe_events ORDER BY id");
    expect(left.map(({ id }) => id)).toEqual([
      "dead_old_1",
      "done_young_1",
      "failed_old_1",
      "ignored_young_1",
      "late_1",
      "processing_old_1",
      "quarantined_old_1",
      "received_old_1",
      "refused_young_1",
    ]);
    // The job by the real clock.
    await removeFinishedEvents();
    const [row] = await billing.sql("SELECT count(*)::int AS count FROM stripe_events");
    expect(row).toEqual({ count: 5 });
  });
});
