// /v1/refunds

import { changeRefund, refundCharge } from "../engine/refund";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

export const refunds: Route[] = [
  route(
    "POST",
    "/v1/refunds",
    {
      amount: p.integer({ min: 1 }),
      charge: p.string(),
      instructions_email: p.string(),
      metadata: p.metadata(),
      payment_intent: p.string(),
      reason: p.oneOf("duplicate", "fraudulent", "requested_by_customer"),
    },
    (world, given) => {
      const intent = given.payment_intent
        ? find(world.paymentIntents, "payment_intent", given.payment_intent, "payment_intent")
        : null;
      if (given.charge && intent) {
        throw invalidRequest("You may only specify one of these parameters: charge, payment_intent.");
      }
      if (intent && intent.status !== "succeeded") {
        throw invalidRequest(
          `This PaymentIntent (${intent.id}) does not have a successful charge to refund.`,
          "payment_intent",
        );
      }
      const chargeId = given.charge ?? intent?.latest_charge;
      if (!chargeId) {
        throw invalidRequest(
          "One of the following params should be provided for this request: payment_intent or charge.",
        );
      }
      const charge = find(world.charges, "charge", chargeId);
      const metadata = p.mergeMetadata(null, given.metadata);
      return world.onClockOf(charge.customer, () =>
        refundCharge(world, charge, { amount: given.amount, reason: given.reason, metadata }),
      );
    },
  ),
  route("GET", "/v1/refunds/:id", {}, (world, _, [id]) => find(world.refunds, "refund", id)),
  route("POST", "/v1/refunds/:id", { metadata: p.metadata() }, (world, given, [id]) => {
    const refund = find(world.refunds, "refund", id);
    return changeRefund(world, refund, { metadata: p.mergeMetadata(refund.metadata, given.metadata) });
  }),
  // Refunds that wait for an action of the customer can be canceled. Refunds of cards never do.
  route("POST", "/v1/refunds/:id/cancel", {}, (world, _, [id]) => {
    find(world.refunds, "refund", id);
    throw invalidRequest("Canceling this refund is unsupported.");
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
      const found = among.filter(
        (refund) =>
          (!given.created || p.inRange(refund.created, given.created)) &&
          (!given.payment_intent || refund.payment_intent === given.payment_intent),
      );
      return page(found, "/v1/refunds", "refund", given);
    },
  ),
];
