// The endpoint that Stripe sends events to: our address, the pinned version, and exactly the events that we listen to.
import { callStripe, expectObject, STRIPE_API_VERSION, type Stripe } from "../../stripe";
import { LISTENED_EVENTS } from "../../stripe/events";
import { type Change, fromTo, keep, onceKey } from "./changes";
import { saveAccountPart } from "./ours";

export type EndpointSecret = { id: string; secret: string };

const ENABLED_EVENTS = Object.keys(LISTENED_EVENTS).sort() as Stripe.WebhookEndpointUpdateParams.EnabledEvent[];

export interface WantedEndpoint {
  url: string;
  /** Makes another endpoint, which has a secret of its own, and leaves the one before it on until the next push. */
  rollSecret: boolean;
  /** Told the secret of an endpoint that was made: Stripe does not show it again. */
  onSecret: (made: EndpointSecret) => void;
}

/** @param known the endpoint's id as we have stored it */
export function planEndpoint(
  stripe: Stripe,
  wanted: WantedEndpoint,
  known: string | null,
  theirs: readonly Stripe.WebhookEndpoint[],
): Change[] {
  const { url, rollSecret } = wanted;
  const about = { kind: "webhook_endpoint", name: url } as const;
  const found = theirs.find(({ id }) => id === known) ?? theirs.find((endpoint) => endpoint.url === url);
  const replaced = found && (rollSecret || found.api_version !== STRIPE_API_VERSION);
  if (!found || replaced) return [makeEndpoint(stripe, wanted, found ?? null, known)];
  const changes: Change[] = [alignEndpoint(stripe, url, found, known)];
  // Those that this one has taken over from, and that went on meanwhile.
  for (const old of theirs) {
    if (old.id === found.id || old.url !== url || old.status !== "enabled") continue;
    const apply = async () => {
      await callStripe(() => stripe.webhookEndpoints.update(old.id, { disabled: true }));
    };
    changes.push({ ...about, action: "archive", details: [`${old.id} sends no more: ${found.id} does`], apply });
  }
  return changes;
}

function alignEndpoint(stripe: Stripe, url: string, found: Stripe.WebhookEndpoint, known: string | null): Change {
  const about = { kind: "webhook_endpoint", name: url } as const;
  const details: string[] = [];
  if (found.url !== url) details.push(fromTo("url", found.url, url));
  if (found.status !== "enabled") details.push(fromTo("enabled", false, true));
  const extra = found.enabled_events.filter((event) => !(ENABLED_EVENTS as string[]).includes(event));
  const missing = ENABLED_EVENTS.filter((event) => !found.enabled_events.includes(event));
  if (missing.length > 0) details.push(`listens also to ${missing.join(", ")}`);
  if (extra.length > 0) details.push(`listens no more to ${extra.join(", ")}`);
  const link = () => (known === found.id ? undefined : saveAccountPart({ webhookEndpointId: found.id }));
  if (details.length === 0 && known === found.id) return keep(about.kind, about.name);
  if (details.length === 0) {
    return {
      ...about,
      action: "link",
      details: [fromTo("id", known, found.id)],
      apply: async () => void (await link()),
    };
  }
  const apply = async () => {
    await updateEndpoint(stripe, found.id, url);
    await link();
  };
  return { ...about, action: "update", details, apply };
}

function makeEndpoint(
  stripe: Stripe,
  { url, rollSecret, onSecret }: WantedEndpoint,
  old: Stripe.WebhookEndpoint | null,
  known: string | null,
): Change {
  const why = rollSecret
    ? `with a secret of its own; ${old?.id} goes on until the next run`
    : `${fromTo("api_version", old?.api_version, STRIPE_API_VERSION)}, which Stripe does not change; ${old?.id} goes on until the next run`;
  const apply = async () => {
    const made = await createEndpoint(stripe, url, old?.id ?? known);
    await saveAccountPart({ webhookEndpointId: made.id });
    onSecret(made);
  };
  return { kind: "webhook_endpoint", name: url, action: "create", details: old ? [why] : [], apply };
}

/** @param before the id of the one before it: where that was deleted another one is made, not the same one told again */
async function createEndpoint(stripe: Stripe, url: string, before: string | null): Promise<EndpointSecret> {
  const api_version = STRIPE_API_VERSION as Stripe.WebhookEndpointCreateParams.ApiVersion;
  const wanted = { url, enabled_events: ENABLED_EVENTS, api_version, description: "Billfold" };
  const made = await callStripe(async () =>
    expectObject(
      "webhook_endpoint",
      await stripe.webhookEndpoints.create(wanted, before ? onceKey("webhook_endpoint", wanted, before) : {}),
    ),
  );
  if (!made.secret) throw new Error("Stripe made the webhook endpoint without telling its secret.");
  return { id: made.id, secret: made.secret };
}

async function updateEndpoint(stripe: Stripe, id: string, url: string): Promise<void> {
  await callStripe(() => stripe.webhookEndpoints.update(id, { url, enabled_events: ENABLED_EVENTS, disabled: false }));
}

/**
 * The endpoint of one address outside of a push: whoever calls keeps its id and secret. A known one is updated and keeps its
 * secret, an unknown one is made.
 */
export async function ensureWebhookEndpoint(
  stripe: Stripe,
  url: string,
  known: EndpointSecret | undefined,
): Promise<EndpointSecret> {
  const { data } = await callStripe(() => stripe.webhookEndpoints.list({ limit: 100 }));
  if (!known || !data.some((endpoint) => endpoint.id === known.id)) return createEndpoint(stripe, url, null);
  await updateEndpoint(stripe, known.id, url);
  return known;
}
