// The hosted Checkout page: what is bought, the card form, the bank's question.
import {
  asksForCard,
  authenticateCheckout,
  type CheckoutOutcome,
  submitCheckout,
  trialEndOf,
} from "../engine/checkout";
import { formatInterval, formatMoney } from "../money";
import type { CheckoutSession } from "../types";
import type { World } from "../world";
import {
  CARD_SCRIPT,
  type CardValues,
  cardFields,
  field,
  type Problems,
  readCard,
  testCards,
  valuesOf,
} from "./card-form";
import { amountRows, countryField, type MoneyAnswer, promotionField, readMoney } from "./checkout-money";
import type { PageContext } from "./context";
import { type DebitValues, debitFields, readDebit } from "./debit-form";
import { type Html, html } from "./html";
import { formatDate, message, type PageAnswer, page, seeOther } from "./layout";

interface Shown {
  email: string;
  values: CardValues;
  problems: Problems;
  money?: MoneyAnswer["problems"];
  debit?: DebitValues | null;
  alert?: string;
}

function onClock<R>(world: World, session: CheckoutSession, work: () => R): R {
  return world.onClockOf(session.customer, work);
}

function withId(url: string | null, id: string): string | null {
  return url?.replaceAll(/\{CHECKOUT_SESSION_ID\}|%7BCHECKOUT_SESSION_ID%7D/gi, id) ?? null;
}

function submitLabel(session: CheckoutSession, trial: boolean): string {
  if (session.mode === "setup") return "Save card";
  if (session.mode === "subscription") return trial ? "Start trial" : "Subscribe";
  return `Pay ${formatMoney(session.amount_total ?? 0, session.currency ?? "usd")}`;
}

function summary(world: World, session: CheckoutSession, trialEnd: number | null): Html {
  const currency = session.currency ?? "usd";
  const lines = world.sessionLines.by("session", session.id).map((line) => {
    const price = line.price && world.prices.get(line.price.id);
    const interval = price?.recurring ? formatInterval(price.recurring) : null;
    const option = price && (price.currency === currency ? price : price.currency_options?.[currency]);
    const each = formatMoney(Number(option?.unit_amount_decimal ?? 0), currency);
    return html`<tr><td>${line.description}<br><span class="quiet">Qty ${line.quantity}${interval && `, ${each} per ${interval}`}</span></td><td class="num">${formatMoney(line.amount_subtotal, currency)}</td></tr>`;
  });
  const plan = world.checkoutPlans.get(session.id);
  return html`<section aria-label="Order summary">
<p class="quiet">${trialEnd ? "Try it free" : session.mode === "subscription" ? "Subscribe" : session.mode === "setup" ? "Save a payment method" : "Pay"}</p>
<p class="amount">${formatMoney(session.amount_total ?? 0, currency)}</p>
<p class="quiet">due today</p>
<table><tbody>${lines}${amountRows(session)}<tr class="total"><td>Total due today</td><td class="num">${formatMoney(session.amount_total ?? 0, currency)}</td></tr></tbody></table>
${trialEnd && html`<p class="small quiet">Free until ${formatDate(trialEnd)}${plan?.trialPeriodDays ? ` (${plan.trialPeriodDays} days)` : ""}, then at the price above.</p>`}
</section>`;
}

function show(world: World, session: CheckoutSession, shown: Shown): PageAnswer {
  const plan = world.checkoutPlans.get(session.id);
  const trialEnd =
    plan && session.mode === "subscription" ? onClock(world, session, () => trialEndOf(world, plan)) : null;
  const asks = asksForCard(session);
  const card = asks && session.payment_method_types.includes("card");
  const label = submitLabel(session, trialEnd !== null);
  const cancel = withId(session.cancel_url, session.id);
  return page({
    title: "Checkout",
    script: CARD_SCRIPT,
    body: html`<h1>Checkout</h1><div class="split">
${summary(world, session, trialEnd)}
<section class="panel" aria-label="Payment">
${shown.alert && html`<div class="alert" role="alert">${shown.alert}</div>`}
<form method="post" action="/c/pay/${session.id}" novalidate>
${field({ name: "email", label: "Email", type: "email", inputmode: "email", value: shown.email, problem: shown.problems.email, autocomplete: "email" })}
${countryField(world, session, shown.money?.country)}
${card && cardFields(shown.values, shown.problems)}${!asks && html`<p class="quiet">Nothing is due today, so no card is needed.</p>`}
${(card || !asks) && html`<button class="primary wide" type="submit">${label}</button>`}
${asks && debitFields(session, session.mode === "setup" ? "Save and pay later" : label, shown.debit ?? null)}
${promotionField(world, session, shown.money?.promotionCode)}
</form>
${cancel && html`<p class="small" style="margin-top:16px"><a href="${cancel}">Cancel and go back</a></p>`}
${card && testCards()}
</section></div>`,
  });
}

function closed(session: CheckoutSession): PageAnswer {
  if (session.status === "complete") {
    const target = withId(session.success_url, session.id);
    const more = target ? html`<p><a class="button" href="${target}">Continue</a></p>` : null;
    return message(
      "Already completed",
      "This checkout session was completed. There is nothing left to pay.",
      200,
      more,
    );
  }
  const more = session.cancel_url ? html`<p><a class="button" href="${session.cancel_url}">Go back</a></p>` : null;
  return message("Session expired", "This checkout session has expired. Go back and start again.", 410, more);
}

function firstView(world: World, session: CheckoutSession): Shown {
  const customer = session.customer ? world.customers.get(session.customer) : undefined;
  return {
    email: customer?.email ?? session.customer_email ?? session.customer_details?.email ?? "",
    values: { cardNumber: "", cardExpiry: "", cardCvc: "", billingName: customer?.name ?? "" },
    problems: {},
  };
}

function after(world: World, sessionId: string, outcome: CheckoutOutcome, shown: Shown): PageAnswer {
  const session = world.sessions.get(sessionId);
  if (!session) return message("Nothing here", "There is no such checkout session.", 404);
  switch (outcome.status) {
    case "complete":
    case "already_complete":
      return seeOther(withId(session.success_url, sessionId) ?? "/");
    case "requires_action":
      return seeOther(`/c/pay/${sessionId}/authenticate`);
    case "declined":
      return show(world, session, { ...shown, alert: outcome.failure.message });
    case "expired":
      return closed(session);
  }
}

function submit(world: World, before: CheckoutSession, form: URLSearchParams): PageAnswer {
  const money = world.store.transaction(() => onClock(world, before, () => readMoney(world, before, form)));
  const session = world.sessions.get(before.id) ?? before;
  const values = valuesOf(form);
  const email = (form.get("email") ?? "").trim();
  const problems: Problems = /^[^\s@]+@[^\s@]+$/.test(email) ? {} : { email: "Your email is invalid." };
  const shown: Shown = { email, values, problems, money: money.problems, alert: money.alert };
  if (!money.pay) return show(world, session, { ...shown, problems: {} });
  if (!asksForCard(session)) {
    if (problems.email) return show(world, session, { ...shown });
    const outcome = world.store.transaction(() => submitCheckout(world, session.id, { email, name: null }));
    return after(world, session.id, outcome, shown);
  }
  const debit = readDebit(session, form);
  if (debit) {
    if (debit.problem || problems.email) return show(world, session, { ...shown, debit });
    const { type, number } = debit;
    const given = { email, name: values.billingName || null, account: { type, number } };
    const outcome = world.store.transaction(() => submitCheckout(world, session.id, given));
    return after(world, session.id, outcome, shown);
  }
  const read = onClock(world, session, () => readCard(values, world.now()));
  if ("problems" in read) Object.assign(problems, read.problems);
  if ("problems" in read || problems.email) return show(world, session, { ...shown });
  const { name, ...card } = read.card;
  const outcome = world.store.transaction(() => submitCheckout(world, session.id, { email, name, card }));
  return after(world, session.id, outcome, shown);
}

/** The bank's own page, where a customer proves to be there. */
export function bankQuestion(action: string, amount: string | null): PageAnswer {
  return page({
    title: "Authentication",
    narrow: true,
    body: html`<h1>3D Secure 2 test page</h1>
<p>${amount ? `Your bank asks whether you want to pay ${amount}.` : "Your bank asks whether this card is yours."}</p>
<form method="post" action="${action}" class="row">
<button class="primary" name="outcome" value="complete" type="submit">Complete authentication</button>
<button name="outcome" value="fail" type="submit">Fail authentication</button>
</form>`,
  });
}

function question(session: CheckoutSession): PageAnswer {
  const amount = session.amount_total ? formatMoney(session.amount_total, session.currency ?? "usd") : null;
  return bankQuestion(`/c/pay/${session.id}/authenticate`, amount);
}

/** `/c/pay/:session` and `/c/pay/:session/authenticate`. */
export function checkoutPage({ world, form }: PageContext, method: string, [id = "", step]: string[]): PageAnswer {
  const session = world.sessions.get(id);
  if (!session) return message("Nothing here", "There is no such checkout session.", 404);
  if (session.status !== "open") return closed(session);
  if (step === "authenticate") {
    if (!world.checkoutPlans.get(id)?.authenticating) return seeOther(`/c/pay/${id}`);
    if (method === "GET") return question(session);
    const success = form.get("outcome") === "complete";
    const outcome = world.store.transaction(() => authenticateCheckout(world, id, success));
    return after(world, id, outcome, firstView(world, session));
  }
  return method === "POST" ? submit(world, session, form) : show(world, session, firstView(world, session));
}
