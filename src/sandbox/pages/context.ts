// What a page gets to work with.
import type { Deliverer } from "../delivery";
import type { World } from "../world";

export interface PageContext {
  world: World;
  deliverer: Deliverer;
  query: URLSearchParams;
  form: URLSearchParams;
  /** The path of the page whose form was sent. */
  from: string;
}
