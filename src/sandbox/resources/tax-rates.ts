// /v1/tax_rates: rates of the account's own choice. Automatic tax keeps its own, archived, beside them.
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { TaxRate } from "../types";
import type { World } from "../world";
import { find } from "./find";

const TYPES = [
  "amusement_tax",
  "communications_tax",
  "gst",
  "hst",
  "igst",
  "jct",
  "lease_tax",
  "pst",
  "qst",
  "retail_delivery_fee",
  "rst",
  "sales_tax",
  "service_tax",
  "vat",
] as const;

const described = {
  active: p.boolean(),
  country: p.string({ max: 2 }),
  description: p.string(),
  jurisdiction: p.string({ max: 50 }),
  metadata: p.metadata(),
  state: p.string({ max: 3 }),
  tax_type: p.oneOf(...TYPES),
} satisfies p.Shape;

/** The rates behind ids, or a refusal; `param` names the list. */
export function ratesBehind(world: World, ids: string[] | null | undefined, param: string): TaxRate[] {
  return (ids ?? []).map((id, position) => {
    const rate = find(world.taxRates, "tax rate", id, `${param}[${position}]`);
    if (rate.active) return rate;
    throw invalidRequest(`Tax rate ${id} is archived and cannot be used.`, `${param}[${position}]`);
  });
}

export const taxRates: Route[] = [
  route(
    "POST",
    "/v1/tax_rates",
    {
      ...described,
      display_name: p.required(p.string({ max: 50 })),
      inclusive: p.required(p.boolean()),
      percentage: p.required(p.decimal()),
    },
    (world, given) => {
      const percentage = Number(given.percentage);
      if (percentage < 0 || percentage > 100) {
        throw invalidRequest("Invalid percentage: must be between 0 and 100", "percentage");
      }
      const rate = world.taxRates.put({
        id: newId("txr"),
        object: "tax_rate",
        active: given.active ?? true,
        country: given.country?.toUpperCase() ?? null,
        created: world.now(),
        description: given.description ?? null,
        display_name: given.display_name,
        effective_percentage: percentage,
        flat_amount: null,
        inclusive: given.inclusive,
        jurisdiction: given.jurisdiction ?? null,
        jurisdiction_level: null,
        livemode: false,
        metadata: p.mergeMetadata(null, given.metadata),
        percentage,
        rate_type: "percentage",
        state: given.state ?? null,
        tax_type: given.tax_type ?? null,
      } satisfies TaxRate);
      world.events.emit("tax_rate.created", rate);
      return rate;
    },
  ),
  route("GET", "/v1/tax_rates/:id", {}, (world, _, [id]) => find(world.taxRates, "tax rate", id)),
  route(
    "POST",
    "/v1/tax_rates/:id",
    { ...described, display_name: p.string({ max: 50 }) },
    (world, { metadata, ...given }, [id]) => {
      const before = find(world.taxRates, "tax rate", id);
      return world.change(
        world.taxRates,
        id,
        { ...given, metadata: p.mergeMetadata(before.metadata, metadata) },
        "tax_rate.updated",
      );
    },
  ),
  route(
    "GET",
    "/v1/tax_rates",
    { ...p.pagination, active: p.boolean(), created: p.range(), inclusive: p.boolean() },
    (world, given) => {
      const found = [...world.taxRates.values()].filter(
        (rate) =>
          (given.active === undefined || rate.active === given.active) &&
          (given.inclusive === undefined || rate.inclusive === given.inclusive) &&
          (!given.created || p.inRange(rate.created, given.created)),
      );
      return page(found, "/v1/tax_rates", "tax rate", given);
    },
  ),
];
