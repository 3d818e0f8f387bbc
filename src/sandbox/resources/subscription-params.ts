// The parameters that several routes about subscriptions take, and what the engine makes of them.
import type { ItemChange } from "../engine/subscription-update";
import { invalidRequest } from "../errors";
import * as p from "../params";
import type { Customer, Price } from "../types";
import type { World } from "../world";
import { find } from "./find";

export const feedback = p.oneOf(
  "customer_service",
  "low_quality",
  "missing_features",
  "other",
  "switched_service",
  "too_complex",
  "too_expensive",
  "unused",
);
export const cancellationDetails = p.object({ comment: p.emptyable(p.string()), feedback: p.emptyable(feedback) });
export const prorationBehavior = p.oneOf("always_invoice", "create_prorations", "none");
export const paymentBehavior = p.oneOf(
  "allow_incomplete",
  "default_incomplete",
  "error_if_incomplete",
  "pending_if_incomplete",
);
export const trialEnd = p.either(p.oneOf("now"), p.integer());
export const cancelAt = p.either(p.oneOf("min_period_end", "max_period_end"), p.integer());
export const quantity = p.integer({ min: 0, max: 999_999 });
/** Since 2026-09-30.endive an object, where it was a word before. */
export const anchorChange = p.object({ type: p.required(p.oneOf("now", "unchanged")) });

export const itemShape = { price: p.string(), quantity, metadata: p.metadata() } satisfies p.Shape;
export const itemChanges = p.list(p.object({ ...itemShape, id: p.string(), deleted: p.boolean() }), { max: 20 });

/** A recurring, active price, or a refusal. */
export function priceFor(world: World, id: string | undefined, at: string): Price {
  if (!id) throw invalidRequest(`Missing required param: ${at}[price].`, `${at}[price]`, "parameter_missing");
  const price = find(world.prices, "price", id, `${at}[price]`);
  if (!price.recurring) {
    throw invalidRequest(
      "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
      `${at}[price]`,
    );
  }
  if (!price.active) {
    throw invalidRequest("The price specified is inactive. This field only accepts active prices.", `${at}[price]`);
  }
  return price;
}

type GivenItem = p.Params<typeof itemShape> & { id?: string; deleted?: boolean };

/** Changes of items with their prices looked up. */
export function changesOf(world: World, items: GivenItem[] | undefined, path = "items"): ItemChange[] {
  return (items ?? []).map((item, position) => ({
    ...item,
    price: item.price ? priceFor(world, item.price, `${path}[${position}]`) : undefined,
  }));
}

/** New items with their prices looked up. */
export function newItemsOf(world: World, items: GivenItem[], path = "items") {
  return items.map((item, position) => ({
    price: priceFor(world, item.price, `${path}[${position}]`),
    quantity: item.quantity ?? 1,
    metadata: p.mergeMetadata(null, item.metadata),
  }));
}

/** A payment method of the customer's own, or a refusal. */
export function ownMethod(world: World, customer: Customer, id: string | undefined): string | null {
  if (!id) return null;
  const method = find(world.paymentMethods, "PaymentMethod", id, "default_payment_method");
  if (method.customer === customer.id) return id;
  throw invalidRequest(
    `The customer does not have a payment method with the ID ${id}. The payment method must be attached to the customer.`,
    "default_payment_method",
    "resource_missing",
  );
}

const PENDING_REFERENCE =
  "https://stripe.com/docs/billing/subscriptions/pending-updates-reference#supported-attributes";
const PENDING_SUPPORTED = new Set([
  "payment_behavior",
  "proration_behavior",
  "proration_date",
  "billing_cycle_anchor",
  "items",
  "trial_end",
  "trial_from_plan",
  "add_invoice_items",
  "metadata",
  "price",
  "quantity",
]);

/** An update that may be pending takes only what it can hold back. */
export function checkPending(given: { payment_behavior?: string }): void {
  if (given.payment_behavior !== "pending_if_incomplete") return;
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || PENDING_SUPPORTED.has(key)) continue;
    throw invalidRequest(
      `When \`payment_behavior\` is set to \`pending_if_incomplete\`, you can only pass supported params. \`${key}\` is not supported. See ${PENDING_REFERENCE} for more details.`,
      key,
    );
  }
}

/** `none` leaves nothing to reckon at another date. */
export function checkProrationDate(
  date: number | undefined,
  behavior: string | undefined,
  path = "proration_date",
): void {
  if (date === undefined || behavior !== "none") return;
  throw invalidRequest("You cannot pass `proration_date` when `proration_behavior` is `none`.", path);
}

/** How invoices are collected: sent ones need to know how long they may be paid. */
export function checkCollection(method: string | null | undefined, days: number | null | undefined): void {
  const sends = method === "send_invoice";
  if (sends && days == null) {
    throw invalidRequest(
      "You must pass `days_until_due` if `collection_method` is `send_invoice`.",
      "days_until_due",
      "parameter_missing",
    );
  }
  if (!sends && days != null) {
    throw invalidRequest(
      "You can only pass `days_until_due` if `collection_method` is `send_invoice`.",
      "days_until_due",
    );
  }
}
