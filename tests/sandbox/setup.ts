// A fresh sandbox for a test, with the real SDK pointed at it and shortcuts to the sandbox's own controls.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import Stripe from "stripe";
import { type SandboxOptions, startSandbox } from "../../src/sandbox/index";

export const SECRET_KEY = "sk_test_of_the_sandbox_tests";
export const DAY = 86_400;

/** Unix seconds of a day in UTC. */
export function utc(year: number, month: number, day: number, hour = 0): number {
  return Date.UTC(year, month - 1, day, hour) / 1000;
}

export function dateOf(at: number | null | undefined): string {
  return at ? new Date(at * 1000).toISOString().slice(0, 10) : "never";
}

export async function openSandbox(options: Partial<SandboxOptions> = {}) {
  const sandbox = await startSandbox({ port: 0, secretKey: SECRET_KEY, ...options });
  const client = { host: "127.0.0.1", port: sandbox.port, protocol: "http" as const, maxNetworkRetries: 0 };
  const stripe = new Stripe(SECRET_KEY, client);
  const control = async <T = Record<string, unknown>>(path: string, body?: unknown): Promise<T> => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(`${sandbox.url}/_sandbox/${path}`, init);
    return (await response.json()) as T;
  };
  return {
    ...sandbox,
    stripe,
    control,
    setClock: (now: number | null) => control("clock", { now }),
    pay: (session: string, card = "4242424242424242") =>
      control<{ status: string; error?: { message: string } }>(`checkout/${session}/complete`, { card }),
  };
}

export type TestSandbox = Awaited<ReturnType<typeof openSandbox>>;

/** A plan with a monthly price, and a customer to buy it. */
export async function catalogue({ stripe }: TestSandbox, unitAmount = 2900) {
  const product = await stripe.products.create({ name: "Pro" });
  const price = await stripe.prices.create({
    product: product.id,
    currency: "usd",
    unit_amount: unitAmount,
    recurring: { interval: "month" },
  });
  const customer = await stripe.customers.create({ email: "jenny@example.com", name: "Jenny Rosen" });
  return { product, price, customer };
}

/** A session for one monthly plan. */
export async function subscribeSession(
  { stripe }: TestSandbox,
  { price, customer }: { price: string; customer: string },
  data: Stripe.Checkout.SessionCreateParams = {},
) {
  return await stripe.checkout.sessions.create({
    mode: "subscription",
    customer,
    line_items: [{ price, quantity: 1 }],
    success_url: "http://app.test/done?session={CHECKOUT_SESSION_ID}",
    cancel_url: "http://app.test/plans",
    ...data,
  });
}

/** The subscription that a customer gets by paying a session. */
export async function subscribe(
  sandbox: TestSandbox,
  bought: { price: string; customer: string },
  card?: string,
  data?: Stripe.Checkout.SessionCreateParams,
): Promise<Stripe.Subscription> {
  const session = await subscribeSession(sandbox, bought, data);
  await sandbox.pay(session.id, card);
  const { subscription } = await sandbox.stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription"] });
  if (!subscription || typeof subscription === "string") throw new Error("the session made no subscription");
  return subscription;
}

/** A payment that was made with a card, or with one of Stripe's ready-made payment methods. */
export async function payOnce(
  { stripe }: TestSandbox,
  paymentMethod = "pm_card_visa",
  amount = 10_000,
  data: Partial<Stripe.PaymentIntentCreateParams> = {},
): Promise<{ intent: string; charge: string }> {
  const paid = await stripe.paymentIntents.create({
    amount,
    currency: "usd",
    confirm: true,
    payment_method: paymentMethod,
    ...data,
  });
  if (typeof paid.latest_charge !== "string") throw new Error("the payment made no charge");
  return { intent: paid.id, charge: paid.latest_charge };
}

/** What a call was refused with. */
export async function refusal(call: Promise<unknown>): Promise<Stripe.errors.StripeError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** The types of all events about something, oldest first. */
export async function eventsAbout({ stripe }: TestSandbox, ...ids: string[]): Promise<string[]> {
  const types: string[] = [];
  for await (const event of stripe.events.list({ limit: 100 })) {
    const about = event.data.object as { id?: string };
    if (about.id !== undefined && ids.includes(about.id)) types.push(event.type);
  }
  return types.reverse();
}

/** An app that takes webhooks; `answer` decides the status of each delivery. */
export async function openReceiver(answer: (count: number) => number = () => 200) {
  const bodies: Array<{ body: string; signature: string }> = [];
  const server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    bodies.push({ body, signature: String(request.headers["stripe-signature"]) });
    response.writeHead(answer(bodies.length), { location: "/elsewhere" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/webhook`,
    bodies,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

/** Waits until something holds. */
export async function until(holds: () => boolean | Promise<boolean>, timeoutMs = 8000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
