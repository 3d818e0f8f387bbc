// The hosted pages as a browser without scripts uses them: forms, redirects, what they say.
import { createTransport } from "nodemailer";
import type Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogue, openSandbox, subscribe, subscribeSession, type TestSandbox } from "./setup";

let sandbox: TestSandbox;
let stripe: Stripe;

beforeAll(async () => {
  sandbox = await openSandbox({ smtpPort: 0 });
  stripe = sandbox.stripe;
});
afterAll(() => sandbox.close());

const GOOD = { cardExpiry: "12 / 40", cardCvc: "123", billingName: "Jenny Rosen", email: "jenny@example.com" };

async function get(url: string) {
  const response = await fetch(url, { redirect: "manual" });
  return { status: response.status, location: response.headers.get("location"), text: await response.text() };
}

async function post(url: string, fields: Record<string, string>) {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" });
  return { status: response.status, location: response.headers.get("location"), text: await response.text() };
}

async function openSession(data?: Stripe.Checkout.SessionCreateParams) {
  const { price, customer } = await catalogue(sandbox);
  const session = await subscribeSession(sandbox, { price: price.id, customer: customer.id }, data);
  return { session, customer, url: (session.url ?? "").split("#")[0] ?? "" };
}

describe("the checkout page", () => {
  it("shows what is bought and takes a card", async () => {
    const { session, url } = await openSession();
    const { text } = await get(url);
    for (const words of [
      "a stand-in, no money moves",
      "Pro",
      "$29.00",
      "Card number",
      "Expiration",
      "CVC",
      "Cardholder name",
    ]) {
      expect(text).toContain(words);
    }
    expect(text).toContain('value="jenny@example.com"');
    expect(text).toMatch(/<button class="primary wide" type="submit">Subscribe/);
    expect(text).toContain('href="http://app.test/plans"');
    const paid = await post(url, { ...GOOD, cardNumber: "4242 4242 4242 4242" });
    expect(paid).toMatchObject({ status: 303, location: `http://app.test/done?session=${session.id}` });
    expect((await stripe.checkout.sessions.retrieve(session.id)).status).toBe("complete");
    expect((await get(url)).text).toContain("Already completed");
  });

  it("says what is wrong with a card in Stripe's words", async () => {
    const { url } = await openSession();
    const wrong = async (fields: Record<string, string>) =>
      (await post(url, { ...GOOD, cardNumber: "4242424242424242", ...fields })).text;
    expect(await wrong({ cardNumber: "4242424242424241" })).toContain("Your card number is invalid.");
    expect(await wrong({ cardNumber: "4242" })).toContain("Your card number is incomplete.");
    expect(await wrong({ cardExpiry: "12 / 19" })).toContain("Your card&#39;s expiration year is in the past.");
    expect(await wrong({ cardExpiry: "13/40" })).toContain("expiration date is incomplete.");
    expect(await wrong({ cardCvc: "1" })).toContain("security code is incomplete.");
    expect(await wrong({ billingName: "", email: "x" })).toContain("Your email is invalid.");
    expect(await wrong({ billingName: '"><script>alert(1)</script>', cardCvc: "" })).not.toContain("<script>alert(1)");
  });

  it("tells of a declined card and lets one try again", async () => {
    const { session, customer, url } = await openSession();
    for (const [cardNumber, words] of [
      ["4000000000000002", "Your card was declined."],
      ["4000000000009995", "Your card has insufficient funds."],
      ["4000000000000069", "Your card has expired."],
      ["4000000000000127", "Your card&#39;s security code is incorrect."],
      ["4111111111111111", "used a non test card."],
    ] as const) {
      const declined = await post(url, { ...GOOD, cardNumber });
      expect(declined.status).toBe(200);
      expect(declined.text).toContain(words);
    }
    expect((await stripe.checkout.sessions.retrieve(session.id)).status).toBe("open");
    expect((await stripe.subscriptions.list({ customer: customer.id, status: "all" })).data).toEqual([]);
    const failed = await stripe.events.list({ type: "payment_intent.payment_failed" });
    expect(failed.data.length).toBeGreaterThanOrEqual(5);
    expect((await post(url, { ...GOOD, cardNumber: "5555555555554444" })).status).toBe(303);
  });

  it("asks for authentication: failing leaves it open, completing pays", async () => {
    const { session, url } = await openSession();
    const card = { ...GOOD, cardNumber: "4000002760003184" };
    const asked = await post(url, card);
    expect(asked).toMatchObject({ status: 303, location: `/c/pay/${session.id}/authenticate` });
    const question = `${sandbox.url}${asked.location}`;
    expect((await get(question)).text).toContain("Complete authentication");
    const refused = await post(question, { outcome: "fail" });
    expect(refused.text).toContain("We are unable to authenticate your payment method.");
    await post(url, card);
    expect((await post(question, { outcome: "complete" })).location).toContain("http://app.test/done");
    expect((await stripe.checkout.sessions.retrieve(session.id)).payment_status).toBe("paid");
  });

  it("asks for no card when nothing is due and none is wanted", async () => {
    const { session, url } = await openSession({
      payment_method_collection: "if_required",
      subscription_data: { trial_period_days: 14 },
    });
    const { text } = await get(url);
    expect(text).toContain("Start trial");
    expect(text).not.toContain('name="cardNumber"');
    expect((await post(url, { email: "jenny@example.com" })).status).toBe(303);
    const { subscription } = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription"] });
    expect(subscription).toMatchObject({ status: "trialing", default_payment_method: null });
  });

  it("saves the card of a trial that asks for one, also with authentication", async () => {
    const { session, url } = await openSession({ subscription_data: { trial_period_days: 14 } });
    expect((await get(url)).text).toContain("Start trial");
    expect((await post(url, { ...GOOD, cardNumber: "4000000000000002" })).text).toContain("Your card was declined.");
    const asked = await post(url, { ...GOOD, cardNumber: "4000002500003155" });
    expect((await post(`${sandbox.url}${asked.location}`, { outcome: "complete" })).status).toBe(303);
    const { subscription } = await stripe.checkout.sessions.retrieve(session.id, {
      expand: ["subscription.default_payment_method"],
    });
    expect((subscription as Stripe.Subscription).default_payment_method).toMatchObject({ card: { last4: "3155" } });
  });

  it("says that an expired session is over", async () => {
    const { session, url } = await openSession();
    await stripe.checkout.sessions.expire(session.id);
    expect(await get(url)).toMatchObject({ status: 410, text: expect.stringContaining("expired") });
    expect((await post(url, { ...GOOD, cardNumber: "4242424242424242" })).status).toBe(410);
  });
});

describe("the portal", () => {
  async function openPortal(card?: string) {
    const { price, customer } = await catalogue(sandbox);
    const subscription = await subscribe(sandbox, { price: price.id, customer: customer.id }, card);
    const { url } = await stripe.billingPortal.sessions.create({
      customer: customer.id,
      return_url: "http://app.test/billing",
    });
    return { subscription, customer, url };
  }

  it("cancels at the end of the period and takes it back", async () => {
    const { subscription, url } = await openPortal();
    expect((await get(url)).text).toContain("Cancel plan");
    expect((await get(`${url}/cancel/${subscription.id}`)).text).toContain("then it ends");
    expect((await post(`${url}/cancel/${subscription.id}`, {})).status).toBe(303);
    const canceling = await stripe.subscriptions.retrieve(subscription.id);
    expect(canceling).toMatchObject({
      status: "active",
      cancel_at: subscription.items.data[0]?.current_period_end,
      cancel_at_period_end: false,
      cancellation_details: { reason: "cancellation_requested" },
    });
    expect((await get(url)).text).toContain("Don’t cancel plan");
    await post(`${url}/renew/${subscription.id}`, {});
    expect(await stripe.subscriptions.retrieve(subscription.id)).toMatchObject({ cancel_at: null, canceled_at: null });
  });

  it("changes the card that pays, and lists invoices with their files", async () => {
    const { subscription, customer, url } = await openPortal();
    const declined = await post(`${url}/payment-method`, { ...GOOD, cardNumber: "4000000000000002" });
    expect(declined.text).toContain("Your card was declined.");
    await post(`${url}/payment-method`, { ...GOOD, cardNumber: "5555555555554444" });
    const changed = await stripe.subscriptions.retrieve(subscription.id, {
      expand: ["default_payment_method", "customer"],
    });
    expect(changed.default_payment_method).toMatchObject({ card: { last4: "4444" } });
    const [invoice] = (await stripe.invoices.list({ customer: customer.id })).data;
    expect((await get(url)).text).toContain(invoice?.hosted_invoice_url ?? "none");
    const pdf = await get(invoice?.invoice_pdf ?? "");
    expect(pdf.text.startsWith("%PDF-1.4")).toBe(true);
    expect((await get(invoice?.hosted_invoice_url ?? "")).text).toContain("Paid on");
  });

  it("changes the plan to another that is offered, with a card that can pay", async () => {
    const { subscription, customer } = await openPortal();
    const { product } = subscription.items.data[0]?.price ?? {};
    const large = await stripe.prices.create({
      product: product as string,
      currency: "usd",
      unit_amount: 9900,
      recurring: { interval: "month" },
    });
    const configuration = await stripe.billingPortal.configurations.create({
      features: {
        subscription_update: {
          enabled: true,
          default_allowed_updates: ["price"],
          products: [{ product: product as string, prices: [large.id] }],
          proration_behavior: "always_invoice",
        },
      },
    });
    const portal = { customer: customer.id, configuration: configuration.id };
    const { url } = await stripe.billingPortal.sessions.create(portal);
    expect((await get(url)).text).toContain("Change plan");
    const change = `${url}/change/${subscription.id}`;
    expect((await get(change)).text).toContain("$99.00 per month");
    const bad = await stripe.paymentMethods.attach("pm_card_chargeCustomerFail", { customer: customer.id });
    await stripe.subscriptions.update(subscription.id, { default_payment_method: bad.id });
    expect((await post(change, { price: large.id })).text).toContain("Your card was declined.");
    const good = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
    await stripe.subscriptions.update(subscription.id, { default_payment_method: good.id });
    expect((await post(change, { price: large.id })).status).toBe(303);
    const changed = await stripe.subscriptions.retrieve(subscription.id, { expand: ["latest_invoice"] });
    expect(changed.items.data[0]?.price.id).toBe(large.id);
    expect(changed.latest_invoice).toMatchObject({ billing_reason: "subscription_update", status: "paid" });
  });

  it("opens where a flow says, until that is done", async () => {
    const { customer } = await openPortal();
    const { url } = await stripe.billingPortal.sessions.create({
      customer: customer.id,
      flow_data: { type: "payment_method_update" },
    });
    expect((await get(url)).location).toMatch(/\/payment-method$/);
    expect((await post(`${url}/payment-method`, { ...GOOD, cardNumber: "5555555555554444" })).status).toBe(303);
    expect((await get(url)).status).toBe(200);
    expect((await get(`${sandbox.url}/p/session/test_guessed`)).status).toBe(404);
  });
});

describe("a hosted invoice", () => {
  it("that is open can be paid", async () => {
    const { price, customer } = await catalogue(sandbox);
    const subscription = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: price.id }],
      payment_behavior: "default_incomplete",
      expand: ["latest_invoice"],
    });
    const url = (subscription.latest_invoice as Stripe.Invoice).hosted_invoice_url ?? "";
    expect((await post(url, { ...GOOD, cardNumber: "4000000000000002" })).text).toContain("Your card was declined.");
    expect((await post(url, { ...GOOD, cardNumber: "4242424242424242" })).status).toBe(303);
    expect((await get(url)).text).toContain("This invoice is paid.");
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("active");
  });
});

describe("the mailbox", () => {
  it("catches mail and shows it with its links", async () => {
    const mailer = createTransport(sandbox.smtpUrl ?? "");
    await mailer.sendMail({
      from: "Billfold <billing@app.test>",
      to: "Jenny@example.com",
      subject: "Sign in",
      text: "Open http://app.test/in?a=1&b=2 now",
      html: '<p>Open <a href="http://app.test/in?a=1&amp;b=2">this</a><script>alert(1)</script></p>',
    });
    mailer.close();
    const mails = await sandbox.control<Array<Record<string, unknown>>>("mails?to=jenny@example.com");
    expect(mails).toEqual([
      expect.objectContaining({ subject: "Sign in", to: ["Jenny@example.com"], links: ["http://app.test/in?a=1&b=2"] }),
    ]);
    expect((await get(`${sandbox.url}/mailbox`)).text).toContain("Sign in");
    const { text } = await get(`${sandbox.url}/mailbox/${mails[0]?.id}`);
    expect(text).toContain('<a href="http://app.test/in?a=1&amp;b=2"');
    expect(text).not.toContain("<script>alert");
    expect(await sandbox.control("mails?to=nobody@example.com")).toEqual([]);
  });
});

it("the home page says what this is and sends an event again", async () => {
  const { text } = await get(`${sandbox.url}/`);
  for (const words of ["Stripe sandbox", "Mailbox", "Latest events", "Redeliver"]) expect(text).toContain(words);
  const [event] = (await stripe.events.list({ limit: 1 })).data;
  expect(await post(`${sandbox.url}/events/${event?.id}/redeliver`, {})).toMatchObject({ status: 303, location: "/" });
});
