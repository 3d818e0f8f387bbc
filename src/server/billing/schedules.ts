// A change that waits for the end of the period: Stripe's schedule of a subscription.
import { BillingError } from "~/domain/errors";
import { expectObject, idOf, type Stripe } from "../stripe";
import { isReplaced, REPLACED_BY, readSubscription } from "../stripe/facts";
import { type Action, act } from "./actions";
import { type LiveSubscription, readAgain, requireLive, synchronize } from "./live-subscription";

type Phase = Stripe.SubscriptionScheduleUpdateParams.Phase;

/**
 * Lets the subscription go on with another price of its plan's item from the end of the period on. A change that was scheduled
 * before is replaced.
 */
export async function schedulePrice(
  action: Action,
  live: LiveSubscription,
  target: { stripePriceId: string; interval: "month" | "year" },
): Promise<void> {
  const schedule = await ensureSchedule(action, live);
  const now = currentPhase(schedule, live);
  const kept = keptOf(now);
  const phases: Phase[] = [
    {
      ...kept,
      items: now.items.map(itemOf),
      start_date: now.start_date,
      end_date: live.item.current_period_end,
      proration_behavior: "none",
    },
    {
      ...kept,
      items: now.items.map((item) =>
        idOf(item.price) === live.item.price.id ? { ...itemOf(item), price: target.stripePriceId } : itemOf(item),
      ),
      start_date: live.item.current_period_end,
      duration: { interval: target.interval, interval_count: 1 },
      proration_behavior: "none",
    },
  ];
  const params: Stripe.SubscriptionScheduleUpdateParams = {
    phases,
    end_behavior: "release",
    proration_behavior: "none",
    metadata: { organizationId: action.organizationId, [REPLACED_BY]: "" },
  };
  await action.bringAbout(schedule, {
    name: "schedule",
    about: (state) => ({ id: state.id, params, phases: state.phases.map(shapeOf) }),
    isDone: (state) => leadsTo(state, live, target.stripePriceId),
    send: async (stripe, options) =>
      expectObject("subscription_schedule", await stripe.subscriptionSchedules.update(schedule.id, params, options)),
    read: () => readSchedule(action, schedule.id),
  });
}

/** Ends the schedule, so that the subscription goes on as it is. @returns whether there was one */
export async function releaseSchedule(action: Action, subscription: Stripe.Subscription): Promise<boolean> {
  const id = idOf(subscription.schedule);
  if (id === null) return false;
  await action.bringAbout(await readSchedule(action, id), {
    name: "release",
    about: (state) => ({ id: state.id, status: state.status }),
    isDone: (state) => state.status !== "active" && state.status !== "not_started",
    send: async (stripe, options) =>
      expectObject("subscription_schedule", await stripe.subscriptionSchedules.release(id, {}, options)),
    read: () => readSchedule(action, id),
  });
  return true;
}

/**
 * Has the schedule end once the subscription has that price. Until then it stands: the change may never be paid for, and what
 * was planned before is to happen then.
 */
export async function replaceSchedule(
  action: Action,
  subscription: Stripe.Subscription,
  stripePriceId: string,
): Promise<void> {
  const id = idOf(subscription.schedule);
  if (id === null) return;
  const params = { metadata: { [REPLACED_BY]: stripePriceId } };
  await action.bringAbout(await readSchedule(action, id), {
    name: "schedule:replace",
    about: () => ({ id, params }),
    isDone: ({ metadata }) => metadata?.[REPLACED_BY] === stripePriceId,
    send: async (stripe, options) =>
      expectObject("subscription_schedule", await stripe.subscriptionSchedules.update(id, params, options)),
    read: () => readSchedule(action, id),
  });
}

/** Ends the schedule where the change that takes its place is done. @returns whether it is */
export async function releaseReplaced(action: Action, subscription: Stripe.Subscription): Promise<boolean> {
  return isReplaced(readSubscription(subscription)) && releaseSchedule(action, subscription);
}

/**
 * The same for a change that was paid when nobody waited for it. For a job: again and again it changes nothing.
 * @throws BillingError STRIPE_UNAVAILABLE, BUSY: it is to be called again
 */
export async function finishReplacing(organizationId: string, now: Date): Promise<void> {
  const doer = { organizationId, actor: "job:release-schedule", now };
  await act(doer, async (action) => {
    const { stripe: subscription } = await requireLive(action);
    if (await releaseReplaced(action, subscription)) await synchronize(action, subscription.id);
  }).catch((error) => {
    // Its end, or that of the organization, has ended the schedule as well.
    const isOver = error instanceof BillingError && (error.code === "NO_SUBSCRIPTION" || error.code === "NOT_FOUND");
    if (!isOver) throw error;
  });
}

/** Whether the subscription's schedule goes on to that price of the plan's item. */
export async function isScheduled(action: Action, live: LiveSubscription, stripePriceId: string): Promise<boolean> {
  const id = idOf(live.stripe.schedule);
  return id !== null && leadsTo(await readSchedule(action, id), live, stripePriceId);
}

async function ensureSchedule(action: Action, live: LiveSubscription): Promise<Stripe.SubscriptionSchedule> {
  const { id } = live.stripe;
  const subscription = await action.bringAbout(live.stripe, {
    name: "schedule:create",
    // Its id is Stripe's; another one of the same subscription comes after this one was released.
    about: () => ({ id, period: live.item.current_period_end }),
    isDone: (state) => state.schedule !== null,
    send: async (stripe, options) => {
      const made = await stripe.subscriptionSchedules.create({ from_subscription: id }, options);
      const schedule = expectObject("subscription_schedule", made);
      return Object.assign({ ...live.stripe, schedule }, { lastResponse: made.lastResponse });
    },
    read: () => readAgain(action, id),
  });
  const { schedule } = subscription;
  return typeof schedule === "object" && schedule !== null ? schedule : readSchedule(action, idOf(schedule) ?? "");
}

function readSchedule(action: Action, id: string): Promise<Stripe.SubscriptionSchedule> {
  return action.read("subscription_schedule", (stripe) => stripe.subscriptionSchedules.retrieve(id));
}

function currentPhase(
  schedule: Stripe.SubscriptionSchedule,
  live: LiveSubscription,
): Stripe.SubscriptionSchedule.Phase {
  const start = schedule.current_phase?.start_date;
  const phase = schedule.phases.find((candidate) => candidate.start_date === start) ?? schedule.phases[0];
  if (phase) return phase;
  throw new Error(`the schedule of subscription ${live.stripe.id} has no phase`);
}

function leadsTo(schedule: Stripe.SubscriptionSchedule, live: LiveSubscription, stripePriceId: string): boolean {
  if (schedule.status !== "active") return false;
  const next = schedule.phases.find((phase) => phase.start_date === live.item.current_period_end);
  return next?.items.some((item) => idOf(item.price) === stripePriceId) ?? false;
}

function shapeOf(phase: Stripe.SubscriptionSchedule.Phase): unknown {
  return [phase.start_date, phase.end_date, phase.items.map((item) => [idOf(item.price), item.quantity ?? null])];
}

function itemOf(item: Stripe.SubscriptionSchedule.Phase.Item): Phase["items"][number] {
  return { price: idOf(item.price) ?? "", ...(item.quantity === undefined ? {} : { quantity: item.quantity }) };
}

/** What a phase would lose if it were not said again. */
function keptOf(phase: Stripe.SubscriptionSchedule.Phase): Partial<Phase> {
  const discounts = phase.discounts
    .map(({ discount, coupon, promotion_code }) => ({ discount, coupon, promotion_code }))
    .map((reference) => {
      const [name, value] = Object.entries(reference).find(([, given]) => given !== null) ?? [];
      return name && value ? { [name]: idOf(value) ?? "" } : null;
    })
    .filter((reference) => reference !== null);
  const rates = (phase.default_tax_rates ?? []).map(idOf).filter((rate) => rate !== null);
  return {
    ...(discounts.length > 0 ? { discounts } : {}),
    ...(rates.length > 0 ? { default_tax_rates: rates } : {}),
    ...(phase.automatic_tax ? { automatic_tax: { enabled: phase.automatic_tax.enabled } } : {}),
    ...(phase.metadata && Object.keys(phase.metadata).length > 0 ? { metadata: phase.metadata } : {}),
  };
}
