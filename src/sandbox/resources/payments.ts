// /v1/payment_intents, /v1/charges, /v1/refunds, /v1/setup_intents

import { attach, findPaymentMethod } from "../engine/cards";
import { declined, settle } from "../engine/invoicing";
import { cancelIntent, confirmIntent, createIntent } from "../engine/payment";
import { refundCharge } from "../engine/refund";
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
  if (outcome.kind === "succeeded" && customer && intent.setup_future_usage && !method.customer)
    attach(world, method.id, customer);
  return find(world.paymentIntents, "payment_intent", id);
}

const confirmable = {
  payment_method: p.string(),
  off_session: p.boolean(),
  return_url: p.url(),
} satisfies p.Shape;

export const payments: Route[] = [
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
      payment_method_types: p.accepted(),
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
  route(
    "POST",
    "/v1/refunds",
    {
      amount: p.integer({ min: 1 }),
      charge: p.string(),
      currency: p.string(),
      instructions_email: p.string(),
      metadata: p.metadata(),
      payment_intent: p.string(),
      reason: p.oneOf("duplicate", "fraudulent", "requested_by_customer"),
    },
    (world, given) => {
      const intent = given.payment_intent
        ? find(world.paymentIntents, "payment_intent", given.payment_intent, "payment_intent")
        : null;
      if (intent && !intent.latest_charge) {
        throw invalidRequest(
          `This PaymentIntent (${intent.id}) does not have a successful charge to refund.`,
          "payment_intent",
        );
      }
      const chargeId = given.charge ?? intent?.latest_charge;
      if (!chargeId) {
        throw invalidRequest(
          "One of the following params should be provided for this request: payment_intent or charge.",
          "charge",
          "parameter_missing",
        );
      }
      const charge = find(world.charges, "charge", chargeId, "charge");
      const metadata = p.mergeMetadata(null, given.metadata);
      return world.onClockOf(charge.customer, () =>
        refundCharge(world, charge, { amount: given.amount, reason: given.reason, metadata }),
      );
    },
  ),
  route("GET", "/v1/refunds/:id", {}, (world, _, [id]) => find(world.refunds, "refund", id)),
  route("POST", "/v1/refunds/:id", { metadata: p.metadata() }, (world, given, [id]) => {
    const { metadata } = find(world.refunds, "refund", id);
    return world.change(world.refunds, id, { metadata: p.mergeMetadata(metadata, given.metadata) }, "refund.updated");
  }),
  route(
    "GET",
    "/v1/refunds",
    { ...p.pagination, charge: p.string(), created: p.range(), payment_intent: p.string() },
    (world, given) => {
      const among = given.charge
        ? world.refunds.by("charge", given.charge)
        : given.payment_intent
          ? world.refunds.by("payment_intent", given.payment_intent)
          : [...world.refunds.values()];
      const found = among.filter((refund) => !given.created || p.inRange(refund.created, given.created));
      return page(found, "/v1/refunds", "refund", given);
    },
  ),
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
