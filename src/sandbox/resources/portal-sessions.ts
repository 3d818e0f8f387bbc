// /v1/billing_portal/sessions: a door to the portal for one customer, or to one thing in it.
import { isLive } from "../engine/subscription-state";
import { invalidRequest } from "../errors";
import { type Route, route } from "../http/route";
import { newId, randomText } from "../ids";
import * as p from "../params";
import type { PortalConfiguration, PortalSession, Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { defaultConfiguration } from "./portal-configurations";
import { priceFor, quantity } from "./subscription-params";

const target = p.object({ subscription: p.required(p.string()) });

const flowShape = {
  type: p.required(
    p.oneOf("payment_method_update", "subscription_cancel", "subscription_update", "subscription_update_confirm"),
  ),
  after_completion: p.object({
    type: p.required(p.oneOf("hosted_confirmation", "portal_homepage", "redirect")),
    hosted_confirmation: p.object({ custom_message: p.string({ max: 500 }) }),
    redirect: p.object({ return_url: p.required(p.url()) }),
  }),
  subscription_cancel: target,
  subscription_update: target,
  subscription_update_confirm: p.object({
    items: p.required(p.list(p.object({ id: p.required(p.string()), price: p.string(), quantity }))),
    subscription: p.required(p.string()),
  }),
} satisfies p.Shape;

type Given = p.Params<typeof flowShape>;
type Flow = NonNullable<PortalSession["flow"]>;

function missing(path: string): Error {
  return invalidRequest(`Missing required param: ${path}.`, path, "parameter_missing");
}

function ownSubscription(world: World, customer: string, id: string, path: string): Subscription {
  const subscription = find(world.subscriptions, "subscription", id, path);
  if (subscription.customer !== customer) {
    throw invalidRequest(`The subscription ${id} does not belong to the customer ${customer}.`, path);
  }
  if (!isLive(subscription)) throw invalidRequest(`The subscription ${id} has ended.`, path);
  return subscription;
}

/** Says no where the portal would have nothing to show. */
function checkFeature(features: PortalConfiguration["features"], type: Given["type"]): void {
  const enabled = {
    payment_method_update: features.payment_method_update.enabled,
    subscription_cancel: features.subscription_cancel.enabled,
    subscription_update: features.subscription_update.enabled,
    subscription_update_confirm: features.subscription_update.enabled,
  }[type];
  if (enabled) return;
  const feature = type === "subscription_update_confirm" ? "subscription_update" : type;
  throw invalidRequest(
    `This session can't be created because the feature \`${feature}\` in the portal configuration is disabled.`,
    "flow_data[type]",
  );
}

function flowOf(world: World, customer: string, given: Given): Flow {
  const detail = given.type === "payment_method_update" ? null : given[given.type];
  const path = `flow_data[${given.type}]`;
  if (given.type !== "payment_method_update" && !detail) throw missing(path);
  const subscription = detail ? ownSubscription(world, customer, detail.subscription, `${path}[subscription]`) : null;
  if (given.type === "subscription_cancel" && subscription && subscription.cancel_at !== null) {
    throw invalidRequest("The subscription is already set to be canceled.", `${path}[subscription]`);
  }
  const confirm = given.type === "subscription_update_confirm" ? given.subscription_update_confirm : undefined;
  const after = given.after_completion;
  if (after?.type === "redirect" && !after.redirect) throw missing("flow_data[after_completion][redirect]");
  const is = (type: Given["type"]) => given.type === type && subscription !== null;
  return {
    after_completion: {
      hosted_confirmation:
        after?.type === "hosted_confirmation"
          ? { custom_message: after.hosted_confirmation?.custom_message ?? null }
          : null,
      redirect: after?.type === "redirect" && after.redirect ? { return_url: after.redirect.return_url } : null,
      type: after?.type ?? "portal_homepage",
    },
    customer_update: null,
    subscription_cancel: is("subscription_cancel") ? { retention: null, subscription: subscription?.id ?? "" } : null,
    subscription_pause: null,
    subscription_update: is("subscription_update") ? { subscription: subscription?.id ?? "" } : null,
    subscription_update_confirm:
      confirm && subscription
        ? { discounts: null, items: confirmedItems(world, subscription, confirm.items), subscription: subscription.id }
        : null,
    type: given.type,
  };
}

type Confirmed = NonNullable<Flow["subscription_update_confirm"]>["items"];

/** One item, and that of a subscription that has no others. */
function confirmedItems(
  world: World,
  subscription: Subscription,
  given: Array<{ id: string; price?: string; quantity?: number }>,
): Confirmed {
  const path = "flow_data[subscription_update_confirm][items]";
  if (given.length !== 1) throw invalidRequest("You must specify exactly one item.", path);
  if (subscription.items.data.length > 1) {
    throw invalidRequest("Subscriptions with several items cannot be updated in the portal.", path);
  }
  return given.map(({ id, price, quantity: count }) => {
    if (!subscription.items.data.some((item) => item.id === id)) {
      throw invalidRequest(`No such subscription item: '${id}'`, `${path}[0][id]`, "resource_missing");
    }
    if (price) priceFor(world, price, `${path}[0]`);
    return { id, price: price ?? null, ...(count !== undefined && { quantity: count }) };
  });
}

export const portalSessions: Route[] = [
  route(
    "POST",
    "/v1/billing_portal/sessions",
    {
      customer: p.required(p.string()),
      configuration: p.string(),
      return_url: p.url(),
      locale: p.string(),
      flow_data: p.object(flowShape),
    },
    (world, given) => {
      find(world.customers, "customer", given.customer, "customer");
      const configuration = given.configuration
        ? find(world.portalConfigurations, "billing_portal.configuration", given.configuration, "configuration")
        : defaultConfiguration(world);
      if (!configuration.active) throw invalidRequest("The portal configuration is inactive.", "configuration");
      if (given.flow_data) checkFeature(configuration.features, given.flow_data.type);
      return world.portalSessions.put({
        id: newId("bps"),
        object: "billing_portal.session",
        configuration: configuration.id,
        created: world.clock.global(),
        customer: given.customer,
        customer_account: null,
        flow: given.flow_data ? flowOf(world, given.customer, given.flow_data) : null,
        livemode: false,
        locale: (given.locale as PortalSession["locale"]) ?? null,
        on_behalf_of: null,
        return_url: given.return_url ?? configuration.default_return_url,
        url: `${world.url}/p/session/test_${randomText(48)}`,
      } satisfies PortalSession);
    },
  ),
];
