import fc from "fast-check";
import superjson from "superjson";
import { describe, expect, it } from "vitest";
import { transformer } from "~/server/api/transformer";

const anything = fc.anything({ withDate: true, withBigInt: true, withMap: true, withSet: true, withSparseArray: true });

describe("the transformer", () => {
  it("reads back whatever superjson would read back", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const [ours, theirs] = [written(transformer, value), written(superjson, value)];
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 2000 },
    );
  });

  it("writes what is JSON as superjson does", () => {
    fc.assert(
      // Names that superjson refuses are among those that are tried first.
      fc.property(fc.jsonValue(), (value) => {
        expect(refusedOr(() => JSON.stringify(transformer.serialize(value)))).toEqual(
          refusedOr(() => JSON.stringify(superjson.serialize(value))),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it.each(["__proto__", "constructor", "prototype"])("refuses a field %s, as superjson does", (name) => {
    const value = [JSON.parse(`{"${name}":[]}`)];
    expect(() => superjson.serialize(value)).toThrow(name);
    expect(() => transformer.serialize(value)).toThrow(name);
  });

  it.each([
    ["an instant", { at: new Date(0) }],
    ["undefined", { left: undefined }],
    ["a number that JSON does not have", [Number.NaN, Number.POSITIVE_INFINITY, -0]],
    ["a big integer", { amount: 2n }],
    ["a map", new Map([["a", new Set([1])]])],
    ["what lies deep", { a: { b: { c: { d: { e: { f: { g: { h: { i: new Date(0) } } } } } } } } }],
    ["what has no prototype", Object.create(null)],
  ])("leaves %s to superjson", (_, value) => {
    expect(transformer.serialize(value)).toEqual(superjson.serialize(value));
    expect(transformer.deserialize(transformer.serialize(value))).toEqual(value);
  });
});

/** What a value becomes on its way, or that it is refused. */
function written({ serialize, deserialize }: typeof transformer, value: unknown): unknown {
  return refusedOr(() => deserialize(JSON.parse(JSON.stringify(serialize(value)))));
}

function refusedOr(make: () => unknown): unknown {
  try {
    return { value: make() };
  } catch (error) {
    return { refused: error instanceof Error };
  }
}
