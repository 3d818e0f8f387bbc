// Payments that banks decide about days later: in Checkout, by the API, and at renewals.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  catalogue,
  DAY,
  eventsAbout,
  openSandbox,
  payOnce,
  refusal,
  subscribeSession,
  type TestSandbox,
  utc,
} from "./setup";

const START = utc(2026, 3, 10);
let sandbox: TestSandbox;
beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
});
afterEach(() => sandbox.close());

const complete = (session: string, body: Record<string, unknown>) =>
  sandbox.control<{ status?: string; error?: unknown }>(`checkout/${session}/complete`, body);

async function packSession(currency = "usd", data: Stripe.Checkout.SessionCreateParams = {}) {
  const { customer } = await catalogue(sandbox);
  return await sandbox.stripe.checkout.sessions.create({
    mode: "payment",
    customer: customer.id,
    success_url: "http://app.test/done",
    line_items: [{ quantity: 1, price_data: { currency, unit_amount: 5000, product_data: { name: "Pack" } } }],
    ...data,
  });
}

async function paidByBank(
  session: string,
): Promise<{ session: Stripe.Checkout.Session; intent: Stripe.PaymentIntent }> {
  const found = await sandbox.stripe.checkout.sessions.retrieve(session, { expand: ["payment_intent.latest_charge"] });
  return { session: found, intent: found.payment_intent as Stripe.PaymentIntent };
}

describe("a one-off payment in Checkout", () => {
  it("is unpaid at first, and paid after four days", async () => {
    const { id } = await packSession();
    expect(await complete(id, { method: "us_bank_account" })).toEqual({ status: "complete" });
    const before = await paidByBank(id);
    expect(before.session).toMatchObject({ status: "complete", payment_status: "unpaid" });
    expect(before.intent).toMatchObject({
      status: "processing",
      amount_received: 0,
      payment_method_types: ["card", "us_bank_account"],
      latest_charge: {
        status: "pending",
        paid: false,
        payment_method_details: { type: "us_bank_account", us_bank_account: { last4: "6789" } },
      },
    });
    await sandbox.setClock(START + 4 * DAY - 1);
    expect((await paidByBank(id)).session.payment_status).toBe("unpaid");
    await sandbox.setClock(START + 4 * DAY);
    const after = await paidByBank(id);
    expect(after.session.payment_status).toBe("paid");
    expect(after.intent).toMatchObject({ status: "succeeded", amount_received: 5000, latest_charge: { paid: true } });
    const charge = (after.intent.latest_charge as Stripe.Charge).id;
    expect(await eventsAbout(sandbox, id, after.intent.id, charge)).toEqual([
      "payment_intent.created",
      "charge.pending",
      "payment_intent.processing",
      "checkout.session.completed",
      "charge.succeeded",
      "payment_intent.succeeded",
      "checkout.session.async_payment_succeeded",
    ]);
    const { data } = await sandbox.stripe.balanceTransactions.list({ source: charge });
    expect(data).toMatchObject([{ amount: 5000, created: START + 4 * DAY }]);
  });

  it("fails when its account is one that fails, and the session stays unpaid", async () => {
    const { id } = await packSession();
    await complete(id, { method: "us_bank_account", account: "000222222227" });
    await sandbox.setClock(START + 4 * DAY);
    const { session, intent } = await paidByBank(id);
    expect(session).toMatchObject({ status: "complete", payment_status: "unpaid" });
    expect(intent).toMatchObject({
      status: "requires_payment_method",
      last_payment_error: { code: "insufficient_funds", payment_method: { type: "us_bank_account" } },
      latest_charge: { status: "failed", failure_code: "insufficient_funds", amount_captured: 0 },
    });
    const charge = (intent.latest_charge as Stripe.Charge).id;
    expect((await eventsAbout(sandbox, id, intent.id, charge)).slice(-3)).toEqual([
      "charge.failed",
      "payment_intent.payment_failed",
      "checkout.session.async_payment_failed",
    ]);
  });

  it("is decided at once on request, once", async () => {
    const { id } = await packSession("eur");
    await complete(id, { method: "sepa_debit" });
    const { intent } = await paidByBank(id);
    expect(await sandbox.control(`payment_intents/${intent.id}/fail`, { code: "account_closed" })).toMatchObject({
      status: "requires_payment_method",
      last_payment_error: { code: "account_closed" },
    });
    expect(await sandbox.control(`payment_intents/${intent.id}/succeed`, {})).toEqual({
      error: "This PaymentIntent's status is requires_payment_method: no bank is to decide about it.",
    });
    await sandbox.setClock(START + 30 * DAY);
    expect((await paidByBank(id)).intent.status).toBe("requires_payment_method");
  });

  it("can be disputed, refunded and stay on its way for ever", async () => {
    const disputed = await packSession();
    await complete(disputed.id, { method: "us_bank_account", account: "000555555559" });
    const endless = await packSession();
    await complete(endless.id, { method: "us_bank_account", account: "000000000009" });
    await sandbox.setClock(START + 25 * DAY);
    const [dispute] = (await sandbox.stripe.disputes.list()).data;
    expect(dispute).toMatchObject({ reason: "debit_not_authorized", amount: 5000 });
    expect(dispute?.payment_method_details).toBeUndefined();
    const { intent } = await paidByBank(endless.id);
    expect(intent.status).toBe("processing");
    expect(await sandbox.stripe.paymentIntents.cancel(intent.id)).toMatchObject({ status: "canceled" });
    const { charge } = await payOnceByBank();
    const refund = await sandbox.stripe.refunds.create({ charge, amount: 100 });
    expect(refund.destination_details).toMatchObject({ type: "us_bank_transfer" });
  });

  async function payOnceByBank() {
    const paid = await payOnce(sandbox, "pm_usBankAccount_success");
    await sandbox.control(`payment_intents/${paid.intent}/succeed`, {});
    return paid;
  }

  it("is offered in the debit's own currency, as far as the session lets it be", async () => {
    expect((await packSession()).payment_method_types).toEqual(["card", "us_bank_account"]);
    expect((await packSession("eur")).payment_method_types).toEqual(["card", "sepa_debit"]);
    expect((await packSession("gbp")).payment_method_types).toEqual(["card"]);
    const only = await packSession("usd", { allowed_payment_method_types: ["us_bank_account"] });
    expect(only.payment_method_types).toEqual(["us_bank_account"]);
    const cards = await packSession("usd", { excluded_payment_method_types: ["us_bank_account"] });
    expect(await complete(cards.id, { method: "us_bank_account" })).toEqual({
      error: "This Checkout Session offers card only, not us_bank_account.",
    });
    expect(await complete(only.id, {})).toEqual({
      error: "This Checkout Session offers us_bank_account only, not card.",
    });
    expect(await refusal(packSession("gbp", { allowed_payment_method_types: ["sepa_debit"] }))).toMatchObject({
      type: "StripeInvalidRequestError",
    });
  });
});

describe("a subscription by debit", () => {
  async function begin(account?: string) {
    const { customer, price } = await catalogue(sandbox);
    const session = await subscribeSession(sandbox, { customer: customer.id, price: price.id });
    await complete(session.id, { method: "us_bank_account", account });
    const found = await sandbox.stripe.checkout.sessions.retrieve(session.id, {
      expand: ["subscription.latest_invoice.payments"],
    });
    const subscription = found.subscription as Stripe.Subscription;
    return { session: found, subscription, invoice: subscription.latest_invoice as Stripe.Invoice };
  }

  const intentOf = (invoice: Stripe.Invoice) => String(invoice.payments?.data[0]?.payment.payment_intent);
  const statusOf = async (id: string) => (await sandbox.stripe.subscriptions.retrieve(id)).status;

  it("is active while its first payment is on its way, and its invoice is paid days later", async () => {
    const { session, subscription, invoice } = await begin();
    expect(session.payment_status).toBe("unpaid");
    expect(subscription.status).toBe("active");
    expect(invoice).toMatchObject({ status: "open", attempted: true, next_payment_attempt: null });
    await sandbox.setClock(START + 4 * DAY);
    expect(await sandbox.stripe.invoices.retrieve(invoice.id ?? "")).toMatchObject({
      status: "paid",
      attempt_count: 1,
      status_transitions: { paid_at: START + 4 * DAY },
    });
    expect((await sandbox.stripe.checkout.sessions.retrieve(session.id)).payment_status).toBe("paid");
    expect(await eventsAbout(sandbox, session.id)).toEqual([
      "checkout.session.completed",
      "checkout.session.async_payment_succeeded",
    ]);
  });

  it("stays active when its first payment fails, and its invoice is void", async () => {
    const { session, subscription, invoice } = await begin("000111111113");
    await sandbox.setClock(START + 4 * DAY);
    expect(await statusOf(subscription.id)).toBe("active");
    expect((await sandbox.stripe.invoices.retrieve(invoice.id ?? "")).status).toBe("void");
    expect(await eventsAbout(sandbox, session.id)).toEqual([
      "checkout.session.completed",
      "checkout.session.async_payment_failed",
    ]);
    const told = await eventsAbout(sandbox, invoice.id ?? "");
    expect(told).toContain("invoice.payment_failed");
    expect(told.at(-1)).toBe("invoice.voided");
  });

  it("renews: its invoice is open while the bank decides, then paid", async () => {
    const { subscription } = await begin();
    await sandbox.setClock(utc(2026, 4, 10, 1));
    const renewal = await sandbox.stripe.invoices.retrieve(
      String((await sandbox.stripe.subscriptions.retrieve(subscription.id)).latest_invoice),
      { expand: ["payments"] },
    );
    expect(renewal).toMatchObject({ billing_reason: "subscription_cycle", status: "open", attempt_count: 0 });
    expect((await sandbox.stripe.paymentIntents.retrieve(intentOf(renewal))).status).toBe("processing");
    expect(await refusal(sandbox.stripe.invoices.pay(renewal.id ?? ""))).toMatchObject({
      code: "payment_intent_unexpected_state",
    });
    expect(await (await fetch(renewal.hosted_invoice_url ?? "")).text()).toContain("A bank has been asked");
    expect(await statusOf(subscription.id)).toBe("active");
    await sandbox.setClock(utc(2026, 4, 14, 1));
    expect((await sandbox.stripe.invoices.retrieve(renewal.id ?? "")).status).toBe("paid");
    expect(await statusOf(subscription.id)).toBe("active");
  });

  it("is past due when a renewal fails, and is tried again", async () => {
    const { subscription } = await begin();
    await sandbox.setClock(utc(2026, 4, 10, 1));
    const { latest_invoice } = await sandbox.stripe.subscriptions.retrieve(subscription.id);
    const renewal = await sandbox.stripe.invoices.retrieve(String(latest_invoice), { expand: ["payments"] });
    await sandbox.control(`payment_intents/${intentOf(renewal)}/fail`, {});
    expect(await statusOf(subscription.id)).toBe("past_due");
    const failed = await sandbox.stripe.invoices.retrieve(renewal.id ?? "");
    expect(failed).toMatchObject({ status: "open", attempt_count: 1 });
    expect(failed.next_payment_attempt).toBe(utc(2026, 4, 13, 1));
    await sandbox.setClock(utc(2026, 4, 13, 1));
    expect((await sandbox.stripe.paymentIntents.retrieve(intentOf(renewal))).status).toBe("processing");
    await sandbox.setClock(utc(2026, 4, 17, 1));
    expect(await sandbox.stripe.invoices.retrieve(renewal.id ?? "")).toMatchObject({
      status: "paid",
      attempt_count: 2,
    });
    expect(await statusOf(subscription.id)).toBe("active");
  });

  it("takes an upgrade whose payment is on its way", async () => {
    const { subscription } = await begin();
    await sandbox.setClock(START + 5 * DAY);
    const [item] = subscription.items.data;
    const upgraded = await sandbox.stripe.subscriptions.update(subscription.id, {
      items: [{ id: item?.id, quantity: 3 }],
      proration_behavior: "always_invoice",
      payment_behavior: "error_if_incomplete",
      expand: ["latest_invoice"],
    });
    expect(upgraded).toMatchObject({
      status: "active",
      items: { data: [{ quantity: 3 }] },
      latest_invoice: { status: "open", billing_reason: "subscription_update" },
    });
    await sandbox.setClock(START + 9 * DAY);
    const { id } = upgraded.latest_invoice as Stripe.Invoice;
    expect((await sandbox.stripe.invoices.retrieve(id ?? "")).status).toBe("paid");
  });

  it("follows its customer's test clock", async () => {
    const { stripe } = sandbox;
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: START });
    const customer = await stripe.customers.create({ test_clock: clock.id });
    const { price } = await catalogue(sandbox);
    const method = await stripe.paymentMethods.attach("pm_usBankAccount_success", { customer: customer.id });
    const subscription = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: price.id }],
      default_payment_method: method.id,
    });
    expect(subscription.status).toBe("active");
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: START + 5 * DAY });
    expect((await stripe.invoices.retrieve(String(subscription.latest_invoice))).status).toBe("paid");
  });
});

describe("bank accounts by the API", () => {
  it("are Stripe's test numbers and ready-made names", async () => {
    const { stripe } = sandbox;
    const iban = await stripe.paymentMethods.create({
      type: "sepa_debit",
      sepa_debit: { iban: "DE89 3704 0044 0532 0130 00" },
      billing_details: { name: "Jenny Rosen", email: "jenny@example.com" },
    });
    expect(iban).toMatchObject({
      type: "sepa_debit",
      sepa_debit: { country: "DE", last4: "3000", bank_code: "37040044" },
    });
    const account = { account_number: "000123456789", routing_number: "110000000" };
    const us = await stripe.paymentMethods.create({ type: "us_bank_account", us_bank_account: account });
    expect(us.us_bank_account).toMatchObject({ last4: "6789", routing_number: "110000000" });
    const wrong = { ...account, account_number: "000999999999" };
    expect(
      await refusal(stripe.paymentMethods.create({ type: "us_bank_account", us_bank_account: wrong })),
    ).toMatchObject({ code: "account_number_invalid" });
  });

  it("pay in their own currency only", async () => {
    expect(await refusal(payOnce(sandbox, "pm_success_de"))).toMatchObject({ param: "currency" });
    const { intent } = await payOnce(sandbox, "pm_success_de", 700, { currency: "eur" });
    expect((await sandbox.stripe.paymentIntents.retrieve(intent)).status).toBe("processing");
  });
});

describe("the hosted page", () => {
  const submit = (id: string, fields: Record<string, string>) =>
    fetch(`${sandbox.url}/c/pay/${id}`, {
      method: "POST",
      body: new URLSearchParams({ email: "jenny@example.com", ...fields }),
      redirect: "manual",
    });

  it("takes a bank account beside a card, and says what is wrong with it", async () => {
    const { id } = await packSession();
    const shown = await (await fetch(`${sandbox.url}/c/pay/${id}`)).text();
    for (const words of ["Card number", "US bank account", "000222222227"]) expect(shown).toContain(words);
    const wrong = await (await submit(id, { method: "us_bank_account", account: "12" })).text();
    expect(wrong).toContain("You must use a test bank account number in test mode.");
    const paid = await submit(id, { method: "us_bank_account", account: "000222222227" });
    expect(paid.headers.get("location")).toBe("http://app.test/done");
    const { session, intent } = await paidByBank(id);
    expect(session.payment_status).toBe("unpaid");
    expect(intent.status).toBe("processing");
  });

  it("takes no account where none is offered, and no card where only accounts are", async () => {
    const cards = await packSession("usd", { excluded_payment_method_types: ["us_bank_account"] });
    expect(await (await fetch(`${sandbox.url}/c/pay/${cards.id}`)).text()).not.toContain("US bank account");
    const only = await packSession("eur", { allowed_payment_method_types: ["sepa_debit"] });
    const shown = await (await fetch(`${sandbox.url}/c/pay/${only.id}`)).text();
    expect(shown).toContain("IBAN");
    expect(shown).not.toContain("Card number");
    await submit(only.id, { method: "sepa_debit", account: "" });
    expect((await paidByBank(only.id)).intent.status).toBe("processing");
  });
});
