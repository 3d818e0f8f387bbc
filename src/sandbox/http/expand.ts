// `expand`: puts whole objects where their ids stand, and adds what is only there when asked for.
import { invalidRequest } from "../errors";
import type { AnyObject, Charge, CheckoutSession, Invoice, Price } from "../types";
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
  subscription: ["customer", "default_payment_method", "latest_invoice", "pending_setup_intent", "test_clock"],
  invoice: ["customer", "default_payment_method", "test_clock"],
  invoice_payment: ["invoice"],
  payment_intent: ["customer", "payment_method", "latest_charge"],
  setup_intent: ["customer", "payment_method"],
  charge: ["customer", "payment_intent"],
  refund: ["charge", "payment_intent", "payment_method", "customer"],
  "checkout.session": ["customer", "subscription", "payment_intent", "setup_intent", "invoice"],
  "billing_portal.session": ["configuration"],
  line_item: ["subscription"],
};

/** Objects inside objects that carry ids too. */
const NESTED: Record<string, string[]> = {
  invoice_settings: ["default_payment_method"],
  subscription_details: ["subscription"],
  payment: ["payment_intent", "charge"],
  price_details: ["price"],
};

const ADDED: Record<string, Record<string, Adds>> = {
  price: {
    currency_options: (world, price: Price) => world.prices.get(price.id)?.currency_options,
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
    world.invoices,
    world.paymentIntents,
    world.setupIntents,
    world.charges,
    world.refunds,
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

function expandField(world: World, node: Json, nodeKey: string, key: string, path: string): unknown {
  const kind = typeof node.object === "string" ? node.object : "";
  const adds = ADDED[kind]?.[key];
  if (adds) {
    node[key] ??= adds(world, node as never);
    return node[key];
  }
  const references = kind ? REFERENCES[kind] : NESTED[nodeKey];
  const value = node[key];
  if (references?.includes(key)) {
    if (typeof value === "string") {
      const found = findAny(world, value);
      if (found) node[key] = viewOf(world, found);
    }
    return node[key] ?? null;
  }
  if (typeof value === "object" && value !== null) return value;
  if (value === null) return null;
  throw invalidRequest(`This property cannot be expanded (${path}).`, "expand");
}

function walk(world: World, node: unknown, nodeKey: string, keys: string[], path: string): void {
  const [key, ...rest] = keys;
  if (key === undefined || node === null || node === undefined) return;
  if (Array.isArray(node)) {
    for (const each of node) walk(world, each, nodeKey, keys, path);
    return;
  }
  if (typeof node !== "object") throw invalidRequest(`This property cannot be expanded (${path}).`, "expand");
  const parent = node as Json;
  if (rest.length === 0 && typeof parent[key] === "object" && parent[key] !== null && !isExpandableNow(parent, key)) {
    if (!("object" in (parent[key] as Json)))
      throw invalidRequest(`This property cannot be expanded (${path}).`, "expand");
  }
  // A node's own copy: kept objects are shared and must not be changed.
  const child = expandField(world, parent, nodeKey, key, path);
  if (child !== null && typeof child === "object" && parent[key] === child) {
    parent[key] = Array.isArray(child) ? child.map((each) => (isObject(each) ? { ...each } : each)) : { ...child };
  }
  walk(world, parent[key], key, rest, path);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isExpandableNow(node: Json, key: string): boolean {
  const kind = typeof node.object === "string" ? node.object : "";
  return Boolean(ADDED[kind]?.[key] ?? REFERENCES[kind]?.includes(key));
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
