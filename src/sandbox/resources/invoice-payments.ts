// /v1/invoice_payments: which payment pays which invoice.

import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";

export const invoicePayments: Route[] = [
  route("GET", "/v1/invoice_payments/:id", {}, (world, _, [id]) => find(world.invoicePayments, "invoice_payment", id)),
  route(
    "GET",
    "/v1/invoice_payments",
    {
      ...p.pagination,
      created: p.range(),
      invoice: p.string(),
      payment: p.object({ type: p.required(p.oneOf("payment_intent", "payment_record")), payment_intent: p.string() }),
      status: p.oneOf("canceled", "open", "paid"),
    },
    (world, given) => {
      const among = given.invoice
        ? world.invoicePayments.by("invoice", given.invoice)
        : given.payment?.payment_intent
          ? world.invoicePayments.by("payment_intent", given.payment.payment_intent)
          : [...world.invoicePayments.values()];
      const found = among.filter(
        (payment) =>
          (!given.created || p.inRange(payment.created, given.created)) &&
          (!given.payment || payment.payment.type === given.payment.type) &&
          (!given.payment?.payment_intent || payment.payment.payment_intent === given.payment.payment_intent) &&
          (!given.status || payment.status === given.status),
      );
      return page(found, "/v1/invoice_payments", "invoice_payment", given);
    },
  ),
];
