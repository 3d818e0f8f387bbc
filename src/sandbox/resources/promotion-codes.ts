// /v1/promotion_codes
import { findCoupon, isActive, isRedeemable } from "../engine/discounts";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId, randomText } from "../ids";
import * as p from "../params";
import type { PromotionCode } from "../types";
import type { World } from "../world";
import { find } from "./find";

const currencyOptions = p.dictionary(p.object({ minimum_amount: p.integer({ min: 1 }) }));

const shape = {
  promotion: p.required(p.object({ type: p.required(p.oneOf("coupon")), coupon: p.string() })),
  active: p.boolean(),
  code: p.string({ max: 500 }),
  customer: p.string(),
  expires_at: p.integer(),
  max_redemptions: p.integer({ min: 1 }),
  metadata: p.metadata(),
  restrictions: p.object({
    currency_options: currencyOptions,
    first_time_transaction: p.boolean(),
    minimum_amount: p.integer({ min: 1 }),
    minimum_amount_currency: p.string({ max: 3 }),
  }),
} satisfies p.Shape;

type Given = p.Params<typeof shape>;
type Options = NonNullable<PromotionCode["restrictions"]["currency_options"]>;

function optionsOf(given: Record<string, { minimum_amount?: number }> | undefined): Options {
  return Object.fromEntries(
    Object.entries(given ?? {}).flatMap(([currency, { minimum_amount: least }]) =>
      least === undefined ? [] : [[currency.toLowerCase(), { minimum_amount: least }]],
    ),
  );
}

/** Two codes that are spelled alike may only be active at a time when they are for different customers. */
function checkCode(world: World, code: string, customer: string | null): void {
  const taken = world.promotionCodes
    .by("code", code.toLowerCase())
    .some((other) => isActive(world, other) && (!other.customer || !customer || other.customer === customer));
  if (taken) {
    throw invalidRequest(`An active promotion code with \`code: ${code}\` already exists.`, "code");
  }
}

function createPromotionCode(world: World, given: Given): PromotionCode {
  const { coupon: couponId } = given.promotion;
  if (!couponId) {
    throw invalidRequest("Missing required param: promotion[coupon].", "promotion[coupon]", "parameter_missing");
  }
  const coupon = findCoupon(world, couponId, "promotion[coupon]");
  if (!isRedeemable(world, coupon)) {
    throw invalidRequest(`Coupon ${coupon.id} is not valid.`, "promotion[coupon]", "coupon_expired");
  }
  if (given.customer) find(world.customers, "customer", given.customer, "customer");
  if (given.code !== undefined && !/^[a-z0-9-]+$/i.test(given.code)) {
    throw invalidRequest("Promotion codes may only contain letters, digits and dashes.", "code");
  }
  const now = world.now();
  if (given.expires_at !== undefined && given.expires_at <= now) {
    throw invalidRequest("`expires_at` must be in the future.", "expires_at");
  }
  const { restrictions } = given;
  if ((restrictions?.minimum_amount === undefined) !== (restrictions?.minimum_amount_currency === undefined)) {
    throw invalidRequest(
      "minimum_amount and minimum_amount_currency must be set together.",
      "restrictions[minimum_amount]",
    );
  }
  const code = given.code ?? randomText(8).toUpperCase();
  checkCode(world, code, given.customer ?? null);
  const promotion = world.promotionCodes.put({
    id: newId("promo"),
    object: "promotion_code",
    active: given.active ?? true,
    code,
    created: now,
    customer: given.customer ?? null,
    customer_account: null,
    expires_at: given.expires_at ?? coupon.redeem_by,
    livemode: false,
    max_redemptions: given.max_redemptions ?? null,
    metadata: p.mergeMetadata(null, given.metadata),
    promotion: { coupon: coupon.id, type: "coupon" },
    restrictions: {
      ...(restrictions?.currency_options && { currency_options: optionsOf(restrictions.currency_options) }),
      first_time_transaction: restrictions?.first_time_transaction ?? false,
      minimum_amount: restrictions?.minimum_amount ?? null,
      minimum_amount_currency: restrictions?.minimum_amount_currency?.toLowerCase() ?? null,
    },
    times_redeemed: 0,
  } satisfies PromotionCode);
  world.events.emit("promotion_code.created", promotion);
  return promotion;
}

export const promotionCodes: Route[] = [
  route("POST", "/v1/promotion_codes", shape, (world, given) =>
    world.onClockOf(given.customer ?? null, () => createPromotionCode(world, given)),
  ),
  route("GET", "/v1/promotion_codes/:id", {}, (world, _, [id]) => find(world.promotionCodes, "promotion code", id)),
  route(
    "POST",
    "/v1/promotion_codes/:id",
    {
      active: p.boolean(),
      metadata: p.metadata(),
      restrictions: p.object({ currency_options: currencyOptions }),
    },
    (world, given, [id]) => {
      const before = find(world.promotionCodes, "promotion code", id);
      if (given.active && !before.active && !isActive(world, { ...before, active: true })) {
        throw invalidRequest("This promotion code can no longer be activated.", "active");
      }
      if (given.active && !before.active) checkCode(world, before.code, before.customer);
      const options = optionsOf(given.restrictions?.currency_options);
      return world.change(
        world.promotionCodes,
        id,
        {
          active: given.active ?? before.active,
          metadata: p.mergeMetadata(before.metadata, given.metadata),
          ...(given.restrictions && {
            restrictions: {
              ...before.restrictions,
              currency_options: { ...before.restrictions.currency_options, ...options },
            },
          }),
        },
        "promotion_code.updated",
      );
    },
  ),
  route(
    "GET",
    "/v1/promotion_codes",
    {
      ...p.pagination,
      active: p.boolean(),
      code: p.string(),
      coupon: p.string(),
      created: p.range(),
      customer: p.string(),
    },
    (world, given) => {
      const among = given.code
        ? world.promotionCodes.by("code", given.code.toLowerCase())
        : [...world.promotionCodes.values()];
      const found = among.filter(
        (promotion) =>
          (given.active === undefined || isActive(world, promotion) === given.active) &&
          (!given.coupon || promotion.promotion.coupon === given.coupon) &&
          (!given.created || p.inRange(promotion.created, given.created)) &&
          (!given.customer || promotion.customer === given.customer),
      );
      return page(found, "/v1/promotion_codes", "promotion code", given);
    },
  ),
];
