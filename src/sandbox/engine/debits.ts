// What the banks decide about a debit, days after it was asked for, and everything that follows from it: the payment, its
// invoice, the Checkout session that began it.
import { invalidRequest, missingResource } from "../errors";
import type { CheckoutSession, PaymentIntent } from "../types";
import type { World } from "../world";
import { BANK_ACCOUNTS } from "./bank-accounts";
import { cardBehind, type Failure } from "./cards";
import { settle, voidInvoice } from "./invoicing";
import { decideDebit, type Outcome } from "./payment";

const RETURNED: Failure = { code: "debit_not_authorized", message: "The bank returned the debit." };

function processing(world: World, id: string): PaymentIntent {
  const intent = world.paymentIntents.get(id);
  if (!intent) throw missingResource("payment_intent", id);
  if (intent.status === "processing") return intent;
  throw invalidRequest(`This PaymentIntent's status is ${intent.status}: no bank is to decide about it.`);
}

/** The session that made a payment and still waits for it. */
function waitingSession(world: World, intentId: string, invoiceId: string | undefined): CheckoutSession | undefined {
  const invoice = invoiceId ? world.invoices.get(invoiceId) : undefined;
  const subscription = invoice?.parent?.subscription_details?.subscription;
  return [
    ...world.sessions.by("payment_intent", intentId),
    ...(subscription ? world.sessions.by("subscription", subscription) : []),
  ].find(
    (session) =>
      session.payment_status === "unpaid" &&
      session.status === "complete" &&
      (session.payment_intent === intentId || session.invoice === invoiceId),
  );
}

function followInvoice(world: World, invoiceId: string, outcome: Outcome): void {
  const invoice = world.invoices.get(invoiceId);
  if (invoice?.status !== "open") return;
  if (outcome.kind === "failed" && invoice.billing_reason === "subscription_create") {
    // As Stripe documents it: the first invoice is voided, and the subscription that had begun stays active.
    const failed = { attempted: true, attempt_count: invoice.attempt_count + 1 };
    const changed = world.change(world.invoices, invoiceId, failed, "invoice.updated");
    world.events.emit("invoice.payment_failed", changed);
    voidInvoice(world, invoiceId);
  } else {
    settle(world, invoiceId, outcome, invoice.auto_advance !== false);
  }
}

function conclude(world: World, id: string, failure: Failure | null): PaymentIntent {
  const intent = processing(world, id);
  world.scheduler.plan("payment.decide", id, null, null);
  const outcome = decideDebit(world, intent, failure);
  const [link] = world.invoicePayments.by("payment_intent", id).filter(({ status }) => status === "open");
  // Before the invoice: that may be voided, and would no longer be the session's to wait for.
  const session = waitingSession(world, id, link?.invoice);
  if (link) followInvoice(world, link.invoice, outcome);
  if (session && failure) world.events.emit("checkout.session.async_payment_failed", session);
  else if (session) {
    const paid = world.sessions.patch(session.id, { payment_status: "paid" });
    world.events.emit("checkout.session.async_payment_succeeded", paid);
  }
  return processingOver(world, id);
}

function processingOver(world: World, id: string): PaymentIntent {
  const intent = world.paymentIntents.get(id);
  if (!intent) throw missingResource("payment_intent", id);
  return intent;
}

/** The banks have had their days: the account decides. */
export function decideByAccount(world: World, id: string): void {
  const intent = world.paymentIntents.get(id);
  if (intent?.status !== "processing" || !intent.payment_method) return;
  conclude(world, id, cardBehind(world, intent.payment_method).debit?.failure ?? null);
}

/** The banks take a debit now, whatever its account. */
export function succeedDebit(world: World, id: string): PaymentIntent {
  return conclude(world, id, null);
}

/** The banks return a debit now. Without a code, as its account would if it is one that fails. */
export function failDebit(world: World, id: string, code?: unknown): PaymentIntent {
  const { payment_method: method } = processing(world, id);
  const own = (method && cardBehind(world, method).debit?.failure) || RETURNED;
  if (code === undefined) return conclude(world, id, own);
  const known = Object.values(BANK_ACCOUNTS).flatMap(({ debit }) => debit.failure ?? []);
  const failure = known.find((each) => each.code === code);
  if (!failure) {
    const codes = [...new Set(known.map((each) => each.code))];
    throw invalidRequest(`\`code\` must be one of ${codes.join(", ")}`);
  }
  return conclude(world, id, failure);
}
