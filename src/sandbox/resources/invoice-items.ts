// /v1/invoiceitems, and the lines that are added to a draft.

import { refreshDraft } from "../engine/invoice-draft";
import {
  type Asked,
  createInvoiceItem,
  deleteInvoiceItem,
  type NewInvoiceItem,
  placeItem,
  updateInvoiceItem,
} from "../engine/invoice-items";
import { newProduct } from "../engine/product";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Invoice, InvoiceItem, Price } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { createPrice, taxBehavior } from "./prices";

/** How an item or a line says what it asks for. */
export const askedShape = {
  amount: p.integer(),
  price_data: p.object({
    currency: p.required(p.string({ max: 3 })),
    product: p.string(),
    product_data: p.object({ name: p.required(p.string()), description: p.string(), metadata: p.metadata() }),
    tax_behavior: taxBehavior,
    unit_amount: p.integer(),
    unit_amount_decimal: p.decimal(),
  }),
  pricing: p.object({ price: p.required(p.string()) }),
  quantity: p.integer({ min: 0 }),
  unit_amount_decimal: p.decimal(),
} satisfies p.Shape;

const detailShape = {
  description: p.string(),
  discountable: p.boolean(),
  metadata: p.metadata(),
  period: p.object({ start: p.required(p.integer()), end: p.required(p.integer()) }),
} satisfies p.Shape;

type AskedParams = p.Params<typeof askedShape>;

function inlinePrice(world: World, data: NonNullable<AskedParams["price_data"]>, param: string): Price {
  const { product, product_data: own, ...amounts } = data;
  if (product) find(world.products, "product", product, `${param}[product]`);
  if (!product && !own) {
    throw invalidRequest(`Missing required param: ${param}[product].`, `${param}[product]`, "parameter_missing");
  }
  const id = product ?? newProduct(world, { name: own?.name ?? "", active: false }).id;
  return createPrice(world, { ...amounts, product: id, active: false });
}

/** What is asked for, or null where nothing is said; `at` is where in the request, such as `lines[0]`. */
function readAsked(world: World, given: AskedParams, currency: string, at = ""): Asked | null {
  const name = (key: string) => (at ? `${at}[${key}]` : key);
  const ways = (["amount", "price_data", "pricing", "unit_amount_decimal"] as const).filter(
    (key) => given[key] !== undefined,
  );
  if (ways.length > 1) {
    throw invalidRequest(`You may only specify one of these parameters: ${ways.join(", ")}.`, name(ways[1] ?? ""));
  }
  if (given.amount !== undefined && given.quantity !== undefined) {
    throw invalidRequest("You may only specify one of these parameters: amount, quantity.", name("quantity"));
  }
  const price = given.price_data
    ? inlinePrice(world, given.price_data, name("price_data"))
    : given.pricing
      ? find(world.prices, "price", given.pricing.price, name("pricing[price]"))
      : undefined;
  if (price?.recurring) {
    throw invalidRequest(
      "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
      name("pricing[price]"),
    );
  }
  if (price && price.currency !== currency && !price.currency_options?.[currency]) {
    throw invalidRequest(`The price does not support the currency \`${currency}\`.`, name("pricing[price]"));
  }
  if (ways.length === 0 && given.quantity === undefined) return null;
  const { amount, quantity, unit_amount_decimal: unitAmountDecimal } = given;
  return { amount, quantity, price, unitAmountDecimal };
}

/** The draft that a request names. */
export function findDraft(world: World, id: string, param = "id"): Invoice {
  const invoice = find(world.invoices, "invoice", id, param);
  if (invoice.status === "draft") return invoice;
  throw invalidRequest("This invoice is no longer editable: it is not a draft.", param, "invoice_not_editable");
}

const createShape = {
  ...askedShape,
  ...detailShape,
  currency: p.string({ max: 3 }),
  customer: p.string(),
  invoice: p.string(),
  subscription: p.string(),
} satisfies p.Shape;

function create(world: World, given: p.Params<typeof createShape>): InvoiceItem {
  const invoice = given.invoice ? findDraft(world, given.invoice, "invoice") : null;
  const subscription = given.subscription
    ? find(world.subscriptions, "subscription", given.subscription, "subscription")
    : null;
  const id = given.customer ?? invoice?.customer ?? subscription?.customer;
  if (!id) throw invalidRequest("Missing required param: customer.", "customer", "parameter_missing");
  const customer = find(world.customers, "customer", id, "customer");
  return world.onClockOf(id, () => {
    const named = given.currency ?? given.price_data?.currency ?? invoice?.currency ?? subscription?.currency;
    const listed = given.pricing ? world.prices.get(given.pricing.price)?.currency : null;
    const currency = (named ?? listed ?? customer.currency ?? "usd").toLowerCase();
    if (given.amount !== undefined && !given.currency) {
      throw invalidRequest("Missing required param: currency.", "currency", "parameter_missing");
    }
    if (invoice && invoice.currency !== currency) {
      throw invalidRequest(`The invoice is in \`${invoice.currency}\`, the item in \`${currency}\`.`, "currency");
    }
    const asked = readAsked(world, given, currency);
    if (!asked) throw invalidRequest("Missing required param: amount.", "amount", "parameter_missing");
    const item = createInvoiceItem(world, {
      ...asked,
      ...detailsOf(given),
      customer: id,
      currency,
      subscription: subscription?.id ?? null,
      invoice: invoice?.id ?? null,
    });
    if (invoice) refreshDraft(world, invoice.id);
    return item;
  });
}

function detailsOf(
  given: p.Params<typeof detailShape>,
): Pick<NewInvoiceItem, "description" | "discountable" | "metadata" | "period"> {
  return { ...given, metadata: p.mergeMetadata(null, given.metadata) };
}

/** Puts lines on a draft: new ones, or items that wait. */
function addLines(world: World, draft: Invoice, lines: Array<AddedLine>): Invoice {
  const { currency, customer } = draft;
  if (!customer) throw invalidRequest("This invoice has no customer.");
  for (const [position, { invoice_item: itemId, ...given }] of lines.entries()) {
    const at = `lines[${position}]`;
    if (itemId) {
      const item = find(world.invoiceItems, "invoiceitem", itemId, `${at}[invoice_item]`);
      if (item.invoice || item.customer !== customer || item.currency !== currency) {
        throw invalidRequest("This invoice item does not wait for this invoice.", `${at}[invoice_item]`);
      }
      placeItem(world, item, draft.id);
      continue;
    }
    const asked = readAsked(world, given, currency, at);
    if (!asked) throw invalidRequest(`Missing required param: ${at}[amount].`, `${at}[amount]`, "parameter_missing");
    createInvoiceItem(world, { ...asked, ...detailsOf(given), customer, currency, invoice: draft.id });
  }
  return refreshDraft(world, draft.id);
}

const addedLine = p.object({ ...askedShape, ...detailShape, invoice_item: p.string() });
type AddedLine = ReturnType<typeof addedLine.parse>;

export const invoiceItems: Route[] = [
  route("POST", "/v1/invoiceitems", createShape, create),
  route("GET", "/v1/invoiceitems/:id", {}, (world, _, [id]) => find(world.invoiceItems, "invoiceitem", id)),
  route("POST", "/v1/invoiceitems/:id", { ...askedShape, ...detailShape }, (world, given, [id]) => {
    const item = find(world.invoiceItems, "invoiceitem", id);
    return world.onClockOf(item.customer, () => {
      const { description, discountable, period } = given;
      const changes: Partial<InvoiceItem> = {
        ...(description !== undefined && { description }),
        ...(discountable !== undefined && { discountable }),
        ...(period && { period }),
        metadata: p.mergeMetadata(item.metadata, given.metadata),
      };
      const asked = readAsked(world, given, item.currency);
      const onlyQuantity = asked && !asked.price && asked.amount === undefined && !asked.unitAmountDecimal;
      const updated = updateInvoiceItem(
        world,
        item,
        changes,
        onlyQuantity
          ? { quantity: asked.quantity, unitAmountDecimal: item.pricing?.unit_amount_decimal ?? "0" }
          : asked,
      );
      if (item.invoice) refreshDraft(world, item.invoice);
      return updated;
    });
  }),
  route("DELETE", "/v1/invoiceitems/:id", {}, (world, _, [id]) => {
    const item = find(world.invoiceItems, "invoiceitem", id);
    return world.onClockOf(item.customer, () => {
      deleteInvoiceItem(world, item);
      if (item.invoice) refreshDraft(world, item.invoice);
      return { id, object: "invoiceitem", deleted: true };
    });
  }),
  route(
    "GET",
    "/v1/invoiceitems",
    { ...p.pagination, created: p.range(), customer: p.string(), invoice: p.string(), pending: p.boolean() },
    (world, given) => {
      const among = given.invoice
        ? world.invoiceItems.by("invoice", given.invoice)
        : given.customer
          ? world.invoiceItems.by("customer", given.customer)
          : [...world.invoiceItems.values()];
      const found = among.filter(
        (item) =>
          (!given.created || p.inRange(item.date, given.created)) &&
          (!given.customer || item.customer === given.customer) &&
          (given.pending === undefined || (item.invoice === null) === given.pending),
      );
      return page(found, "/v1/invoiceitems", "invoiceitem", given);
    },
  ),
  route(
    "POST",
    "/v1/invoices/:id/add_lines",
    { lines: p.required(p.list(addedLine)), invoice_metadata: p.metadata() },
    (world, given, [id]) => {
      const draft = findDraft(world, id);
      return world.onClockOf(draft.customer, () => {
        const metadata = p.mergeMetadata(draft.metadata, given.invoice_metadata);
        world.invoices.patch(id, { metadata });
        return addLines(world, draft, given.lines);
      });
    },
  ),
];
