// Invoice items: what a customer is asked for besides subscriptions. They wait for the next invoice, or stand on a draft.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import { amountOf, unitAmountOf } from "../money";
import type { Invoice, InvoiceItem, InvoiceLine, Metadata, Price } from "../types";
import type { World } from "../world";
import { line } from "./lines";

/** What an item asks for: an amount as it is, or a quantity of a price or of a unit amount. In minor units. */
export interface Asked {
  amount?: number;
  price?: Price;
  unitAmountDecimal?: string;
  quantity?: number;
}

export interface NewInvoiceItem extends Asked {
  customer: string;
  currency: string;
  description?: string | null;
  discountable?: boolean;
  metadata?: Metadata;
  period?: { start: number; end: number };
  subscription?: string | null;
  /** A draft on which it stands at once; null: it waits. */
  invoice?: string | null;
}

/** The fields of an item that follow from what it asks for. */
function reckon(given: Asked, currency: string) {
  const quantity = given.quantity ?? 1;
  const unit = given.price ? unitAmountOf(given.price, currency) : given.unitAmountDecimal;
  const amount = given.price ? amountOf(given.price, currency, quantity) : Math.round(Number(unit ?? 0) * quantity);
  const whole = unit === undefined ? (given.amount ?? 0) : amount;
  return {
    amount: whole,
    net_amount: whole,
    pricing: {
      ...(given.price && { price_details: { price: given.price.id, product: given.price.product } }),
      type: "price_details" as const,
      unit_amount_decimal: unit ?? String(whole),
    },
    quantity,
    quantity_decimal: String(quantity),
  };
}

/** Makes an item and tells of it. */
export function createInvoiceItem(world: World, given: NewInvoiceItem): InvoiceItem {
  const now = world.now();
  const reckoned = reckon(given, given.currency);
  const product = given.price ? world.products.get(given.price.product)?.name : null;
  const item = world.invoiceItems.put({
    id: newId("ii"),
    object: "invoiceitem",
    ...reckoned,
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    date: now,
    description: given.description ?? product ?? null,
    discountable: given.discountable ?? reckoned.amount >= 0,
    discounts: [],
    invoice: given.invoice ?? null,
    livemode: false,
    metadata: given.metadata ?? {},
    parent: given.subscription
      ? { subscription_details: { subscription: given.subscription }, type: "subscription_details" }
      : null,
    period: given.period ?? { start: now, end: now },
    proration: false,
    tax_rates: [],
    test_clock: world.clockOf(given.customer),
  } satisfies InvoiceItem);
  if (item.invoice) world.lines.put({ ...itemLine(world, item), invoice: item.invoice });
  world.events.emit("invoiceitem.created", item);
  return item;
}

/** The line of an item on an invoice. */
export function itemLine(world: World, item: InvoiceItem): InvoiceLine {
  const price = item.pricing?.price_details?.price;
  const subscription = item.parent?.subscription_details?.subscription ?? null;
  return line({
    amount: item.amount,
    currency: item.currency,
    description: item.description ?? "",
    discountable: item.discountable,
    metadata: item.metadata ?? {},
    parent: {
      type: "invoice_item_details",
      invoice_item_details: { invoice_item: item.id, proration: false, proration_details: null, subscription },
      subscription_item_details: null,
    },
    period: item.period,
    price: (price && world.prices.get(price)) || null,
    quantity: item.quantity,
    subscription,
    unitAmount: item.pricing?.unit_amount_decimal ?? String(item.amount),
  });
}

/** Puts an item that waits on a draft. */
export function placeItem(world: World, item: InvoiceItem, invoice: string): void {
  const placed = world.invoiceItems.patch(item.id, { invoice });
  world.lines.put({ ...itemLine(world, placed), invoice });
}

/** The line under which an item stands on its invoice. */
function standingLine(world: World, item: InvoiceItem): InvoiceLine | undefined {
  const lines = item.invoice ? world.lines.by("invoice", item.invoice) : [];
  return lines.find(({ parent }) => parent?.invoice_item_details?.invoice_item === item.id);
}

function requireChangeable(world: World, item: InvoiceItem): void {
  const invoice = item.invoice ? world.invoices.get(item.invoice) : undefined;
  if (!invoice || invoice.status === "draft") return;
  throw invalidRequest("You can only change invoice items that are pending or on a draft invoice.");
}

/** Changes an item that is pending or on a draft, and its line with it. */
export function updateInvoiceItem(
  world: World,
  item: InvoiceItem,
  changes: Partial<InvoiceItem>,
  asked: Asked | null,
): InvoiceItem {
  requireChangeable(world, item);
  const reckoned = asked ? reckon({ quantity: item.quantity, ...asked }, item.currency) : {};
  const updated = world.invoiceItems.patch(item.id, { ...changes, ...reckoned });
  const standing = standingLine(world, item);
  if (standing) world.lines.put({ ...itemLine(world, updated), id: standing.id, invoice: item.invoice });
  return updated;
}

/** Takes an item away, from its draft too. */
export function deleteInvoiceItem(world: World, item: InvoiceItem): void {
  requireChangeable(world, item);
  const standing = standingLine(world, item);
  if (standing) world.lines.remove(standing.id);
  world.invoiceItems.remove(item.id);
  world.events.emit("invoiceitem.deleted", item);
}

/** The items that wait for an invoice of a customer: in its currency, for its subscription or, where `ownOnly` is false, for none. */
export function pendingItems(
  world: World,
  customer: string,
  currency: string,
  subscription: string | null,
  ownOnly = false,
): InvoiceItem[] {
  return world.invoiceItems.by("customer", customer).filter((item) => {
    const own = item.parent?.subscription_details?.subscription;
    if (item.proration) return false;
    return item.invoice === null && item.currency === currency && (own ? own === subscription : !ownOnly);
  });
}

/** Takes the items of a draft away with it. */
export function deleteItemsOf(world: World, invoice: Invoice): void {
  for (const item of world.invoiceItems.by("invoice", invoice.id)) deleteInvoiceItem(world, item);
}
