// Checkouts that go wrong, and what holds afterwards.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { callAs, daysLater, sessionOf } from "../../setup/billing";
import { again, type Companies, type Company, ofType, openCompanies } from "../../setup/companies";
import { codeOf, createMember, minutesLater, NOW } from "../../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());
afterEach(() => {
  world.billing.line.bend = null;
  world.billing.line.mode = "up";
});

const sessionRows = async (company: Company) =>
  (
    await world.sql<{ line: string }>(
      "SELECT kind::text || ' ' || status::text AS line FROM checkout_sessions WHERE organization_id = $1 ORDER BY created_at, id",
      [company.id],
    )
  ).map(({ line }) => line);

/** Customers at Stripe that name the organization. */
const customersOf = async (company: Company) =>
  (await world.stripe.customers.list({ limit: 100 })).data.filter(
    ({ metadata }) => metadata.organizationId === company.id,
  );

/** Our own page of a pack, paid from a bank account: days later, or never. */
async function debit(company: Company, account?: string): Promise<string> {
  const url = await company.packOffer("pack_10000");
  const body = { method: "us_bank_account", ...(account ? { account } : {}) };
  expect(await world.bank(`checkout/${sessionOf(url)}/complete`, body)).toEqual({ status: "complete" });
  return (await world.stripe.checkout.sessions.retrieve(sessionOf(url))).payment_intent as string;
}

/** A checkout of a pack made past our app. */
async function sellByHand(
  company: Company,
  change: Partial<Stripe.Checkout.SessionCreateParams> = {},
): Promise<Stripe.Checkout.Session> {
  return world.stripe.checkout.sessions.create({
    mode: "payment",
    customer: company.customer,
    line_items: [{ price: await world.packPriceOf("pack_2500"), quantity: 1 }],
    success_url: "http://app.test/done",
    ...change,
  });
}

describe("checkout", () => {
  it("completed but unpaid, then async success, or async failure; or the success first", async () => {
    const [paid, failed, backwards] = [await world.found(), await world.found(), await world.found()];
    const payment = await debit(paid);
    await world.settle();
    expect(await paid.grants()).toEqual([]);
    expect(await paid.history()).toEqual(["credit_purchase processing 8900"]);
    await world.bank(`payment_intents/${payment}/succeed`);
    const told = await world.freshEvents();
    await world.settle([...told, ...again(told)]);
    expect(await paid.grants()).toEqual([10_000]);
    expect(await paid.history()).toEqual(["credit_purchase paid 8900"]);

    await world.bank(`payment_intents/${await debit(failed)}/fail`);
    await world.settle();
    expect(await failed.grants()).toEqual([]);
    expect(await failed.history()).toEqual(["credit_purchase failed 8900"]);
    expect(await sessionRows(failed)).toEqual(["credits failed"]);

    await world.bank(`payment_intents/${await debit(backwards)}/succeed`);
    await world.settle((await world.freshEvents()).reverse());
    expect(await backwards.grants()).toEqual([10_000]);
    for (const company of [paid, failed, backwards]) await company.ledger();
  });

  it("no_payment_required (trial, 100 % coupon)", async () => {
    const company = await world.found();
    const url = await company.offer("starter");
    await world.billing.pay(url);
    expect((await world.stripe.checkout.sessions.retrieve(sessionOf(url))).payment_status).toBe("no_payment_required");
    await world.settle();
    expect(await company.standing()).toEqual(["starter trial"]);
    expect(await company.grants()).toEqual([300]);

    const guest = await world.found();
    const coupon = await world.stripe.coupons.create({ percent_off: 100, duration: "once" });
    const session = await sellByHand(guest, {
      mode: "subscription",
      line_items: [{ price: await world.priceOf("pro"), quantity: 1 }],
      discounts: [{ coupon: coupon.id }],
    });
    await world.billing.pay(session.url ?? "");
    await world.settle();
    expect(await guest.standing()).toEqual(["pro active"]);
    expect(await guest.grants()).toEqual([6000]);
    expect(await guest.history()).toEqual(["invoice paid 0"]);
  });

  it("session expired", async () => {
    const company = await world.found();
    const url = await company.packOffer();
    await company.live(daysLater(2));
    expect((await world.stripe.checkout.sessions.retrieve(sessionOf(url))).status).toBe("expired");
    expect(await sessionRows(company)).toEqual(["credits expired"]);
    expect(await company.history()).toEqual([]);
    const next = await company.packOffer();
    expect(next).not.toBe(url);
  });

  it("two clicks on subscribe with no customer yet", async () => {
    const company = await world.foundHere();
    const urls = await Promise.all([company.offer("pro"), company.offer("pro"), company.packOffer()]);
    expect(urls[0]).toBe(urls[1]);
    expect(await customersOf(company)).toHaveLength(1);
    expect(await sessionRows(company)).toHaveLength(2);
  });

  it("customer created at Stripe, our commit fails", async () => {
    const company = await world.foundHere();
    world.billing.line.bend = (path, answer) => (path === "/v1/customers" ? { cut: "off" } : answer);
    expect(await company.offer("pro").catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    world.billing.line.bend = null;
    const [made] = await customersOf(company);
    await company.offer("pro");
    expect((await customersOf(company)).map(({ id }) => id)).toEqual([made?.id]);
    const [row] = await world.sql("SELECT stripe_customer_id AS id FROM organizations WHERE id = $1", [company.id]);
    expect(row).toEqual({ id: made?.id });
  });

  it("created in Stripe's dashboard without our metadata", async () => {
    const company = await world.found();
    await world.stripe.customers.update(company.customer, { metadata: { organizationId: "" } });
    await company.subscribeByHand("pro");
    await world.settle();
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);

    const stranger = await world.stripe.customers.create({});
    const session = await world.stripe.checkout.sessions.create({
      ...{ mode: "payment", customer: stranger.id, success_url: "http://app.test/done" },
      line_items: [{ price: await world.packPriceOf("pack_2500"), quantity: 1 }],
    });
    await world.billing.pay(session.url ?? "");
    const [completed] = ofType(await world.freshEvents(), "checkout.session.completed");
    await world.settle(completed ? [completed] : []);
    expect(await world.statusOf(completed?.id ?? "")).toBe("quarantined");
    expect(
      await world.sql("SELECT kind FROM billing_alerts WHERE subject = $1 AND resolved_at IS NULL", [session.id]),
    ).toEqual([{ kind: "unknown_customer" }]);
  });

  it("metadata names another organization than the customer's owner", async () => {
    const [thief, victim] = [await world.found(), await world.found()];
    for (const [payer, named] of [
      [thief, victim],
      [victim, thief],
    ] as const) {
      const session = await sellByHand(payer, { metadata: { organizationId: named.id, kind: "credits" } });
      await world.billing.pay(session.url ?? "");
      const told = await world.freshEvents();
      await world.settle(told);
      expect(await world.statusOf(ofType(told, "checkout.session.completed")[0]?.id ?? "")).toBe("quarantined");
      expect(await world.sql("SELECT kind FROM billing_alerts WHERE subject = $1", [session.id])).toContainEqual({
        kind: "customer_mismatch",
      });
    }
    for (const company of [thief, victim]) expect(await company.ledger()).toEqual([]);
  });

  it("quantity or price tampered with in the request", async () => {
    const company = await world.found();
    const input = {
      ...company.self,
      productId: world.packs.pack_2500 ?? "",
      quantity: 100,
      credits: 1e9,
      unitAmount: 1,
    };
    const { url } = await company.api.creditProducts.checkout(input);
    expect(await world.stripe.checkout.sessions.retrieve(sessionOf(url))).toMatchObject({ amount_total: 2500 });
    await world.billing.pay(url);
    await world.settle();
    expect(await company.grants()).toEqual([2500]);
    // One that says of itself that it holds more is still a pack of the catalogue.
    const session = await sellByHand(company, { metadata: { credits: "1000000", organizationId: company.id } });
    await world.billing.pay(session.url ?? "");
    await world.settle();
    expect(await company.grants()).toEqual([2500, 2500]);
  });

  it("success URL opened by someone else, or without paying, or again", async () => {
    const [company, other] = [await world.found(), await world.found()];
    const url = await company.packOffer("pack_2500");
    const sessionId = sessionOf(url);
    const comeBack = (who: Company) => who.api.billing.completeCheckout({ ...who.self, sessionId });
    expect(await comeBack(company)).toEqual({ kind: "credits", status: "open", credits: 2500 });
    expect(await company.grants()).toEqual([]);
    await world.billing.pay(url);
    expect(await comeBack(other).catch(codeOf)).toBe("NOT_FOUND");
    const stranger = callAs(other.owner).billing.completeCheckout({ ...company.self, sessionId });
    expect(await stranger.catch(codeOf)).toBe("NOT_FOUND");
    expect(
      await callAs(null)
        .billing.completeCheckout({ ...company.self, sessionId })
        .catch(codeOf),
    ).toBe("UNAUTHENTICATED");
    for (const _ of [1, 2, 3])
      expect(await comeBack(company)).toEqual({ kind: "credits", status: "paid", credits: 2500 });
    await world.settle();
    expect(await company.grants()).toEqual([2500]);
    expect(await other.grants()).toEqual([]);
  });

  it("zero-decimal currency (JPY), prices in several currencies", async () => {
    const product = (await world.stripe.prices.retrieve(await world.packPriceOf("pack_2500"))).product as string;
    const yen = await world.stripe.prices.create({ product, currency: "jpy", unit_amount: 3800 });
    await world.sql(
      `INSERT INTO credit_product_prices (id, product_id, currency, unit_amount, stripe_price_id, created_at)
       VALUES (gen_random_uuid(), $1, 'jpy', 3800, $2, now())`,
      [world.packs.pack_2500, yen.id],
    );
    const [tokyo, paris] = [await world.found(), await world.found()];
    for (const [company, currency] of [
      [tokyo, "jpy"],
      [paris, "eur"],
    ] as const) {
      await world.billing.pay(await company.packOffer("pack_2500", currency));
      await world.settle();
      expect(await company.grants()).toEqual([2500]);
    }
    const linesOf = async (company: Company) =>
      (await company.api.billing.history(company.self)).items.map(({ amount, currency }) => `${amount} ${currency}`);
    expect(await linesOf(tokyo)).toEqual(["3800 jpy"]);
    expect(await linesOf(paris)).toEqual(["2300 eur"]);
    // Of yen, too, half of the money is half of the credits.
    const { data } = await world.stripe.charges.list({ customer: tokyo.customer });
    await world.stripe.refunds.create({ charge: data[0]?.id ?? "", amount: 1900 });
    await world.settle();
    expect(await tokyo.available()).toBe(1250);
    expect(await linesOf(tokyo)).toEqual(["-1900 jpy", "3800 jpy"]);
  });

  it("archived plan or price", async () => {
    const company = await world.found();
    const archive = (active: boolean) =>
      Promise.all([
        world.sql("UPDATE subscription_plans SET active = $2 WHERE id = $1", [world.plans.scale, active]),
        world.sql("UPDATE credit_products SET active = $2 WHERE id = $1", [world.packs.pack_50000, active]),
      ]);
    await archive(false);
    expect(await company.offer("scale").catch(codeOf)).toBe("PLAN_NOT_AVAILABLE");
    expect(await company.packOffer("pack_50000").catch(codeOf)).toBe("PRODUCT_NOT_AVAILABLE");
    await archive(true);
    // Archived at Stripe alone: no session, and an answer that can be shown.
    const price = await world.packPriceOf("pack_50000");
    await world.stripe.prices.update(price, { active: false });
    const refusal = await company.packOffer("pack_50000").then(
      () => "sold",
      (error) => codeOf(error),
    );
    await world.stripe.prices.update(price, { active: true });
    expect(refusal).toBe("STRIPE_REFUSED");
    expect(await sessionRows(company)).toEqual([]);
  });

  it("a member without the billing role; organization A with B's id", async () => {
    const [company, other] = [await world.found(), await world.found()];
    const member = await createMember(company.id, "member");
    const choice = { planId: world.plans.pro ?? "", interval: "month" as const };
    const pack = { productId: world.packs.pack_2500 ?? "" };
    for (const [actor, code] of [
      [member, "FORBIDDEN"],
      [other.owner, "NOT_FOUND"],
    ] as const) {
      const api = callAs(actor);
      expect(await api.subscription.checkout({ ...company.self, ...choice }).catch(codeOf)).toBe(code);
      expect(await api.creditProducts.checkout({ ...company.self, ...pack }).catch(codeOf)).toBe(code);
      expect(await api.subscription.portal(company.self).catch(codeOf)).toBe(code);
    }
    expect(await sessionRows(company)).toEqual([]);
  });
});

describe("checkout, by somebody who means harm", () => {
  it("customer deleted in the middle of a checkout", async () => {
    const company = await world.found();
    const url = await company.offer("pro");
    await world.stripe.customers.del(company.customer);
    // Its page may be paid or refuse: whatever happens, the next checkout works, and nothing is granted unpaid.
    const paid = await world.billing.pay(url).then(
      ({ status }) => status,
      () => "refused",
    );
    await world.settle();
    expect(paid).toBe("refused");
    expect(await company.grants()).toEqual([]);
    await company.subscribe("pro");
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);
  });

  it("promotion code of 100 % for a pack: nothing to pay, no payment intent", async () => {
    const company = await world.found();
    const coupon = await world.stripe.coupons.create({ percent_off: 100, duration: "once" });
    const code = await world.stripe.promotionCodes.create({
      promotion: { type: "coupon", coupon: coupon.id },
      code: "ALLFREE",
    });
    const session = await sellByHand(company, { allow_promotion_codes: true });
    expect(code.active).toBe(true);
    expect(await world.bank(`checkout/${session.id}/complete`, { promotion_code: "ALLFREE" })).toEqual({
      status: "complete",
    });
    expect(await world.stripe.checkout.sessions.retrieve(session.id)).toMatchObject({
      payment_status: "no_payment_required",
      payment_intent: null,
    });
    const told = await world.freshEvents();
    await world.settle([...told, ...again(told)]);
    expect(await company.grants()).toEqual([2500]);
    expect(await company.history()).toEqual(["credit_purchase paid 0"]);
  });

  it("a debit that fails after the page was closed, while nothing was spent", async () => {
    const company = await world.found();
    const payment = await debit(company, "000222222227");
    await company.live(daysLater(10));
    expect((await world.stripe.paymentIntents.retrieve(payment)).status).toBe("requires_payment_method");
    expect(await company.grants()).toEqual([]);
    expect(await company.history()).toEqual(["credit_purchase failed 8900"]);
    expect(await company.ledger()).toEqual([]);
    // And bought again with a card, it is one purchase.
    await company.buy("pack_10000");
    expect(await company.grants()).toEqual([10_000]);
  });

  it("a subscription begun with a debit that fails", async () => {
    const company = await world.found();
    const url = await company.offer("pro");
    const session = sessionOf(url);
    await world.bank(`checkout/${session}/complete`, { method: "us_bank_account", account: "000222222227" });
    await world.settle();
    expect(await company.grants()).toEqual([]);
    await company.live(daysLater(10));
    expect(await company.grants()).toEqual([]);
    expect(await company.available()).toBe(0);
    const [invoice] = await company.invoices();
    expect(invoice?.status).toBe("void");
    // Stripe leaves it active until its next invoice; nothing that was not paid can be spent.
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.alerts()).toEqual(["first_payment_failed"]);
    expect(await company.history()).toEqual(["invoice void 4900"]);
    await company.ledger();
  });

  it("a declined card, three times, then a good one", async () => {
    const company = await world.found();
    const url = await company.packOffer("pack_2500");
    for (const card of ["4000000000000002", "4000000000009995", "4000000000000069"]) {
      expect(await world.billing.pay(url, card)).toMatchObject({ status: "declined" });
    }
    await world.settle();
    expect(await company.grants()).toEqual([]);
    expect(await company.history()).toEqual([]);
    await world.billing.pay(url);
    await world.settle();
    expect(await company.grants()).toEqual([2500]);
    expect(await company.history()).toEqual(["credit_purchase paid 2500"]);
  });

  it("three packs in one session, one of them sold by nobody", async () => {
    const company = await world.found();
    const strange = await world.stripe.products.create({ name: "A mug" });
    const mug = await world.stripe.prices.create({ product: strange.id, currency: "usd", unit_amount: 900 });
    const session = await sellByHand(company, {
      line_items: [
        { price: await world.packPriceOf("pack_2500"), quantity: 2 },
        { price: mug.id, quantity: 1 },
        { price: await world.packPriceOf("pack_10000"), quantity: 1 },
      ],
    });
    await world.billing.pay(session.url ?? "");
    await world.settle();
    expect((await company.grants()).sort((a, b) => a - b)).toEqual([5000, 10_000]);
    expect(await company.alerts()).toEqual(["unknown_price"]);
    expect(await company.history()).toEqual(["credit_purchase paid 14800"]);
    await company.ledger();
  });

  it("a pack billed by hand on an invoice of its own", async () => {
    const company = await world.found();
    const { customer } = company;
    const invoice = await world.stripe.invoices.create({
      customer,
      default_payment_method: await company.card("good"),
    });
    await world.stripe.invoiceItems.create({
      ...{ customer, invoice: invoice.id, quantity: 1 },
      pricing: { price: await world.packPriceOf("pack_10000") },
    });
    await world.stripe.invoices.finalizeInvoice(invoice.id);
    await world.stripe.invoices.pay(invoice.id);
    await world.settle();
    // It is money that was paid: it is seen, and gives what it paid for, once.
    expect(await company.history()).toEqual(["invoice paid 8900"]);
    expect(await company.grants()).toEqual([10_000]);
    await company.ledger();
  });

  it("the success page while Stripe is away, and an hour later", async () => {
    const company = await world.found();
    const url = await company.packOffer("pack_2500");
    await world.billing.pay(url);
    world.billing.line.mode = "fails";
    const page = (at: Date) =>
      callAs(company.owner, at).billing.completeCheckout({ ...company.self, sessionId: sessionOf(url) });
    expect(await page(NOW)).toMatchObject({ status: "open" });
    world.billing.line.mode = "up";
    expect(await page(minutesLater(60))).toMatchObject({ status: "paid", credits: 2500 });
    expect(await company.grants()).toEqual([2500]);
  });
});
