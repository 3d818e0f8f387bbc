// What all pages of the customer portal share: whose it is, where it leads, and how plans are told.
import { lastPeriodEnd } from "../engine/subscription-state";
import { formatInterval, formatMoney, unitAmountOf } from "../money";
import type { Customer, PortalConfiguration, PortalSession, Price, Subscription } from "../types";
import type { World } from "../world";
import { type Html, html } from "./html";
import { formatDate, message, type PageAnswer, seeOther } from "./layout";

export interface Door {
  world: World;
  session: PortalSession;
  customer: Customer;
  features: PortalConfiguration["features"];
  /** The path of this session, from which actions start. */
  path: string;
}

/** A price in words, in a currency. */
export function priceText(world: World, price: Price, currency: string): string {
  const name = world.products.get(price.product)?.name ?? price.product;
  const each = formatMoney(Number(unitAmountOf(price, currency)), currency);
  return `${name}, ${each} per ${formatInterval(price.recurring)}`;
}

export function productsOf(world: World, subscription: Subscription): string {
  return subscription.items.data
    .map((item) => {
      const price = world.prices.get(item.price.id) ?? item.price;
      const quantity = item.quantity === 1 ? "" : `${item.quantity} × `;
      return `${quantity}${priceText(world, price, subscription.currency)}`;
    })
    .join("; ");
}

/** What becomes of a subscription next. */
export function stateOf(subscription: Subscription): Html {
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

/** The way out of a page: to the portal, or to where a flow came from. */
export function wayBack({ session, path }: Door): Html | null {
  if (!session.flow) return html`<a class="button" href="${path}">Go back</a>`;
  return session.return_url ? html`<a class="button" href="${session.return_url}">Go back</a>` : null;
}

/** Something was done: on to the portal, or to where the flow of the session leads. */
export function done({ world, session, path }: Door): PageAnswer {
  const { flow } = session;
  if (!flow) return seeOther(path);
  world.portalSessions.patch(session.id, { flow: null });
  const { type, redirect, hosted_confirmation: confirmation } = flow.after_completion;
  if (type === "redirect" && redirect) return seeOther(redirect.return_url);
  if (type !== "hosted_confirmation") return seeOther(path);
  return message("Done", confirmation?.custom_message ?? "Your changes were saved.", 200);
}
