// What refunds and credit notes of an invoice take of its credits, however the invoice was paid.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { callAs, daysLater, expectLawfulLedger, PLATFORM } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { differencesFromStripe } from "../setup/stripe-truth";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

async function refund(tenant: Tenant, amount?: number, given?: string): Promise<string> {
  const invoice = given ?? (await life.newestInvoice(tenant)).id;
  const [payment] = (await life.stripe.invoicePayments.list({ invoice })).data;
  const payment_intent = payment?.payment.payment_intent as string;
  const { id } = await life.stripe.refunds.create({ payment_intent, ...(amount ? { amount } : {}) });
  await life.billing.settle();
  return id;
}

const giveBalance = async (tenant: Tenant, amount: number) =>
  life.stripe.customers.createBalanceTransaction((await life.customerOf(tenant)) ?? "", {
    amount: -amount,
    currency: "usd",
  });

const renew = async (tenant: Tenant) =>
  void (await life.liveUntil(minutesLater(120, (await life.rowOf(tenant)).currentPeriodEnd)));

/** A year of pro, of which six months were granted. */
async function halfAYear(): Promise<Tenant> {
  const tenant = await life.subscribe("pro", { interval: "year" });
  await life.liveUntil(daysLater(154, life.now()));
  await grantDueSlices(life.now(), 1000);
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 6000, 6000, 6000, 6000]);
  return tenant;
}

describe("a refund", () => {
  it("of the card's small part of an invoice that the balance paid takes that part of the credits", async () => {
    const tenant = await life.subscribe("pro");
    await giveBalance(tenant, 4800);
    await renew(tenant);
    expect(await life.newestInvoice(tenant)).toMatchObject({ total: 4900, amount_paid: 100 });
    await refund(tenant);
    // 100 of 4,900 is 122 of 6,000.
    expect(await life.availableOf(tenant)).toBe(5878);
    await expectLawfulLedger(life.sql, tenant.id);
    expect(await differencesFromStripe(life.sql, life.stripe)).toEqual([]);
  });

  it("of the card's part of a year does not end the months that are to come", async () => {
    const tenant = await life.subscribe("pro");
    await giveBalance(tenant, 40_000);
    await life.changePlan(tenant, "pro", { proration_behavior: "always_invoice" }, "year");
    await life.billing.settle();
    // 49,000 less the month, which was bought in this minute.
    expect(await life.newestInvoice(tenant)).toMatchObject({ total: 44_100, amount_paid: 4100 });
    await refund(tenant);
    const rows = await life.sql(
      "SELECT slices, stopped_at IS NULL AS goes FROM allowance_periods WHERE organization_id = $1 ORDER BY created_at",
      [tenant.id],
    );
    expect(rows.at(-1)).toEqual({ slices: 12, goes: true });
    // 4,100 of 49,000: of the month that runs 502 of 6,000.
    expect(await life.availableOf(tenant)).toBe(5498);
  });

  it("of what a renewal asked for beside a downgrade's credit takes its share of what was sold", async () => {
    const tenant = await life.subscribe("scale");
    const end = (await life.rowOf(tenant)).currentPeriodEnd;
    await life.liveUntil(daysLater(-8, end));
    await life.changePlan(tenant, "pro", { proration_behavior: "create_prorations" });
    await life.billing.settle();
    await life.liveUntil(minutesLater(120, end));
    const { amount_paid: paid } = await life.newestInvoice(tenant);
    expect(await life.availableOf(tenant)).toBe(6000);
    await refund(tenant);
    // The period costs 4,900; what its own earlier time paid of it was not refunded.
    expect(await life.availableOf(tenant)).toBe(6000 - Math.floor((6000 * paid) / 4900));
  });

  it("of an invoice with tax is a share of what was paid with its tax", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const rate = await life.stripe.taxRates.create({ display_name: "VAT", percentage: 19, inclusive: false });
    await life.stripe.subscriptions.update(id, { default_tax_rates: [rate.id] });
    await renew(tenant);
    expect(await life.newestInvoice(tenant)).toMatchObject({ total: 5831, amount_paid: 5831 });
    await refund(tenant, 2916);
    // 2,916 of 5,831 is 3,000.5 of 6,000.
    expect(await life.availableOf(tenant)).toBe(3000);
    await refund(tenant);
    expect(await life.availableOf(tenant)).toBe(0);
  });
});

describe("a credit note", () => {
  it("that takes an open invoice away leaves nothing that was paid for", async () => {
    const tenant = await life.subscribe("pro");
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    await renew(tenant);
    const { id, status } = await life.newestInvoice(tenant);
    expect(status).toBe("open");
    await life.stripe.creditNotes.create({ invoice: id, amount: 4900 });
    await life.billing.settle();
    expect(await life.stripe.invoices.retrieve(id)).toMatchObject({ status: "paid", amount_paid: 0 });
    await life.touch(tenant);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    expect(await life.availableOf(tenant)).toBe(0);
  });

  it("in two parts does so too", async () => {
    const tenant = await life.subscribe("pro");
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    await renew(tenant);
    const { id } = await life.newestInvoice(tenant);
    for (const amount of [4000, 900]) {
      await life.stripe.creditNotes.create({ invoice: id, amount });
      await life.billing.settle();
    }
    expect(await life.grantsOf(tenant)).toEqual([6000]);
  });

  it("that takes away what the balance left to ask for leaves what the balance paid", async () => {
    const tenant = await life.subscribe("pro");
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    await giveBalance(tenant, 2450);
    await renew(tenant);
    const { id, amount_due: due } = await life.newestInvoice(tenant);
    expect(due).toBe(2450);
    await life.stripe.creditNotes.create({ invoice: id, amount: 2450 });
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(3000);
  });

  it("that takes the invoice of an upgrade away keeps the upgrade's credits", async () => {
    const tenant = await life.subscribe("pro");
    await life.changeCard(tenant, "pm_card_chargeCustomerFail");
    const waits = { proration_behavior: "always_invoice", payment_behavior: "pending_if_incomplete" } as const;
    await life.changePlan(tenant, "scale", waits);
    await life.billing.settle();
    const { id, status, total } = await life.newestInvoice(tenant);
    expect([status, total]).toEqual(["open", 10_000]);
    await life.stripe.creditNotes.create({ invoice: id, amount: total });
    await life.billing.settle();
    expect(await life.grantsOf(tenant)).toEqual([6000]);
  });

  it("into the customer's balance takes the credits, so that the money buys once", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.newestInvoice(tenant);
    await life.stripe.creditNotes.create({ invoice: id, amount: 4900, credit_amount: 4900 });
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(0);
    await renew(tenant);
    expect(await life.newestInvoice(tenant)).toMatchObject({ total: 4900, amount_paid: 0 });
    expect(await life.availableOf(tenant)).toBe(6000);
    // Of an invoice that no card has paid.
    const renewed = await life.newestInvoice(tenant);
    await life.stripe.creditNotes.create({ invoice: renewed.id, amount: 1225, credit_amount: 1225 });
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(4500);
    await expectLawfulLedger(life.sql, tenant.id);
  });

  it("for money that was given back outside of Stripe takes the credits", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.newestInvoice(tenant);
    await life.stripe.creditNotes.create({ invoice: id, amount: 4900, out_of_band_amount: 4900 });
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(0);
    expect(await differencesFromStripe(life.sql, life.stripe)).toEqual([]);
  });

  it("that stands for a refund takes no more than the refund, and beside it what went to the balance", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.newestInvoice(tenant);
    const back = { amount: 2450, refund_amount: 1225, credit_amount: 1225 };
    await life.stripe.creditNotes.create({ invoice: id, ...back });
    await life.billing.settle();
    expect(await life.availableOf(tenant)).toBe(3000);
    await life.touch(tenant);
    expect(await life.availableOf(tenant)).toBe(3000);
    await refund(tenant, 1225, id);
    expect(await life.availableOf(tenant)).toBe(1500);
  });

  it("of what was spent is owed where that is the policy", async () => {
    const tenant = await life.subscribe("pro");
    await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
    await life.spend(tenant, 6000);
    const { id } = await life.newestInvoice(tenant);
    await life.stripe.creditNotes.create({ invoice: id, amount: 4900, credit_amount: 4900 });
    await life.billing.settle();
    expect(await life.debtOf(tenant)).toBe(6000);
  });
});

describe("a year that ended at its half", () => {
  it("of which half is refunded owes nothing of the months that were paid", async () => {
    const tenant = await life.subscribe("pro", { interval: "year" });
    await callAs(PLATFORM).credits.setSpentPolicy({ organizationId: tenant.id, policy: "debt" });
    const start = life.now();
    for (let month = 0; month < 6; month += 1) {
      await life.liveUntil(daysLater(month * 31 + 1, start));
      await grantDueSlices(life.now(), 1000);
      await life.spend(tenant, await life.availableOf(tenant));
    }
    expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 6000, 6000, 6000, 6000]);
    await life.stripe.subscriptions.cancel((await life.rowOf(tenant)).id);
    await refund(tenant, 24_500);
    // 24,500 were kept of 49,000, and 36,000 credits given of 72,000.
    expect(await life.debtOf(tenant)).toBe(0);
    await refund(tenant, 4900);
    expect(await life.debtOf(tenant)).toBe(7200);
  });

  it("keeps the month that runs, whatever comes first", async () => {
    for (const isRefundFirst of [true, false]) {
      const tenant = await halfAYear();
      const { id } = await life.rowOf(tenant);
      if (isRefundFirst) {
        await refund(tenant, 24_500);
        // As long as all twelve months are to come, each bears its part.
        expect(await life.availableOf(tenant)).toBe(3000);
      }
      await life.stripe.subscriptions.cancel(id);
      await life.billing.settle();
      if (!isRefundFirst) await refund(tenant, 24_500);
      expect(await life.availableOf(tenant)).toBe(6000);
      await expectLawfulLedger(life.sql, tenant.id);
    }
  });

  it("and whose rest was given back as time has a refund claimed beside that", async () => {
    const tenant = await halfAYear();
    const { id } = await life.rowOf(tenant);
    const bought = await life.newestInvoice(tenant);
    await life.stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true });
    await life.billing.settle();
    const { total: back } = await life.newestInvoice(tenant);
    await refund(tenant, 4900, bought.id);
    const [claimed] = await life.sql(
      "SELECT sum(to_take - returned)::int AS refunded, sum(returned)::int AS returned FROM credit_grants WHERE organization_id = $1",
      [tenant.id],
    );
    const [time] = await life.sql<{ given: number; cut: number }>(
      `SELECT (SELECT sum(credits)::int FROM allowance_returns WHERE organization_id = $1) AS given,
         (SELECT sum(returned)::int FROM allowance_periods WHERE organization_id = $1) AS cut`,
      [tenant.id],
    );
    // What the credit line took back of its price, rounded up; and what never came of it.
    const given = Math.ceil((72_000 * -back) / 49_000);
    expect(time).toEqual({ given, cut: 36_000 });
    // A tenth of all 72,000 beside it: none of it hides in what never came.
    expect(claimed).toEqual({ refunded: 7200, returned: given - 36_000 });
  });
});

it.each([
  ["before", true],
  ["after", false],
])(
  "a year whose whole refund failed %s its end on day 40 has given the two months that had begun",
  async (_, isFailedFirst) => {
    const tenant = await life.subscribe("pro", { interval: "year" });
    const start = life.now();
    await life.liveUntil(daysLater(20, start));
    const id = await refund(tenant);
    await life.liveUntil(daysLater(40, start));
    await grantDueSlices(life.now(), 1000);
    const fail = async () => {
      await life.billing.control(`refunds/${id}/fail`, {});
      await life.billing.settle();
    };
    if (isFailedFirst) await fail();
    await life.stripe.subscriptions.cancel((await life.rowOf(tenant)).id);
    await life.billing.settle();
    if (!isFailedFirst) await fail();
    for (const _again of [1, 2]) {
      expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[6000, 6000], 6000]);
      await life.touch(tenant);
      await grantDueSlices(daysLater(70, start), 1000);
    }
    await expectLawfulLedger(life.sql, tenant.id);
  },
);
