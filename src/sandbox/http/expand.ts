// `expand`: puts whole objects where their ids stand, and adds what is only there when asked for.
import { TAX_TABLE } from "../engine/tax";
import { invalidRequest } from "../errors";
import type { AnyObject, Charge, CheckoutSession, Coupon, Customer, Invoice, Price } from "../types";
import { embeddedList, viewOf } from "../view";
import type { World } from "../world";

type Json = Record<string, unknown>;
type Adds = (world: World, object: never) => unknown;

/** Fields that hold the id of something this sandbox keeps. */
const REFERENCES: Record<string, string[]> = {
  product: ["default_price"],
  price: ["product"],
  plan: ["product"],
  customer: ["test_clock"],
  payment_method: ["customer"],
  subscription: [
    "customer",
    "default_payment_method",
    "discounts",
    "latest_invoice",
    "pending_setup_intent",
    "schedule",
    "test_clock",
  ],
  subscription_schedule: ["customer", "subscription", "test_clock"],
  invoice: ["customer", "default_payment_method", "discounts", "test_clock"],
  line_item: ["discounts", "subscription"],
  discount: ["customer", "promotion_code"],
  promotion_code: ["customer"],
  tax_id: ["customer"],
  customer_balance_transaction: ["credit_note", "customer", "invoice"],
  credit_note: ["customer", "customer_balance_transaction", "invoice"],
  invoiceitem: ["customer", "invoice", "test_clock"],
  invoice_payment: ["invoice"],
  payment_intent: ["customer", "payment_method", "latest_charge"],
  setup_intent: ["customer", "payment_method"],
  charge: ["customer", "payment_intent", "balance_transaction"],
  refund: [
    "charge",
    "payment_intent",
    "payment_method",
    "customer",
    "balance_transaction",
    "failure_balance_transaction",
  ],
  dispute: ["charge", "payment_intent"],
  balance_transaction: ["source"],
  "checkout.session": ["customer", "subscription", "payment_intent", "setup_intent", "invoice"],
  "billing_portal.session": ["configuration"],
};

/** Objects inside objects that carry ids too. */
const NESTED: Record<string, string[]> = {
  invoice_settings: ["default_payment_method"],
  subscription_details: ["subscription"],
  payment: ["payment_intent", "charge"],
  price_details: ["price"],
  source: ["coupon"],
  promotion: ["coupon"],
  discounts: ["coupon", "promotion_code"],
  discount_amounts: ["discount"],
  total_discount_amounts: ["discount"],
  refunds: ["refund"],
  subscription_update: ["products"],
};

const ADDED: Record<string, Record<string, Adds>> = {
  price: {
    currency_options: (world, price: Price) => world.prices.get(price.id)?.currency_options,
  },
  coupon: {
    applies_to: (world, coupon: Coupon) => world.coupons.get(coupon.id)?.applies_to,
    currency_options: (world, coupon: Coupon) => world.coupons.get(coupon.id)?.currency_options,
  },
  invoice: {
    payments: (world, { id }: Invoice) =>
      embeddedList(world.invoicePayments.by("invoice", id).reverse(), `/v1/invoice_payments?invoice=${id}`),
    confirmation_secret: (world, { id }: Invoice) => {
      const payment = world.invoicePayments.by("invoice", id).at(-1)?.payment.payment_intent;
      const secret = payment && world.paymentIntents.get(payment)?.client_secret;
      return secret ? { client_secret: secret, type: "payment_intent" } : null;
    },
  },
  charge: {
    refunds: (world, { id }: Charge) =>
      embeddedList(world.refunds.by("charge", id).reverse(), `/v1/charges/${id}/refunds`),
  },
  customer: {
    tax: (_world, { address }: Customer) => ({
      automatic_tax: address?.country
        ? TAX_TABLE[address.country.toUpperCase()]
          ? "supported"
          : "not_collecting"
        : "unrecognized_location",
      ip_address: null,
      location: address?.country ? { country: address.country, source: "billing_address", state: address.state } : null,
      provider: "stripe",
    }),
    tax_ids: (world, { id }: AnyObject) =>
      embeddedList(world.taxIds.by("customer", id).reverse(), `/v1/customers/${id}/tax_ids`),
    subscriptions: (world, { id }: AnyObject) =>
      embeddedList(
        world.subscriptions
          .by("customer", id)
          .reverse()
          .filter(({ status }) => status !== "canceled" && status !== "incomplete_expired")
          .map((subscription) => viewOf(world, subscription)),
        `/v1/customers/${id}/subscriptions`,
      ),
  },
  "checkout.session": {
    line_items: (world, { id }: CheckoutSession) =>
      embeddedList(
        world.sessionLines.by("session", id).map(({ session: _, ...line }) => line),
        `/v1/checkout/sessions/${id}/line_items`,
      ),
  },
};

/** The object behind an id, whatever its kind; a deleted one as what Stripe leaves of it. */
function findAny(world: World, id: string): AnyObject | null {
  const places = [
    world.customers,
    world.products,
    world.prices,
    world.paymentMethods,
    world.subscriptions,
    world.schedules,
    world.invoices,
    world.paymentIntents,
    world.setupIntents,
    world.charges,
    world.refunds,
    world.disputes,
    world.balanceTransactions,
    world.coupons,
    world.promotionCodes,
    world.discounts,
    world.customerBalanceTransactions,
    world.creditNotes,
    world.sessions,
    world.portalConfigurations,
    world.testClocks,
    world.tombstones,
  ];
  for (const place of places) {
    const found = place.get(id);
    if (found) return found;
  }
  return null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(path: string): Error {
  return invalidRequest(`This property cannot be expanded (${path}).`, "expand");
}

/** What stands under a key once it is expanded; `last`: the path ends here, so it must be something expandable. */
function expanded(world: World, node: Json, nodeKey: string, key: string, path: string, last: boolean): unknown {
  const kind = typeof node.object === "string" ? node.object : "";
  const value = node[key];
  const adds = ADDED[kind]?.[key];
  if (adds) return value ?? adds(world, node as never);
  const references = kind ? REFERENCES[kind] : NESTED[nodeKey];
  const behind = (id: unknown) => {
    const found = typeof id === "string" ? findAny(world, id) : null;
    return found ? viewOf(world, found) : id;
  };
  if (references?.includes(key) && typeof value === "string") return behind(value);
  if (references?.includes(key) && Array.isArray(value)) return value.map(behind);
  const traversable = value === null || (typeof value === "object" && (!last || "object" in value));
  if (traversable || references?.includes(key)) return value ?? null;
  // What is left of a deleted object has none of its fields.
  if (value === undefined && node.deleted === true) return undefined;
  throw refuse(path);
}

function walk(world: World, node: unknown, nodeKey: string, keys: string[], path: string): void {
  const [key, ...rest] = keys;
  if (key === undefined || node === null || node === undefined) return;
  if (Array.isArray(node)) {
    for (const each of node) walk(world, each, nodeKey, keys, path);
    return;
  }
  if (!isObject(node)) throw refuse(path);
  const child = expanded(world, node, nodeKey, key, path, rest.length === 0);
  if (child === undefined) return;
  // Copied on the way down: kept objects are shared and must not change.
  if (Array.isArray(child)) node[key] = child.map((each) => (isObject(each) ? { ...each } : each));
  else node[key] = isObject(child) ? { ...child } : child;
  walk(world, node[key], key, rest, path);
}

/** Serves an answer: as it is seen from outside, with everything expanded that was asked for. */
export function present(world: World, answer: { object: string }, expand: string[] = []): Json {
  const view = (object: unknown) => viewOf(world, object as AnyObject);
  const isPage =
    (answer.object === "list" || answer.object === "search_result") && "data" in answer && Array.isArray(answer.data);
  const served: Json = isPage ? { ...answer, data: (answer.data as unknown[]).map(view) } : view(answer);
  for (const path of expand) {
    const keys = path.split(".");
    if (keys.length > 4) throw invalidRequest(`You cannot expand more than 4 levels of a property: ${path}.`, "expand");
    if (isPage !== (keys[0] === "data")) throw invalidRequest(`This property cannot be expanded (${path}).`, "expand");
    walk(world, served, "", keys, path);
  }
  return served;
}
