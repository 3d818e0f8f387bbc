// /v1/prices. A price never changes its amount; a lookup key may move on to its successor.

import { newProduct } from "../engine/product";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { Price } from "../types";
import type { World } from "../world";
import { find } from "./find";

const MAX_AMOUNT = 99_999_999;
export const taxBehavior = p.oneOf("exclusive", "inclusive", "unspecified");
const currencyCode = p.string({ max: 3 });

const currencyOption = p.object({
  unit_amount: p.integer({ min: 0, max: MAX_AMOUNT }),
  unit_amount_decimal: p.decimal(),
  tax_behavior: taxBehavior,
});

const recurring = p.object({
  interval: p.required(p.oneOf("day", "week", "month", "year")),
  interval_count: p.integer({ min: 1, max: 1095 }),
  trial_period_days: p.integer({ min: 1, max: 730 }),
  usage_type: p.oneOf("licensed"),
});

/** What a price needs wherever it is made: here, or together with its product. */
export const inlinePrice = {
  currency: p.required(currencyCode),
  currency_options: p.dictionary(currencyOption),
  metadata: p.metadata(),
  recurring,
  tax_behavior: taxBehavior,
  unit_amount: p.integer({ min: 0, max: MAX_AMOUNT }),
  unit_amount_decimal: p.decimal(),
} satisfies p.Shape;

type Inline = p.Params<typeof inlinePrice>;
interface NewPrice extends Inline {
  product: string;
  active?: boolean;
  lookup_key?: string;
  nickname?: string;
  transfer_lookup_key?: boolean;
}

interface Amount {
  unit_amount?: number;
  unit_amount_decimal?: string;
  tax_behavior?: Price["tax_behavior"];
}

function amounts(given: Amount, param: string) {
  if ((given.unit_amount === undefined) === (given.unit_amount_decimal === undefined)) {
    throw invalidRequest(
      "Prices require exactly one of `unit_amount` and `unit_amount_decimal` to be set.",
      param,
      given.unit_amount === undefined ? "parameter_missing" : "parameters_exclusive",
    );
  }
  const decimal = given.unit_amount_decimal ?? String(given.unit_amount);
  const whole = Number(decimal);
  return {
    custom_unit_amount: null,
    tax_behavior: given.tax_behavior ?? "unspecified",
    unit_amount: Number.isInteger(whole) ? whole : null,
    unit_amount_decimal: decimal,
  };
}

/** Known to ISO 4217, as Stripe's are; in lower case. */
const CURRENCIES = new Set(Intl.supportedValuesOf("currency").map((code) => code.toLowerCase()));

function checkCurrencyCode(currency: string, param: string): void {
  if (CURRENCIES.has(currency)) return;
  throw invalidRequest(`Invalid currency: ${currency}.`, param);
}

/** What a price costs in other currencies than its own. */
function optionsOf(given: Record<string, Amount>): NonNullable<Price["currency_options"]> {
  return Object.fromEntries(
    Object.entries(given).map(([code, option]) => {
      const currency = code.toLowerCase();
      const param = `currency_options[${code}]`;
      checkCurrencyCode(currency, param);
      return [currency, amounts(option, `${param}[unit_amount]`)];
    }),
  );
}

function claimLookupKey(world: World, key: string | undefined, transfer: boolean | undefined, self?: string): void {
  if (!key) return;
  const holder = world.prices.by("lookup_key", key).find(({ id }) => id !== self);
  if (!holder) return;
  if (!transfer) {
    throw invalidRequest(
      `A price (\`${holder.id}\`) already uses that lookup key. Use \`transfer_lookup_key\` to move it.`,
      "lookup_key",
      "resource_already_exists",
    );
  }
  world.change(world.prices, holder.id, { lookup_key: null }, "price.updated");
}

/** Makes a price and tells of it. */
export function createPrice(world: World, given: NewPrice): Price {
  claimLookupKey(world, given.lookup_key, given.transfer_lookup_key);
  const currency = given.currency.toLowerCase();
  checkCurrencyCode(currency, "currency");
  const own = amounts(given, "unit_amount");
  const price = world.prices.put({
    id: newId("price"),
    object: "price",
    active: given.active ?? true,
    billing_scheme: "per_unit",
    created: world.now(),
    currency,
    currency_options: { ...optionsOf(given.currency_options ?? {}), [currency]: own },
    ...own,
    livemode: false,
    lookup_key: given.lookup_key ?? null,
    metadata: p.mergeMetadata(null, given.metadata),
    nickname: given.nickname ?? null,
    product: given.product,
    recurring: given.recurring
      ? {
          interval: given.recurring.interval,
          interval_count: given.recurring.interval_count ?? 1,
          meter: null,
          trial_period_days: given.recurring.trial_period_days ?? null,
          usage_type: "licensed",
        }
      : null,
    tiers_mode: null,
    transform_quantity: null,
    type: given.recurring ? "recurring" : "one_time",
  } satisfies Price);
  world.events.emit("price.created", price);
  return price;
}

export const prices: Route[] = [
  route(
    "POST",
    "/v1/prices",
    {
      ...inlinePrice,
      active: p.boolean(),
      billing_scheme: p.oneOf("per_unit"),
      lookup_key: p.string({ max: 200 }),
      nickname: p.string(),
      product: p.string(),
      product_data: p.object({
        id: p.string(),
        name: p.required(p.string()),
        active: p.boolean(),
        metadata: p.metadata(),
        statement_descriptor: p.string({ max: 22 }),
        tax_code: p.string(),
        unit_label: p.string({ max: 12 }),
      }),
      transfer_lookup_key: p.boolean(),
    },
    (world, { product, product_data: data, ...given }) => {
      if ((product === undefined) === (data === undefined)) {
        throw invalidRequest(
          "You must specify exactly one of `product` or `product_data`.",
          "product",
          product ? "parameters_exclusive" : "parameter_missing",
        );
      }
      if (product) find(world.products, "product", product, "product");
      if (product || !data) return createPrice(world, { ...given, product: product ?? "" });
      const made = newProduct(world, { ...data, metadata: p.mergeMetadata(null, data.metadata) });
      return createPrice(world, { ...given, product: made.id });
    },
  ),
  route("GET", "/v1/prices/:id", {}, (world, _, [id]) => find(world.prices, "price", id)),
  route(
    "POST",
    "/v1/prices/:id",
    {
      active: p.boolean(),
      currency_options: p.emptyable(p.dictionary(currencyOption)),
      lookup_key: p.string({ max: 200 }),
      metadata: p.metadata(),
      nickname: p.string(),
      tax_behavior: taxBehavior,
      transfer_lookup_key: p.boolean(),
    },
    (world, given, [id]) => {
      const before = find(world.prices, "price", id);
      claimLookupKey(world, given.lookup_key, given.transfer_lookup_key, id);
      const settled = before.tax_behavior !== "unspecified" && before.tax_behavior !== null;
      if (settled && given.tax_behavior !== undefined && given.tax_behavior !== before.tax_behavior) {
        throw invalidRequest("The `tax_behavior` of a price cannot be changed once it is set.", "tax_behavior");
      }
      const own = before.currency_options?.[before.currency];
      const options = optionsOf(given.currency_options ?? {});
      return world.change(
        world.prices,
        id,
        {
          active: given.active ?? before.active,
          currency_options: {
            ...before.currency_options,
            ...options,
            ...(own && {
              [before.currency]: { ...own, tax_behavior: given.tax_behavior ?? own.tax_behavior },
            }),
          },
          lookup_key: given.lookup_key ?? before.lookup_key,
          metadata: p.mergeMetadata(before.metadata, given.metadata),
          nickname: given.nickname ?? before.nickname,
          tax_behavior: given.tax_behavior ?? before.tax_behavior,
        },
        "price.updated",
      );
    },
  ),
  route(
    "GET",
    "/v1/prices",
    {
      ...p.pagination,
      active: p.boolean(),
      created: p.range(),
      currency: currencyCode,
      lookup_keys: p.list(p.string(), { max: 10 }),
      product: p.string(),
      recurring: p.object({
        interval: p.oneOf("day", "week", "month", "year"),
        usage_type: p.oneOf("licensed", "metered"),
      }),
      type: p.oneOf("one_time", "recurring"),
    },
    (world, given) => {
      const among = given.product ? world.prices.by("product", given.product) : [...world.prices.values()];
      const found = among.filter(
        (price) =>
          (given.active === undefined || price.active === given.active) &&
          (!given.created || p.inRange(price.created, given.created)) &&
          (!given.currency || price.currency === given.currency.toLowerCase()) &&
          (!given.lookup_keys || (price.lookup_key !== null && given.lookup_keys.includes(price.lookup_key))) &&
          (!given.type || price.type === given.type) &&
          (!given.recurring?.interval || price.recurring?.interval === given.recurring.interval) &&
          (!given.recurring?.usage_type || price.recurring?.usage_type === given.recurring.usage_type),
      );
      return page(found, "/v1/prices", "price", given);
    },
  ),
];
