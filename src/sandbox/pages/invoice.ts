// The hosted invoice: what it is for, paying it while it is open, and its PDF. Receipts of charges too.
import { newPaymentMethod } from "../engine/cards";
import { attemptPayment, openPaymentOf, type PayOutcome, settle } from "../engine/invoicing";
import { authenticateIntent } from "../engine/payment";
import { formatMoney } from "../money";
import type { Invoice } from "../types";
import type { World } from "../world";
import { CARD_SCRIPT, type CardValues, cardFields, type Problems, readCard, testCards, valuesOf } from "./card-form";
import { bankQuestion } from "./checkout";
import type { PageContext } from "./context";
import { html } from "./html";
import { formatDate, message, type PageAnswer, page, seeOther } from "./layout";
import { makePdf, type PdfText } from "./pdf";

const LINES_PER_PAGE = 30;
const EMPTY: CardValues = { cardNumber: "", cardExpiry: "", cardCvc: "", billingName: "" };

function stateOf(invoice: Invoice): string {
  if (invoice.status === "paid") return `Paid on ${formatDate(invoice.status_transitions.paid_at ?? invoice.created)}`;
  if (invoice.status === "open") return "Due now";
  return invoice.status === "void" ? "Void" : "Uncollectible";
}

/** What stands between the lines and what is due, in minor units; nothing where it is the same. */
function sumRows(invoice: Invoice): Array<[string, number]> {
  const sum = (amounts: Array<{ amount: number }> | null) =>
    (amounts ?? []).reduce((all, { amount }) => all + amount, 0);
  const discount = sum(invoice.total_discount_amounts);
  const taxes = invoice.total_taxes ?? [];
  const exclusive = sum(taxes.filter(({ tax_behavior }) => tax_behavior === "exclusive"));
  const inclusive = sum(taxes.filter(({ tax_behavior }) => tax_behavior === "inclusive"));
  const credited = invoice.pre_payment_credit_notes_amount;
  const applied = invoice.amount_due + credited - Math.max(0, invoice.total);
  const rows: Array<[string, number]> = [
    ["Discount", -discount],
    ["Tax", exclusive],
    ["Tax that is included", inclusive],
    ["Applied balance", applied],
    ["Credit notes", -credited],
  ];
  return rows.filter(([, amount]) => amount !== 0);
}

interface Shown {
  values: CardValues;
  problems: Problems;
  alert?: string;
}

function show(world: World, invoice: Invoice, path: string, shown: Shown): PageAnswer {
  const money = (amount: number) => formatMoney(amount, invoice.currency);
  const rows = world.lines
    .by("invoice", invoice.id)
    .map(
      (line) =>
        html`<tr><td>${line.description}<br><span class="quiet">${formatDate(line.period.start)}${line.period.end !== line.period.start && ` to ${formatDate(line.period.end)}`}</span></td><td class="num">${money(line.amount)}</td></tr>`,
    );
  return page({
    title: `Invoice ${invoice.number}`,
    script: CARD_SCRIPT,
    body: html`<h1>Invoice ${invoice.number}</h1><div class="split"><section aria-label="Invoice">
<p class="amount">${money(invoice.amount_due)}</p>
<p class="quiet">${stateOf(invoice)}</p>
<p class="small">To ${invoice.customer_name ?? invoice.customer_email ?? invoice.customer}, issued ${formatDate(invoice.effective_at ?? invoice.created)}</p>
<table><thead><tr><th scope="col">Description</th><th scope="col" class="num">Amount</th></tr></thead><tbody>${rows}
${sumRows(invoice).map(([name, amount]) => html`<tr><td>${name}</td><td class="num">${money(amount)}</td></tr>`)}
<tr class="total"><td>Amount due</td><td class="num">${money(invoice.amount_due)}</td></tr></tbody></table>
<p class="small" style="margin-top:16px"><a href="${path}/pdf">Download PDF</a></p></section>
${
  isOnItsWay(world, invoice)
    ? html`<section class="panel"><p>A bank has been asked for this payment. It decides in some days.</p></section>`
    : invoice.status === "open"
      ? html`<section class="panel" aria-label="Payment">
${shown.alert && html`<div class="alert" role="alert">${shown.alert}</div>`}
<form method="post" action="${path}" novalidate>${cardFields(shown.values, shown.problems)}
<button class="primary wide" type="submit">Pay ${money(invoice.amount_remaining)}</button></form>${testCards()}</section>`
      : html`<section class="panel"><p>${invoice.status === "paid" ? "Thank you. This invoice is paid." : "Nothing is to be paid here."}</p></section>`
}</div>`,
  });
}

function isOnItsWay(world: World, invoice: Invoice): boolean {
  const intent = openPaymentOf(world, invoice.id)?.payment.payment_intent;
  return typeof intent === "string" && world.paymentIntents.get(intent)?.status === "processing";
}

function after(world: World, invoice: Invoice, path: string, outcome: PayOutcome, values: CardValues): PageAnswer {
  if (outcome.kind === "requires_action") return seeOther(`${path}/authenticate`);
  if (outcome.kind === "failed") {
    return show(world, invoice, path, { values, problems: {}, alert: outcome.failure.message });
  }
  return seeOther(path);
}

function pay(world: World, invoice: Invoice, path: string, form: URLSearchParams): PageAnswer {
  const values = valuesOf(form);
  return world.onClockOf(invoice.customer, () => {
    const read = readCard(values, world.now());
    if ("problems" in read) return show(world, invoice, path, { values, problems: read.problems });
    const outcome = world.store.transaction(() => {
      const method = newPaymentMethod(world, read.card, { name: read.card.name, email: invoice.customer_email });
      return attemptPayment(world, invoice.id, { paymentMethod: method });
    });
    return after(world, invoice, path, outcome, values);
  });
}

function authenticate(world: World, invoice: Invoice, path: string, method: string, form: URLSearchParams): PageAnswer {
  const payment = world.invoicePayments.by("invoice", invoice.id).find(({ status }) => status === "open");
  const intentId = payment?.payment.payment_intent;
  const intent = intentId ? world.paymentIntents.get(intentId) : undefined;
  if (intent?.status !== "requires_action") return seeOther(path);
  if (method === "GET") return bankQuestion(`${path}/authenticate`, formatMoney(intent.amount, intent.currency));
  return world.onClockOf(invoice.customer, () => {
    const outcome = world.store.transaction(() => {
      const result = authenticateIntent(world, intent.id, form.get("outcome") === "complete");
      settle(world, invoice.id, result);
      return result;
    });
    return after(world, invoice, path, outcome, EMPTY);
  });
}

function pdfOf(world: World, invoice: Invoice): PageAnswer {
  const money = (amount: number) => formatMoney(amount, invoice.currency);
  const lines = world.lines.by("invoice", invoice.id);
  const pages: PdfText[][] = [];
  for (let start = 0; start === 0 || start < lines.length; start += LINES_PER_PAGE) {
    const texts: PdfText[] = [
      { text: "Invoice", x: 50, y: 70, size: 22, bold: true },
      { text: "Stripe sandbox: a stand-in, no money moves", x: 545, y: 68, size: 9, right: true },
      { text: `Number ${invoice.number}`, x: 50, y: 100 },
      { text: `Issued ${formatDate(invoice.effective_at ?? invoice.created)}`, x: 50, y: 116 },
      { text: `To ${invoice.customer_name ?? invoice.customer_email ?? invoice.customer}`, x: 50, y: 132 },
      { text: `${money(invoice.amount_due)}, ${stateOf(invoice)}`, x: 50, y: 166, size: 14, bold: true },
      { text: "Description", x: 50, y: 200, bold: true },
      { text: "Amount", x: 545, y: 200, bold: true, right: true },
    ];
    let y = 220;
    for (const line of lines.slice(start, start + LINES_PER_PAGE)) {
      texts.push(
        { text: (line.description ?? "").slice(0, 80), x: 50, y },
        { text: money(line.amount), x: 545, y, right: true },
      );
      y += 18;
    }
    if (start + LINES_PER_PAGE >= lines.length) {
      for (const [name, amount] of sumRows(invoice)) {
        texts.push({ text: name, x: 50, y }, { text: money(amount), x: 545, y, right: true });
        y += 18;
      }
      texts.push({ text: "Amount due", x: 50, y: y + 10, bold: true });
      texts.push({ text: money(invoice.amount_due), x: 545, y: y + 10, bold: true, right: true });
    }
    pages.push(texts);
  }
  return {
    status: 200,
    headers: {
      "content-type": "application/pdf",
      "content-disposition": `inline; filename="Invoice-${invoice.number}.pdf"`,
    },
    body: makePdf(pages, `Invoice ${invoice.number}`),
  };
}

/** `/i/:invoice/:secret`, with `/pdf` and `/authenticate`. */
export function invoicePage(
  { world, form }: PageContext,
  method: string,
  [id = "", secret = "", step]: string[],
): PageAnswer {
  const invoice = world.invoices.get(id);
  const path = `/i/${id}/${secret}`;
  if (!invoice?.hosted_invoice_url?.endsWith(path) || secret === "") {
    return message("Nothing here", "There is no such invoice.", 404);
  }
  if (step === "pdf") return pdfOf(world, invoice);
  if (step === "authenticate") return authenticate(world, invoice, path, method, form);
  if (method === "POST" && invoice.status === "open") return pay(world, invoice, path, form);
  return show(world, invoice, path, { values: EMPTY, problems: {} });
}

/** `/receipts/:charge` */
export function receiptPage({ world }: PageContext, [id = ""]: string[]): PageAnswer {
  const charge = world.charges.get(id);
  if (!charge?.receipt_url) return message("Nothing here", "There is no such receipt.", 404);
  const money = (amount: number) => formatMoney(amount, charge.currency);
  const card = charge.payment_method_details?.card;
  return page({
    title: "Receipt",
    narrow: true,
    body: html`<h1>Receipt</h1><table><tbody>
<tr><td>Paid</td><td class="num">${money(charge.amount)}</td></tr>
<tr><td>Date</td><td class="num">${formatDate(charge.created)}</td></tr>
<tr><td>Card</td><td class="num">${card?.brand} ···· ${card?.last4}</td></tr>
${charge.amount_refunded > 0 && html`<tr><td>Refunded</td><td class="num">${money(charge.amount_refunded)}</td></tr>`}
</tbody></table>`,
  });
}

/** `/authenticate/:paymentIntent`: for payments that were confirmed through the API. */
export function authenticatePage({ world, form }: PageContext, method: string, [id = ""]: string[]): PageAnswer {
  const intent = world.paymentIntents.get(id);
  if (intent?.status !== "requires_action")
    return message("Nothing to authenticate", "This payment does not wait for you.");
  if (method === "GET") return bankQuestion(`/authenticate/${id}`, formatMoney(intent.amount, intent.currency));
  return world.onClockOf(intent.customer, () => {
    const outcome = world.store.transaction(() => {
      const result = authenticateIntent(world, id, form.get("outcome") === "complete");
      const payment = world.invoicePayments.by("payment_intent", id).find(({ status }) => status === "open");
      if (payment) settle(world, payment.invoice, result);
      return result;
    });
    return outcome.kind === "succeeded"
      ? message("Authenticated", "The payment has succeeded. You can close this page.")
      : message("Not authenticated", "The payment was not authenticated.", 402);
  });
}
