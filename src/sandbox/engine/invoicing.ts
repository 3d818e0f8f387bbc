// The life of an invoice: draft, open, paid, retried, void. Totals, numbers and payments.
import { cardError, invalidRequest } from "../errors";
import { newId } from "../ids";
import type {
  Invoice,
  InvoiceItem,
  InvoiceLine,
  InvoicePayment,
  Metadata,
  PaymentMethod,
  Subscription,
  TaxRate,
} from "../types";
import type { World } from "../world";
import type { Failure } from "./cards";
import { balanceIn, enterBalance } from "./customer-balance";
import { couponsOf, discountsOf, exhaustDiscounts } from "./discounts";
import { priceLines, totalsOf } from "./invoice-amounts";
import { itemLine, pendingItems } from "./invoice-items";
import { cancelIntent, confirmIntent, createIntent, type Outcome } from "./payment";
import { awaitPayment } from "./pending-payment";
import { dunningOf } from "./subscription-dunning";
import {
  onInvoiceFailed,
  onInvoicePaid,
  onInvoiceUncollectible,
  onInvoiceVoided,
  paymentMethodOf,
} from "./subscription-state";
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
  /** Takes up the customer's pending invoice items. */
  takesItems?: boolean;
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
  const items = takes ? pendingItems(world, given.customer, given.currency, subscription?.id ?? null) : [];
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

function taxIdsOf(world: World, customer: string): NonNullable<Invoice["customer_tax_ids"]> {
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
export function repriceInvoice(world: World, id: string, balance: number): { invoice: Invoice; endingBalance: number } {
  const draft = getInvoice(world, id);
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
  const { customer, currency } = getInvoice(world, id);
  const balance = balanceIn(customer ? world.customers.get(customer) : undefined, currency);
  return repriceInvoice(world, id, balance).invoice;
}

export function getInvoice(world: World, id: string): Invoice {
  const invoice = world.invoices.get(id);
  if (!invoice) throw new Error(`invoice ${id} is gone`);
  return invoice;
}

function nextNumber(world: World, customerId: string): string | null {
  const customer = world.customers.get(customerId);
  if (!customer) return null;
  const sequence = customer.next_invoice_sequence ?? 1;
  world.customers.patch(customerId, { next_invoice_sequence: sequence + 1 });
  return `${customer.invoice_prefix}-${String(sequence).padStart(4, "0")}`;
}

/**
 * Automatic tax needs to know where the customer is. A subscription's invoice goes on without it; one made by hand is
 * refused.
 */
function requireLocation(world: World, draft: Invoice): void {
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

/** Links a payment to the invoice it pays. */
function linkPayment(world: World, invoice: Invoice, intentId: string): InvoicePayment {
  return world.invoicePayments.put({
    id: newId("inpay"),
    object: "invoice_payment",
    amount_paid: null,
    amount_requested: invoice.amount_due,
    created: world.now(),
    currency: invoice.currency,
    invoice: invoice.id,
    is_default: true,
    livemode: false,
    payment: { payment_intent: intentId, type: "payment_intent" },
    status: "open",
    status_transitions: { canceled_at: null, paid_at: null },
  } satisfies InvoicePayment);
}

/** Closes the draft: number, amounts and links are fixed from here on. `paidBy` is a payment that has succeeded already. */
export function finalizeInvoice(world: World, id: string, paidBy: string | null = null): Invoice {
  const draft = getInvoice(world, id);
  if (draft.status !== "draft" || !draft.customer)
    throw invalidRequest("This invoice is already finalized, you can't re-finalize it.");
  const now = world.now();
  requireLocation(world, draft);
  world.scheduler.plan("invoice.finalize", id, null, null);
  const customer = world.customers.get(draft.customer);
  // Whoever has paid already has paid the whole: nothing is taken from the balance.
  const balance = paidBy ? 0 : balanceIn(customer, draft.currency);
  const { invoice: priced, endingBalance } = repriceInvoice(world, id, balance);
  const secret = newId("live", 40).replace("live_", "");
  const open = world.invoices.patch(id, {
    status: "open",
    number: nextNumber(world, draft.customer),
    automatically_finalizes_at: null,
    effective_at: draft.effective_at ?? now,
    ending_balance: endingBalance,
    customer_address: customer?.address ?? null,
    customer_email: customer?.email ?? null,
    customer_name: customer?.name ?? null,
    customer_phone: customer?.phone ?? null,
    customer_tax_exempt: customer?.tax_exempt ?? "none",
    customer_tax_ids: taxIdsOf(world, draft.customer),
    hosted_invoice_url: `${world.url}/i/${id}/${secret}`,
    invoice_pdf: `${world.url}/i/${id}/${secret}/pdf`,
    status_transitions: { ...draft.status_transitions, finalized_at: now },
  });
  enterBalance(world, {
    customer: draft.customer,
    amount: endingBalance - priced.starting_balance,
    currency: draft.currency,
    type: "applied_to_invoice",
    invoice: id,
  });
  world.events.emit("invoice.finalized", open);
  if (open.amount_due === 0) return markPaid(world, id);
  world.scheduler.plan("invoice.overdue", id, open.due_date, world.clockOf(open.customer));
  if (paidBy) {
    linkPayment(world, open, paidBy);
    return open;
  }
  const subscription = subscriptionOf(world, open);
  const intent = createIntent(world, {
    amount: open.amount_due,
    currency: open.currency,
    customer: open.customer,
    description: describe(open),
    metadata: {},
    setupFutureUsage: subscription ? "off_session" : null,
  });
  linkPayment(world, open, intent.id);
  return open;
}

function describe(invoice: Invoice): string {
  switch (invoice.billing_reason) {
    case "subscription_create":
      return "Subscription creation";
    case "subscription_update":
    case "subscription_cycle":
      return "Subscription update";
    default:
      return `Payment for Invoice ${invoice.number ?? ""}`.trim();
  }
}

function subscriptionOf(world: World, invoice: Invoice): Subscription | undefined {
  const id = invoice.parent?.subscription_details?.subscription;
  return id ? world.subscriptions.get(id) : undefined;
}

/** The payment that waits for an open invoice. */
export function openPaymentOf(world: World, invoiceId: string): InvoicePayment | undefined {
  return world.invoicePayments.by("invoice", invoiceId).find(({ status }) => status === "open");
}

/** The invoice is settled: by its payment, by the customer's balance, or because nothing was due. */
export function markPaid(world: World, id: string, outOfBand = false): Invoice {
  const invoice = getInvoice(world, id);
  const now = world.now();
  const payment = openPaymentOf(world, id);
  world.scheduler.forget(id);
  const paid = world.change(
    world.invoices,
    id,
    {
      status: "paid",
      amount_paid: outOfBand ? 0 : invoice.amount_due,
      ...(outOfBand && { amount_paid_off_stripe: invoice.amount_due }),
      amount_remaining: 0,
      attempted: true,
      attempt_count: payment ? invoice.attempt_count + 1 : invoice.attempt_count,
      auto_advance: false,
      next_payment_attempt: null,
      status_transitions: { ...invoice.status_transitions, paid_at: now },
    },
    "invoice.updated",
  );
  world.events.emit("invoice.paid", paid);
  world.events.emit("invoice.payment_succeeded", paid);
  if (payment && !outOfBand) {
    const settled = world.invoicePayments.patch(payment.id, {
      status: "paid",
      amount_paid: invoice.amount_due,
      status_transitions: { canceled_at: null, paid_at: now },
    });
    world.events.emit("invoice_payment.paid", settled);
  }
  if (outOfBand) closePayment(world, id);
  onInvoicePaid(world, paid);
  return paid;
}

function recordFailure(world: World, id: string, scheduled: boolean): void {
  const invoice = getInvoice(world, id);
  const attempts = invoice.attempt_count + 1;
  const first = invoice.billing_reason === "subscription_create";
  // Stripe does not retry a first payment: its customer is there and tries again, or it expires.
  const retries = scheduled && invoice.auto_advance !== false && !first;
  const wait = retries ? dunningOf(world).retryDays[attempts - 1] : undefined;
  const next = wait === undefined ? invoice.next_payment_attempt : world.now() + wait * DAY;
  const exhausted = retries && wait === undefined;
  const failed = world.change(
    world.invoices,
    id,
    {
      attempted: true,
      attempt_count: attempts,
      next_payment_attempt: exhausted ? null : next,
      ...(exhausted && { auto_advance: false }),
    },
    "invoice.updated",
  );
  world.scheduler.plan("invoice.retry", id, failed.next_payment_attempt, world.clockOf(failed.customer));
  world.events.emit("invoice.payment_failed", failed);
  onInvoiceFailed(world, failed, !exhausted);
}

export interface Attempt {
  /** What pays; left out: the invoice's, the subscription's or the customer's default. */
  paymentMethod?: PaymentMethod | null;
  /** Nobody is there to authenticate. */
  offSession?: boolean;
  /** An attempt that Stripe makes by itself: it plans the next one. */
  scheduled?: boolean;
}

export type PayOutcome = Outcome | { kind: "no_payment_method" };

/** Tries to collect an open invoice. */
export function attemptPayment(world: World, id: string, attempt: Attempt = {}): PayOutcome {
  const invoice = getInvoice(world, id);
  const payment = openPaymentOf(world, id);
  const intentId = payment?.payment.payment_intent;
  if (!intentId) throw invalidRequest("Invoice is already paid");
  const method = attempt.paymentMethod ?? defaultMethod(world, invoice);
  if (!method) {
    recordFailure(world, id, attempt.scheduled ?? false);
    return { kind: "no_payment_method" };
  }
  const outcome = confirmIntent(world, intentId, method, { offSession: attempt.offSession });
  settle(world, id, outcome, attempt.scheduled ?? false);
  return outcome;
}

/** Makes the invoice follow what became of its payment. */
export function settle(world: World, id: string, outcome: Outcome, scheduled = false): void {
  if (outcome.kind === "succeeded") markPaid(world, id);
  else if (outcome.kind === "failed") recordFailure(world, id, scheduled);
  else if (outcome.kind === "processing") awaitPayment(world, id);
  else world.events.emit("invoice.payment_action_required", getInvoice(world, id));
}

function defaultMethod(world: World, invoice: Invoice): PaymentMethod | null {
  if (invoice.default_payment_method) return world.paymentMethods.get(invoice.default_payment_method) ?? null;
  const subscription = subscriptionOf(world, invoice);
  if (subscription) return paymentMethodOf(world, subscription);
  const customer = invoice.customer ? world.customers.get(invoice.customer) : undefined;
  const id = customer?.invoice_settings.default_payment_method;
  return (id && world.paymentMethods.get(id)) || null;
}

/** Nobody has paid a sent invoice by its date. */
export function passDueDate(world: World, id: string): void {
  const invoice = world.invoices.get(id);
  if (invoice?.status !== "open") return;
  world.events.emit("invoice.overdue", invoice);
  onInvoiceFailed(world, invoice, true);
}

/** Finalizes a draft whose time has come and collects it. */
export function advanceInvoice(world: World, id: string): void {
  const invoice = world.invoices.get(id);
  if (!invoice) return;
  const open = invoice.status === "draft" ? finalizeInvoice(world, id) : invoice;
  if (open.status !== "open") return;
  if (open.collection_method === "send_invoice") world.events.emit("invoice.sent", open);
  else attemptPayment(world, id, { offSession: true, scheduled: true });
}

/** Gives up the payment that waits for an invoice: nothing is asked for any more. */
export function closePayment(world: World, id: string): void {
  const payment = openPaymentOf(world, id);
  if (!payment) return;
  if (payment.payment.payment_intent) cancelIntent(world, payment.payment.payment_intent, "void_invoice");
  world.invoicePayments.patch(payment.id, {
    status: "canceled",
    status_transitions: { canceled_at: world.now(), paid_at: null },
  });
}

/** Voids an open invoice. */
export function voidInvoice(world: World, id: string): Invoice {
  const invoice = getInvoice(world, id);
  world.scheduler.forget(id);
  closePayment(world, id);
  // What was taken from the balance, or added to it, goes back.
  if (invoice.customer && invoice.ending_balance !== null) {
    enterBalance(world, {
      customer: invoice.customer,
      amount: invoice.starting_balance - invoice.ending_balance,
      currency: invoice.currency,
      type: "unapplied_from_invoice",
      invoice: id,
    });
  }
  const voided = world.change(
    world.invoices,
    id,
    {
      status: "void",
      auto_advance: false,
      next_payment_attempt: null,
      status_transitions: { ...invoice.status_transitions, voided_at: world.now() },
    },
    "invoice.updated",
  );
  world.events.emit("invoice.voided", voided);
  onInvoiceVoided(world, voided);
  return voided;
}

/** Gives an open invoice up as a bad debt; it can still be paid. */
export function markUncollectible(world: World, id: string): Invoice {
  const invoice = getInvoice(world, id);
  world.scheduler.forget(id);
  const marked = world.change(
    world.invoices,
    id,
    {
      status: "uncollectible",
      auto_advance: false,
      next_payment_attempt: null,
      status_transitions: { ...invoice.status_transitions, marked_uncollectible_at: world.now() },
    },
    "invoice.updated",
  );
  world.events.emit("invoice.marked_uncollectible", marked);
  onInvoiceUncollectible(world, marked);
  return marked;
}

/** The answer to a caller whose payment was declined. */
export function declined(failure: Failure, charge?: string): Error {
  return cardError(failure, charge ? { charge } : {});
}
