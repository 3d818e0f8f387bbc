// /v1/setup_intents: cards that were saved without paying.

import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

export const setupIntents: Route[] = [
  route("GET", "/v1/setup_intents/:id", { client_secret: p.string() }, (world, _, [id]) =>
    find(world.setupIntents, "setup_intent", id),
  ),
  route(
    "GET",
    "/v1/setup_intents",
    { ...p.pagination, created: p.range(), customer: p.string(), payment_method: p.string() },
    (world, given) => {
      const found = [...world.setupIntents.values()].filter(
        (intent) =>
          (!given.created || p.inRange(intent.created, given.created)) &&
          (!given.customer || intent.customer === given.customer) &&
          (!given.payment_method || intent.payment_method === given.payment_method),
      );
      return page(found, "/v1/setup_intents", "setup_intent", given);
    },
  ),
];
