// /v1/payment_methods: cards, made from test numbers or Stripe's ready-made names.

import { type DebitType, newBankMethod, readAccount } from "../engine/bank-accounts";
import { attach, cardBehind, findPaymentMethod, newPaymentMethod, passesLuhn } from "../engine/cards";
import { declined } from "../engine/invoicing";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { World } from "../world";
import { find } from "./find";

const billingDetails = p.object({
  address: p.emptyable(p.address),
  email: p.emptyable(p.email()),
  name: p.emptyable(p.string()),
  phone: p.emptyable(p.string()),
});

function ownedBy(world: World, customer: string | undefined) {
  return customer ? world.paymentMethods.by("customer", customer) : [...world.paymentMethods.values()];
}

interface GivenAccount {
  billing_details?: { name?: string | null; email?: string | null };
  metadata?: p.MetadataPatch;
  sepa_debit?: { iban: string };
  us_bank_account?: { account_number: string };
}

function makeBankMethod(world: World, type: DebitType, given: GivenAccount) {
  const typed = type === "sepa_debit" ? given.sepa_debit?.iban : given.us_bank_account?.account_number;
  if (typed === undefined) throw invalidRequest(`Missing required param: ${type}.`, type, "parameter_missing");
  return newBankMethod(world, readAccount(type, typed), {
    name: given.billing_details?.name,
    email: given.billing_details?.email,
    metadata: p.mergeMetadata(null, given.metadata),
  });
}

export const paymentMethods: Route[] = [
  route(
    "POST",
    "/v1/payment_methods",
    {
      type: p.required(p.oneOf("card", "us_bank_account", "sepa_debit")),
      billing_details: billingDetails,
      card: p.object({
        cvc: p.string({ max: 4 }),
        exp_month: p.integer({ min: 1, max: 12 }),
        exp_year: p.integer({ min: 1 }),
        number: p.string({ max: 23 }),
        token: p.string(),
      }),
      metadata: p.metadata(),
      sepa_debit: p.object({ iban: p.required(p.string()) }),
      us_bank_account: p.object({
        account_holder_type: p.oneOf("individual", "company"),
        account_number: p.required(p.string()),
        account_type: p.oneOf("checking", "savings"),
        routing_number: p.required(p.string()),
      }),
    },
    (world, given) => {
      if (given.type !== "card") return makeBankMethod(world, given.type, given);
      const token = given.card?.token;
      const ready = token && findPaymentMethod(world, token.replace(/^tok_/, "pm_card_"));
      if (ready) return ready;
      if (token) throw missingResource("token", token, "card[token]");
      const number = given.card?.number?.replaceAll(/[ -]/g, "");
      if (!number) throw invalidRequest("Missing required param: card[number].", "card[number]", "parameter_missing");
      if (!passesLuhn(number)) throw declined({ code: "incorrect_number", message: "Your card number is incorrect." });
      return newPaymentMethod(
        world,
        { number, expMonth: given.card?.exp_month, expYear: given.card?.exp_year },
        {
          name: given.billing_details?.name,
          email: given.billing_details?.email,
          metadata: p.mergeMetadata(null, given.metadata),
        },
      );
    },
  ),
  route("GET", "/v1/payment_methods/:id", {}, (world, _, [id]) => find(world.paymentMethods, "PaymentMethod", id)),
  route(
    "POST",
    "/v1/payment_methods/:id",
    {
      billing_details: billingDetails,
      card: p.object({ exp_month: p.integer({ min: 1, max: 12 }), exp_year: p.integer() }),
      metadata: p.metadata(),
    },
    (world, given, [id]) => {
      const method = find(world.paymentMethods, "PaymentMethod", id);
      const { address: _, ...details } = given.billing_details ?? {};
      return world.change(
        world.paymentMethods,
        id,
        {
          billing_details: { ...method.billing_details, ...details },
          ...(method.card && { card: { ...method.card, ...given.card } }),
          metadata: p.mergeMetadata(method.metadata, given.metadata),
        },
        "payment_method.updated",
      );
    },
  ),
  route("POST", "/v1/payment_methods/:id/attach", { customer: p.required(p.string()) }, (world, given, [id]) => {
    const customer = find(world.customers, "customer", given.customer, "customer");
    return world.onClockOf(customer.id, () => {
      const method = findPaymentMethod(world, id);
      if (!method) throw missingResource("PaymentMethod", id);
      if (method.customer && method.customer !== customer.id) {
        throw invalidRequest(
          "This PaymentMethod is already attached to another customer.",
          undefined,
          "payment_method_unexpected_state",
        );
      }
      const failure = cardBehind(world, method.id).declines;
      if (failure) throw declined(failure);
      return method.customer ? method : attach(world, method.id, customer);
    });
  }),
  route("POST", "/v1/payment_methods/:id/detach", {}, (world, _, [id]) => {
    const method = find(world.paymentMethods, "PaymentMethod", id);
    const customer = method.customer ? world.customers.get(method.customer) : undefined;
    if (!customer) {
      throw invalidRequest(
        "The payment method you provided is not attached to a customer so detachment is impossible.",
      );
    }
    return world.onClockOf(customer.id, () => {
      const before = world.events.snapshot(method);
      const detached = world.paymentMethods.patch(id, { customer: null });
      world.events.emit("payment_method.detached", detached, before);
      if (customer.invoice_settings.default_payment_method === id) {
        const settings = { ...customer.invoice_settings, default_payment_method: null };
        world.change(world.customers, customer.id, { invoice_settings: settings }, "customer.updated");
      }
      for (const subscription of world.subscriptions.by("customer", customer.id)) {
        if (subscription.default_payment_method !== id) continue;
        world.change(
          world.subscriptions,
          subscription.id,
          { default_payment_method: null },
          "customer.subscription.updated",
        );
      }
      return detached;
    });
  }),
  route(
    "GET",
    "/v1/payment_methods",
    {
      ...p.pagination,
      customer: p.string(),
      type: p.string(),
      allow_redisplay: p.oneOf("always", "limited", "unspecified"),
    },
    (world, given) => {
      if (given.customer) find(world.customers, "customer", given.customer, "customer");
      const found = ownedBy(world, given.customer).filter(
        (method) =>
          (!given.type || method.type === given.type) &&
          (!given.allow_redisplay || method.allow_redisplay === given.allow_redisplay),
      );
      return page(found, "/v1/payment_methods", "payment_method", given);
    },
  ),
  route("GET", "/v1/customers/:id/payment_methods", { ...p.pagination, type: p.string() }, (world, given, [id]) => {
    find(world.customers, "customer", id);
    const found = ownedBy(world, id).filter((method) => !given.type || method.type === given.type);
    return page(found, `/v1/customers/${id}/payment_methods`, "payment_method", given);
  }),
  route("GET", "/v1/customers/:id/payment_methods/:method", {}, (world, _, [id, methodId = ""]) => {
    find(world.customers, "customer", id);
    const method = find(world.paymentMethods, "PaymentMethod", methodId);
    if (method.customer !== id) throw missingResource("PaymentMethod", methodId);
    return method;
  }),
];
