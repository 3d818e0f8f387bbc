// Coupons, promotion codes and what they take off: subscriptions, sessions, invoices and prorations.
import fc from "fast-check";
import type Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeOff } from "../../src/sandbox/engine/discount-amounts";
import { taxesOn } from "../../src/sandbox/engine/tax";
import type { Coupon } from "../../src/sandbox/types";
import {
  catalogue,
  DAY,
  dateOf,
  eventsAbout,
  openSandbox,
  refusal,
  subscribe,
  subscribeSession,
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

/** A customer with a card, and a plan of 29.00 a month. */
async function buyer() {
  const { price, customer, product } = await catalogue(sandbox);
  const { id: method } = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: method } });
  return { price: price.id, customer: customer.id, product: product.id };
}

const coupon = (data: Stripe.CouponCreateParams) => stripe.coupons.create(data);

async function invoicesOf(subscription: string) {
  const { data } = await stripe.invoices.list({ subscription });
  return data.reverse();
}

const totals = (invoices: Stripe.Invoice[]) => invoices.map(({ total }) => total);

describe("a coupon", () => {
  it("takes off a percentage or an amount, and is refused when it says neither or both", async () => {
    const made = await coupon({ percent_off: 12.5, duration: "forever", name: "Early", metadata: { a: "1" } });
    expect(made).toMatchObject({
      object: "coupon",
      percent_off: 12.5,
      amount_off: null,
      currency: null,
      duration: "forever",
      times_redeemed: 0,
      valid: true,
      metadata: { a: "1" },
    });
    expect(made.applies_to).toBeUndefined();
    expect((await stripe.coupons.update(made.id, { name: "Late" })).name).toBe("Late");
    expect((await refusal(coupon({}))).param).toBe("percent_off");
    expect((await refusal(coupon({ percent_off: 5, amount_off: 5, currency: "usd" }))).code).toBe(
      "parameters_exclusive",
    );
    expect((await refusal(coupon({ amount_off: 5 }))).param).toBe("currency");
    expect((await refusal(coupon({ percent_off: 5, duration: "repeating" }))).param).toBe("duration_in_months");
    expect((await refusal(coupon({ percent_off: 101 }))).param).toBe("percent_off");
    expect((await refusal(coupon({ id: made.id, percent_off: 5 }))).code).toBe("resource_already_exists");
    expect((await refusal(coupon({ percent_off: 5, color: "red" } as never))).code).toBe("parameter_unknown");
    expect(await stripe.coupons.del(made.id)).toEqual({ id: made.id, object: "coupon", deleted: true });
    expect((await refusal(stripe.coupons.retrieve(made.id))).code).toBe("resource_missing");
    expect((await stripe.coupons.list()).data).toEqual([]);
    expect(await eventsAbout(sandbox, made.id)).toEqual(["coupon.created", "coupon.updated", "coupon.deleted"]);
  });

  it("for one time takes off the first invoice only; a trial does not use it up", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 50, duration: "once" });
    const subscription = await stripe.subscriptions.create({
      customer,
      items: [{ price }],
      discounts: [{ coupon: id }],
      trial_end: START + 10 * DAY,
      expand: ["discounts.source.coupon"],
    });
    expect(subscription.discounts[0]).toMatchObject({
      object: "discount",
      subscription: subscription.id,
      customer,
      end: null,
      source: { type: "coupon", coupon: { id, percent_off: 50 } },
    });
    const discount = (subscription.discounts[0] as Stripe.Discount).id;
    expect(await eventsAbout(sandbox, discount)).toEqual(["customer.discount.created"]);
    await sandbox.setClock(START + 11 * DAY);
    expect((await eventsAbout(sandbox, discount)).at(-1)).toBe("customer.discount.deleted");
    await sandbox.setClock(utc(2026, 3, 20));
    expect(totals(await invoicesOf(subscription.id))).toEqual([0, 1450, 2900]);
    expect((await stripe.subscriptions.retrieve(subscription.id)).discounts).toEqual([]);
    expect((await stripe.coupons.retrieve(id)).times_redeemed).toBe(1);
  });

  it("for some months ends by itself", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ amount_off: 1000, currency: "usd", duration: "repeating", duration_in_months: 3 });
    const subscription = await stripe.subscriptions.create({
      customer,
      items: [{ price }],
      discounts: [{ coupon: id }],
      expand: ["discounts"],
    });
    expect(dateOf((subscription.discounts[0] as Stripe.Discount).end)).toBe("2026-04-30");
    await sandbox.setClock(utc(2026, 4, 29));
    expect(totals([await stripe.invoices.createPreview({ subscription: subscription.id })])).toEqual([2900]);
    await sandbox.setClock(utc(2026, 6, 1));
    expect(totals(await invoicesOf(subscription.id))).toEqual([1900, 1900, 1900, 2900, 2900]);
    expect((await stripe.subscriptions.retrieve(subscription.id)).discounts).toEqual([]);
  });

  it("is told line by line, and total by total", async () => {
    const { price, customer, product } = await buyer();
    const other = await stripe.products.create({ name: "Extra" });
    const extra = await stripe.prices.create({
      product: other.id,
      currency: "usd",
      unit_amount: 1000,
      recurring: { interval: "month" },
    });
    const percent = await coupon({ percent_off: 10, duration: "forever", applies_to: { products: [product] } });
    const amount = await coupon({ amount_off: 361, currency: "usd", duration: "forever" });
    const subscription = await stripe.subscriptions.create({
      customer,
      items: [{ price }, { price: extra.id }],
      discounts: [{ coupon: percent.id }, { coupon: amount.id }],
      expand: ["latest_invoice.total_discount_amounts.discount"],
    });
    const invoice = subscription.latest_invoice as Stripe.Invoice;
    // 2900 - 290 leaves 2610; of 2610 + 1000 the second coupon takes a tenth.
    expect(invoice).toMatchObject({ subtotal: 3900, total: 3249, amount_due: 3249, status: "paid", amount_paid: 3249 });
    expect(invoice.total_discount_amounts?.map((each) => each.amount)).toEqual([290, 361]);
    expect(invoice.total_discount_amounts?.[0]?.discount).toMatchObject({ object: "discount" });
    const lines = invoice.lines.data.map((line) => line.discount_amounts?.map((each) => each.amount));
    expect(lines).toEqual([[290, 261], [100]]);
    expect((await stripe.coupons.retrieve(percent.id, { expand: ["applies_to"] })).applies_to).toEqual({
      products: [product],
    });
  });

  it("is refused when it is unknown, used up, expired or in another currency", async () => {
    const { price, customer } = await buyer();
    const create = (id: string) =>
      stripe.subscriptions.create({ customer, items: [{ price }], discounts: [{ coupon: id }] });
    expect(await refusal(create("none"))).toMatchObject({ code: "resource_missing", param: "discounts[0][coupon]" });
    const single = await coupon({ percent_off: 5, max_redemptions: 1 });
    await create(single.id);
    expect((await stripe.coupons.retrieve(single.id)).valid).toBe(false);
    expect((await refusal(create(single.id))).code).toBe("coupon_expired");
    const euros = await coupon({ amount_off: 100, currency: "eur", currency_options: { gbp: { amount_off: 90 } } });
    expect((await refusal(create(euros.id))).message).toContain("expected currency: `usd`");
    const short = await coupon({ percent_off: 5, redeem_by: START + DAY });
    await sandbox.setClock(START + DAY + 1);
    expect((await refusal(create(short.id))).code).toBe("coupon_expired");
  });

  it("that is deleted goes on for those who have it", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 50, duration: "forever" });
    const subscription = await stripe.subscriptions.create({
      customer,
      items: [{ price }],
      discounts: [{ coupon: id }],
    });
    await stripe.coupons.del(id);
    await sandbox.setClock(utc(2026, 3, 1));
    expect(totals(await invoicesOf(subscription.id))).toEqual([1450, 1450]);
  });
});

describe("discounts of a subscription", () => {
  it("are replaced, kept by their id, and cleared", async () => {
    const { price, customer } = await buyer();
    const [ten, twenty] = [
      await coupon({ percent_off: 10, duration: "forever" }),
      await coupon({ percent_off: 20, duration: "forever" }),
    ];
    const { id, discounts } = await stripe.subscriptions.create({
      customer,
      items: [{ price }],
      discounts: [{ coupon: ten.id }],
    });
    const first = discounts[0] as string;
    const both = await stripe.subscriptions.update(id, { discounts: [{ discount: first }, { coupon: twenty.id }] });
    expect(both.discounts[0]).toBe(first);
    expect(both.discounts).toHaveLength(2);
    expect(totals([await stripe.invoices.createPreview({ subscription: id })])).toEqual([2088]);
    expect((await stripe.subscriptions.update(id, { discounts: "" })).discounts).toEqual([]);
    expect(totals([await stripe.invoices.createPreview({ subscription: id })])).toEqual([2900]);
    expect((await refusal(stripe.subscriptions.update(id, { discounts: [{ discount: "di_none" }] }))).code).toBe(
      "resource_missing",
    );
    await stripe.subscriptions.update(id, { discounts: [{ coupon: ten.id }] });
    const switched = await stripe.subscriptions.update(id, { discounts: [{ coupon: twenty.id }] });
    expect((await stripe.events.list({ type: "customer.discount.updated" })).data[0]?.data.object).toMatchObject({
      id: switched.discounts[0],
    });
    expect(await stripe.subscriptions.deleteDiscount(id)).toMatchObject({ object: "discount", deleted: true });
    expect((await stripe.subscriptions.retrieve(id)).discounts).toEqual([]);
    expect((await refusal(stripe.subscriptions.deleteDiscount(id))).code).toBe("resource_missing");
  });

  it("are tried in a preview, which keeps nothing", async () => {
    const { price, customer } = await buyer();
    const { id: half } = await coupon({ percent_off: 50, duration: "forever" });
    const { id } = await stripe.subscriptions.create({ customer, items: [{ price }] });
    const events = (await stripe.events.list({ limit: 100 })).data.length;
    const preview = await stripe.invoices.createPreview({ subscription: id, discounts: [{ coupon: half }] });
    expect(preview).toMatchObject({ subtotal: 2900, total: 1450 });
    const fresh = await stripe.invoices.createPreview({
      customer,
      subscription_details: { items: [{ price, quantity: 3 }] },
      discounts: [{ coupon: half }],
    });
    expect(fresh).toMatchObject({ subtotal: 8700, total: 4350 });
    expect((await stripe.subscriptions.retrieve(id)).discounts).toEqual([]);
    expect((await stripe.coupons.retrieve(half)).times_redeemed).toBe(0);
    expect((await stripe.events.list({ limit: 100 })).data).toHaveLength(events);
    const unknown = stripe.invoices.createPreview({ subscription: id, discounts: [{ coupon: "none" }] });
    expect((await refusal(unknown)).code).toBe("resource_missing");
  });

  it("are inside the amounts of prorations", async () => {
    const { price, customer, product } = await buyer();
    const large = await stripe.prices.create({
      product,
      currency: "usd",
      unit_amount: 10_000,
      recurring: { interval: "month" },
    });
    const { id: half } = await coupon({ percent_off: 50, duration: "forever" });
    const { id, items } = await stripe.subscriptions.create({
      customer,
      items: [{ price }],
      discounts: [{ coupon: half }],
    });
    // Half of the 28 days from Jan 31st to Feb 28th.
    await sandbox.setClock(START + 14 * DAY);
    await stripe.subscriptions.update(id, {
      items: [{ id: items.data[0]?.id, price: large.id }],
      proration_behavior: "always_invoice",
    });
    const [, invoice] = await invoicesOf(id);
    const lines = invoice?.lines.data.map(({ amount, discountable, discount_amounts: off }) => [
      amount,
      discountable,
      off,
    ]);
    expect(lines).toEqual([
      [-725, false, []],
      [2500, false, []],
    ]);
    expect(invoice).toMatchObject({ total: 1775, amount_paid: 1775 });
  });
});

describe("a promotion code", () => {
  const promote = (id: string, data: Partial<Stripe.PromotionCodeCreateParams> = {}) =>
    stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: id }, ...data });

  it("is created, found by its code, turned off, and unique among the active", async () => {
    const { id } = await coupon({ percent_off: 10 });
    const made = await promote(id, { code: "SPRING", metadata: { a: "1" } });
    expect(made).toMatchObject({
      object: "promotion_code",
      code: "SPRING",
      active: true,
      promotion: { type: "coupon", coupon: id },
      restrictions: { first_time_transaction: false, minimum_amount: null },
    });
    expect((await stripe.promotionCodes.list({ code: "spring" })).data.map((each) => each.id)).toEqual([made.id]);
    expect((await refusal(promote(id, { code: "Spring" }))).param).toBe("code");
    expect((await stripe.promotionCodes.update(made.id, { active: false })).active).toBe(false);
    await promote(id, { code: "SPRING" });
    expect((await refusal(stripe.promotionCodes.update(made.id, { active: true }))).param).toBe("code");
    expect((await refusal(promote("none"))).param).toBe("promotion[coupon]");
    expect(await eventsAbout(sandbox, made.id)).toEqual(["promotion_code.created", "promotion_code.updated"]);
  });

  it("is restricted to first purchases, to a minimum, to a customer, and in number", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 10 });
    const create = (promotion_code: string) =>
      stripe.subscriptions.create({ customer, items: [{ price }], discounts: [{ promotion_code }] });
    const high = await promote(id, { restrictions: { minimum_amount: 2901, minimum_amount_currency: "usd" } });
    expect((await refusal(create(high.id))).message).toContain("minimum amount");
    const stranger = await stripe.customers.create({});
    expect((await refusal(create((await promote(id, { customer: stranger.id })).id))).message).toContain(
      "another customer",
    );
    const first = await promote(id, { restrictions: { first_time_transaction: true } });
    await create(first.id);
    expect((await refusal(create(first.id))).message).toContain("prior transactions");
    const once = await promote(id, { max_redemptions: 1 });
    await create(once.id);
    expect(await stripe.promotionCodes.retrieve(once.id)).toMatchObject({ active: false, times_redeemed: 1 });
    expect((await refusal(create(once.id))).param).toBe("discounts[0][promotion_code]");
    expect((await refusal(create("promo_none"))).code).toBe("resource_missing");
  });
});

describe("a session", () => {
  it("with a discount asks for less, and its invoice is the same", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 25, duration: "forever" });
    const session = await subscribeSession(sandbox, { price, customer }, { discounts: [{ coupon: id }] });
    expect(session).toMatchObject({
      amount_subtotal: 2900,
      amount_total: 2175,
      total_details: { amount_discount: 725, amount_tax: 0 },
      discounts: [{ coupon: id, promotion_code: null }],
    });
    expect(await sandbox.pay(session.id)).toEqual({ status: "complete" });
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["invoice", "line_items"] });
    expect(paid.invoice).toMatchObject({ subtotal: 2900, total: 2175, amount_paid: 2175 });
    const page = await (await fetch((paid.invoice as Stripe.Invoice).hosted_invoice_url as string)).text();
    expect(page).toContain("-$7.25");
    expect(paid.line_items?.data[0]).toMatchObject({ amount_discount: 725, amount_subtotal: 2900, amount_total: 2175 });
  });

  it("with everything taken off needs no payment", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 100, duration: "once" });
    const session = await subscribeSession(
      sandbox,
      { price, customer },
      { discounts: [{ coupon: id }], payment_method_collection: "if_required" },
    );
    expect(session).toMatchObject({ amount_total: 0, payment_status: "no_payment_required" });
    expect(await sandbox.pay(session.id)).toEqual({ status: "complete" });
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription", "invoice"] });
    expect(paid.payment_status).toBe("no_payment_required");
    expect(paid.subscription).toMatchObject({ status: "active" });
    expect(paid.invoice).toMatchObject({ status: "paid", subtotal: 2900, total: 0, amount_paid: 0 });
  });

  it("takes a promotion code on its page", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ amount_off: 900, currency: "usd" });
    const promotion = await stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: id }, code: "NINE" });
    const session = await subscribeSession(sandbox, { price, customer }, { allow_promotion_codes: true });
    const post = async (fields: Record<string, string>) => {
      const answer = await fetch(session.url as string, { method: "POST", body: new URLSearchParams(fields) });
      return await answer.text();
    };
    expect(await (await fetch(session.url as string)).text()).toContain("Promotion code");
    expect(await post({ promotionCode: "TEN", applyCode: "1" })).toContain("This code is invalid.");
    expect(await post({ promotionCode: " nine ", applyCode: "1" })).toContain("$20.00");
    expect(await stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
      amount_total: 2000,
      discounts: [{ coupon: null, promotion_code: promotion.id }],
    });
    expect(await post({ removeCode: "1" })).toContain("$29.00");
    const control = await sandbox.control(`checkout/${session.id}/complete`, { promotion_code: "NINE" });
    expect(control).toEqual({ status: "complete" });
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["invoice"] });
    expect(paid.invoice).toMatchObject({ amount_paid: 2000 });
    expect((await stripe.promotionCodes.retrieve(promotion.id)).times_redeemed).toBe(1);
  });

  it("does not show the field unless it was asked for, nor take both ways at once", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 10 });
    const session = await subscribeSession(sandbox, { price, customer });
    expect(await (await fetch(session.url as string)).text()).not.toContain("Promotion code");
    const both = subscribeSession(
      sandbox,
      { price, customer },
      { discounts: [{ coupon: id }], allow_promotion_codes: true },
    );
    expect((await refusal(both)).code).toBe("parameters_exclusive");
  });

  it("for a one-off purchase redeems its coupon when it is paid", async () => {
    const { product, customer } = await buyer();
    const price = await stripe.prices.create({ product, currency: "usd", unit_amount: 999 });
    const { id } = await coupon({ percent_off: 33 });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      customer,
      line_items: [{ price: price.id, quantity: 1 }],
      success_url: "http://app.test/done",
      discounts: [{ coupon: id }],
      invoice_creation: { enabled: true },
    });
    expect(session).toMatchObject({ amount_total: 669, total_details: { amount_discount: 330 } });
    expect((await stripe.coupons.retrieve(id)).times_redeemed).toBe(0);
    await sandbox.pay(session.id);
    const paid = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["invoice.discounts", "payment_intent"],
    });
    expect(paid.payment_intent).toMatchObject({ amount: 669 });
    expect(paid.invoice).toMatchObject({ total: 669, discounts: [{ checkout_session: session.id }] });
    expect((await stripe.coupons.retrieve(id)).times_redeemed).toBe(1);
  });

  it("with an anchor inside its first period asks for the share up to it", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 50, duration: "forever" });
    const data = { billing_cycle_anchor: START + 7 * DAY };
    const open = (subscription_data: Stripe.Checkout.SessionCreateParams.SubscriptionData) =>
      subscribeSession(sandbox, { price, customer }, { subscription_data, discounts: [{ coupon: id }] });
    const session = await open(data);
    // 7 days of the 31 from Jan 7th to Feb 7th: 2900 × 7 ÷ 31 = 654.8, and half of it.
    expect(session).toMatchObject({ amount_subtotal: 655, amount_total: 327 });
    await sandbox.pay(session.id);
    const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["invoice"] });
    expect(paid.invoice).toMatchObject({ total: 327, amount_paid: 327 });
    expect(await open({ ...data, proration_behavior: "none" })).toMatchObject({ amount_total: 0 });
  });

  it("renews at the discounted price", async () => {
    const { price, customer } = await buyer();
    const { id } = await coupon({ percent_off: 25, duration: "forever" });
    const subscription = await subscribe(sandbox, { price, customer }, undefined, { discounts: [{ coupon: id }] });
    await sandbox.setClock(utc(2026, 3, 1));
    expect(totals(await invoicesOf(subscription.id))).toEqual([2175, 2175]);
  });
});

describe("arithmetic", () => {
  const amounts = fc.array(fc.integer({ min: -5000, max: 100_000 }), { maxLength: 8 });
  const given = (coupon: Partial<Coupon>) => [
    { discount: "di_1", coupon: { percent_off: null, amount_off: null, currency: "usd", ...coupon } as Coupon },
  ];
  const taken = (lines: number[], coupon: Partial<Coupon>) =>
    takeOff(
      lines.map((amount) => ({ amount, discountable: true, product: null })),
      given(coupon),
      "usd",
    ).map((each) => each.reduce((sum, { amount }) => sum + amount, 0));

  it("an amount is taken off as a whole, up to what the lines hold, and no line goes below nothing", () => {
    fc.assert(
      fc.property(amounts, fc.integer({ min: 1, max: 300_000 }), (lines, amountOff) => {
        const off = taken(lines, { amount_off: amountOff });
        const held = lines.reduce((sum, amount) => sum + Math.max(0, amount), 0);
        expect(off.reduce((sum, amount) => sum + amount, 0)).toBe(Math.min(amountOff, held));
        for (const [at, amount] of off.entries()) {
          expect(amount).toBeGreaterThanOrEqual(0);
          expect(amount).toBeLessThanOrEqual(Math.max(0, lines[at] ?? 0));
        }
      }),
    );
  });

  it("all of a line is taken off by a hundred percent", () => {
    fc.assert(
      fc.property(amounts, (lines) => {
        const held = lines.map((amount) => Math.max(0, amount));
        expect(taken(lines, { percent_off: 100 })).toEqual(held);
      }),
    );
  });

  it("tax within a price and what it is on make up the price; a credit takes back what a charge added", () => {
    const percentages = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), percentages, fc.boolean(), (amount, basis, inclusive) => {
        const rates = basis.map((each, at) => ({
          id: `txr_${at}`,
          percentage: each / 100,
          inclusive,
          reason: "standard_rated",
        }));
        const taxes = taxesOn(amount, rates);
        const sum = taxes.reduce((all, tax) => all + tax.amount, 0);
        if (inclusive) expect(sum + (taxes[0]?.taxable_amount ?? 0)).toBe(amount);
        else expect(taxes[0]?.taxable_amount).toBe(amount);
        const back = taxesOn(-amount, rates).reduce((all, tax) => all + tax.amount, 0);
        expect(back + sum).toBe(0);
      }),
    );
  });
});
