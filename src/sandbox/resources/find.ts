// Finds what a request names, or refuses as Stripe does.
import { missingResource } from "../errors";
import type { Collection } from "../store";

/** The object behind an id; `param` is where the id was given (`id`: in the path). */
export function find<T extends { id: string; created?: number }>(
  collection: Collection<T>,
  noun: string,
  id: string,
  param = "id",
): T {
  const found = collection.get(id);
  if (!found) throw missingResource(noun, id, param);
  return found;
}
