// /v1/charges: what payments did.

import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

export const charges: Route[] = [
  route("GET", "/v1/charges/:id", {}, (world, _, [id]) => find(world.charges, "charge", id)),
  route(
    "POST",
    "/v1/charges/:id",
    { description: p.emptyable(p.string()), metadata: p.metadata(), receipt_email: p.emptyable(p.email()) },
    (world, given, [id]) => {
      const { metadata } = find(world.charges, "charge", id);
      return world.change(
        world.charges,
        id,
        { ...given, metadata: p.mergeMetadata(metadata, given.metadata) },
        "charge.updated",
      );
    },
  ),
  route("GET", "/v1/charges/:id/refunds", p.pagination, (world, given, [id]) => {
    find(world.charges, "charge", id);
    return page(world.refunds.by("charge", id), `/v1/charges/${id}/refunds`, "refund", given);
  }),
  route(
    "GET",
    "/v1/charges",
    { ...p.pagination, created: p.range(), customer: p.string(), payment_intent: p.string() },
    (world, given) => {
      const among = given.payment_intent
        ? world.charges.by("payment_intent", given.payment_intent)
        : given.customer
          ? world.charges.by("customer", given.customer)
          : [...world.charges.values()];
      const found = among.filter(
        (charge) =>
          (!given.created || p.inRange(charge.created, given.created)) &&
          (!given.customer || charge.customer === given.customer),
      );
      return page(found, "/v1/charges", "charge", given);
    },
  ),
];
