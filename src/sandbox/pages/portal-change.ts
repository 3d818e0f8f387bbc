// The portal's pages about another plan or quantity: what is offered, what it costs now, and when it takes effect.
import { previewInvoice } from "../engine/preview";
import { releaseSchedule, updateSchedule } from "../engine/schedule";
import { scheduleSubscription } from "../engine/schedule-begin";
import { updateSubscription } from "../engine/subscription-apply";
import { lastPeriodEnd } from "../engine/subscription-state";
import type { Change, Proration } from "../engine/subscription-update";
import { StripeError } from "../errors";
import { amountOf, formatMoney } from "../money";
import type { Price, Subscription, SubscriptionItem } from "../types";
import { html } from "./html";
import { formatDate, type PageAnswer, page, seeOther } from "./layout";
import { type Door, done, priceText, productsOf, wayBack } from "./portal-door";

/** What a customer asks for: an item at another price, or in another quantity. */
interface Choice {
  item: SubscriptionItem;
  price: Price;
  quantity: number;
}

/** A schedule of the future keeps the portal from changing the plan, until it is taken back. */
export function changesAt({ world }: Door, subscription: Subscription): number | null {
  const schedule = subscription.schedule ? world.schedules.get(subscription.schedule) : undefined;
  return schedule?.phases.find(({ start_date }) => start_date > world.now())?.start_date ?? null;
}

/** The item that the configuration lets a customer change. */
function itemOf({ features }: Door, subscription: Subscription): SubscriptionItem | undefined {
  const offered = new Set(features.subscription_update.products?.map(({ product }) => product));
  const { data } = subscription.items;
  return data.find((each) => offered.has(each.price.product)) ?? data[0];
}

/** The prices that the configuration offers in place of the current one. */
export function choicesOf(door: Door, subscription: Subscription): Price[] {
  const { world, features } = door;
  const { default_allowed_updates: allowed, products } = features.subscription_update;
  if (!isOpen(door, subscription) || !allowed.includes("price")) return [];
  const taken = new Set(subscription.items.data.map((item) => item.price.id));
  return (products ?? [])
    .flatMap((product) => product.prices)
    .map((id) => world.prices.get(id))
    .filter((price) => price !== undefined)
    .filter((price) => price.active && price.recurring !== null && !taken.has(price.id));
}

function isOpen(door: Door, subscription: Subscription): boolean {
  const { enabled } = door.features.subscription_update;
  return enabled && subscription.cancel_at === null && changesAt(door, subscription) === null;
}

/** How many a customer may have of the item's product; null when that cannot be changed. */
function limitsOf(door: Door, product: string): { least: number; most: number } | null {
  const { default_allowed_updates: allowed, products } = door.features.subscription_update;
  const adjustable = products?.find((each) => each.product === product)?.adjustable_quantity;
  if (!allowed.includes("quantity") || !adjustable?.enabled) return null;
  return { least: adjustable.minimum, most: adjustable.maximum ?? 999_999 };
}

/** Whether there is anything to change. */
export function canChange(door: Door, subscription: Subscription): boolean {
  const item = itemOf(door, subscription);
  const counts = item && isOpen(door, subscription) && limitsOf(door, item.price.product) !== null;
  return Boolean(counts) || choicesOf(door, subscription).length > 0;
}

const MONTHS: Record<string, number> = { day: 1 / 30, week: 7 / 30, month: 1, year: 12 };

function lengthOf({ recurring }: Price): number {
  return (MONTHS[recurring?.interval ?? "month"] ?? 1) * (recurring?.interval_count ?? 1);
}

/** Whether the configuration puts a change off until the period is over. */
function isPutOff({ world, features }: Door, subscription: Subscription, { item, price, quantity }: Choice): boolean {
  const before = world.prices.get(item.price.id) ?? item.price;
  const { currency } = subscription;
  const shorter = lengthOf(price) < lengthOf(before);
  const cheaper =
    lengthOf(price) === lengthOf(before) &&
    amountOf(price, currency, quantity) < amountOf(before, currency, item.quantity ?? 1);
  return features.subscription_update.schedule_at_period_end.conditions.some(
    ({ type }) => (type === "shortening_interval" && shorter) || (type === "decreasing_item_amount" && cheaper),
  );
}

function changeOf({ world, features }: Door, subscription: Subscription, choice: Choice): Change {
  const { proration_behavior: proration, trial_update_behavior: trial } = features.subscription_update;
  const ends = subscription.status === "trialing" && trial === "end_trial";
  return {
    items: [{ id: choice.item.id, price: choice.price, quantity: choice.quantity }],
    proration: proration as Proration,
    at: world.now(),
    resetAnchor: features.subscription_update.billing_cycle_anchor === "now",
    ...(ends && { trialEnd: "now" as const }),
  };
}

/** The change as a second phase, from the end of the period on. */
function putOff({ world }: Door, subscription: Subscription, { item, price, quantity }: Choice): void {
  const schedule = scheduleSubscription(world, subscription);
  const [running] = schedule.phases;
  const items = subscription.items.data.map((each) => ({ price: each.price, quantity: each.quantity ?? 1 }));
  const after = subscription.items.data.map((each, at) => (each.id === item.id ? { price, quantity } : items[at]));
  updateSchedule(world, schedule.id, {
    phases: [
      { items, startDate: running?.start_date, endDate: running?.end_date, trial: subscription.status === "trialing" },
      { items: after.filter((each) => each !== undefined), proration: "none" },
    ],
    proration: "none",
  });
}

function apply(door: Door, subscription: Subscription, choice: Choice): void {
  if (isPutOff(door, subscription, choice)) putOff(door, subscription, choice);
  else {
    const change = changeOf(door, subscription, choice);
    updateSubscription(door.world, subscription.id, change, {}, "error_if_incomplete");
  }
}

/** What a form asks for, or a sentence about what is wrong with it. */
function readChoice(door: Door, subscription: Subscription, form: URLSearchParams): Choice | string {
  const item = itemOf(door, subscription);
  const asked = form.get("price");
  const current = item && (door.world.prices.get(item.price.id) ?? item.price);
  const keeps = current && (!asked || asked === current.id);
  const price = keeps ? current : choicesOf(door, subscription).find(({ id }) => id === asked);
  if (!item || !price) return "Choose a plan.";
  const limits = limitsOf(door, price.product);
  const quantity = limits && form.has("quantity") ? Number(form.get("quantity")) : (item.quantity ?? 1);
  if (limits && !(Number.isSafeInteger(quantity) && quantity >= limits.least && quantity <= limits.most)) {
    return `Choose a quantity from ${limits.least} to ${limits.most}.`;
  }
  if (keeps && quantity === item.quantity) return "Choose a plan.";
  return { item, price, quantity };
}

export function changePage(door: Door, subscription: Subscription, alert?: string): PageAnswer {
  const { world, path } = door;
  const item = itemOf(door, subscription);
  const limits = item ? limitsOf(door, item.price.product) : null;
  const choices = choicesOf(door, subscription);
  const rows = choices.map(
    (price) =>
      html`<p><label><input type="radio" name="price" value="${price.id}"${limits ? "" : html` required`}>${priceText(world, price, subscription.currency)}</label></p>`,
  );
  const count =
    limits &&
    html`<div class="field"><label for="quantity">Quantity</label><input id="quantity" name="quantity" type="number" min="${limits.least}" max="${limits.most}" value="${item?.quantity ?? 1}"></div>`;
  return page({
    title: "Change plan",
    narrow: true,
    body: html`<h1>Change your plan</h1>
${alert && html`<div class="alert" role="alert">${alert}</div>`}
<p class="quiet">Now: ${productsOf(world, subscription)}</p>
<form method="post" action="${path}/change/${subscription.id}">${choices.length > 0 && html`<fieldset style="border:0;padding:0;margin:0 0 16px"><legend class="quiet small">Change to</legend>${rows}</fieldset>`}${count}
<div class="row"><button class="primary" type="submit">Change plan</button>${wayBack(door)}</div></form>`,
  });
}

export function change(door: Door, subscription: Subscription, form: URLSearchParams): PageAnswer {
  const choice = readChoice(door, subscription, form);
  if (typeof choice === "string") return changePage(door, subscription, choice);
  try {
    return door.world.store.transaction(() => {
      apply(door, subscription, choice);
      return done(door);
    });
  } catch (error) {
    if (error instanceof StripeError) return changePage(door, subscription, error.message);
    throw error;
  }
}

/** The one change that a session was opened for; null when there is none. */
function confirmedChoice({ world, session }: Door, subscription: Subscription): Choice | null {
  const [asked] = session.flow?.subscription_update_confirm?.items ?? [];
  const item = subscription.items.data.find(({ id }) => id === asked?.id);
  if (!asked || !item) return null;
  const price = world.prices.get(asked.price ?? item.price.id);
  return price ? { item, price, quantity: asked.quantity ?? item.quantity ?? 1 } : null;
}

/** What a change costs now, in words. */
function costOf(door: Door, subscription: Subscription, choice: Choice): string {
  const { world } = door;
  if (isPutOff(door, subscription, choice)) {
    return `Your plan changes on ${formatDate(lastPeriodEnd(subscription))}. Nothing is due today.`;
  }
  const { amount_due: due, created } = previewInvoice(world, subscription, {
    change: changeOf(door, subscription, choice),
  });
  const amount = formatMoney(due, subscription.currency);
  return created <= world.now() ? `Due today: ${amount}.` : `Due on ${formatDate(created)}: ${amount}.`;
}

export function confirmPage(door: Door, subscription: Subscription, alert?: string): PageAnswer {
  const choice = confirmedChoice(door, subscription);
  if (!choice) return seeOther(door.path);
  const quantity = choice.quantity === 1 ? "" : `${choice.quantity} × `;
  return page({
    title: "Confirm your new plan",
    narrow: true,
    body: html`<h1>Confirm your new plan</h1>
${alert && html`<div class="alert" role="alert">${alert}</div>`}
<p class="quiet">Now: ${productsOf(door.world, subscription)}</p>
<p><strong>${quantity}${priceText(door.world, choice.price, subscription.currency)}</strong></p>
<p>${costOf(door, subscription, choice)}</p>
<form method="post" action="${door.path}/confirm/${subscription.id}"><div class="row"><button class="primary" type="submit">Confirm</button>${wayBack(door)}</div></form>`,
  });
}

export function confirm(door: Door, subscription: Subscription): PageAnswer {
  const choice = confirmedChoice(door, subscription);
  if (!choice) return seeOther(door.path);
  try {
    return door.world.store.transaction(() => {
      apply(door, subscription, choice);
      return done(door);
    });
  } catch (error) {
    if (error instanceof StripeError) return confirmPage(door, subscription, error.message);
    throw error;
  }
}

/** Takes a change back that was put off. */
export function keepPlan(door: Door, subscription: Subscription): PageAnswer {
  const { world, path } = door;
  const schedule = subscription.schedule ? world.schedules.get(subscription.schedule) : undefined;
  if (schedule) world.store.transaction(() => releaseSchedule(world, schedule, false));
  return seeOther(path);
}
