// The life of an invoice once it is drafted: open, paid, retried, void. Numbers and payments.
import { cardError, invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Invoice, InvoicePayment, PaymentMethod, Subscription } from "../types";
import type { World } from "../world";
import type { Failure } from "./cards";
import { balanceIn, enterBalance } from "./customer-balance";
import { repriceInvoice, requireLocation, taxIdsOf } from "./invoice-draft";
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

const DAY = 86_400;
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
  const { invoice: priced, endingBalance } = repriceInvoice(world, getInvoice(world, id), balance);
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
  // A try that was made by hand leaves the planned one as it is; one whose time has come was this one.
  const planned = (invoice.next_payment_attempt ?? 0) > world.now() ? invoice.next_payment_attempt : null;
  const next = wait === undefined ? planned : world.now() + wait * DAY;
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
  // Somebody has taken its collection in hand.
  if (invoice.status === "open" && invoice.auto_advance === false) {
    world.invoices.patch(id, { next_payment_attempt: null });
    return;
  }
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
