// Money that goes back, and what holds afterwards.
import type Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SpentPolicy } from "~/domain/account";
import { callAs, daysLater, PLATFORM } from "../../setup/billing";
import { again, type Companies, type Company, ofType, openCompanies } from "../../setup/companies";
import { codeOf, NOW } from "../../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());

/** 10,000 credits for 89.00. */
const share = (cents: number) => Math.floor((10_000 * cents) / 8900);
const standing = (available: number, held = 0, debt = 0) => ({ available, held, debt });

const refund = (payment: string, amount?: number) =>
  world.stripe.refunds.create({ payment_intent: payment, ...(amount === undefined ? {} : { amount }) });

const dispute = async (payment: string, amount?: number) =>
  (await world.bank("disputes", { payment_intent: payment, ...(amount === undefined ? {} : { amount }) })).id;

/** Rows of the ledger that refunds and disputes made: what each took. */
async function removals(company: Company): Promise<string[]> {
  return (await company.ledger()).filter((row) => /^(refund|dispute) /.test(row));
}

/** The payment of the company's newest invoice. */
async function newestPayment(company: Company): Promise<{ invoice: Stripe.Invoice; payment: string }> {
  const [invoice] = await company.invoices();
  if (!invoice) throw new Error("there is an invoice");
  return { invoice, payment: await company.paymentOf(invoice) };
}

describe("refunds", () => {
  it("full refund of a pack", async () => {
    for (const [policy, after] of [
      ["clamp", standing(0)],
      ["debt", standing(0, 0, 4000)],
    ] as const satisfies [SpentPolicy, object][]) {
      const company = await world.found();
      await callAs(PLATFORM).credits.setSpentPolicy({ ...company.self, policy });
      const { payment } = await company.buy();
      await company.spend(4000);
      await refund(payment);
      const told = await world.freshEvents();
      await world.settle([...told, ...again(told)]);
      expect(await company.credits(), policy).toEqual(after);
      expect(await removals(company), policy).toEqual(["refund -6000"]);
      expect(await company.history(), policy).toEqual(["refund succeeded -8900", "credit_purchase refunded 8900"]);
    }
  });

  it("two partial refunds", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    await refund(payment, 1000);
    await world.settle();
    expect(await company.available()).toBe(10_000 - share(1000));
    await refund(payment, 2345);
    const told = await world.freshEvents();
    await world.settle([...told, ...again(told)]);
    expect(await company.available()).toBe(10_000 - share(3345));
    expect(await removals(company)).toEqual([`refund -${share(1000)}`, `refund -${share(3345) - share(1000)}`]);
  });

  it("charge.refunded, refund.created, refund.updated for one refund", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    const { id } = await refund(payment, 4450);
    await world.bank(`refunds/${id}/succeed`);
    const told = await world.freshEvents();
    expect(ofType(told, "charge.refunded", "refund.created", "refund.updated")).toHaveLength(3);
    for (const event of [...told, ...again(told)]) await world.settle([event]);
    expect(await company.available()).toBe(5000);
    expect(await removals(company)).toEqual(["refund -5000"]);
  });

  it("a refund that then fails", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    const { id } = await refund(payment);
    await world.settle();
    expect(await company.available()).toBe(0);
    await world.bank(`refunds/${id}/fail`);
    const told = await world.freshEvents();
    await world.settle([...told, ...again(told)]);
    expect(await company.available()).toBe(10_000);
    expect(await removals(company)).toEqual(["refund -10000", "refund 10000"]);
    expect(await company.history()).toEqual(["refund failed -8900", "credit_purchase paid 8900"]);
  });

  it("dispute opened, won, lost", async () => {
    for (const [end, after, status] of [
      ["win", standing(10_000), "paid"],
      ["lose", standing(0), "dispute_lost"],
    ] as const) {
      const company = await world.found();
      const { payment } = await company.buy();
      const id = await dispute(payment);
      await world.settle();
      expect(await company.credits(), end).toEqual(standing(0, 10_000));
      expect(await company.alerts(), end).toEqual(["payment_disputed"]);
      const spend = { ...company.self, eventName: "api_call_basic", quantity: 1, idempotencyKey: `frozen-${end}` };
      expect(await company.api.credits.consume(spend).catch(codeOf)).toBe("INSUFFICIENT_CREDITS");
      await world.bank(`disputes/${id}/${end}`);
      const told = await world.freshEvents();
      await world.settle([...told, ...again(told)]);
      expect(await company.credits(), end).toEqual(after);
      expect(await company.history(), end).toEqual([`credit_purchase ${status} 8900`]);
      await company.ledger();
    }
  });

  it("refund of a subscription invoice", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.spend(1000);
    const { payment } = await newestPayment(company);
    await refund(payment, 2450);
    await world.settle();
    // Half of the money is half of the allowance; what was spent before is not asked for again.
    expect(await company.credits()).toEqual(standing(2000));
    await refund(payment);
    await world.settle();
    expect(await company.credits()).toEqual(standing(0));
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.history()).toEqual([
      ...["refund succeeded -2450", "refund succeeded -2450"],
      "invoice refunded 4900",
    ]);
    await company.renew();
    expect(await company.available()).toBe(6000);
    await company.ledger();
  });
});

describe("refunds, by somebody who means harm", () => {
  it("refund of a proration invoice after a downgrade", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.live(daysLater(15.5));
    await company.switchTo("scale");
    await world.settle();
    expect(await company.available()).toBe(6000 + 9500);
    const { invoice, payment } = await newestPayment(company);
    expect(invoice.amount_paid).toBe(5000);
    await company.switchTo("pro", { proration_behavior: "none" });
    await world.settle();
    await refund(payment);
    await world.settle();
    // What the upgrade had given is gone with its money, and nothing else.
    expect(await company.credits()).toEqual(standing(6000));
    await company.renew();
    expect(await company.available()).toBe(6000);
    await company.ledger();
  });

  it("dispute on an invoice whose credits were transferred", async () => {
    const [company, friend] = [await world.found(), await world.found()];
    await company.subscribe("pro");
    const { payment } = await newestPayment(company);
    await callAs(PLATFORM).credits.transfer({
      ...company.self,
      ...{ toOrganizationId: friend.id, amount: 4000, reason: "for a friend", idempotencyKey: "to-a-friend" },
    });
    await friend.spend(1000);
    const id = await dispute(payment);
    await world.settle();
    expect([await company.credits(), await friend.credits()]).toEqual([standing(0, 2000), standing(0, 3000)]);
    await world.bank(`disputes/${id}/lose`);
    await world.settle();
    expect([await company.credits(), await friend.credits()]).toEqual([standing(0), standing(0)]);
    for (const each of [company, friend]) await each.ledger();
  });

  it("credit note of half an invoice, then voided", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { invoice } = await newestPayment(company);
    await world.stripe.creditNotes.create({ invoice: invoice.id, amount: 2450, refund_amount: 2450 });
    await world.settle();
    expect(await company.available()).toBe(3000);

    // One that lowers what is open gives nothing back; voided, the whole is owed again.
    const owing = await world.found();
    await owing.subscribe("pro");
    await owing.payBy("broken");
    await owing.renew();
    const open = (await owing.row()).openInvoice;
    const note = await world.stripe.creditNotes.create({ invoice: open?.id ?? "", amount: 2450 });
    await world.settle();
    expect((await owing.row()).openInvoice).toMatchObject({ amount: 2450 });
    await world.stripe.creditNotes.voidCreditNote(note.id);
    await world.settle();
    expect((await owing.row()).openInvoice).toMatchObject({ amount: 4900 });
    await world.stripe.invoices.pay(open?.id ?? "", { payment_method: await owing.card("good") });
    await world.settle();
    expect(await owing.grants()).toEqual([6000, 6000]);
    for (const each of [company, owing]) await each.ledger();
  });

  it("half of an invoice credited before it is paid, then paid and refunded", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.renew();
    const open = (await company.row()).openInvoice?.id ?? "";
    await world.stripe.creditNotes.create({ invoice: open, amount: 2450 });
    await world.stripe.invoices.pay(open, { payment_method: await company.card("good") });
    await world.settle();
    expect(await company.standing()).toEqual(["pro active"]);
    const granted = await company.available();
    // What was forgiven before it was paid is a discount: the period is paid, and has its whole allowance.
    expect(granted).toBe(6000);
    const invoice = await world.stripe.invoices.retrieve(open);
    await refund(await company.paymentOf(invoice));
    await world.settle();
    expect(await company.available()).toBe(0);
    await company.ledger();
  });

  it("refunded, bought again, refunded again: debts are paid once", async () => {
    const company = await world.found();
    await callAs(PLATFORM).credits.setSpentPolicy({ ...company.self, policy: "debt" });
    const first = await company.buy();
    await company.spend(10_000);
    await refund(first.payment);
    await world.settle();
    expect(await company.credits()).toEqual(standing(0, 0, 10_000));
    const second = await company.buy();
    expect(await company.credits()).toEqual(standing(0));
    await refund(second.payment);
    await world.settle();
    expect(await company.credits()).toEqual(standing(0, 0, 10_000));
    expect(await company.alerts()).toEqual(["credits_owed"]);
    await company.ledger();
  });

  it("a dispute of what was refunded in part, lost", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    await refund(payment, 4450);
    const id = await dispute(payment);
    await world.settle();
    expect(await company.credits()).toEqual(standing(0, 5000));
    await world.bank(`disputes/${id}/lose`);
    await world.settle();
    expect(await company.credits()).toEqual(standing(0));
    // No more was taken than was bought.
    expect(await removals(company)).toEqual(["refund -5000", "dispute 0", "dispute -5000"]);
  });

  it("an inquiry, withdrawn", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    const { id } = await world.bank("disputes", { payment_intent: payment, inquiry: true });
    await world.settle();
    expect(await company.credits()).toEqual(standing(10_000));
    await world.bank(`disputes/${id}/win`);
    await world.settle();
    expect(await company.credits()).toEqual(standing(10_000));
    expect(await company.alerts()).toEqual([]);
  });

  it("refund of a year that grants monthly, in its third month", async () => {
    const { grantDueSlices } = await import("~/server/billing/allowances");
    const company = await world.found(new Date("2027-01-15T10:00:00Z"));
    await company.subscribe("pro", "year");
    const { payment } = await newestPayment(company);
    await company.live(new Date("2027-03-20T00:00:00Z"));
    await grantDueSlices(company.now, 100);
    expect(await company.grants()).toEqual([6000, 6000, 6000]);
    await refund(payment);
    await world.settle(undefined, company.now);
    expect(await company.credits()).toEqual(standing(0));
    await company.live(new Date("2027-06-20T00:00:00Z"));
    await grantDueSlices(company.now, 100);
    expect(await company.available()).toBe(0);
    await company.ledger();
  });

  it("refund of a trial's first payment after its credits are spent", async () => {
    const company = await world.found();
    await company.subscribe("starter");
    await company.spend(300);
    await company.live(daysLater(14.1));
    await company.spend(1500);
    const { payment } = await newestPayment(company);
    await refund(payment);
    const told = await world.freshEvents();
    await world.settle([...told, ...again(told)], company.now);
    expect(await company.credits()).toEqual(standing(0));
    expect(await removals(company)).toEqual([]);
  });

  it.each(["refund.created", "charge.refunded", "payment_intent.succeeded"])(
    "a refund after the customer was deleted, told by %s, of a payment of which nothing was told",
    async (type) => {
      const company = await world.found();
      await company.checkOut("pro");
      const told = await world.freshEvents();
      const late = ofType(told, "payment_intent.succeeded");
      await world.settle(told.filter((event) => !late.includes(event)));
      const { payment } = await newestPayment(company);
      await world.stripe.customers.del(company.customer);
      await world.settle();
      await refund(payment);
      const [event] = ofType([...late, ...(await world.freshEvents())], type);
      await world.settle(event ? [event] : []);
      // The payment names nobody, nor is there a row of it: its invoice has one.
      expect(await world.statusOf(event?.id ?? "")).toBe("done");
      expect(await company.credits()).toEqual(standing(0));
      expect(await removals(company)).toEqual(["refund -6000"]);
    },
  );

  it("the same of a pack sold by hand, of whose invoice a part was given back before", async () => {
    const company = await world.found();
    const { url } = await world.stripe.checkout.sessions.create({
      ...{ mode: "payment", customer: company.customer, success_url: "http://app.test/done" },
      line_items: [{ price: await world.packPriceOf("pack_10000"), quantity: 1 }],
      invoice_creation: { enabled: true },
    });
    await world.billing.pay(url ?? "");
    await world.settle(ofType(await world.freshEvents(), "checkout.session.completed"));
    const { invoice, payment } = await newestPayment(company);
    await world.stripe.creditNotes.create({ invoice: invoice.id, amount: 4450, out_of_band_amount: 4450 });
    await world.freshEvents(); // lost: only the invoice is told again, not its payment
    await world.tellOf("invoice.paid", invoice, NOW);
    expect(await company.available()).toBe(5000);
    await world.stripe.customers.del(company.customer);
    await world.settle();
    await refund(payment, 4450);
    await world.settle();
    expect(await company.available()).toBe(0);
  });

  it("whose a payment is takes no call more where its customer is known", async () => {
    const company = await world.found();
    const { payment } = await company.buy();
    await refund(payment);
    const before = world.billing.line.calls.length;
    await world.settle();
    // A pack's checkout says what the payment was for: nothing but whose it is could need the list.
    const calls = world.billing.line.calls.slice(before);
    expect(calls).toContain(`GET /v1/payment_intents/${payment}`);
    expect(calls).not.toContain("GET /v1/invoice_payments");
    expect(await company.credits()).toEqual(standing(0));
  });

  it("void after a paid attempt is refused by Stripe, and deletes nothing here", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { invoice } = await newestPayment(company);
    const refusal = await world.stripe.invoices.voidInvoice(invoice.id).then(
      () => "voided",
      () => "refused",
    );
    expect(refusal).toBe("refused");
    await world.tellOf("invoice.voided", { ...invoice, status: "void" }, NOW);
    expect(await company.available()).toBe(6000);
    expect(await company.history()).toEqual(["invoice paid 4900"]);
  });
});
