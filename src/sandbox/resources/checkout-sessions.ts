// /v1/checkout/sessions

import { offeredTypes } from "../engine/bank-accounts";
import { expireSession } from "../engine/checkout";
import { repriceSession } from "../engine/checkout-amounts";
import { newProduct } from "../engine/product";
import { checkCurrency } from "../engine/subscription";
import { invalidRequest } from "../errors";
import { page, pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId, randomText } from "../ids";
import { amountOf } from "../money";
import * as p from "../params";
import type { CheckoutSession, Customer, Metadata, Price } from "../types";
import { viewPrice } from "../view";
import type { CheckoutPlan, SessionLine, World } from "../world";
import { find } from "./find";
import { automaticTax, readDiscounts } from "./money-params";
import { createPrice, inlinePrice } from "./prices";
import { ratesBehind } from "./tax-rates";

const DAY = 86_400;

const { currency_options: _, ...linePrice } = inlinePrice;

const shape = {
  mode: p.required(p.oneOf("payment", "setup", "subscription")),
  line_items: p.list(
    p.object({
      price: p.string(),
      price_data: p.object({
        ...linePrice,
        product: p.string(),
        product_data: p.object({
          name: p.required(p.string()),
          description: p.string(),
          images: p.list(p.url()),
          metadata: p.metadata(),
          tax_code: p.string(),
          unit_label: p.string(),
        }),
      }),
      quantity: p.integer({ min: 1, max: 999_999 }),
      adjustable_quantity: p.accepted(),
      metadata: p.metadata(),
    }),
  ),
  success_url: p.url(),
  cancel_url: p.url(),
  return_url: p.url(),
  ui_mode: p.oneOf("hosted_page"),
  customer: p.string(),
  customer_email: p.email(),
  customer_creation: p.oneOf("always", "if_required"),
  customer_update: p.object({
    address: p.oneOf("auto", "never"),
    name: p.oneOf("auto", "never"),
    shipping: p.oneOf("auto", "never"),
  }),
  client_reference_id: p.string({ max: 200 }),
  currency: p.string({ max: 3 }),
  expires_at: p.integer(),
  metadata: p.metadata(),
  payment_method_collection: p.oneOf("always", "if_required"),
  allow_promotion_codes: p.boolean(),
  discounts: p.list(p.object({ coupon: p.string(), promotion_code: p.string() }), { max: 1 }),
  automatic_tax: automaticTax,
  billing_address_collection: p.oneOf("auto", "required"),
  tax_id_collection: p.object({ enabled: p.required(p.boolean()), required: p.oneOf("if_supported", "never") }),
  locale: p.string(),
  submit_type: p.oneOf("auto", "book", "donate", "pay", "subscribe"),
  allowed_payment_method_types: p.list(p.string()),
  excluded_payment_method_types: p.list(p.string()),
  payment_method_options: p.accepted(),
  saved_payment_method_options: p.accepted(),
  custom_text: p.accepted(),
  custom_fields: p.accepted(),
  consent_collection: p.accepted(),
  phone_number_collection: p.accepted(),
  name_collection: p.accepted(),
  adaptive_pricing: p.accepted(),
  branding_settings: p.accepted(),
  origin_context: p.oneOf("mobile_app", "web"),
  invoice_creation: p.object({
    enabled: p.required(p.boolean()),
    invoice_data: p.object({ description: p.string(), footer: p.string(), metadata: p.metadata() }),
  }),
  payment_intent_data: p.object({
    description: p.string(),
    metadata: p.metadata(),
    receipt_email: p.email(),
    setup_future_usage: p.oneOf("off_session", "on_session"),
    capture_method: p.oneOf("automatic", "automatic_async"),
    statement_descriptor: p.string({ max: 22 }),
    statement_descriptor_suffix: p.string({ max: 22 }),
  }),
  setup_intent_data: p.object({ description: p.string(), metadata: p.metadata() }),
  subscription_data: p.object({
    description: p.string({ max: 500 }),
    metadata: p.metadata(),
    billing_cycle_anchor: p.integer(),
    default_tax_rates: p.list(p.string()),
    billing_mode: p.object({ type: p.required(p.oneOf("flexible")), flexible: p.accepted() }),
    proration_behavior: p.oneOf("create_prorations", "none"),
    trial_end: p.integer(),
    trial_period_days: p.integer({ min: 1, max: 730 }),
    trial_settings: p.object({
      end_behavior: p.required(
        p.object({ missing_payment_method: p.required(p.oneOf("cancel", "create_invoice", "pause")) }),
      ),
    }),
  }),
} satisfies p.Shape;

type Given = p.Params<typeof shape>;
type LineGiven = NonNullable<Given["line_items"]>[number];

/** Things that only one mode knows are refused in another, as Stripe does. */
function checkMode(given: Given): void {
  const only = (mode: string, key: keyof Given) => {
    if (given[key] !== undefined && given.mode !== mode) {
      throw invalidRequest(`You can not pass \`${key}\` in \`${given.mode}\` mode.`, key);
    }
  };
  only("subscription", "subscription_data");
  only("payment", "payment_intent_data");
  only("payment", "invoice_creation");
  only("setup", "setup_intent_data");
  if (given.mode !== "setup" && !given.line_items?.length) {
    throw invalidRequest("Missing required param: line_items.", "line_items", "parameter_missing");
  }
  if (!given.success_url) {
    throw invalidRequest("Missing required param: success_url.", "success_url", "parameter_missing");
  }
  if (given.customer && given.customer_email) {
    throw invalidRequest(
      "You may only specify one of these parameters: customer, customer_email.",
      "customer",
      "parameters_exclusive",
    );
  }
  if (given.customer_update && !given.customer) {
    throw invalidRequest("`customer_update` can only be used with `customer`.", "customer_update");
  }
  if (given.subscription_data?.proration_behavior && !given.subscription_data.billing_cycle_anchor) {
    throw invalidRequest(
      "`proration_behavior` can only be set together with `billing_cycle_anchor`.",
      "subscription_data[proration_behavior]",
    );
  }
  if (given.discounts?.length && given.allow_promotion_codes !== undefined) {
    throw invalidRequest(
      "You may only specify one of these parameters: allow_promotion_codes, discounts.",
      "allow_promotion_codes",
      "parameters_exclusive",
    );
  }
  if (given.discounts?.length && given.mode === "setup") {
    throw invalidRequest("You can not pass `discounts` in `setup` mode.", "discounts");
  }
  const trial = given.subscription_data;
  if (trial?.trial_end !== undefined && trial.trial_period_days !== undefined) {
    throw invalidRequest(
      "You may only specify one of these parameters: trial_end, trial_period_days.",
      "subscription_data[trial_end]",
      "parameters_exclusive",
    );
  }
}

function linePriceOf(world: World, line: LineGiven, position: number): Price {
  const at = `line_items[${position}]`;
  if (line.price) {
    const price = find(world.prices, "price", line.price, `${at}[price]`);
    if (!price.active) {
      throw invalidRequest("The price specified is inactive. This field only accepts active prices.", `${at}[price]`);
    }
    if (!world.products.get(price.product)?.active) {
      throw invalidRequest(
        `The product ${price.product} is marked as inactive, and thus new subscriptions or payments of it cannot be made.`,
        `${at}[price]`,
      );
    }
    return price;
  }
  if (!line.price_data)
    throw invalidRequest(`Missing required param: ${at}[price].`, `${at}[price]`, "parameter_missing");
  const { product, product_data: data, ...amount } = line.price_data;
  if (product) find(world.products, "product", product, `${at}[price_data][product]`);
  if (product) return createPrice(world, { ...amount, product, active: false });
  if (!data)
    throw invalidRequest(
      `Missing required param: ${at}[price_data][product].`,
      `${at}[price_data][product]`,
      "parameter_missing",
    );
  const made = newProduct(world, { ...data, metadata: p.mergeMetadata(null, data.metadata), active: false });
  return createPrice(world, { ...amount, product: made.id, active: false });
}

interface Bought {
  price: Price;
  quantity: number;
  metadata: Metadata;
}

/** What only shows once prices, customer and time are known. */
function checkPurchase(world: World, given: Given, bought: Bought[], currency: string | null, expiresAt: number): void {
  const now = world.now();
  if (expiresAt < now + 30 * 60 || expiresAt > now + DAY) {
    throw invalidRequest(
      "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
      "expires_at",
    );
  }
  const recurs = bought.some(({ price }) => price.recurring);
  if (given.mode === "subscription" && !recurs) {
    throw invalidRequest(
      "You must provide at least one recurring price in `subscription` mode when using prices.",
      "line_items",
    );
  }
  if (given.mode === "payment" && recurs) {
    throw invalidRequest(
      "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.",
      "mode",
    );
  }
  const { trial_end: trialEnd } = given.subscription_data ?? {};
  if (trialEnd !== undefined && trialEnd < now + 2 * DAY) {
    throw invalidRequest(
      "The `trial_end` date has to be at least 2 days in the future.",
      "subscription_data[trial_end]",
    );
  }
  if (given.mode === "subscription" && given.customer && currency) checkCurrency(world, given.customer, currency);
}

function lineOf(world: World, session: string, currency: string, free: boolean, bought: Bought): SessionLine {
  const { price, quantity, metadata } = bought;
  const amount = free && price.recurring ? 0 : amountOf(price, currency, quantity);
  return {
    id: newId("li"),
    object: "item",
    adjustable_quantity: null,
    amount_discount: 0,
    amount_subtotal: amount,
    amount_tax: 0,
    amount_total: amount,
    currency,
    description: world.products.get(price.product)?.name ?? null,
    metadata,
    price: viewPrice(price),
    quantity,
    session,
  };
}

/** What the session makes once it is paid. */
function planOf(id: string, given: Given, bought: Bought[]): CheckoutPlan {
  const data = given.subscription_data;
  return {
    id,
    items: bought.map(({ price, quantity }) => ({ price: price.id, quantity })),
    subscriptionMetadata: p.mergeMetadata(null, data?.metadata),
    subscriptionDescription: data?.description ?? null,
    trialEnd: data?.trial_end ?? null,
    trialPeriodDays: data?.trial_period_days ?? null,
    billingCycleAnchor: data?.billing_cycle_anchor ?? null,
    proration: data?.proration_behavior,
    missingPaymentMethod: data?.trial_settings?.end_behavior.missing_payment_method ?? "create_invoice",
    paymentMetadata: p.mergeMetadata(null, given.payment_intent_data?.metadata),
    paymentDescription: given.payment_intent_data?.description ?? null,
    setupFutureUsage: given.payment_intent_data?.setup_future_usage ?? null,
    invoiceMetadata: p.mergeMetadata(null, given.invoice_creation?.invoice_data?.metadata),
    customerUpdate: {
      name: given.customer_update?.name === "auto",
      address: given.customer_update?.address === "auto",
    },
    defaultTaxRates: data?.default_tax_rates ?? [],
    setupMetadata: p.mergeMetadata(null, given.setup_intent_data?.metadata),
    paymentIntent: null,
    authenticating: null,
  };
}

function createSession(world: World, given: Given): CheckoutSession {
  checkMode(given);
  const customer = given.customer ? find(world.customers, "customer", given.customer, "customer") : null;
  const now = world.now();
  const expiresAt = given.expires_at ?? now + DAY;
  const bought = (given.line_items ?? []).map((line, position) => ({
    price: linePriceOf(world, line, position),
    quantity: line.quantity ?? 1,
    metadata: p.mergeMetadata(null, line.metadata),
  }));
  const currency = (given.currency ?? bought[0]?.price.currency ?? null)?.toLowerCase() ?? null;
  checkPurchase(world, given, bought, currency, expiresAt);
  checkTaxPlace(given, customer);
  const data = given.subscription_data;
  ratesBehind(world, data?.default_tax_rates, "subscription_data[default_tax_rates]");
  const trial = data?.trial_end !== undefined || data?.trial_period_days !== undefined;
  const id = newId("cs_test", 58);
  const lines = bought.map((each) => lineOf(world, id, currency ?? each.price.currency, trial, each));
  const total = given.mode === "setup" ? null : lines.reduce((sum, line) => sum + line.amount_total, 0);
  for (const line of lines) world.sessionLines.put(line);
  world.checkoutPlans.put(planOf(id, given, bought));
  const collection = given.payment_method_collection ?? "always";
  const session = world.sessions.put({
    id,
    object: "checkout.session",
    adaptive_pricing: { enabled: false },
    after_expiration: null,
    allow_promotion_codes: given.allow_promotion_codes ?? null,
    allowed_payment_method_types: given.allowed_payment_method_types ?? null,
    amount_subtotal: total,
    amount_total: total,
    automatic_tax: {
      enabled: given.automatic_tax?.enabled ?? false,
      liability: given.automatic_tax?.enabled ? { type: "self" } : null,
      provider: given.automatic_tax?.enabled ? "stripe" : null,
      status: given.automatic_tax?.enabled ? "requires_location_inputs" : null,
    },
    billing_address_collection: given.billing_address_collection ?? null,
    cancel_url: given.cancel_url ?? null,
    client_reference_id: given.client_reference_id ?? null,
    client_secret: null,
    collected_information: null,
    consent: null,
    consent_collection: null,
    created: now,
    currency,
    currency_conversion: null,
    custom_fields: [],
    custom_text: { after_submit: null, shipping_address: null, submit: null, terms_of_service_acceptance: null },
    customer: customer?.id ?? null,
    customer_account: null,
    customer_creation: customer || given.mode === "subscription" ? null : (given.customer_creation ?? "if_required"),
    customer_details: null,
    customer_email: given.customer_email ?? null,
    discounts: readSessionDiscounts(world, given, customer, currency, total),
    expires_at: expiresAt,
    integration_identifier: null,
    invoice: null,
    invoice_creation:
      given.mode === "payment"
        ? {
            enabled: given.invoice_creation?.enabled ?? false,
            invoice_data: {
              account_tax_ids: null,
              custom_fields: null,
              description: given.invoice_creation?.invoice_data?.description ?? null,
              footer: given.invoice_creation?.invoice_data?.footer ?? null,
              issuer: null,
              metadata: p.mergeMetadata(null, given.invoice_creation?.invoice_data?.metadata),
              rendering_options: null,
            },
          }
        : null,
    livemode: false,
    locale: (given.locale as CheckoutSession["locale"]) ?? null,
    managed_payments: { enabled: false },
    metadata: p.mergeMetadata(null, given.metadata),
    mode: given.mode,
    origin_context: given.origin_context ?? null,
    payment_intent: null,
    payment_link: null,
    payment_method_collection:
      given.mode === "subscription" ? collection : given.mode === "payment" ? "if_required" : null,
    payment_method_configuration_details: null,
    payment_method_options: {},
    payment_method_types: offeredTypes({
      currency,
      allowed: given.allowed_payment_method_types,
      excluded: given.excluded_payment_method_types,
    }),
    payment_status: total === 0 || given.mode === "setup" ? "no_payment_required" : "unpaid",
    permissions: null,
    phone_number_collection: { enabled: false },
    recovered_from: null,
    saved_payment_method_options: null,
    setup_intent: null,
    shipping_address_collection: null,
    shipping_cost: null,
    shipping_options: [],
    status: "open",
    submit_type: given.submit_type ?? null,
    subscription: null,
    success_url: given.success_url ?? null,
    tax_id_collection: {
      enabled: given.tax_id_collection?.enabled ?? false,
      required: given.tax_id_collection?.required ?? "never",
    },
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 0 },
    ui_mode: "hosted_page",
    url: `${world.url}/c/pay/${id}#${randomText(40)}`,
    wallet_options: null,
  } satisfies CheckoutSession);
  world.scheduler.plan("session.expire", id, expiresAt, world.clockOf(session.customer));
  return repriceSession(world, id);
}

/** Automatic tax needs an address: the customer's, or the page's where that may be kept. */
function checkTaxPlace(given: Given, customer: Customer | null): void {
  if (!given.automatic_tax?.enabled || !customer || customer.address?.country) return;
  if (given.customer_update?.address === "auto" || given.customer_update?.shipping === "auto") return;
  throw invalidRequest(
    "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to the Customer.",
    undefined,
    "customer_tax_location_invalid",
  );
}

function readSessionDiscounts(
  world: World,
  given: Given,
  customer: Customer | null,
  currency: string | null,
  subtotal: number | null,
): CheckoutSession["discounts"] {
  const redemption = { customer: customer?.id ?? null, currency: currency ?? "usd", subtotal };
  return readDiscounts(world, given.discounts, redemption).map(({ coupon, promotion }) => ({
    coupon: promotion ? null : coupon.id,
    promotion_code: promotion?.id ?? null,
  }));
}

export const checkoutSessions: Route[] = [
  route("POST", "/v1/checkout/sessions", shape, (world, given) =>
    world.onClockOf(given.customer ?? null, () => createSession(world, given)),
  ),
  route("GET", "/v1/checkout/sessions/:id", {}, (world, _given, [id]) => find(world.sessions, "checkout.session", id)),
  route("POST", "/v1/checkout/sessions/:id", { metadata: p.metadata() }, (world, given, [id]) => {
    const session = find(world.sessions, "checkout.session", id);
    return world.sessions.patch(id, { metadata: p.mergeMetadata(session.metadata, given.metadata) });
  }),
  route("POST", "/v1/checkout/sessions/:id/expire", {}, (world, _given, [id]) => {
    const session = find(world.sessions, "checkout.session", id);
    const expired = world.onClockOf(session.customer, () => expireSession(world, id));
    if (expired) return expired;
    throw invalidRequest(
      `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of \`${session.status}\`.`,
    );
  }),
  route("GET", "/v1/checkout/sessions/:id/line_items", p.pagination, (world, given, [id]) => {
    find(world.sessions, "checkout.session", id);
    const lines = world.sessionLines.by("session", id).map(({ session: _session, ...line }) => line);
    return pageInOrder(lines, `/v1/checkout/sessions/${id}/line_items`, "item", given);
  }),
  route(
    "GET",
    "/v1/checkout/sessions",
    {
      ...p.pagination,
      created: p.range(),
      customer: p.string(),
      customer_details: p.object({ email: p.required(p.string()) }),
      payment_intent: p.string(),
      status: p.oneOf("open", "complete", "expired"),
      subscription: p.string(),
    },
    (world, given) => {
      const found = [...world.sessions.values()].filter(
        (session) =>
          (!given.created || p.inRange(session.created, given.created)) &&
          (!given.customer || session.customer === given.customer) &&
          (!given.customer_details || session.customer_details?.email === given.customer_details.email) &&
          (!given.payment_intent || session.payment_intent === given.payment_intent) &&
          (!given.status || session.status === given.status) &&
          (!given.subscription || session.subscription === given.subscription),
      );
      return page(found, "/v1/checkout/sessions", "checkout.session", given);
    },
  ),
];
