// The webhook endpoint of one address at Stripe: found or made, and kept listening to exactly the events we handle.
import { STRIPE_API_VERSION, type Stripe } from "~/server/stripe";
import { LISTENED_EVENTS } from "~/server/stripe/events";

type Endpoint = { id: string; secret: string };

/**
 * Makes sure that events are sent to `url`. Stripe tells an endpoint's secret only when it is made: a known one is
 * updated and keeps its secret, an unknown one is made anew.
 */
export async function ensureWebhookEndpoint(
  stripe: Stripe,
  url: string,
  known: Endpoint | undefined,
): Promise<Endpoint> {
  const enabled_events = Object.keys(LISTENED_EVENTS) as Stripe.WebhookEndpointUpdateParams.EnabledEvent[];
  if (known && (await exists(stripe, known.id))) {
    await stripe.webhookEndpoints.update(known.id, { url, enabled_events, disabled: false });
    return known;
  }
  const api_version = STRIPE_API_VERSION as Stripe.WebhookEndpointCreateParams.ApiVersion;
  const made = await stripe.webhookEndpoints.create({ url, enabled_events, api_version });
  if (!made.secret) throw new Error("Stripe made the webhook endpoint without telling its secret.");
  return { id: made.id, secret: made.secret };
}

async function exists(stripe: Stripe, id: string): Promise<boolean> {
  const { data } = await stripe.webhookEndpoints.list({ limit: 100 });
  return data.some((endpoint) => endpoint.id === id);
}
