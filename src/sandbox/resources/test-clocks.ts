// /v1/test_helpers/test_clocks: a time of its own for some customers.
import { addIntervals } from "../engine/period";
import { isLive } from "../engine/subscription-state";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import { newId } from "../ids";
import * as p from "../params";
import type { TestClock } from "../types";
import type { World } from "../world";
import { deleteCustomer } from "./customers";
import { find } from "./find";

const DAY = 86_400;

/** How far a clock may go at a time: two intervals of its shortest subscription, or two years without any. */
function furthest(world: World, { id, frozen_time: now }: TestClock): { until: number; message: string } {
  const prices = world.customers
    .by("test_clock", id)
    .flatMap((customer) => world.subscriptions.by("customer", customer.id).filter(isLive))
    .flatMap(({ items }) => items.data.map(({ price }) => price.recurring));
  const ends = prices.map((recurring) =>
    addIntervals(now, recurring?.interval ?? "month", 2 * (recurring?.interval_count ?? 1)),
  );
  if (ends.length === 0) {
    const message = "You cannot advance a test clock by more than two years.";
    return { until: addIntervals(now, "year", 2), message };
  }
  const message =
    "You cannot advance a test clock more than two intervals into the future from the shortest subscription in the test clock.";
  return { until: Math.min(...ends), message };
}

export const testClocks: Route[] = [
  route(
    "POST",
    "/v1/test_helpers/test_clocks",
    { frozen_time: p.required(p.integer({ min: 0 })), name: p.string({ max: 300 }) },
    (world, given) => {
      const created = world.clock.global();
      const clock = world.testClocks.put({
        id: newId("clock"),
        object: "test_helpers.test_clock",
        created,
        deletes_after: created + 30 * DAY,
        frozen_time: given.frozen_time,
        livemode: false,
        name: given.name ?? null,
        status: "ready",
        status_details: {},
      } satisfies TestClock);
      world.events.emit("test_helpers.test_clock.created", clock);
      return clock;
    },
  ),
  route("GET", "/v1/test_helpers/test_clocks/:id", {}, (world, _, [id]) =>
    find(world.testClocks, "test_helpers.test_clock", id),
  ),
  route(
    "POST",
    "/v1/test_helpers/test_clocks/:id/advance",
    { frozen_time: p.required(p.integer()) },
    (world, given, [id]) => {
      const clock = find(world.testClocks, "test_helpers.test_clock", id);
      if (given.frozen_time <= clock.frozen_time) {
        throw invalidRequest("The `frozen_time` must be after the test clock's current frozen time.", "frozen_time");
      }
      const { until, message } = furthest(world, clock);
      if (given.frozen_time > until) throw invalidRequest(message, "frozen_time");
      const details = { advancing: { target_frozen_time: given.frozen_time } };
      const advancing = world.testClocks.patch(id, { status: "advancing", status_details: details });
      world.events.emit("test_helpers.test_clock.advancing", advancing);
      world.scheduler.runDue(id, given.frozen_time);
      const ready = world.testClocks.patch(id, { status: "ready", status_details: {}, frozen_time: given.frozen_time });
      world.events.emit("test_helpers.test_clock.ready", ready);
      // Stripe answers while it still works, so callers must poll; here the work is done by then.
      return ready;
    },
  ),
  route("DELETE", "/v1/test_helpers/test_clocks/:id", {}, (world, _, [id]) => {
    const clock = find(world.testClocks, "test_helpers.test_clock", id);
    for (const customer of world.customers.by("test_clock", id)) deleteCustomer(world, customer.id);
    world.testClocks.remove(id);
    world.events.emit("test_helpers.test_clock.deleted", clock);
    return { id, object: "test_helpers.test_clock", deleted: true as const };
  }),
  route("GET", "/v1/test_helpers/test_clocks", p.pagination, (world, given) =>
    page(world.testClocks.values(), "/v1/test_helpers/test_clocks", "test_helpers.test_clock", given),
  ),
];
