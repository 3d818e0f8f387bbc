// The phases of a subscription schedule: what a caller gives becomes periods that follow each other.
import { invalidRequest } from "../errors";
import type { Metadata, Price, SubscriptionSchedule } from "../types";
import type { World } from "../world";
import { addIntervals } from "./period";
import type { NewItem } from "./subscription-item";
import type { Proration } from "./subscription-update";

export type Phase = SubscriptionSchedule["phases"][number];

export interface PhaseGiven {
  items: NewItem[];
  startDate?: number | "now";
  endDate?: number | "now";
  duration?: { interval: string; interval_count?: number };
  proration?: Proration;
  anchor?: "automatic" | "phase_start";
  trial?: boolean;
  trialEnd?: number | "now";
  metadata?: Metadata;
  description?: string | null;
  defaultPaymentMethod?: string | null;
  currency?: string;
}

/** What a phase shows of an item. */
export function phaseItem({ price, quantity, metadata }: NewItem): Phase["items"][number] {
  return {
    billing_thresholds: null,
    discounts: [],
    metadata: metadata ?? {},
    plan: price.id,
    price: price.id,
    quantity,
    tax_rates: [],
  };
}

/** Without an end or a duration a phase lasts one interval of its first price. */
function endOf(given: PhaseGiven, start: number, now: number): number {
  if (given.endDate !== undefined) return given.endDate === "now" ? now : given.endDate;
  const recurring: Price["recurring"] = given.items[0]?.price.recurring ?? null;
  const { interval, interval_count: count } = given.duration ?? {
    interval: recurring?.interval ?? "month",
    interval_count: recurring?.interval_count,
  };
  return addIntervals(start, interval, count ?? 1);
}

/** Phases one after the other from an instant on. `path` names them in refusals. */
export function buildPhases(world: World, given: PhaseGiven[], from: number, path = "phases"): Phase[] {
  const now = world.now();
  const phases: Phase[] = [];
  let start = from;
  for (const [position, each] of given.entries()) {
    const at = `${path}[${position}]`;
    if (each.endDate !== undefined && each.duration) {
      throw invalidRequest("You may only specify one of these parameters: duration, end_date.", `${at}[end_date]`);
    }
    const asked = each.startDate === "now" ? now : each.startDate;
    if (position > 0 && asked !== undefined && asked !== start) {
      throw invalidRequest("The start date of a phase must be the end date of the one before it.", `${at}[start_date]`);
    }
    if (position === 0 && asked !== undefined) start = asked;
    const end = endOf(each, start, now);
    if (end < start || (end === start && each.endDate !== "now")) {
      throw invalidRequest("The end date of a phase must be after its start date.", `${at}[end_date]`);
    }
    const trialEnd = each.trial ? end : each.trialEnd === "now" ? now : (each.trialEnd ?? null);
    if (trialEnd !== null && trialEnd > end) {
      throw invalidRequest("The `trial_end` of a phase must be within it.", `${at}[trial_end]`);
    }
    phases.push({
      add_invoice_items: [],
      application_fee_percent: null,
      automatic_tax: { disabled_reason: null, enabled: false, liability: null },
      billing_cycle_anchor: each.anchor ?? null,
      billing_thresholds: null,
      collection_method: null,
      currency: each.currency ?? each.items[0]?.price.currency ?? "usd",
      default_payment_method: each.defaultPaymentMethod ?? null,
      default_tax_rates: [],
      description: each.description ?? null,
      discounts: [],
      end_date: end,
      invoice_settings: null,
      items: each.items.map(phaseItem),
      metadata: each.metadata ?? {},
      on_behalf_of: null,
      proration_behavior: each.proration ?? "create_prorations",
      start_date: start,
      transfer_data: null,
      trial_end: trialEnd,
    } satisfies Phase);
    start = end;
  }
  return phases;
}

/** The prices and quantities of a phase. */
export function newItemsOf(world: World, phase: Phase): NewItem[] {
  return phase.items.flatMap(({ price: id, quantity, metadata }) => {
    const price = world.prices.get(id);
    return price ? [{ price, quantity: quantity ?? 1, metadata: metadata ?? {} }] : [];
  });
}

/** The phase around an instant. */
export function phaseAt(schedule: Pick<SubscriptionSchedule, "phases">, at: number): Phase | null {
  return schedule.phases.find(({ start_date, end_date }) => start_date <= at && at < end_date) ?? null;
}
