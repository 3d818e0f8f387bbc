// The first page: what this is, the clock, what goes wrong on request, who its customers are, what they paid, what it
// has told the app and whether the app took it.
import { formatMoney } from "../money";
import type { Customer, StoredEvent } from "../types";
import type { World } from "../world";
import { clockPanel } from "./clock";
import type { PageContext } from "./context";
import { faultsInWords } from "./faults";
import { type Html, html } from "./html";
import { formatTime, type PageAnswer, page } from "./layout";
import { button, state, table } from "./parts";
import { stateOfPayment } from "./payment";

const SHOWN = 50;

function newest<T>(items: Iterable<T>): T[] {
  return [...items].reverse().slice(0, SHOWN);
}

function deliveryOf(world: World, event: StoredEvent): Html {
  const deliveries = world.events.deliveries.by("event", event.id);
  if (deliveries.length === 0) return html`<span class="quiet">no endpoint</span>`;
  const words = deliveries.map(({ state: word, attempts, lastError }) =>
    word === "delivered"
      ? html`<div>delivered</div>`
      : html`<div class="${word === "failed" ? "now" : "soon"}">${word}${attempts > 0 && `, ${attempts} tried: ${lastError}`}</div>`,
  );
  return html`${words}`;
}

function found(customer: Customer, query: string): boolean {
  const words = [customer.id, customer.name, customer.email, ...Object.values(customer.metadata)];
  return words.some((word) => word?.toLowerCase().includes(query));
}

function customerRows(world: World, query: string): Html[] {
  const customers = [...world.customers.values()].filter((customer) => query === "" || found(customer, query));
  return newest(customers).map((customer) => {
    const subscription = world.subscriptions.by("customer", customer.id).at(-1);
    const paid = world.charges
      .by("customer", customer.id)
      .filter(({ status }) => status === "succeeded")
      .reduce((sum, charge) => sum + charge.amount_captured - charge.amount_refunded, 0);
    return html`<tr><td><a href="/customers/${customer.id}">${customer.name ?? customer.email ?? "(no name)"}</a><br><code class="quiet">${customer.id}</code></td><td>${customer.email}</td><td>${subscription ? state(subscription.status) : html`<span class="quiet">no subscription</span>`}</td><td class="num">${formatMoney(paid, customer.currency ?? "usd")}</td></tr>`;
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
      html`<tr><td><a href="/events/${event.id}">${event.type}</a><br><code class="quiet">${event.id}</code></td><td>${formatTime(event.created)}</td><td>${deliveryOf(world, event)}</td><td class="num">${button(`/events/${event.id}/redeliver`, "Redeliver", event.type)}</td></tr>`,
  );
}

/** `/`, with `?q=` to search customers. */
export function homePage({ world, deliverer, query }: PageContext): PageAnswer {
  const searched = (query.get("q") ?? "").trim();
  return page({
    title: "Home",
    nav: true,
    body: html`<h1>Stripe sandbox</h1>
<p>This stands in for Stripe on this machine: the API, hosted Checkout, the customer portal, invoices, webhooks and time. Nothing here is Stripe, no card is charged, and nothing leaves the machine.</p>
<div class="split">${clockPanel(world, "/clock")}
<section class="panel" aria-label="What goes wrong"><h2>What goes wrong on request</h2>
<p>${faultsInWords(world)}${deliverer.paused && html`<br><span class="soon">Webhooks are held back.</span>`}</p>
<div class="row"><a class="button small" href="/faults">Set faults</a>${world.faults.any && button("/faults/none", "Take all away", "faults")}${button("/webhooks", deliverer.paused ? "Let webhooks go" : "Hold webhooks back", "all endpoints", { paused: String(!deliverer.paused), back: "home" })}</div></section></div>
<form class="row" method="get" action="/" role="search" style="margin-top:32px"><label class="inline" for="q">Find a customer</label><input class="short" id="q" name="q" value="${searched}" placeholder="name, email, id or metadata"><button class="small" type="submit">Search</button></form>
${table("Customers", ["Customer", "Email", "Subscription", "#Paid"], customerRows(world, searched.toLowerCase()), searched ? "Nobody of that name." : "None yet.")}
${table("Latest payments", ["Payment", "Customer", "When", "Status"], paymentRows(world), "None yet.")}
${table("Latest events", ["Event", "When", "Delivery", "#Again"], eventRows(world), "None yet.")}`,
  });
}
