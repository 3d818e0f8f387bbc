// What an event says has changed.

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The attributes that were different before, with what they were. Null stands for what was not there. */
export function previousAttributes(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): Record<string, unknown> {
  const previous: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [was, is] = [before[key], after[key]];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    // Stripe names only the keys of metadata (and of other plain objects) that changed.
    previous[key] = isPlain(was) && isPlain(is) && !("object" in was) ? previousAttributes(was, is) : (was ?? null);
  }
  return previous;
}
