// Packs that an invoice sells without a checkout: what somebody sells in Stripe's dashboard, alone or beside a renewal.
import type Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reconcile } from "~/server/billing/reconcile";
import { daysLater } from "../setup/billing";
import { again, type Companies, type Company, openCompanies } from "../setup/companies";
import { differencesFromStripe } from "../setup/stripe-truth";
import { NOW } from "../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());

const PACK = "pack_2500";
const CREDITS = 2500;

/** A finalized invoice over packs, as the dashboard makes one. @returns its id */
async function invoicePacks(company: Company, quantity = 1): Promise<string> {
  const { customer } = company;
  const { id } = await world.stripe.invoices.create({ customer, default_payment_method: await company.card("good") });
  const price = await world.packPriceOf(PACK);
  await world.stripe.invoiceItems.create({ customer, invoice: id, pricing: { price }, quantity });
  await world.stripe.invoices.finalizeInvoice(id);
  return id;
}

const door = { take: (event: Stripe.Event, at: Date) => world.settle([event], at) };

describe("packs on an invoice", () => {
  it("of its own are granted once it is paid, each as often as it was bought", async () => {
    const company = await (await world.found()).subscribe("pro");
    const id = await invoicePacks(company, 3);
    await world.settle();
    expect(await company.grants()).toEqual([6000]);
    await world.stripe.invoices.pay(id);
    const told = await world.freshEvents();
    await world.settle(told);
    await world.settle(again(told).reverse());
    expect((await company.lots()).slice(1)).toMatchObject([
      { amount: 3 * CREDITS, remaining: 3 * CREDITS, source: "purchase", expires: null, label: "Pack of 7,500" },
    ]);
    const [line] = (await company.api.billing.history(company.self)).items;
    expect(line).toMatchObject({ kind: "invoice", status: "paid" });
    expect(await differencesFromStripe(world.sql, world.stripe)).toEqual([]);
    await company.ledger();
  });

  it("of a renewal are granted beside the plan's allowance", async () => {
    const company = await (await world.found()).subscribe("pro");
    const { customer } = company;
    const { id: subscription } = await company.row();
    await world.stripe.invoiceItems.create({
      customer,
      subscription,
      pricing: { price: await world.packPriceOf(PACK) },
    });
    const told = await company.renew();
    await world.settle(again(told));
    expect((await company.grants()).sort((a, b) => a - b)).toEqual([CREDITS, 6000, 6000]);
    expect(await company.alerts()).toEqual([]);
    await company.ledger();
  });

  it("are claimed by their refund, and frozen by a dispute", async () => {
    const company = await (await world.found()).subscribe("pro");
    const id = await invoicePacks(company, 2);
    await world.stripe.invoices.pay(id);
    await world.settle();
    const [invoice] = await company.invoices();
    const payment = await company.paymentOf(invoice as NonNullable<typeof invoice>);
    await world.stripe.refunds.create({ payment_intent: payment, amount: (invoice?.total ?? 0) / 2 });
    await world.settle();
    expect(await company.available()).toBe(6000 + CREDITS);
    const dispute = await world.bank("disputes", { payment_intent: payment });
    await world.settle();
    expect(await company.credits()).toMatchObject({ available: 6000, held: CREDITS });
    await world.bank(`disputes/${dispute.id}/win`);
    await world.settle();
    expect(await company.credits()).toMatchObject({ available: 6000 + CREDITS, held: 0 });
    await company.ledger();
  });

  it("that a credit note has taken away before anybody paid give nothing", async () => {
    const company = await (await world.found()).subscribe("pro");
    const id = await invoicePacks(company);
    const { amount_due: amount } = await world.stripe.invoices.retrieve(id);
    await world.stripe.creditNotes.create({ invoice: id, amount });
    await world.settle();
    expect((await world.stripe.invoices.retrieve(id)).status).toBe("paid");
    expect(await company.grants()).toEqual([6000]);
    await company.ledger();
  });

  it("that is void or given up give nothing", async () => {
    const company = await (await world.found()).subscribe("pro");
    await world.stripe.invoices.voidInvoice(await invoicePacks(company));
    await world.stripe.invoices.markUncollectible(await invoicePacks(company));
    await world.settle();
    expect(await company.grants()).toEqual([6000]);
  });

  it("in a checkout are granted by the checkout alone", async () => {
    const company = await (await world.found()).subscribe("pro");
    await company.buy(PACK);
    for (const { id } of await company.invoices()) {
      await world.tellOf("invoice.paid", { id, object: "invoice", customer: company.customer }, NOW);
    }
    expect(await company.grants()).toEqual([6000, CREDITS]);
  });

  it("that nobody told of are found by the reconciler, and its own are no finding", async () => {
    const company = await (await world.found(daysLater(0))).subscribe("pro");
    await world.stripe.invoices.pay(await invoicePacks(company));
    await world.freshEvents();
    // Of what is older than Stripe's memory only the objects tell.
    world.billing.line.bend = (path, answer) =>
      path.startsWith("/v1/events") ? { ...answer, data: [], has_more: false } : answer;
    const options = { cause: "test", since: daysLater(-1), now: company.now };
    const report = await reconcile(options, door);
    expect(report.findings.map(({ kind, repaired }) => `${kind} ${repaired}`)).toEqual(["invoice true"]);
    expect(await company.grants()).toEqual([6000, CREDITS]);
    expect(await reconcile(options, door)).toMatchObject({ drift: 0 });
    world.billing.line.bend = null;
    await company.ledger();
  });

  it("whose line of history was told before the pack was in the catalogue are found by the reconciler", async () => {
    const company = await (await world.found()).subscribe("pro");
    const price = await world.packPriceOf(PACK);
    await world.sql("UPDATE credit_product_prices SET stripe_price_id = 'price_elsewhere' WHERE stripe_price_id = $1", [
      price,
    ]);
    const { customer } = company;
    const { id } = await world.stripe.invoices.create({ customer, default_payment_method: await company.card("good") });
    await world.stripe.invoiceItems.create({ customer, invoice: id, pricing: { price } });
    await world.stripe.invoices.finalizeInvoice(id);
    await world.stripe.invoices.pay(id);
    await world.settle();
    await world.sql("UPDATE credit_product_prices SET stripe_price_id = $1 WHERE stripe_price_id = 'price_elsewhere'", [
      price,
    ]);
    expect(await company.grants()).toEqual([6000]);
    await reconcile({ cause: "test", since: daysLater(-1), now: company.now }, door);
    expect(await company.grants()).toEqual([6000, CREDITS]);
  });
});
