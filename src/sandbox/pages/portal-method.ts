// The portal's page about the card that pays.
import { attach, cardBehind, newPaymentMethod } from "../engine/cards";
import { changeSubscription, isLive } from "../engine/subscription-state";
import { CARD_SCRIPT, type CardValues, cardFields, type Problems, readCard, testCards, valuesOf } from "./card-form";
import { html } from "./html";
import { type PageAnswer, page } from "./layout";
import { type Door, done, wayBack } from "./portal-door";

interface Shown {
  values: CardValues;
  problems: Problems;
  alert?: string;
}

export function methodPage(door: Door, shown: Shown): PageAnswer {
  return page({
    title: "Update payment method",
    narrow: true,
    script: CARD_SCRIPT,
    body: html`<h1>Update payment method</h1>
${shown.alert && html`<div class="alert" role="alert">${shown.alert}</div>`}
<form method="post" action="${door.path}/payment-method" novalidate>${cardFields(shown.values, shown.problems)}
<div class="row"><button class="primary" type="submit">Save card</button>${wayBack(door)}</div></form>${testCards()}`,
  });
}

export function saveMethod(door: Door, form: URLSearchParams): PageAnswer {
  const { world, customer } = door;
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
    return done(door);
  });
}
