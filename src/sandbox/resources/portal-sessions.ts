// /v1/billing_portal/sessions: a door to the portal for one customer.
import { invalidRequest } from "../errors";
import { type Route, route } from "../http/route";
import { newId, randomText } from "../ids";
import * as p from "../params";
import type { PortalSession } from "../types";
import { find } from "./find";
import { defaultConfiguration } from "./portal-configurations";

export const portalSessions: Route[] = [
  route(
    "POST",
    "/v1/billing_portal/sessions",
    {
      customer: p.required(p.string()),
      configuration: p.string(),
      return_url: p.url(),
      locale: p.string(),
      flow_data: p.object({
        type: p.required(p.oneOf("payment_method_update", "subscription_cancel", "subscription_update")),
        subscription_cancel: p.object({ subscription: p.required(p.string()) }),
        subscription_update: p.object({ subscription: p.required(p.string()) }),
        after_completion: p.accepted(),
      }),
    },
    (world, given) => {
      find(world.customers, "customer", given.customer, "customer");
      const configuration = given.configuration
        ? find(world.portalConfigurations, "billing_portal.configuration", given.configuration, "configuration")
        : defaultConfiguration(world);
      if (!configuration.active) throw invalidRequest("The portal configuration is inactive.", "configuration");
      const canceled = given.flow_data?.subscription_cancel?.subscription;
      const updated = given.flow_data?.subscription_update?.subscription;
      if (canceled) find(world.subscriptions, "subscription", canceled, "flow_data[subscription_cancel][subscription]");
      if (updated) find(world.subscriptions, "subscription", updated, "flow_data[subscription_update][subscription]");
      return world.portalSessions.put({
        id: newId("bps"),
        object: "billing_portal.session",
        configuration: configuration.id,
        created: world.clock.global(),
        customer: given.customer,
        customer_account: null,
        flow: given.flow_data
          ? {
              after_completion: { hosted_confirmation: null, redirect: null, type: "portal_homepage" },
              customer_update: null,
              subscription_cancel: canceled ? { retention: null, subscription: canceled } : null,
              subscription_pause: null,
              subscription_update: updated ? { subscription: updated } : null,
              subscription_update_confirm: null,
              type: given.flow_data.type,
            }
          : null,
        livemode: false,
        locale: (given.locale as PortalSession["locale"]) ?? null,
        on_behalf_of: null,
        return_url: given.return_url ?? configuration.default_return_url,
        url: `${world.url}/p/session/test_${randomText(48)}`,
      } satisfies PortalSession);
    },
  ),
];
