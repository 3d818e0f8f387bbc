// /v1/disputes: what customers had their banks take back, and what is answered to it.
import { acceptDispute, updateDispute } from "../engine/dispute";
import { invalidRequest, missingResource } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

const MAX_EVIDENCE_CHARACTERS = 150_000;

const text = p.emptyable(p.string({ max: 20_000 }));
/** The id of an uploaded file. Files are not served, so none exists: only taking one away can be right. */
const file: p.Spec<string | null> = {
  parse(raw, path) {
    const id = p.emptyable(p.string()).parse(raw, path);
    if (id !== null) throw missingResource("file upload", id, path);
    return id;
  },
};

const evidence = p.object({
  access_activity_log: text,
  billing_address: text,
  cancellation_policy: file,
  cancellation_policy_disclosure: text,
  cancellation_rebuttal: text,
  customer_communication: file,
  customer_email_address: text,
  customer_name: text,
  customer_purchase_ip: text,
  customer_signature: file,
  duplicate_charge_documentation: file,
  duplicate_charge_explanation: text,
  duplicate_charge_id: text,
  product_description: text,
  receipt: file,
  refund_policy: file,
  refund_policy_disclosure: text,
  refund_refusal_explanation: text,
  service_date: text,
  service_documentation: file,
  shipping_address: text,
  shipping_carrier: text,
  shipping_date: text,
  shipping_documentation: file,
  shipping_tracking_number: text,
  uncategorized_file: file,
  uncategorized_text: text,
});

export const disputes: Route[] = [
  route("GET", "/v1/disputes/:id", {}, (world, _, [id]) => find(world.disputes, "dispute", id)),
  route(
    "POST",
    "/v1/disputes/:id",
    {
      evidence,
      intended_submission_method: p.oneOf("manual", "prefer_manual", "prefer_smart_disputes", "smart_disputes"),
      metadata: p.metadata(),
      submit: p.boolean(),
    },
    (world, given, [id]) => {
      const dispute = find(world.disputes, "dispute", id);
      const characters = Object.values(given.evidence ?? {}).reduce((sum, piece) => sum + (piece?.length ?? 0), 0);
      if (characters > MAX_EVIDENCE_CHARACTERS) {
        throw invalidRequest("The combined character count of all evidence is limited to 150,000.", "evidence");
      }
      const customer = world.charges.get(dispute.charge)?.customer ?? null;
      return world.onClockOf(customer, () =>
        updateDispute(world, dispute, {
          evidence: given.evidence,
          metadata: p.mergeMetadata(dispute.metadata, given.metadata),
          submit: given.submit,
          method: given.intended_submission_method,
        }),
      );
    },
  ),
  route("POST", "/v1/disputes/:id/close", {}, (world, _, [id]) => {
    const dispute = find(world.disputes, "dispute", id);
    const customer = world.charges.get(dispute.charge)?.customer ?? null;
    return world.onClockOf(customer, () => acceptDispute(world, dispute));
  }),
  route(
    "GET",
    "/v1/disputes",
    { ...p.pagination, charge: p.string(), created: p.range(), payment_intent: p.string() },
    (world, given) => {
      const among = given.charge
        ? world.disputes.by("charge", given.charge)
        : given.payment_intent
          ? world.disputes.by("payment_intent", given.payment_intent)
          : [...world.disputes.values()];
      const found = among.filter(
        (dispute) =>
          (!given.created || p.inRange(dispute.created, given.created)) &&
          (!given.payment_intent || dispute.payment_intent === given.payment_intent),
      );
      return page(found, "/v1/disputes", "dispute", given);
    },
  ),
];
