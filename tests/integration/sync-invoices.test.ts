// What one look at a subscription sees: all invoices of its period, what is owed and since when, and what is to come.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { daysLater, expectLawfulLedger, makeEvent } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const ofType = (events: readonly Stripe.Event[], ...types: string[]) =>
  events.filter(({ type }) => types.includes(type));

/** Something changes at Stripe that is nothing to us, so that we look again. */
async function touch(tenant: Tenant): Promise<void> {
  const { id } = await life.rowOf(tenant);
  await life.stripe.subscriptions.update(id, { metadata: { touched: String(Math.random()) } });
  await life.billing.settle();
}

describe("invoices of the period", () => {
  it("are seen whichever event comes: one of the subscription brings a change whose invoice nobody told of", async () => {
    const tenant = await life.subscribe("starter");
    await life.liveUntil(minutesLater(120, daysLater(14, life.now())));
    await life.liveUntil(daysLater(5, life.now()));
    await life.changePlan(tenant, "pro");
    const events = await life.billing.freshEvents();
    const [told] = ofType(events, "customer.subscription.updated");
    await life.billing.settle(told ? [told] : []);
    expect((await life.historyOf(tenant)).map(({ status, description }) => [status, description])).toEqual([
      ["paid", "Pro, upgrade from Starter"],
      ["paid", "Starter, monthly"],
    ]);
    const before = await life.grantsOf(tenant);
    await life.billing.settle(events);
    expect(await life.grantsOf(tenant)).toEqual(before);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("of two changes are both seen, though only the second is told of, which began a new period", async () => {
    const tenant = await life.subscribe("pro");
    await life.liveUntil(daysLater(3, life.now()));
    await life.changePlan(tenant, "scale");
    await life.billing.freshEvents();
    await life.liveUntil(daysLater(3, life.now()));
    await life.changePlan(tenant, "scale", {}, "year");
    const paid = ofType(await life.billing.freshEvents(), "invoice.paid");
    expect(paid).toHaveLength(1);
    await life.billing.settle(paid);
    const lines = await life.historyOf(tenant);
    expect(lines.map(({ status, description }) => [status, description])).toEqual([
      ["paid", "Scale, change from monthly to yearly"],
      ["paid", "Scale, upgrade from Pro"],
      ["paid", "Pro, monthly"],
    ]);
  });

  it("of periods that nobody told of are seen with the next event, and each is granted once", async () => {
    const tenant = await life.subscribe("pro");
    await life.passUntil(daysLater(95, life.now()));
    await touch(tenant);
    expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 6000, 6000]);
    expect(await life.historyOf(tenant)).toHaveLength(4);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("are read with a renewal in three calls, four where an invoice tells", async () => {
    const tenant = await life.subscribe("pro");
    const end = (await life.rowOf(tenant)).currentPeriodEnd;
    const events = await life.passUntil(minutesLater(120, end));
    const callsFor = async (type: string) => {
      const before = life.billing.line.calls.length;
      await life.billing.settle(ofType(events, type).slice(0, 1));
      return life.billing.line.calls.slice(before).map((call) => call.replace(/(sub|in)_\w+/, ":id"));
    };
    const look = ["GET /v1/subscriptions/:id", "GET /v1/invoices", "POST /v1/invoices/create_preview"];
    expect(await callsFor("customer.subscription.updated")).toEqual(look);
    const paid = await callsFor("invoice.paid");
    expect(paid.length).toBeLessThanOrEqual(4);
    expect(paid.slice(-3)).toEqual(look);
    expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
  });

  it("that are more than a page are all read", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    await life.liveUntil(daysLater(2, life.now()));
    await life.changePlan(tenant, "scale");
    await life.billing.freshEvents();
    // A page of Stripe's that ends after each invoice.
    let pages = 0;
    life.billing.line.bend = (path, answer) => {
      if (!path.startsWith("/v1/invoices?") || !path.includes(id)) return answer;
      pages += 1;
      const data = answer.data as { id: string }[];
      return { ...answer, data: data.slice(0, 1), has_more: data.length > 1 };
    };
    await touch(tenant);
    expect(pages).toBe(2);
    expect((await life.historyOf(tenant)).map(({ description }) => description)).toEqual([
      "Scale, upgrade from Pro",
      "Pro, monthly",
    ]);
  });

  it("of more than ten lines are read to the last", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const customer = (await life.customerOf(tenant)) ?? "";
    // Items that wait for the renewal come before its own line.
    for (let item = 1; item <= 12; item++) {
      await life.stripe.invoiceItems.create({
        ...{ customer, subscription: id, amount: 100, currency: "usd", description: `Item ${item}` },
      });
    }
    const end = (await life.rowOf(tenant)).currentPeriodEnd;
    const before = life.billing.line.calls.length;
    life.billing.line.bend = (path, answer) => {
      if (!path.startsWith("/v1/invoices?")) return answer;
      const data = answer.data as Stripe.Invoice[];
      // As Stripe embeds lines: ten of them.
      const cut = data.map((each) => ({
        ...each,
        lines: {
          ...each.lines,
          data: each.lines.data.filter((line) => line.amount === 100).slice(0, 10),
          has_more: true,
        },
      }));
      return { ...answer, data: cut };
    };
    await life.liveUntil(minutesLater(120, end));
    expect(life.billing.line.calls.slice(before).some((call) => /invoices\/in_\w+\/lines$/.test(call))).toBe(true);
    expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
    expect((await life.historyOf(tenant))[0]).toMatchObject({ amount: 6100, description: "Pro, monthly" });
  });
});

describe("what is owed", () => {
  it("is the oldest open invoice, since the first charge for it failed, until it is paid", async () => {
    const tenant = await life.subscribe("pro");
    const { currentPeriodEnd: end } = await life.rowOf(tenant);
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    await life.liveUntil(minutesLater(120, end));
    const first = await life.rowOf(tenant);
    const [charge] = (await life.stripe.charges.list({ customer: (await life.customerOf(tenant)) ?? "" })).data;
    const failedAt = new Date((charge?.created ?? 0) * 1000);
    expect(first).toMatchObject({
      status: "past_due",
      pastDueSince: failedAt,
      nextInvoice: null,
      openInvoice: { amount: 4900, currency: "usd" },
    });
    expect(first.openInvoice?.url).toMatch(/^http/);
    expect(Date.parse(first.openInvoice?.nextAttemptAt ?? "")).toBeGreaterThan(life.now().getTime());

    // Tried again in vain: it is overdue since the first failure all the same, whenever we look.
    await life.liveUntil(daysLater(5, end));
    expect((await life.rowOf(tenant)).pastDueSince).toEqual(failedAt);
    await life.sql(
      "UPDATE organization_subscriptions SET past_due_since = NULL, open_invoice = NULL WHERE organization_id = $1",
      [tenant.id],
    );
    await touch(tenant);
    expect(await life.rowOf(tenant)).toMatchObject({
      pastDueSince: failedAt,
      openInvoice: { id: first.openInvoice?.id },
    });

    await life.changeCard(tenant, "pm_card_visa");
    await life.stripe.invoices.pay(first.openInvoice?.id ?? "");
    await life.billing.settle();
    expect(await life.rowOf(tenant)).toMatchObject({ status: "active", pastDueSince: null, openInvoice: null });
    expect(await life.alertsOf(tenant)).toEqual([]);
  });

  it("is nothing once its invoice is voided, and of no use where the subscription has ended", async () => {
    const tenant = await life.subscribe("pro");
    const { id, currentPeriodEnd: end } = await life.rowOf(tenant);
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    await life.liveUntil(minutesLater(120, end));
    const { openInvoice } = await life.rowOf(tenant);
    await life.stripe.invoices.voidInvoice(openInvoice?.id ?? "");
    await life.billing.settle();
    expect((await life.rowOf(tenant)).openInvoice).toBeNull();
    expect((await life.historyOf(tenant))[0]).toMatchObject({ status: "void" });
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    await life.stripe.subscriptions.cancel(id);
    await life.billing.settle();
    expect(await life.rowOf(tenant)).toMatchObject({ status: "cancelled", pastDueSince: null, openInvoice: null });
  });
});

describe("what is to come", () => {
  it("of a schedule is its next phase, until it is released", async () => {
    const tenant = await life.subscribe("pro");
    const { id, currentPeriodEnd: end } = await life.rowOf(tenant);
    const starter = await life.priceOf("starter");
    const made = await life.stripe.subscriptionSchedules.create({ from_subscription: id });
    const [phase] = made.phases;
    await life.stripe.subscriptionSchedules.update(made.id, {
      end_behavior: "release",
      phases: [
        {
          items: [{ price: (await life.priceOf("pro")).stripeId, quantity: 1 }],
          start_date: phase?.start_date ?? 0,
          end_date: phase?.end_date ?? 0,
        },
        { items: [{ price: starter.stripeId, quantity: 1 }], duration: { interval: "month", interval_count: 1 } },
      ],
    });
    await life.billing.settle(ofType(await life.billing.freshEvents(), "subscription_schedule.updated"));
    expect(await life.rowOf(tenant)).toMatchObject({
      plan: "pro",
      scheduleId: made.id,
      scheduledChange: { priceId: starter.id, planId: starter.planId, at: end.toISOString() },
    });
    await life.stripe.subscriptionSchedules.release(made.id);
    await life.billing.settle(ofType(await life.billing.freshEvents(), "subscription_schedule.released"));
    expect(await life.rowOf(tenant)).toMatchObject({ scheduleId: null, scheduledChange: null });
  });

  it("of a schedule is there at its time, with the smaller allowance", async () => {
    const tenant = await life.subscribe("pro");
    const { id, currentPeriodEnd: end } = await life.rowOf(tenant);
    const made = await life.stripe.subscriptionSchedules.create({ from_subscription: id });
    const [phase] = made.phases;
    const item = { price: (await life.priceOf("pro")).stripeId, quantity: 1 };
    await life.stripe.subscriptionSchedules.update(made.id, {
      end_behavior: "release",
      phases: [
        { items: [item], start_date: phase?.start_date ?? 0, end_date: phase?.end_date ?? 0 },
        {
          items: [{ price: (await life.priceOf("starter")).stripeId, quantity: 1 }],
          duration: { interval: "month", interval_count: 1 },
        },
      ],
    });
    await life.liveUntil(minutesLater(120, end));
    expect(await life.rowOf(tenant)).toMatchObject({ plan: "starter", scheduledChange: null });
    expect(await life.grantsOf(tenant)).toEqual([6000, 1500]);
  });

  it("of a change that waits for its payment is told with its invoice, and gone when it expires", async () => {
    const tenant = await life.subscribe("pro");
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    const changed = await life.changePlan(tenant, "scale", {
      proration_behavior: "always_invoice",
      payment_behavior: "pending_if_incomplete",
    });
    await life.billing.settle();
    const scale = await life.priceOf("scale");
    const expiresAt = new Date((changed.pending_update?.expires_at ?? 0) * 1000);
    const invoice = changed.latest_invoice as string;
    expect(await life.rowOf(tenant)).toMatchObject({
      plan: "pro",
      status: "active",
      pendingChange: {
        priceId: scale.id,
        planId: scale.planId,
        expiresAt: expiresAt.toISOString(),
        invoiceId: invoice,
      },
      openInvoice: { id: invoice },
    });
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    await life.liveUntil(minutesLater(60, expiresAt));
    expect(await life.rowOf(tenant)).toMatchObject({ plan: "pro", pendingChange: null, openInvoice: null });
    expect(await life.grantsOf(tenant)).toEqual([6000]);
  });

  it("of a pause is when it ends by itself", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const resumesAt = daysLater(40, life.now());
    await life.stripe.subscriptions.update(id, {
      pause_collection: { behavior: "void", resumes_at: Math.floor(resumesAt.getTime() / 1000) },
    });
    await life.billing.settle();
    expect(await life.rowOf(tenant)).toMatchObject({ status: "paused", resumesAt });
    await life.stripe.subscriptions.update(id, { pause_collection: null });
    await life.billing.settle();
    expect(await life.rowOf(tenant)).toMatchObject({ status: "active", resumesAt: null });
  });

  it("follows a default card that the customer changed, and a card that its bank renewed", async () => {
    const tenant = await life.subscribe("pro");
    const customer = (await life.customerOf(tenant)) ?? "";
    const { id } = await life.rowOf(tenant);
    await life.stripe.subscriptions.update(id, { default_payment_method: "" });
    const method = await life.stripe.paymentMethods.attach("pm_card_mastercard", { customer });
    await life.stripe.customers.update(customer, { invoice_settings: { default_payment_method: method.id } });
    await life.billing.settle(ofType(await life.billing.freshEvents(), "customer.updated"));
    const card = async () =>
      (
        await life.sql<{ card: unknown }>(
          "SELECT payment_method AS card FROM organization_subscriptions WHERE organization_id = $1",
          [tenant.id],
        )
      )[0]?.card;
    expect(await card()).toMatchObject({ brand: "mastercard" });
    life.billing.line.bend = (path, answer) =>
      path.startsWith(`/v1/subscriptions/${id}`)
        ? {
            ...answer,
            default_payment_method: {
              ...(method as unknown as Record<string, unknown>),
              card: { ...method.card, exp_year: 2040 },
            },
          }
        : answer;
    const renewed = makeEvent("payment_method.automatically_updated", {
      id: method.id,
      object: "payment_method",
      customer,
    });
    await life.billing.settle([renewed]);
    expect(await card()).toMatchObject({ brand: "mastercard", expYear: 2040 });
  });
});
