// superjson, which walks through whatever it is given with care, and a short cut for what is JSON already: nearly all that services ask
// for.
import superjson, { type SuperJSONResult } from "superjson";

/** What tRPC reads inputs and writes answers with. It reads as superjson's own, but for one object in two places: they become two. */
export const transformer = {
  serialize: (value: unknown): SuperJSONResult =>
    isJson(value, DEEPEST) ? { json: value as SuperJSONResult["json"] } : superjson.serialize(value),
  deserialize: <Value>(written: SuperJSONResult): Value => superjson.deserialize(written),
};

const DEEPEST = 8;
const REFUSED = /^(__proto__|constructor|prototype)$/;

/** Whether an answer can have a field of this name: superjson throws at those that reach for what all objects share. */
export function isFieldName(name: string): boolean {
  return !REFUSED.test(name);
}

/** Whether a value is written as it is: no instants, nothing undefined, no numbers that JSON does not have. */
function isJson(value: unknown, depth: number): boolean {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true;
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== "object" || depth === 0) return false;
  if (Array.isArray(value)) {
    // Not `every`, which does not see the holes.
    for (const item of value) if (!isJson(item, depth - 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const [name, field] of Object.entries(value)) {
    if (!isFieldName(name) || !isJson(field, depth - 1)) return false;
  }
  return true;
}
