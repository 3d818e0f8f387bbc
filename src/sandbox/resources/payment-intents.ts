// /v1/payment_intents

import { attach, findPaymentMethod } from "../engine/cards";
import { declined, settle } from "../engine/invoicing";
import { cancelIntent, confirmIntent, createIntent } from "../engine/payment";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { PaymentIntent } from "../types";
import type { World } from "../world";
import { find } from "./find";

function confirm(world: World, id: string, methodId: string | undefined, offSession: boolean): PaymentIntent {
  const intent = find(world.paymentIntents, "payment_intent", id);
  if (!["requires_payment_method", "requires_confirmation", "requires_action"].includes(intent.status)) {
    throw invalidRequest(
      `This PaymentIntent's status is ${intent.status}, so it cannot be confirmed.`,
      undefined,
      "payment_intent_unexpected_state",
    );
  }
  const wanted = methodId ?? intent.payment_method;
  if (!wanted) {
    throw invalidRequest(
      "You cannot confirm this PaymentIntent because it's missing a payment method. Update the PaymentIntent with a payment method and then confirm it again.",
      undefined,
      "payment_intent_unexpected_state",
    );
  }
  const method = findPaymentMethod(world, wanted);
  if (!method) throw missingResource("PaymentMethod", wanted, "payment_method");
  const outcome = confirmIntent(world, id, method, { offSession });
  const invoice = world.invoicePayments.by("payment_intent", id).find(({ status }) => status === "open");
  if (invoice) settle(world, invoice.invoice, outcome);
  if (outcome.kind === "failed") throw declined(outcome.failure, outcome.charge?.id);
  const customer = intent.customer ? world.customers.get(intent.customer) : undefined;
  const taken = outcome.kind === "succeeded" || outcome.kind === "processing";
  if (taken && customer && intent.setup_future_usage && !method.customer) attach(world, method.id, customer);
  return find(world.paymentIntents, "payment_intent", id);
}

const confirmable = {
  payment_method: p.string(),
  off_session: p.boolean(),
  return_url: p.url(),
} satisfies p.Shape;

export const paymentIntents: Route[] = [
  route(
    "POST",
    "/v1/payment_intents",
    {
      ...confirmable,
      amount: p.required(p.integer({ min: 1, max: 99_999_999 })),
      currency: p.required(p.string({ max: 3 })),
      automatic_payment_methods: p.accepted(),
      confirm: p.boolean(),
      customer: p.string(),
      description: p.string(),
      metadata: p.metadata(),
      payment_method_types: p.list(p.oneOf("card", "us_bank_account", "sepa_debit")),
      receipt_email: p.email(),
      setup_future_usage: p.oneOf("off_session", "on_session"),
    },
    (world, given) => {
      if (given.customer) find(world.customers, "customer", given.customer, "customer");
      return world.onClockOf(given.customer ?? null, () => {
        const intent = createIntent(world, {
          amount: given.amount,
          currency: given.currency.toLowerCase(),
          customer: given.customer ?? null,
          description: given.description,
          metadata: p.mergeMetadata(null, given.metadata),
          setupFutureUsage: given.setup_future_usage ?? null,
          receiptEmail: given.receipt_email ?? null,
          types: given.payment_method_types,
        });
        if (given.confirm) return confirm(world, intent.id, given.payment_method, given.off_session ?? false);
        if (!given.payment_method) return intent;
        const method = findPaymentMethod(world, given.payment_method);
        if (!method) throw missingResource("PaymentMethod", given.payment_method, "payment_method");
        return world.paymentIntents.patch(intent.id, { payment_method: method.id, status: "requires_confirmation" });
      });
    },
  ),
  route("GET", "/v1/payment_intents/:id", { client_secret: p.string() }, (world, _, [id]) =>
    find(world.paymentIntents, "payment_intent", id),
  ),
  route(
    "POST",
    "/v1/payment_intents/:id",
    { description: p.emptyable(p.string()), metadata: p.metadata(), receipt_email: p.emptyable(p.email()) },
    (world, given, [id]) => {
      const { metadata } = find(world.paymentIntents, "payment_intent", id);
      return world.paymentIntents.patch(id, { ...given, metadata: p.mergeMetadata(metadata, given.metadata) });
    },
  ),
  route("POST", "/v1/payment_intents/:id/confirm", confirmable, (world, given, [id]) => {
    const { customer } = find(world.paymentIntents, "payment_intent", id);
    return world.onClockOf(customer, () => confirm(world, id, given.payment_method, given.off_session ?? false));
  }),
  route(
    "POST",
    "/v1/payment_intents/:id/cancel",
    { cancellation_reason: p.oneOf("abandoned", "duplicate", "fraudulent", "requested_by_customer") },
    (world, given, [id]) => {
      const intent = find(world.paymentIntents, "payment_intent", id);
      const canceled = world.onClockOf(intent.customer, () =>
        cancelIntent(world, id, given.cancellation_reason ?? null),
      );
      if (canceled) return canceled;
      throw invalidRequest(
        `You cannot cancel this PaymentIntent because it has a status of ${intent.status}.`,
        undefined,
        "payment_intent_unexpected_state",
      );
    },
  ),
  route("GET", "/v1/payment_intents", { ...p.pagination, created: p.range(), customer: p.string() }, (world, given) => {
    const among = given.customer
      ? world.paymentIntents.by("customer", given.customer)
      : [...world.paymentIntents.values()];
    const found = among.filter((intent) => !given.created || p.inRange(intent.created, given.created));
    return page(found, "/v1/payment_intents", "payment_intent", given);
  }),
];
