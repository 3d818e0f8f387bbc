// /v1/invoices made by hand: creating a draft, changing it, deleting it, sending it.
import { type DiscountSource, startDiscount } from "../engine/discounts";
import { createInvoice, refreshDraft } from "../engine/invoice-draft";
import { deleteItemsOf, pendingItems } from "../engine/invoice-items";
import { finalizeInvoice } from "../engine/invoicing";
import { settleWaiting, takeWaiting, waitingLines } from "../engine/subscription-ledger";
import { invalidRequest, missingResource } from "../errors";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Customer, Invoice, Subscription } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { automaticTax, discountList, readDiscounts } from "./money-params";
import { ownMethod } from "./subscription-params";
import { ratesBehind } from "./tax-rates";

const DAY = 86_400;

const draftShape = {
  auto_advance: p.boolean(),
  automatic_tax: automaticTax,
  collection_method: p.oneOf("charge_automatically", "send_invoice"),
  days_until_due: p.integer({ min: 0, max: 3650 }),
  default_payment_method: p.string(),
  default_tax_rates: p.emptyable(p.list(p.string())),
  description: p.emptyable(p.string({ max: 1500 })),
  discounts: discountList,
  due_date: p.integer(),
  effective_at: p.emptyable(p.integer()),
  footer: p.emptyable(p.string({ max: 5000 })),
  metadata: p.metadata(),
} satisfies p.Shape;

const createShape = {
  ...draftShape,
  currency: p.string({ max: 3 }),
  customer: p.required(p.string()),
  pending_invoice_items_behavior: p.oneOf("exclude", "include"),
  subscription: p.string(),
} satisfies p.Shape;

type Given = p.Params<typeof draftShape>;

/** When an invoice that is sent is due; null for one that is charged. */
function dueDateOf(world: World, given: Given, method: Invoice["collection_method"]): number | null | undefined {
  const dated = given.due_date !== undefined || given.days_until_due !== undefined;
  if (given.due_date !== undefined && given.days_until_due !== undefined) {
    throw invalidRequest("You may only specify one of these parameters: days_until_due, due_date.", "due_date");
  }
  if (dated && method !== "send_invoice") {
    throw invalidRequest(
      "You can only set `due_date` or `days_until_due` when `collection_method` is `send_invoice`.",
      given.due_date === undefined ? "days_until_due" : "due_date",
    );
  }
  if (given.due_date !== undefined && given.due_date < world.now()) {
    throw invalidRequest("The due date must be in the future.", "due_date");
  }
  return given.days_until_due === undefined ? given.due_date : world.now() + given.days_until_due * DAY;
}

/** Redeems discounts for an invoice; those that it has already may be named by their id. */
function redeemFor(world: World, invoice: Invoice, sources: DiscountSource[]): string[] {
  return sources.map((source, position) => {
    if (source.discount) {
      if (invoice.discounts.includes(source.discount)) return source.discount;
      throw missingResource("discount", source.discount, `discounts[${position}][discount]`);
    }
    const given = { customer: invoice.customer, currency: invoice.currency, subtotal: invoice.subtotal };
    const [redeemed] = readDiscounts(world, [source], given);
    if (!redeemed) throw missingResource("discount", "", `discounts[${position}]`);
    return startDiscount(world, redeemed, { customer: invoice.customer, invoice: invoice.id }).id;
  });
}

/** The subscription that an invoice is made for by hand: it takes up what waits for that one, and nothing else. */
function subscriptionOf(world: World, customer: Customer, given: p.Params<typeof createShape>): Subscription | null {
  if (given.subscription === undefined) return null;
  if (given.pending_invoice_items_behavior !== undefined) {
    throw invalidRequest(
      "You may only specify one of these parameters: pending_invoice_items_behavior, subscription.",
      "pending_invoice_items_behavior",
    );
  }
  const subscription = find(world.subscriptions, "subscription", given.subscription, "subscription");
  if (subscription.customer !== customer.id) {
    throw invalidRequest(`The subscription ${subscription.id} is not ${customer.id}'s.`, "subscription");
  }
  const items = pendingItems(world, customer.id, subscription.currency, subscription.id, true);
  if (items.length > 0 || waitingLines(world, subscription.id).length > 0) return subscription;
  throw invalidRequest("Nothing to invoice for subscription", "subscription", "invoice_no_subscription_line_items");
}

function create(world: World, customer: Customer, given: p.Params<typeof createShape>): Invoice {
  const now = world.now();
  const subscription = subscriptionOf(world, customer, given);
  const currency = (subscription?.currency ?? given.currency ?? customer.currency ?? "usd").toLowerCase();
  const method = given.collection_method ?? "charge_automatically";
  const dueDate = dueDateOf(world, given, method);
  if (method === "send_invoice" && dueDate === undefined) {
    throw invalidRequest(
      "Must specify `days_until_due` or `due_date` when `collection_method` is `send_invoice`.",
      "days_until_due",
      "parameter_missing",
    );
  }
  const advances = given.auto_advance ?? false;
  const lines = subscription ? takeWaiting(world, subscription.id) : [];
  const draft = createInvoice(
    world,
    {
      customer: customer.id,
      currency,
      billingReason: "manual",
      lines,
      ...(subscription && { subscription }),
      periodStart: now,
      periodEnd: now,
      metadata: p.mergeMetadata(null, given.metadata),
      description: given.description ?? null,
      footer: given.footer ?? null,
      defaultPaymentMethod: ownMethod(world, customer, given.default_payment_method),
      autoAdvance: advances,
      automaticTax: given.automatic_tax?.enabled,
      defaultTaxRates: ratesBehind(world, given.default_tax_rates, "default_tax_rates"),
      collectionMethod: method,
      dueDate: dueDate ?? null,
      takesItems: subscription ? "its own" : given.pending_invoice_items_behavior === "include",
    },
    advances ? now + world.options.draftSeconds : null,
  );
  settleWaiting(world, lines, draft.id);
  if (given.effective_at) world.invoices.patch(draft.id, { effective_at: given.effective_at });
  if (!given.discounts?.length) return find(world.invoices, "invoice", draft.id);
  world.invoices.patch(draft.id, { discounts: redeemFor(world, draft, given.discounts) });
  return refreshDraft(world, draft.id);
}

/** What may change while an invoice is a draft. */
function draftChanges(world: World, invoice: Invoice, given: Given): Partial<Invoice> {
  const customer = find(world.customers, "customer", invoice.customer ?? "", "customer");
  const method = given.collection_method ?? invoice.collection_method;
  const dueDate = dueDateOf(world, given, method);
  return {
    collection_method: method,
    ...(dueDate !== undefined && { due_date: dueDate }),
    ...(given.default_payment_method && {
      default_payment_method: ownMethod(world, customer, given.default_payment_method),
    }),
    ...(given.effective_at !== undefined && { effective_at: given.effective_at }),
    ...(given.footer !== undefined && { footer: given.footer }),
    ...(given.discounts !== undefined && { discounts: redeemFor(world, invoice, given.discounts ?? []) }),
    ...(given.automatic_tax && { automatic_tax: { ...invoice.automatic_tax, enabled: given.automatic_tax.enabled } }),
    ...(given.default_tax_rates !== undefined && {
      default_tax_rates: ratesBehind(world, given.default_tax_rates, "default_tax_rates"),
    }),
  };
}

/** What may still change once an invoice is finalized. */
const ALWAYS = new Set(["auto_advance", "default_payment_method", "description", "metadata"]);

function update(world: World, id: string, given: Given): Invoice {
  const invoice = find(world.invoices, "invoice", id);
  const frozen = Object.keys(given).find((key) => !ALWAYS.has(key));
  if (invoice.status !== "draft" && frozen) {
    throw invalidRequest(
      `Finalized invoices can't be updated in this way: \`${frozen}\`.`,
      frozen,
      "invoice_not_editable",
    );
  }
  const before = world.events.snapshot(invoice);
  world.invoices.patch(id, {
    ...(given.auto_advance !== undefined && { auto_advance: given.auto_advance }),
    ...(given.description !== undefined && { description: given.description }),
    metadata: p.mergeMetadata(invoice.metadata, given.metadata),
    ...(invoice.status === "draft" && draftChanges(world, invoice, given)),
  });
  if (invoice.status === "draft") {
    refreshDraft(world, id);
    if (given.auto_advance !== undefined && !invoice.parent?.subscription_details) planFinalization(world, id);
  }
  const after = find(world.invoices, "invoice", id);
  world.events.emit("invoice.updated", after, before);
  return after;
}

/** A draft that advances by itself is finalized after an hour. */
function planFinalization(world: World, id: string): void {
  const { auto_advance: advances, customer } = find(world.invoices, "invoice", id);
  const at = advances ? world.now() + world.options.draftSeconds : null;
  world.invoices.patch(id, { automatically_finalizes_at: at });
  world.scheduler.plan("invoice.finalize", id, at, world.clockOf(customer));
}

export const invoiceDrafts: Route[] = [
  route("POST", "/v1/invoices", createShape, (world, given) => {
    const customer = find(world.customers, "customer", given.customer, "customer");
    return world.onClockOf(customer.id, () => create(world, customer, given));
  }),
  route("POST", "/v1/invoices/:id", draftShape, (world, given, [id]) => {
    const { customer } = find(world.invoices, "invoice", id);
    return world.onClockOf(customer, () => update(world, id, given));
  }),
  route("DELETE", "/v1/invoices/:id", {}, (world, _, [id]) => {
    const draft = find(world.invoices, "invoice", id);
    if (draft.status !== "draft") throw invalidRequest("You can only delete draft invoices.");
    if (draft.parent?.subscription_details) {
      throw invalidRequest("You can't delete invoices created by subscriptions.");
    }
    return world.onClockOf(draft.customer, () => {
      world.scheduler.forget(id);
      deleteItemsOf(world, draft);
      world.events.emit("invoice.deleted", draft);
      for (const line of world.lines.by("invoice", id)) world.lines.remove(line.id);
      world.invoices.remove(id);
      return { id, object: "invoice", deleted: true };
    });
  }),
  route("POST", "/v1/invoices/:id/send", {}, (world, _, [id]) => {
    const invoice = find(world.invoices, "invoice", id);
    if (invoice.collection_method !== "send_invoice") {
      throw invalidRequest("You can only send invoices whose `collection_method` is `send_invoice`.");
    }
    return world.onClockOf(invoice.customer, () => {
      const open = invoice.status === "draft" ? finalizeInvoice(world, id) : invoice;
      if (open.status !== "open") throw invalidRequest(`You can't send an invoice that is ${open.status}.`);
      world.events.emit("invoice.sent", open);
      return open;
    });
  }),
];
