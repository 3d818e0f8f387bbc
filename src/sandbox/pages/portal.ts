// The customer portal: the subscription and its end, the card that pays, the invoices.
import { isLive, paymentMethodOf } from "../engine/subscription-state";
import { formatMoney } from "../money";
import type { PaymentMethod, PortalSession, Subscription } from "../types";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatDate, message, type PageAnswer, page, seeOther } from "./layout";
import { cancel, cancelPage, renew } from "./portal-cancel";
import { canChange, change, changePage, changesAt, confirm, confirmPage, keepPlan } from "./portal-change";
import { type Door, productsOf, stateOf } from "./portal-door";
import { methodPage, saveMethod } from "./portal-method";

const LIFE_SECONDS = 60 * 60;

/** A first payment that nobody made is no subscription to manage. */
function isShown(subscription: Subscription): boolean {
  return isLive(subscription) && subscription.status !== "incomplete";
}

function cardText(method: PaymentMethod | null): string {
  const card = method?.card;
  return card ? `${card.brand} ···· ${card.last4}, expires ${card.exp_month}/${card.exp_year}` : "No card is saved.";
}

function subscriptionPanel(door: Door, subscription: Subscription): Html {
  const { world, features, path } = door;
  const method = paymentMethodOf(world, subscription);
  const cancelable = features.subscription_cancel.enabled && subscription.cancel_at === null;
  const changes = changesAt(door, subscription);
  return html`<section class="panel" style="margin-bottom:16px" aria-label="Subscription">
<p><strong>${productsOf(world, subscription)}</strong></p>
${stateOf(subscription)}
${changes !== null && html`<p class="soon">Your plan will change on ${formatDate(changes)}.</p>`}
<p class="small quiet">${cardText(method)}</p>
<div class="row">
${canChange(door, subscription) && html`<a class="button" href="${path}/change/${subscription.id}">Change plan</a>`}
${cancelable && html`<a class="button" href="${path}/cancel/${subscription.id}">Cancel plan</a>`}
${subscription.cancel_at !== null && html`<form method="post" action="${path}/renew/${subscription.id}"><button type="submit">Don’t cancel plan</button></form>`}
${changes !== null && html`<form method="post" action="${path}/keep/${subscription.id}"><button type="submit">Keep current plan</button></form>`}
</div></section>`;
}

function invoiceTable({ world, customer }: Door): Html {
  const rows = world.invoices
    .by("customer", customer.id)
    .reverse()
    .filter(({ status }) => status !== "draft")
    .map((invoice) => {
      const words = invoice.status === "open" ? html`<span class="now">Open: pay</span>` : invoice.status;
      return html`<tr><td><a href="${invoice.hosted_invoice_url}">${invoice.number}</a></td><td>${formatDate(invoice.created)}</td><td>${words}</td><td class="num">${formatMoney(invoice.total, invoice.currency)}</td><td class="num"><a href="${invoice.invoice_pdf}">PDF</a></td></tr>`;
    });
  if (rows.length === 0) return html`<p class="quiet">No invoices yet.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Invoices"><table><thead><tr><th scope="col">Invoice</th><th scope="col">Date</th><th scope="col">Status</th><th scope="col" class="num">Amount</th><th scope="col" class="num">File</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

function back({ session }: Door): Html | null {
  return session.return_url ? html`<p><a href="${session.return_url}">← Return</a></p>` : null;
}

function home(door: Door): PageAnswer {
  const { world, customer, features, path } = door;
  const subscriptions = world.subscriptions.by("customer", customer.id).filter(isShown).reverse();
  const id = customer.invoice_settings.default_payment_method;
  const saved = (id && world.paymentMethods.get(id)) || world.paymentMethods.by("customer", customer.id).at(-1) || null;
  return page({
    title: "Customer portal",
    body: html`${back(door)}<h1>Manage your billing</h1>
<p class="quiet">${customer.name ?? ""} ${customer.email ?? customer.id}</p>
<h2>Current subscription</h2>
${subscriptions.length > 0 ? subscriptions.map((each) => subscriptionPanel(door, each)) : html`<p class="quiet">No subscription.</p>`}
<h2>Payment method</h2>
<p>${cardText(saved)}</p>
${features.payment_method_update.enabled && html`<p><a class="button" href="${path}/payment-method">Update payment method</a></p>`}
${features.invoice_history.enabled && html`<h2>Invoice history</h2>${invoiceTable(door)}`}`,
  });
}

function ownSubscription({ world, customer }: Door, id: string): Subscription | null {
  const subscription = world.subscriptions.get(id);
  return subscription?.customer === customer.id && isLive(subscription) ? subscription : null;
}

type Flow = NonNullable<PortalSession["flow"]>;

/** Where a session begins that was opened for one thing. */
const FLOWS: Record<string, (flow: Flow) => string> = {
  payment_method_update: () => "payment-method",
  subscription_cancel: (flow) => `cancel/${flow.subscription_cancel?.subscription}`,
  subscription_update: (flow) => `change/${flow.subscription_update?.subscription}`,
  subscription_update_confirm: (flow) => `confirm/${flow.subscription_update_confirm?.subscription}`,
};

function act(door: Door, method: string, step: string | undefined, target: string, form: URLSearchParams): PageAnswer {
  const { features, path, session } = door;
  const posts = method === "POST";
  const start = session.flow && FLOWS[session.flow.type]?.(session.flow);
  // A session that was opened for one thing shows nothing else until that is done.
  if (start && `${step}/${target}` !== start && step !== start) return seeOther(`${path}/${start}`);
  if (step === "payment-method" && features.payment_method_update.enabled) {
    if (posts) return saveMethod(door, form);
    const values = { cardNumber: "", cardExpiry: "", cardCvc: "", billingName: door.customer.name ?? "" };
    return methodPage(door, { values, problems: {} });
  }
  const subscription = ownSubscription(door, target);
  if (step === "cancel" && subscription && features.subscription_cancel.enabled && subscription.cancel_at === null) {
    return posts ? cancel(door, subscription, form) : cancelPage(door, subscription);
  }
  if (step === "change" && subscription && canChange(door, subscription)) {
    return posts ? change(door, subscription, form) : changePage(door, subscription);
  }
  if (step === "confirm" && subscription) {
    return posts ? confirm(door, subscription) : confirmPage(door, subscription);
  }
  if (step === "renew" && subscription && posts) return renew(door, subscription);
  if (step === "keep" && subscription && posts) return keepPlan(door, subscription);
  if (step === undefined) return home(door);
  return start ? home(door) : seeOther(path);
}

/** `/p/session/:secret` and what one may do there. */
export function portalPage(
  { world, form }: PageContext,
  method: string,
  [, secret = "", step, target = ""]: string[],
): PageAnswer {
  const path = `/p/session/${secret}`;
  const session = world.portalSessions.by("secret", secret)[0];
  const customer = session && world.customers.get(session.customer);
  const configuration = session && world.portalConfigurations.get(session.configuration);
  if (!session || !customer || !configuration) return message("Nothing here", "There is no such portal session.", 404);
  if (session.created + LIFE_SECONDS < world.clock.global()) {
    const more = session.return_url ? html`<p><a class="button" href="${session.return_url}">Go back</a></p>` : null;
    return message("Session expired", "This portal session has expired. Go back and open it again.", 410, more);
  }
  return world.onClockOf(customer.id, () =>
    act({ world, session, customer, features: configuration.features, path }, method, step, target, form),
  );
}
