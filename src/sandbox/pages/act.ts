// Buttons do what a call of the API does, by the same route, so that what they make is told as it always is.
import { StripeError } from "../errors";
import type { RawObject } from "../form";
import { findRoute } from "../http/route";
import { parseShape } from "../params";
import { routes } from "../resources/index";
import type { World } from "../world";

/** Does what a request to the API would do. What Stripe would refuse is thrown as it would be answered. */
export function act(world: World, method: "POST" | "DELETE", path: string, params: RawObject = {}): void {
  const found = findRoute(routes, method, path);
  if (!found) throw new Error(`no route ${method} ${path}`);
  const { route, ids } = found;
  world.store.transaction(
    () =>
      world.clock.at(world.clock.global(), () => route.handle(world, parseShape(route.shape, params) as never, ids)),
    (error) => error instanceof StripeError && error.keepsWrites,
  );
}
