// /v1/subscription_schedules
import { cancelSchedule, releaseSchedule, updateSchedule } from "../engine/schedule";
import { createSchedule, scheduleSubscription } from "../engine/schedule-begin";
import type { PhaseGiven } from "../engine/schedule-phases";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Customer, SubscriptionSchedule } from "../types";
import type { World } from "../world";
import { find } from "./find";
import { itemShape, newItemsOf, ownMethod, prorationBehavior } from "./subscription-params";

const instant = p.either(p.oneOf("now"), p.integer());
const anchor = p.oneOf("automatic", "phase_start");
const endBehavior = p.oneOf("cancel", "release");

const phaseShape = {
  items: p.required(p.list(p.object(itemShape), { max: 20 })),
  automatic_tax: p.accepted(),
  billing_cycle_anchor: anchor,
  collection_method: p.oneOf("charge_automatically"),
  currency: p.string({ max: 3 }),
  default_payment_method: p.string(),
  description: p.emptyable(p.string({ max: 500 })),
  duration: p.object({
    interval: p.required(p.oneOf("day", "week", "month", "year")),
    interval_count: p.integer({ min: 1 }),
  }),
  end_date: instant,
  metadata: p.metadata(),
  proration_behavior: prorationBehavior,
  trial: p.boolean(),
  trial_end: instant,
} satisfies p.Shape;

const defaultSettings = p.object({
  automatic_tax: p.accepted(),
  billing_cycle_anchor: anchor,
  collection_method: p.oneOf("charge_automatically"),
  default_payment_method: p.string(),
  description: p.emptyable(p.string({ max: 500 })),
});

type GivenPhase = p.Params<typeof phaseShape> & { start_date?: number | "now" };

function phasesOf(world: World, customer: Customer, given: GivenPhase[]): PhaseGiven[] {
  if (given.length === 0) throw invalidRequest("Missing required param: phases.", "phases", "parameter_missing");
  return given.map((phase, position) => ({
    items: newItemsOf(world, phase.items, `phases[${position}][items]`),
    startDate: phase.start_date,
    endDate: phase.end_date,
    duration: phase.duration,
    proration: phase.proration_behavior,
    anchor: phase.billing_cycle_anchor,
    trial: phase.trial,
    trialEnd: phase.trial_end,
    metadata: p.mergeMetadata(null, phase.metadata),
    description: phase.description,
    defaultPaymentMethod: ownMethod(world, customer, phase.default_payment_method),
    currency: phase.currency?.toLowerCase(),
  }));
}

function stillOpen(schedule: SubscriptionSchedule, verb: string): SubscriptionSchedule {
  if (schedule.status === "not_started" || schedule.status === "active") return schedule;
  throw invalidRequest(
    `You cannot ${verb} a subscription schedule that is currently in the \`${schedule.status}\` status. It must be in the \`not_started\` or \`active\` status.`,
  );
}

const NOUN = "subscription schedule";

export const subscriptionSchedules: Route[] = [
  route(
    "POST",
    "/v1/subscription_schedules",
    {
      billing_mode: p.object({ type: p.required(p.oneOf("flexible")), flexible: p.accepted() }),
      customer: p.string(),
      default_settings: defaultSettings,
      end_behavior: endBehavior,
      from_subscription: p.string(),
      metadata: p.metadata(),
      phases: p.list(p.object(phaseShape)),
      start_date: instant,
    },
    (world, given) => {
      if (given.from_subscription) {
        const others = Object.keys(given).filter((key) => key !== "from_subscription" && key !== "billing_mode");
        if (others.length > 0) {
          throw invalidRequest(`You cannot set \`${others[0]}\` if \`from_subscription\` is set.`, others[0]);
        }
        const subscription = find(world.subscriptions, "subscription", given.from_subscription, "from_subscription");
        return world.onClockOf(subscription.customer, () => scheduleSubscription(world, subscription));
      }
      if (!given.customer) throw invalidRequest("Missing required param: customer.", "customer", "parameter_missing");
      const customer = find(world.customers, "customer", given.customer, "customer");
      return world.onClockOf(customer.id, () =>
        createSchedule(world, {
          customer,
          phases: phasesOf(world, customer, given.phases ?? []),
          startDate: given.start_date ?? "now",
          endBehavior: given.end_behavior,
          defaultPaymentMethod: ownMethod(world, customer, given.default_settings?.default_payment_method),
          description: given.default_settings?.description,
          metadata: p.mergeMetadata(null, given.metadata),
        }),
      );
    },
  ),
  route(
    "GET",
    "/v1/subscription_schedules",
    {
      ...p.pagination,
      canceled_at: p.range(),
      completed_at: p.range(),
      created: p.range(),
      customer: p.string(),
      released_at: p.range(),
      scheduled: p.boolean(),
    },
    (world, given) => {
      const among = given.customer ? world.schedules.by("customer", given.customer) : [...world.schedules.values()];
      const within = (at: number | null, range: p.Range | undefined) => !range || (at !== null && p.inRange(at, range));
      const found = among.filter(
        (schedule) =>
          within(schedule.created, given.created) &&
          within(schedule.canceled_at, given.canceled_at) &&
          within(schedule.completed_at, given.completed_at) &&
          within(schedule.released_at, given.released_at) &&
          (!given.scheduled || schedule.status === "not_started"),
      );
      return page(found, "/v1/subscription_schedules", NOUN, given);
    },
  ),
  route("GET", "/v1/subscription_schedules/:id", {}, (world, _, [id]) => find(world.schedules, NOUN, id)),
  route(
    "POST",
    "/v1/subscription_schedules/:id",
    {
      default_settings: defaultSettings,
      end_behavior: endBehavior,
      metadata: p.metadata(),
      phases: p.list(p.object({ ...phaseShape, start_date: instant })),
      proration_behavior: prorationBehavior,
    },
    (world, given, [id]) => {
      const schedule = stillOpen(find(world.schedules, NOUN, id), "update");
      const customer = find(world.customers, "customer", schedule.customer, "customer");
      return world.onClockOf(customer.id, () =>
        updateSchedule(world, id, {
          phases: given.phases && phasesOf(world, customer, given.phases),
          endBehavior: given.end_behavior,
          proration: given.proration_behavior ?? "create_prorations",
          ...(given.metadata !== undefined && { metadata: p.mergeMetadata(schedule.metadata, given.metadata) }),
          ...(given.default_settings?.default_payment_method !== undefined && {
            defaultPaymentMethod: ownMethod(world, customer, given.default_settings.default_payment_method),
          }),
        }),
      );
    },
  ),
  route(
    "POST",
    "/v1/subscription_schedules/:id/release",
    { preserve_cancel_date: p.boolean() },
    (world, given, [id]) => {
      const schedule = stillOpen(find(world.schedules, NOUN, id), "release");
      return world.onClockOf(schedule.customer, () =>
        releaseSchedule(world, schedule, given.preserve_cancel_date ?? false),
      );
    },
  ),
  route(
    "POST",
    "/v1/subscription_schedules/:id/cancel",
    { invoice_now: p.boolean(), prorate: p.boolean() },
    (world, given, [id]) => {
      const schedule = stillOpen(find(world.schedules, NOUN, id), "cancel");
      const rules = { prorate: given.prorate ?? true, invoiceNow: given.invoice_now ?? true };
      return world.onClockOf(schedule.customer, () => cancelSchedule(world, schedule, rules));
    },
  ),
];
