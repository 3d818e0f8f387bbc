// /v1/refunds

import { refundCharge } from "../engine/refund";
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
];
