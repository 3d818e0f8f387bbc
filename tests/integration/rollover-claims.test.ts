// What goes on into the next period of credits whose payment was refunded or is disputed.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { reverseConsumption } from "~/server/billing/reversals";
import { callAs, expectLawfulLedger, makeEvent, PLATFORM } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const capAt = (credits: number) =>
  life.sql("UPDATE subscription_plans SET rollover_cap = $1 WHERE key = 'pro'", [credits]);

const renew = async (tenant: Tenant) =>
  void (await life.liveUntil(minutesLater(120, (await life.rowOf(tenant)).currentPeriodEnd)));

async function refund(tenant: Tenant, amount: number): Promise<string> {
  const { id: invoice } = await life.newestInvoice(tenant);
  const [payment] = (await life.stripe.invoicePayments.list({ invoice })).data;
  const { id } = await life.stripe.refunds.create({
    payment_intent: payment?.payment.payment_intent as string,
    amount,
  });
  await life.billing.settle();
  return id;
}

describe("what is left of a period of which a part was refunded", () => {
  it("goes on but for that part", async () => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    await refund(tenant, 49);
    expect(await life.availableOf(tenant)).toBe(5940);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 5940);
    await life.touch(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 5940);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("goes on up to the cap, whatever the refund has taken", async () => {
    await capAt(2000);
    const tenant = await life.subscribe("pro");
    await refund(tenant, 2450);
    await life.spend(tenant, 500);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 2000);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("goes on as far as it was not spent; of a refund that comes later what was spent bears its part", async () => {
    await capAt(100_000);
    const [before, after] = [await life.subscribe("pro"), await life.subscribe("pro")];
    for (const tenant of [before, after]) await life.spend(tenant, 1000);
    const { id: invoice } = await life.newestInvoice(after);
    await refund(before, 490);
    await renew(before);
    await life.billing.settle();
    const [payment] = (await life.stripe.invoicePayments.list({ invoice })).data;
    await life.stripe.refunds.create({ payment_intent: payment?.payment.payment_intent as string, amount: 490 });
    await life.billing.settle();
    // A tenth of 6,000 is taken of 5,000 that were left; told later, what was spent bears its part of it.
    expect(await life.availableOf(before)).toBe(6000 + 4400);
    expect(await life.availableOf(after)).toBe(6000 + 4500);
    for (const tenant of [before, after]) await expectLawfulLedger(life.sql, tenant.id);
  });

  it.each(["before", "after"] as const)(
    "is the same whether credits that were spent came back %s the refund that became debt for them",
    async (when) => {
      await capAt(100_000);
      const tenant = await life.subscribe("pro");
      await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
      await life.spend(tenant, 1000);
      const { transactionId } = await life.spend(tenant, 4000);
      const wrong = { organizationId: tenant.id, transactionId, amount: null, reason: "it failed" };
      const bringBack = () => reverseConsumption({ ...wrong, idempotencyKey: "back", actor: "tests", now: life.now() });
      if (when === "before") await bringBack();
      const id = await refund(tenant, 2450);
      expect(await life.debtOf(tenant)).toBe(when === "before" ? 0 : 2000);
      if (when === "after") await bringBack();
      // 1,000 of 6,000 were spent, and 3,000 are refunded.
      expect(await life.availableOf(tenant)).toBe(2000);
      await renew(tenant);
      expect(await life.availableOf(tenant)).toBe(6000 + 2000);
      await expectLawfulLedger(life.sql, tenant.id);
      await life.billing.control(`refunds/${id}/fail`, {});
      await life.billing.settle();
      // All that was left of the period, as if nobody had refunded anything.
      expect(await life.availableOf(tenant)).toBe(6000 + 5000);
      await expectLawfulLedger(life.sql, tenant.id);
    },
  );

  it("has it back where the refund fails", async () => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    const id = await refund(tenant, 2450);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 3000);
    await life.billing.control(`refunds/${id}/fail`, {});
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(12_000);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});

describe("what a refund has taken, where it fails after the period is over", () => {
  const WHOLE = 4900;

  async function fail(tenant: Tenant, refundId: string): Promise<void> {
    await life.billing.control(`refunds/${refundId}/fail`, {});
    await life.billing.settle();
    await expectLawfulLedger(life.sql, tenant.id);
  }

  it.each([
    ["of everything goes on after all", 100_000, [WHOLE], 0, 6000],
    ["goes on up to the cap", 2000, [WHOLE], 0, 2000],
    ["goes on but for what was spent", 100_000, [WHOLE], 1500, 4500],
    ["is there beside what another refund leaves", 100_000, [2450, 2450], 0, 3000],
    // What the refund claims had gone on beside the cap, since nobody could have spent it.
    ["has no more room than the cap leaves", 2000, [1225], 500, 2667],
  ] as const)("%s", async (_, cap, refunds, spent, goesOn) => {
    await capAt(cap);
    const tenant = await life.subscribe("pro");
    if (spent > 0) await life.spend(tenant, spent);
    const ids: string[] = [];
    for (const amount of refunds) ids.push(await refund(tenant, amount));
    await renew(tenant);
    await fail(tenant, ids.at(-1) ?? "");
    expect(await life.availableOf(tenant)).toBe(6000 + goesOn);
    await life.touch(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + goesOn);
    // It lasts as long as what goes on in time, and goes on itself.
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + Math.min(cap, 6000 + goesOn));
  });

  it.each([
    [100_000, 18_000],
    [2000, 8000],
  ])("goes on through each period since, up to the cap of each: %d", async (cap, available) => {
    await capAt(cap);
    const tenant = await life.subscribe("pro");
    const id = await refund(tenant, WHOLE);
    await renew(tenant);
    await renew(tenant);
    await fail(tenant, id);
    expect(await life.availableOf(tenant)).toBe(available);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + Math.min(cap, available));
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("goes on with what had paid the debt that it left, from whichever period that was", async () => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
    await life.spend(tenant, 4000);
    const id = await refund(tenant, WHOLE);
    await renew(tenant);
    // The 4,000 that were spent are paid with the next period's.
    expect(await life.availableOf(tenant)).toBe(2000);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 2000);
    await fail(tenant, id);
    expect(await life.availableOf(tenant)).toBe(3 * 6000 - 4000);
  });

  it("leaves room for what goes through a period where something has gone on from that one, too", async () => {
    await capAt(3000);
    const tenant = await life.subscribe("pro");
    await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
    await life.spend(tenant, 5000);
    const id = await refund(tenant, WHOLE);
    await renew(tenant);
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000 + 1000);
    await fail(tenant, id);
    // As without a refund: 1,000 and 6,000 were left at the end of the second month.
    expect(await life.availableOf(tenant)).toBe(6000 + 3000);
  });

  it("is refunded again where it went", async () => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    const { id: invoice } = await life.newestInvoice(tenant);
    const first = await refund(tenant, WHOLE);
    await renew(tenant);
    await fail(tenant, first);
    const [payment] = (await life.stripe.invoicePayments.list({ invoice })).data;
    const again = { payment_intent: payment?.payment.payment_intent as string, amount: WHOLE };
    const { id } = await life.stripe.refunds.create(again);
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(6000);
    await fail(tenant, id);
    expect(await life.availableOf(tenant)).toBe(12_000);
  });

  it("goes on when the next period is paid, where that is not yet so", async () => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    const id = await refund(tenant, WHOLE);
    const { id: subscription, currentPeriodEnd } = await life.rowOf(tenant);
    const customer = (await life.customerOf(tenant)) ?? "";
    const pays = async (card: string) => {
      const method = await life.stripe.paymentMethods.attach(card, { customer });
      await life.stripe.subscriptions.update(subscription, { default_payment_method: method.id });
    };
    await pays("pm_card_chargeCustomerFail");
    await life.liveUntil(minutesLater(120, currentPeriodEnd));
    await fail(tenant, id);
    await pays("pm_card_visa");
    await life.stripe.invoices.pay((await life.newestInvoice(tenant)).id);
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(12_000);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});

describe("what a dispute freezes over a renewal", () => {
  it.each([
    ["is there once it is won", "won", 12_000],
    ["is gone once it is lost", "lost", 6000],
  ] as const)("%s", async (_, end, available) => {
    await capAt(100_000);
    const tenant = await life.subscribe("pro");
    const { id, currentPeriodEnd } = await life.rowOf(tenant);
    const customer = (await life.customerOf(tenant)) ?? "";
    const pays = async (card: string) => {
      const method = await life.stripe.paymentMethods.attach(card, { customer });
      await life.stripe.subscriptions.update(id, { default_payment_method: method.id });
    };
    // A bank takes up to 75 days to decide; the sandbox's is quicker.
    let isDecided = false;
    life.billing.line.bend = (path, answer) => {
      if (isDecided || !path.startsWith("/v1/disputes")) return answer;
      const data = (answer.data as object[]).map((dispute) => ({ ...dispute, status: "under_review" }));
      return { ...answer, data };
    };
    await life.spend(tenant, 6000);
    await pays("pm_card_createDispute");
    await life.liveUntil(minutesLater(120, currentPeriodEnd));
    await pays("pm_card_visa");
    const [dispute] = (await life.stripe.disputes.list({ limit: 1 })).data;
    const evidence = { uncategorized_text: end === "won" ? "winning_evidence" : "losing_evidence" };
    await life.stripe.disputes.update(dispute?.id ?? "", { evidence, submit: true });
    await renew(tenant);
    expect(await life.availableOf(tenant)).toBe(6000);
    isDecided = true;
    const decided = await life.stripe.disputes.retrieve(dispute?.id ?? "");
    expect(decided.status).toBe(end);
    await life.billing.settle([makeEvent("charge.dispute.closed", { ...decided })], life.now());
    expect(await life.availableOf(tenant)).toBe(available);
    await expectLawfulLedger(life.sql, tenant.id);
  });
});
