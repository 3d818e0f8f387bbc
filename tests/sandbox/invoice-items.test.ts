// Invoice items and invoices that are made by hand.
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openShop } from "./plans";
import { catalogue, DAY, eventsAbout, openSandbox, refusal, type TestSandbox, utc } from "./setup";

const START = utc(2026, 1, 31);
let sandbox: TestSandbox;
let stripe: Stripe;
let customer: string;
let method: string;

beforeEach(async () => {
  sandbox = await openSandbox({ now: START });
  stripe = sandbox.stripe;
  customer = (await stripe.customers.create({ email: "items@example.com" })).id;
  method = (await stripe.paymentMethods.attach("pm_card_visa", { customer })).id;
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: method } });
});
afterEach(() => sandbox.close());

const add = (data: Partial<Stripe.InvoiceItemCreateParams> = {}) =>
  stripe.invoiceItems.create({ customer, amount: 1500, currency: "usd", description: "Work", ...data });

describe("an invoice item", () => {
  it("asks for an amount, or a quantity of a price", async () => {
    const item = await add({ metadata: { a: "1" } });
    expect(item).toMatchObject({
      object: "invoiceitem",
      amount: 1500,
      quantity: 1,
      invoice: null,
      discountable: true,
      proration: false,
      date: START,
      metadata: { a: "1" },
    });
    const product = await stripe.products.create({ name: "Setup" });
    const price = await stripe.prices.create({ product: product.id, currency: "usd", unit_amount: 400 });
    const priced = await stripe.invoiceItems.create({ customer, pricing: { price: price.id }, quantity: 3 });
    expect(priced).toMatchObject({
      amount: 1200,
      quantity: 3,
      description: "Setup",
      pricing: { price_details: { price: price.id, product: product.id } },
    });
    expect(await stripe.invoiceItems.update(priced.id, { quantity: 2 })).toMatchObject({ amount: 800, quantity: 2 });
    expect(await stripe.invoiceItems.update(item.id, { amount: 1000, description: "Less" })).toMatchObject({
      amount: 1000,
      description: "Less",
    });
    expect((await stripe.invoiceItems.list({ customer, pending: true })).data.map(({ id }) => id)).toHaveLength(2);
    expect(await stripe.invoiceItems.del(item.id)).toEqual({ id: item.id, object: "invoiceitem", deleted: true });
    expect((await refusal(stripe.invoiceItems.retrieve(item.id))).code).toBe("resource_missing");
    expect(await eventsAbout(sandbox, item.id)).toEqual(["invoiceitem.created", "invoiceitem.deleted"]);
  });

  it("is refused without an amount, with two, or with what is unknown", async () => {
    expect((await refusal(stripe.invoiceItems.create({ customer }))).code).toBe("parameter_missing");
    expect((await refusal(add({ unit_amount_decimal: 5 as never }))).message).toContain("only specify one");
    expect((await refusal(add({ customer: "cus_none" }))).code).toBe("resource_missing");
    expect((await refusal(add({ invoice: "in_none" }))).code).toBe("resource_missing");
    expect((await refusal(add({ price: "x" } as never))).code).toBe("parameter_unknown");
    const { price } = await catalogue(sandbox);
    const recurring = stripe.invoiceItems.create({ customer, pricing: { price: price.id } });
    expect((await refusal(recurring)).message).toContain("type=one_time");
  });

  it("waits for the next invoice of a subscription, and is shown in its preview", async () => {
    const { price } = await catalogue(sandbox);
    const { id } = await stripe.subscriptions.create({ customer, items: [{ price: price.id }] });
    const item = await add();
    expect((await stripe.invoices.createPreview({ subscription: id })).total).toBe(4400);
    await sandbox.setClock(utc(2026, 3, 1));
    const { data } = await stripe.invoices.list({ subscription: id });
    expect(data.map(({ total }) => total)).toEqual([4400, 2900]);
    expect(data[0]?.lines.data[0]?.parent?.invoice_item_details).toMatchObject({ invoice_item: item.id });
    expect((await stripe.invoiceItems.retrieve(item.id)).invoice).toBe(data[0]?.id);
    expect((await refusal(stripe.invoiceItems.update(item.id, { amount: 1 }))).message).toContain("draft invoice");
  });
});

describe("an invoice made by hand", () => {
  it("takes what waits only when it is told to, and is finalized and paid", async () => {
    const item = await add();
    const empty = await stripe.invoices.create({ customer });
    expect(empty).toMatchObject({
      status: "draft",
      total: 0,
      auto_advance: false,
      billing_reason: "manual",
      parent: null,
    });
    const draft = await stripe.invoices.create({
      customer,
      pending_invoice_items_behavior: "include",
      description: "By hand",
      metadata: { a: "1" },
    });
    expect(draft).toMatchObject({ total: 1500, description: "By hand", metadata: { a: "1" } });
    expect((await stripe.invoiceItems.retrieve(item.id)).invoice).toBe(draft.id);
    const open = await stripe.invoices.finalizeInvoice(draft.id);
    expect(open).toMatchObject({ status: "open", amount_due: 1500 });
    expect(open.number).toMatch(/-0001$/);
    expect(await stripe.invoices.pay(draft.id)).toMatchObject({ status: "paid", amount_paid: 1500 });
    expect((await refusal(stripe.invoices.pay(draft.id))).message).toContain("already paid");
    expect(await eventsAbout(sandbox, draft.id)).toEqual([
      "invoice.created",
      "invoice.finalized",
      "invoice.updated",
      "invoice.paid",
      "invoice.payment_succeeded",
    ]);
  });

  it("of a subscription takes what waits for that, and nothing else", async () => {
    const shop = await openShop();
    try {
      const { invoices, invoiceItems, subscriptions } = shop.stripe;
      const { id, items, customer: owner } = await shop.subscribe();
      const customer = owner as string;
      await shop.setClock(utc(2026, 4, 16));
      const make = () => invoices.create({ customer, subscription: id });
      expect((await refusal(make())).message).toContain("Nothing to invoice");
      await invoiceItems.create({ customer, amount: 700, currency: "usd" });
      const own = await invoiceItems.create({ customer, subscription: id, amount: 50, currency: "usd" });
      await subscriptions.update(id, { items: [{ id: items.data[0]?.id ?? "", quantity: 2 }] });
      const both = { customer, subscription: id, pending_invoice_items_behavior: "include" } as const;
      expect((await refusal(invoices.create(both))).param).toBe("pending_invoice_items_behavior");
      const draft = await make();
      const prorations = draft.lines.data.filter(({ parent }) => parent?.subscription_item_details?.proration);
      expect(prorations).toHaveLength(2);
      expect(draft.total).toBe(50 + prorations.reduce((sum, { amount }) => sum + amount, 0));
      expect(draft).toMatchObject({
        billing_reason: "manual",
        parent: { subscription_details: { subscription: id } },
      });
      expect((await invoiceItems.retrieve(own.id)).invoice).toBe(draft.id);
      const waiting = (await invoiceItems.list({ customer, pending: true })).data;
      expect(waiting.map(({ amount }) => amount)).toEqual([700]);
    } finally {
      await shop.close();
    }
  });

  it("changes with its items, lines and discounts while it is a draft", async () => {
    const draft = await stripe.invoices.create({ customer });
    const item = await add({ invoice: draft.id });
    expect((await stripe.invoices.retrieve(draft.id)).total).toBe(1500);
    await stripe.invoiceItems.update(item.id, { amount: 2000 });
    expect((await stripe.invoices.retrieve(draft.id)).total).toBe(2000);
    const waiting = await add({ amount: 100 });
    const added = await stripe.invoices.addLines(draft.id, {
      lines: [{ invoice_item: waiting.id }, { amount: 50, description: "Small" }],
    });
    expect(added.total).toBe(2150);
    const { id: coupon } = await stripe.coupons.create({ percent_off: 10 });
    const cut = await stripe.invoices.update(draft.id, { discounts: [{ coupon }], footer: "Thanks" });
    expect(cut).toMatchObject({ subtotal: 2150, total: 1935, footer: "Thanks" });
    expect(cut.total_discount_amounts?.map(({ amount }) => amount)).toEqual([215]);
    expect((await stripe.invoices.update(draft.id, { discounts: "" })).total).toBe(2150);
    await stripe.invoiceItems.del(item.id);
    expect((await stripe.invoices.retrieve(draft.id)).total).toBe(150);
    await stripe.invoices.finalizeInvoice(draft.id);
    const late = stripe.invoices.update(draft.id, { footer: "Late" });
    expect((await refusal(late)).code).toBe("invoice_not_editable");
    expect((await stripe.invoices.update(draft.id, { metadata: { late: "1" } })).metadata).toEqual({ late: "1" });
    expect((await refusal(add({ invoice: draft.id }))).code).toBe("invoice_not_editable");
  });

  it("is deleted as a draft only, with its items", async () => {
    const draft = await stripe.invoices.create({ customer });
    const item = await add({ invoice: draft.id });
    expect(await stripe.invoices.del(draft.id)).toEqual({ id: draft.id, object: "invoice", deleted: true });
    expect((await refusal(stripe.invoices.retrieve(draft.id))).code).toBe("resource_missing");
    expect((await refusal(stripe.invoiceItems.retrieve(item.id))).code).toBe("resource_missing");
    const other = await stripe.invoices.create({ customer });
    await stripe.invoices.finalizeInvoice(other.id);
    expect((await refusal(stripe.invoices.del(other.id))).message).toContain("draft");
    expect((await eventsAbout(sandbox, draft.id)).at(-1)).toBe("invoice.deleted");
  });

  it("advances by itself an hour later when it may", async () => {
    const draft = await stripe.invoices.create({ customer, auto_advance: true });
    await add({ invoice: draft.id });
    expect(draft.automatically_finalizes_at).toBe(START + 3600);
    await sandbox.setClock(START + 3599);
    expect((await stripe.invoices.retrieve(draft.id)).status).toBe("draft");
    await sandbox.setClock(START + 3600);
    expect(await stripe.invoices.retrieve(draft.id)).toMatchObject({ status: "paid", amount_paid: 1500 });
  });

  it("is paid outside of Stripe, given up, paid after all, or voided", async () => {
    const make = async () => {
      const draft = await stripe.invoices.create({ customer });
      await add({ invoice: draft.id });
      return (await stripe.invoices.finalizeInvoice(draft.id)).id;
    };
    const outside = await stripe.invoices.pay(await make(), { paid_out_of_band: true });
    expect(outside).toMatchObject({ status: "paid", amount_remaining: 0 });
    const bad = await stripe.invoices.markUncollectible(await make());
    expect(bad).toMatchObject({ status: "uncollectible", status_transitions: { marked_uncollectible_at: START } });
    expect(await stripe.invoices.pay(bad.id)).toMatchObject({ status: "paid", amount_paid: 1500 });
    expect(await stripe.invoices.voidInvoice(await make())).toMatchObject({ status: "void" });
  });

  it("is sent, with a day on which it is due, and not charged", async () => {
    const send = { collection_method: "send_invoice" as const };
    expect((await refusal(stripe.invoices.create({ customer, ...send }))).param).toBe("days_until_due");
    expect((await refusal(stripe.invoices.create({ customer, days_until_due: 5 }))).param).toBe("days_until_due");
    const draft = await stripe.invoices.create({ customer, ...send, days_until_due: 14, auto_advance: true });
    await add({ invoice: draft.id });
    expect(draft.due_date).toBe(START + 14 * DAY);
    const sent = await stripe.invoices.sendInvoice(draft.id);
    expect(sent).toMatchObject({ status: "open", amount_due: 1500, attempted: false });
    await sandbox.setClock(START + 2 * DAY);
    expect((await stripe.invoices.retrieve(draft.id)).status).toBe("open");
    expect(await eventsAbout(sandbox, draft.id)).toContain("invoice.sent");
    expect((await stripe.invoices.list({ due_date: { gte: START } })).data.map(({ id }) => id)).toEqual([draft.id]);
  });
});
