// The customer portal: the subscription and its end, the card that pays, the invoices.
import { attach, cardBehind, newPaymentMethod } from "../engine/cards";
import { updateSubscription } from "../engine/subscription-apply";
import {
  changeSubscription,
  endSubscription,
  isLive,
  lastPeriodEnd,
  paymentMethodOf,
} from "../engine/subscription-state";
import { StripeError } from "../errors";
import { formatInterval, formatMoney, unitAmountOf } from "../money";
import type { Customer, PaymentMethod, PortalConfiguration, PortalSession, Price, Subscription } from "../types";
import type { World } from "../world";
import { CARD_SCRIPT, type CardValues, cardFields, type Problems, readCard, testCards, valuesOf } from "./card-form";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatDate, message, type PageAnswer, page, seeOther } from "./layout";

const LIFE_SECONDS = 60 * 60;

interface Door {
  world: World;
  session: PortalSession;
  customer: Customer;
  features: PortalConfiguration["features"];
  /** The path of this session, from which actions start. */
  path: string;
}

function productsOf(world: World, subscription: Subscription): string {
  return subscription.items.data
    .map((item) => {
      const price = world.prices.get(item.price.id) ?? item.price;
      const name = world.products.get(price.product)?.name ?? price.product;
      const each = formatMoney(Number(unitAmountOf(price, subscription.currency)), subscription.currency);
      const quantity = item.quantity === 1 ? "" : `${item.quantity} × `;
      return `${quantity}${name}, ${each} per ${formatInterval(price.recurring)}`;
    })
    .join("; ");
}

function stateOf(subscription: Subscription): Html {
  const end = formatDate(lastPeriodEnd(subscription));
  if (subscription.cancel_at !== null) {
    return html`<p class="soon">Your plan will be canceled on ${formatDate(subscription.cancel_at)}.</p>`;
  }
  switch (subscription.status) {
    case "trialing":
      return html`<p>Free trial until ${formatDate(subscription.trial_end ?? 0)}.</p>`;
    case "past_due":
    case "unpaid":
      return html`<p class="now">The last payment failed. Update your payment method or pay the invoice below.</p>`;
    case "active":
      return html`<p>Your plan renews on ${end}.</p>`;
    default:
      return html`<p>${subscription.status}</p>`;
  }
}

/** A first payment that nobody made is no subscription to manage. */
function isShown(subscription: Subscription): boolean {
  return isLive(subscription) && subscription.status !== "incomplete";
}

/** The prices that the configuration offers in place of the current one. */
function choicesOf({ world, features }: Door, subscription: Subscription): Price[] {
  const { enabled, products } = features.subscription_update;
  if (!enabled || subscription.cancel_at !== null) return [];
  const taken = new Set(subscription.items.data.map((item) => item.price.id));
  return (products ?? [])
    .flatMap((product) => product.prices)
    .map((id) => world.prices.get(id))
    .filter((price) => price !== undefined)
    .filter((price) => price.active && price.recurring !== null && !taken.has(price.id));
}

function cardText(method: PaymentMethod | null): string {
  const card = method?.card;
  return card ? `${card.brand} ···· ${card.last4}, expires ${card.exp_month}/${card.exp_year}` : "No card is saved.";
}

function subscriptionPanel(door: Door, subscription: Subscription): Html {
  const { world, features, path } = door;
  const method = paymentMethodOf(world, subscription);
  const cancel = features.subscription_cancel.enabled && subscription.cancel_at === null;
  return html`<section class="panel" style="margin-bottom:16px" aria-label="Subscription">
<p><strong>${productsOf(world, subscription)}</strong></p>
${stateOf(subscription)}
<p class="small quiet">${cardText(method)}</p>
<div class="row">
${choicesOf(door, subscription).length > 0 && html`<a class="button" href="${path}/change/${subscription.id}">Change plan</a>`}
${cancel && html`<a class="button" href="${path}/cancel/${subscription.id}">Cancel plan</a>`}
${subscription.cancel_at !== null && html`<form method="post" action="${path}/renew/${subscription.id}"><button type="submit">Don’t cancel plan</button></form>`}
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

function cancelPage(door: Door, subscription: Subscription): PageAnswer {
  const { features, path } = door;
  const now = features.subscription_cancel.mode === "immediately";
  const reasons = features.subscription_cancel.cancellation_reason;
  const label = (text: string) => text.replaceAll("_", " ");
  return page({
    title: "Cancel plan",
    narrow: true,
    body: html`<h1>Cancel your plan</h1>
<p>${now ? "Your plan ends at once." : `Your plan stays yours until ${formatDate(lastPeriodEnd(subscription))}, then it ends.`}</p>
<form method="post" action="${path}/cancel/${subscription.id}">
${reasons.enabled && reasons.options.length > 0 && html`<div class="field"><label for="feedback">Why do you cancel?</label><select id="feedback" name="feedback"><option value="">No answer</option>${reasons.options.map((option) => html`<option value="${option}">${label(option)}</option>`)}</select></div>`}
<div class="row"><button class="primary" type="submit">Cancel plan</button><a class="button" href="${path}">Go back</a></div></form>`,
  });
}

function cancel(door: Door, subscription: Subscription, form: URLSearchParams): PageAnswer {
  const { world, features, path } = door;
  type Feedback = NonNullable<NonNullable<Subscription["cancellation_details"]>["feedback"]>;
  const chosen = features.subscription_cancel.cancellation_reason.options.find(
    (option) => option === form.get("feedback"),
  );
  const details = {
    comment: null,
    feedback: (chosen as Feedback | undefined) ?? null,
    feedback_option: null,
    reason: "cancellation_requested" as const,
  };
  world.store.transaction(() => {
    if (features.subscription_cancel.mode === "immediately") endSubscription(world, subscription.id, details);
    else {
      // With flexible billing the portal sets the instant and leaves `cancel_at_period_end` alone.
      const changes = {
        cancel_at: lastPeriodEnd(subscription),
        canceled_at: world.now(),
        cancellation_details: details,
      };
      changeSubscription(world, subscription.id, changes);
    }
  });
  return seeOther(path);
}

function renew({ world, path }: Door, subscription: Subscription): PageAnswer {
  const none = { comment: null, feedback: null, feedback_option: null, reason: null };
  const changes = { cancel_at: null, cancel_at_period_end: false, canceled_at: null, cancellation_details: none };
  world.store.transaction(() => changeSubscription(world, subscription.id, changes));
  return seeOther(path);
}

function changePage(door: Door, subscription: Subscription, alert?: string): PageAnswer {
  const { world, path } = door;
  const { currency } = subscription;
  const rows = choicesOf(door, subscription).map((price) => {
    const each = formatMoney(Number(unitAmountOf(price, currency)), currency);
    const words = `${world.products.get(price.product)?.name ?? price.product}, ${each} per ${formatInterval(price.recurring)}`;
    return html`<p><label><input type="radio" name="price" value="${price.id}" required>${words}</label></p>`;
  });
  return page({
    title: "Change plan",
    narrow: true,
    body: html`<h1>Change your plan</h1>
${alert && html`<div class="alert" role="alert">${alert}</div>`}
<p class="quiet">Now: ${productsOf(world, subscription)}</p>
<form method="post" action="${path}/change/${subscription.id}"><fieldset style="border:0;padding:0;margin:0 0 16px"><legend class="quiet small">Change to</legend>${rows}</fieldset>
<div class="row"><button class="primary" type="submit">Change plan</button><a class="button" href="${path}">Go back</a></div></form>`,
  });
}

function change(door: Door, subscription: Subscription, form: URLSearchParams): PageAnswer {
  const { world, features, path } = door;
  const price = choicesOf(door, subscription).find(({ id }) => id === form.get("price"));
  if (!price) return changePage(door, subscription, "Choose a plan.");
  const { products, proration_behavior: proration, trial_update_behavior: trial } = features.subscription_update;
  const offered = new Set(products?.map(({ product }) => product));
  const item = subscription.items.data.find((each) => offered.has(each.price.product)) ?? subscription.items.data[0];
  try {
    world.store.transaction(() => {
      const ends = subscription.status === "trialing" && trial === "end_trial";
      updateSubscription(
        world,
        subscription.id,
        {
          items: [{ id: item?.id, price, quantity: item?.quantity }],
          proration: proration as "always_invoice" | "create_prorations" | "none",
          at: world.now(),
          resetAnchor: false,
          ...(ends && { trialEnd: "now" as const }),
        },
        {},
        "error_if_incomplete",
      );
    });
    return seeOther(path);
  } catch (error) {
    if (error instanceof StripeError) return changePage(door, subscription, error.message);
    throw error;
  }
}

interface Shown {
  values: CardValues;
  problems: Problems;
  alert?: string;
}

function methodPage(door: Door, shown: Shown): PageAnswer {
  return page({
    title: "Update payment method",
    narrow: true,
    script: CARD_SCRIPT,
    body: html`<h1>Update payment method</h1>
${shown.alert && html`<div class="alert" role="alert">${shown.alert}</div>`}
<form method="post" action="${door.path}/payment-method" novalidate>${cardFields(shown.values, shown.problems)}
<div class="row"><button class="primary" type="submit">Save card</button><a class="button" href="${door.path}">Go back</a></div></form>${testCards()}`,
  });
}

function saveMethod(door: Door, form: URLSearchParams): PageAnswer {
  const { world, customer, path } = door;
  const values = valuesOf(form);
  const read = readCard(values, world.now());
  if ("problems" in read) return methodPage(door, { values, problems: read.problems });
  return world.store.transaction(() => {
    const method = newPaymentMethod(world, read.card, { name: read.card.name, email: customer.email });
    const failure = cardBehind(world, method.id).declines;
    if (failure) return methodPage(door, { values, problems: {}, alert: failure.message });
    attach(world, method.id, customer, true);
    const settings = { ...customer.invoice_settings, default_payment_method: method.id };
    world.change(world.customers, customer.id, { invoice_settings: settings }, "customer.updated");
    for (const subscription of world.subscriptions.by("customer", customer.id)) {
      if (isLive(subscription)) changeSubscription(world, subscription.id, { default_payment_method: method.id });
    }
    return seeOther(path);
  });
}

type Flow = NonNullable<PortalSession["flow"]>;

/** Where a session begins that was opened for one thing. */
const FLOWS: Record<string, (flow: Flow) => string> = {
  payment_method_update: () => "payment-method",
  subscription_cancel: (flow) => `cancel/${flow.subscription_cancel?.subscription}`,
  subscription_update: (flow) => `change/${flow.subscription_update?.subscription}`,
};

function act(door: Door, method: string, step: string | undefined, target: string, form: URLSearchParams): PageAnswer {
  const { features, path, world } = door;
  if (step === "payment-method" && features.payment_method_update.enabled) {
    if (method === "POST") return saveMethod(door, form);
    const values = { cardNumber: "", cardExpiry: "", cardCvc: "", billingName: door.customer.name ?? "" };
    return methodPage(door, { values, problems: {} });
  }
  const subscription = ownSubscription(door, target);
  if (step === "cancel" && subscription && features.subscription_cancel.enabled) {
    return method === "POST" ? cancel(door, subscription, form) : cancelPage(door, subscription);
  }
  if (step === "change" && subscription && choicesOf(door, subscription).length > 0) {
    return method === "POST" ? change(door, subscription, form) : changePage(door, subscription);
  }
  if (step === "renew" && subscription && method === "POST") return renew(door, subscription);
  if (step !== undefined) return seeOther(path);
  const { flow } = door.session;
  const start = flow && FLOWS[flow.type]?.(flow);
  if (start) {
    // A flow opens once; afterwards the session shows the portal.
    world.portalSessions.patch(door.session.id, { flow: null });
    return seeOther(`${path}/${start}`);
  }
  return home(door);
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
