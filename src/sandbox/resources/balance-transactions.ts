// /v1/balance_transactions: what moved the account's money.
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

export const balanceTransactions: Route[] = [
  route("GET", "/v1/balance_transactions/:id", {}, (world, _, [id]) =>
    find(world.balanceTransactions, "balance_transaction", id),
  ),
  route(
    "GET",
    "/v1/balance_transactions",
    { ...p.pagination, created: p.range(), currency: p.string(), source: p.string(), type: p.string() },
    (world, given) => {
      const among = given.source
        ? world.balanceTransactions.by("source", given.source)
        : [...world.balanceTransactions.values()];
      const found = among.filter(
        (entry) =>
          (!given.created || p.inRange(entry.created, given.created)) &&
          (!given.currency || entry.currency === given.currency.toLowerCase()) &&
          (!given.type || entry.type === given.type),
      );
      return page(found, "/v1/balance_transactions", "balance_transaction", given);
    },
  ),
];
