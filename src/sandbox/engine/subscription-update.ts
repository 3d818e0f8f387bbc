// A change in the middle of a period: prices, quantities, trial, anchor and end, with what Stripe calls prorations.
// It says what a change means; subscription-apply.ts does it, preview.ts shows it.
import { invalidRequest } from "../errors";
import type { InvoiceLine, Metadata, Price, Subscription, SubscriptionItem } from "../types";
import { planOf, viewPrice } from "../view";
import type { World } from "../world";
import { trialLine } from "./lines";
import { cycleAround, type Period, periodEnd } from "./period";
import { newItem } from "./subscription-item";
import { chargeFor, creditFrom, debitFor } from "./subscription-ledger";

export interface ItemChange {
  id?: string;
  price?: Price;
  quantity?: number;
  deleted?: boolean;
  metadata?: Record<string, string | null> | null;
}

export type Proration = "always_invoice" | "create_prorations" | "none";

export interface Change {
  items: ItemChange[];
  proration: Proration;
  /** The instant from which time counts as unused. */
  at: number;
  resetAnchor: boolean;
  trialEnd?: number | "now";
  /** The agreed end; null takes it back. */
  cancelAt?: number | null;
}

export interface Plan {
  changes: Partial<Subscription> & Pick<Subscription, "items" | "billing_cycle_anchor">;
  lines: InvoiceLine[];
  /** What the credit lines give back. */
  credited: Record<string, number>;
  /** The lines are invoiced at once; otherwise they wait for the next invoice. */
  invoicesNow: boolean;
}

const MAX_ITEMS = 20;

function sameInterval(a: Price["recurring"], b: Price["recurring"]): boolean {
  return a?.interval === b?.interval && a?.interval_count === b?.interval_count;
}

function mergeItemMetadata(before: Metadata, patch: ItemChange["metadata"]): Metadata {
  if (patch === undefined) return before;
  const merged = { ...(patch === null ? {} : before), ...patch };
  return Object.fromEntries(Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null));
}

/** What a change is about, found once. */
interface Frame {
  world: World;
  before: Subscription;
  change: Change;
  trialing: boolean;
  trial: "ends" | "begins" | "moves" | null;
  /** Every period starts anew: Stripe invoices that at once. */
  restarts: boolean;
  prorates: boolean;
  /** The subscription as it will be, as far as the lengths of periods go. */
  shape: Subscription;
}

function frameOf(world: World, before: Subscription, change: Change): Frame {
  const now = world.now();
  const trialing = before.status === "trialing";
  const { trialEnd } = change;
  const over = trialEnd === "now" || (trialEnd !== undefined && trialEnd <= now);
  const trial = trialEnd === undefined ? null : over ? (trialing ? "ends" : null) : trialing ? "moves" : "begins";
  const byId = new Map(before.items.data.map((item) => [item.id, item]));
  const otherInterval = change.items.some(({ id, price, deleted }) => {
    const item = id ? byId.get(id) : undefined;
    return item && price && !deleted && !sameInterval(item.price.recurring, price.recurring);
  });
  const restarts = trial === "ends" || (!trialing && trial === null && (change.resetAnchor || otherInterval));
  const anchor =
    trial === "moves" || trial === "begins" ? (trialEnd as number) : restarts ? now : before.billing_cycle_anchor;
  return {
    world,
    before,
    change,
    trialing,
    trial,
    restarts,
    prorates: change.proration !== "none" && !trialing && before.status !== "paused",
    shape: { ...before, billing_cycle_anchor: anchor },
  };
}

/** The period of an item after the change; `item` is null for one that is added. */
function periodAfter(frame: Frame, item: SubscriptionItem | null, price: Price): Period {
  const { world, before, change, trialing, trial, restarts, prorates, shape } = frame;
  const now = world.now();
  if (trial === "begins") return { start: now, end: change.trialEnd as number };
  if (trial === "moves") return { start: item?.current_period_start ?? now, end: change.trialEnd as number };
  if (restarts) return { start: now, end: periodEnd(shape.billing_cycle_anchor, price.recurring, now) };
  if (trialing) return { start: item?.current_period_start ?? now, end: before.trial_end ?? now };
  const twin = item ?? before.items.data.find((each) => sameInterval(each.price.recurring, price.recurring));
  const cycle = cycleAround(before.billing_cycle_anchor, price.recurring, change.at);
  const start = twin?.current_period_start ?? now;
  if (change.cancelAt === undefined) return { start, end: twin?.current_period_end ?? cycle.end };
  // An end inside the period shortens it, and one that is taken back gives the period its length again.
  const shortened = change.cancelAt !== null && change.cancelAt < cycle.end && prorates;
  return { start, end: shortened ? (change.cancelAt as number) : cycle.end };
}

function resolve(frame: Frame, change: ItemChange, position: number): { item: SubscriptionItem | null; price: Price } {
  const item = change.id ? frame.before.items.data.find(({ id }) => id === change.id) : undefined;
  if (change.id && !item) {
    throw invalidRequest(`No such subscription_item: '${change.id}'`, `items[${position}][id]`, "resource_missing");
  }
  const known = item && (frame.world.prices.get(item.price.id) ?? item.price);
  const price = change.price ?? known;
  if (!price) {
    const param = `items[${position}][price]`;
    throw invalidRequest(`Missing required param: ${param}.`, param, "parameter_missing");
  }
  return { item: item ?? null, price };
}

function checkItems(items: SubscriptionItem[]): void {
  if (items.length === 0) throw invalidRequest("A subscription must have at least one active item.", "items");
  if (items.length > MAX_ITEMS) {
    throw invalidRequest(`A subscription can have at most ${MAX_ITEMS} items.`, "items");
  }
  const seen = new Set<string>();
  for (const { price } of items) {
    if (seen.has(price.id)) {
      throw invalidRequest(`Cannot add multiple subscription items with the same plan: ${price.id}`, "items");
    }
    seen.add(price.id);
  }
}

function checkDate({ world, before, change, trialing }: Frame): void {
  // Time stands still for a paused subscription: its period may be long over.
  if (change.at === world.now()) return;
  const starts = Math.min(...before.items.data.map((item) => item.current_period_start));
  const ends = Math.max(...before.items.data.map((item) => item.current_period_end));
  if (!trialing && (change.at < starts || change.at > ends)) {
    throw invalidRequest("Cannot specify `proration_date` outside of the current period.", "proration_date");
  }
}

/** What the subscription and its invoice lines become. It writes nothing. */
export function planChange(world: World, before: Subscription, change: Change): Plan {
  const frame = frameOf(world, before, change);
  const { prorates, restarts, shape, trial } = frame;
  checkDate(frame);
  const credits: InvoiceLine[] = [];
  const debits: InvoiceLine[] = [];
  const credited: Record<string, number> = {};
  const giveBack = (item: SubscriptionItem, from: number) => {
    if (!prorates) return;
    const credit = creditFrom(world, before, item, from);
    credits.push(...credit.lines);
    Object.assign(credited, credit.credited);
  };
  const charge = (item: SubscriptionItem, period: Period) => {
    if (!prorates || period.end <= period.start) return;
    const line = debitFor(world, shape, item, period);
    if (line.amount !== 0) debits.push(line);
  };
  const requested = new Map<string | undefined, { change: ItemChange; price: Price }>();
  const added: Array<{ change: ItemChange; price: Price }> = [];
  for (const [position, each] of change.items.entries()) {
    const { item, price } = resolve(frame, each, position);
    if (item) requested.set(item.id, { change: each, price });
    else added.push({ change: each, price });
  }
  const items: SubscriptionItem[] = [];
  for (const item of before.items.data) {
    const wanted = requested.get(item.id);
    const startsAnew = restarts || trial === "begins";
    if (wanted?.change.deleted) {
      giveBack(item, change.at);
      continue;
    }
    const price = wanted?.price ?? world.prices.get(item.price.id) ?? item.price;
    const period = periodAfter(frame, item, price);
    // A new price comes with a quantity of its own: one, unless another is given.
    const kept = wanted?.change.price && wanted.change.price.id !== item.price.id ? 1 : (item.quantity ?? 1);
    const quantity = wanted?.change.quantity ?? kept;
    const after: SubscriptionItem = {
      ...item,
      ...(wanted && {
        price: viewPrice(price),
        plan: planOf(price),
        quantity,
        metadata: mergeItemMetadata(item.metadata, wanted.change.metadata),
      }),
      current_period_start: period.start,
      current_period_end: period.end,
    };
    if (startsAnew) {
      giveBack(item, change.at);
    } else if (item.price.id !== price.id || (item.quantity ?? 1) !== quantity) {
      giveBack(item, change.at);
      charge(after, { start: change.at, end: period.end });
    } else if (period.end < item.current_period_end) {
      giveBack(item, period.end);
    } else if (change.cancelAt !== undefined) {
      charge(after, { start: item.current_period_end, end: period.end });
    }
    items.push(after);
  }
  for (const { change: wanted, price } of added) {
    const period = periodAfter(frame, null, price);
    const given = { price, quantity: wanted.quantity ?? 1, metadata: mergeItemMetadata({}, wanted.metadata) };
    const item = newItem(before.id, given, world.now(), period);
    if (!restarts && trial !== "begins") charge(item, { start: change.at, end: period.end });
    items.push(item);
  }
  checkItems(items);
  const whole = restarts
    ? items.map((item) => {
        const period = { start: item.current_period_start, end: item.current_period_end };
        return chargeFor(world, shape, item, period);
      })
    : trial === "begins"
      ? items.map((item) => trialLine(world, shape, item))
      : [];
  const lines = [...credits, ...debits, ...whole];
  return {
    changes: {
      items: { ...before.items, data: items },
      billing_cycle_anchor: shape.billing_cycle_anchor,
      ...trialChanges(frame),
    },
    lines,
    credited,
    invoicesNow: lines.length > 0 && (whole.length > 0 || change.proration === "always_invoice"),
  };
}

function trialChanges({ world, change, trial }: Frame): Partial<Subscription> {
  const now = world.now();
  switch (trial) {
    case "ends":
      return { status: "active", trial_end: now };
    case "begins":
      return { status: "trialing", trial_start: now, trial_end: change.trialEnd as number };
    case "moves":
      return { trial_end: change.trialEnd as number };
    default:
      return {};
  }
}
