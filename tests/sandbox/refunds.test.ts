// Refunds as the SDK sees them: in parts, refused, pending, failing later; and the sum that the charge tells of them.
import fc from "fast-check";
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  catalogue,
  eventsAbout,
  openSandbox,
  payOnce,
  refusal,
  SECRET_KEY,
  subscribe,
  type TestSandbox,
  utc,
} from "./setup";

const START = utc(2026, 1, 31);
let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

const chargeOf = (id: string) => stripe.charges.retrieve(id, { expand: ["refunds"] });

describe("a refund", () => {
  it("is made in parts, by payment intent or by charge, and tells of each part", async () => {
    const { intent, charge } = await payOnce(sandbox);
    const first = await stripe.refunds.create({
      payment_intent: intent,
      amount: 2500,
      reason: "requested_by_customer",
      metadata: { order: "7" },
    });
    expect(first).toMatchObject({
      object: "refund",
      amount: 2500,
      currency: "usd",
      charge,
      payment_intent: intent,
      reason: "requested_by_customer",
      status: "succeeded",
      metadata: { order: "7" },
    });
    expect(await chargeOf(charge)).toMatchObject({ amount_refunded: 2500, refunded: false });
    const second = await stripe.refunds.create({ charge });
    expect(second).toMatchObject({ amount: 7500, reason: null });
    const whole = await chargeOf(charge);
    expect(whole).toMatchObject({ amount_refunded: 10_000, refunded: true, status: "succeeded" });
    expect(whole.refunds?.data.map(({ id }) => id)).toEqual([second.id, first.id]);
    expect(await eventsAbout(sandbox, charge, first.id, second.id)).toEqual([
      "charge.succeeded",
      "refund.created",
      "charge.refunded",
      "refund.created",
      "charge.refunded",
    ]);
    const [last, before] = (await stripe.events.list({ type: "charge.refunded" })).data;
    expect(before?.data.previous_attributes).toEqual({ amount_refunded: 0 });
    expect(last?.data.previous_attributes).toEqual({ amount_refunded: 2500, refunded: false });
  });

  it("is found by charge, by payment intent and by its id", async () => {
    const [one, other] = [await payOnce(sandbox), await payOnce(sandbox)];
    const { id } = await stripe.refunds.create({ charge: one.charge, amount: 1 });
    await stripe.refunds.create({ charge: other.charge });
    const ids = async (params: Stripe.RefundListParams) =>
      (await stripe.refunds.list(params)).data.map((refund) => refund.id);
    expect(await ids({ charge: one.charge })).toEqual([id]);
    expect(await ids({ payment_intent: one.intent })).toEqual([id]);
    expect(await ids({ charge: other.charge, payment_intent: one.intent })).toEqual([]);
    expect(await ids({ created: { gt: START } })).toEqual([]);
    expect(await ids({})).toHaveLength(2);
    const found = await stripe.refunds.retrieve(id, {
      expand: ["charge", "payment_intent.latest_charge", "balance_transaction"],
    });
    expect(found.charge).toMatchObject({ id: one.charge, amount_refunded: 1 });
    expect(found.payment_intent).toMatchObject({ id: one.intent, latest_charge: { id: one.charge } });
    expect(found.balance_transaction).toMatchObject({ type: "refund", amount: -1, net: -1, source: id });
  });

  it("merges metadata, and takes nothing else", async () => {
    const { charge } = await payOnce(sandbox);
    const { id } = await stripe.refunds.create({ charge, metadata: { a: "1", b: "2" } });
    const updated = await stripe.refunds.update(id, { metadata: { a: "", c: "3" } });
    expect(updated.metadata).toEqual({ b: "2", c: "3" });
    expect(await refusal(stripe.refunds.update(id, { reason: "duplicate" } as never))).toMatchObject({
      code: "parameter_unknown",
      param: "reason",
    });
    expect((await eventsAbout(sandbox, id)).slice(-2)).toEqual(["refund.updated", "charge.refund.updated"]);
  });

  it("is given its reference by the bank a few seconds later", async () => {
    const { charge } = await payOnce(sandbox);
    const { id, destination_details } = await stripe.refunds.create({ charge });
    expect(destination_details?.card?.reference_status).toBe("pending");
    await sandbox.setClock(START + 60);
    const settled = await stripe.refunds.retrieve(id);
    expect(settled.destination_details?.card).toMatchObject({
      reference: expect.stringMatching(/^\d{12}$/),
      reference_status: "available",
    });
    expect(await eventsAbout(sandbox, id)).toEqual(["refund.created", "refund.updated", "charge.refund.updated"]);
  });

  it("reaches the payment of an invoice through its invoice payments", async () => {
    const { price, customer } = await catalogue(sandbox);
    const { latest_invoice } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const { data } = await stripe.invoicePayments.list({ invoice: latest_invoice as string });
    await stripe.refunds.create({ payment_intent: data[0]?.payment.payment_intent as string, amount: 900 });
    const expanded = await stripe.invoicePayments.list({
      invoice: latest_invoice as string,
      expand: ["data.payment.payment_intent.latest_charge"],
    });
    expect(expanded.data[0]?.payment.payment_intent).toMatchObject({ latest_charge: { amount_refunded: 900 } });
    expect(await stripe.invoices.retrieve(latest_invoice as string)).toMatchObject({
      status: "paid",
      amount_paid: 2900,
    });
  });
});

describe("a refund is refused", () => {
  it("when it is more than was paid, or than is left, or all is gone", async () => {
    const { intent, charge } = await payOnce(sandbox);
    expect(await refusal(stripe.refunds.create({ charge, amount: 10_001 }))).toMatchObject({
      statusCode: 400,
      param: "amount",
      message: "Refund amount ($100.01) is greater than charge amount ($100.00)",
    });
    await stripe.refunds.create({ charge, amount: 4000 });
    expect(await refusal(stripe.refunds.create({ payment_intent: intent, amount: 6001 }))).toMatchObject({
      param: "amount",
      message: "Refund amount ($60.01) is greater than unrefunded amount on charge ($60.00)",
    });
    await stripe.refunds.create({ charge });
    for (const amount of [undefined, 1]) {
      expect(await refusal(stripe.refunds.create({ charge, amount }))).toMatchObject({
        code: "charge_already_refunded",
        message: `Charge ${charge} has already been refunded.`,
      });
    }
    expect((await chargeOf(charge)).amount_refunded).toBe(10_000);
  });

  it("when it is not said of what, of what does not exist, or of what was not paid", async () => {
    const { intent, charge } = await payOnce(sandbox);
    const refused = (params: Stripe.RefundCreateParams) => refusal(stripe.refunds.create(params));
    expect((await refused({ amount: 1 })).message).toContain("payment_intent or charge");
    expect((await refused({ charge, payment_intent: intent })).message).toContain("only specify one");
    expect(await refused({ charge: "ch_none" })).toMatchObject({ statusCode: 404, code: "resource_missing" });
    expect(await refused({ payment_intent: "pi_none" })).toMatchObject({ code: "resource_missing" });
    const unpaid = await stripe.paymentIntents.create({ amount: 500, currency: "usd" });
    expect((await refused({ payment_intent: unpaid.id })).message).toContain("does not have a successful charge");
    await refusal(stripe.paymentIntents.confirm(unpaid.id, { payment_method: "pm_card_chargeDeclined" }));
    expect((await refused({ payment_intent: unpaid.id })).message).toContain("does not have a successful charge");
    const [failed] = (await stripe.charges.list({ payment_intent: unpaid.id })).data;
    expect(await refused({ charge: failed?.id })).toMatchObject({ code: "charge_not_refundable" });
  });

  it("when its parameters are not Stripe's, also over plain HTTP", async () => {
    const { charge } = await payOnce(sandbox);
    const post = async (body: string) => {
      const headers = { authorization: `Bearer ${SECRET_KEY}`, "content-type": "application/x-www-form-urlencoded" };
      const answer = await fetch(`${sandbox.url}/v1/refunds`, { method: "POST", headers, body });
      return { status: answer.status, ...((await answer.json()) as { error?: Stripe.StripeRawError }) };
    };
    for (const [body, code] of [
      [`charge=${charge}&amount=0`, "parameter_invalid_integer"],
      [`charge=${charge}&amount=-5`, "parameter_invalid_integer"],
      [`charge=${charge}&amount=1.5`, "parameter_invalid_integer"],
      [`charge=${charge}&amount=`, "parameter_invalid_empty"],
      [`charge=${charge}&amount=99999999999999999999`, "parameter_invalid_integer"],
      [`charge=${charge}&colour=red`, "parameter_unknown"],
      [`charge=${charge}&reason=expired_uncaptured_charge`, undefined],
    ] as const) {
      const refused = await post(body);
      expect(refused.status, body).toBe(400);
      expect(refused.error?.code, body).toBe(code);
    }
    expect((await chargeOf(charge)).amount_refunded).toBe(0);
    expect(await post(`charge=${charge}&amount=100`)).toMatchObject({ object: "refund", amount: 100 });
  });

  it("twice under one idempotency key: it is the same refund", async () => {
    const { charge } = await payOnce(sandbox);
    const refund = () => stripe.refunds.create({ charge, amount: 3000 }, { idempotencyKey: "refund-of-order-7" });
    const made = await Promise.all([refund(), refund(), refund()]);
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect((await chargeOf(charge)).amount_refunded).toBe(3000);
  });
});

describe("what the bank makes of a refund", () => {
  it("is success after a while, with the card of pending refunds", async () => {
    const { charge } = await payOnce(sandbox, "pm_card_pendingRefund");
    const refund = await stripe.refunds.create({ charge, amount: 4000 });
    expect(refund).toMatchObject({ status: "pending", pending_reason: "processing" });
    // Money that is on its way back cannot be given back again.
    expect((await chargeOf(charge)).amount_refunded).toBe(4000);
    await sandbox.setClock(START + 60);
    const settled = await stripe.refunds.retrieve(refund.id);
    expect(settled.status).toBe("succeeded");
    expect(settled.pending_reason).toBeUndefined();
    expect(await eventsAbout(sandbox, refund.id, charge)).toEqual([
      "charge.succeeded",
      "refund.created",
      "charge.refunded",
      "refund.updated",
      "charge.refund.updated",
    ]);
  });

  it("is failure after success, with the card of failing refunds; the money can be given back again", async () => {
    const { charge } = await payOnce(sandbox, "pm_card_refundFail");
    const available = async () => (await stripe.balance.retrieve()).available[0]?.amount;
    const refund = await stripe.refunds.create({ charge });
    expect(refund.status).toBe("succeeded");
    expect(await chargeOf(charge)).toMatchObject({ amount_refunded: 10_000, refunded: true });
    expect(await available()).toBe(0);
    await sandbox.setClock(START + 60);
    const failed = await stripe.refunds.retrieve(refund.id, { expand: ["failure_balance_transaction"] });
    expect(failed).toMatchObject({
      status: "failed",
      failure_reason: "expired_or_canceled_card",
      failure_balance_transaction: { type: "refund_failure", amount: 10_000 },
    });
    expect(await chargeOf(charge)).toMatchObject({ amount_refunded: 0, refunded: false });
    expect(await available()).toBe(10_000);
    const events = await eventsAbout(sandbox, refund.id);
    expect(events).toEqual(["refund.created", "refund.updated", "charge.refund.updated", "refund.failed"]);
    expect((await stripe.refunds.create({ charge, amount: 500 })).amount).toBe(500);
  });

  it("is failure on request, once, with a reason of Stripe's", async () => {
    const { charge } = await payOnce(sandbox);
    const refund = await stripe.refunds.create({ charge, amount: 700 });
    expect(await sandbox.control(`refunds/${refund.id}/fail`, { reason: "because" })).toMatchObject({
      error: expect.stringContaining("lost_or_stolen_card"),
    });
    expect(await sandbox.control(`refunds/${refund.id}/fail`, { reason: "lost_or_stolen_card" })).toMatchObject({
      id: refund.id,
      status: "failed",
      failure_reason: "lost_or_stolen_card",
    });
    expect((await chargeOf(charge)).amount_refunded).toBe(0);
    for (const action of ["fail", "succeed", "cancel"]) {
      expect(await sandbox.control(`refunds/${refund.id}/${action}`, {})).toHaveProperty("error");
    }
    expect(await sandbox.control("refunds/re_none/fail", {})).toEqual({ error: "No such refund: 're_none'" });
    await sandbox.setClock(START + 60);
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe("failed");
    expect((await eventsAbout(sandbox, refund.id)).filter((type) => type === "refund.failed")).toHaveLength(1);
  });

  it("ends when the merchant cancels it while it is pending; the API cancels no refund of a card", async () => {
    const { charge } = await payOnce(sandbox, "pm_card_pendingRefund");
    const refund = await stripe.refunds.create({ charge });
    expect((await refusal(stripe.refunds.cancel(refund.id))).message).toBe("Canceling this refund is unsupported.");
    expect(await sandbox.control(`refunds/${refund.id}/cancel`, {})).toMatchObject({
      status: "canceled",
      failure_reason: "merchant_request",
    });
    expect(await chargeOf(charge)).toMatchObject({ amount_refunded: 0, refunded: false });
    await sandbox.setClock(START + 60);
    expect((await stripe.refunds.retrieve(refund.id)).status).toBe("canceled");
  });
});

/** An amount, all that is left (null), or so much more or less than what is left. */
type Amount = number | null | { beyond: number };
const amounts: fc.Arbitrary<Amount> = fc.oneof(
  fc.integer({ min: 1, max: 12_000 }),
  fc.constant(null),
  fc.record({ beyond: fc.constantFrom(-1, 0, 1) }),
);

type Step =
  | { do: "refund"; amount: Amount; by: "charge" | "intent" }
  | { do: "fail" | "succeed" | "cancel"; which: number }
  | { do: "wait" }
  | { do: "dispute"; inquiry: boolean; amount: Amount }
  | { do: "win" | "lose" | "escalate"; which: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("refund" as const),
        amount: amounts,
        by: fc.constantFrom("charge" as const, "intent" as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom("fail" as const, "succeed" as const, "cancel" as const),
        which: fc.nat(9),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ do: "wait" as const }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("dispute" as const), inquiry: fc.boolean(), amount: amounts }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom("win" as const, "lose" as const, "escalate" as const),
        which: fc.nat(3),
      }),
    },
  ),
  { minLength: 1, maxLength: 14 },
);

describe("whatever happens to a payment", () => {
  it("its refunds that have not failed add up to the charge's sum, never above its amount", async () => {
    let now = START;
    const take = async (step: Step, { intent, charge }: { intent: string; charge: string }): Promise<void> => {
      const wanted = "amount" in step ? step.amount : null;
      const { amount: paid, amount_refunded } = await stripe.charges.retrieve(charge);
      const beyond = wanted !== null && typeof wanted === "object" ? paid - amount_refunded + wanted.beyond : wanted;
      const amount = beyond ?? undefined;
      if (step.do === "wait") {
        now += 10;
        await sandbox.setClock(now);
      } else if (step.do === "refund") {
        const of = step.by === "charge" ? { charge } : { payment_intent: intent };
        await stripe.refunds.create({ ...of, amount }).catch((error: Stripe.errors.StripeError) => {
          expect(error.statusCode).toBe(400);
        });
      } else if (step.do === "dispute") {
        await sandbox.control("disputes", { charge, amount, inquiry: step.inquiry });
      } else if (step.do === "win" || step.do === "lose" || step.do === "escalate") {
        const { data } = await stripe.disputes.list({ charge });
        if (data.length > 0) await sandbox.control(`disputes/${data[step.which % data.length]?.id}/${step.do}`, {});
      } else {
        const { data } = await stripe.refunds.list({ charge });
        if (data.length > 0) await sandbox.control(`refunds/${data[step.which % data.length]?.id}/${step.do}`, {});
      }
    };
    const cards = fc.constantFrom("pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail");
    await fc.assert(
      fc.asyncProperty(cards, steps, async (card, taken) => {
        const payment = await payOnce(sandbox, card);
        for (const step of taken) {
          await take(step, payment);
          const charge = await stripe.charges.retrieve(payment.charge);
          const refunds = await stripe.refunds.list({ charge: payment.charge, limit: 100 });
          const sum = refunds.data
            .filter(({ status }) => status !== "failed" && status !== "canceled")
            .reduce((total, refund) => total + refund.amount, 0);
          expect(charge.amount_refunded).toBe(sum);
          expect(sum).toBeLessThanOrEqual(charge.amount);
          expect(charge.refunded).toBe(sum === charge.amount);
          // The account's money is what its movements say, dispute by dispute and refund by refund.
          const disputes = await stripe.disputes.list({ charge: payment.charge, limit: 100 });
          const sources = [payment.charge, ...[...refunds.data, ...disputes.data].map(({ id }) => id)];
          const moved = await Promise.all(
            sources.map((source) => stripe.balanceTransactions.list({ source, limit: 100 })),
          );
          const net = moved.flatMap(({ data }) => data).reduce((total, entry) => total + entry.amount, 0);
          const withdrawn = disputes.data
            .filter(({ status }) => ["needs_response", "under_review", "lost"].includes(status))
            .reduce((total, dispute) => total + dispute.amount, 0);
          expect(net).toBe(charge.amount - sum - withdrawn);
          expect(withdrawn).toBeLessThanOrEqual(charge.amount);
        }
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});
