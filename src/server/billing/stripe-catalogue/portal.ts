// The configuration of Stripe's portal: what customers may do there by themselves. It says the same as our own pages.
import { CANCEL_REASONS } from "~/domain/subscription";
import { publicUrl } from "../../env";
import { callStripe, expectObject, type Stripe } from "../../stripe";
import { type Change, differences, fromTo, keep, onceKey } from "./changes";
import { type OurProduct, type Ours, saveAccountPart } from "./ours";
import { PORTAL_EXPAND } from "./theirs";

const KEY = "portal";
const NAME = "customer portal";
const HEADLINE = "Plans, invoices and payment methods";
// As many as Stripe lets customers choose from.
const MOST_PRODUCTS = 10;

type Features = Stripe.BillingPortal.ConfigurationCreateParams.Features;

// A dearer plan begins at once, and is paid at once; what is smaller or shorter begins when the period that is paid has ended.
const FEATURES = {
  customer_update: { enabled: true, allowed_updates: ["address", "email", "name", "tax_id"] },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true },
  subscription_cancel: {
    enabled: true,
    mode: "at_period_end",
    proration_behavior: "none",
    cancellation_reason: {
      enabled: true,
      options: [...CANCEL_REASONS],
    },
  },
} satisfies Features;

interface Ids {
  products: ReadonlyMap<string, string>;
  prices: ReadonlyMap<string, string>;
}

/** The configuration of ours at Stripe. */
export function planPortal(
  stripe: Stripe,
  ours: Ours,
  theirs: readonly Stripe.BillingPortal.Configuration[],
  ids: Ids,
): Change {
  const about = { kind: "portal_configuration", name: NAME } as const;
  const known = ours.account?.portalConfigurationId ?? null;
  const found =
    theirs.find((configuration) => configuration.id === known) ??
    theirs.find((configuration) => configuration.metadata?.billfoldKey === KEY);
  if (!found) {
    const apply = async () => {
      const wanted = wantedOf(ours.products, ids);
      const made = await callStripe(async () =>
        expectObject(
          "billing_portal.configuration",
          await stripe.billingPortal.configurations.create(wanted, onceKey(about.kind, wanted, known)),
        ),
      );
      await saveAccountPart({ portalConfigurationId: made.id });
    };
    return { ...about, action: "create", details: [], apply };
  }
  const link = () => (known === found.id ? undefined : saveAccountPart({ portalConfigurationId: found.id }));
  // What is still to be made has no id yet, and so is a difference too.
  const wanted = wantedOf(ours.products, ids);
  const details = differences({ active: true, ...comparable(wanted) }, comparable(found));
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
    const params = { ...wantedOf(ours.products, ids), active: true, expand: PORTAL_EXPAND };
    await callStripe(async () =>
      expectObject("billing_portal.configuration", await stripe.billingPortal.configurations.update(found.id, params)),
    );
    await link();
  };
  return { ...about, action: "update", details, apply };
}

function wantedOf(products: readonly OurProduct[], ids: Ids) {
  return {
    business_profile: { headline: HEADLINE },
    default_return_url: publicUrl("/"),
    metadata: { billfoldKey: KEY },
    features: {
      ...FEATURES,
      subscription_update: {
        enabled: true,
        default_allowed_updates: ["price", "promotion_code"],
        products: choicesOf(products, ids),
        proration_behavior: "always_invoice",
        schedule_at_period_end: {
          conditions: [{ type: "decreasing_item_amount" }, { type: "shortening_interval" }],
        },
      },
    },
  } satisfies Stripe.BillingPortal.ConfigurationCreateParams;
}

/**
 * What customers may change to. The portal takes one price for each interval of a product, so those of the home currency are
 * offered there; our own pages offer every currency.
 */
function choicesOf(products: readonly OurProduct[], ids: Ids): { product: string; prices: string[] }[] {
  const plans = products.filter((product) => product.noun === "plan" && product.active && product.isPublic);
  const currency = homeCurrency(plans);
  return plans
    .map((plan) => ({
      product: ids.products.get(plan.key) ?? "",
      prices: plan.prices
        .filter((price) => price.active && price.currency === currency)
        .map((price) => ids.prices.get(price.id) ?? "")
        .sort(),
    }))
    .filter(({ prices }) => prices.length > 0)
    .slice(0, MOST_PRODUCTS);
}

/** The currency that most prices are in; of several, the first by name. */
function homeCurrency(plans: readonly OurProduct[]): string | null {
  const counts = new Map<string, number>();
  for (const { active, currency } of plans.flatMap((plan) => plan.prices)) {
    if (active) counts.set(currency, (counts.get(currency) ?? 0) + 1);
  }
  const [first] = [...counts].sort(([a, many], [b, more]) => more - many || rank(a) - rank(b) || a.localeCompare(b));
  return first?.[0] ?? null;
}

// Where several are used alike, what checkout takes when none is asked for.
const rank = (currency: string) => (currency === "usd" ? 0 : 1);

/** A configuration with nothing but what we say of it, and its choices in our words. */
function comparable<T extends { features?: { subscription_update?: { products?: unknown } } }>(configuration: T): T {
  const update = configuration.features?.subscription_update;
  if (!Array.isArray(update?.products)) return configuration;
  const products = (update.products as { product: string; prices: string[] }[]).map(({ product, prices }) => ({
    product,
    prices: [...prices].sort(),
  }));
  return {
    ...configuration,
    features: { ...configuration.features, subscription_update: { ...update, products } },
  };
}
