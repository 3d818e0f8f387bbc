// Changing the plan through the API: what is shown is what is charged, once; what waits can be taken back; what is not paid
// changes nothing.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Billing, callAs, daysLater, openBilling, quietLogs } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import {
  chargedAmounts,
  createSubscriber,
  invoicesOf,
  type PlanKey,
  planIds,
  replaceCard,
  type Subscriber,
} from "../setup/subscribers";
import { codeOf, createMember, createTenant, minutesLater, NOW } from "../setup/tenancy";

let billing: Billing;
let plans: Record<PlanKey, string>;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  plans = await planIds();
});
afterAll(() => billing.close());
afterEach(() => {
  billing.line.mode = "up";
  billing.line.bend = null;
});

type Interval = "month" | "year";

const preview = (tenant: Subscriber, plan: PlanKey, interval: Interval = "month", now = NOW) =>
  callAs(tenant.owner, now).subscription.previewChange({ organizationId: tenant.id, planId: plans[plan], interval });

const change = (tenant: Subscriber, plan: PlanKey, token: string, interval: Interval = "month", now = NOW) =>
  callAs(tenant.owner, now).subscription.change({ organizationId: tenant.id, planId: plans[plan], interval, token });

const undo = (tenant: Subscriber, now = NOW) =>
  callAs(tenant.owner, now).subscription.undoChange({ organizationId: tenant.id });

const get = (tenant: Subscriber, now = NOW) =>
  callAs(tenant.owner, now).subscription.get({ organizationId: tenant.id });

const balance = (tenant: Subscriber, now = NOW) =>
  callAs(tenant.owner, now).credits.balance({ organizationId: tenant.id });

describe("a preview", () => {
  it("of an upgrade shows what is due now, what later, and the credits", async () => {
    const tenant = await createSubscriber(billing);
    const shown = await preview(tenant, "scale");
    expect(shown).toMatchObject({
      kind: "upgrade",
      effective: "now",
      at: NOW,
      prorationDate: NOW,
      dueNow: { amount: 10_000, tax: 0, currency: "usd" },
      recurring: { amount: 14_900, tax: 0, currency: "usd", interval: "month", from: new Date("2026-04-10T09:30:00Z") },
      credits: { now: 19_000, takenBack: 0, owed: 0, perInterval: 25_000, creditInterval: "month" },
    });
    expect(shown.dueNow.lines.map(({ amount }) => amount).sort((a, b) => a - b)).toEqual([-4_900, 14_900]);
    expect(await get(tenant)).toMatchObject({ planKey: "pro", scheduledChange: null, pendingChange: null });
    expect(await invoicesOf(billing, tenant)).toHaveLength(1);
  });

  it("of a downgrade says that nothing is due, and from when on it is less", async () => {
    const tenant = await createSubscriber(billing);
    const end = new Date("2026-04-10T09:30:00Z");
    expect(await preview(tenant, "starter", "month", daysLater(10))).toMatchObject({
      kind: "downgrade",
      effective: "period_end",
      at: end,
      dueNow: { amount: 0, tax: 0, currency: "usd", lines: [] },
      recurring: { amount: 1_500, tax: 0, currency: "usd", interval: "month", from: end },
      credits: { now: 0, takenBack: 0, owed: 0, perInterval: 1_500, creditInterval: "month", from: end },
    });
  });

  it("is refused of the plan that there is, one that is not for sale, and without a subscription", async () => {
    const tenant = await createSubscriber(billing);
    expect(await preview(tenant, "pro").catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    expect(await preview(tenant, "enterprise").catch(codeOf)).toBe("PLAN_NOT_AVAILABLE");
    const none = { ...(await createTenant()), customer: "", subscription: "" };
    expect(await preview(none, "pro").catch(codeOf)).toBe("NO_SUBSCRIPTION");
  });

  it("is for who manages billing, of the organization alone", async () => {
    const tenant = await createSubscriber(billing);
    const input = { organizationId: tenant.id, planId: plans.scale, interval: "month" as const };
    const member = await createMember(tenant.id, "member");
    expect(await callAs(member).subscription.previewChange(input).catch(codeOf)).toBe("FORBIDDEN");
    const stranger = await createTenant();
    expect(await callAs(stranger.owner).subscription.previewChange(input).catch(codeOf)).toBe("NOT_FOUND");
    const { token } = await preview(tenant, "scale");
    expect(
      await callAs(member)
        .subscription.change({ ...input, token })
        .catch(codeOf),
    ).toBe("FORBIDDEN");
  });
});

describe("an upgrade", () => {
  it("charges what was shown, and is there in the next read, with its credits", async () => {
    const tenant = await createSubscriber(billing);
    const shown = await preview(tenant, "scale", "month", daysLater(10));
    expect(await change(tenant, "scale", shown.token, "month", minutesLater(5, daysLater(10)))).toEqual({
      status: "changed",
    });
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, shown.dueNow.amount]);
    expect(await get(tenant, daysLater(10))).toMatchObject({ planKey: "scale", status: "active", pendingChange: null });
    expect((await balance(tenant, daysLater(10))).available).toBe(6_000 + shown.credits.now - shown.credits.takenBack);
    await billing.settle();
    expect(await chargedAmounts(billing, tenant)).toHaveLength(2);
  });

  it("clicked twice, three times at once, is one", async () => {
    const tenant = await createSubscriber(billing);
    const { token } = await preview(tenant, "scale");
    const answers = await Promise.all([1, 2, 3].map(() => change(tenant, "scale", token)));
    expect(answers).toEqual([{ status: "changed" }, { status: "changed" }, { status: "changed" }]);
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 10_000]);
    expect((await balance(tenant)).available).toBe(25_000);
  });

  it("whose answer got lost is found done by the retry", async () => {
    const tenant = await createSubscriber(billing);
    const { token } = await preview(tenant, "scale");
    billing.line.bend = (path, answer) =>
      path === `/v1/subscriptions/${tenant.subscription}` && answer.object === "subscription" && isScale(answer)
        ? { cut: "off" }
        : answer;
    expect(await change(tenant, "scale", token).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    billing.line.bend = null;
    expect(await change(tenant, "scale", token)).toEqual({ status: "changed" });
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 10_000]);
    expect(await get(tenant)).toMatchObject({ planKey: "scale" });
  });

  it("there and back and there again is three changes, not the first one's answer", async () => {
    const tenant = await createSubscriber(billing, { plan: "pro" });
    await change(tenant, "scale", (await preview(tenant, "scale")).token);
    // By hand at Stripe, without a charge, so that the state is what it was.
    const [item] = (await billing.stripe.subscriptions.retrieve(tenant.subscription)).items.data;
    const [pro] = await billing.sql<{ id: string }>(
      "SELECT stripe_price_id AS id FROM plan_prices WHERE plan_id = $1 AND interval = 'month' AND currency = 'usd'",
      [plans.pro],
    );
    await billing.stripe.subscriptions.update(tenant.subscription, {
      items: [{ id: item?.id ?? "", price: pro?.id ?? "" }],
      proration_behavior: "none",
    });
    await billing.settle();
    expect(await get(tenant)).toMatchObject({ planKey: "pro" });
    const shown = await preview(tenant, "scale");
    expect(await change(tenant, "scale", shown.token)).toEqual({ status: "changed" });
    expect(await get(tenant)).toMatchObject({ planKey: "scale" });
    // The rest of the period at the larger plan was paid before, and not given back.
    expect(shown.dueNow.amount).toBe(0);
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 10_000]);
  });

  it.each([
    [
      "pm_card_chargeCustomerFail",
      "The bank declined the payment without saying why. Use another card, or ask your bank.",
    ],
    ["pm_card_authenticationRequired", "Your bank wants you to confirm the payment."],
  ])(
    "that is not paid (%s) changes nothing, says why and where to pay, and can be taken back",
    async (card, message) => {
      const tenant = await createSubscriber(billing);
      await replaceCard(billing, tenant, card);
      const { token } = await preview(tenant, "scale");
      const answer = await change(tenant, "scale", token);
      expect(answer).toEqual({ status: "payment_required", paymentUrl: expect.stringContaining("http"), message });
      expect(await change(tenant, "scale", token)).toEqual(answer);
      const waiting = await get(tenant);
      expect(waiting).toMatchObject({
        planKey: "pro",
        status: "active",
        pastDueSince: null,
        blocked: false,
        pendingChange: { planKey: "scale", interval: "month" },
        openInvoice: {
          amount: 10_000,
          currency: "usd",
          url: answer.status === "payment_required" && answer.paymentUrl,
        },
      });
      expect((await balance(tenant)).available).toBe(6_000);
      expect(await chargedAmounts(billing, tenant)).toEqual([4_900]);

      expect(await undo(tenant)).toEqual({ status: "undone" });
      expect(await get(tenant)).toMatchObject({ planKey: "pro", pendingChange: null, openInvoice: null });
      expect((await invoicesOf(billing, tenant)).map(({ status }) => status)).toEqual(["void", "paid"]);
      await billing.settle();
      expect((await balance(tenant)).available).toBe(6_000);
    },
  );

  it("that is paid later happens then, once", async () => {
    const tenant = await createSubscriber(billing);
    await replaceCard(billing, tenant, "pm_card_chargeCustomerFail");
    await change(tenant, "scale", (await preview(tenant, "scale")).token);
    await replaceCard(billing, tenant, "pm_card_visa");
    const [open] = await invoicesOf(billing, tenant);
    const pay = { organizationId: tenant.id, invoiceId: open?.id ?? "" };
    expect(await callAs(tenant.owner).billing.payInvoice(pay)).toEqual({ status: "paid" });
    expect(await get(tenant)).toMatchObject({ planKey: "scale", pendingChange: null, openInvoice: null });
    await billing.settle();
    expect((await balance(tenant)).available).toBe(25_000);
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 10_000]);
  });

  it("to the same plan for longer is at once, and begins a new year", async () => {
    const tenant = await createSubscriber(billing);
    const shown = await preview(tenant, "pro", "year");
    expect(shown).toMatchObject({
      kind: "upgrade",
      effective: "now",
      dueNow: { amount: 44_100 },
      recurring: { amount: 49_000, interval: "year", from: new Date("2027-03-10T09:30:00Z") },
      credits: { perInterval: 6_000, creditInterval: "month", owed: 0 },
    });
    expect(await change(tenant, "pro", shown.token, "year")).toEqual({ status: "changed" });
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 44_100]);
    expect(await get(tenant)).toMatchObject({
      planKey: "pro",
      interval: "year",
      currentPeriodEnd: new Date("2027-03-10T09:30:00Z"),
      nextInvoice: { amount: 49_000 },
    });
    expect((await balance(tenant)).available).toBe(6_000 + shown.credits.now - shown.credits.takenBack);
    // And back to months at the end of what is paid.
    const back = await preview(tenant, "pro", "month");
    expect(back).toMatchObject({ kind: "downgrade", effective: "period_end", dueNow: { amount: 0 } });
    expect(await change(tenant, "pro", back.token, "month")).toEqual({ status: "scheduled" });
    expect(await get(tenant)).toMatchObject({
      interval: "year",
      scheduledChange: { planKey: "pro", interval: "month", at: new Date("2027-03-10T09:30:00Z") },
    });
  });

  it("tells what of the credits that are given back was spent", async () => {
    const tenant = await createSubscriber(billing);
    await callAs(serviceOf(tenant.id)).credits.consume({
      ...{ organizationId: tenant.id, eventName: "api_call_basic", quantity: 5_000, idempotencyKey: tenant.id },
    });
    const shown = await preview(tenant, "pro", "year");
    expect(shown.credits).toMatchObject({ takenBack: 6_000, owed: 5_000, now: 6_000 });
    await change(tenant, "pro", shown.token, "year");
    expect((await balance(tenant)).available).toBe(1_000);
  });

  it("in a trial is at once and costs nothing yet", async () => {
    const tenant = await createSubscriber(billing, { plan: "starter" });
    const shown = await preview(tenant, "pro");
    const trialEnd = daysLater(14);
    expect(shown).toMatchObject({
      kind: "upgrade",
      effective: "now",
      dueNow: { amount: 0, lines: [] },
      recurring: { amount: 4_900, from: trialEnd },
      credits: { now: 0, takenBack: 0, owed: 0, perInterval: 6_000, from: trialEnd },
    });
    expect(await change(tenant, "pro", shown.token)).toEqual({ status: "changed" });
    expect(await get(tenant)).toMatchObject({ planKey: "pro", status: "trial", trialEnd });
    expect(await chargedAmounts(billing, tenant)).toEqual([]);
  });
});

const isScale = (answer: Record<string, unknown>) => JSON.stringify(answer).includes('"unit_amount":14900');

describe("a token", () => {
  it("is good for its own choice and organization, and for nobody who writes one", async () => {
    const [tenant, other] = [await createSubscriber(billing), await createSubscriber(billing)];
    const { token } = await preview(tenant, "scale");
    expect(await change(tenant, "scale", token, "year").catch(codeOf)).toBe("CHANGE_EXPIRED");
    expect(await change(other, "scale", token).catch(codeOf)).toBe("CHANGE_EXPIRED");
    const [body = "", signature = ""] = token.split(".");
    const forged = JSON.parse(Buffer.from(body, "base64url").toString());
    forged.prorationDate += 86_400 * 29;
    const written = `${Buffer.from(JSON.stringify(forged)).toString("base64url")}.${signature}`;
    for (const bad of [written, "nonsense", `${body}.`, `${body}`]) {
      expect(await change(tenant, "scale", bad).catch(codeOf)).toBe("INVALID_INPUT");
    }
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900]);
  });

  it("is no good any more after half an hour, and once the subscription is another", async () => {
    const tenant = await createSubscriber(billing);
    const { token } = await preview(tenant, "scale");
    expect(await change(tenant, "scale", token, "month", minutesLater(31)).catch(codeOf)).toBe("CHANGE_EXPIRED");
    await billing.stripe.subscriptions.update(tenant.subscription, {
      items: [{ id: await itemOf(tenant), quantity: 2 }],
    });
    expect(await change(tenant, "scale", token).catch(codeOf)).toBe("CHANGE_EXPIRED");
    expect(await get(tenant)).toMatchObject({ planKey: "pro" });
  });

  it("is no good any more when it would cost something else", async () => {
    const tenant = await createSubscriber(billing);
    const { token } = await preview(tenant, "scale");
    await billing.stripe.customers.createBalanceTransaction(tenant.customer, { amount: -2_000, currency: "usd" });
    expect(await change(tenant, "scale", token).catch(codeOf)).toBe("CHANGE_EXPIRED");
    const again = await preview(tenant, "scale");
    expect(again.dueNow.amount).toBe(8_000);
    expect(await change(tenant, "scale", again.token)).toEqual({ status: "changed" });
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 8_000]);
  });
});

async function itemOf(tenant: Subscriber): Promise<string> {
  const { items } = await billing.stripe.subscriptions.retrieve(tenant.subscription);
  return items.data[0]?.id ?? "";
}

describe("a downgrade", () => {
  it("waits for the end of the period, is shown, and happens then with the smaller allowance", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale", now: NOW });
    const { token, at } = await preview(tenant, "pro");
    expect(await change(tenant, "pro", token)).toEqual({ status: "scheduled" });
    expect(await change(tenant, "pro", token)).toEqual({ status: "scheduled" });
    expect(await get(tenant)).toMatchObject({
      planKey: "scale",
      scheduledChange: { planKey: "pro", planName: "Pro", interval: "month", at },
      nextInvoice: { amount: 4_900 },
    });
    expect((await balance(tenant)).available).toBe(25_000);
    const schedules = (await billing.stripe.subscriptionSchedules.list({ customer: tenant.customer })).data;
    expect(schedules).toHaveLength(1);
    expect(schedules[0]?.metadata).toEqual({ organizationId: tenant.id });
    expect(schedules[0]?.end_behavior).toBe("release");
  });

  it("that is chosen anew replaces the one of before", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale" });
    await change(tenant, "pro", (await preview(tenant, "pro")).token);
    expect(await change(tenant, "starter", (await preview(tenant, "starter")).token)).toEqual({ status: "scheduled" });
    expect(await get(tenant)).toMatchObject({ planKey: "scale", scheduledChange: { planKey: "starter" } });
    // And the first one again: no answer of before.
    expect(await change(tenant, "pro", (await preview(tenant, "pro")).token)).toEqual({ status: "scheduled" });
    expect(await get(tenant)).toMatchObject({ scheduledChange: { planKey: "pro" } });
  });

  it("can be taken back, scheduled again, and taken back again", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale" });
    for (const _ of [1, 2]) {
      await change(tenant, "pro", (await preview(tenant, "pro")).token);
      expect(await get(tenant)).toMatchObject({ scheduledChange: { planKey: "pro" } });
      expect(await undo(tenant)).toEqual({ status: "undone" });
      expect(await get(tenant)).toMatchObject({
        planKey: "scale",
        scheduledChange: null,
        nextInvoice: { amount: 14_900 },
      });
    }
    expect(await undo(tenant)).toEqual({ status: "undone" });
    expect((await billing.stripe.subscriptions.retrieve(tenant.subscription)).metadata).toMatchObject({
      organizationId: tenant.id,
    });
  });

  it("gives way to an upgrade, which is at once", async () => {
    const tenant = await createSubscriber(billing, { plan: "pro" });
    await change(tenant, "starter", (await preview(tenant, "starter")).token);
    expect(await change(tenant, "scale", (await preview(tenant, "scale")).token)).toEqual({ status: "changed" });
    expect(await get(tenant)).toMatchObject({ planKey: "scale", scheduledChange: null });
  });

  it("whose schedule was made while the answer got lost uses that one", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale" });
    const { token } = await preview(tenant, "pro");
    billing.line.bend = (path, answer) => (path === "/v1/subscription_schedules" ? { cut: "off" } : answer);
    expect(await change(tenant, "pro", token).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    billing.line.bend = null;
    expect(await change(tenant, "pro", token)).toEqual({ status: "scheduled" });
    expect((await billing.stripe.subscriptionSchedules.list({ customer: tenant.customer })).data).toHaveLength(1);
  });

  it("keeps discounts, and metadata", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale" });
    const coupon = await billing.stripe.coupons.create({ percent_off: 50, duration: "forever" });
    await billing.stripe.subscriptions.update(tenant.subscription, { discounts: [{ coupon: coupon.id }] });
    await change(tenant, "pro", (await preview(tenant, "pro")).token);
    expect(await get(tenant)).toMatchObject({ nextInvoice: { amount: 2_450 } });
  });
});

describe("a change", () => {
  it("is refused while the subscription is cancelled or paused", async () => {
    const tenant = await createSubscriber(billing);
    const { token } = await preview(tenant, "scale");
    const of = { organizationId: tenant.id };
    await callAs(tenant.owner).subscription.cancel({ ...of, at: "period_end" });
    expect(await preview(tenant, "scale").catch(codeOf)).toBe("WRONG_STATE");
    expect(await change(tenant, "scale", token).catch(codeOf)).toBe("WRONG_STATE");
    await callAs(tenant.owner).subscription.undoCancel(of);
    await callAs(tenant.owner).subscription.pause(of);
    expect(await preview(tenant, "scale").catch(codeOf)).toBe("WRONG_STATE");
    await callAs(tenant.owner).subscription.resume(of);
    expect(await change(tenant, "scale", (await preview(tenant, "scale")).token)).toEqual({ status: "changed" });
  });
});

// Last, because Stripe's clock is one for all.
describe("the end of the period", () => {
  it("brings the plan that was scheduled, its price and its allowance, and ends the schedule", async () => {
    const [tenant, undone] = [
      await createSubscriber(billing, { plan: "scale" }),
      await createSubscriber(billing, { plan: "scale" }),
    ];
    for (const each of [tenant, undone]) await change(each, "pro", (await preview(each, "pro")).token);
    await undo(undone);
    const renewed = new Date("2026-04-10T11:00:00Z");
    await billing.setClock(renewed);
    await billing.settle();
    expect(await get(tenant, renewed)).toMatchObject({ planKey: "pro", status: "active", scheduledChange: null });
    expect(await chargedAmounts(billing, tenant)).toEqual([14_900, 4_900]);
    expect((await balance(tenant, renewed)).available).toBe(6_000);
    expect(await get(undone, renewed)).toMatchObject({ planKey: "scale", status: "active", scheduledChange: null });
    expect(await chargedAmounts(billing, undone)).toEqual([14_900, 14_900]);
    expect((await balance(undone, renewed)).available).toBe(25_000);
    // What is done in the new period works as before.
    expect(
      await change(tenant, "scale", (await preview(tenant, "scale", "month", renewed)).token, "month", renewed),
    ).toEqual({
      status: "changed",
    });
  });
});
