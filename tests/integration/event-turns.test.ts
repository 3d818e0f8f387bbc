// Events that wait together: those of one object are done with one look at Stripe, those of one customer one after the other, and
// neither a customer of whom there is much nor one whose organization is held keeps the others waiting.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { asPlatform } from "~/server/db";
import { enqueue } from "~/server/db/enqueue";
import { sweepStripeEvents } from "~/server/jobs/tasks/by-the-clock";
import { startWorker } from "~/server/jobs/worker";
import { targetOf } from "~/server/stripe/events";
import { listEventsToProcess } from "~/server/webhooks/claim";
import { processEvent } from "~/server/webhooks/process";
import {
  type Billing,
  callAs,
  daysLater,
  deliver,
  expectLawfulLedger,
  makeEvent,
  openBilling,
  quietLogs,
} from "../setup/billing";
import { eventTools, only, type Tenant } from "../setup/events";
import { NOW } from "../setup/tenancy";

let billing: Billing;
beforeAll(async () => {
  quietLogs();
  // Nobody listens there.
  billing = await openBilling({ SMTP_URL: "smtp://127.0.0.1:9" });
});
afterAll(() => billing.close());
afterEach(() => {
  billing.line.mode = "up";
  billing.line.bend = null;
});
const { stored, subscribed, snapshot } = eventTools(() => billing);

const listened = (events: Stripe.Event[]) => events.filter(({ type }) => targetOf(type) !== null);

/** The same fact under new event ids. */
const copies = (events: Stripe.Event[], count: number, name: string): Stripe.Event[] =>
  Array.from({ length: count }, (_, round) =>
    events.map((event) => ({ ...event, id: `${event.id}_${name}${round}` }) as Stripe.Event),
  ).flat();

/** How often Stripe was asked for an object while something went on. */
async function asked(path: string, work: () => Promise<unknown>): Promise<number> {
  const before = billing.line.calls.length;
  await work();
  return billing.line.calls.slice(before).filter((call) => call === `GET ${path}`).length;
}

const subscriptionOf = (events: Stripe.Event[]): string =>
  (only(events, "customer.subscription.created").data.object as Stripe.Subscription).id;

async function hint(id: string) {
  const [row] = await billing.sql(
    "SELECT target, object_id AS object, customer_id AS customer, subscription_id AS subscription FROM stripe_events WHERE id = $1",
    [id],
  );
  return row;
}

describe("what is kept beside an event", () => {
  it("is the object, the customer and the subscription that its body names", async () => {
    const { events } = await subscribed();
    const customer = (only(events, "invoice.paid").data.object as Stripe.Invoice).customer;
    const subscription = subscriptionOf(events);
    for (const [type, target, named] of [
      ["invoice.paid", "invoice", subscription],
      ["customer.subscription.created", "subscription", subscription],
      ["checkout.session.completed", "checkout_session", subscription],
      ["payment_intent.succeeded", "payment_intent", null],
    ] as const) {
      const event = only(events, type);
      await deliver(event, NOW);
      const object = (event.data.object as { id: string }).id;
      expect(await hint(event.id), type).toEqual({ target, object, customer, subscription: named });
    }
  });

  it("is the payment for a charge, a refund or a dispute, with the customer where we know whose the payment is", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const payment = (only(events, "payment_intent.succeeded").data.object as Stripe.PaymentIntent).id;
    const [row] = await billing.sql<{ customer: string }>(
      "SELECT stripe_customer_id AS customer FROM organizations WHERE id = $1",
      [tenant.id],
    );
    const kept = async (type: string, object: Record<string, unknown>) => {
      const event = makeEvent(type, object);
      expect((await deliver(event, NOW)).status).toBe(200);
      const found = await hint(event.id);
      await billing.sql("DELETE FROM stripe_events WHERE id = $1", [event.id]);
      return found;
    };
    const known = { target: "payment_intent", object: payment, customer: row?.customer, subscription: null };
    expect(
      await kept("refund.created", { id: "re_1", object: "refund", charge: "ch_1", payment_intent: payment }),
    ).toEqual(known);
    expect(
      await kept("charge.dispute.created", { id: "du_1", object: "dispute", payment_intent: { id: payment } }),
    ).toEqual(known);
    // What the body says of a customer is kept as it says it.
    expect(
      await kept("charge.refunded", { id: "ch_1", object: "charge", customer: "cus_1", payment_intent: payment }),
    ).toEqual({ ...known, customer: "cus_1" });
    const unknown = { target: "payment_intent", object: "ch_2", customer: null, subscription: null };
    expect(
      await kept("refund.updated", { id: "re_2", object: "refund", charge: "ch_2", payment_intent: null }),
    ).toEqual(unknown);
  });

  it("is nothing where the body's ids are none", async () => {
    for (const object of [
      { id: 7, object: "invoice", customer: 9, parent: "x" },
      { id: "in_\0", object: "invoice", customer: { id: "" }, parent: { subscription_details: { subscription: 5 } } },
      { object: "invoice", customer: "c".repeat(256), parent: { subscription_details: null } },
    ]) {
      const event = makeEvent("invoice.paid", object);
      expect((await deliver(event, NOW)).status).toBe(200);
      expect(await hint(event.id)).toEqual({ target: "invoice", object: null, customer: null, subscription: null });
      expect(await processEvent(event.id, NOW)).toBe("nothing to look at");
      expect(await stored(event.id)).toMatchObject({ status: "ignored", attempts: 1 });
    }
  });
});

describe("events of one object", () => {
  it("that wait together are done with one look at Stripe, and each says with which", async () => {
    const { tenant, events } = await subscribed();
    const paid = only(events, "invoice.paid");
    const all = [paid, ...copies([paid], 9, "same")];
    for (const event of all) await deliver(event, NOW);
    const looks = await asked(`/v1/subscriptions/${subscriptionOf(events)}`, () => processEvent(paid.id, NOW));
    expect(looks).toBe(1);
    const first = await stored(paid.id);
    expect(first).toMatchObject({ status: "done", attempts: 1, organization: tenant.id });
    expect(first?.outcome).toContain("granted 6000");
    for (const { id } of all.slice(1)) {
      const outcome = `done with ${paid.id}: ${first?.outcome}`;
      expect(await stored(id)).toMatchObject({ status: "done", attempts: 1, organization: tenant.id, outcome });
      // Its own job finds nothing to do, and asks nobody.
      expect(await asked("/", () => processEvent(id, NOW))).toBe(0);
      expect(await processEvent(id, NOW)).toBeNull();
    }
    expect((await snapshot(tenant.id)).ledger).toEqual([["grant", 6000, 6000]]);
  });

  it("of a renewal, some ten of them, cost two looks at the subscription, and grant once", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    await billing.setClock(daysLater(32));
    const renewal = listened(await billing.freshEvents()).filter((event) =>
      JSON.stringify(event).includes((only(events, "invoice.paid").data.object as Stripe.Invoice).customer as string),
    );
    expect(renewal.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["customer.subscription.updated", "invoice.paid", "payment_intent.succeeded"]),
    );
    const all = [...renewal, ...copies(renewal, 1, "told_twice")];
    expect(all.length).toBeGreaterThanOrEqual(8);
    for (const event of all) await deliver(event, daysLater(32));
    const looks = await asked(`/v1/subscriptions/${subscriptionOf(events)}`, () =>
      processEvent(all[0]?.id ?? "", daysLater(32)),
    );
    // The payment does not say which invoice it is for, so it looks by itself.
    expect(looks).toBe(2);
    for (const { id, type } of all) expect(await stored(id), type).toMatchObject({ status: "done", attempts: 1 });
    const after = await snapshot(tenant.id);
    expect(after.grants).toHaveLength(2);
    expect(after.history).toHaveLength(2);
    expect(after.subscription).toMatchObject([{ status: "active", current_period_start: daysLater(31) }]);
    await expectLawfulLedger(billing.sql, tenant.id);
  });

  it("that come after the claim are done by themselves afterwards, with what is true then", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const subscription = subscriptionOf(events);
    const told = {
      ...only(events, "customer.subscription.created"),
      id: "evt_before_the_change",
      type: "customer.subscription.updated",
    };
    await deliver(told as Stripe.Event, NOW);
    let late: Stripe.Event[] = [];
    // While the answer to the first look is on its way, the subscription is canceled at Stripe and we are told of it.
    billing.line.bend = async (path, answer) => {
      if (path.startsWith(`/v1/subscriptions/${subscription}`) && late.length === 0) {
        await billing.stripe.subscriptions.update(subscription, { cancel_at_period_end: true });
        late = listened(await billing.freshEvents());
        for (const event of late) await deliver(event, NOW);
        // Its job finds the customer's turn taken, and does not wait for it.
        for (const { id } of late) expect(await processEvent(id, NOW)).toBeNull();
      }
      return answer;
    };
    const looks = await asked(`/v1/subscriptions/${subscription}`, () => processEvent(told.id, NOW));
    expect(late.map(({ type }) => type)).toEqual(["customer.subscription.updated"]);
    expect(looks).toBe(2);
    expect(await stored(told.id)).toMatchObject({ status: "done", outcome: expect.not.stringContaining("done with") });
    expect(await stored(late[0]?.id ?? "")).toMatchObject({
      status: "done",
      attempts: 1,
      outcome: expect.not.stringContaining("done with"),
    });
    const [row] = await billing.sql(
      "SELECT cancels_at IS NOT NULL AS cancels FROM organization_subscriptions WHERE organization_id = $1",
      [tenant.id],
    );
    expect(row).toEqual({ cancels: true });
  });

  it("does not take a subscription for looked at because an invoice of it is gone", async () => {
    const { tenant, events } = await subscribed();
    await billing.settle(events);
    const subscription = subscriptionOf(events);
    await billing.stripe.subscriptions.cancel(subscription);
    const [deleted] = (await billing.freshEvents()).filter(({ type }) => type === "customer.subscription.deleted");
    const { customer } = only(events, "invoice.paid").data.object as Stripe.Invoice;
    const gone = makeEvent("invoice.payment_failed", {
      id: "in_gone",
      object: "invoice",
      customer,
      parent: { subscription_details: { subscription } },
    });
    await deliver(gone, NOW);
    await deliver(deleted as Stripe.Event, NOW);
    await processEvent(gone.id, NOW);
    expect((await stored(gone.id))?.status).toBe("done");
    expect(await stored(deleted?.id ?? "")).toMatchObject({
      status: "done",
      outcome: expect.stringContaining("cancelled"),
    });
    expect((await snapshot(tenant.id)).subscription).toMatchObject([{ status: "cancelled" }]);
  });

  it("go on where one of them fails by a fault of ours", async () => {
    const { tenant, events } = await subscribed();
    for (const event of listened(events)) await deliver(event, NOW);
    const paid = only(events, "invoice.paid");
    billing.line.bend = (path, answer) =>
      path.startsWith("/v1/checkout/sessions/cs_")
        ? { ...answer, line_items: 5, metadata: 5, customer: { id: 5 } }
        : answer;
    await processEvent(only(events, "checkout.session.completed").id, NOW);
    expect(await stored(only(events, "checkout.session.completed").id)).toMatchObject({ status: "failed" });
    expect(await stored(paid.id)).toMatchObject({ status: "done", attempts: 1 });
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });
});

describe("the turn of a customer", () => {
  const holdLock = (tenant: Tenant, seconds: number) =>
    billing.sql(
      "INSERT INTO sync_locks (organization_id, holder, expires_at) VALUES ($1, gen_random_uuid(), clock_timestamp() + make_interval(secs => $2))",
      [tenant.id, seconds],
    );

  it("that somebody else has is not waited for", async () => {
    const { events } = await subscribed();
    const [one, other] = [only(events, "invoice.paid"), only(events, "payment_intent.succeeded")];
    await deliver(one, NOW);
    await deliver(other, NOW);
    await billing.sql(
      "UPDATE stripe_events SET status = 'processing', lease_until = clock_timestamp() + interval '1 minute' WHERE id = $1",
      [one.id],
    );
    const began = performance.now();
    expect(await processEvent(other.id, NOW)).toBeNull();
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(await stored(other.id)).toMatchObject({ status: "received", attempts: 0 });
    // The worker that had it died: the other is done first, and the one along with it.
    await billing.sql("UPDATE stripe_events SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1", [
      one.id,
    ]);
    expect(await processEvent(other.id, NOW)).toContain("granted 6000");
    expect(await stored(one.id)).toMatchObject({ status: "done", attempts: 1 });
  });

  it("is looked for once for each customer, oldest first", async () => {
    await sweepStripeEvents();
    const [first, second] = [await subscribed(), await subscribed()];
    const day = (events: Stripe.Event[], from: number) =>
      Promise.all(listened(events).map((event, index) => deliver(event, daysLater(from + index))));
    await day(second.events, 1);
    await day(first.events, 10);
    const waiting = await listEventsToProcess(NOW, 10);
    expect(waiting).toEqual([listened(second.events)[0]?.id, listened(first.events)[0]?.id]);
    expect(await listEventsToProcess(NOW, 1)).toEqual(waiting.slice(0, 1));
    await sweepStripeEvents();
    expect(await listEventsToProcess(NOW, 10)).toEqual([]);
    for (const { tenant } of [first, second]) expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("of an organization that is held waits a while and is over, for all of its events", async () => {
    const { tenant, events } = await subscribed();
    for (const event of listened(events)) await deliver(event, NOW);
    await holdLock(tenant, 60);
    const began = performance.now();
    expect(await processEvent(only(events, "invoice.paid").id, NOW)).toContain("being brought up to date");
    expect(performance.now() - began).toBeLessThan(5_000);
    for (const { id } of listened(events)) expect((await stored(id))?.status).toBe("failed");
    // None of it was a fault.
    expect(await stored(only(events, "invoice.paid").id)).toMatchObject({ faults: 0, attempts: 1 });
    await billing.sql("DELETE FROM sync_locks WHERE organization_id = $1", [tenant.id]);
    await sweepStripeEvents();
    for (const { id } of listened(events)) expect((await stored(id))?.status).toBe("done");
    expect((await snapshot(tenant.id)).balance).toBe(6000);
  });

  it("that fails every time does not keep the others of a sweep from theirs", async () => {
    const [bad, good] = [await subscribed(), await subscribed()];
    const broken = subscriptionOf(bad.events);
    billing.line.bend = (path, answer) =>
      path.startsWith(`/v1/subscriptions/${broken}`) ? { ...answer, items: null } : answer;
    const now = new Date();
    for (const event of [...listened(bad.events), ...listened(good.events)]) await deliver(event, now);
    await sweepStripeEvents();
    expect((await snapshot(good.tenant.id)).balance).toBe(6000);
    expect((await snapshot(bad.tenant.id)).balance).toBe(0);
    expect(await stored(only(bad.events, "invoice.paid").id)).toMatchObject({ status: "failed", faults: 1 });
    // It is not due before its time, so the next sweeps leave it alone.
    await sweepStripeEvents();
    expect(await stored(only(bad.events, "invoice.paid").id)).toMatchObject({ attempts: 1 });
  });
});

describe("the worker", () => {
  it("keeps what was paid for where the mail about it cannot be sent: only the mail is tried again", async () => {
    const { tenant, events } = await subscribed();
    const paid = only(events, "invoice.paid");
    const worker = await startWorker();
    try {
      const mail = { to: "owner@example.com", subject: "Paid", text: "Paid", html: "<p>Paid</p>" };
      await asPlatform((tx) => enqueue(tx, "send-mail", mail, { key: "mail-of-the-test" }));
      await deliver(paid, new Date());
      await vi.waitFor(async () => expect((await stored(paid.id))?.status).toBe("done"), { timeout: 10_000 });
      await vi.waitFor(
        async () => {
          const [job] = await billing.sql(
            "SELECT attempts > 0 AS tried, last_error IS NOT NULL AS failed FROM graphile_worker.jobs WHERE key = 'mail-of-the-test'",
          );
          expect(job).toEqual({ tried: true, failed: true });
        },
        { timeout: 20_000, interval: 100 },
      );
    } finally {
      await worker.stop();
    }
    expect(await stored(paid.id)).toMatchObject({ status: "done", attempts: 1 });
    expect((await snapshot(tenant.id)).grants).toHaveLength(1);
  });

  it("does 500 events of one customer, and meanwhile one of another, which does not wait for them", {
    timeout: 120_000,
  }, async () => {
    const buyer = await subscribed();
    const [pack] = await callAs(null).creditProducts.list();
    for (let count = 0; count < 10; count++) {
      const { url } = await callAs(buyer.tenant.owner).creditProducts.checkout({
        organizationId: buyer.tenant.id,
        productId: pack?.id ?? "",
      });
      await billing.pay(url);
    }
    const facts = [...listened(buyer.events), ...listened(await billing.freshEvents())];
    const many = copies(facts, Math.ceil(500 / facts.length), "many").slice(0, 500);
    expect(many).toHaveLength(500);
    const other = await subscribed();
    const paid = only(other.events, "invoice.paid");

    let most = 0;
    const watch = setInterval(async () => {
      const [row] = await billing.sql<{ count: number }>(
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database()",
      );
      most = Math.max(most, row?.count ?? 0);
    }, 100);
    const worker = await startWorker();
    try {
      const statuses = await Promise.all(many.map(async (event) => (await deliver(event, new Date())).status));
      expect(new Set(statuses)).toEqual(new Set([200]));
      const began = performance.now();
      expect((await deliver(paid, new Date())).status).toBe(200);
      await vi.waitFor(async () => expect((await stored(paid.id))?.status).toBe("done"), {
        timeout: 10_000,
        interval: 20,
      });
      const otherMs = performance.now() - began;
      const ids = many.map(({ id }) => id);
      const open = async () => {
        const [row] = await billing.sql<{ open: number }>(
          "SELECT count(*)::int AS open FROM stripe_events WHERE id = ANY($1) AND status <> 'done'",
          [ids],
        );
        return row?.open;
      };
      await vi.waitFor(async () => expect(await open()).toBe(0), { timeout: 90_000, interval: 100 });
      console.log(
        `500 events of one customer: ${Math.round(performance.now() - began)} ms; one of another: ${Math.round(otherMs)} ms; connections: ${most}`,
      );
      // A fraction of a second, and this machine may have other things to do.
      expect(otherMs).toBeLessThan(5_000);
    } finally {
      clearInterval(watch);
      await worker.stop();
    }
    // The app's own pool of twenty and its two pipelines, the queue's six, and the test's four.
    expect(most).toBeLessThanOrEqual(32);
    const { ledger } = await snapshot(buyer.tenant.id);
    expect(ledger.filter(([type]) => type === "grant" || type === "purchase")).toHaveLength(11);
    await expectLawfulLedger(billing.sql, buyer.tenant.id);
    const [locks] = await billing.sql("SELECT count(*)::int AS count FROM sync_locks");
    expect(locks).toEqual({ count: 0 });
  });
});
