// A change of price or quantity in the middle of a period, with what Stripe calls prorations.
import { invalidRequest } from "../errors";
import type { InvoiceLine, Metadata, Price, Subscription, SubscriptionItem } from "../types";
import { planOf, viewPrice } from "../view";
import type { World } from "../world";
import { attemptPayment, createInvoice, declined, finalizeInvoice } from "./invoicing";
import { periodLine, prorationLine } from "./lines";
import { periodEnd } from "./period";
import { current, newItem, takePendingLines } from "./subscription";
import { changeSubscription } from "./subscription-state";

export interface ItemChange {
  id?: string;
  price?: Price;
  quantity?: number;
  deleted?: boolean;
  metadata?: Record<string, string | null> | null;
}

export interface UpdateRules {
  proration: "always_invoice" | "create_prorations" | "none";
  payment: "allow_incomplete" | "default_incomplete" | "error_if_incomplete";
  /** The instant from which time counts as unused. */
  at: number;
  resetAnchor: boolean;
}

interface Plan {
  items: SubscriptionItem[];
  lines: InvoiceLine[];
  anchor: number;
  /** The period starts anew: Stripe invoices that at once. */
  restarts: boolean;
}

function sameInterval(a: Price["recurring"], b: Price["recurring"]): boolean {
  return a?.interval === b?.interval && a?.interval_count === b?.interval_count;
}

function mergeItemMetadata(before: Metadata, patch: ItemChange["metadata"]): Metadata {
  if (patch === undefined) return before;
  const merged = { ...(patch === null ? {} : before), ...patch };
  return Object.fromEntries(Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null));
}

/** What the items and the invoice lines become. It writes nothing. */
export function planUpdate(world: World, before: Subscription, changes: ItemChange[], rules: UpdateRules): Plan {
  const items = new Map(before.items.data.map((item) => [item.id, item]));
  const prorates = rules.proration !== "none" && before.status !== "trialing";
  const lines: InvoiceLine[] = [];
  const now = rules.at;
  const restarts =
    before.status !== "trialing" &&
    (rules.resetAnchor ||
      changes.some(({ id, price }) => {
        const item = id ? items.get(id) : undefined;
        return item && price && !sameInterval(item.price.recurring, price.recurring);
      }));
  const anchor = restarts ? now : before.billing_cycle_anchor;
  const shape: Subscription = { ...before, billing_cycle_anchor: anchor };
  for (const change of changes) {
    const item = change.id ? items.get(change.id) : undefined;
    if (change.id && !item) {
      throw invalidRequest(`No such subscription_item: '${change.id}'`, "items[0][id]", "resource_missing");
    }
    const price = change.price ?? item?.price;
    if (!price)
      throw invalidRequest("Missing required param: items[0][price].", "items[0][price]", "parameter_missing");
    if (item && change.deleted) {
      if (prorates) lines.push(prorationLine(world, before, item, now, "credit"));
      items.delete(item.id);
      continue;
    }
    const quantity = change.quantity ?? item?.quantity ?? 1;
    const fresh = !item || restarts;
    const start =
      fresh && before.status !== "trialing" ? now : (item?.current_period_start ?? before.trial_start ?? now);
    const end = fresh
      ? before.status === "trialing" && before.trial_end
        ? before.trial_end
        : periodEnd(anchor, price.recurring, now)
      : item.current_period_end;
    const after: SubscriptionItem = item
      ? {
          ...item,
          price: viewPrice(price),
          plan: planOf(price),
          quantity,
          metadata: mergeItemMetadata(item.metadata, change.metadata),
          current_period_start: start,
          current_period_end: end,
        }
      : newItem(before.id, { price, quantity, metadata: mergeItemMetadata({}, change.metadata) }, now, { start, end });
    const changed = !item || item.price.id !== price.id || item.quantity !== quantity || restarts;
    if (prorates && changed) {
      if (item) lines.push(prorationLine(world, before, item, now, "credit"));
      if (!restarts) lines.push(prorationLine(world, shape, after, now, "debit"));
    }
    if (restarts) lines.push(periodLine(world, shape, after));
    items.set(after.id, after);
  }
  if (items.size === 0) throw invalidRequest("A subscription must have at least one active item.", "items");
  return { items: [...items.values()], lines, anchor, restarts };
}

/** Applies a change of items: prorations wait for the next invoice, or are invoiced and collected now. */
export function updateItems(
  world: World,
  id: string,
  changes: ItemChange[],
  others: Partial<Subscription>,
  rules: UpdateRules,
): Subscription {
  const before = current(world, id);
  const plan = planUpdate(world, before, changes, rules);
  const data = plan.items;
  const apply = { ...others, billing_cycle_anchor: plan.anchor, items: { ...before.items, data } };
  const invoicesNow = plan.lines.length > 0 && (plan.restarts || rules.proration === "always_invoice");
  if (!invoicesNow) {
    if (plan.lines.length > 0) {
      const waiting = world.subscriptionSecrets.get(id)?.pendingLines ?? [];
      world.subscriptionSecrets.put({ id, pendingLines: [...waiting, ...plan.lines] });
    }
    return changeSubscription(world, id, apply);
  }
  const now = world.now();
  const invoice = createInvoice(world, {
    customer: before.customer,
    currency: before.currency,
    billingReason: "subscription_update",
    subscription: before,
    lines: [...takePendingLines(world, id), ...plan.lines],
    periodStart: now,
    periodEnd: now,
  });
  changeSubscription(world, id, { ...apply, latest_invoice: invoice.id });
  const open = finalizeInvoice(world, invoice.id);
  if (open.status !== "open") return current(world, id);
  if (rules.payment === "default_incomplete") return changeSubscription(world, id, { status: "past_due" });
  const outcome = attemptPayment(world, invoice.id, { scheduled: true });
  if (rules.payment === "error_if_incomplete" && outcome.kind !== "succeeded") {
    if (outcome.kind === "failed") throw Object.assign(declined(outcome.failure), { keepsWrites: false });
    throw invalidRequest(
      "This customer has no attached payment source or default payment method.",
      undefined,
      "resource_missing",
    );
  }
  return current(world, id);
}
