// How a subscription schedule begins: with a subscription of its own, or around one that there is already.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Customer, Metadata, Subscription, SubscriptionSchedule } from "../types";
import type { World } from "../world";
import { buildPhases, newItemsOf, type Phase, type PhaseGiven, phaseAt } from "./schedule-phases";
import { createSubscription } from "./subscription";
import { current } from "./subscription-renewal";
import { changeSubscription, isLive, lastPeriodEnd } from "./subscription-state";

export interface ScheduleGiven {
  customer: Customer;
  phases: PhaseGiven[];
  startDate: number | "now";
  endBehavior?: "cancel" | "release";
  defaultPaymentMethod?: string | null;
  description?: string | null;
  metadata?: Metadata;
}

type NewSchedule = Pick<
  SubscriptionSchedule,
  "customer" | "phases" | "end_behavior" | "metadata" | "status" | "subscription" | "current_phase" | "test_clock"
>;

function put(
  world: World,
  given: NewSchedule,
  settings: Partial<SubscriptionSchedule["default_settings"]> = {},
): SubscriptionSchedule {
  return world.schedules.put({
    id: newId("sub_sched"),
    object: "subscription_schedule",
    application: null,
    billing_mode: { flexible: { proration_discounts: "included" }, type: "flexible" },
    canceled_at: null,
    completed_at: null,
    created: world.now(),
    customer_account: null,
    default_settings: {
      application_fee_percent: null,
      automatic_tax: { disabled_reason: null, enabled: false, liability: null },
      billing_cycle_anchor: "automatic",
      billing_thresholds: null,
      collection_method: "charge_automatically",
      default_payment_method: null,
      description: null,
      invoice_settings: {
        account_tax_ids: null,
        custom_fields: null,
        days_until_due: null,
        description: null,
        footer: null,
        issuer: { type: "self" },
      },
      on_behalf_of: null,
      transfer_data: null,
      ...settings,
    },
    livemode: false,
    pause_schedules: [],
    released_at: null,
    released_subscription: null,
    ...given,
  } satisfies SubscriptionSchedule);
}

export function spanOf({ start_date, end_date }: Phase): SubscriptionSchedule["current_phase"] {
  return { start_date, end_date };
}

/** Plans the end of the current phase, or the beginning of the first one. */
export function planNext(world: World, schedule: SubscriptionSchedule): void {
  const { status, current_phase: phase, phases } = schedule;
  const at = status === "active" ? phase?.end_date : status === "not_started" ? phases[0]?.start_date : null;
  world.scheduler.plan("schedule.advance", schedule.id, at ?? null, schedule.test_clock);
}

export function getSchedule(world: World, id: string): SubscriptionSchedule {
  const schedule = world.schedules.get(id);
  if (!schedule) throw new Error(`schedule ${id} is gone`);
  return schedule;
}

/** A schedule that begins a subscription of its own, now or later. */
export function createSchedule(world: World, given: ScheduleGiven): SubscriptionSchedule {
  const now = world.now();
  const phases = buildPhases(world, given.phases, given.startDate === "now" ? now : given.startDate);
  const schedule = put(
    world,
    {
      customer: given.customer.id,
      phases,
      end_behavior: given.endBehavior ?? "release",
      metadata: given.metadata ?? {},
      status: "not_started",
      subscription: null,
      current_phase: null,
      test_clock: given.customer.test_clock ?? null,
    },
    { default_payment_method: given.defaultPaymentMethod ?? null, description: given.description ?? null },
  );
  world.events.emit("subscription_schedule.created", schedule);
  planNext(world, schedule);
  if ((phases[0]?.start_date ?? 0) <= now) begin(world, schedule);
  return getSchedule(world, schedule.id);
}

/** A schedule around a subscription that there is already: one phase, up to the end of its period. */
export function scheduleSubscription(world: World, subscription: Subscription): SubscriptionSchedule {
  const { id, cancel_at: end, items } = subscription;
  if (subscription.schedule) {
    throw invalidRequest(
      `You cannot migrate a subscription that is already attached to a schedule: \`${subscription.schedule}\`.`,
      "from_subscription",
    );
  }
  if (!isLive(subscription) || subscription.status === "incomplete" || subscription.status === "paused") {
    throw invalidRequest(
      `You cannot migrate a subscription that is ${subscription.status} to a schedule.`,
      "from_subscription",
    );
  }
  const given: PhaseGiven = {
    items: items.data.map(({ price, quantity, metadata }) => ({ price, quantity: quantity ?? 1, metadata })),
    endDate: end ?? lastPeriodEnd(subscription),
    trial: subscription.status === "trialing" && subscription.trial_end === lastPeriodEnd(subscription),
    currency: subscription.currency,
  };
  const start = Math.min(...items.data.map((item) => item.current_period_start));
  const phases = buildPhases(world, [given], start);
  const schedule = put(
    world,
    {
      customer: subscription.customer,
      phases,
      end_behavior: end === null ? "release" : "cancel",
      metadata: {},
      status: "active",
      subscription: id,
      current_phase: phases[0] ? spanOf(phases[0]) : null,
      test_clock: subscription.test_clock,
    },
    { default_payment_method: subscription.default_payment_method },
  );
  changeSubscription(world, id, { schedule: schedule.id });
  world.events.emit("subscription_schedule.created", schedule);
  planNext(world, schedule);
  return schedule;
}

/** The first phase begins: with it, the subscription. Its first invoice is a draft, as a renewal's is. */
export function begin(world: World, schedule: SubscriptionSchedule): void {
  const customer = world.customers.get(schedule.customer);
  const phase = phaseAt(schedule, world.now());
  if (!customer || !phase) return;
  const { default_settings: settings } = schedule;
  const { subscription } = createSubscription(world, {
    customer,
    items: newItemsOf(world, phase),
    currency: phase.currency,
    defaultPaymentMethod: phase.default_payment_method ?? settings.default_payment_method,
    description: phase.description ?? settings.description,
    metadata: phase.metadata ?? {},
    trialEnd: phase.trial_end,
    schedule: schedule.id,
    firstPayment: "draft",
  });
  const begun = world.schedules.patch(schedule.id, {
    status: "active",
    subscription: subscription.id,
    current_phase: spanOf(phase),
  });
  syncEnd(world, begun);
  planNext(world, begun);
  world.events.emit("subscription_schedule.updated", begun, world.events.snapshot(schedule));
}

/** A schedule that cancels sets the end of its subscription, and takes it back when it no longer does. */
export function syncEnd(world: World, schedule: SubscriptionSchedule): void {
  if (!schedule.subscription) return;
  const subscription = current(world, schedule.subscription);
  const end = schedule.end_behavior === "cancel" ? (schedule.phases.at(-1)?.end_date ?? null) : null;
  if (subscription.cancel_at === end || !isLive(subscription)) return;
  changeSubscription(world, subscription.id, { cancel_at: end, canceled_at: end === null ? null : world.now() });
}
