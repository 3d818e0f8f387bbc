import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { PortalConfiguration } from "../types";
import type { World } from "../world";
import { find } from "./find";

const enabled = p.required(p.boolean());
const prorations = p.oneOf("always_invoice", "create_prorations", "none");

const featureShape = {
  customer_update: p.object({
    enabled,
    allowed_updates: p.emptyable(p.list(p.oneOf("address", "email", "name", "phone", "shipping", "tax_id"))),
  }),
  invoice_history: p.object({ enabled }),
  payment_method_update: p.object({ enabled, payment_method_configuration: p.emptyable(p.string()) }),
  subscription_cancel: p.object({
    enabled,
    mode: p.oneOf("at_period_end", "immediately"),
    proration_behavior: prorations,
    cancellation_reason: p.object({
      enabled,
      options: p.emptyable(
        p.list(
          p.oneOf(
            "customer_service",
            "low_quality",
            "missing_features",
            "other",
            "switched_service",
            "too_complex",
            "too_expensive",
            "unused",
          ),
        ),
      ),
    }),
  }),
  subscription_update: p.object({
    enabled,
    default_allowed_updates: p.emptyable(p.list(p.oneOf("price", "promotion_code", "quantity"))),
    products: p.emptyable(
      p.list(
        p.object({
          product: p.required(p.string()),
          prices: p.required(p.list(p.string())),
          adjustable_quantity: p.object({
            enabled,
            maximum: p.integer({ min: 1, max: 999_999 }),
            minimum: p.integer({ min: 0, max: 999_999 }),
          }),
        }),
      ),
    ),
    proration_behavior: prorations,
    billing_cycle_anchor: p.oneOf("now", "unchanged"),
    trial_update_behavior: p.oneOf("continue_trial", "end_trial"),
    schedule_at_period_end: p.object({
      conditions: p.emptyable(
        p.list(p.object({ type: p.required(p.oneOf("decreasing_item_amount", "shortening_interval")) })),
      ),
    }),
  }),
} satisfies p.Shape;

const configurationShape = {
  business_profile: p.object({
    headline: p.emptyable(p.string({ max: 60 })),
    privacy_policy_url: p.url(),
    terms_of_service_url: p.url(),
  }),
  default_return_url: p.emptyable(p.url()),
  login_page: p.object({ enabled }),
  metadata: p.metadata(),
  name: p.emptyable(p.string()),
} satisfies p.Shape;

type Features = PortalConfiguration["features"];
type FeaturesGiven = p.Params<typeof featureShape>;

const OFF: Features = {
  customer_update: { allowed_updates: [], enabled: false },
  invoice_history: { enabled: false },
  payment_method_update: { enabled: false, payment_method_configuration: null },
  subscription_cancel: {
    cancellation_reason: { enabled: false, feedback_options: null, options: [] },
    enabled: false,
    mode: "at_period_end",
    proration_behavior: "none",
  },
  subscription_pause: { duration: { interval_options: [], type: "interval_options" }, enabled: false },
  subscription_update: {
    billing_cycle_anchor: null,
    default_allowed_updates: [],
    enabled: false,
    products: null,
    proration_behavior: "none",
    schedule_at_period_end: { conditions: [] },
    trial_update_behavior: "end_trial",
  },
};

function mergeFeatures(before: Features, given: FeaturesGiven): Features {
  const { subscription_cancel: cancel, subscription_update: update, customer_update: customer } = given;
  const reason = cancel?.cancellation_reason;
  return {
    ...before,
    customer_update: {
      enabled: customer?.enabled ?? before.customer_update.enabled,
      allowed_updates: customer?.allowed_updates ?? before.customer_update.allowed_updates,
    },
    invoice_history: given.invoice_history ?? before.invoice_history,
    payment_method_update: {
      enabled: given.payment_method_update?.enabled ?? before.payment_method_update.enabled,
      payment_method_configuration: null,
    },
    subscription_cancel: {
      enabled: cancel?.enabled ?? before.subscription_cancel.enabled,
      mode: cancel?.mode ?? before.subscription_cancel.mode,
      proration_behavior: cancel?.proration_behavior ?? before.subscription_cancel.proration_behavior,
      cancellation_reason: reason
        ? { enabled: reason.enabled, feedback_options: null, options: reason.options ?? [] }
        : before.subscription_cancel.cancellation_reason,
    },
    subscription_update: {
      ...before.subscription_update,
      enabled: update?.enabled ?? before.subscription_update.enabled,
      default_allowed_updates: update?.default_allowed_updates ?? before.subscription_update.default_allowed_updates,
      proration_behavior: update?.proration_behavior ?? before.subscription_update.proration_behavior,
      billing_cycle_anchor: update?.billing_cycle_anchor ?? before.subscription_update.billing_cycle_anchor,
      trial_update_behavior: update?.trial_update_behavior ?? before.subscription_update.trial_update_behavior,
      products:
        update?.products === null
          ? null
          : (update?.products?.map(({ product, prices, adjustable_quantity: adjustable }) => ({
              adjustable_quantity: {
                enabled: adjustable?.enabled ?? false,
                maximum: adjustable?.maximum ?? null,
                minimum: adjustable?.minimum ?? 1,
              },
              prices,
              product,
            })) ?? before.subscription_update.products),
      schedule_at_period_end: update?.schedule_at_period_end
        ? { conditions: update.schedule_at_period_end.conditions ?? [] }
        : before.subscription_update.schedule_at_period_end,
    },
  };
}

/** Plans that are offered must be there, and a portal that changes plans must offer some. */
function check(world: World, given: FeaturesGiven | undefined, merged: Features): void {
  const path = "features[subscription_update]";
  for (const [at, { product, prices }] of (given?.subscription_update?.products ?? []).entries()) {
    find(world.products, "product", product, `${path}[products][${at}][product]`);
    for (const [position, id] of prices.entries()) {
      const param = `${path}[products][${at}][prices][${position}]`;
      const price = find(world.prices, "price", id, param);
      if (price.product !== product) {
        throw invalidRequest(`The price ${id} does not belong to the product ${product}.`, param);
      }
    }
  }
  const { enabled: updates, products, default_allowed_updates: allowed } = merged.subscription_update;
  if (updates && (!products || products.length === 0)) {
    throw invalidRequest(`Missing required param: ${path}[products].`, `${path}[products]`, "parameter_missing");
  }
  if (updates && allowed.length === 0) {
    const param = `${path}[default_allowed_updates]`;
    throw invalidRequest(`Missing required param: ${param}.`, param, "parameter_missing");
  }
  const { mode, proration_behavior: proration } = merged.subscription_cancel;
  if (mode === "at_period_end" && proration !== "none") {
    throw invalidRequest(
      "You can only prorate cancellations that happen immediately.",
      "features[subscription_cancel][proration_behavior]",
    );
  }
}

function create(
  world: World,
  given: p.Params<typeof configurationShape> & { features: FeaturesGiven },
  isDefault: boolean,
): PortalConfiguration {
  const now = world.now();
  const profile = given.business_profile;
  const features = mergeFeatures(OFF, given.features);
  check(world, given.features, features);
  return world.portalConfigurations.put({
    id: newId("bpc"),
    object: "billing_portal.configuration",
    active: true,
    application: null,
    business_profile: {
      headline: profile?.headline ?? null,
      privacy_policy_url: profile?.privacy_policy_url ?? null,
      terms_of_service_url: profile?.terms_of_service_url ?? null,
    },
    created: now,
    default_return_url: given.default_return_url ?? null,
    features,
    is_default: isDefault,
    livemode: false,
    login_page: { enabled: given.login_page?.enabled ?? false, url: null },
    metadata: p.mergeMetadata(null, given.metadata),
    name: given.name ?? null,
    updated: now,
  } satisfies PortalConfiguration);
}

/** The configuration of sessions that name none: made when it is first needed. */
export function defaultConfiguration(world: World): PortalConfiguration {
  const found = [...world.portalConfigurations.values()].find(({ is_default }) => is_default);
  if (found) return found;
  const features = {
    customer_update: { enabled: true, allowed_updates: ["email" as const, "name" as const] },
    invoice_history: { enabled: true },
    payment_method_update: { enabled: true },
    subscription_cancel: { enabled: true, mode: "at_period_end" as const },
  };
  return create(world, { features }, true);
}

export const portalConfigurations: Route[] = [
  route(
    "POST",
    "/v1/billing_portal/configurations",
    { ...configurationShape, features: p.required(p.object(featureShape)) },
    (world, given) => create(world, given, world.portalConfigurations.size === 0),
  ),
  route("GET", "/v1/billing_portal/configurations/:id", {}, (world, _, [id]) =>
    find(world.portalConfigurations, "billing_portal.configuration", id),
  ),
  route(
    "POST",
    "/v1/billing_portal/configurations/:id",
    { ...configurationShape, active: p.boolean(), features: p.object(featureShape) },
    (world, given, [id]) => {
      const before = find(world.portalConfigurations, "billing_portal.configuration", id);
      const features = given.features ? mergeFeatures(before.features, given.features) : before.features;
      check(world, given.features, features);
      return world.portalConfigurations.patch(id, {
        active: given.active ?? before.active,
        business_profile: { ...before.business_profile, ...given.business_profile },
        default_return_url:
          given.default_return_url === undefined ? before.default_return_url : given.default_return_url,
        features,
        metadata: p.mergeMetadata(before.metadata, given.metadata),
        name: given.name === undefined ? before.name : given.name,
        updated: world.now(),
      });
    },
  ),
  route(
    "GET",
    "/v1/billing_portal/configurations",
    { ...p.pagination, active: p.boolean(), is_default: p.boolean() },
    (world, given) => {
      const found = [...world.portalConfigurations.values()].filter(
        (configuration) =>
          (given.active === undefined || configuration.active === given.active) &&
          (given.is_default === undefined || configuration.is_default === given.is_default),
      );
      return page(found, "/v1/billing_portal/configurations", "billing_portal.configuration", given);
    },
  ),
];
