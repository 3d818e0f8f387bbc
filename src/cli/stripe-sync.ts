// `npm run stripe:sync`: puts the catalogue and the webhook endpoint into the Stripe account behind STRIPE_SECRET_KEY.
import "./load-env";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { disconnect } from "~/server/db";
import { publicUrl } from "~/server/env";
import { stripeForJobs } from "~/server/stripe";
import { ensureWebhookEndpoint } from "./webhook-endpoint";

const pushed = await pushCatalogue();
for (const { kind, name, stripeId } of pushed) console.log(`  made ${kind} ${name}: ${stripeId}`);
console.log(pushed.length ? `${pushed.length} objects were made in Stripe.` : "The catalogue is in Stripe already.");

const url = publicUrl(`/api/billing/webhook/stripe`);
const known = await stripeForJobs().webhookEndpoints.list({ limit: 100 });
const existing = known.data.find((endpoint) => endpoint.url === url);
if (existing) {
  // It may be of a version that listened to fewer events.
  await ensureWebhookEndpoint(stripeForJobs(), url, { id: existing.id, secret: "" });
  console.log(`The webhook endpoint ${existing.id} is there already; Stripe does not show its secret again.`);
} else {
  const endpoint = await ensureWebhookEndpoint(stripeForJobs(), url, undefined);
  console.log(`Made the webhook endpoint ${endpoint.id}. Set STRIPE_WEBHOOK_SECRET=${endpoint.secret}`);
}
await disconnect();
