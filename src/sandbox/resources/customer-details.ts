// What belongs to a customer: tax ids (also at /v1/tax_ids), balance transactions, the discount.
import { enterBalance } from "../engine/customer-balance";
import { addTaxId, removeTaxId, TAX_ID_TYPES } from "../engine/tax-ids";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { CustomerBalanceTransaction, TaxId } from "../types";
import type { World } from "../world";
import { find } from "./find";

export const taxIdShape = {
  type: p.required(p.oneOf(...TAX_ID_TYPES)),
  value: p.required(p.string()),
} satisfies p.Shape;

const owner = p.object({ type: p.required(p.oneOf("customer")), customer: p.required(p.string()) });

function taxIdOf(world: World, customer: string, id: string): TaxId {
  find(world.customers, "customer", customer);
  const taxId = find(world.taxIds, "tax_id", id);
  if (taxId.customer !== customer) throw missingResource("tax_id", id);
  return taxId;
}

function entryOf(world: World, customer: string, id: string): CustomerBalanceTransaction {
  find(world.customers, "customer", customer);
  const entry = find(world.customerBalanceTransactions, "customer_balance_transaction", id);
  if (entry.customer !== customer) throw missingResource("customer_balance_transaction", id);
  return entry;
}

const taxIds: Route[] = [
  route("POST", "/v1/customers/:id/tax_ids", taxIdShape, (world, given, [id]) => {
    find(world.customers, "customer", id);
    return world.onClockOf(id, () => addTaxId(world, id, given));
  }),
  route("GET", "/v1/customers/:id/tax_ids", p.pagination, (world, given, [id]) => {
    find(world.customers, "customer", id);
    return page(world.taxIds.by("customer", id), `/v1/customers/${id}/tax_ids`, "tax_id", given);
  }),
  route("GET", "/v1/customers/:id/tax_ids/:tax_id", {}, (world, _, [id, taxId = ""]) => taxIdOf(world, id, taxId)),
  route("DELETE", "/v1/customers/:id/tax_ids/:tax_id", {}, (world, _, [id, taxId = ""]) =>
    removeTaxId(world, taxIdOf(world, id, taxId)),
  ),
  route("POST", "/v1/tax_ids", { ...taxIdShape, owner: p.required(owner) }, (world, given) => {
    const { id } = find(world.customers, "customer", given.owner.customer, "owner[customer]");
    return world.onClockOf(id, () => addTaxId(world, id, given));
  }),
  route("GET", "/v1/tax_ids", { ...p.pagination, owner: p.required(owner) }, (world, given) =>
    page(world.taxIds.by("customer", given.owner.customer), "/v1/tax_ids", "tax_id", given),
  ),
  route("GET", "/v1/tax_ids/:id", {}, (world, _, [id]) => find(world.taxIds, "tax_id", id)),
  route("DELETE", "/v1/tax_ids/:id", {}, (world, _, [id]) => removeTaxId(world, find(world.taxIds, "tax_id", id))),
];

const balance: Route[] = [
  route(
    "POST",
    "/v1/customers/:id/balance_transactions",
    {
      amount: p.required(p.integer()),
      currency: p.required(p.string({ max: 3 })),
      description: p.emptyable(p.string({ max: 350 })),
      metadata: p.metadata(),
    },
    (world, given, [id]) => {
      const customer = find(world.customers, "customer", id);
      const currency = given.currency.toLowerCase();
      if (customer.currency && customer.currency !== currency) {
        throw invalidRequest(
          `The currency of the balance transaction (${currency}) does not match the customer's (${customer.currency}).`,
          "currency",
        );
      }
      const entry = world.onClockOf(id, () =>
        enterBalance(world, {
          customer: id,
          amount: given.amount,
          currency,
          type: "adjustment",
          description: given.description,
          metadata: p.mergeMetadata(null, given.metadata),
        }),
      );
      if (!entry) throw invalidRequest("The amount must not be zero.", "amount", "parameter_invalid_integer");
      return entry;
    },
  ),
  route(
    "GET",
    "/v1/customers/:id/balance_transactions",
    { ...p.pagination, created: p.range(), invoice: p.string() },
    (world, given, [id]) => {
      find(world.customers, "customer", id);
      const found = world.customerBalanceTransactions
        .by("customer", id)
        .filter(
          (entry) =>
            (!given.created || p.inRange(entry.created, given.created)) &&
            (!given.invoice || entry.invoice === given.invoice),
        );
      return page(found, `/v1/customers/${id}/balance_transactions`, "customer_balance_transaction", given);
    },
  ),
  route("GET", "/v1/customers/:id/balance_transactions/:entry", {}, (world, _, [id, entry = ""]) =>
    entryOf(world, id, entry),
  ),
  route(
    "POST",
    "/v1/customers/:id/balance_transactions/:entry",
    { description: p.emptyable(p.string({ max: 350 })), metadata: p.metadata() },
    (world, given, [id, entryId = ""]) => {
      const entry = entryOf(world, id, entryId);
      return world.customerBalanceTransactions.patch(entryId, {
        ...(given.description !== undefined && { description: given.description }),
        metadata: p.mergeMetadata(entry.metadata, given.metadata),
      });
    },
  ),
];

const discount: Route[] = [
  // Stripe's API of today has no way to give a customer a discount: there never is one to take away.
  route("DELETE", "/v1/customers/:id/discount", {}, (world, _, [id]) => {
    find(world.customers, "customer", id);
    throw invalidRequest(`No active discount for customer: ${id}`, undefined, "resource_missing");
  }),
];

export const customerDetails: Route[] = [...taxIds, ...balance, ...discount];
