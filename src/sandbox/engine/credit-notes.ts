// Credit notes: they lower what an open invoice still asks for, then give back what was paid: to the card, to the
// customer's balance, or outside of Stripe.
import { invalidRequest, missingResource } from "../errors";
import { newId, randomText } from "../ids";
import { formatMoney } from "../money";
import type { Charge, CreditNote, CreditNoteLine, Invoice, Metadata } from "../types";
import type { World } from "../world";
import { creditLines, totalsOfNote, type WantedLine } from "./credit-note-amounts";
import { enterBalance } from "./customer-balance";
import { closePayment, getInvoice, markPaid, openPaymentOf } from "./invoicing";
import { refundCharge } from "./refund";

export interface NewCreditNote {
  amount?: number;
  lines?: WantedLine[];
  credit_amount?: number;
  refund_amount?: number;
  out_of_band_amount?: number;
  /** Refunds that were made already. */
  refunds?: Array<{ refund?: string; amount_refunded?: number }>;
  effective_at?: number;
  memo?: string;
  reason?: CreditNote["reason"];
  metadata?: Metadata;
}

interface Plan {
  note: CreditNote;
  lines: CreditNoteLine[];
}

/** The successful charge of an invoice. */
function chargeOf(world: World, invoice: Invoice): Charge | undefined {
  for (const payment of world.invoicePayments.by("invoice", invoice.id)) {
    const intent = payment.payment.payment_intent && world.paymentIntents.get(payment.payment.payment_intent);
    if (payment.status === "paid" && intent && intent.latest_charge) return world.charges.get(intent.latest_charge);
  }
  return undefined;
}

function linkedRefunds(world: World, given: NewCreditNote): CreditNote["refunds"] {
  return (given.refunds ?? []).map(({ refund: id = "", amount_refunded: amount }, position) => {
    const refund = world.refunds.get(id);
    if (!refund) throw missingResource("refund", id, `refunds[${position}][refund]`);
    return { amount_refunded: amount ?? refund.amount, payment_record_refund: null, refund: id, type: "refund" };
  });
}

function checkPostPayment(invoice: Invoice, given: NewCreditNote, linked: CreditNote["refunds"], post: number): void {
  const back =
    (given.credit_amount ?? 0) +
    (given.refund_amount ?? 0) +
    (given.out_of_band_amount ?? 0) +
    linked.reduce((sum, { amount_refunded }) => sum + amount_refunded, 0);
  if (back !== post) {
    const money = (amount: number) => formatMoney(amount, invoice.currency);
    throw invalidRequest(
      `The sum of credit amount, refund amount and out of band amount (${money(back)}) must equal the post payment amount of the credit note (${money(post)}).`,
    );
  }
}

/** What a credit note would be. It writes nothing. */
export function planCreditNote(world: World, invoice: Invoice, given: NewCreditNote): Plan {
  if ((invoice.status !== "open" && invoice.status !== "paid") || !invoice.customer) {
    throw invalidRequest(
      `Credit notes can only be created for open or paid invoices. This invoice is ${invoice.status}.`,
      "invoice",
    );
  }
  const lines = creditLines(world, invoice, given);
  const totals = totalsOfNote(lines);
  const credited = invoice.pre_payment_credit_notes_amount + invoice.post_payment_credit_notes_amount;
  if (totals.total > invoice.total - credited) {
    throw invalidRequest(
      `The credit note's amount (${formatMoney(totals.total, invoice.currency)}) is greater than what is left of the invoice (${formatMoney(invoice.total - credited, invoice.currency)}).`,
      "amount",
    );
  }
  const pre = invoice.status === "open" ? Math.min(totals.total, invoice.amount_remaining) : 0;
  const post = totals.total - pre;
  const linked = linkedRefunds(world, given);
  checkPostPayment(invoice, given, linked, post);
  const id = newId("cn");
  const count = world.creditNotes.by("invoice", invoice.id).length + 1;
  const now = world.now();
  const note = {
    id,
    object: "credit_note",
    ...totals,
    amount_shipping: 0,
    created: now,
    currency: invoice.currency,
    customer: invoice.customer,
    customer_account: null,
    customer_balance_transaction: null,
    effective_at: given.effective_at ?? now,
    invoice: invoice.id,
    lines: { object: "list", data: [], has_more: false, url: `/v1/credit_notes/${id}/lines` },
    livemode: false,
    memo: given.memo ?? null,
    metadata: given.metadata ?? {},
    number: `${invoice.number}-CN-${String(count).padStart(2, "0")}`,
    out_of_band_amount: given.out_of_band_amount ?? null,
    pdf: `${world.url}/credit-notes/${id}/${randomText(40)}/pdf`,
    post_payment_amount: post,
    pre_payment_amount: pre,
    reason: given.reason ?? null,
    refunds: linked,
    shipping_cost: null,
    status: "issued",
    type: pre > 0 && post > 0 ? "mixed" : post > 0 ? "post_payment" : "pre_payment",
    voided_at: null,
  } satisfies CreditNote;
  return { note, lines };
}

/** Refunds through the invoice's charge. */
function refundInvoice(world: World, invoice: Invoice, amount: number): CreditNote["refunds"] {
  const charge = chargeOf(world, invoice);
  if (!charge) throw invalidRequest("This invoice has no successful charge to refund.", "refund_amount");
  const refund = refundCharge(world, charge, { amount });
  return [{ amount_refunded: amount, payment_record_refund: null, refund: refund.id, type: "refund" }];
}

/** Changes what an open invoice asks for, and the payment that waits for it. */
function lowerInvoice(world: World, invoice: Invoice, by: number): void {
  const due = invoice.amount_due - by;
  const payment = openPaymentOf(world, invoice.id);
  if (payment && due > 0) {
    world.invoicePayments.patch(payment.id, { amount_requested: due });
    if (payment.payment.payment_intent) world.paymentIntents.patch(payment.payment.payment_intent, { amount: due });
  }
  world.change(
    world.invoices,
    invoice.id,
    {
      amount_due: due,
      amount_remaining: invoice.amount_remaining - by,
      pre_payment_credit_notes_amount: invoice.pre_payment_credit_notes_amount + by,
    },
    "invoice.updated",
  );
}

/** Issues a credit note; an open invoice that is credited in full is paid. */
export function createCreditNote(world: World, invoiceId: string, given: NewCreditNote): CreditNote {
  const invoice = getInvoice(world, invoiceId);
  const { note, lines } = planCreditNote(world, invoice, given);
  const refunds = given.refund_amount ? refundInvoice(world, invoice, given.refund_amount) : [];
  const entry = enterBalance(world, {
    customer: note.customer,
    amount: -(given.credit_amount ?? 0),
    currency: note.currency,
    type: "credit_note",
    invoice: invoiceId,
    creditNote: note.id,
  });
  for (const line of lines) world.creditNoteLines.put({ ...line, note: note.id });
  const issued = world.creditNotes.put({
    ...note,
    customer_balance_transaction: entry?.id ?? null,
    refunds: [...note.refunds, ...refunds],
  });
  world.events.emit("credit_note.created", issued);
  if (note.pre_payment_amount > 0) lowerInvoice(world, invoice, note.pre_payment_amount);
  if (note.post_payment_amount > 0) {
    const sum = invoice.post_payment_credit_notes_amount + note.post_payment_amount;
    world.change(world.invoices, invoiceId, { post_payment_credit_notes_amount: sum }, "invoice.updated");
  }
  if (invoice.status === "open" && getInvoice(world, invoiceId).amount_remaining === 0) {
    closePayment(world, invoiceId);
    markPaid(world, invoiceId);
  }
  return issued;
}

/** Takes a credit note back. Only while its invoice is open: what was given back stays given. */
export function voidCreditNote(world: World, note: CreditNote): CreditNote {
  const invoice = getInvoice(world, note.invoice);
  if (note.status === "void") throw invalidRequest("This credit note is already void.");
  if (invoice.status !== "open") {
    throw invalidRequest("You can only void a credit note if the associated invoice is open.");
  }
  lowerInvoice(world, invoice, -note.pre_payment_amount);
  const now = world.now();
  const before = world.events.snapshot(note);
  const voided = world.creditNotes.patch(note.id, { status: "void", voided_at: now });
  world.events.emit("credit_note.voided", voided, before);
  return voided;
}
