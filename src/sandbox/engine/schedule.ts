// The life of a subscription schedule: it changes its subscription phase by phase, and lets it go or ends it.
import { invalidRequest } from "../errors";
import type { Metadata, Subscription, SubscriptionItem, SubscriptionSchedule } from "../types";
import { planOf, viewPrice } from "../view";
import type { World } from "../world";
import { begin, getSchedule, planNext, spanOf, syncEnd } from "./schedule-begin";
import { buildPhases, newItemsOf, type Phase, type PhaseGiven, phaseAt, phaseItem } from "./schedule-phases";
import { cancelSubscription, updateSubscription } from "./subscription-apply";
import { newItem } from "./subscription-item";
import { advanceSubscription, current, renew } from "./subscription-renewal";
import { changeSubscription, endSubscription, firstPeriodEnd, isLive } from "./subscription-state";
import type { ItemChange, Proration } from "./subscription-update";

/** How the items of a subscription become those of a phase. Items are the same as long as their price is. */
function differences(world: World, subscription: Subscription, phase: Phase): ItemChange[] {
  const wanted = new Map(newItemsOf(world, phase).map((item) => [item.price.id, item]));
  const kept = subscription.items.data.flatMap((item): ItemChange[] => {
    const match = wanted.get(item.price.id);
    wanted.delete(item.price.id);
    if (!match) return [{ id: item.id, deleted: true }];
    return match.quantity === item.quantity ? [] : [{ id: item.id, quantity: match.quantity }];
  });
  return [...kept, ...wanted.values()];
}

/** The same at the end of a period, where nothing is left to prorate. */
function nextItems(world: World, subscription: Subscription, phase: Phase, now: number): SubscriptionItem[] {
  const start = Math.min(...subscription.items.data.map((item) => item.current_period_start));
  return newItemsOf(world, phase).map((wanted) => {
    const { price, quantity } = wanted;
    const item = subscription.items.data.find((each) => each.price.id === price.id);
    if (item) return { ...item, quantity, price: viewPrice(price), plan: planOf(price) };
    return newItem(subscription.id, wanted, now, { start, end: now });
  });
}

/** What a phase changes besides items. */
function quietChanges(subscription: Subscription, phase: Phase): Partial<Subscription> {
  return {
    ...(Object.keys(phase.metadata ?? {}).length > 0 && {
      metadata: { ...subscription.metadata, ...phase.metadata },
    }),
    ...(phase.description !== null && { description: phase.description }),
    ...(phase.default_payment_method !== null && { default_payment_method: phase.default_payment_method }),
  };
}

function restartsCycle(subscription: Subscription, phase: Phase, items: SubscriptionItem[]): boolean {
  const intervals = (each: SubscriptionItem[]) =>
    each.map(({ price }) => `${price.recurring?.interval_count} ${price.recurring?.interval}`).sort();
  const other = intervals(subscription.items.data).join() !== intervals(items).join();
  return other || phase.billing_cycle_anchor === "phase_start";
}

/** What a phase makes of a subscription whose periods are over: the state from which it renews. */
export function atPhaseStart(world: World, subscription: Subscription, phase: Phase, now: number): Subscription {
  const items = nextItems(world, subscription, phase, now);
  const anchor = restartsCycle(subscription, phase, items) ? now : subscription.billing_cycle_anchor;
  return {
    ...subscription,
    ...quietChanges(subscription, phase),
    billing_cycle_anchor: anchor,
    items: { ...subscription.items, data: items },
  };
}

/** The phase that follows at an instant, for a subscription that a schedule moves on. */
export function phaseAfter(world: World, subscription: Subscription, at: number): Phase | null {
  const schedule = subscription.schedule ? world.schedules.get(subscription.schedule) : undefined;
  return schedule?.phases.find(({ start_date }) => start_date === at) ?? null;
}

function enter(world: World, schedule: SubscriptionSchedule, phase: Phase, proration: Proration): void {
  const subscription = current(world, schedule.subscription ?? "");
  const now = world.now();
  const over = subscription.items.data.every((item) => item.current_period_end <= now);
  const trials = phase.trial_end !== null && phase.trial_end > now;
  if (over && !trials) {
    const next = atPhaseStart(world, subscription, phase, now);
    const { items: _, ...quiet } = next;
    renew(world, next, { ...quiet, ...(subscription.status === "trialing" && { status: "active" as const }) });
    return;
  }
  updateSubscription(
    world,
    subscription.id,
    {
      items: differences(world, subscription, phase),
      proration,
      at: now,
      resetAnchor: phase.billing_cycle_anchor === "phase_start",
      ...(trials && { trialEnd: phase.trial_end as number }),
    },
    quietChanges(subscription, phase),
    "allow_incomplete",
  );
}

/** The due moment of a schedule: its beginning, the next phase, or its end. */
export function advanceSchedule(world: World, id: string): void {
  const schedule = world.schedules.get(id);
  const now = world.now();
  if (schedule?.status === "not_started") begin(world, schedule);
  if (schedule?.status !== "active" || !schedule.current_phase || schedule.current_phase.end_date > now) return;
  const next = phaseAt(schedule, now);
  if (!next) {
    finish(world, schedule);
    return;
  }
  const moved = world.schedules.patch(id, { current_phase: spanOf(next) });
  planNext(world, moved);
  enter(world, moved, next, next.proration_behavior as Proration);
  world.events.emit("subscription_schedule.updated", getSchedule(world, id), world.events.snapshot(schedule));
}

/** All phases are over: the subscription goes on alone, or ends. */
function finish(world: World, schedule: SubscriptionSchedule): void {
  if (schedule.end_behavior !== "cancel") {
    releaseSchedule(world, schedule, false);
    return;
  }
  const done = world.schedules.patch(schedule.id, {
    status: "completed",
    completed_at: world.now(),
    current_phase: null,
  });
  world.events.emit("subscription_schedule.completed", done);
  if (done.subscription) endSubscription(world, done.subscription, { reason: "cancellation_requested" });
}

/** Lets the subscription go on without its schedule. */
export function releaseSchedule(world: World, schedule: SubscriptionSchedule, keepsEnd: boolean): SubscriptionSchedule {
  const { subscription } = schedule;
  world.scheduler.forget(schedule.id);
  const released = world.schedules.patch(schedule.id, {
    status: "released",
    released_at: world.now(),
    released_subscription: subscription,
    subscription: null,
    current_phase: null,
  });
  if (subscription) {
    const takesBack = schedule.end_behavior === "cancel" && !keepsEnd;
    changeSubscription(world, subscription, {
      schedule: null,
      ...(takesBack && { cancel_at: null, canceled_at: null }),
    });
  }
  world.events.emit("subscription_schedule.released", released);
  return released;
}

/** Ends a schedule and its subscription now. */
export function cancelSchedule(
  world: World,
  schedule: SubscriptionSchedule,
  rules: { prorate: boolean; invoiceNow: boolean },
): SubscriptionSchedule {
  world.scheduler.forget(schedule.id);
  const canceled = world.schedules.patch(schedule.id, {
    status: "canceled",
    canceled_at: world.now(),
    current_phase: null,
  });
  world.events.emit("subscription_schedule.canceled", canceled);
  if (schedule.subscription) {
    cancelSubscription(world, schedule.subscription, rules, { reason: "cancellation_requested" });
  }
  return canceled;
}

export interface ScheduleChange {
  phases?: PhaseGiven[];
  endBehavior?: "cancel" | "release";
  proration: Proration;
  metadata?: Metadata;
  defaultPaymentMethod?: string | null;
}

/** The phases of a schedule after a change. Those that are over may be left out; the current one keeps its start. */
function changedPhases(world: World, schedule: SubscriptionSchedule, given: PhaseGiven[]): Phase[] {
  const { current_phase: running } = schedule;
  const first = given[0]?.startDate;
  if (running && first === undefined) {
    throw invalidRequest(
      "Missing required param: phases[0][start_date].",
      "phases[0][start_date]",
      "parameter_missing",
    );
  }
  const phases = buildPhases(world, given, schedule.phases[0]?.start_date ?? world.now());
  if (!running) return phases;
  const begins = phases[0]?.start_date ?? 0;
  const past = schedule.phases.filter(({ end_date }) => end_date <= begins && end_date <= running.start_date);
  if (!phases.some(({ start_date }) => start_date === running.start_date)) {
    throw invalidRequest("You can not modify the start date of the current phase.", "phases[0][start_date]");
  }
  return [...past, ...phases];
}

/** Changes a schedule. What it changes in the current phase happens now. */
export function updateSchedule(world: World, id: string, change: ScheduleChange): SubscriptionSchedule {
  const schedule = getSchedule(world, id);
  const before = world.events.snapshot(schedule);
  const phases = change.phases ? changedPhases(world, schedule, change.phases) : schedule.phases;
  const patch: Partial<SubscriptionSchedule> = {
    phases,
    ...(change.endBehavior && { end_behavior: change.endBehavior }),
    ...(change.metadata && { metadata: change.metadata }),
    ...(change.defaultPaymentMethod !== undefined && {
      default_settings: { ...schedule.default_settings, default_payment_method: change.defaultPaymentMethod },
    }),
  };
  const running = schedule.status === "active" ? phaseAt({ phases }, world.now()) : null;
  const changed = world.schedules.patch(id, { ...patch, ...(running && { current_phase: spanOf(running) }) });
  planNext(world, changed);
  if (running && changed.subscription && change.phases) {
    const subscription = current(world, changed.subscription);
    const trials = running.trial_end !== null && running.trial_end !== subscription.trial_end;
    if (differences(world, subscription, running).length > 0 || trials) {
      enter(world, changed, running, change.proration);
    }
  }
  syncEnd(world, changed);
  const after = getSchedule(world, id);
  world.events.emit("subscription_schedule.updated", after, before);
  // The phase that was cut short now may have been the last one.
  if (!running && changed.status === "active") finish(world, after);
  return getSchedule(world, id);
}

/** A subscription was changed past its schedule: the current phase follows it. */
export function syncPhase(world: World, subscription: Subscription): void {
  const schedule = subscription.schedule ? world.schedules.get(subscription.schedule) : undefined;
  const running = schedule?.status === "active" ? phaseAt(schedule, world.now()) : null;
  if (!schedule || !running || differences(world, subscription, running).length === 0) return;
  const items = subscription.items.data.map(({ price, quantity, metadata }) =>
    phaseItem({ price, quantity: quantity ?? 1, metadata }),
  );
  const phases = schedule.phases.map((phase) => (phase === running ? { ...phase, items } : phase));
  world.change(world.schedules, schedule.id, { phases }, "subscription_schedule.updated");
}

/** The due moment of a subscription, after that of its schedule when both are due. */
export function advanceManaged(world: World, id: string): void {
  const schedule = world.subscriptions.get(id)?.schedule;
  if (schedule) advanceSchedule(world, schedule);
  const subscription = world.subscriptions.get(id);
  if (!subscription || !isLive(subscription)) return;
  const now = world.now();
  const ends = subscription.cancel_at !== null && subscription.cancel_at <= now;
  if (ends || firstPeriodEnd(subscription) <= now) advanceSubscription(world, id);
}
