// What arrives at the webhook's door, and what holds afterwards.
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { processEvent } from "~/server/webhooks/process";
import { receiveEvent } from "~/server/webhooks/receive";
import { callAs, daysLater, deliver, delivery, makeEvent, PLATFORM, WEBHOOK_SECRET } from "../../setup/billing";
import { again, type Companies, ofType, openCollector, openCompanies } from "../../setup/companies";
import { NOW } from "../../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());
afterEach(() => {
  world.billing.line.bend = null;
});

const body = JSON.stringify(makeEvent("ping", { object: "ping" }));
const answerTo = async (payload: string, options: Parameters<typeof delivery>[1] = {}) =>
  (await receiveEvent(delivery(payload, options), NOW)).status;

async function stored(): Promise<number> {
  const [row] = await world.sql<{ count: number }>("SELECT count(*)::int AS count FROM stripe_events");
  return row?.count ?? -1;
}

/** What the app's log warns of, meanwhile. */
async function warningsOf(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  const spies = (["log", "warn", "error"] as const).map((level) =>
    vi.spyOn(console, level).mockImplementation((...said) => void lines.push(said.join(" "))),
  );
  await work().finally(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return lines;
}

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

describe("delivery", () => {
  it("no signature, empty, malformed, wrong secret, one byte changed, t too old", async () => {
    const before = await stored();
    const good = Stripe.webhooks.generateTestHeaderString({ payload: body, secret: WEBHOOK_SECRET });
    const changed = body.replace("ping", "pong");
    const warnings = await warningsOf(async () => {
      for (const signature of [null, "", "nonsense", "t=1,v1=", good.slice(0, -1)]) {
        expect(await answerTo(body, { signature }), String(signature)).toBe(400);
      }
      expect(await answerTo(body, { secret: "whsec_another" })).toBe(400);
      expect(await answerTo(changed, { signature: good })).toBe(400);
      expect(await answerTo(body, { signedAt: new Date(Date.now() - 301_000) })).toBe(400);
    });
    expect(await stored()).toBe(before);
    // Each is a line that operators can count.
    expect(warnings.filter((line) => line.includes("webhook refused"))).toHaveLength(8);
    expect(await answerTo(body, { signature: good })).toBe(200);
    expect(await stored()).toBe(before + 1);
  });

  it("secret unset or blank", async () => {
    for (const secrets of [undefined, "", "  ", ","]) {
      await withSecrets(secrets, async (receive) => {
        for (const secret of [" ", WEBHOOK_SECRET]) {
          expect((await receive(delivery(body, { secret }), NOW)).status, JSON.stringify(secrets)).toBe(503);
        }
      });
    }
  });

  it("signed with the old or the new secret while both are configured", async () => {
    const by = (secret: string) => delivery(body, { secret });
    await withSecrets("whsec_new, whsec_old", async (receive) => {
      expect((await receive(by("whsec_new"), NOW)).status).toBe(200);
      expect((await receive(by("whsec_old"), NOW)).status).toBe(200);
    });
    await withSecrets("whsec_new", async (receive) => {
      expect((await receive(by("whsec_new"), NOW)).status).toBe(200);
      expect((await receive(by("whsec_old"), NOW)).status).toBe(400);
    });
  });

  it("signed, but not JSON, or of another shape, or no id; a thin event", async () => {
    const event = JSON.parse(body);
    const before = await stored();
    for (const payload of [
      "not JSON",
      '{"a":1}',
      JSON.stringify({ ...event, id: undefined }),
      JSON.stringify({ ...event, object: "v2.core.event", data: undefined, created: "2026-03-10T09:30:00.000Z" }),
    ]) {
      expect(await answerTo(payload), payload).toBe(400);
    }
    expect(await stored()).toBe(before);
  });

  it("10 MB body", async () => {
    const padded = (length: number) =>
      JSON.stringify(makeEvent("ping", { object: "ping", padding: "p".repeat(length) }));
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        if (sent > 10_000_000) controller.close();
        else controller.enqueue(new Uint8Array(65_536).fill(32));
      },
    });
    const { headers } = delivery(body);
    const request = new Request("http://localhost", {
      method: "POST",
      headers,
      body: endless,
      duplex: "half",
    } as object);
    expect((await receiveEvent(request, NOW)).status).toBe(413);
    expect(sent).toBeLessThan(4_000_000);
    expect(await answerTo(padded(100_000))).toBe(200);
  });

  it("unknown event type", async () => {
    const event = makeEvent("moon.landed", { id: "moon_1", object: "moon" });
    const calls = world.billing.line.calls.length;
    await world.settle([event]);
    expect(await world.statusOf(event.id)).toBe("ignored");
    expect(world.billing.line.calls).toHaveLength(calls);
  });

  it("livemode of the other mode", async () => {
    const company = await world.found();
    await company.checkOut("pro");
    const told = await world.freshEvents();
    const live = told.map((event) => ({ ...event, id: `${event.id}_live`, livemode: true }) as Stripe.Event);
    const calls = world.billing.line.calls.length;
    await world.settle(live);
    expect(world.billing.line.calls).toHaveLength(calls);
    expect(await company.rows()).toEqual([]);
    expect(await company.grants()).toEqual([]);
    expect(new Set(await Promise.all(live.map(({ id }) => world.statusOf(id))))).toEqual(new Set(["refused"]));
    await world.settle(told);
    expect(await company.grants()).toEqual([6000]);
  });

  it("event of an account or customer we do not know", async () => {
    const customer = await world.stripe.customers.create({ name: "A stranger" });
    const { id: method } = await world.stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
    await world.stripe.subscriptions.create({
      ...{ customer: customer.id, default_payment_method: method },
      items: [{ price: await world.priceOf("pro") }],
    });
    const [before] = await world.sql("SELECT count(*)::int AS count FROM credit_grants");
    const told = await world.freshEvents();
    await world.settle(told);
    const connected = {
      ...makeEvent("invoice.paid", { id: "in_x", object: "invoice", customer: "cus_x" }),
      account: "acct_other",
    };
    await world.settle([connected as Stripe.Event]);
    expect(await world.sql("SELECT count(*)::int AS count FROM credit_grants")).toEqual([before]);
    const [paid] = ofType(told, "invoice.paid");
    const events = callAs(PLATFORM).admin.events;
    expect(await events.get({ eventId: paid?.id ?? "" })).toMatchObject({ status: "quarantined", organization: null });
    expect((await events.list({ status: "quarantined" })).items.map(({ id }) => id)).toContain(connected.id);
  });

  it("payload in an older API version", async () => {
    const company = await world.found();
    const older = await openCollector(world.stripe, world.billing.sandbox.url, "2024-06-20");
    try {
      await company.checkOut("pro");
      await company.pass(daysLater(32));
      const told = await older.drain();
      const [invoice] = ofType(told, "invoice.paid");
      // Of those days: a subscription on the invoice itself, and a flag for what is paid.
      expect(invoice?.data.object).toMatchObject({ subscription: expect.stringMatching(/^sub_/), paid: true });
      expect(invoice?.api_version).toBe("2024-06-20");
      await world.settle(told);
      expect(await company.standing()).toEqual(["pro active"]);
      expect(await company.grants()).toEqual([6000, 6000]);
      await company.ledger();
    } finally {
      await world.stripe.webhookEndpoints.del(older.id);
      await older.close();
    }
  });

  it("a status we have never heard of", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    const strange = (path: string, answer: Record<string, unknown>) =>
      path.startsWith(`/v1/subscriptions/${id}`) ? { ...answer, status: "dreaming" } : answer;
    world.billing.line.bend = strange;
    await world.tellOf(
      "customer.subscription.updated",
      { id, object: "subscription", customer: company.customer },
      NOW,
    );
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.available()).toBe(6000);
    expect(await company.alerts()).toEqual(["unknown_status"]);
    world.billing.line.bend = null;
    await world.tellOf(
      "customer.subscription.updated",
      { id, object: "subscription", customer: company.customer },
      NOW,
    );
    expect(await company.alerts()).toEqual([]);
  });
});

describe("delivery, by somebody who means harm", () => {
  it("an event 29 days old", async () => {
    const company = await world.found();
    await company.checkOut("pro");
    const told = await world.freshEvents();
    const missing = (await company.invoices())[0]?.status;
    expect(missing).toBe("paid");
    await world.settle(told, daysLater(29));
    // It is as true as on its first day: the period goes on for two days more.
    expect(await company.lots()).toMatchObject([{ amount: 6000, expires: daysLater(31) }]);
    expect(await company.available(daysLater(29))).toBe(6000);
    expect(await company.available(daysLater(31))).toBe(0);
  });

  it("one body under two ids, one id over two bodies", async () => {
    const [company, other] = [await world.found(), await world.found()];
    await company.checkOut("pro");
    const told = await world.freshEvents();
    await world.settle(told);
    await world.settle(again(told));
    await other.checkOut("scale");
    const theirs = await world.freshEvents();
    // An id that was used is used: the other body is not looked at.
    const [mine] = ofType(told, "invoice.paid");
    const [paid] = ofType(theirs, "invoice.paid");
    expect((await deliver({ ...paid, id: mine?.id } as Stripe.Event, NOW)).status).toBe(200);
    expect(await processEvent(mine?.id ?? "", NOW)).toBeNull();
    expect(await company.grants()).toEqual([6000]);
    expect(await other.grants()).toEqual([]);
    await world.settle(theirs);
    expect(await other.grants()).toEqual([25_000]);
  });

  it("an event that lies: paid, ended or another's in its body alone", async () => {
    const [company, victim] = [await world.found(), await world.found()];
    await victim.subscribe("pro");
    const { id } = await victim.row();
    const [invoice] = await victim.invoices();
    const lies = { customer: company.customer, metadata: { organizationId: company.id } };
    await world.settle([
      makeEvent("customer.subscription.deleted", { id, object: "subscription", status: "canceled", ...lies }),
      makeEvent("invoice.voided", { id: invoice?.id, object: "invoice", status: "void", ...lies }),
      makeEvent("invoice.paid", { id: invoice?.id, object: "invoice", subscription: id, ...lies }),
      makeEvent("customer.deleted", { id: victim.customer, object: "customer", ...lies, customer: undefined }),
    ]);
    expect(await victim.standing()).toEqual(["pro active"]);
    expect(await victim.grants()).toEqual([6000]);
    expect(await company.rows()).toEqual([]);
    expect(await company.grants()).toEqual([]);
    const [row] = await world.sql("SELECT stripe_customer_id AS id FROM organizations WHERE id = $1", [victim.id]);
    expect(row).toEqual({ id: victim.customer });
  });
});
