// /v1/coupons
import { findCoupon } from "../engine/discounts";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { Coupon } from "../types";
import type { World } from "../world";
import { find } from "./find";

const currencyOptions = p.dictionary(p.object({ amount_off: p.required(p.integer({ min: 1 })) }));

const shape = {
  id: p.string(),
  amount_off: p.integer({ min: 1 }),
  applies_to: p.object({ products: p.list(p.string()) }),
  currency: p.string({ max: 3 }),
  currency_options: currencyOptions,
  duration: p.oneOf("forever", "once", "repeating"),
  duration_in_months: p.integer({ min: 1 }),
  max_redemptions: p.integer({ min: 1 }),
  metadata: p.metadata(),
  name: p.string({ max: 40 }),
  percent_off: p.decimal(),
  redeem_by: p.integer(),
} satisfies p.Shape;

type Given = p.Params<typeof shape>;

function lowerKeys<T>(options: Record<string, T> | undefined): Record<string, T> {
  return Object.fromEntries(Object.entries(options ?? {}).map(([currency, value]) => [currency.toLowerCase(), value]));
}

function percentOf(given: Given): number | null {
  if ((given.percent_off === undefined) === (given.amount_off === undefined)) {
    throw invalidRequest(
      "Must provide exactly one of percent_off or amount_off.",
      given.percent_off === undefined ? "percent_off" : "amount_off",
      given.percent_off === undefined ? "parameter_missing" : "parameters_exclusive",
    );
  }
  if (given.percent_off === undefined) return null;
  const percent = Number(given.percent_off);
  if (percent > 0 && percent <= 100) return percent;
  throw invalidRequest("Invalid percent_off: must be greater than 0 and at most 100", "percent_off");
}

function checkRest(world: World, given: Given): void {
  if (given.id && world.coupons.get(given.id) && !world.coupons.get(given.id)?.deletedFromCatalogue) {
    throw invalidRequest("Coupon already exists.", "id", "resource_already_exists");
  }
  if (given.amount_off !== undefined && !given.currency) {
    throw invalidRequest("You must pass currency when passing amount_off.", "currency", "parameter_missing");
  }
  if (given.amount_off === undefined && given.currency_options) {
    throw invalidRequest("currency_options can only be set with amount_off.", "currency_options");
  }
  if ((given.duration === "repeating") !== (given.duration_in_months !== undefined)) {
    throw invalidRequest(
      given.duration === "repeating"
        ? "You must pass duration_in_months when duration is repeating."
        : "duration_in_months can only be set when duration is repeating.",
      "duration_in_months",
    );
  }
  if (given.redeem_by !== undefined && given.redeem_by <= world.now()) {
    throw invalidRequest("redeem_by must be in the future.", "redeem_by");
  }
  for (const [position, product] of (given.applies_to?.products ?? []).entries()) {
    find(world.products, "product", product, `applies_to[products][${position}]`);
  }
}

function createCoupon(world: World, given: Given): Coupon {
  const percent = percentOf(given);
  checkRest(world, given);
  const currency = given.currency?.toLowerCase() ?? null;
  const amount = given.amount_off;
  const own = currency && amount !== undefined ? { [currency]: { amount_off: amount } } : {};
  const coupon = world.coupons.put({
    id: given.id ?? newId("coupon", 8).replace("coupon_", ""),
    object: "coupon",
    amount_off: amount ?? null,
    ...(given.applies_to && { applies_to: { products: given.applies_to.products ?? [] } }),
    created: world.now(),
    currency: amount === undefined ? null : currency,
    currency_options: { ...lowerKeys(given.currency_options), ...own },
    duration: given.duration ?? "once",
    duration_in_months: given.duration_in_months ?? null,
    livemode: false,
    max_redemptions: given.max_redemptions ?? null,
    metadata: p.mergeMetadata(null, given.metadata),
    name: given.name ?? null,
    percent_off: percent,
    redeem_by: given.redeem_by ?? null,
    times_redeemed: 0,
    valid: true,
  } satisfies Coupon);
  world.events.emit("coupon.created", coupon);
  return coupon;
}

export const coupons: Route[] = [
  route("POST", "/v1/coupons", shape, createCoupon),
  route("GET", "/v1/coupons/:id", {}, (world, _, [id]) => findCoupon(world, id)),
  route(
    "POST",
    "/v1/coupons/:id",
    { currency_options: currencyOptions, metadata: p.metadata(), name: p.string({ max: 40 }) },
    (world, given, [id]) => {
      const before = findCoupon(world, id);
      if (given.currency_options && before.amount_off === null) {
        throw invalidRequest("currency_options can only be set with amount_off.", "currency_options");
      }
      return world.change(
        world.coupons,
        id,
        {
          currency_options: { ...lowerKeys(given.currency_options), ...before.currency_options },
          metadata: p.mergeMetadata(before.metadata, given.metadata),
          name: given.name ?? before.name,
        },
        "coupon.updated",
      );
    },
  ),
  // Whoever has redeemed it keeps the discount.
  route("DELETE", "/v1/coupons/:id", {}, (world, _, [id]) => {
    findCoupon(world, id);
    world.events.emit("coupon.deleted", world.coupons.patch(id, { deletedFromCatalogue: true }));
    return { id, object: "coupon", deleted: true };
  }),
  route("GET", "/v1/coupons", { ...p.pagination, created: p.range() }, (world, given) => {
    const found = [...world.coupons.values()].filter(
      (coupon) => !coupon.deletedFromCatalogue && (!given.created || p.inRange(coupon.created, given.created)),
    );
    return page(found, "/v1/coupons", "coupon", given);
  }),
];
