// The API as the real SDK sees it: objects, errors, idempotency, pages of lists, expansion.
import Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogue, openSandbox, refusal, SECRET_KEY, subscribe, subscribeSession, type TestSandbox } from "./setup";

let sandbox: TestSandbox;
let stripe: Stripe;

beforeAll(async () => {
  sandbox = await openSandbox();
  stripe = sandbox.stripe;
});
afterAll(() => sandbox.close());

describe("the catalogue", () => {
  it("keeps products and merges their metadata, an empty value deleting its key", async () => {
    const product = await stripe.products.create({ name: "Notes", metadata: { a: "1", b: "2" } });
    const updated = await stripe.products.update(product.id, { name: "Better notes", metadata: { b: "", c: "3" } });
    expect(updated).toMatchObject({ name: "Better notes", metadata: { a: "1", c: "3" } });
    expect(updated.metadata).not.toHaveProperty("b");
    const cleared = await stripe.products.update(product.id, { metadata: "" });
    expect(cleared.metadata).toEqual({});
  });

  it("finds a price by its lookup key, and moves the key to a successor only when asked to", async () => {
    const product = await stripe.products.create({ name: "Scale" });
    const base = { product: product.id, currency: "usd", recurring: { interval: "month" } } as const;
    const first = await stripe.prices.create({ ...base, unit_amount: 100, lookup_key: "scale_month" });
    const taken = await refusal(stripe.prices.create({ ...base, unit_amount: 200, lookup_key: "scale_month" }));
    expect(taken).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    const second = await stripe.prices.create({
      ...base,
      unit_amount: 200,
      lookup_key: "scale_month",
      transfer_lookup_key: true,
    });
    const { data } = await stripe.prices.list({ lookup_keys: ["scale_month"], active: true });
    expect(data.map(({ id }) => id)).toEqual([second.id]);
    expect((await stripe.prices.retrieve(first.id)).lookup_key).toBeNull();
  });

  it("shows decimals as the SDK's decimals and currency options only when expanded", async () => {
    const product = await stripe.products.create({ name: "Abroad" });
    const price = await stripe.prices.create({
      product: product.id,
      currency: "usd",
      unit_amount: 1000,
      currency_options: { eur: { unit_amount: 900 }, jpy: { unit_amount: 1500 } },
    });
    expect(price.unit_amount_decimal?.toString()).toBe("1000");
    expect(price.currency_options).toBeUndefined();
    const expanded = await stripe.prices.retrieve(price.id, { expand: ["currency_options", "product"] });
    expect(expanded.currency_options?.eur?.unit_amount).toBe(900);
    expect(expanded.product).toMatchObject({ object: "product", name: "Abroad" });
  });
});

describe("refusals have Stripe's shape", () => {
  it("names an unknown parameter, also deep inside", async () => {
    const error = await refusal(stripe.customers.create({ nickname: "J" } as never));
    expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(error).toMatchObject({ statusCode: 400, code: "parameter_unknown", param: "nickname" });
    const deep = await refusal(
      stripe.checkout.sessions.create({ mode: "payment", line_items: [{ prize: "x" } as never] }),
    );
    expect(deep.param).toBe("line_items[0][prize]");
  });

  it("tells what is missing, malformed or unknown", async () => {
    expect(await refusal(stripe.products.create({} as never))).toMatchObject({
      code: "parameter_missing",
      param: "name",
      message: "Missing required param: name.",
    });
    expect(await refusal(stripe.customers.list({ limit: 101 }))).toMatchObject({ param: "limit" });
    expect(await refusal(stripe.customers.list({ limit: "many" as never }))).toMatchObject({
      code: "parameter_invalid_integer",
    });
    expect(await refusal(stripe.customers.retrieve("cus_nobody"))).toMatchObject({
      statusCode: 404,
      code: "resource_missing",
      message: "No such customer: 'cus_nobody'",
      type: "StripeInvalidRequestError",
    });
    expect(
      await refusal(stripe.subscriptions.create({ customer: "cus_nobody", items: [{ price: "price_x" }] })),
    ).toMatchObject({
      statusCode: 400,
      code: "resource_missing",
      param: "customer",
    });
  });

  it("answers an unknown address with 404 and a wrong key with 401", async () => {
    const headers = { authorization: `Bearer ${SECRET_KEY}` };
    const unknown = await fetch(`${sandbox.url}/v1/unheard_of`, { headers });
    expect(unknown.status).toBe(404);
    expect(((await unknown.json()) as { error: Stripe.StripeRawError }).error.message).toContain(
      "Unrecognized request URL (GET: /v1/unheard_of)",
    );
    expect((await fetch(`${sandbox.url}/v1/customers`)).status).toBe(401);
    const other = new Stripe("sk_test_other", { host: "127.0.0.1", port: sandbox.port, protocol: "http" });
    expect(await refusal(other.customers.list())).toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
  });

  it("survives bodies that cannot be read", async () => {
    const post = (body: string) =>
      fetch(`${sandbox.url}/v1/customers`, {
        method: "POST",
        body,
        headers: { authorization: `Bearer ${SECRET_KEY}` },
      });
    for (const body of ["a[b=1", "email=%zz", "metadata=1&metadata[a]=2", "a[[b]]=1", "__proto__[x]=1"]) {
      expect((await post(body)).status, body).toBe(400);
    }
    expect((await post(`name=${"x".repeat(2_000_000)}`)).status).toBe(413);
    expect((await stripe.customers.list()).object).toBe("list");
  });
});

describe("idempotency keys", () => {
  it("hand out the first answer again, and refuse other parameters", async () => {
    const options = { idempotencyKey: "customer-of-org-1" };
    const first = await stripe.customers.create({ email: "one@example.com" }, options);
    const again = await stripe.customers.create({ email: "one@example.com" }, options);
    expect(again.id).toBe(first.id);
    expect(again.lastResponse.headers["idempotent-replayed"]).toBe("true");
    expect(await refusal(stripe.customers.create({ email: "two@example.com" }, options))).toBeInstanceOf(
      Stripe.errors.StripeIdempotencyError,
    );
  });

  it("make one object out of copies that arrive at once", async () => {
    const create = () => stripe.customers.create({ name: "Copies" }, { idempotencyKey: "copies" });
    const made = await Promise.all([create(), create(), create(), create()]);
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
  });

  it("keep a refusal that came from the work itself, but not one of malformed parameters", async () => {
    const options = { idempotencyKey: "corrected" };
    await refusal(stripe.products.create({ nom: "x" } as never, options));
    expect((await stripe.products.create({ name: "x" }, options)).name).toBe("x");
    const kept = { idempotencyKey: "kept" };
    await refusal(stripe.refunds.create({ payment_intent: "pi_none" }, kept));
    const again = await refusal(stripe.refunds.create({ payment_intent: "pi_none" }, kept));
    expect(again.headers?.["idempotent-replayed"]).toBe("true");
  });
});

describe("lists", () => {
  it("go newest first, by pages, and by themselves with for await", async () => {
    const product = await stripe.products.create({ name: "Many" });
    for (let amount = 1; amount <= 12; amount += 1) {
      await stripe.prices.create({ product: product.id, currency: "usd", unit_amount: amount });
    }
    const first = await stripe.prices.list({ product: product.id, limit: 5 });
    expect(first.data.map(({ unit_amount }) => unit_amount)).toEqual([12, 11, 10, 9, 8]);
    expect(first.has_more).toBe(true);
    const next = await stripe.prices.list({ product: product.id, limit: 5, starting_after: first.data[4]?.id });
    expect(next.data.map(({ unit_amount }) => unit_amount)).toEqual([7, 6, 5, 4, 3]);
    const back = await stripe.prices.list({ product: product.id, limit: 5, ending_before: next.data[0]?.id });
    expect(back.data).toEqual(first.data);
    const all: unknown[] = [];
    for await (const price of stripe.prices.list({ product: product.id, limit: 5 })) all.push(price.unit_amount);
    expect(all).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it("find customers by email, by search and by the time they were made", async () => {
    const customer = await stripe.customers.create({ email: "found@example.com", metadata: { org: "o'1" } });
    expect((await stripe.customers.list({ email: "found@example.com" })).data.map(({ id }) => id)).toEqual([
      customer.id,
    ]);
    const found = await stripe.customers.search({ query: `metadata["org"]:"o'1" AND email:"found@example.com"` });
    expect(found.data.map(({ id }) => id)).toEqual([customer.id]);
    const before = await stripe.customers.list({ created: { lt: customer.created - 1000 } });
    expect(before.data).toEqual([]);
  });

  it("expand what they hold, up to four levels", async () => {
    const { price, customer } = await catalogue(sandbox);
    await subscribe(sandbox, { price: price.id, customer: customer.id });
    const { data } = await stripe.invoices.list({
      customer: customer.id,
      expand: ["data.customer"],
    });
    expect(data[0]?.customer).toMatchObject({ object: "customer", email: "jenny@example.com" });
    const invoice = await stripe.invoices.retrieve(data[0]?.id ?? "", {
      expand: ["payments.data.payment.payment_intent"],
    });
    expect(invoice.payments?.data[0]?.payment.payment_intent).toMatchObject({
      object: "payment_intent",
      status: "succeeded",
    });
    const deep = await refusal(stripe.invoices.retrieve(data[0]?.id ?? "", { expand: ["a.b.c.d.e"] }));
    expect(deep.message).toContain("more than 4 levels");
    expect((await refusal(stripe.customers.retrieve(customer.id, { expand: ["email"] }))).message).toContain(
      "cannot be expanded",
    );
    // Expanding must not leak into what is kept.
    expect((await stripe.invoices.retrieve(data[0]?.id ?? "")).payments).toBeUndefined();
  });
});

describe("customers", () => {
  it("are deleted with their subscriptions, and then answer as deleted", async () => {
    const { price, customer } = await catalogue(sandbox);
    const subscription = await subscribe(sandbox, { price: price.id, customer: customer.id });
    await stripe.customers.del(customer.id);
    expect(await stripe.customers.retrieve(customer.id)).toMatchObject({ id: customer.id, deleted: true });
    expect((await stripe.subscriptions.retrieve(subscription.id)).status).toBe("canceled");
    const expand = ["customer.invoice_settings.default_payment_method", "default_payment_method"];
    const expanded = await stripe.subscriptions.retrieve(subscription.id, { expand });
    expect(expanded.customer).toEqual({ id: customer.id, object: "customer", deleted: true });
  });

  it("take ready-made cards, and refuse one that is declined", async () => {
    const customer = await stripe.customers.create({ email: "card@example.com" });
    const method = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
    await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: method.id } });
    const listed = await stripe.customers.listPaymentMethods(customer.id);
    expect(listed.data.map(({ card }) => card?.last4)).toEqual(["4242"]);
    const declined = await refusal(stripe.paymentMethods.attach("pm_card_chargeDeclined", { customer: customer.id }));
    expect(declined).toBeInstanceOf(Stripe.errors.StripeCardError);
    await stripe.paymentMethods.detach(method.id);
    expect(await stripe.customers.retrieve(customer.id)).toMatchObject({
      invoice_settings: { default_payment_method: null },
    });
  });
});

describe("sessions", () => {
  it("refuse an archived price, a one-off price in subscription mode, and both customer and email", async () => {
    const { price, product, customer } = await catalogue(sandbox);
    const bought = { price: price.id, customer: customer.id };
    await expect(subscribeSession(sandbox, bought, { customer_email: "x@y.z" })).rejects.toMatchObject({
      code: "parameters_exclusive",
    });
    const once = await stripe.prices.create({ product: product.id, currency: "usd", unit_amount: 500 });
    await expect(subscribeSession(sandbox, { ...bought, price: once.id })).rejects.toThrow("recurring price");
    await stripe.prices.update(price.id, { active: false });
    await expect(subscribeSession(sandbox, bought)).rejects.toThrow("inactive");
  });

  it("refuse a second currency while a subscription lives in the first", async () => {
    const { price, product, customer } = await catalogue(sandbox);
    const recurring = { interval: "month" } as const;
    const euros = await stripe.prices.create({ product: product.id, currency: "eur", unit_amount: 2500, recurring });
    const open = await subscribeSession(sandbox, { price: euros.id, customer: customer.id });
    const subscription = await subscribe(sandbox, { price: price.id, customer: customer.id });
    const late = subscribeSession(sandbox, { price: euros.id, customer: customer.id });
    await expect(late).rejects.toThrow("cannot combine currencies");
    expect(await sandbox.pay(open.id)).toMatchObject({ error: expect.stringContaining("cannot combine currencies") });
    await stripe.subscriptions.cancel(subscription.id);
    expect(await sandbox.pay(open.id)).toEqual({ status: "complete" });
  });

  it("whose customer is gone make nothing", async () => {
    const { price, customer } = await catalogue(sandbox);
    const session = await subscribeSession(sandbox, { price: price.id, customer: customer.id });
    await stripe.customers.del(customer.id);
    expect(await sandbox.pay(session.id)).toMatchObject({ error: `No such customer: '${customer.id}'` });
    expect((await stripe.checkout.sessions.retrieve(session.id)).status).toBe("open");
  });

  it("can be expired by the seller, and then not be paid", async () => {
    const { price, customer } = await catalogue(sandbox);
    const session = await subscribeSession(sandbox, { price: price.id, customer: customer.id });
    expect((await stripe.checkout.sessions.expire(session.id)).status).toBe("expired");
    expect(await sandbox.pay(session.id)).toMatchObject({ error: expect.stringContaining("expired") });
  });
});
