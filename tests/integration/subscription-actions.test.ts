// Cancelling, pausing, the portal and paying an invoice through the API: each once, each true in the next read.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { asPlatform } from "~/server/db";
import { type Billing, callAs, daysLater, openBilling, quietLogs } from "../setup/billing";
import {
  chargedAmounts,
  createSubscriber,
  invoicesOf,
  type PlanKey,
  planIds,
  replaceCard,
  type Subscriber,
  type Tenant,
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

const PERIOD_END = new Date("2026-04-10T09:30:00Z");

const api = (tenant: Tenant, now = NOW) => callAs(tenant.owner, now).subscription;
const of = (tenant: Tenant) => ({ organizationId: tenant.id });
const get = (tenant: Tenant, now = NOW) => api(tenant, now).get(of(tenant));
const atStripe = (tenant: Subscriber) => billing.stripe.subscriptions.retrieve(tenant.subscription);

async function schedule(tenant: Subscriber, plan: PlanKey): Promise<void> {
  const choice = { ...of(tenant), planId: plans[plan], interval: "month" as const };
  const { token } = await api(tenant).previewChange(choice);
  expect(await api(tenant).change({ ...choice, token })).toEqual({ status: "scheduled" });
}

describe("a cancellation", () => {
  it("at the end of the period shows its end, keeps why, and can be undone", async () => {
    const tenant = await createSubscriber(billing);
    const why = { reason: "too_expensive" as const, comment: "Next year again" };
    expect(await api(tenant).cancel({ ...of(tenant), at: "period_end", ...why })).toEqual({ endsAt: PERIOD_END });
    expect(await get(tenant)).toMatchObject({ status: "active", cancelsAt: PERIOD_END, nextInvoice: null });
    expect((await atStripe(tenant)).cancellation_details).toMatchObject({
      feedback: "too_expensive",
      comment: "Next year again",
    });
    expect(await api(tenant).undoCancel(of(tenant))).toEqual({ renewsAt: PERIOD_END });
    expect(await get(tenant)).toMatchObject({ status: "active", cancelsAt: null, nextInvoice: { amount: 4_900 } });
  });

  it("and its undoing can be repeated: no call is answered with an old one's answer", async () => {
    const tenant = await createSubscriber(billing);
    for (const _ of [1, 2, 3]) {
      await api(tenant).cancel({ ...of(tenant), at: "period_end" });
      expect((await get(tenant))?.cancelsAt).toEqual(PERIOD_END);
      await api(tenant).undoCancel(of(tenant));
      expect((await get(tenant))?.cancelsAt).toBeNull();
    }
    expect((await atStripe(tenant)).cancel_at_period_end).toBe(false);
  });

  it("is done again where it was undone at Stripe after a crash, although the key is the same", async () => {
    const tenant = await createSubscriber(billing);
    billing.line.bend = (path, answer) =>
      path === `/v1/subscriptions/${tenant.subscription}` && answer.cancel_at_period_end === true ? { cut: 1 } : answer;
    expect(
      await api(tenant)
        .cancel({ ...of(tenant), at: "period_end" })
        .catch(codeOf),
    ).toBe("STRIPE_UNAVAILABLE");
    billing.line.bend = null;
    await billing.stripe.subscriptions.update(tenant.subscription, { cancel_at_period_end: false });
    await api(tenant).cancel({ ...of(tenant), at: "period_end" });
    expect((await atStripe(tenant)).cancel_at_period_end).toBe(true);
    expect((await get(tenant))?.cancelsAt).toEqual(PERIOD_END);
  });

  it("clicked twice at once is one", async () => {
    const tenant = await createSubscriber(billing);
    const click = () => api(tenant).cancel({ ...of(tenant), at: "period_end" });
    expect(await Promise.all([click(), click()])).toEqual([{ endsAt: PERIOD_END }, { endsAt: PERIOD_END }]);
    expect((await get(tenant))?.cancelsAt).toEqual(PERIOD_END);
  });

  it("at once ends it, gives nothing back, and leaves what was paid for", async () => {
    const tenant = await createSubscriber(billing);
    const { endsAt } = await api(tenant, daysLater(1)).cancel({ ...of(tenant), at: "now" });
    expect(await get(tenant)).toMatchObject({ status: "cancelled", cancelsAt: null, scheduledChange: null });
    // A second click is told the same.
    expect(await api(tenant, daysLater(1)).cancel({ ...of(tenant), at: "now" })).toEqual({ endsAt });
    await billing.settle();
    expect((await billing.stripe.refunds.list()).data).toEqual([]);
    expect((await invoicesOf(billing, tenant)).map(({ status }) => status)).toEqual(["paid"]);
    const { available } = await callAs(tenant.owner, daysLater(2)).credits.balance(of(tenant));
    expect(available).toBe(6_000);
    expect(await api(tenant).undoCancel(of(tenant)).catch(codeOf)).toBe("NO_SUBSCRIPTION");
  });

  it("drops a change that was scheduled, or that waits for its payment", async () => {
    const tenant = await createSubscriber(billing, { plan: "scale" });
    await schedule(tenant, "pro");
    await api(tenant).cancel({ ...of(tenant), at: "period_end" });
    expect(await get(tenant)).toMatchObject({ scheduledChange: null, cancelsAt: PERIOD_END });
    const other = await createSubscriber(billing);
    await replaceCard(billing, other, "pm_card_chargeCustomerFail");
    const choice = { ...of(other), planId: plans.scale, interval: "month" as const };
    await api(other).change({ ...choice, token: (await api(other).previewChange(choice)).token });
    await api(other).cancel({ ...of(other), at: "period_end" });
    expect(await get(other)).toMatchObject({ pendingChange: null, cancelsAt: PERIOD_END, openInvoice: null });
  });

  it("needs a subscription, and somebody who manages billing", async () => {
    const [none, tenant] = [await createTenant(), await createSubscriber(billing)];
    expect(
      await api(none)
        .cancel({ ...of(none), at: "period_end" })
        .catch(codeOf),
    ).toBe("NO_SUBSCRIPTION");
    expect(
      await api(none)
        .cancel({ ...of(none), at: "now" })
        .catch(codeOf),
    ).toBe("NO_SUBSCRIPTION");
    const member = callAs(await createMember(tenant.id, "member")).subscription;
    const calls = [
      member.cancel({ ...of(tenant), at: "now" }),
      member.undoCancel(of(tenant)),
      member.pause(of(tenant)),
      member.resume(of(tenant)),
      member.undoChange(of(tenant)),
      member.portal(of(tenant)),
      callAs(none.owner).subscription.cancel({ ...of(tenant), at: "now" }),
    ];
    const refusals = await Promise.all(calls.map((call) => call.then(() => "allowed", codeOf)));
    expect(refusals).toEqual([...Array(6).fill("FORBIDDEN"), "NOT_FOUND"]);
    expect((await atStripe(tenant)).status).toBe("active");
  });
});

describe("a pause", () => {
  it("voids what falls due, and ends by itself or by a click", async () => {
    const tenant = await createSubscriber(billing);
    const until = daysLater(60);
    expect(await api(tenant).pause({ ...of(tenant), until })).toEqual({ resumesAt: until });
    expect(await get(tenant)).toMatchObject({ status: "paused", resumesAt: until });
    expect((await atStripe(tenant)).pause_collection).toMatchObject({ behavior: "void" });
    // For longer, then for good.
    expect(await api(tenant).pause({ ...of(tenant), until: daysLater(90) })).toEqual({ resumesAt: daysLater(90) });
    expect(await api(tenant).pause(of(tenant))).toEqual({ resumesAt: null });
    expect(await get(tenant)).toMatchObject({ status: "paused", resumesAt: null });
    expect(await api(tenant).resume(of(tenant))).toEqual({ renewsAt: PERIOD_END });
    expect(await get(tenant)).toMatchObject({ status: "active", resumesAt: null });
    expect(await api(tenant).resume(of(tenant))).toEqual({ renewsAt: PERIOD_END });
  });

  it("is refused of what is cancelled, and until an instant of the past or of another age", async () => {
    const tenant = await createSubscriber(billing);
    for (const until of [NOW, daysLater(-1), daysLater(400)]) {
      expect(
        await api(tenant)
          .pause({ ...of(tenant), until })
          .catch(codeOf),
      ).toBe("INVALID_INPUT");
    }
    await api(tenant).cancel({ ...of(tenant), at: "period_end" });
    expect(await api(tenant).pause(of(tenant)).catch(codeOf)).toBe("WRONG_STATE");
  });
});

describe("the portal", () => {
  const urlOf = async (tenant: Tenant, input: object = {}) =>
    (await api(tenant).portal({ ...of(tenant), ...input } as Parameters<ReturnType<typeof api>["portal"]>[0])).url;

  it("opens at its home page, or where somebody wants to go, and leads back", async () => {
    const tenant = await createSubscriber(billing);
    const asked: string[] = [];
    const create = billing.line.calls.length;
    for (const flow of [null, "update_card", "cancel", "change_plan", "invoices"]) {
      asked.push(await urlOf(tenant, { flow, returnPath: `/${tenant.slug}/billing/plans` }));
    }
    expect(new Set(asked).size).toBe(5);
    expect(billing.line.calls.slice(create).every((call) => call === "POST /v1/billing_portal/sessions")).toBe(true);
    expect(await urlOf(tenant, { flow: "change_plan", returnPath: null })).toContain("http");
  });

  it("uses the configuration of the account, where there is one", async () => {
    const tenant = await createSubscriber(billing);
    // Made when the catalogue was pushed.
    const account = await asPlatform((tx) => tx.stripeAccount.findFirstOrThrow());
    expect(account.portalConfigurationId).toMatch(/^bpc_/);
    const used: unknown[] = [];
    billing.line.bend = (path, answer) => {
      if (path === "/v1/billing_portal/sessions") used.push(answer.configuration);
      return answer;
    };
    await urlOf(tenant);
    expect(used).toEqual([account.portalConfigurationId]);
  });

  it("leads back to the organization's own pages alone", async () => {
    const tenant = await createSubscriber(billing);
    const elsewhere = [
      "https://example.com/",
      "//example.com/x",
      "/\\example.com",
      "/other-organization/billing",
      `/${tenant.slug}-else/billing`,
      `/${tenant.slug}/../other/billing`,
      "billing",
    ];
    for (const returnPath of elsewhere) {
      expect(await urlOf(tenant, { returnPath }).catch(codeOf), returnPath).toBe("INVALID_INPUT");
    }
  });

  it("needs a customer, and a subscription for what is about one", async () => {
    const tenant = await createTenant();
    expect(await urlOf(tenant).catch(codeOf)).toBe("NO_BILLING_ACCOUNT");
    const ended = await createSubscriber(billing);
    await api(ended).cancel({ ...of(ended), at: "now" });
    expect(await urlOf(ended, { flow: "cancel" }).catch(codeOf)).toBe("NO_SUBSCRIPTION");
    expect(await urlOf(ended, { flow: "update_card" })).toContain("http");
  });
});

describe("paying an open invoice", () => {
  const RENEWAL = new Date("2026-04-10T10:45:00Z");
  const pay = (tenant: Tenant, invoiceId: string, now = RENEWAL) =>
    callAs(tenant.owner, now).billing.payInvoice({ ...of(tenant), invoiceId });

  /** A subscriber whose renewal failed. All of these at one time: Stripe's clock is one for all. */
  let late: Subscriber[] = [];
  beforeAll(async () => {
    late = [];
    for (const card of [
      "pm_card_chargeCustomerFail",
      "pm_card_chargeCustomerFail",
      "pm_card_authenticationRequired",
      "pm_card_chargeCustomerFail",
    ]) {
      const tenant = await createSubscriber(billing);
      await replaceCard(billing, tenant, card);
      late.push(tenant);
    }
    await billing.setClock(RENEWAL);
    await billing.settle();
  });
  const take = () => {
    const tenant = late.shift();
    if (!tenant) throw new Error("there are subscribers enough");
    return tenant;
  };

  it("charges once, however often and by whatever id, and the subscription goes on", async () => {
    const tenant = take();
    const overdue = await get(tenant, RENEWAL);
    expect(overdue).toMatchObject({ status: "past_due", openInvoice: { amount: 4_900, currency: "usd" } });
    const id = overdue?.openInvoice?.id ?? "";
    await replaceCard(billing, tenant, "pm_card_visa");
    const answers = await Promise.all([pay(tenant, id), pay(tenant, id), pay(tenant, id)]);
    expect(answers).toEqual([{ status: "paid" }, { status: "paid" }, { status: "paid" }]);
    const [line] = (await callAs(tenant.owner, RENEWAL).billing.history(of(tenant))).items;
    expect(await pay(tenant, line?.id ?? "")).toEqual({ status: "paid" });
    expect(await get(tenant, RENEWAL)).toMatchObject({ status: "active", openInvoice: null, pastDueSince: null });
    expect(await chargedAmounts(billing, tenant)).toEqual([4_900, 4_900]);
    expect((await callAs(tenant.owner, RENEWAL).credits.balance(of(tenant))).available).toBe(6_000);
    await billing.settle();
    expect((await callAs(tenant.owner, RENEWAL).credits.balance(of(tenant))).available).toBe(6_000);
  });

  it("that the bank declines says why in plain words, again after each click, and takes another card", async () => {
    const tenant = take();
    const id = (await get(tenant, RENEWAL))?.openInvoice?.id ?? "";
    for (const _ of [1, 2]) {
      expect(await pay(tenant, id)).toEqual({
        status: "failed",
        url: expect.stringContaining("http"),
        message: "The bank declined the payment without saying why. Use another card, or ask your bank.",
      });
    }
    await replaceCard(billing, tenant, "pm_card_mastercard");
    expect(await pay(tenant, id)).toEqual({ status: "paid" });
  });

  it("that the bank wants confirmed leads to where it is", async () => {
    const tenant = take();
    const id = (await get(tenant, RENEWAL))?.openInvoice?.id ?? "";
    expect(await pay(tenant, id)).toMatchObject({
      status: "payment_required",
      url: expect.stringContaining("http"),
      message: "Your bank wants you to confirm the payment.",
    });
  });

  it("is for the organization's own, open ones", async () => {
    const [tenant, other] = [take(), await createSubscriber(billing, { now: RENEWAL })];
    const id = (await get(tenant, RENEWAL))?.openInvoice?.id ?? "";
    expect(await pay(other, id).catch(codeOf)).toBe("NOT_FOUND");
    expect(await pay(tenant, "in_nothing").catch(codeOf)).toBe("NOT_FOUND");
    const none = await createTenant();
    expect(await pay(none, id).catch(codeOf)).toBe("NOT_FOUND");
    const [line] = (await callAs(other.owner, RENEWAL).billing.history(of(other))).items;
    expect(await pay(tenant, line?.id ?? "").catch(codeOf)).toBe("NOT_FOUND");
    const member = await createMember(tenant.id, "member");
    const asMember = callAs(member, RENEWAL).billing.payInvoice({ ...of(tenant), invoiceId: id });
    expect(await asMember.catch(codeOf)).toBe("FORBIDDEN");
    await billing.stripe.invoices.voidInvoice(id);
    expect(await pay(tenant, id).catch(codeOf)).toBe("WRONG_STATE");
    expect(await get(tenant, minutesLater(1, RENEWAL))).toMatchObject({ openInvoice: null });
  });
});
