// One customer by hand: what happens to subscriptions, invoices, payments and cards at the push of a button.
import { actOnPayment, isPaymentAction } from "../bank";
import { isLive } from "../engine/subscription-state";
import { formatMoney } from "../money";
import type { Customer, Invoice, PaymentMethod, Subscription } from "../types";
import type { World } from "../world";
import { act } from "./act";
import { clockPanel, moveTestClock } from "./clock";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatDate, formatTime, message, type PageAnswer, page, seeOther } from "./layout";
import { button, row, state, table } from "./parts";
import { stateOfPayment } from "./payment";

function planWords(world: World, subscription: Subscription): string {
  return subscription.items.data
    .map(({ price, quantity }) => {
      const name = world.products.get(price.product)?.name ?? price.id;
      const amount = price.unit_amount === null ? "" : ` at ${formatMoney(price.unit_amount, price.currency)}`;
      const interval = price.recurring ? ` a ${price.recurring.interval}` : "";
      return `${(quantity ?? 1) > 1 ? `${quantity} × ` : ""}${name}${amount}${interval}`;
    })
    .join(", ");
}

const SUBSCRIPTION_WORDS = {
  cancel_later: "Cancel at period end",
  keep: "Keep",
  cancel: "Cancel now",
  hold: "Pause collection",
  collect: "Collect again",
  pause: "Pause",
  resume: "Resume",
};
type SubscriptionAction = keyof typeof SUBSCRIPTION_WORDS;

function actionsOf(subscription: Subscription): SubscriptionAction[] {
  if (!isLive(subscription)) return [];
  return [
    subscription.cancel_at === null ? "cancel_later" : "keep",
    "cancel",
    subscription.pause_collection ? "collect" : "hold",
    subscription.status === "paused" ? "resume" : "pause",
  ];
}

function actOnSubscription(world: World, id: string, action: string): void {
  const path = `/v1/subscriptions/${id}`;
  if (action === "cancel") act(world, "DELETE", path);
  else if (action === "cancel_later") act(world, "POST", path, { cancel_at_period_end: "true" });
  else if (action === "keep") act(world, "POST", path, { cancel_at_period_end: "false" });
  else if (action === "hold") act(world, "POST", path, { pause_collection: { behavior: "keep_as_draft" } });
  else if (action === "collect") act(world, "POST", path, { pause_collection: "" });
  else act(world, "POST", `${path}/${action}`);
}

function subscriptionRow(world: World, subscription: Subscription): Html {
  const { id, customer, status, cancel_at: ends } = subscription;
  const plan = planWords(world, subscription);
  const [item] = subscription.items.data;
  const path = `/customers/${customer}/subscriptions/${id}`;
  const buttons = actionsOf(subscription).map((action) =>
    button(`${path}/${action}`, SUBSCRIPTION_WORDS[action], plan),
  );
  const period = item && `${formatDate(item.current_period_start)} to ${formatDate(item.current_period_end)}`;
  return html`<tr><td>${plan}<br><code class="quiet">${id}</code></td><td>${state(status)}${subscription.pause_collection && html` ${state("collection paused")}`}${ends !== null && isLive(subscription) && html`<br><span class="soon">ends ${formatDate(ends)}</span>`}</td><td>${period}${row(buttons)}</td></tr>`;
}

const INVOICE_WORDS = {
  finalize: "Finalize",
  pay: "Pay",
  void: "Void",
  mark_uncollectible: "Mark uncollectible",
};

function invoiceRow(invoice: Invoice): Html {
  const { id, customer, status, currency } = invoice;
  const actions: Array<keyof typeof INVOICE_WORDS> =
    status === "draft"
      ? ["finalize"]
      : status === "open"
        ? ["pay", "void", "mark_uncollectible"]
        : status === "uncollectible"
          ? ["pay", "void"]
          : [];
  const name = invoice.number ?? "draft";
  const buttons = actions.map((action) =>
    button(`/customers/${customer}/invoices/${id}/${action}`, INVOICE_WORDS[action], name),
  );
  const link = invoice.hosted_invoice_url;
  const next = invoice.next_payment_attempt;
  return html`<tr><td>${link ? html`<a href="${link}">${name}</a>` : name}<br><code class="quiet">${id}</code></td><td>${state(status)}${next !== null && html`<br><span class="soon">next attempt ${formatTime(next)}</span>`}</td><td>${(invoice.billing_reason ?? "manual").replaceAll("_", " ")}<br><span class="quiet">${formatTime(invoice.created)}</span>${row(buttons)}</td><td class="num">${formatMoney(invoice.total, currency)}</td></tr>`;
}

function paymentRows(world: World, customer: Customer): Html[] {
  const waiting = world.paymentIntents
    .by("customer", customer.id)
    .filter(({ status }) => status === "processing")
    .map(({ id, amount, currency }) => {
      const path = `/customers/${customer.id}/payments/${id}`;
      const about = formatMoney(amount, currency);
      const buttons = [button(`${path}/succeed`, "Succeed", about), button(`${path}/fail`, "Fail", about)];
      return html`<tr><td>${about}<br><code class="quiet">${id}</code></td><td>${state("processing")}${row(buttons)}</td><td></td></tr>`;
    });
  const charges = world.charges.by("customer", customer.id).reverse().slice(0, 50);
  return [
    ...waiting,
    ...charges.map(
      (charge) =>
        html`<tr><td><a href="/payments/${charge.id}">${formatMoney(charge.amount, charge.currency)}</a><br><code class="quiet">${charge.payment_intent ?? charge.id}</code></td><td>${stateOfPayment(world, charge)}<br><a class="small" href="/payments/${charge.id}">refund or dispute</a></td><td>${formatTime(charge.created)}</td></tr>`,
    ),
  ];
}

/** `visa ···· 4242`, `us bank account ···· 6789`. */
function methodWords(method: PaymentMethod): string {
  const { card, us_bank_account: bank, sepa_debit: sepa } = method;
  return `${card?.brand ?? method.type.replaceAll("_", " ")} ···· ${(card ?? bank ?? sepa)?.last4 ?? ""}`;
}

/** What a customer's card can be replaced by, by Stripe's name for it. */
const REPLACEMENTS: Record<string, string> = {
  pm_card_visa: "a card that works",
  pm_card_chargeCustomerFail: "a card that will be declined",
  pm_card_authenticationRequired: "a card that asks every time",
  pm_usBankAccount_success: "a US bank account",
  pm_usBankAccount_insufficientFunds: "a US bank account without funds",
  pm_success_de: "a SEPA account",
  pm_failed_de: "a SEPA account that fails",
};

function replaceMethod(world: World, customer: Customer, name: string): void {
  if (!Object.hasOwn(REPLACEMENTS, name)) return;
  const known = new Set(world.paymentMethods.by("customer", customer.id).map(({ id }) => id));
  act(world, "POST", `/v1/payment_methods/${name}/attach`, { customer: customer.id });
  const method = world.paymentMethods.by("customer", customer.id).find(({ id }) => !known.has(id));
  if (!method) return;
  act(world, "POST", `/v1/customers/${customer.id}`, { invoice_settings: { default_payment_method: method.id } });
  for (const subscription of world.subscriptions.by("customer", customer.id)) {
    if (!isLive(subscription)) continue;
    act(world, "POST", `/v1/subscriptions/${subscription.id}`, { default_payment_method: method.id });
  }
}

/** What a payment method is the default of. */
function paysWhat(world: World, customer: Customer, method: string): string {
  const plans = world.subscriptions
    .by("customer", customer.id)
    .filter((subscription) => isLive(subscription) && subscription.default_payment_method === method)
    .map((subscription) => planWords(world, subscription));
  const all = customer.invoice_settings.default_payment_method === method ? ["whatever names none"] : [];
  return [...plans, ...all].join(", ");
}

function methodSection(world: World, customer: Customer): Html {
  const rows = world.paymentMethods
    .by("customer", customer.id)
    .reverse()
    .map(
      (method) =>
        html`<tr><td>${methodWords(method)}<br><code class="quiet">${method.id}</code></td><td>${paysWhat(world, customer, method.id)}</td><td>${row([button(`/customers/${customer.id}/methods/${method.id}/detach`, "Detach", methodWords(method))])}</td></tr>`,
    );
  const options = Object.entries(REPLACEMENTS).map(([name, words]) => html`<option value="${name}">${words}</option>`);
  return html`${table("Payment methods", ["Payment method", "Pays", "Away with it"], rows, "None yet.")}
<form class="row" method="post" action="/customers/${customer.id}/methods" style="margin-top:12px"><label class="inline" for="replacement">Let it all be paid by</label><select class="short" id="replacement" name="name">${options}</select><button class="small" type="submit">Replace</button></form>`;
}

function show(world: World, customer: Customer): PageAnswer {
  const name = customer.name ?? customer.email ?? customer.id;
  const newest = <T>(items: T[]) => items.reverse().slice(0, 50);
  const events = newest(
    [...world.events.all.values()].filter(
      ({ data: { object } }) => object.customer === customer.id || object.id === customer.id,
    ),
  );
  return page({
    title: name,
    nav: true,
    body: html`<h1>${name}</h1>
<p>${customer.email}<br><code class="quiet">${customer.id}</code>${customer.balance !== 0 && html`<br>Balance ${formatMoney(-customer.balance, customer.currency ?? "usd")}`}</p>
${clockPanel(world, customer.test_clock ? `/customers/${customer.id}/clock` : "/clock", customer.test_clock ?? null)}
${table(
  "Subscriptions",
  ["Plan", "State", "Period, and what to do"],
  newest(world.subscriptions.by("customer", customer.id)).map((each) => subscriptionRow(world, each)),
)}
${methodSection(world, customer)}
${table("Invoices", ["Invoice", "State", "For, and what to do", "#Total"], newest(world.invoices.by("customer", customer.id)).map(invoiceRow))}
${table("Payments", ["Payment", "State", "When"], paymentRows(world, customer))}
${table(
  "Events",
  ["Event", "When"],
  events.map(
    ({ id, type, created }) =>
      html`<tr><td><a href="/events/${id}">${type}</a></td><td>${formatTime(created)}</td></tr>`,
  ),
)}`,
  });
}

/** `/customers/:id` with `/clock`, `/methods`, `/subscriptions/:id/:action`, `/invoices/:id/:action`, `/payments/:id/:action`. */
export function customerPage(context: PageContext, method: string, rest: string[]): PageAnswer {
  const { world, form } = context;
  const [customerId = "", noun = "", id = "", action = ""] = rest;
  const customer = world.customers.get(customerId);
  if (!customer) return message("Nothing here", "There is no such customer.", 404);
  if (method === "GET" && noun === "") return show(world, customer);
  if (method !== "POST" || !doIt(world, customer, { noun, id, action, form })) {
    return message("Nothing here", "The sandbox has no such page.", 404);
  }
  return seeOther(`/customers/${customerId}`);
}

/** Does what a button says; false when there is no such button. */
function doIt(
  world: World,
  customer: Customer,
  { noun, id, action, form }: { noun: string; id: string; action: string; form: URLSearchParams },
): boolean {
  const owns = (owner: string | null | undefined) => owner === customer.id;
  if (noun === "clock" && customer.test_clock) {
    moveTestClock(world, customer.test_clock, form.get("step") ?? "");
  } else if (noun === "methods" && id === "") {
    replaceMethod(world, customer, form.get("name") ?? "");
  } else if (noun === "methods" && action === "detach" && owns(world.paymentMethods.get(id)?.customer)) {
    act(world, "POST", `/v1/payment_methods/${id}/detach`);
  } else if (noun === "subscriptions" && action in SUBSCRIPTION_WORDS && owns(world.subscriptions.get(id)?.customer)) {
    actOnSubscription(world, id, action);
  } else if (noun === "invoices" && action in INVOICE_WORDS && owns(world.invoices.get(id)?.customer)) {
    act(world, "POST", `/v1/invoices/${id}/${action}`);
  } else if (noun === "payments" && isPaymentAction(action) && owns(world.paymentIntents.get(id)?.customer)) {
    actOnPayment(world, id, action);
  } else return false;
  return true;
}
