// Credit notes and the balance of a customer: what lowers an invoice, and what gives money back.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue, DAY, eventsAbout, openSandbox, refusal, subscribe, type TestSandbox, utc } from "./setup";

const START = utc(2026, 1, 31);
let sandbox: TestSandbox;
let stripe: Stripe;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
});
afterEach(() => sandbox.close());

/** A paid invoice of a subscription: 29.00. */
async function paidInvoice() {
  const { price, customer } = await catalogue(sandbox);
  const { id, latest_invoice } = await subscribe(sandbox, { price: price.id, customer: customer.id });
  return { customer: customer.id, invoice: latest_invoice as string, subscription: id };
}

/** An open invoice over an amount, made by hand. */
async function openInvoice(amount = 5000) {
  const customer = await stripe.customers.create({ email: "open@example.com" });
  const draft = await stripe.invoices.create({ customer: customer.id });
  await stripe.invoiceItems.create({ invoice: draft.id, amount, currency: "usd", description: "Work" });
  const invoice = await stripe.invoices.finalizeInvoice(draft.id, { expand: ["payments"] });
  return { customer: customer.id, invoice };
}

const create = (data: Stripe.CreditNoteCreateParams) => stripe.creditNotes.create(data);

describe("a credit note of a paid invoice", () => {
  it("refunds the card", async () => {
    const { invoice } = await paidInvoice();
    const note = await create({ invoice, amount: 900, refund_amount: 900, reason: "order_change", memo: "Sorry" });
    expect(note).toMatchObject({
      object: "credit_note",
      amount: 900,
      total: 900,
      post_payment_amount: 900,
      pre_payment_amount: 0,
      type: "post_payment",
      status: "issued",
      reason: "order_change",
      memo: "Sorry",
    });
    const refund = await stripe.refunds.retrieve(note.refunds[0]?.refund as string);
    expect(refund).toMatchObject({ amount: 900, status: "succeeded" });
    const after = await stripe.invoices.retrieve(invoice);
    expect(after).toMatchObject({
      status: "paid",
      amount_paid: 2900,
      post_payment_credit_notes_amount: 900,
      pre_payment_credit_notes_amount: 0,
    });
    expect(note.number).toBe(`${after.number}-CN-01`);
    expect(note.lines.data).toMatchObject([{ type: "custom_line_item", amount: 900, quantity: 1 }]);
    expect((await fetch(note.pdf)).headers.get("content-type")).toBe("application/pdf");
    expect((await create({ invoice, amount: 1, refund_amount: 1 })).number).toBe(`${after.number}-CN-02`);
    expect(await eventsAbout(sandbox, note.id)).toEqual(["credit_note.created"]);
  });

  it("gives credit for later invoices, or names what was paid elsewhere", async () => {
    const { invoice, customer, subscription } = await paidInvoice();
    const note = await create({ invoice, amount: 1000, credit_amount: 700, out_of_band_amount: 300 });
    expect(note).toMatchObject({ out_of_band_amount: 300, refunds: [] });
    const entry = await stripe.customers.retrieveBalanceTransaction(
      customer,
      note.customer_balance_transaction as string,
      { expand: ["credit_note"] },
    );
    expect(entry).toMatchObject({
      type: "credit_note",
      amount: -700,
      ending_balance: -700,
      credit_note: { id: note.id },
      invoice,
    });
    await sandbox.setClock(utc(2026, 3, 1));
    const { data } = await stripe.invoices.list({ subscription });
    expect(data[0]).toMatchObject({ total: 2900, starting_balance: -700, ending_balance: 0, amount_paid: 2200 });
    const { data: entries } = await stripe.customers.listBalanceTransactions(customer);
    expect(entries.map(({ type, amount }) => [type, amount])).toEqual([
      ["applied_to_invoice", 700],
      ["credit_note", -700],
    ]);
  });

  it("links a refund that was made already", async () => {
    const { invoice } = await paidInvoice();
    const { data } = await stripe.invoicePayments.list({ invoice });
    const refund = await stripe.refunds.create({
      payment_intent: data[0]?.payment.payment_intent as string,
      amount: 400,
    });
    const note = await create({ invoice, amount: 400, refunds: [{ refund: refund.id }], expand: ["refunds.refund"] });
    expect(note.refunds).toMatchObject([{ amount_refunded: 400, refund: { id: refund.id, amount: 400 } }]);
    expect((await refusal(create({ invoice, amount: 1, refunds: [{ refund: "re_none" }] }))).code).toBe(
      "resource_missing",
    );
  });

  it("has to say where all of it goes, and cannot be more than the invoice", async () => {
    const { invoice } = await paidInvoice();
    expect((await refusal(create({ invoice, amount: 900 }))).message).toContain("($0.00) must equal");
    expect((await refusal(create({ invoice, amount: 900, refund_amount: 800 }))).message).toContain("($8.00)");
    expect((await refusal(create({ invoice, amount: 2901, refund_amount: 2901 }))).param).toBe("amount");
    await create({ invoice, amount: 2000, refund_amount: 2000 });
    expect((await refusal(create({ invoice, amount: 901, credit_amount: 901 }))).param).toBe("amount");
    expect((await refusal(create({ invoice: "in_none", amount: 1 }))).code).toBe("resource_missing");
    expect((await refusal(create({ invoice, amount: 1, colour: 1 } as never))).code).toBe("parameter_unknown");
    expect((await refusal(create({ invoice }))).code).toBe("parameter_missing");
  });

  it("cannot be taken back", async () => {
    const { invoice } = await paidInvoice();
    const note = await create({ invoice, amount: 1, out_of_band_amount: 1 });
    expect((await refusal(stripe.creditNotes.voidCreditNote(note.id))).message).toContain("invoice is open");
  });
});

describe("a credit note of an open invoice", () => {
  it("lowers what is asked for, and is taken back", async () => {
    const { invoice } = await openInvoice();
    const note = await create({ invoice: invoice.id, amount: 2000 });
    expect(note).toMatchObject({ type: "pre_payment", pre_payment_amount: 2000, post_payment_amount: 0 });
    const lowered = await stripe.invoices.retrieve(invoice.id, { expand: ["payments.data.payment.payment_intent"] });
    expect(lowered).toMatchObject({
      status: "open",
      total: 5000,
      amount_due: 3000,
      amount_remaining: 3000,
      pre_payment_credit_notes_amount: 2000,
    });
    expect(lowered.payments?.data[0]?.payment.payment_intent).toMatchObject({ amount: 3000 });
    expect(await stripe.creditNotes.voidCreditNote(note.id)).toMatchObject({ status: "void", voided_at: START });
    expect(await stripe.invoices.retrieve(invoice.id)).toMatchObject({
      amount_due: 5000,
      amount_remaining: 5000,
      pre_payment_credit_notes_amount: 0,
    });
    expect((await refusal(stripe.creditNotes.voidCreditNote(note.id))).message).toContain("already void");
    expect(await eventsAbout(sandbox, note.id)).toEqual(["credit_note.created", "credit_note.voided"]);
  });

  it("over the whole leaves nothing to pay", async () => {
    const { invoice } = await openInvoice();
    await create({ invoice: invoice.id, amount: 5000 });
    const paid = await stripe.invoices.retrieve(invoice.id, { expand: ["payments"] });
    expect(paid).toMatchObject({ status: "paid", amount_due: 0, amount_paid: 0, amount_remaining: 0 });
    expect(paid.payments?.data.map(({ status }) => status)).toEqual(["canceled"]);
    expect((await refusal(create({ invoice: invoice.id, amount: 1, credit_amount: 1 }))).param).toBe("amount");
  });

  it("credits lines with their share of discount and tax, and is previewed as it will be", async () => {
    const customer = await stripe.customers.create({ address: { country: "DE" } });
    const { id: coupon } = await stripe.coupons.create({ percent_off: 10 });
    const draft = await stripe.invoices.create({
      customer: customer.id,
      automatic_tax: { enabled: true },
      discounts: [{ coupon }],
    });
    await stripe.invoiceItems.create({
      invoice: draft.id,
      unit_amount_decimal: "1000",
      quantity: 4,
      currency: "usd",
    } as never);
    const invoice = await stripe.invoices.finalizeInvoice(draft.id);
    expect(invoice).toMatchObject({ subtotal: 4000, total: 4284 });
    const lines: Stripe.CreditNoteCreateParams["lines"] = [
      { type: "invoice_line_item", invoice_line_item: invoice.lines.data[0]?.id, quantity: 1 },
    ];
    const preview = await stripe.creditNotes.preview({ invoice: invoice.id, lines });
    expect(preview).toMatchObject({ subtotal: 1000, discount_amount: 100, total_excluding_tax: 900, total: 1071 });
    expect((await stripe.creditNotes.list()).data).toEqual([]);
    const note = await create({ invoice: invoice.id, lines });
    expect(note).toMatchObject({ subtotal: 1000, discount_amount: 100, total: 1071, pre_payment_amount: 1071 });
    const { data } = await stripe.creditNotes.listLineItems(note.id);
    expect(data).toMatchObject([{ amount: 1000, discount_amount: 100, quantity: 1, taxes: [{ amount: 171 }] }]);
    const more = { type: "custom_line_item" as const, description: "Goodwill", unit_amount: 50, quantity: 2 };
    expect(await create({ invoice: invoice.id, lines: [more] })).toMatchObject({ total: 100 });
    expect((await stripe.invoices.retrieve(invoice.id)).amount_due).toBe(3113);
    const tooMuch = [{ type: "invoice_line_item" as const, invoice_line_item: invoice.lines.data[0]?.id, quantity: 5 }];
    expect((await refusal(create({ invoice: invoice.id, lines: tooMuch }))).param).toBe("lines[0]");
    expect((await stripe.creditNotes.list({ invoice: invoice.id })).data).toHaveLength(2);
    expect((await stripe.creditNotes.update(note.id, { memo: "m" })).memo).toBe("m");
  });

  it("is refused for drafts and voided invoices", async () => {
    const customer = await stripe.customers.create({});
    const draft = await stripe.invoices.create({ customer: customer.id });
    expect((await refusal(create({ invoice: draft.id, amount: 1 }))).param).toBe("invoice");
    const { invoice } = await openInvoice();
    await stripe.invoices.voidInvoice(invoice.id);
    expect((await refusal(create({ invoice: invoice.id, amount: 1 }))).param).toBe("invoice");
  });
});

describe("a customer's balance", () => {
  it("is moved by entries, and told of", async () => {
    const { id } = await stripe.customers.create({ balance: -300 });
    const entry = await stripe.customers.createBalanceTransaction(id, {
      amount: -200,
      currency: "usd",
      description: "Sorry",
      metadata: { a: "1" },
    });
    expect(entry).toMatchObject({ type: "adjustment", amount: -200, ending_balance: -500, customer: id });
    await stripe.customers.update(id, { balance: -100 });
    const { data } = await stripe.customers.listBalanceTransactions(id);
    expect(data.map(({ type, amount, ending_balance }) => [type, amount, ending_balance])).toEqual([
      ["adjustment", 400, -100],
      ["adjustment", -200, -500],
      ["initial", -300, -300],
    ]);
    const wrong = stripe.customers.createBalanceTransaction(id, { amount: 1, currency: "eur" });
    expect((await refusal(wrong)).param).toBe("currency");
    const nothing = stripe.customers.createBalanceTransaction(id, { amount: 0, currency: "usd" });
    expect((await refusal(nothing)).param).toBe("amount");
    const renamed = await stripe.customers.updateBalanceTransaction(id, entry.id, { description: "Better" });
    expect(renamed).toMatchObject({ description: "Better", metadata: { a: "1" } });
  });

  it("pays invoices, takes what is too much, and comes back when an invoice is voided", async () => {
    const { id } = await stripe.customers.create({ balance: -1000 });
    const draft = await stripe.invoices.create({ customer: id });
    await stripe.invoiceItems.create({ invoice: draft.id, amount: 1500, currency: "usd" });
    const open = await stripe.invoices.finalizeInvoice(draft.id);
    expect(open).toMatchObject({ total: 1500, starting_balance: -1000, ending_balance: 0, amount_due: 500 });
    expect(await stripe.customers.retrieve(id)).toMatchObject({ balance: 0 });
    await stripe.invoices.voidInvoice(open.id);
    expect(await stripe.customers.retrieve(id)).toMatchObject({ balance: -1000 });
    const negative = await stripe.invoices.create({ customer: id });
    await stripe.invoiceItems.create({ invoice: negative.id, amount: -250, currency: "usd" });
    expect(await stripe.invoices.finalizeInvoice(negative.id)).toMatchObject({
      status: "paid",
      total: -250,
      amount_due: 0,
      ending_balance: -1250,
    });
    const { data } = await stripe.customers.listBalanceTransactions(id);
    expect(data.map(({ type, amount }) => [type, amount])).toEqual([
      ["applied_to_invoice", -250],
      ["unapplied_from_invoice", -1000],
      ["applied_to_invoice", 1000],
      ["initial", -1000],
    ]);
  });

  it("is not touched by what Checkout was paid for", async () => {
    const { price, customer } = await catalogue(sandbox);
    await stripe.customers.update(customer.id, { balance: -500 });
    const { latest_invoice } = await subscribe(sandbox, { price: price.id, customer: customer.id });
    expect(await stripe.invoices.retrieve(latest_invoice as string)).toMatchObject({
      amount_paid: 2900,
      starting_balance: 0,
    });
    await sandbox.setClock(START + 29 * DAY);
    const { data } = await stripe.invoices.list({ customer: customer.id });
    expect(data[0]).toMatchObject({ amount_paid: 2400, starting_balance: -500, ending_balance: 0 });
  });
});
