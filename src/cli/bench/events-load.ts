// A child process with a Stripe of its own: stores events as they are delivered, and processes them by the real SDK, on the
// database of DATABASE_URL.
import { createHmac } from "node:crypto";
import { startSandbox } from "~/sandbox/index";
import { createOrganization } from "~/server/billing/organizations";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform } from "~/server/db";
import { stripeForJobs } from "~/server/stripe";
import { processEvent } from "~/server/webhooks/process";
import { receiveEvent } from "~/server/webhooks/receive";
import { seedCatalogue } from "../../../prisma/seed/catalogue";
import { runCallers } from "./callers";
import { serveTasks } from "./serve-tasks";
import type { EventsTask, OpenEventsTask } from "./tasks";

const SECRET = "whsec_bench";
const SECRET_KEY = "sk_test_bench";
const ID = "evt_bench_placeholder";

// One delivery for each subscriber, to be sent under ever new ids.
const bodies: string[] = [];
const run = `${process.pid}_${Date.now().toString(36)}`;
let made = 0;

async function open({ subscribers }: OpenEventsTask): Promise<number> {
  const sandbox = await startSandbox({ port: 0, secretKey: SECRET_KEY });
  // Read when the first of the app's modules asks for it.
  Object.assign(process.env, { STRIPE_API_BASE: sandbox.url, STRIPE_WEBHOOK_SECRET: SECRET });
  const now = new Date();
  await seedCatalogue(now);
  await pushCatalogue();
  const plan = await asPlatform((tx) =>
    tx.planPrice.findFirstOrThrow({ where: { plan: { key: "pro" }, interval: "month", currency: "usd" } }),
  );
  const stripe = stripeForJobs();
  for (let count = 0; count < subscribers; count++) {
    const { id: organizationId } = await createOrganization({ name: `Bench ${count}`, now });
    const customer = await stripe.customers.create({
      payment_method: "pm_card_visa",
      invoice_settings: { default_payment_method: "pm_card_visa" },
      metadata: { organizationId },
    });
    const subscription = await stripe.subscriptions.create({
      customer: customer.id,
      items: [{ price: plan.stripePriceId ?? "" }],
      metadata: { organizationId },
    });
    await asPlatform((tx) =>
      tx.organization.update({ where: { id: organizationId }, data: { stripeCustomerId: customer.id } }),
    );
    bodies.push(bodyOf(subscription, now));
    // The first look grants and writes most; what is measured is a renewal that everything is known of.
    await store(bodies.length - 1, true);
  }
  return bodies.length;
}

function bodyOf(object: object, now: Date): string {
  return JSON.stringify({
    id: ID,
    object: "event",
    api_version: "2026-10-28.endive",
    created: Math.floor(now.getTime() / 1000),
    livemode: false,
    pending_webhooks: 1,
    request: null,
    type: "customer.subscription.updated",
    data: { object },
  });
}

/** One delivery, and with `isProcessed` all that comes of it. @throws Error where it was not taken or not done */
async function store(subscriber: number, isProcessed: boolean): Promise<void> {
  const id = `evt_${run}_${++made}`;
  const body = (bodies[subscriber] ?? "").replace(ID, id);
  const now = new Date();
  const timestamp = Math.floor(now.getTime() / 1000);
  const signature = createHmac("sha256", SECRET).update(`${timestamp}.${body}`).digest("hex");
  const headers = { "content-type": "application/json", "stripe-signature": `t=${timestamp},v1=${signature}` };
  const request = new Request("http://localhost/api/billing/webhook/stripe", { method: "POST", headers, body });
  const { status } = await receiveEvent(request, now);
  if (status !== 200) throw new Error(`an event was answered ${status}`);
  if (!isProcessed) return;
  const sentence = await processEvent(id, now);
  if (!sentence?.startsWith("Pro is active")) throw new Error(`an event came to: ${sentence}`);
}

async function measure({ way, load }: EventsTask) {
  let next = 0;
  const lanes = Array.from({ length: load.callers }, (_, caller) =>
    bodies.flatMap((_body, subscriber) => (subscriber % load.callers === caller ? [subscriber] : [])),
  );
  const result = await runCallers(load, async (caller) => {
    // Each caller has customers of its own: events of one customer wait for each other.
    const mine = lanes[caller] ?? [];
    await store(mine[next++ % mine.length] ?? 0, way === "eventsProcessed");
    return 1;
  });
  // What was only stored would be processed by the next round.
  if (way === "eventsStored") {
    await asPlatform((tx) => tx.$executeRaw`DELETE FROM stripe_events WHERE status = 'received'`);
  }
  return result;
}

serveTasks(async (task) => {
  if (task.kind === "openEvents") return open(task);
  if (task.kind === "events") return measure(task);
  throw new Error(`this process does not do ${task.kind}`);
});
