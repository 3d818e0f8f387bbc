// The history of what was charged and given back: one line each, in sensible words, whose amounts add up to what was paid.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { callAs, daysLater, sessionOf } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const linesOf = async (tenant: Tenant) =>
  (await life.historyOf(tenant)).map(({ kind, status, amount, description }) => [kind, status, amount, description]);
const sumOf = async (tenant: Tenant) => (await life.historyOf(tenant)).reduce((sum, { amount }) => sum + amount, 0);

async function latestInvoice(tenant: Tenant): Promise<string> {
  const { id } = await life.rowOf(tenant);
  return (await life.stripe.subscriptions.retrieve(id)).latest_invoice as string;
}

async function paymentOf(invoice: string): Promise<string> {
  const { payments } = await life.stripe.invoices.retrieve(invoice, { expand: ["payments"] });
  return payments?.data[0]?.payment.payment_intent as string;
}

/** An invoice made by hand: a draft with one item. */
async function draftOf(tenant: Tenant, amount: number, description: string): Promise<string> {
  const customer = (await life.customerOf(tenant)) ?? "";
  const { id } = await life.stripe.invoices.create({ customer });
  await life.stripe.invoiceItems.create({ customer, invoice: id, amount, currency: "usd", description });
  return id;
}

describe("a line", () => {
  it("of a trial's invoice there is none; of the first payment and of changes there is one each, in words", async () => {
    const tenant = await life.subscribe("starter");
    expect(await linesOf(tenant)).toEqual([]);
    await life.liveUntil(minutesLater(120, daysLater(14, life.now())));
    await life.changePlan(tenant, "pro");
    await life.billing.settle();
    const [upgrade, first] = await linesOf(tenant);
    expect(first).toEqual(["invoice", "paid", 1500, "Starter, monthly"]);
    expect(upgrade).toEqual(["invoice", "paid", expect.any(Number), "Pro, upgrade from Starter"]);
    expect(upgrade?.[2]).toBeGreaterThan(3300);
  });

  it("of a change that gives back more than it asks for is negative, and says what it was", async () => {
    const tenant = await life.subscribe("scale");
    await life.liveUntil(daysLater(1, life.now()));
    await life.changePlan(tenant, "starter");
    await life.billing.settle();
    const [back] = await linesOf(tenant);
    expect(back).toEqual(["invoice", "paid", expect.any(Number), "Starter, change from Scale"]);
    expect(back?.[2]).toBeLessThan(-10_000);
  });

  it("of seats says so", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const { items } = await life.stripe.subscriptions.retrieve(id);
    await life.stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id ?? "", quantity: 3 }],
      proration_behavior: "always_invoice",
    });
    await life.billing.settle();
    expect((await linesOf(tenant))[0]).toEqual(["invoice", "paid", 9800, "Pro, change of quantity"]);
  });

  it("of an invoice made by hand has its words, and each of its statuses in turn", async () => {
    const tenant = await life.subscribe("pro");
    const id = await draftOf(tenant, 25_000, "Onboarding");
    await life.billing.settle();
    expect(await linesOf(tenant)).toHaveLength(1);
    await life.stripe.invoices.finalizeInvoice(id, { auto_advance: false });
    await life.billing.settle();
    expect((await linesOf(tenant))[0]).toEqual(["invoice", "open", 25_000, "Onboarding"]);
    await life.stripe.invoices.markUncollectible(id);
    await life.billing.settle();
    expect((await linesOf(tenant))[0]).toEqual(["invoice", "uncollectible", 25_000, "Onboarding"]);
    await life.stripe.invoices.pay(id, { paid_out_of_band: true });
    await life.billing.settle();
    expect((await linesOf(tenant))[0]).toEqual(["invoice", "paid", 25_000, "Onboarding"]);
    expect(await linesOf(tenant)).toHaveLength(2);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
  });

  it("of a void invoice says so", async () => {
    const tenant = await life.subscribe("pro");
    const id = await draftOf(tenant, 5000, "Training");
    await life.stripe.invoices.finalizeInvoice(id, { auto_advance: false });
    await life.stripe.invoices.voidInvoice(id);
    await life.billing.settle();
    expect((await linesOf(tenant))[0]).toEqual(["invoice", "void", 5000, "Training"]);
  });

  it("has the invoice's tax", async () => {
    const tenant = await life.subscribe("pro");
    const rate = await life.stripe.taxRates.create({ display_name: "VAT", percentage: 20, inclusive: false });
    const customer = (await life.customerOf(tenant)) ?? "";
    const { id } = await life.stripe.invoices.create({ customer, default_tax_rates: [rate.id] });
    await life.stripe.invoiceItems.create({
      ...{ customer, invoice: id, amount: 10_000, currency: "usd", description: "Workshop" },
    });
    await life.stripe.invoices.pay(id, { paid_out_of_band: true });
    await life.billing.settle();
    expect((await life.historyOf(tenant))[0]).toMatchObject({ amount: 12_000, tax: 2000, currency: "usd" });
  });
});

describe("a credit note", () => {
  it("that refunds is one line: the refund that belongs to it is not told beside it", async () => {
    const tenant = await life.subscribe("pro");
    await life.stripe.creditNotes.create({ invoice: await latestInvoice(tenant), amount: 900, refund_amount: 900 });
    const events = await life.billing.freshEvents();
    for (const told of [events, [...events].reverse().map((event) => ({ ...event, id: `${event.id}_again` }))]) {
      await life.billing.settle(told);
      expect(await linesOf(tenant)).toEqual([
        ["credit_note", "issued", -900, "Credit note for Pro, monthly"],
        ["invoice", "partially_refunded", 4900, "Pro, monthly"],
      ]);
    }
    expect(await sumOf(tenant)).toBe(4000);
  });

  it("that is written for a refund of before takes the place of its line, or of a part of it", async () => {
    const tenant = await life.subscribe("pro");
    const invoice = await latestInvoice(tenant);
    const refund = await life.stripe.refunds.create({ payment_intent: await paymentOf(invoice), amount: 1500 });
    await life.billing.settle();
    expect((await linesOf(tenant)).map(([kind, , amount]) => [kind, amount])).toEqual([
      ["refund", -1500],
      ["invoice", 4900],
    ]);
    await life.stripe.creditNotes.create({
      ...{ invoice, amount: 1000, refunds: [{ refund: refund.id, amount_refunded: 1000 }] },
    });
    await life.billing.settle();
    expect((await linesOf(tenant)).map(([kind, , amount]) => [kind, amount]).sort()).toEqual([
      ["credit_note", -1000],
      ["invoice", 4900],
      ["refund", -500],
    ]);
    expect(await sumOf(tenant)).toBe(3400);
  });

  it("of an open invoice that is voided says so", async () => {
    const tenant = await life.subscribe("pro");
    const invoice = await draftOf(tenant, 5000, "Training");
    await life.stripe.invoices.finalizeInvoice(invoice, { auto_advance: false });
    const note = await life.stripe.creditNotes.create({ invoice, amount: 2000 });
    await life.billing.settle();
    const withoutPlan = async () => (await linesOf(tenant)).filter(([, , , words]) => words !== "Pro, monthly");
    expect((await withoutPlan()).map(([kind, status, amount]) => [kind, status, amount]).sort()).toEqual([
      ["credit_note", "issued", -2000],
      ["invoice", "open", 5000],
    ]);
    await life.stripe.creditNotes.voidCreditNote(note.id);
    await life.billing.settle();
    expect((await withoutPlan()).map(([kind, status]) => [kind, status]).sort()).toEqual([
      ["credit_note", "void"],
      ["invoice", "open"],
    ]);
  });

  it("for a pack is told beside the pack, not beside an invoice", async () => {
    const tenant = await life.subscribe("pro");
    const [pack] = await callAs(null).creditProducts.list();
    const { url } = await callAs(tenant.owner, life.now()).creditProducts.checkout({
      ...{ organizationId: tenant.id, productId: pack?.id ?? "" },
    });
    await life.billing.pay(url);
    await life.billing.settle();
    const { invoice } = await life.stripe.checkout.sessions.retrieve(sessionOf(url));
    await life.stripe.creditNotes.create({ invoice: invoice as string, amount: 500, refund_amount: 500 });
    await life.billing.settle();
    expect((await linesOf(tenant)).filter(([, , , words]) => String(words).includes("2,500"))).toEqual(
      expect.arrayContaining([
        ["credit_note", "issued", -500, "Credit note for 2,500 credits"],
        ["credit_purchase", "partially_refunded", 2500, "2,500 credits"],
      ]),
    );
    expect(await linesOf(tenant)).toHaveLength(3);
  });
});
