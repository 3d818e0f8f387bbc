// /v1/invoices

import { findPaymentMethod } from "../engine/cards";
import {
  attemptPayment,
  declined,
  finalizeInvoice,
  markPaid,
  markUncollectible,
  type PayOutcome,
  voidInvoice,
} from "../engine/invoicing";
import { invalidRequest } from "../errors";
import { page, pageInOrder } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Invoice } from "../types";
import type { World } from "../world";
import { find } from "./find";

function answerOf(world: World, id: string, outcome: PayOutcome): Invoice {
  if (outcome.kind === "failed") throw declined(outcome.failure, outcome.charge?.id);
  if (outcome.kind === "requires_action") {
    throw declined({
      code: "invoice_payment_intent_requires_action",
      message: "This payment requires additional user action before it can be completed successfully.",
    });
  }
  if (outcome.kind === "no_payment_method") {
    throw invalidRequest(
      "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
      undefined,
      "resource_missing",
    );
  }
  return find(world.invoices, "invoice", id);
}

export const invoices: Route[] = [
  route("GET", "/v1/invoices/:id", {}, (world, _, [id]) => find(world.invoices, "invoice", id)),
  route("POST", "/v1/invoices/:id/finalize", { auto_advance: p.boolean() }, (world, given, [id]) => {
    const invoice = find(world.invoices, "invoice", id);
    return world.onClockOf(invoice.customer, () => {
      if (given.auto_advance !== undefined) world.invoices.patch(id, { auto_advance: given.auto_advance });
      return finalizeInvoice(world, id);
    });
  }),
  route(
    "POST",
    "/v1/invoices/:id/pay",
    {
      forgive: p.boolean(),
      off_session: p.boolean(),
      paid_out_of_band: p.boolean(),
      payment_method: p.string(),
    },
    (world, given, [id]) => {
      const invoice = find(world.invoices, "invoice", id);
      return world.onClockOf(invoice.customer, () => {
        const open = invoice.status === "draft" ? finalizeInvoice(world, id) : invoice;
        if (open.status === "paid" && invoice.status === "draft") return open;
        if (open.status === "paid") throw invalidRequest("Invoice is already paid");
        if (open.status !== "open" && open.status !== "uncollectible") {
          throw invalidRequest(`You can't pay an invoice that is ${open.status}.`);
        }
        if (given.paid_out_of_band) return markPaid(world, id, true);
        const method = given.payment_method ? findPaymentMethod(world, given.payment_method) : null;
        if (given.payment_method && !method)
          find(world.paymentMethods, "PaymentMethod", given.payment_method, "payment_method");
        const outcome = attemptPayment(world, id, { paymentMethod: method, offSession: given.off_session ?? true });
        return answerOf(world, id, outcome);
      });
    },
  ),
  route("POST", "/v1/invoices/:id/void", {}, (world, _, [id]) => {
    const invoice = find(world.invoices, "invoice", id);
    if (invoice.status !== "open" && invoice.status !== "uncollectible") {
      throw invalidRequest(`You can only pass in open or uncollectible invoices. This invoice is ${invoice.status}.`);
    }
    return world.onClockOf(invoice.customer, () => voidInvoice(world, id));
  }),
  route("POST", "/v1/invoices/:id/mark_uncollectible", {}, (world, _, [id]) => {
    const invoice = find(world.invoices, "invoice", id);
    if (invoice.status !== "open")
      throw invalidRequest(`You can only mark open invoices. This invoice is ${invoice.status}.`);
    return world.onClockOf(invoice.customer, () => markUncollectible(world, id));
  }),
  route("GET", "/v1/invoices/:id/lines", p.pagination, (world, given, [id]) => {
    find(world.invoices, "invoice", id);
    return pageInOrder(world.lines.by("invoice", id), `/v1/invoices/${id}/lines`, "line_item", given);
  }),
  route(
    "GET",
    "/v1/invoices",
    {
      ...p.pagination,
      collection_method: p.oneOf("charge_automatically", "send_invoice"),
      created: p.range(),
      customer: p.string(),
      due_date: p.range(),
      status: p.oneOf("draft", "open", "paid", "uncollectible", "void"),
      subscription: p.string(),
    },
    (world, given) => {
      const among = given.subscription
        ? world.invoices.by("subscription", given.subscription)
        : given.customer
          ? world.invoices.by("customer", given.customer)
          : [...world.invoices.values()];
      const found = among.filter(
        (invoice) =>
          (!given.collection_method || invoice.collection_method === given.collection_method) &&
          (!given.created || p.inRange(invoice.created, given.created)) &&
          (!given.customer || invoice.customer === given.customer) &&
          (!given.due_date || (invoice.due_date !== null && p.inRange(invoice.due_date, given.due_date))) &&
          (!given.status || invoice.status === given.status),
      );
      return page(found, "/v1/invoices", "invoice", given);
    },
  ),
];
