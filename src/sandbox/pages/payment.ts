// One payment as the account's owner and the customer's bank see it: refunds and disputes, and buttons for both.
import {
  actOnDispute,
  actOnRefund,
  type DisputeAction,
  isDisputeAction,
  isRefundAction,
  openDisputeOf,
  type RefundAction,
} from "../bank";
import { DISPUTE_REASONS, disputableOf, isClosed, isInquiry } from "../engine/dispute";
import { isGiven, refundCharge } from "../engine/refund";
import { formatMoney, parseMoney } from "../money";
import type { Charge, Dispute, Refund } from "../types";
import type { World } from "../world";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatTime, message, type PageAnswer, page, seeOther } from "./layout";
import { button, row, table } from "./parts";

/** `Paid`, `Partly refunded`, `Disputed: needs_response` … */
export function stateOfPayment(world: World, charge: Charge): string {
  if (charge.status === "pending") return "On its way: the bank has not decided";
  if (charge.status !== "succeeded") return `Failed: ${charge.failure_message ?? charge.status}`;
  const disputes = new Set(world.disputes.by("charge", charge.id).map(wordsOf));
  const refunded = charge.refunded ? "Refunded" : charge.amount_refunded > 0 ? "Partly refunded" : "Paid";
  return disputes.size > 0 ? `${refunded}. Disputed: ${[...disputes].join(", ")}` : refunded;
}

function wordsOf({ status }: Dispute): string {
  return status.replaceAll("_", " ").replace("warning", "inquiry");
}

function refundRow(path: string, refund: Refund): Html {
  const amount = formatMoney(refund.amount, refund.currency);
  const actions: RefundAction[] =
    refund.status === "pending" ? ["succeed", "fail", "cancel"] : isGiven(refund) ? ["fail"] : [];
  const words = { succeed: "Succeed", fail: "Fail", cancel: "Cancel" };
  const buttons = actions.map((action) => button(`${path}/refunds/${refund.id}/${action}`, words[action], amount));
  return html`<tr><td>${amount}<br><code class="quiet">${refund.id}</code></td><td>${refund.status}${refund.failure_reason && `: ${refund.failure_reason.replaceAll("_", " ")}`}${row(buttons)}</td><td>${refund.reason?.replaceAll("_", " ")}</td><td>${formatTime(refund.created)}</td></tr>`;
}

function disputeRow(path: string, dispute: Dispute): Html {
  const amount = formatMoney(dispute.amount, dispute.currency);
  const actions: DisputeAction[] = isClosed(dispute) ? [] : isInquiry(dispute) ? ["win", "escalate"] : ["win", "lose"];
  const words = { win: isInquiry(dispute) ? "Close" : "Win", lose: "Lose", escalate: "Escalate" };
  const buttons = actions.map((action) => button(`${path}/disputes/${dispute.id}/${action}`, words[action], amount));
  return html`<tr><td>${amount}<br><code class="quiet">${dispute.id}</code></td><td>${wordsOf(dispute)}${row(buttons)}</td><td>${dispute.reason.replaceAll("_", " ")}</td><td>${formatTime(dispute.created)}</td></tr>`;
}

const HEADS = ["Amount", "Status, and what the bank makes of it", "Reason", "When"];

function amountField(id: string, label: string, left: string): Html {
  return html`<div class="field"><label for="${id}">${label}</label><input id="${id}" name="amount" inputmode="decimal" placeholder="${left}" autocomplete="off" aria-describedby="${id}-hint"><p class="small quiet" id="${id}-hint">Empty: all that is left.</p></div>`;
}

function refundForm(world: World, charge: Charge, path: string): Html {
  if (world.disputes.by("charge", charge.id).some((dispute) => !dispute.is_charge_refundable)) {
    return html`<section class="panel" aria-label="Refund"><p>It has been charged back, so it cannot be refunded.</p></section>`;
  }
  if (charge.refunded) return html`<section class="panel" aria-label="Refund"><p>All of it is refunded.</p></section>`;
  const left = formatMoney(charge.amount_captured - charge.amount_refunded, charge.currency);
  return html`<section class="panel" aria-label="Refund"><form method="post" action="${path}/refund">${amountField("refund-amount", "Amount to refund", left)}
<div class="field"><label for="refund-reason">Reason</label><select id="refund-reason" name="reason"><option value="requested_by_customer">requested by customer</option><option value="duplicate">duplicate</option><option value="fraudulent">fraudulent</option></select></div>
<button type="submit">Refund</button></form></section>`;
}

function disputeForm(world: World, charge: Charge, path: string): Html {
  const amount = disputableOf(world, charge);
  if (amount < 1) return html`<section class="panel" aria-label="Dispute"><p>Nothing is left to dispute.</p></section>`;
  const left = formatMoney(amount, charge.currency);
  const reasons = Object.keys(DISPUTE_REASONS).map(
    (reason) =>
      html`<option value="${reason}" ${reason === "fraudulent" && "selected"}>${reason.replaceAll("_", " ")}</option>`,
  );
  return html`<section class="panel" aria-label="Dispute"><form method="post" action="${path}/dispute">${amountField("dispute-amount", "Amount to dispute", left)}
<div class="field"><label for="dispute-reason">Reason</label><select id="dispute-reason" name="reason">${reasons}</select></div>
<div class="row"><button type="submit">Open a dispute</button><button type="submit" name="inquiry" value="true">Open an inquiry</button></div></form></section>`;
}

function show(world: World, charge: Charge, path: string): PageAnswer {
  const money = (amount: number) => formatMoney(amount, charge.currency);
  const customer = charge.customer ? world.customers.get(charge.customer) : undefined;
  const intent = charge.payment_intent;
  const invoice = intent ? world.invoicePayments.by("payment_intent", intent).at(0)?.invoice : undefined;
  const { card, us_bank_account: bank, sepa_debit: sepa } = charge.payment_method_details ?? {};
  const paidBy = card?.brand ?? charge.payment_method_details?.type.replaceAll("_", " ");
  const link = invoice && world.invoices.get(invoice)?.hosted_invoice_url;
  return page({
    title: `Payment of ${money(charge.amount)}`,
    nav: true,
    body: html`<h1>Payment</h1>
<p class="amount">${money(charge.amount)}</p><p>${stateOfPayment(world, charge)}</p>
<table><tbody>
<tr><td>Customer</td><td class="num">${customer ? html`<a href="/customers/${customer.id}">${customer.name ?? customer.email ?? customer.id}</a>` : (charge.customer ?? "none")}</td></tr>
<tr><td>When</td><td class="num">${formatTime(charge.created)}</td></tr>
<tr><td>Paid by</td><td class="num">${paidBy} ···· ${(card ?? bank ?? sepa)?.last4}</td></tr>
<tr><td>Payment intent</td><td class="num"><code>${intent}</code></td></tr>
<tr><td>Charge</td><td class="num"><code>${charge.id}</code></td></tr>
${link && html`<tr><td>Invoice</td><td class="num"><a href="${link}">${invoice}</a></td></tr>`}
${charge.amount_refunded > 0 && html`<tr><td>Refunded</td><td class="num">${money(charge.amount_refunded)}</td></tr>`}
</tbody></table>
${table(
  "Refunds",
  HEADS,
  world.refunds.by("charge", charge.id).map((refund) => refundRow(path, refund)),
)}
${table(
  "Disputes",
  HEADS,
  world.disputes.by("charge", charge.id).map((dispute) => disputeRow(path, dispute)),
)}
${
  charge.status === "succeeded" &&
  html`<h2>Do something about it</h2><div class="split">${refundForm(world, charge, path)}${disputeForm(world, charge, path)}</div>`
}`,
  });
}

const REFUND_REASONS = ["duplicate", "fraudulent", "requested_by_customer"] as const;

function refund(world: World, charge: Charge, form: URLSearchParams): void {
  const amount = parseMoney(form.get("amount") ?? "", charge.currency);
  const reason = REFUND_REASONS.find((word) => word === form.get("reason"));
  world.store.transaction(() =>
    world.onClockOf(charge.customer, () => refundCharge(world, charge, { amount, reason: reason ?? null })),
  );
}

/** `/payments/:charge`, with `/refund`, `/dispute`, `/refunds/:id/:action` and `/disputes/:id/:action`. */
export function paymentPage(
  { world, form }: PageContext,
  method: string,
  [chargeId = "", step = "", id = "", action = ""]: string[],
): PageAnswer {
  const charge = world.charges.get(chargeId);
  if (!charge) return message("Nothing here", "There is no such payment.", 404);
  const path = `/payments/${chargeId}`;
  if (method === "GET" && step === "") return show(world, charge, path);
  if (method !== "POST") return message("Nothing here", "The sandbox has no such page.", 404);
  if (step === "refund") refund(world, charge, form);
  else if (step === "dispute") {
    const amount = parseMoney(form.get("amount") ?? "", charge.currency);
    const reason = form.get("reason") ?? undefined;
    openDisputeOf(world, { charge: chargeId, amount, reason, inquiry: form.get("inquiry") === "true" });
  } else if (step === "refunds" && isRefundAction(action)) actOnRefund(world, id, action);
  else if (step === "disputes" && isDisputeAction(action)) actOnDispute(world, id, action);
  else return message("Nothing here", "The sandbox has no such page.", 404);
  return seeOther(path);
}
