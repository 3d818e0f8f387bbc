// Disputes as the SDK sees them: opened by cards and on request, answered, won, lost; inquiries; and the pages for it.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  catalogue,
  DAY,
  eventsAbout,
  openReceiver,
  openSandbox,
  payOnce,
  refusal,
  subscribe,
  type TestSandbox,
  until,
  utc,
} from "./setup";

const START = utc(2026, 1, 31, 9);
let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

/** The dispute that a test card has opened of its payment. */
async function disputeOf(charge: string): Promise<Stripe.Dispute> {
  let found: Stripe.Dispute | undefined;
  await until(async () => {
    [found] = (await stripe.disputes.list({ charge })).data;
    return found !== undefined;
  });
  return found as Stripe.Dispute;
}

/** A dispute that is opened on request. */
async function open(given: Record<string, unknown>): Promise<Stripe.Dispute> {
  const opened = await sandbox.control<Stripe.Dispute & { error?: string }>("disputes", given);
  expect(opened.error).toBeUndefined();
  return opened;
}

const available = async () => (await stripe.balance.retrieve()).available[0]?.amount;

describe("a dispute", () => {
  it.each([
    ["pm_card_createDispute", "fraudulent", "10.4"],
    ["pm_card_createDisputeProductNotReceived", "product_not_received", "13.1"],
  ])("of %s comes right after the payment and takes the money", async (card, reason, code) => {
    const { intent, charge } = await payOnce(sandbox, card);
    const dispute = await disputeOf(charge);
    expect(dispute).toMatchObject({
      object: "dispute",
      id: expect.stringMatching(/^du_/),
      amount: 10_000,
      currency: "usd",
      charge,
      payment_intent: intent,
      reason,
      status: "needs_response",
      is_charge_refundable: false,
      payment_method_details: { type: "card", card: { case_type: "chargeback", network_reason_code: code } },
      evidence_details: { has_evidence: false, submission_count: 0, submission_method: "not_submitted" },
      balance_transactions: [{ object: "balance_transaction", amount: -10_000, fee: 1500, net: -11_500 }],
    });
    expect(dispute.evidence_details.due_by).toBe(utc(2026, 2, 9) - 1);
    expect(await stripe.charges.retrieve(charge)).toMatchObject({
      disputed: true,
      amount_refunded: 0,
      status: "succeeded",
    });
    expect(await available()).toBe(-1500);
    expect(await eventsAbout(sandbox, dispute.id)).toEqual([
      "charge.dispute.created",
      "charge.dispute.funds_withdrawn",
    ]);
  });

  it("is found by payment, and tells the whole truth of a payment in a few calls", async () => {
    const [one, other] = [await payOnce(sandbox), await payOnce(sandbox)];
    await stripe.refunds.create({ charge: one.charge, amount: 1000 });
    const { id } = await open({ payment_intent: one.intent, reason: "duplicate" });
    await open({ charge: other.charge, amount: 1 });
    const listed = await stripe.disputes.list({ payment_intent: one.intent, expand: ["data.charge"] });
    expect(listed.data).toMatchObject([{ id, amount: 9000, reason: "duplicate", charge: { id: one.charge } }]);
    expect((await stripe.disputes.list({ charge: one.charge })).data).toHaveLength(1);
    expect((await stripe.disputes.list({ charge: one.charge, payment_intent: other.intent })).data).toEqual([]);
    expect((await stripe.disputes.list()).data).toHaveLength(2);
    const intent = await stripe.paymentIntents.retrieve(one.intent, { expand: ["latest_charge.refunds"] });
    expect(intent.latest_charge).toMatchObject({
      id: one.charge,
      disputed: true,
      amount_refunded: 1000,
      refunds: { data: [{ amount: 1000, status: "succeeded" }] },
    });
    const { data } = await stripe.charges.list({ payment_intent: one.intent, expand: ["data.balance_transaction"] });
    expect(data).toMatchObject([{ id: one.charge, balance_transaction: { type: "charge", net: 10_000 } }]);
    const retrieved = await stripe.disputes.retrieve(id, { expand: ["payment_intent", "charge.customer"] });
    expect(retrieved.payment_intent).toMatchObject({ object: "payment_intent", id: one.intent });
    expect(await refusal(stripe.disputes.retrieve("du_none"))).toMatchObject({
      statusCode: 404,
      code: "resource_missing",
    });
  });

  it("keeps the payment from being refunded until it is won", async () => {
    const { intent, charge } = await payOnce(sandbox);
    const { id } = await open({ charge });
    expect(await refusal(stripe.refunds.create({ payment_intent: intent }))).toMatchObject({
      code: "charge_disputed",
      message: `Charge ${charge} has been charged back; cannot issue a refund.`,
    });
    await sandbox.control(`disputes/${id}/win`, {});
    await stripe.refunds.create({ charge, amount: 2000 });
    const lost = await open({ charge });
    expect(lost.amount).toBe(8000);
    await sandbox.control(`disputes/${lost.id}/lose`, {});
    expect(await refusal(stripe.refunds.create({ charge }))).toMatchObject({ code: "charge_disputed" });
  });

  it("makes refunds fail that are still on their way", async () => {
    const { charge } = await payOnce(sandbox, "pm_card_pendingRefund");
    const { id } = await stripe.refunds.create({ charge, amount: 3000 });
    const dispute = await open({ charge });
    expect(dispute.amount).toBe(10_000);
    expect(await stripe.refunds.retrieve(id)).toMatchObject({
      status: "failed",
      failure_reason: "charge_for_pending_refund_disputed",
    });
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(0);
  });

  it("may be of more than was left after refunds, but never of more than was paid", async () => {
    const { charge } = await payOnce(sandbox);
    await stripe.refunds.create({ charge, amount: 4000 });
    expect(await sandbox.control("disputes", { charge, amount: 10_001 })).toEqual({
      error: expect.stringContaining("At most $100.00"),
    });
    expect((await open({ charge, amount: 9000 })).amount).toBe(9000);
    expect((await open({ charge })).amount).toBe(1000);
    expect(await sandbox.control("disputes", { charge })).toEqual({
      error: expect.stringContaining("Nothing is left"),
    });
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(4000);
  });

  it("is not opened of what makes no sense, and then leaves nothing behind", async () => {
    const { intent, charge } = await payOnce(sandbox, "pm_card_pendingRefund");
    const refund = await stripe.refunds.create({ charge });
    for (const given of [
      {},
      { charge, payment_intent: intent },
      { charge: "ch_none" },
      { payment_intent: "pi_none" },
      { charge, amount: 0 },
      { charge, amount: 1.5 },
      { charge, amount: "100" },
      { charge, amount: 10_001 },
      { charge, reason: "toString" },
      { charge, inquiry: "yes" },
      { charge, colour: "red" },
    ]) {
      expect(await sandbox.control("disputes", given), JSON.stringify(given)).toHaveProperty("error");
    }
    expect((await stripe.disputes.list()).data).toEqual([]);
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe("pending");
    expect(await sandbox.control("disputes/du_none/win", {})).toEqual({ error: "No such dispute: 'du_none'" });
  });
});

describe("evidence", () => {
  it("is staged, submitted, and wins: the money comes back without the fee", async () => {
    const { charge } = await payOnce(sandbox);
    const { id } = await open({ charge });
    const staged = await stripe.disputes.update(id, {
      evidence: { product_description: "10,000 credits", uncategorized_text: "winning_evidence" },
      metadata: { case: "9" },
      submit: false,
    });
    expect(staged).toMatchObject({
      status: "needs_response",
      metadata: { case: "9" },
      evidence: { product_description: "10,000 credits" },
      evidence_details: { has_evidence: true, submission_count: 0 },
    });
    const submitted = await stripe.disputes.update(id, { submit: true });
    expect(submitted).toMatchObject({
      status: "under_review",
      evidence_details: { submission_count: 1, submission_method: "manual" },
    });
    await sandbox.setClock(START + 60);
    const won = await stripe.disputes.retrieve(id);
    expect(won).toMatchObject({ status: "won", is_charge_refundable: true });
    expect(won.balance_transactions.map(({ amount, net }) => [amount, net])).toEqual([
      [-10_000, -11_500],
      [10_000, 10_000],
    ]);
    expect(await available()).toBe(8500);
    expect(await eventsAbout(sandbox, id)).toEqual([
      "charge.dispute.created",
      "charge.dispute.funds_withdrawn",
      "charge.dispute.updated",
      "charge.dispute.updated",
      "charge.dispute.funds_reinstated",
      "charge.dispute.closed",
    ]);
    expect((await stripe.charges.retrieve(charge)).disputed).toBe(true);
  });

  it("loses, or leaves the bank thinking until it is told what to think", async () => {
    const { charge } = await payOnce(sandbox);
    const { id } = await open({ charge, amount: 6000 });
    const submitted = await stripe.disputes.update(id, { evidence: { uncategorized_text: "losing_evidence" } });
    expect(submitted.status).toBe("under_review");
    await sandbox.setClock(START + 60);
    expect((await stripe.disputes.retrieve(id)).status).toBe("lost");
    expect(await available()).toBe(2500);
    const other = await open({ charge });
    await stripe.disputes.update(other.id, { evidence: { customer_name: "Jenny" } });
    await sandbox.setClock(START + 30 * DAY);
    expect((await stripe.disputes.retrieve(other.id)).status).toBe("under_review");
    expect(await sandbox.control(`disputes/${other.id}/lose`, {})).toMatchObject({ status: "lost" });
    expect((await eventsAbout(sandbox, other.id)).at(-1)).toBe("charge.dispute.closed");
  });

  it("is checked, and refused once the dispute is closed", async () => {
    const { charge } = await payOnce(sandbox);
    const { id } = await open({ charge });
    const update = (params: unknown) => refusal(stripe.disputes.update(id, params as Stripe.DisputeUpdateParams));
    expect(await update({ evidence: { excuse: "x" } })).toMatchObject({
      code: "parameter_unknown",
      param: "evidence[excuse]",
    });
    expect(await update({ status: "won" })).toMatchObject({ code: "parameter_unknown", param: "status" });
    expect(await update({ evidence: { receipt: "file_none" } })).toMatchObject({ code: "resource_missing" });
    expect(await update({ evidence: { uncategorized_text: "x".repeat(20_001) } })).toMatchObject({ statusCode: 400 });
    expect(await update({ submit: true })).toMatchObject({ param: "submit" });
    expect((await stripe.disputes.close(id)).status).toBe("lost");
    for (const late of [update({ evidence: { customer_name: "J" } }), update({ metadata: { a: "1" } })]) {
      expect((await late).message).toBe("This dispute is already closed");
    }
    expect((await refusal(stripe.disputes.close(id))).message).toBe("This dispute is already closed");
    for (const action of ["win", "lose", "escalate"]) {
      expect(await sandbox.control(`disputes/${id}/${action}`, {}), action).toHaveProperty("error");
    }
    expect(await eventsAbout(sandbox, id)).toEqual([
      "charge.dispute.created",
      "charge.dispute.funds_withdrawn",
      "charge.dispute.closed",
    ]);
  });

  it("that never comes loses the dispute at its deadline, by the customer's own clock", async () => {
    const frozen = utc(2030, 5, 1);
    const clock = await stripe.testHelpers.testClocks.create({ frozen_time: frozen });
    const customer = await stripe.customers.create({ test_clock: clock.id });
    const { charge } = await payOnce(sandbox, "pm_card_createDispute", 5000, { customer: customer.id });
    const dispute = await disputeOf(charge);
    expect(dispute).toMatchObject({ created: frozen, evidence_details: { due_by: utc(2030, 5, 10) - 1 } });
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: utc(2030, 5, 9, 20) });
    expect((await stripe.disputes.retrieve(dispute.id)).status).toBe("needs_response");
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: utc(2030, 5, 10) });
    expect((await stripe.disputes.retrieve(dispute.id)).status).toBe("lost");
    const closed = await stripe.events.list({ type: "charge.dispute.closed" });
    expect(closed.data).toMatchObject([
      { created: utc(2030, 5, 10) - 1, data: { previous_attributes: { status: "needs_response" } } },
    ]);
  });
});

describe("an inquiry", () => {
  it("takes no money, lets the payment be refunded, and comes to nothing by itself", async () => {
    const { charge } = await payOnce(sandbox, "pm_card_createDisputeInquiry");
    const inquiry = await disputeOf(charge);
    expect(inquiry).toMatchObject({
      status: "warning_needs_response",
      is_charge_refundable: true,
      balance_transactions: [],
      payment_method_details: { card: { case_type: "inquiry", network_reason_code: "10" } },
    });
    expect(await available()).toBe(10_000);
    expect((await refusal(stripe.disputes.close(inquiry.id))).message).toContain("inquiry");
    await stripe.refunds.create({ charge, amount: 1000 });
    await sandbox.setClock(START + 121 * DAY);
    expect((await stripe.disputes.retrieve(inquiry.id)).status).toBe("warning_closed");
    // That it was opened is too long ago to be told.
    expect(await eventsAbout(sandbox, inquiry.id)).toEqual(["charge.dispute.closed"]);
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(1000);
  });

  it("becomes a chargeback when it is escalated; refunds made meanwhile fail, earlier ones stay", async () => {
    const { charge } = await payOnce(sandbox);
    const earlier = await stripe.refunds.create({ charge, amount: 1000 });
    const { id, amount } = await open({ charge, inquiry: true });
    expect(amount).toBe(9000);
    const meanwhile = await stripe.refunds.create({ charge, amount: 2000 });
    const evidence = { uncategorized_text: "escalate_inquiry_evidence" };
    expect((await stripe.disputes.update(id, { evidence })).status).toBe("warning_under_review");
    await sandbox.setClock(START + 60);
    expect(await stripe.disputes.retrieve(id)).toMatchObject({
      status: "needs_response",
      is_charge_refundable: false,
      balance_transactions: [{ amount: -9000 }],
      payment_method_details: { card: { case_type: "chargeback" } },
    });
    expect((await stripe.refunds.retrieve(earlier.id)).status).toBe("succeeded");
    expect((await stripe.refunds.retrieve(meanwhile.id)).status).toBe("failed");
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(1000);
    expect((await eventsAbout(sandbox, id)).slice(-2)).toEqual([
      "charge.dispute.updated",
      "charge.dispute.funds_withdrawn",
    ]);
  });

  it("is closed by evidence, or by escalation when all has been refunded", async () => {
    const one = await payOnce(sandbox);
    const answered = await open({ charge: one.charge, inquiry: true });
    await stripe.disputes.update(answered.id, { evidence: { uncategorized_text: "winning_evidence" } });
    const other = await payOnce(sandbox);
    const refunded = await open({ charge: other.charge, inquiry: true });
    await stripe.refunds.create({ charge: other.charge });
    await sandbox.control(`disputes/${refunded.id}/escalate`, {});
    await sandbox.setClock(START + 60);
    for (const { id } of [answered, refunded]) {
      expect((await stripe.disputes.retrieve(id)).status).toBe("warning_closed");
    }
    expect((await stripe.charges.retrieve(other.charge)).refunded).toBe(true);
    expect(await available()).toBe(10_000);
  });
});

describe("a dispute of a subscription", () => {
  it("is of its invoice's payment, and each renewal with that card is disputed again", async () => {
    const { price, customer } = await catalogue(sandbox);
    await subscribe(sandbox, { price: price.id, customer: customer.id }, "4000000000000259");
    await sandbox.setClock(utc(2026, 3, 1));
    const { data } = await stripe.disputes.list({ expand: ["data.charge"] });
    expect(data.map(({ amount, status }) => [amount, status])).toEqual([
      [2900, "needs_response"],
      [2900, "lost"],
    ]);
    expect(data.map(({ charge }) => (charge as Stripe.Charge).customer)).toEqual([customer.id, customer.id]);
    const intent = data[0]?.payment_intent as string;
    const payments = await stripe.invoicePayments.list({ payment: { type: "payment_intent", payment_intent: intent } });
    expect(payments.data).toMatchObject([{ status: "paid" }]);
  });
});

describe("its events", () => {
  it("are delivered signed", async () => {
    const receiver = await openReceiver();
    const endpoint = await stripe.webhookEndpoints.create({
      url: receiver.url,
      enabled_events: ["charge.dispute.created", "charge.dispute.closed", "refund.failed"],
    });
    const { charge } = await payOnce(sandbox);
    const refund = await stripe.refunds.create({ charge, amount: 10 });
    await sandbox.control(`refunds/${refund.id}/fail`, {});
    const { id } = await open({ charge });
    await sandbox.control(`disputes/${id}/lose`, {});
    await until(() => receiver.bodies.length === 3);
    const events = receiver.bodies.map(({ body, signature }) =>
      stripe.webhooks.constructEvent(body, signature, endpoint.secret ?? ""),
    );
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(["charge.dispute.created", "charge.dispute.closed", "refund.failed"]),
    );
    const closed = events.find(({ type }) => type === "charge.dispute.closed");
    expect(closed?.data.object).toMatchObject({ object: "dispute", id, status: "lost", charge });
    await receiver.close();
  });
});

describe("the page of a payment", () => {
  const get = async (path: string) => (await fetch(`${sandbox.url}${path}`)).text();
  const post = async (path: string, fields: Record<string, string> = {}) => {
    const body = new URLSearchParams(fields);
    const response = await fetch(`${sandbox.url}${path}`, { method: "POST", body, redirect: "manual" });
    return { status: response.status, location: response.headers.get("location"), text: await response.text() };
  };

  it("is reached from the first page, and refunds a part, then all", async () => {
    const { charge } = await payOnce(sandbox);
    expect(await get("/")).toContain(`href="/payments/${charge}"`);
    const path = `/payments/${charge}`;
    expect(await get(path)).toContain("$100.00");
    expect(await post(`${path}/refund`, { amount: "12.50", reason: "duplicate" })).toMatchObject({
      status: 303,
      location: path,
    });
    expect(await get(path)).toContain("Partly refunded");
    const tooMuch = await post(`${path}/refund`, { amount: "87.51" });
    expect(tooMuch).toMatchObject({ status: 400, text: expect.stringContaining("greater than unrefunded amount") });
    for (const amount of ["-1", "1.234", "1e3", "0", "1.2.3", "<b>"]) {
      expect((await post(`${path}/refund`, { amount })).status, amount).toBe(400);
    }
    await post(`${path}/refund`);
    const { data } = await stripe.refunds.list({ charge });
    expect(data.map(({ amount, reason }) => [amount, reason])).toEqual([
      [8750, null],
      [1250, "duplicate"],
    ]);
    await post(`${path}/refunds/${data[0]?.id}/fail`);
    expect((await stripe.charges.retrieve(charge)).amount_refunded).toBe(1250);
    expect(await get(path)).toContain("failed: unknown");
  });

  it("opens disputes and inquiries, and lets the bank decide", async () => {
    const { charge } = await payOnce(sandbox);
    const path = `/payments/${charge}`;
    await post(`${path}/dispute`, { amount: "60", reason: "product_not_received" });
    await post(`${path}/dispute`, { amount: "40", reason: "unrecognized", inquiry: "true" });
    const [inquiry, dispute] = (await stripe.disputes.list({ charge })).data;
    expect(dispute).toMatchObject({ amount: 6000, reason: "product_not_received", status: "needs_response" });
    expect(inquiry).toMatchObject({ amount: 4000, reason: "unrecognized", status: "warning_needs_response" });
    await post(`${path}/disputes/${dispute?.id}/win`);
    await post(`${path}/disputes/${inquiry?.id}/escalate`);
    await post(`${path}/disputes/${inquiry?.id}/lose`);
    const { data } = await stripe.disputes.list({ charge });
    expect(data.map(({ status }) => status)).toEqual(["lost", "won"]);
    const text = await get(path);
    expect(text).toContain("product not received");
    expect(text).not.toContain(`/disputes/${dispute?.id}/win`);
    expect((await post(`${path}/disputes/${dispute?.id}/win`)).status).toBe(400);
    expect((await fetch(`${sandbox.url}/payments/ch_none`)).status).toBe(404);
    expect((await post(`${path}/disputes/${dispute?.id}/forgive`)).status).toBe(404);
  });
});
