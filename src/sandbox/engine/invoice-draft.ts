// Drafts of invoices: what stands on them, what they come to, and how that is reckoned anew. What follows is in invoicing.ts.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Invoice, InvoiceItem, InvoiceLine, Metadata, Subscription, TaxRate } from "../types";
import type { World } from "../world";
import { balanceIn } from "./customer-balance";
import { couponsOf, discountsOf, exhaustDiscounts } from "./discounts";
import { priceLines, totalsOf } from "./invoice-amounts";
import { itemLine, pendingItems } from "./invoice-items";
import { automaticTax, manualTax, placeOf, type Taxation, UNTAXED } from "./tax";

const DAY = 86_400;
/** The invoices that come by themselves take up what waits; a preview shows it. */
const TAKES_ITEMS = new Set<string>(["subscription_cycle", "subscription_update", "upcoming"]);

export interface NewInvoice {
  customer: string;
  currency: string;
  billingReason: Invoice["billing_reason"];
  /** Lines without `invoice`: they get it here. */
  lines: InvoiceLine[];
  subscription?: Subscription;
  periodStart: number;
  periodEnd: number;
  metadata?: Metadata;
  description?: string | null;
  defaultPaymentMethod?: string | null;
  autoAdvance?: boolean;
  /** Takes up the customer's pending invoice items: all, or those of its subscription. */
  takesItems?: boolean | "its own";
  /** Ids of discounts; left out: the subscription's. */
  discounts?: string[];
  /** Left out: as the subscription is taxed. */
  automaticTax?: boolean;
  defaultTaxRates?: TaxRate[];
  collectionMethod?: Invoice["collection_method"];
  dueDate?: number | null;
  footer?: string | null;
}

/** How an invoice of a customer is taxed: automatically, by rates of the account's own choice, or not at all. */
export function taxationOf(
  world: World,
  customerId: string | null,
  automatic: boolean,
  rates: TaxRate[] | null,
): Taxation {
  const customer = customerId ? world.customers.get(customerId) : undefined;
  if (automatic) return automaticTax(world, placeOf(world, customer));
  return rates && rates.length > 0 ? manualTax(rates, customer?.tax_exempt ?? "none") : UNTAXED;
}

/** An invoice that is kept nowhere yet, and its lines with discounts and tax. */
export function draftInvoice(
  world: World,
  given: NewInvoice,
  id = newId("in"),
): { invoice: Invoice; lines: InvoiceLine[]; items: InvoiceItem[] } {
  const customer = world.customers.get(given.customer);
  const { subscription } = given;
  const discounts = given.discounts ?? (subscription ? discountsOf(world, subscription) : []);
  const coupons = couponsOf(world, discounts);
  const rates = given.defaultTaxRates ?? subscription?.default_tax_rates ?? [];
  const automatic = given.automaticTax ?? subscription?.automatic_tax.enabled ?? false;
  const taxation = taxationOf(world, given.customer, automatic, rates);
  const takes = given.takesItems ?? TAKES_ITEMS.has(given.billingReason ?? "");
  const items = takes
    ? pendingItems(world, given.customer, given.currency, subscription?.id ?? null, takes === "its own")
    : [];
  const asked = [...items.map((item) => itemLine(world, item)), ...given.lines];
  const lines = priceLines(world, asked, coupons, taxation);
  const balance = balanceIn(customer, given.currency);
  const { endingBalance: _, ...totals } = totalsOf(lines, coupons, taxation, balance);
  const invoice = {
    id,
    object: "invoice",
    account_country: "US",
    account_name: "Stripe sandbox",
    account_tax_ids: null,
    ...totals,
    amount_overpaid: 0,
    amount_paid: 0,
    amount_shipping: 0,
    application: null,
    attempt_count: 0,
    attempted: false,
    auto_advance: given.autoAdvance ?? true,
    automatically_finalizes_at: null,
    billing_reason: given.billingReason,
    collection_method: given.collectionMethod ?? subscription?.collection_method ?? "charge_automatically",
    created: world.now(),
    currency: given.currency,
    custom_fields: null,
    customer: given.customer,
    customer_account: null,
    customer_address: customer?.address ?? null,
    customer_email: customer?.email ?? null,
    customer_name: customer?.name ?? null,
    customer_phone: customer?.phone ?? null,
    customer_shipping: null,
    customer_tax_exempt: customer?.tax_exempt ?? "none",
    customer_tax_ids: taxIdsOf(world, given.customer),
    default_payment_method: given.defaultPaymentMethod ?? null,
    default_source: null,
    default_tax_rates: rates,
    description: given.description ?? null,
    discounts,
    due_date: given.dueDate ?? dueDateOf(world, subscription),
    effective_at: null,
    ending_balance: null,
    footer: given.footer ?? null,
    from_invoice: null,
    hosted_invoice_url: null,
    invoice_pdf: null,
    issuer: { type: "self" },
    last_finalization_error: null,
    latest_revision: null,
    lines: { object: "list", data: [], has_more: false, url: `/v1/invoices/${id}/lines` },
    livemode: false,
    metadata: given.metadata ?? {},
    next_payment_attempt: null,
    number: null,
    on_behalf_of: null,
    parent: subscription
      ? {
          type: "subscription_details",
          quote_details: null,
          subscription_details: { metadata: subscription.metadata, subscription: subscription.id },
        }
      : null,
    payment_settings: { default_mandate: null, payment_method_options: null, payment_method_types: null },
    period_end: given.periodEnd,
    period_start: given.periodStart,
    post_payment_credit_notes_amount: 0,
    pre_payment_credit_notes_amount: 0,
    receipt_number: null,
    rendering: null,
    shipping_cost: null,
    shipping_details: null,
    statement_descriptor: null,
    status: "draft",
    status_transitions: { finalized_at: null, marked_uncollectible_at: null, paid_at: null, voided_at: null },
    test_clock: customer?.test_clock ?? null,
    webhooks_delivered_at: null,
  } satisfies Invoice;
  return { invoice, lines, items };
}

/** When an invoice that a subscription sends is due; null where it is charged. */
function dueDateOf(world: World, subscription: Subscription | undefined): number | null {
  if (subscription?.collection_method !== "send_invoice") return null;
  return world.now() + (subscription.days_until_due ?? 0) * DAY;
}

/** The tax ids of a customer, as invoices keep them. */
export function taxIdsOf(world: World, customer: string): NonNullable<Invoice["customer_tax_ids"]> {
  return world.taxIds.by("customer", customer).map(({ type, value }) => ({ type, value }));
}

/** Makes a draft. With `finalizeAt` it goes on by itself then. */
export function createInvoice(world: World, given: NewInvoice, finalizeAt: number | null = null): Invoice {
  const draft = draftInvoice(world, given);
  const invoice = world.invoices.put({ ...draft.invoice, automatically_finalizes_at: finalizeAt });
  // The newest line stands first, as on Stripe.
  for (const line of draft.lines) world.lines.put({ ...line, invoice: invoice.id });
  for (const item of draft.items) world.invoiceItems.patch(item.id, { invoice: invoice.id });
  world.scheduler.plan("invoice.finalize", invoice.id, finalizeAt, world.clockOf(given.customer));
  world.events.emit("invoice.created", invoice);
  exhaustDiscounts(world, invoice);
  return invoice;
}

/** Reckons a draft anew, after its lines, discounts, tax or customer have changed. Returns what the balance becomes. */
export function repriceInvoice(
  world: World,
  draft: Invoice,
  balance: number,
): { invoice: Invoice; endingBalance: number } {
  const { id } = draft;
  const { enabled } = draft.automatic_tax;
  const coupons = couponsOf(world, draft.discounts);
  const taxation = taxationOf(world, draft.customer, enabled, draft.default_tax_rates);
  const lines = priceLines(world, world.lines.by("invoice", id), coupons, taxation);
  for (const line of lines) world.lines.put(line);
  const { endingBalance, automatic_tax: tax, ...totals } = totalsOf(lines, coupons, taxation, balance);
  // Where automatic tax was given up, it goes on saying why.
  const automatic = enabled ? tax : draft.automatic_tax;
  return { invoice: world.invoices.patch(id, { ...totals, automatic_tax: automatic }), endingBalance };
}

/** The same for a draft as it stands, with the customer's balance of now. */
export function refreshDraft(world: World, id: string): Invoice {
  const draft = world.invoices.get(id);
  if (!draft) throw new Error(`invoice ${id} is gone`);
  const { customer, currency } = draft;
  const balance = balanceIn(customer ? world.customers.get(customer) : undefined, currency);
  return repriceInvoice(world, draft, balance).invoice;
}

/**
 * Automatic tax needs to know where the customer is. A subscription's invoice goes on without it; one made by hand is
 * refused.
 */
export function requireLocation(world: World, draft: Invoice): void {
  if (!draft.automatic_tax.enabled || !draft.customer) return;
  const customer = world.customers.get(draft.customer);
  if (placeOf(world, customer).country) return;
  if (!draft.parent?.subscription_details) throw unknownLocation();
  world.invoices.patch(draft.id, {
    automatic_tax: {
      ...draft.automatic_tax,
      enabled: false,
      disabled_reason: "finalization_requires_location_inputs",
      status: "requires_location_inputs",
    },
  });
}

/** The refusal where automatic tax has no country to go by. */
export function unknownLocation(): Error {
  return invalidRequest(
    "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.",
    undefined,
    "customer_tax_location_invalid",
  );
}
