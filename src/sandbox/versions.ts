// Events in the words of an older API version, for endpoints that were made with one. Not every difference of fifteen
// years: those that a receiver would fall over who reads payloads instead of fetching what they are about.
import { previousAttributes } from "./changes";
import type { StoredEvent } from "./types";
import type { World } from "./world";

type Json = Record<string, unknown>;

/** From here on periods are the items', and what an invoice belongs to is its parent. */
const BASIL = "2025-03-31";

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listOf(value: unknown): Json[] {
  const data = isJson(value) ? value.data : null;
  return Array.isArray(data) ? data.filter(isJson) : [];
}

function subscriptionBeforeBasil({ items, ...subscription }: Json): Json {
  const data = listOf(items);
  const [first] = data;
  return {
    ...subscription,
    items: {
      ...(isJson(items) ? items : {}),
      data: data.map(({ current_period_start: _, current_period_end: __, ...item }) => item),
    },
    current_period_start: first?.current_period_start ?? null,
    current_period_end: first?.current_period_end ?? null,
  };
}

function lineBeforeBasil({ parent, pricing, taxes: _, ...line }: Json): Json {
  const details = isJson(parent) ? parent.subscription_item_details : null;
  const of = isJson(details) ? details : {};
  const named = isJson(pricing) && isJson(pricing.price_details) ? pricing.price_details : {};
  return {
    ...line,
    price: named.price ?? null,
    proration: of.proration ?? false,
    proration_details: of.proration_details ?? null,
    subscription: of.subscription ?? null,
    subscription_item: of.subscription_item ?? null,
    tax_amounts: [],
    type: details ? "subscription" : "invoiceitem",
  };
}

function invoiceBeforeBasil(world: World, { parent, total_taxes: _, ...invoice }: Json): Json {
  const details = isJson(parent) && isJson(parent.subscription_details) ? parent.subscription_details : null;
  const payment = world.invoicePayments.by("invoice", String(invoice.id)).at(-1)?.payment.payment_intent ?? null;
  const lines = isJson(invoice.lines) ? invoice.lines : {};
  return {
    ...invoice,
    lines: { ...lines, data: listOf(lines).map(lineBeforeBasil) },
    subscription: details?.subscription ?? null,
    subscription_details: { metadata: details?.metadata ?? null },
    payment_intent: payment,
    charge: (payment && world.paymentIntents.get(payment)?.latest_charge) ?? null,
    paid: invoice.status === "paid",
    paid_out_of_band: Number(invoice.amount_paid_off_stripe ?? 0) > 0,
    tax: null,
    total_tax_amounts: [],
  };
}

function withInvoice(world: World, object: Json, payment: unknown): Json {
  const [paid] = typeof payment === "string" ? world.invoicePayments.by("payment_intent", payment) : [];
  return { ...object, invoice: paid?.invoice ?? null };
}

function beforeBasil(world: World, object: Json): Json {
  switch (object.object) {
    case "subscription":
      return subscriptionBeforeBasil(object);
    case "invoice":
      return invoiceBeforeBasil(world, object);
    case "charge":
      return withInvoice(world, object, object.payment_intent);
    case "payment_intent":
      return withInvoice(world, object, object.id);
    default:
      return object;
  }
}

/** What an object was, from what it is and the attributes that an event names as changed. */
function restored(now: unknown, previous: Json): Json {
  const object = isJson(now) ? now : {};
  const before: Json = { ...object };
  for (const [key, was] of Object.entries(previous)) {
    before[key] = isJson(was) && isJson(object[key]) && !("object" in was) ? restored(object[key], was) : was;
  }
  return before;
}

/** An event as an endpoint of a version gets it. */
export function eventOfVersion(world: World, event: StoredEvent, version: string): StoredEvent {
  if (version >= BASIL) return { ...event, api_version: version };
  const { object, previous_attributes: previous } = event.data;
  const data = {
    object: beforeBasil(world, object),
    ...(previous && {
      previous_attributes: previousAttributes(
        beforeBasil(world, restored(object, previous)),
        beforeBasil(world, object),
      ),
    }),
  };
  return { ...event, api_version: version, data };
}
