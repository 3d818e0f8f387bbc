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
// superjson refuses these as names.
const REFUSED = /^(__proto__|constructor|prototype)$/;

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
    if (REFUSED.test(name) || !isJson(field, depth - 1)) return false;
  }
  return true;
}
