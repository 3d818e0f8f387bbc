// The first page: what this is, who its customers are, what they paid, what it has told the app and whether the app
// took it.
import { formatMoney } from "../money";
import type { StoredEvent } from "../types";
import { sendAgain } from "../webhook-control";
import type { World } from "../world";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatTime, message, type PageAnswer, page, seeOther } from "./layout";
import { stateOfPayment } from "./payment";

const SHOWN = 50;

function newest<T>(items: Iterable<T>): T[] {
  return [...items].reverse().slice(0, SHOWN);
}

function deliveryOf(world: World, event: StoredEvent): Html {
  const deliveries = world.events.deliveries.by("event", event.id);
  if (deliveries.length === 0) return html`<span class="quiet">no endpoint</span>`;
  const words = deliveries.map(({ state, attempts, lastError }) =>
    state === "delivered"
      ? html`<div>delivered</div>`
      : html`<div class="${state === "failed" ? "now" : "soon"}">${state}${attempts > 0 && `, ${attempts} tried: ${lastError}`}</div>`,
  );
  return html`${words}`;
}

function customerRows(world: World): Html[] {
  return newest(world.customers.values()).map((customer) => {
    const subscription = world.subscriptions.by("customer", customer.id).at(-1);
    const paid = world.charges
      .by("customer", customer.id)
      .reduce((sum, charge) => sum + charge.amount_captured - charge.amount_refunded, 0);
    return html`<tr><td>${customer.name ?? customer.email ?? "(no name)"}<br><code class="quiet">${customer.id}</code></td><td>${customer.email}</td><td>${subscription?.status ?? "no subscription"}</td><td class="num">${formatMoney(paid, customer.currency ?? "usd")}</td></tr>`;
  });
}

function paymentRows(world: World): Html[] {
  return newest(world.charges.values()).map((charge) => {
    const customer = charge.customer ? world.customers.get(charge.customer) : undefined;
    const amount = formatMoney(charge.amount, charge.currency);
    return html`<tr><td><a href="/payments/${charge.id}">${amount}</a><br><code class="quiet">${charge.payment_intent}</code></td><td>${customer?.name ?? customer?.email}</td><td>${formatTime(charge.created)}</td><td>${stateOfPayment(world, charge)}</td></tr>`;
  });
}

function eventRows(world: World): Html[] {
  return newest(world.events.all.values()).map(
    (event) =>
      html`<tr><td>${event.type}<br><code class="quiet">${event.id}</code></td><td>${formatTime(event.created)}</td><td>${deliveryOf(world, event)}</td><td class="num"><form method="post" action="/events/${event.id}/redeliver"><button class="link" type="submit" aria-label="Redeliver ${event.type}">Redeliver</button></form></td></tr>`,
  );
}

/** `/` */
export function homePage({ world, deliverer }: PageContext): PageAnswer {
  const frozen = world.clock.frozenAt() !== null;
  const customers = customerRows(world);
  const payments = paymentRows(world);
  const events = eventRows(world);
  return page({
    title: "Home",
    body: html`<h1>Stripe sandbox</h1>
<p>This stands in for Stripe on this machine: the API, hosted Checkout, the customer portal, invoices, webhooks and time. Nothing here is Stripe, no card is charged, and nothing leaves the machine.</p>
<p><a href="/mailbox">Mailbox (${world.mails.size})</a></p>
<p class="small quiet">Its clock shows ${formatTime(world.clock.global())}${frozen ? ", and stands still" : ", real time"}. ${deliverer.paused && "Webhooks are paused."}</p>
<h2>Customers</h2>
${customers.length > 0 ? html`<div class="scroll" tabindex="0" role="region" aria-label="Customers"><table><thead><tr><th scope="col">Customer</th><th scope="col">Email</th><th scope="col">Subscription</th><th scope="col" class="num">Paid</th></tr></thead><tbody>${customers}</tbody></table></div>` : html`<p class="quiet">None yet.</p>`}
<h2>Latest payments</h2>
${payments.length > 0 ? html`<div class="scroll" tabindex="0" role="region" aria-label="Latest payments"><table><thead><tr><th scope="col">Payment</th><th scope="col">Customer</th><th scope="col">When</th><th scope="col">Status</th></tr></thead><tbody>${payments}</tbody></table></div>` : html`<p class="quiet">None yet.</p>`}
<h2>Latest events</h2>
${events.length > 0 ? html`<div class="scroll" tabindex="0" role="region" aria-label="Latest events"><table><thead><tr><th scope="col">Event</th><th scope="col">When</th><th scope="col">Delivery</th><th scope="col" class="num">Again</th></tr></thead><tbody>${events}</tbody></table></div>` : html`<p class="quiet">None yet.</p>`}`,
  });
}

/** `/events/:id/redeliver` */
export function redeliverEvent({ world }: PageContext, id: string): PageAnswer {
  const event = world.events.all.get(id);
  if (!event) return message("Nothing here", "There is no such event.", 404);
  sendAgain(world, id);
  return seeOther("/");
}
